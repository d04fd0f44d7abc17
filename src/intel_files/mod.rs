//! Intelligence that stays fresh: lists from files and URLs on their way into
//! the snapshot that `detect` reads.
//!
//! ```text
//! file ─┐                                   ┌─► watch ─► pipeline
//!       ├─► fetched ─► parsed ─► checked ───┤
//! URL ──┘                                   └─► shelf (state directory)
//! ```
//!
//! Invariant: nothing serves that did not come whole, read whole and pass the
//! checks; whatever fails leaves the last good version, which grows stale by
//! the clock and then says nothing. So a publisher's mistake or absence can
//! silence a list, with a metric and a log line, and never falsify it.

mod config;
mod fetch;
mod refresh;
mod shelf;
#[cfg(test)]
mod tests;
mod upkeep;

use std::path::Path;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

pub use self::config::{IntelConfig, ListSource, RefreshConfig, Terms};
pub use self::fetch::Fetcher;
pub use self::refresh::Refresher;
use self::upkeep::Upkeep;
use crate::detect::intel::{Intel, ListName};

/// The largest file in bytes: beyond any database that is sold.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The lists as far as they can be had without a network.
#[derive(Debug)]
pub struct AtHand {
    /// The snapshot.
    pub intel: Intel,
    upkeeps: Vec<Upkeep>,
}

impl AtHand {
    /// What kept a version on disk from being read, in words.
    pub fn trouble(&self, name: ListName) -> Option<&str> {
        let upkeep = self.upkeeps.iter().find(|upkeep| upkeep.name() == name)?;
        upkeep.opening_trouble()
    }
}

impl From<Intel> for AtHand {
    /// Lists given by hand, which nothing refreshes.
    fn from(intel: Intel) -> Self {
        let upkeeps = Vec::new();
        Self { intel, upkeeps }
    }
}

/// Reads what is configured and at hand at `now`: files, and of URLs what the
/// state directory keeps. Writes nothing.
///
/// # Errors
/// A file that cannot be read or is no such list, or a range of the tenant's
/// own that does not read. That a URL's version is not at hand is no error:
/// the list is unknown until it is fetched.
pub fn at_hand(config: &IntelConfig, state: &Path, now: Timestamp) -> anyhow::Result<AtHand> {
    let mut intel = Intel {
        corporate: config.corporate()?,
        ..Intel::default()
    };
    let upkeeps = config
        .sources()
        .map(|(name, source)| {
            let terms = config.refresh.terms(name);
            Upkeep::open(name, source.clone(), terms, state, now, &mut intel)
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(AtHand { intel, upkeeps })
}

/// What tells one state of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Timestamp,
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        let modified = Timestamp::try_from(metadata.modified()?);
        Ok(Self {
            modified: modified.map_err(std::io::Error::other)?,
            bytes: metadata.len(),
        })
    }
}

/// Reads a file with the stamp it had before: one that changes meanwhile shows
/// another stamp the next time.
fn read_file(name: ListName, path: &Path) -> anyhow::Result<(Vec<u8>, Stamp)> {
    let read = || {
        let stamp =
            Stamp::of(path).with_context(|| format!("{} cannot be read", path.display()))?;
        ensure!(
            path.is_file(),
            "{} cannot be read: it is no file",
            path.display()
        );
        Ok((shelf::read_bounded(path, FILE_BYTES_MAX)?, stamp))
    };
    read().with_context(|| format!("intel.{name}"))
}
