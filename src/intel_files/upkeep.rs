//! One list: what is at hand at start, and each attempt at a newer version.
//!
//! Invariant: an attempt ends in one [`Outcome`], and only `changed` and
//! `unkept` have changed what serves. The validators are those of the version
//! that serves, and only where the shelf holds it too: so "unchanged" always
//! speaks of what we have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::config::{ListSource, Terms};
use super::fetch::{Fetched, Fetcher, Validators};
use super::shelf::{Index, Shelf};
use super::{FILE_BYTES_MAX, Stamp, read_file};
use crate::detect::intel::{Intel, ListContent, ListName, ListStatus};

/// How long after a first failure the next attempt is due; it doubles with
/// each, up to the list's own `every`.
const RETRY_MIN: SignedDuration = SignedDuration::from_mins(1);

/// What became of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Another version serves.
    Changed,
    /// The version that serves is still the one.
    Unchanged,
    /// It could not be had.
    Failed,
    /// It was had, and is no list to rely on.
    Refused,
    /// It serves, and could not be written to the state directory.
    Unkept,
}

impl Outcome {
    pub(super) const ALL: [Self; 5] = [
        Self::Changed,
        Self::Unchanged,
        Self::Failed,
        Self::Refused,
        Self::Unkept,
    ];

    /// Its name as a label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unkept => "unkept",
        }
    }
}

/// An attempt that did not end well.
struct Trouble {
    outcome: Outcome,
    error: anyhow::Error,
}

/// An error as the reason why an attempt ended so.
fn ended(outcome: Outcome) -> impl FnOnce(anyhow::Error) -> Trouble {
    move |error| Trouble { outcome, error }
}

/// One list and what is known of its source.
#[derive(Debug)]
pub(super) struct Upkeep {
    name: ListName,
    source: ListSource,
    terms: Terms,
    shelf: Shelf,
    /// Of the version that serves; none where it is not on the shelf.
    validators: Validators,
    /// Of the file when the version that serves was read from it.
    stamp: Option<Stamp>,
    /// A version that serves and is not on the shelf yet.
    unshelved: Option<(Timestamp, Vec<u8>)>,
    opening_trouble: Option<String>,
    due: Timestamp,
    /// Attempts that ended badly since one ended well.
    failures: u32,
    /// How the last attempt ended, if badly: told once.
    trouble: Option<Outcome>,
    /// Whether it was told that the list is stale.
    told_stale: bool,
}

/// A version, and what to know it by the next time.
struct Got {
    bytes: Vec<u8>,
    as_of: Timestamp,
    validators: Validators,
    stamp: Option<Stamp>,
}

impl Upkeep {
    /// Takes what is at hand into the snapshot.
    ///
    /// # Errors
    /// When the source is a file that cannot be read or is no such list.
    pub(super) fn open(
        name: ListName,
        source: ListSource,
        terms: Terms,
        state: &Path,
        now: Timestamp,
        intel: &mut Intel,
    ) -> anyhow::Result<Self> {
        let mut upkeep = Self {
            shelf: Shelf::new(state, name, &source),
            name,
            source,
            terms,
            validators: Validators::default(),
            stamp: None,
            unshelved: None,
            opening_trouble: None,
            due: now,
            failures: 0,
            trouble: None,
            told_stale: false,
        };
        if upkeep.is_shelved() {
            match upkeep.shelf.index() {
                Ok(Some(index)) => upkeep.take_shelf(&index, now, intel),
                Ok(None) => {}
                Err(error) => upkeep.opening_trouble = Some(format!("{error:#}")),
            }
        }
        match upkeep.source.clone() {
            ListSource::File(path) => upkeep.take_file(&path, now, intel)?,
            ListSource::Url(_) => {
                if let Some(list) = intel.status(name) {
                    upkeep.due = after(list.as_of, terms.every);
                }
            }
        }
        Ok(upkeep)
    }

    /// Whether versions are kept on disk: those that a restart could not have
    /// again, from the network or, for exits, from yesterday.
    fn is_shelved(&self) -> bool {
        matches!(self.source, ListSource::Url(_)) || self.name == ListName::TorExits
    }

