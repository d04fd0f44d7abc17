//! What survives: memory, decisions, the outbox, what became of evictions,
//! quarantine and the stream's positions.
//!
//! Invariant: [`Store::commit`] writes them in one transaction, positions
//! included, so a crash loses nothing and repeats nothing. The outbox is the
//! queue: an action that is not in it is not done.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod cases;
mod commit;
mod containment;
mod error;
mod findings;
mod judgement;
mod memory;
mod outbox;
mod quarantine;
mod schema;
mod settings;
mod sqlite;
mod surroundings;
#[cfg(test)]
mod tests;

pub use self::error::{JudgeError, StoreError};
pub use self::findings::{Judged, Tally, TrackRecord};

use self::sqlite::Database;
use crate::ingest::{Source, Undecodable};
use crate::model::{
    ActionId, ActionKind, ActionState, CaseId, CaseView, Decision, Entry, Finding, Proof, Signal,
    Surroundings, Thing, Truth, UserId, UserMemory, UserRef,
};

/// How far a partition has been read and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The event hub.
    pub hub: Arc<str>,
    /// The partition id.
    pub partition: Arc<str>,
    /// The last sequence number committed.
    pub sequence: i64,
    /// The fencing epoch of whoever wrote it; 0 on a single node.
    pub epoch: i64,
}

/// A user's memory as it was loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    /// The memory; empty for a user not seen before.
    pub memory: UserMemory,
    /// The row's version; 0 for a user not seen before. A commit that expects
    /// another version than the row has is refused whole.
    pub version: u64,
}

/// A user and what is remembered of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownUser {
    /// The object id.
    pub user: UserId,
    /// What is remembered.
    pub memory: UserMemory,
}

/// A decision with the times its response is measured from.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The decision, after the guard.
    pub decision: Decision,
    /// When Event Hubs took the message in.
    pub enqueued_at: Timestamp,
    /// When we had its bytes.
    pub received_at: Timestamp,
}

/// A record for quarantine.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// The message it came in.
    pub source: Source,
    /// When Event Hubs took the message in.
    pub enqueued_at: Timestamp,
    /// The bytes, the index and the reason.
    pub record: Undecodable,
}

/// What a case still asks is asked no longer: nothing calls for it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The case.
    pub case: CaseId,
    /// Why, for a human, e.g. `dismissed in Entra`.
    pub reason: Box<str>,
}

/// Everything that one batch of messages changed, applied in the order of the
/// fields.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// New positions, one per partition touched.
    pub positions: Vec<Position>,
    /// Changed memories with the version each was loaded at.
    pub memories: Vec<(UserId, Remembered)>,
    /// Changed rows of what is known of the tenant and of addresses; `None` is
    /// forgotten.
    pub surroundings: Vec<(Thing, Option<Entry>)>,
    /// New decisions.
    pub decisions: Vec<Decided>,
    /// Signals to file under a case that is already open.
    pub signals: Vec<(CaseId, Signal)>,
    /// What sign-ins after a revoke showed.
    pub proofs: Vec<Proof>,
    /// Cases whose questions are taken back. What is queued, on its way or
    /// done stays.
    pub withdrawn: Vec<Withdrawn>,
    /// What administrators said of cases in Entra, the later word last.
    pub findings: Vec<(CaseId, Truth)>,
    /// Records to keep.
    pub quarantine: Vec<Quarantined>,
    /// Quarantined rows that were decoded after all and go.
    pub released: Vec<i64>,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Actions that became `queued`: the responder has work.
    pub queued: u32,
    /// Quarantined records dropped to keep the bound.
    pub quarantine_dropped: u64,
    /// Signals left out because their case holds as many as it may, or is not
    /// there.
    pub signals_dropped: u32,
    /// Cases whose eviction was proven, as far as that is news: a record that
    /// says the same again counts only after another revoke.
    pub proven: u32,
    /// Cases whose eviction was evaded, counted in the same way.
    pub evaded: u32,
    /// Questions withdrawn for [`Commit::withdrawn`].
    pub withdrawn: u32,
}

/// An action the responder has claimed: it is `sending` until settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The action.
    pub id: ActionId,
    /// Its case.
    pub case: CaseId,
    /// What to do.
    pub kind: ActionKind,
    /// To whom.
    pub user: UserRef,
    /// With which score it was ordered.
    pub score: u8,
    /// Whether a human approved it.
    pub approved: bool,
    /// How often it was sent before this claim.
    pub attempts: u32,
    /// When the event happened.
    pub event_at: Timestamp,
    /// When Event Hubs took the message in.
    pub enqueued_at: Timestamp,
    /// When it became `queued` (commit or approval).
    pub queued_at: Timestamp,
}

