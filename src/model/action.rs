//! Actions: what is done through Graph, and how strongly it was called for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{PolicyName, UserRef};

/// One kind of thing to do to a user, or to a service principal, through Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// `POST /users/{id}/revokeSignInSessions`: refresh tokens and browser
    /// session cookies issued until now die.
    RevokeSessions,
    /// `POST /identityProtection/riskyUsers/confirmCompromised`, or
    /// `riskyServicePrincipals`: the risk becomes high.
    ConfirmCompromised,
    /// `PATCH /users/{id}` with a password that nobody knows: whoever knew the
    /// old one is out, the user among them. Only ever after a human's yes.
    ResetPassword,
}

impl ActionKind {
    /// All kinds, in the order they are done to one user.
    pub const ALL: [Self; 3] = [
        Self::RevokeSessions,
        Self::ConfirmCompromised,
        Self::ResetPassword,
    ];

    /// Whether a human must have said yes to it, whatever a policy says: it
    /// locks out the user too, and no second call undoes it.
    pub fn needs_approval(self) -> bool {
        match self {
            Self::RevokeSessions | Self::ConfirmCompromised => false,
            Self::ResetPassword => true,
        }
    }

    /// Whether it can be done to a service principal, which has neither
    /// sessions to revoke nor a password of a user's.
    pub fn fits_workloads(self) -> bool {
        match self {
            Self::ConfirmCompromised => true,
            Self::RevokeSessions | Self::ResetPassword => false,
        }
    }

    /// As [`Self::needs_approval`], of somebody: nothing is done to a service
    /// principal without a human's yes.
    pub fn needs_approval_for(self, user: &UserRef) -> bool {
        user.workload || self.needs_approval()
    }

    /// The name used in YAML, JSON, the database and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RevokeSessions => "revoke_sessions",
            Self::ConfirmCompromised => "confirm_compromised",
            Self::ResetPassword => "reset_password",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ActionKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not an action"))
    }
}

/// How strongly something is called for, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Recorded, nothing else.
    Shadow,
    /// A human is asked first.
    Ask,
    /// Done at once.
    Act,
}

impl Effect {
    /// The name used in JSON, the database and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Ask => "ask",
            Self::Act => "act",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A decision's order: do this, or ask whether to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// What to do.
    pub kind: ActionKind,
    /// `Ask` or `Act`; never `Shadow`.
    pub effect: Effect,
    /// The policy that calls for it most strongly.
    pub policy: PolicyName,
    /// The score that policy reached.
    pub score: u8,
    /// How many different people must approve; meaningful for `Ask`.
    pub approvers: u8,
    /// How long the question stands, in seconds; then it is denied.
    pub expires_seconds: u32,
}

/// Where an action is in its life. The legal steps are in
/// `respond::lifecycle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// Waits for a human.
    AwaitingApproval,
    /// Waits for its turn.
    Queued,
    /// Claimed by the responder; the request may be on the wire.
    Sending,
    /// Graph answered 2xx.
    Acknowledged,
    /// The guard refused it.
    Refused,
    /// Graph refused it for good, or the attempts are used up: a human must act.
    Failed,
    /// A human said no.
    Denied,
    /// Nobody answered in time, which counts as no.
    Expired,
    /// The question was taken back before anybody answered: its evidence was
    /// dismissed in Entra, or newer evidence asks the same. The outcome says
    /// which.
    Withdrawn,
}

impl ActionState {
    /// All states.
    pub const ALL: [Self; 9] = [
        Self::AwaitingApproval,
        Self::Queued,
        Self::Sending,
        Self::Acknowledged,
        Self::Refused,
        Self::Failed,
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
    ];

    /// The name used in JSON, the database and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether nothing more happens without a new decision.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::AwaitingApproval | Self::Queued | Self::Sending)
    }
}

impl fmt::Display for ActionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ActionState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a state of an action"))
    }
}
