//! The last good versions of one list on disk, so that a restart without a
//! network knows what was known, and for Tor exits what was known yesterday.
//!
//! Invariant: the index names only versions that are whole on disk. A version
//! is written aside, synced and renamed; then the index, likewise; and only
//! then is deleted what the index no longer names. So whatever a crash leaves
//! is the state before or after.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::config::ListSource;
use super::fetch::Validators;
use crate::detect::intel::{ListName, history_limits};

/// The index beside the versions.
const INDEX: &str = "index.json";
/// Its largest size in bytes: [`history_limits::VERSIONS_MAX`] entries of some
/// 80 bytes and two validators.
const INDEX_BYTES_MAX: u64 = 64 * 1024;

/// Where the versions of one list are kept.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    directory: PathBuf,
    /// What the versions came from: another source's are not this list's. A
    /// hash, since the source may hold a key.
    source: Uuid,
    /// How many versions are kept, and for how long before the newest.
    versions_max: usize,
}

/// What is on the shelf.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Index {
    source: Uuid,
    #[serde(default)]
    pub(super) validators: Validators,
    /// Oldest first.
    pub(super) versions: Vec<Version>,
}

/// A version, or that it was confirmed: then the file is the one before's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// When it was true.
    pub(super) as_of: Timestamp,
    /// The number in its file's name: when it came, in ms after 1970.
    pub(super) file: i64,
}

impl Shelf {
    /// The shelf of a list below the state directory. Nothing is made yet.
    pub(super) fn new(state: &Path, name: ListName, source: &ListSource) -> Self {
        let identity = match source {
            ListSource::File(path) => path.as_os_str().as_encoded_bytes(),
            ListSource::Url(url) => url.as_str().as_bytes(),
        };
        Self {
            directory: state.join("intel").join(name.as_str()),
            source: Uuid::new_v5(&Uuid::NAMESPACE_URL, identity),
            versions_max: match name {
                ListName::TorExits => history_limits::VERSIONS_MAX,
                _ => 1,
            },
        }
    }

    /// What is kept of this source; `None` where nothing ever was.
    ///
    /// # Errors
    /// When the index is there and cannot be read.
    pub(super) fn index(&self) -> anyhow::Result<Option<Index>> {
        let path = self.directory.join(INDEX);
        let mut text = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened
                .and_then(|file| file.take(INDEX_BYTES_MAX).read_to_end(&mut text))
                .with_context(|| format!("{} cannot be read", path.display()))?,
        };
        let index: Index = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged", path.display()))?;
        Ok((index.source == self.source).then_some(index))
    }

    /// The bytes of a version, of at most `bytes_max`.
    ///
    /// # Errors
    /// When the file is not there, or larger.
    pub(super) fn read(&self, version: Version, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
        read_bounded(&self.path(version.file), bytes_max)
    }

    /// Keeps a version.
    ///
    /// # Errors
    /// When the disk does not take it; what was kept before still is.
    pub(super) fn put(
        &self,
        as_of: Timestamp,
        bytes: &[u8],
        validators: Validators,
    ) -> anyhow::Result<()> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("{} cannot be made", self.directory.display()))?;
        let file = as_of.as_millisecond();
        self.write(&self.path(file), bytes)?;
        let mut versions = self.kept();
        versions.retain(|version| version.as_of < as_of);
        versions.push(Version { as_of, file });
        self.keep(versions, validators)
    }

    /// Keeps that the newest version was still true at `as_of`.
    ///
    /// # Errors
    /// When the disk does not take it, or there is no version.
    pub(super) fn confirm(&self, as_of: Timestamp, validators: Validators) -> anyhow::Result<()> {
        let mut versions = self.kept();
        let newest = *versions.last().context("no version is kept")?;
        if newest.as_of < as_of {
            versions.push(Version { as_of, ..newest });
        }
        self.keep(versions, validators)
    }

    /// The versions kept; none where the index is gone or damaged, which the
    /// next one mends.
    fn kept(&self) -> Vec<Version> {
        let index = self.index().ok().flatten();
        index.map(|index| index.versions).unwrap_or_default()
    }

    /// Writes the index of these versions, within the bounds, and drops the
    /// files of others.
    fn keep(&self, mut versions: Vec<Version>, validators: Validators) -> anyhow::Result<()> {
        if let Some(newest) = versions.last() {
            let reach = SignedDuration::from_hours(history_limits::HOURS);
            let horizon = newest.as_of.saturating_sub(reach).unwrap_or(Timestamp::MIN);
            versions.retain(|version| version.as_of >= horizon);
        }
        let beyond = versions.len().saturating_sub(self.versions_max);
        versions.drain(..beyond);
        let index = Index {
            source: self.source,
            validators,
            versions,
        };
        self.write(&self.directory.join(INDEX), &serde_json::to_vec(&index)?)?;
        let named = |path: &Path| {
            path.file_name().is_some_and(|name| name == INDEX)
                || index.versions.iter().any(|v| self.path(v.file) == path)
        };
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if !named(&path) {
                fs::remove_file(&path)
                    .with_context(|| format!("{} cannot be removed", path.display()))?;
            }
        }
        Ok(())
    }

    /// Writes a file so that it is there whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let aside = path.with_extension("new");
        let written = || -> io::Result<()> {
            let mut file = File::create(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            File::open(&self.directory)?.sync_all()
        };
        written().with_context(|| format!("{} cannot be written", path.display()))
    }

    fn path(&self, file: i64) -> PathBuf {
        self.directory.join(format!("{file}.list"))
    }
}