/// What became of a claimed action.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The action.
    pub id: ActionId,
    /// Its new state: `Queued` (try again at `not_before`), `Acknowledged`,
    /// `Refused` or `Failed`.
    pub state: ActionState,
    /// For `Queued`: not before then.
    pub not_before: Option<Timestamp>,
    /// For a human, e.g. `200`, `429 TooManyRequests`, `timed out after 30 s`.
    pub outcome: String,
    /// Whether the request went out (counts as an attempt).
    pub sent: bool,
}

/// A human's word on a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Do what was asked.
    Approve,
    /// Do not.
    Deny,
}

impl Judgement {
    /// The name used in JSON and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

impl FromStr for Judgement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Approve, Self::Deny]
            .into_iter()
            .find(|judgement| judgement.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a judgement"))
    }
}

/// A pause of all effects, kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who paused.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// What the outbox holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Actions by state.
    pub by_state: Vec<(ActionState, u64)>,
    /// Records in quarantine.
    pub quarantined: u64,
    /// When the next queued action may be tried.
    pub next_due: Option<Timestamp>,
}

/// A row of the quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// Its id.
    pub id: i64,
    /// The event hub.
    pub hub: String,
    /// The partition.
    pub partition: String,
    /// The message's sequence number.
    pub sequence: i64,
    /// When Event Hubs took the message in.
    pub enqueued_at: Timestamp,
    /// When it was put here.
    pub quarantined_at: Timestamp,
    /// The bytes, the index and the reason.
    pub record: Undecodable,
}

/// The store. Cheap to clone; every clone is the same store.
///
/// Each verb hands its work to one of two threads and waits for the answer.
/// A caller that stops waiting does not undo it. Dropping the last clone
/// finishes what was handed over, which blocks for the length of a commit or
/// two, and then frees the state directory.
#[derive(Debug, Clone)]
pub struct Store {
    database: Arc<Database>,
}

