//! The control socket as a file: never open to others, not even for an
//! instant, never taken from a daemon that lives, and never in place of a file
//! that is something else.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::unistd::{Group, chown};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Owner and group may connect.
const MODE: u32 = 0o660;
/// A daemon whose backlog is full does not take us in at once; it lives.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Listens at `path`. The socket is made inside a directory that only we can
/// enter, given its mode and group there, and then moved into place.
///
/// # Errors
/// When another daemon listens there, something that is no socket is there, or
/// the file system refuses.
pub(super) async fn listen(path: &Path, group: Option<&str>) -> anyhow::Result<UnixListener> {
    let shown = path.display();
    check_free(path)
        .await
        .with_context(|| format!("control.socket: cannot listen at {shown}"))?;
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

/// Passes when nothing is there, or the socket of a daemon that is dead. Only
/// a refused connection says dead: any other answer may be a daemon that
/// lives, and one that is not ours to reach is not ours to replace.
async fn check_free(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => bail!("there is a file that is no socket; it is left as it is"),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    match timeout(ANSWER_MAX, UnixStream::connect(path)).await {
        Ok(Err(error)) => match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Ok(()),
            ErrorKind::WouldBlock => bail!("another daemon listens there"),
            _ => Err(error).context("a socket is there that may not be looked into"),
        },
        Ok(Ok(_)) | Err(_) => bail!("another daemon listens there"),
    }
}

fn make(private: &Path, path: &Path, group: Option<&str>) -> anyhow::Result<UnixListener> {
    // Of a process that had our number and died; elsewhere there is none.
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
    // Takes the place of a dead daemon's socket in one step.
    fs::rename(&inside, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixSocket;

    use super::*;

    #[tokio::test]
    async fn only_owner_and_group_may_open_it_and_a_live_one_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let first = listen(&path, None).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let error = format!("{:#}", listen(&path, None).await.unwrap_err());
        assert!(error.contains("another daemon listens"), "{error}");
        // A dead daemon's socket is replaced.
        drop(first);
        let _second = listen(&path, None).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policies.yaml");
        fs::write(&file, "precious").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link] {
            let error = format!("{:#}", listen(path, None).await.unwrap_err());
            assert!(error.contains("no socket"), "{error}");
            assert_eq!(fs::read_to_string(path).unwrap(), "precious");
        }
    }

    #[tokio::test]
    async fn a_live_daemon_whose_backlog_is_full_is_not_taken_for_dead() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let busy = UnixSocket::new_stream().unwrap();
        busy.bind(&path).unwrap();
        let _listens = busy.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = UnixStream::connect(&path).await {
            waiting.push(stream);
            assert!(
                waiting.len() < 100,
                "a backlog of 1 takes in {}",
                waiting.len()
            );
        }
        let error = format!("{:#}", listen(&path, None).await.unwrap_err());
        assert!(error.contains("another daemon listens"), "{error}");
    }

    #[tokio::test]
    async fn a_group_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let error = format!(
            "{:#}",
            listen(&path, Some("no-such-group")).await.unwrap_err()
        );
        assert!(error.contains("no-such-group"), "{error}");
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
