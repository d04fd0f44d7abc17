//! What the policies' folder, and what it includes, looks like; and when a
//! change of it has settled.
//!
//! The folder is looked at every two seconds, by `stat`. Notifications of the
//! kernel would be quicker and are not everywhere: NFS has none, Kubernetes
//! mounts a ConfigMap as links through `..data` and swaps that link, which no
//! watch on the files sees, and editors write another file and rename it.
//! Following the links and comparing device, inode, size and the times of
//! content and inode sees all of them. A thousand files take some
//! milliseconds.
//!
//! Invariant: a change is taken up once the folder looked the same twice in a
//! row, so a file that is half written is not loaded while it is written. What
//! was tried is not tried again until it changes, but for a set that failed:
//! the reason may have been the disk and not the file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ruleset;

/// How often the folder is looked at, and so how long it must be the same.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks after which a set that failed is tried again unchanged: 30 s.
const TRY_AGAIN_LOOKS: u32 = 15;

/// What tells one state of a file from another; compared and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds: of the content, then of the inode.
    times: [(i64, i64); 2],
}

impl Stamp {
    /// `None` where the file cannot be looked at, e.g. a dangling link.
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            times: [
                (found.mtime(), found.mtime_nsec()),
                (found.ctime(), found.ctime_nsec()),
            ],
        })
    }
}

/// The policy files of a folder as they are at one moment; at most
/// [`ruleset::FILES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listing {
    /// Each file.
    Files(BTreeMap<PathBuf, Option<Stamp>>),
    /// The folder cannot be listed, and why.
    Unreadable(String),
}

impl Listing {
    /// Looks at a folder. Blocks.
    pub(super) fn of(directory: &Path) -> Self {
        match ruleset::files_of(directory) {
            Ok(paths) => Self::Files(
                paths
                    .into_iter()
                    .map(|path| {
                        let stamp = Stamp::of(&path);
                        (path, stamp)
                    })
                    .collect(),
            ),
            Err(problem) => Self::Unreadable(problem.to_string()),
        }
    }

    /// What is not in `now` as it is here: `changed a.yaml`, `new b.yaml`,
    /// `gone c.yaml`, by name.
    pub(super) fn differences(&self, now: &Self) -> Vec<String> {
        let (before, after) = match (self, now) {
            (Self::Files(before), Self::Files(after)) => (before, after),
            (_, Self::Unreadable(why)) => return vec![why.clone()],
            (Self::Unreadable(_), Self::Files(_)) => return Vec::new(),
        };
        let mut names: Vec<&PathBuf> = before.keys().chain(after.keys()).collect();
        names.sort();
        names.dedup();
        let name = |path: &Path| match path.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => path.display().to_string(),
        };
        names
            .into_iter()
            .filter_map(|path| match (before.get(path), after.get(path)) {
                (Some(old), Some(new)) if old == new => None,
                (Some(_), Some(_)) => Some(format!("changed {}", name(path))),
                (None, _) => Some(format!("new {}", name(path))),
                (Some(_), None) => Some(format!("gone {}", name(path))),
            })
            .collect()
    }
}

/// Why the policies are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// A human or a signal asked.
    Asked,
    /// The folder changed and has settled.
    Changed,
    /// What failed is tried again, unchanged.
    Again,
}

/// Decides when to load, look by look.
#[derive(Debug, Default)]
pub(super) struct Watch {
    last: Option<Listing>,
    looks_since: u32,
}

impl Watch {
    /// Takes a look into account; says why to load now, if so. `tried` is the
    /// folder of the last attempt and `failed` how that ended.
    pub(super) fn look(&mut self, found: Listing, tried: &Listing, failed: bool) -> Option<Why> {
        let settled = self.last.as_ref() == Some(&found);
        let why = match (found == *tried, settled) {
            (_, false) => None,
            (false, true) => Some(Why::Changed),
            (true, true) => {
                self.looks_since += 1;
                (failed && self.looks_since >= TRY_AGAIN_LOOKS).then_some(Why::Again)
            }
        };
        if why.is_some() || !settled {
            self.looks_since = 0;
        }
        self.last = Some(found);
        why
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(directory: &Path, name: &str, text: &str) {
        fs::write(directory.join(name), text).unwrap();
    }

    #[test]
    fn every_way_to_change_a_folder_is_seen_and_what_is_no_policy_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a.yaml", "one");
        write(folder, "b.yaml", "one");
        let mut before = Listing::of(folder);
        let mut differs = |what: &str| {
            let now = Listing::of(folder);
            let found = before.differences(&now).join(", ");
            assert_eq!(found.is_empty(), before == now);
            assert_eq!(found, what);
            before = now;
        };
        differs("");
        write(folder, "a.yaml", "longer");
        differs("changed a.yaml");
        // As editors do: another file, the same size, renamed.
        write(folder, ".a.yaml.swp", "LONGER");
        differs("");
        fs::rename(folder.join(".a.yaml.swp"), folder.join("a.yaml")).unwrap();
        differs("changed a.yaml");
        write(folder, "c.yml", "");
        fs::remove_file(folder.join("b.yaml")).unwrap();
        differs("gone b.yaml, new c.yml");
        write(folder, "README.md", "");
        differs("");
        symlink("nowhere", folder.join("d.yaml")).unwrap();
        differs("new d.yaml");
        fs::remove_dir_all(folder).unwrap();
        let gone = Listing::of(folder);
        assert!(matches!(&gone, Listing::Unreadable(why) if why.contains("cannot be read")));
        assert_ne!(before, gone);
    }

    #[test]
    fn a_config_map_whose_data_link_is_swapped_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for version in ["..v1", "..v2"] {
            fs::create_dir(folder.join(version)).unwrap();
            write(&folder.join(version), "a.yaml", "text");
        }
        symlink("..v1", folder.join("..data")).unwrap();
        symlink("..data/a.yaml", folder.join("a.yaml")).unwrap();
        let before = Listing::of(folder);
        symlink("..v2", folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        assert_eq!(before.differences(&Listing::of(folder)), ["changed a.yaml"]);
    }

    fn listing(text: &str) -> Listing {
        Listing::Unreadable(text.to_owned())
    }

    #[test]
    fn a_change_is_loaded_once_when_it_has_settled_and_a_failure_again_later() {
        let mut watch = Watch::default();
        let mut tried = listing("a");
        // Nothing changes.
        for _ in 0..100 {
            assert_eq!(watch.look(listing("a"), &tried, false), None);
        }
        // It is being written: no two looks are alike.
        for text in ["b", "bc", "bcd"] {
            assert_eq!(watch.look(listing(text), &tried, false), None);
        }
        assert_eq!(
            watch.look(listing("bcd"), &tried, false),
            Some(Why::Changed)
        );
        tried = listing("bcd");
        // It failed: not again at each look, but some time.
        let mut looks = 1;
        while watch.look(listing("bcd"), &tried, true).is_none() {
            looks += 1;
            assert!(looks <= TRY_AGAIN_LOOKS);
        }
        assert_eq!(looks, TRY_AGAIN_LOOKS);
        assert_eq!(watch.look(listing("bcd"), &tried, true), None);
        // Mended: at once when settled.
        assert_eq!(watch.look(listing("e"), &tried, true), None);
        assert_eq!(watch.look(listing("e"), &tried, true), Some(Why::Changed));
        // Changed and taken back before it settled.
        tried = listing("e");
        assert_eq!(watch.look(listing("f"), &tried, false), None);
        assert_eq!(watch.look(listing("e"), &tried, false), None);
        assert_eq!(watch.look(listing("e"), &tried, false), None);
    }
}