impl Store {
    /// Opens the store in a state directory, creating both if need be and
    /// bringing an older schema up to date.
    ///
    /// # Errors
    /// `InUse` when another process holds the directory; `Migration` when the
    /// schema is newer than this evictd; `Corrupt` when the file is no
    /// database; otherwise what the file system said.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let directory = directory.to_owned();
        let database = tokio::task::spawn_blocking(move || Database::open(&directory))
            .await
            .map_err(|_| StoreError::Stopped)??;
        Ok(Self {
            database: Arc::new(database),
        })
    }

    /// How far each partition was committed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn positions(&self) -> Result<Vec<Position>, StoreError> {
        self.database.read(|db| commit::positions(db)).await
    }

    /// What is known of the tenant and of addresses.
    ///
    /// # Errors
    /// `Corrupt` when a row does not decode; otherwise when the store cannot
    /// be read.
    pub async fn surroundings(&self) -> Result<Surroundings, StoreError> {
        let rows = self.database.read(|db| surroundings::load(db)).await?;
        Ok(Surroundings::load(rows))
    }

    /// What is remembered of these users, in the order asked for.
    ///
    /// # Errors
    /// `Corrupt` when a memory does not decode; otherwise when the store
    /// cannot be read.
    pub async fn memories(&self, users: Vec<UserId>) -> Result<Vec<Remembered>, StoreError> {
        // On the writer's connection: a list must not delay the pipeline.
        self.database
            .write(move |db| memory::load(db, &users))
            .await
    }

    /// When Graph last acknowledged `revoke_sessions` of each case (the
    /// daemon's clock), in the order asked for; `None` where it has not, or
    /// there is no such case. One look into an index a case.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn revoked_at(
        &self,
        cases: Vec<CaseId>,
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        // On the writer's connection: a list must not delay the pipeline.
        self.database
            .write(move |db| containment::revoked_at(db, &cases))
            .await
    }

    /// Writes all that a batch changed, in one transaction. Committing it
    /// again with the versions that are stored then changes nothing but them.
    /// `now` is when it is committed: what is queued is queued then, and
    /// questions stand from then.
    ///
    /// # Errors
    /// Nothing is written then. `Conflict`: a memory changed since it was
    /// loaded. `Fenced`: the partition belongs to another instance. `Full`:
    /// the disk is.
    pub async fn commit(&self, commit: Commit, now: Timestamp) -> Result<Committed, StoreError> {
        self.database
            .write(move |db| commit::commit(db, &commit, now))
            .await
    }

    /// Claims up to `limit` due actions of these kinds, at most 1,000: highest
    /// score first, then oldest. They are `sending` until settled.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is claimed then.
    pub async fn claim(
        &self,
        kinds: &'static [ActionKind],
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.database
            .write(move |db| outbox::claim(db, kinds, limit, now))
            .await
    }

    /// Writes what became of claimed actions, all or none.
    ///
    /// # Errors
    /// `Illegal`, `NoSettlement` or `NoSuchAction` when a settlement makes no
    /// sense; otherwise when the store cannot be written.
    pub async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.database
            .write(move |db| outbox::settle(db, &settlements, now))
            .await
    }

    /// At start: what was `sending` when the process died is queued again.
    /// Returns how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn release_claims(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.database
            .write(move |db| outbox::release_claims(db, now))
            .await
    }

    /// What is remembered of a user, by object id or by principal name in any
    /// case; `None` where nothing is.
    ///
    /// # Errors
    /// `Corrupt` when the memory does not decode; otherwise when the store
    /// cannot be read.
    pub async fn memory_of(&self, user: String) -> Result<Option<KnownUser>, StoreError> {
        let found = self
            .database
            .read(move |db| memory::find(db, &user))
            .await?;
        Ok(found.map(|(user, memory)| KnownUser { user, memory }))
    }

    /// The last-opened cases, newest first, at most 10,000, without decisions
    /// and signals.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn cases(&self, limit: usize) -> Result<Vec<CaseView>, StoreError> {
        self.database
            .read(move |db| {
                let snapshot = db.transaction()?;
                cases::list(&snapshot, limit)
            })
            .await
    }

    /// One case whole, by id or a prefix of at least four hex digits, dashes
    /// where one likes.
    ///
    /// # Errors
    /// `NoSuchCase`, `Ambiguous`, or `Store` when the store cannot be read.
    pub async fn case(&self, prefix: &str) -> Result<CaseView, JudgeError> {
        let prefix = prefix.to_owned();
        self.database
            .read(move |db| {
                let snapshot = db.transaction()?;
                let case = cases::find(&snapshot, &prefix)?;
                Ok(cases::view(&snapshot, &case)?)
            })
            .await
    }

    /// Takes a human's word on every action of the case that waits for one. A
    /// no is final at once; a yes queues what as many different people as
    /// needed have said yes to.
    ///
    /// # Errors
    /// See [`JudgeError`]; nothing was taken down then.
    pub async fn judge(
        &self,
        prefix: &str,
        judgement: Judgement,
        by: &str,
        now: Timestamp,
    ) -> Result<CaseView, JudgeError> {
        let (prefix, by) = (prefix.to_owned(), by.to_owned());
        self.database
            .write(move |db| judgement::judge(db, &prefix, judgement, &by, now))
            .await
    }

    /// Takes down what a human found a case to be, whatever its status. One
    /// word a person: a later one replaces it. No action moves by it.
    ///
    /// # Errors
    /// `NoSuchCase`, `Ambiguous`, or `Store` when the store cannot be written.
    pub async fn find(&self, prefix: &str, finding: Finding) -> Result<CaseView, JudgeError> {
        let prefix = prefix.to_owned();
        self.database
            .write(move |db| findings::judge(db, &prefix, &finding))
            .await
    }

    /// What policies called for since then, and what became known of it; of
    /// the newest 100,000 pairs of policy and case.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn track_record(&self, since: Timestamp) -> Result<TrackRecord, StoreError> {
        self.database
            .read(move |db| findings::track_record(db, since))
            .await
    }

    /// Denies what nobody answered in time; returns how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.database
            .write(move |db| judgement::expire(db, now))
            .await
    }

    /// The pause, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn paused(&self) -> Result<Option<Pause>, StoreError> {
        self.database.read(|db| settings::paused(db)).await
    }

    /// Pauses or resumes.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn set_pause(&self, pause: Option<Pause>) -> Result<(), StoreError> {
        self.database
            .write(move |db| settings::set_pause(db, pause.as_ref()))
            .await
    }

    /// The guard's budget: for each user acted on without a human since then
    /// (that moment included), when last; ascending.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn acted_since(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        self.database
            .read(move |db| outbox::acted_since(db, since))
            .await
    }

    /// What the outbox and the quarantine hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn stats(&self) -> Result<OutboxStats, StoreError> {
        self.database
            .read(|db| {
                let snapshot = db.transaction()?;
                outbox::stats(&snapshot)
            })
            .await
    }

    /// Up to `limit` quarantined records with ids beyond `after`, at most
    /// 1,000, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn quarantine(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        self.database
            .read(move |db| quarantine::read(db, after, limit))
            .await
    }
}