/// Reads a file that is no larger than the bound.
///
/// # Errors
/// When it cannot be read, or is larger.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(bytes_max.saturating_add(1))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("{} cannot be read", path.display()))?;
    ensure!(
        bytes.len() as u64 <= bytes_max,
        "{} is larger than {bytes_max} bytes",
        path.display()
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_795_507_200 + hour * 3_600).unwrap()
    }

    fn source(text: &str) -> ListSource {
        text.parse().unwrap()
    }

    fn files(shelf: &Shelf) -> usize {
        fs::read_dir(&shelf.directory).unwrap().count() - 1
    }

    fn put(shelf: &Shelf, hour: i64) {
        let text = format!("{hour}");
        shelf
            .put(at(hour), text.as_bytes(), Validators::default())
            .unwrap();
    }

    #[test]
    fn a_database_is_kept_once_and_exits_for_three_days() {
        let state = tempfile::tempdir().unwrap();
        let url = source("https://lists.example/list");
        let city = Shelf::new(state.path(), ListName::GeoCity, &url);
        let exits = Shelf::new(state.path(), ListName::TorExits, &url);
        assert!(exits.index().unwrap().is_none());
        for hour in 0..100 {
            put(&city, hour);
            put(&exits, hour);
        }
        assert_eq!((files(&city), files(&exits)), (1, 73));
        let index = exits.index().unwrap().unwrap();
        for (version, hour) in index.versions.iter().zip(27..) {
            assert_eq!(version.as_of, at(hour));
            let bytes = exits.read(*version, 10).unwrap();
            assert_eq!(bytes, format!("{hour}").as_bytes());
        }
        for second in 0..1_000 {
            let as_of = at(100) + SignedDuration::from_secs(second);
            exits.put(as_of, b"list", Validators::default()).unwrap();
        }
        assert_eq!(files(&exits), history_limits::VERSIONS_MAX);
        let text = fs::metadata(exits.directory.join(INDEX)).unwrap();
        assert!(text.len() < INDEX_BYTES_MAX);
    }

    #[test]
    fn a_confirmed_version_is_another_time_of_the_same_file() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(state.path(), ListName::TorExits, &source("tor.txt"));
        let none = Validators::default;
        assert!(shelf.confirm(at(0), none()).is_err(), "there is none");
        put(&shelf, 0);
        for hour in 1..100 {
            shelf.confirm(at(hour), none()).unwrap();
        }
        let versions = shelf.index().unwrap().unwrap().versions;
        assert_eq!((versions.len(), files(&shelf)), (73, 1));
        assert_eq!(shelf.read(versions[72], 1).unwrap(), b"0");
        assert!(shelf.read(versions[72], 0).is_err(), "beyond the bound");
    }

    #[test]
    fn another_source_has_a_shelf_of_its_own_and_damage_is_named_and_mended() {
        let state = tempfile::tempdir().unwrap();
        let shelf = |url: &str| Shelf::new(state.path(), ListName::VpnAsns, &source(url));
        let (one, other) = (
            shelf("https://a.example/?key=1"),
            shelf("https://a.example/?key=2"),
        );
        put(&one, 0);
        assert!(other.index().unwrap().is_none());
        let index = one.directory.join(INDEX);
        assert!(!fs::read_to_string(&index).unwrap().contains("example"));
        fs::write(&index, "{").unwrap();
        let error = one.index().unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        put(&one, 1);
        assert_eq!(one.index().unwrap().unwrap().versions.len(), 1);
    }
}