    fn take_shelf(&mut self, index: &Index, now: Timestamp, intel: &mut Intel) {
        let mut newest_taken = false;
        let mut last_file = None;
        for version in &index.versions {
            // A clock that was set back: a time that has not come proves nothing.
            if version.as_of > now {
                newest_taken = false;
                continue;
            }
            newest_taken = if last_file == Some(version.file) {
                intel.confirm(self.name, version.as_of)
            } else {
                let content = self
                    .shelf
                    .read(*version, FILE_BYTES_MAX)
                    .and_then(|bytes| Ok(ListContent::parse(self.name, &bytes)?));
                last_file = content.is_ok().then_some(version.file);
                match content {
                    Ok(content) => intel.take(content, version.as_of, self.terms.stale_after),
                    Err(error) => {
                        self.opening_trouble = Some(format!("{error:#}"));
                        false
                    }
                }
            };
        }
        if newest_taken {
            self.validators = index.validators.clone();
        }
    }

    fn take_file(&mut self, path: &Path, now: Timestamp, intel: &mut Intel) -> anyhow::Result<()> {
        let (bytes, stamp) = read_file(self.name, path)?;
        let content = ListContent::parse(self.name, &bytes)
            .with_context(|| format!("intel.{}: {}", self.name, path.display()))?;
        let as_of = stamp.modified.min(now);
        let is_new = intel.take(content, as_of, self.terms.stale_after);
        self.stamp = Some(stamp);
        if is_new && self.is_shelved() {
            self.unshelved = Some((as_of, bytes));
        } else {
            self.due = after(now, self.terms.every);
        }
        Ok(())
    }

    pub(super) fn name(&self) -> ListName {
        self.name
    }

    /// What was wrong with the versions on disk, in words.
    pub(super) fn opening_trouble(&self) -> Option<&str> {
        self.opening_trouble.as_deref()
    }

