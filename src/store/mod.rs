//! What survives: memory, decisions, the outbox, quarantine and the stream's
//! positions.
//!
//! Invariant: [`Store::commit`] writes them in one transaction, positions
//! included, so a crash loses nothing and repeats nothing. The outbox is the
//! queue: an action that is not in it is not done.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ingest::{Source, Undecodable};
use crate::model::{
    ActionId, ActionKind, ActionState, CaseId, CaseView, Decision, Signal, UserId, UserMemory,
    UserRef,
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

/// Everything that one batch of messages changed.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// New positions, one per partition touched.
    pub positions: Vec<Position>,
    /// Changed memories with the version each was loaded at.
    pub memories: Vec<(UserId, Remembered)>,
    /// New decisions.
    pub decisions: Vec<Decided>,
    /// Signals to file under a case that is already open.
    pub signals: Vec<(CaseId, Signal)>,
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

/// Why a judgement was not taken.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// No such case.
    #[error("no case {0}")]
    NoSuchCase(String),
    /// The prefix names several.
    #[error("{prefix} names {count} cases; give more digits")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many cases begin with it.
        count: usize,
    },
    /// Nothing of it waits for a human.
    #[error("case {case} has nothing to approve or deny: it is {status}")]
    NothingToJudge {
        /// The case.
        case: String,
        /// Its status.
        status: &'static str,
    },
    /// This person has approved already and another is needed.
    #[error("{by} has already approved case {case}; it needs {needed} different people")]
    SamePerson {
        /// The case.
        case: String,
        /// Who.
        by: String,
        /// How many are needed.
        needed: u8,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the state directory.
    #[error("{path} is in use by another evictd; two daemons must not share a state directory")]
    InUse {
        /// The lock file.
        path: String,
    },
    /// A memory row was changed by somebody else since it was loaded.
    #[error("the memory of a user changed under us: expected version {expected}, found {found}")]
    Conflict {
        /// The version loaded.
        expected: u64,
        /// The version in the row.
        found: u64,
    },
    /// What is stored does not decode.
    #[error("{what} in the store does not decode: {reason}")]
    Corrupt {
        /// The row.
        what: String,
        /// Why.
        reason: String,
    },
    /// SQLite said so.
    #[error("store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The schema could not be brought up to date.
    #[error("store schema: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    /// The file system said so.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The store's thread is gone.
    #[error("the store has stopped")]
    Stopped,
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
#[derive(Debug, Clone)]
pub struct Store {}

#[allow(
    clippy::todo,
    unused_variables,
    missing_docs,
    reason = "a sketch of the verbs"
)]
impl Store {
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        todo!()
    }
    pub async fn positions(&self) -> Result<Vec<Position>, StoreError> {
        todo!()
    }
    /// In the order asked for.
    pub async fn memories(&self, users: Vec<UserId>) -> Result<Vec<Remembered>, StoreError> {
        todo!()
    }
    pub async fn commit(&self, commit: Commit, now: Timestamp) -> Result<Committed, StoreError> {
        todo!()
    }
    /// Claims up to `limit` due actions of these kinds: highest score first, then oldest.
    pub async fn claim(
        &self,
        kinds: &'static [ActionKind],
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        todo!()
    }
    pub async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// At start: what was `sending` when the process died is queued again.
    pub async fn release_claims(&self, now: Timestamp) -> Result<u64, StoreError> {
        todo!()
    }
    /// Newest first, without decisions and signals.
    pub async fn cases(&self, limit: usize) -> Result<Vec<CaseView>, StoreError> {
        todo!()
    }
    /// One case whole, by id or a prefix of at least four hex digits.
    pub async fn case(&self, prefix: &str) -> Result<CaseView, JudgeError> {
        todo!()
    }
    pub async fn judge(
        &self,
        prefix: &str,
        judgement: Judgement,
        by: &str,
        now: Timestamp,
    ) -> Result<CaseView, JudgeError> {
        todo!()
    }
    /// Denies what nobody answered in time; returns how many.
    pub async fn expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        todo!()
    }
    pub async fn paused(&self) -> Result<Option<Pause>, StoreError> {
        todo!()
    }
    pub async fn set_pause(&self, pause: Option<Pause>) -> Result<(), StoreError> {
        todo!()
    }
    /// How many unattended actions' users were ordered since then: the guard's budget.
    pub async fn acted_since(&self, since: Timestamp) -> Result<Vec<Timestamp>, StoreError> {
        todo!()
    }
    pub async fn stats(&self) -> Result<OutboxStats, StoreError> {
        todo!()
    }
    pub async fn quarantine(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        todo!()
    }
}
