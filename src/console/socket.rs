//! The control socket as a file: never open to others, not even for an
//! instant, and never taken from a daemon that lives.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, bail};
use nix::unistd::{Group, chown};
use tokio::net::UnixListener;

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// Listens at `path`. The socket is made inside a directory that only we can
/// enter, given its mode and group there, and then moved into place.
///
/// # Errors
/// When another daemon listens there, or the file system refuses.
pub(super) fn listen(path: &Path, group: Option<&str>) -> anyhow::Result<UnixListener> {
    let shown = path.display();
    if path.exists() {
        if UnixStream::connect(path).is_ok() {
            bail!("control.socket: another daemon listens at {shown}");
        }
        fs::remove_file(path).with_context(|| format!("control.socket: {shown} is in the way"))?;
    }
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let private = parent.join(format!(".evictd-{}", std::process::id()));
    let made = make(&private, path, group);
    // Left behind only if the process dies within these few lines.
    let _ = fs::remove_dir_all(&private);
    made.with_context(|| format!("control.socket: cannot listen at {shown}"))
}

fn make(private: &Path, path: &Path, group: Option<&str>) -> anyhow::Result<UnixListener> {
    let _ = fs::remove_dir_all(private);
    DirBuilder::new().mode(0o700).create(private)?;
    let inside = private.join("s");
    let listener = UnixListener::bind(&inside)?;
    if let Some(name) = group {
        let group = Group::from_name(name)?
            .with_context(|| format!("control.group: this machine has no group {name:?}"))?;
        chown(&inside, None, Some(group.gid))
            .with_context(|| format!("control.group: evictd is not a member of {name:?}"))?;
    }
    fs::set_permissions(&inside, Permissions::from_mode(MODE))?;
    fs::rename(&inside, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_owner_and_group_may_open_it_and_a_live_one_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let first = listen(&path, None).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let error = listen(&path, None).unwrap_err();
        assert!(
            error.to_string().contains("another daemon listens"),
            "{error:#}"
        );
        // A dead daemon's socket is replaced.
        drop(first);
        listen(&path, None).unwrap();
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[tokio::test]
    async fn a_group_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = listen(&directory.path().join("s"), Some("no-such-group")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-group"), "{error:#}");
    }
}
