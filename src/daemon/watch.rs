//! When a change of the policies' folder, and of what it includes, has settled.
//!
//! They are looked at every two seconds, by `stat`. Notifications of the
//! kernel would be quicker and are not everywhere: NFS has none, Kubernetes
//! mounts a ConfigMap as links through `..data` and swaps that link, which no
//! watch on the files sees, and editors write another file and rename it.
//! Following the links and comparing device, inode, size and the times of
//! content and inode sees all of them.
//!
//! Invariant: a change is taken up once the folder looked the same twice in a
//! row, so a file that is half written is not loaded while it is written. What
//! was tried is not tried again until it changes, but for a set that failed:
//! the reason may have been the disk and not the file.

use std::time::Duration;

/// How often the folder is looked at, and so how long it must be the same.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks after which a set that failed is tried again unchanged: 30 s.
const TRY_AGAIN_LOOKS: u32 = 15;

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

/// Decides when to load, look by look; `T` is what a look finds.
#[derive(Debug, Default)]
pub(super) struct Watch<T> {
    last: Option<T>,
    looks_since: u32,
}

impl<T: PartialEq> Watch<T> {
    /// Takes a look into account; says why to load now, if so. `tried` is the
    /// folder of the last attempt and `failed` how that ended.
    pub(super) fn look(&mut self, found: T, tried: &T, failed: bool) -> Option<Why> {
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
    use super::*;

    #[test]
    fn a_change_is_loaded_once_when_it_has_settled_and_a_failure_again_later() {
        let mut watch = Watch::default();
        let mut tried = "a";
        // Nothing changes.
        for _ in 0..100 {
            assert_eq!(watch.look("a", &tried, false), None);
        }
        // It is being written: no two looks are alike.
        for text in ["b", "bc", "bcd"] {
            assert_eq!(watch.look(text, &tried, false), None);
        }
        assert_eq!(watch.look("bcd", &tried, false), Some(Why::Changed));
        tried = "bcd";
        // It failed: not again at each look, but some time.
        let mut looks = 1;
        while watch.look("bcd", &tried, true).is_none() {
            looks += 1;
            assert!(looks <= TRY_AGAIN_LOOKS);
        }
        assert_eq!(looks, TRY_AGAIN_LOOKS);
        assert_eq!(watch.look("bcd", &tried, true), None);
        // Mended: at once when settled.
        assert_eq!(watch.look("e", &tried, true), None);
        assert_eq!(watch.look("e", &tried, true), Some(Why::Changed));
        // Changed and taken back before it settled.
        tried = "e";
        assert_eq!(watch.look("f", &tried, false), None);
        assert_eq!(watch.look("e", &tried, false), None);
        assert_eq!(watch.look("e", &tried, false), None);
    }
}