    /// Whether an attempt is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due <= now
    }

    /// Makes an attempt due at once.
    pub(super) fn hasten(&mut self) {
        self.due = Timestamp::MIN;
    }

    /// Tries for a newer version at `now`, which is what "true as of" means
    /// for a URL that answers.
    pub(super) async fn refresh(
        &mut self,
        fetcher: &Fetcher,
        serving: &watch::Sender<Arc<Intel>>,
        now: Timestamp,
    ) -> Outcome {
        let served = serving.borrow().status(self.name);
        let end = match self.shelve_first().await {
            Ok(()) => self.attempt(fetcher, serving, served, now).await,
            Err(trouble) => Err(trouble),
        };
        match end {
            Ok(outcome) => {
                self.settle(now);
                outcome
            }
            Err(trouble) => {
                let outcome = trouble.outcome;
                self.suffer(trouble, served.is_some(), now);
                outcome
            }
        }
    }

    async fn attempt(
        &mut self,
        fetcher: &Fetcher,
        serving: &watch::Sender<Arc<Intel>>,
        served: Option<ListStatus>,
        now: Timestamp,
    ) -> Result<Outcome, Trouble> {
        let got = match self.source.clone() {
            ListSource::Url(url) => self.fetch(fetcher, &url, served.is_some(), now).await,
            ListSource::File(path) => self.reread(path, now).await,
        };
        let Some(got) = got.map_err(ended(Outcome::Failed))? else {
            if matches!(self.source, ListSource::Url(_)) {
                serving.send_modify(|intel| {
                    Arc::make_mut(intel).confirm(self.name, now);
                });
                self.shelve(now, None).await?;
            }
            return Ok(Outcome::Unchanged);
        };
        let (name, as_of) = (self.name, got.as_of);
        let (content, bytes) = blocking(move || {
            let content = ListContent::parse(name, &got.bytes)?;
            Ok((content, got.bytes))
        })
        .await
        .map_err(ended(Outcome::Refused))?;
        self.check(&content, served)?;
        let mut taken = false;
        serving.send_if_modified(|intel| {
            taken = Arc::make_mut(intel).take(content, as_of, self.terms.stale_after);
            taken
        });
        if !taken {
            let error = anyhow!("it is no newer than the version that serves");
            return Err(ended(Outcome::Refused)(error));
        }
        self.stamp = got.stamp;
        self.validators = got.validators;
        if self.is_shelved() {
            self.shelve(as_of, Some(bytes)).await?;
        }
        Ok(Outcome::Changed)
    }

    /// `None` when the version known is still the one.
    async fn fetch(
        &self,
        fetcher: &Fetcher,
        url: &reqwest::Url,
        is_served: bool,
        now: Timestamp,
    ) -> anyhow::Result<Option<Got>> {
        let known = is_served.then_some(&self.validators);
        Ok(match fetcher.fetch(url, known).await? {
            Fetched::Unchanged => None,
            Fetched::Body(bytes, validators) => Some(Got {
                bytes,
                as_of: now,
                validators,
                stamp: None,
            }),
        })
    }

    /// `None` when the file is as it was.
    async fn reread(&self, path: PathBuf, now: Timestamp) -> anyhow::Result<Option<Got>> {
        let (name, known) = (self.name, self.stamp);
        blocking(move || {
            if known.is_some() && Stamp::of(&path).ok() == known {
                return Ok(None);
            }
            let (bytes, stamp) = read_file(name, &path)?;
            Ok(Some(Got {
                bytes,
                as_of: stamp.modified.min(now),
                validators: Validators::default(),
                stamp: Some(stamp),
            }))
        })
        .await
    }

    fn check(&self, content: &ListContent, served: Option<ListStatus>) -> Result<(), Trouble> {
        let had = served.map_or(0, |list| list.entries);
        let has = content.entries();
        if self.terms.shrink_allowed || has >= had.div_ceil(2) {
            return Ok(());
        }
        Err(ended(Outcome::Refused)(anyhow!(
            "it holds {has} entries where the version that serves holds {had}; \
             intel.refresh.{}.shrink_allowed takes it",
            self.name
        )))
    }

    /// Keeps the version that was read at start.
    async fn shelve_first(&mut self) -> Result<(), Trouble> {
        match self.unshelved.take() {
            Some((as_of, bytes)) => self.shelve(as_of, Some(bytes)).await,
            None => Ok(()),
        }
    }

    /// Keeps a version on disk, or that the one there is still true.
    async fn shelve(&mut self, as_of: Timestamp, bytes: Option<Vec<u8>>) -> Result<(), Trouble> {
        let (shelf, validators) = (self.shelf.clone(), self.validators.clone());
        let kept = blocking(move || match bytes {
            Some(bytes) => shelf.put(as_of, &bytes, validators),
            None => shelf.confirm(as_of, validators),
        })
        .await;
        kept.map_err(|error| {
            // So that the next attempt has it whole again.
            self.validators = Validators::default();
            ended(Outcome::Unkept)(error)
        })
    }

    fn settle(&mut self, now: Timestamp) {
        self.failures = 0;
        self.due = after(now, self.terms.every);
        if self.trouble.take().is_some() {
            let (list, source) = (self.name.as_str(), &self.source);
            tracing::info!(list, %source, "the list is refreshed again");
        }
    }

    fn suffer(&mut self, trouble: Trouble, is_served: bool, now: Timestamp) {
        let doubled = RETRY_MIN.checked_mul(1 << self.failures.min(16));
        let pause = doubled.map_or(self.terms.every, |pause| pause.min(self.terms.every));
        self.due = after(now, pause);
        self.failures = self.failures.saturating_add(1);
        if self.trouble.replace(trouble.outcome) == Some(trouble.outcome) {
            return;
        }
        let (list, source) = (self.name.as_str(), &self.source);
        let error = format!("{:#}", trouble.error);
        let meanwhile = match (trouble.outcome, is_served) {
            (Outcome::Unkept, _) => "it serves, and a restart will not have it",
            (_, true) => "the last good version serves until it is stale",
            (_, false) => "it is unknown and its signals stay silent",
        };
        tracing::warn!(list, %source, error, "the list was not refreshed; {meanwhile}");
    }

    /// Whether the list says nothing of `now`; tells of each change once.
    pub(super) fn watch_staleness(&mut self, status: Option<ListStatus>, now: Timestamp) -> bool {
        let stale = status.is_none_or(|list| list.is_stale(now));
        if stale != self.told_stale {
            self.told_stale = stale;
            let (list, source) = (self.name.as_str(), &self.source);
            match status {
                None => tracing::warn!(
                    list, %source,
                    "no version of the list is at hand yet: it is unknown and its signals stay silent"
                ),
                Some(status) if stale => tracing::warn!(
                    list, %source, as_of = %status.as_of,
                    "the list is stale: it is unknown and its signals stay silent"
                ),
                Some(_) => tracing::info!(list, %source, "the list is fresh"),
            }
        }
        stale
    }
}

/// Runs what may take seconds of disk or processor where it holds nothing up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("the work was cut off")?
}

fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}
