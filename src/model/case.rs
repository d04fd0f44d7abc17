//! Cases as they are shown: the read side of a user's incident.
//!
//! Invariant: where a case stands is derived from its actions and from the
//! proof of what they achieved, each time it is read. Several rounds of
//! actions may lie in one case; the latest of each kind says where it stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::containment::{Containment, Stage};
use super::{
    ActionId, ActionKind, ActionState, Admission, CaseId, Decision, Effect, Finding, Signal,
    UserRef,
};

/// Where a case stands, derived from its actions and never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseStatus {
    /// The thief signed in after the revoke: a human must act.
    Evaded,
    /// Something failed or was refused by Graph: a human must act.
    Failed,
    /// The account is protected: evictd did nothing and never will.
    Protected,
    /// A human is asked.
    AwaitingApproval,
    /// Actions are on their way.
    Responding,
    /// Every action was acknowledged.
    Contained,
    /// A human said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// The evidence was dismissed in Entra before anybody answered.
    Withdrawn,
    /// Only shadow policies spoke.
    Shadow,
}

impl CaseStatus {
    /// All of them, what needs a human most first.
    pub const ALL: [Self; 10] = [
        Self::Evaded,
        Self::Failed,
        Self::Protected,
        Self::AwaitingApproval,
        Self::Responding,
        Self::Contained,
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
        Self::Shadow,
    ];

    /// Derives the status: what needs a human most comes first. `actions` are
    /// the latest of each kind.
    pub fn of(actions: &[ActionState], stage: Stage) -> Self {
        let any = |state| actions.contains(&state);
        if stage == Stage::Evaded {
            Self::Evaded
        } else if actions.is_empty() {
            Self::Shadow
        } else if any(ActionState::Failed) {
            Self::Failed
        } else if any(ActionState::AwaitingApproval) {
            Self::AwaitingApproval
        } else if any(ActionState::Queued) || any(ActionState::Sending) {
            Self::Responding
        } else if any(ActionState::Acknowledged) {
            Self::Contained
        } else if any(ActionState::Refused) {
            Self::Protected
        } else if any(ActionState::Denied) {
            Self::Denied
        } else if any(ActionState::Expired) {
            Self::Expired
        } else {
            Self::Withdrawn
        }
    }

    /// The name used in JSON, on the screen and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evaded => "evaded",
            Self::Failed => "failed",
            Self::Protected => "protected",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Responding => "responding",
            Self::Contained => "contained",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Shadow => "shadow",
        }
    }
}

/// A case in a list, or whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseView {
    /// The case.
    pub id: CaseId,
    /// Whose.
    pub user: UserRef,
    /// Where it stands.
    pub status: CaseStatus,
    /// The highest score of its decisions, 0–100.
    pub score: u8,
    /// When the case was opened (the daemon's clock).
    pub opened_at: Timestamp,
    /// When it last changed (the daemon's clock).
    pub updated_at: Timestamp,
    /// How far the eviction is known to have come.
    #[serde(default)]
    pub containment: Containment,
    /// What was ordered, by kind, and of each kind the earliest round first.
    pub actions: Vec<ActionView>,
    /// Its decisions, oldest first; empty in a list.
    #[serde(default)]
    pub decisions: Vec<DecisionView>,
    /// Its signals by event time; empty in a list.
    #[serde(default)]
    pub signals: Vec<SignalView>,
    /// What it turned out to be, oldest first; empty in a list.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// An action of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionView {
    /// The action.
    pub id: ActionId,
    /// What.
    pub kind: ActionKind,
    /// Where it is in its life.
    pub state: ActionState,
    /// The score it was ordered with.
    pub score: u8,
    /// How many people must approve; 0 when nobody need.
    pub approvers_needed: u8,
    /// Who has approved so far.
    pub approved_by: Vec<String>,
    /// Who denied it.
    pub denied_by: Option<String>,
    /// Until when the question stands.
    pub expires_at: Option<Timestamp>,
    /// How often it was sent.
    pub attempts: u32,
    /// What happened last, for a human, e.g. `403 Authorization_RequestDenied`.
    pub last_outcome: Option<String>,
    /// When Graph acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// Seconds from the event to the acknowledgement.
    pub event_to_acknowledged_seconds: Option<f64>,
}

/// A decision of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionView {
    /// The decision with its trace.
    pub decision: Decision,
    /// When it was committed (the daemon's clock).
    pub decided_at: Timestamp,
}

/// A signal of a case with its evidence as a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalView {
    /// The signal.
    pub signal: Signal,
    /// Its evidence for a human.
    pub text: String,
}

impl From<Signal> for SignalView {
    fn from(signal: Signal) -> Self {
        Self {
            text: signal.evidence.to_string(),
            signal,
        }
    }
}

impl CaseView {
    /// The latest action of each kind: what counts of `actions`.
    pub fn latest(&self) -> impl Iterator<Item = &ActionView> {
        let rounds = self.actions.chunk_by(|a, b| a.kind == b.kind);
        rounds.filter_map(<[ActionView]>::last)
    }

    /// Derives `containment` and `status` from `actions` and the proof of what
    /// they achieved, if there is one.
    pub fn derive(&mut self, proof: Option<super::Proof>) {
        self.containment = Containment::of(&self.actions, proof);
        let states: Vec<ActionState> = self.latest().map(|action| action.state).collect();
        self.status = CaseStatus::of(&states, self.containment.stage);
    }

    /// The strongest effect any decision had, if the decisions are loaded.
    pub fn effect(&self) -> Option<Effect> {
        self.decisions.iter().map(|d| d.decision.effect).max()
    }

    /// What the guard changed, if anything.
    pub fn admission(&self) -> Admission {
        self.decisions
            .iter()
            .map(|d| d.decision.admission)
            .find(|a| *a != Admission::Admitted)
            .unwrap_or(Admission::Admitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_names_what_needs_a_human_first() {
        use ActionState as A;
        let table: &[(&[A], CaseStatus)] = &[
            (&[], CaseStatus::Shadow),
            (&[A::Acknowledged, A::Failed], CaseStatus::Failed),
            (
                &[A::Acknowledged, A::AwaitingApproval],
                CaseStatus::AwaitingApproval,
            ),
            (&[A::Acknowledged, A::Sending], CaseStatus::Responding),
            (&[A::Acknowledged, A::Denied], CaseStatus::Contained),
            (&[A::Refused], CaseStatus::Protected),
            (&[A::Denied], CaseStatus::Denied),
            (&[A::Expired], CaseStatus::Expired),
            (&[A::Withdrawn, A::Expired], CaseStatus::Expired),
            (&[A::Withdrawn, A::Denied], CaseStatus::Denied),
            (&[A::Withdrawn], CaseStatus::Withdrawn),
        ];
        for (states, status) in table {
            for stage in Stage::ALL {
                let expected = match stage {
                    Stage::Evaded => CaseStatus::Evaded,
                    _ => *status,
                };
                assert_eq!(CaseStatus::of(states, stage), expected, "{states:?}");
            }
        }
    }
}
