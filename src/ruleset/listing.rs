//! What a set was read from, and whether that is still as it was.
//!
//! Invariant: a look lists the folders and asks `stat` of the files, and reads
//! none: it is taken every two seconds. What is stamped is stamped before it
//! is read, so that what changes meanwhile is seen later.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::policy_files;
use crate::policy::Problem;

/// What tells one state of a file from another; compared and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
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

/// The folders and files that a set was read from, what it includes too, as
/// they are at one moment; what ships is in none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The policy files that each folder holds, or why it cannot be listed.
    folders: BTreeMap<PathBuf, Result<Vec<PathBuf>, String>>,
    /// Each file that was read or would have been; `None` where it cannot be
    /// looked at.
    files: BTreeMap<PathBuf, Option<Stamp>>,
}

impl Listing {
    /// The same folders and files as they are now. Blocks, and reads nothing.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut now = Self::default();
        for folder in self.folders.keys() {
            now.folder(folder, &policy_files(folder));
        }
        for path in self.files.keys() {
            now.file(path);
        }
        now
    }

    pub(super) fn folder(&mut self, folder: &Path, holds: &Result<Vec<PathBuf>, Box<Problem>>) {
        let holds = holds.clone().map_err(|problem| problem.to_string());
        self.folders.insert(folder.to_owned(), holds);
    }

    pub(super) fn file(&mut self, path: &Path) {
        self.files.insert(path.to_owned(), Stamp::of(path));
    }

    /// The files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// What is not in `now`, another reading, as it is here: `changed a.yaml`,
    /// `new b.yaml`, `gone c.yaml`, by name; a folder that cannot be listed
    /// now is told instead.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let unlisted = now
            .folders
            .values()
            .filter_map(|holds| holds.as_ref().err());
        let unlisted: Vec<String> = unlisted.cloned().collect();
        if !unlisted.is_empty() {
            return unlisted;
        }
        let paths: BTreeSet<&Path> = self.paths().chain(now.paths()).collect();
        let name = |path: &Path| match path.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => path.display().to_string(),
        };
        paths
            .into_iter()
            .filter_map(|path| match (self.files.get(path), now.files.get(path)) {
                (Some(old), Some(new)) if old == new => None,
                (Some(_), Some(_)) => Some(format!("changed {}", name(path))),
                (None, _) => Some(format!("new {}", name(path))),
                (Some(_), None) => Some(format!("gone {}", name(path))),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::ruleset::load_listed;

    fn write(directory: &Path, name: &str, text: &str) {
        fs::write(directory.join(name), text).unwrap();
    }

    fn listed(folder: &Path) -> Listing {
        load_listed(folder).0
    }

    #[test]
    fn every_way_to_change_a_folder_is_seen_and_what_is_no_policy_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "a.yaml", "one");
        write(folder, "b.yaml", "one");
        let mut before = listed(folder);
        let mut differs = |what: &str| {
            let now = listed(folder);
            let found = before.differences(&now).join(", ");
            assert_eq!(found.is_empty(), before.again() == before);
            assert_eq!(now.again(), now);
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
        let gone = listed(folder);
        let told = before.differences(&gone).join(", ");
        assert!(told.contains("cannot be read"), "{told}");
        assert_ne!(before.again(), before);
        assert_eq!(gone.again(), gone);
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
        let before = listed(folder);
        symlink("..v2", folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        assert_ne!(before.again(), before);
        assert_eq!(before.differences(&listed(folder)), ["changed a.yaml"]);
    }

    #[test]
    fn what_is_included_is_looked_at_too_and_under_each_of_its_names() {
        let root = tempfile::tempdir().unwrap();
        let (set, common) = (root.path().join("set"), root.path().join("common"));
        for folder in [&set, &common] {
            fs::create_dir(folder).unwrap();
        }
        let include = "include: [../common, ../common/lists.yaml, ../one.yaml, later.yaml]\n";
        write(&set, "set.yaml", include);
        write(&common, "lists.yaml", "lists: {}\n");
        write(root.path(), "one.yaml", "lists: {}\n");
        // The same file by another name, as a link.
        symlink("../one.yaml", common.join("link.yaml")).unwrap();
        let mut before = listed(&set);
        let mut differs = |what: &str| {
            assert_eq!(before.again() == before, what.is_empty(), "{what}");
            let now = listed(&set);
            assert_eq!(before.differences(&now).join(", "), what);
            before = now;
        };
        differs("");
        write(&common, "more.yaml", "lists: {}\n");
        differs("new more.yaml");
        write(&common, "README.md", "");
        differs("");
        write(&set, "later.yaml", "lists: {}\n");
        differs("changed later.yaml");
        write(root.path(), "two.yaml", "lists: {}\n");
        fs::remove_file(common.join("link.yaml")).unwrap();
        differs("gone link.yaml");
        symlink("../one.yaml", common.join("link.yaml")).unwrap();
        differs("new link.yaml");
        fs::remove_file(common.join("link.yaml")).unwrap();
        symlink("../two.yaml", common.join("link.yaml")).unwrap();
        differs("changed link.yaml");
    }
}
