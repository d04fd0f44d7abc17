//! Why the store could not do it: each variant is one that a caller tells apart
//! from the others.

use crate::model::{ActionId, ActionState};
use crate::respond::lifecycle::IllegalTransition;

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

impl From<rusqlite::Error> for JudgeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
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
    /// Another instance has taken the partition over since: this one must not
    /// commit for it.
    #[error("partition {partition} of {hub} belongs to epoch {found} now; ours is {epoch}")]
    Fenced {
        /// The event hub.
        hub: String,
        /// The partition.
        partition: String,
        /// The epoch of the commit that was refused.
        epoch: i64,
        /// The epoch in the row.
        found: i64,
    },
    /// An action cannot take the step that was asked of it.
    #[error("action {action}: {step}")]
    Illegal {
        /// The action.
        action: ActionId,
        /// Where it is and what was asked of it.
        step: IllegalTransition,
    },
    /// An action was settled as something that settles nothing.
    #[error("action {action} cannot be settled as {state}")]
    NoSettlement {
        /// The action.
        action: ActionId,
        /// What it was to be settled as.
        state: ActionState,
    },
    /// No such action.
    #[error("no action {action}")]
    NoSuchAction {
        /// What was given.
        action: ActionId,
    },
    /// The disk is full. Nothing of the transaction was written.
    #[error("the store's disk is full")]
    Full,
    /// The database cannot be written.
    #[error("the store's files are read-only")]
    ReadOnly,
    /// SQLite said so.
    #[error("store: {0}")]
    Sqlite(rusqlite::Error),
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

impl StoreError {
    /// Whether the same may succeed later without anybody else's doing more
    /// than freeing or mending the disk: worth trying again.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Full | Self::ReadOnly | Self::Sqlite(_) | Self::Io { .. }
        )
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error as E, ErrorCode as C};
        match error.sqlite_error_code() {
            Some(C::DiskFull) => return Self::Full,
            Some(C::ReadOnly) => return Self::ReadOnly,
            Some(C::DatabaseCorrupt | C::NotADatabase) => {
                return Self::Corrupt {
                    what: "the database file".to_owned(),
                    reason: error.to_string(),
                };
            }
            _ => {}
        }
        match error {
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..) => Self::Corrupt {
                what: "a row".to_owned(),
                reason: error.to_string(),
            },
            error => Self::Sqlite(error),
        }
    }
}
