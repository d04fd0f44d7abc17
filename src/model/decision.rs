//! Decisions: what the policies say of one event, with the whole trace.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ActionKind, CaseId, DecisionId, Effect, Family, Order, PolicyName, RecordId, ReservationGround,
    Signal, SignalName, UserRef,
};

/// What a policy may do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide, record, do nothing.
    Shadow,
    /// Always ask.
    Approve,
    /// Act where a rung says `do`, ask where it says `ask`.
    Enforce,
}

impl Mode {
    /// The name used in YAML and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Approve => "approve",
            Self::Enforce => "enforce",
        }
    }
}

/// What a rung calls for, before the mode of its policy and the guard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Intent {
    /// Do it.
    Do,
    /// Ask first.
    Ask {
        /// How many different people must say yes.
        approvers: u8,
        /// How long the question stands, in seconds.
        expires_seconds: u32,
    },
}

/// The strongest signal of one family and what it weighs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FamilyScore {
    /// The family.
    pub family: Family,
    /// Its strongest signal.
    pub signal: SignalName,
    /// That signal's weight in the policy, 0–100.
    pub weight: u8,
}

/// The rung that was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RungVerdict {
    /// Its place in the policy, from 0, highest `at` first.
    pub index: u8,
    /// The score it asks for.
    pub at: u8,
    /// The number of families it asks for.
    pub families: u8,
    /// Do or ask.
    pub intent: Intent,
    /// What.
    pub actions: Vec<ActionKind>,
}

/// What one policy says of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyVerdict {
    /// The policy.
    pub policy: PolicyName,
    /// Its mode.
    pub mode: Mode,
    /// The start of the window that was scored; a signal at this very time is
    /// outside.
    pub window_start: Timestamp,
    /// The end of the window that was scored: the time of a signal.
    pub window_end: Timestamp,
    /// 0–100.
    pub score: u8,
    /// The arithmetic: noisy-OR over these gives the score.
    pub families: Vec<FamilyScore>,
    /// The highest rung whose conditions hold; `None` when none does.
    pub rung: Option<RungVerdict>,
    /// The effect that rung has under the policy's mode.
    pub effect: Option<Effect>,
    /// Whether the policy's scope excludes the user; nothing was scored then.
    pub out_of_scope: bool,
    /// The signals in the window that the policy weighs and that its
    /// conditions speak against, each with the first reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
}

/// A signal that a policy's conditions speak against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The signal.
    pub signal: SignalName,
    /// Which condition.
    #[serde(flatten)]
    pub ground: ReservationGround,
}

/// Why the guard did not let an order through as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardReason {
    /// The account is protected: evictd never acts on it.
    ProtectedAccount,
    /// A human paused the daemon.
    Paused,
    /// The evidence is older than the guard allows.
    StaleEvent,
    /// The hourly budget of unattended actions is used up.
    BudgetSpent,
}

impl GuardReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [
        Self::ProtectedAccount,
        Self::Paused,
        Self::StaleEvent,
        Self::BudgetSpent,
    ];

    /// The name used in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProtectedAccount => "protected_account",
            Self::Paused => "paused",
            Self::StaleEvent => "stale_event",
            Self::BudgetSpent => "budget_spent",
        }
    }
}

impl fmt::Display for GuardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the guard says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "reason", rename_all = "snake_case")]
pub enum Admission {
    /// As ordered.
    Admitted,
    /// A human is asked first.
    Demoted(GuardReason),
    /// Not at all.
    Refused(GuardReason),
}

/// What the policies say of one event, and why. Recorded once, when something
/// new is called for; its id derives from the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Derived from user and record.
    pub id: DecisionId,
    /// The case it belongs to.
    pub case: CaseId,
    /// The record that opened the case: its actions' ids derive from it.
    pub opened_by: RecordId,
    /// The record judged.
    pub record: RecordId,
    /// The user.
    pub user: UserRef,
    /// When it happened: the latest of the new signals.
    pub at: Timestamp,
    /// The strongest effect that is new: `Shadow`, `Ask` or `Act`, after the guard.
    pub effect: Effect,
    /// The highest score among the policies that reached a rung.
    pub score: u8,
    /// The signals that were in a window that scored.
    pub signals: Vec<Signal>,
    /// Every policy tried.
    pub verdicts: Vec<PolicyVerdict>,
    /// What is newly ordered, before the guard.
    pub orders: Vec<Order>,
    /// The guard's word on them all; `Admitted` until it was asked.
    pub admission: Admission,
    /// The hash of the policy set that decided.
    pub policy_set: Box<str>,
}
