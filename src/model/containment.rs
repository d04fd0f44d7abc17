//! Containment: how far an eviction is known to have come.
//!
//! ```text
//! none ─► requested ─► acknowledged ─► proven | evaded
//! ```
//!
//! Graph's 2xx says that it took the request, not that the thief is out: an
//! access token lives on, and a registered device signs in anew. What happened
//! after it, at the thief's own address, is the proof. Invariant: the stages up
//! to `acknowledged` are derived from the actions and never stored; only a
//! proof is, and of several the latest by event time counts, so the order of
//! arrival changes nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActionKind, ActionState, ActionView, CaseId, RecordId};

/// What a sign-in after the revoke showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofOutcome {
    /// The thief's token was refused (Entra's 50173 or 50132).
    Proven,
    /// The thief signed in.
    Evaded,
}

impl ProofOutcome {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Proven, Self::Evaded];

    /// The name used in JSON, the database and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Evaded => "evaded",
        }
    }
}

impl std::str::FromStr for ProofOutcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not the outcome of a proof"))
    }
}

/// A record that shows what a case's revoke achieved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The case.
    pub case: CaseId,
    /// When it happened (event time).
    pub at: Timestamp,
    /// The record that shows it.
    pub record: RecordId,
    /// What it shows.
    pub outcome: ProofOutcome,
}

impl Proof {
    /// Whether this counts rather than `known`: the later does, and of two at
    /// one time the one that is bad news.
    pub fn outweighs(&self, known: &Self) -> bool {
        let bad = |proof: &Self| proof.outcome == ProofOutcome::Evaded;
        (self.at, bad(self)) > (known.at, bad(known))
    }

    /// Whether this tells a human more than `known`, which it outweighs:
    /// another outcome, or the same after another revoke.
    pub fn is_news_after(&self, known: &Self, revoked_at: Option<Timestamp>) -> bool {
        let revoked_since = revoked_at.is_some_and(|at| at > known.at && at <= self.at);
        self.outcome != known.outcome || revoked_since
    }
}

/// How far an eviction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// No revoke was sent or is about to be.
    #[default]
    None,
    /// A revoke is queued or on the wire.
    Requested,
    /// Graph acknowledged a revoke.
    Acknowledged,
    /// Since then the thief was refused.
    Proven,
    /// Since then the thief signed in.
    Evaded,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Requested,
        Self::Acknowledged,
        Self::Proven,
        Self::Evaded,
    ];
}

/// The containment of a case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Containment {
    /// How far it has come. `Evaded` stays, whatever is acknowledged after it,
    /// until a later record proves the opposite.
    pub stage: Stage,
    /// When Graph last acknowledged a revoke (the daemon's clock).
    pub acknowledged_at: Option<Timestamp>,
    /// When it was proven or evaded (event time).
    pub shown_at: Option<Timestamp>,
    /// The record that showed it.
    pub shown_by: Option<RecordId>,
}

impl Containment {
    /// What the actions of a case and the proof that counts come to.
    pub fn of(actions: &[ActionView], proof: Option<Proof>) -> Self {
        let revokes = || {
            let revokes = |action: &&ActionView| action.kind == ActionKind::RevokeSessions;
            actions.iter().filter(revokes)
        };
        let under_way = |action: &ActionView| {
            matches!(action.state, ActionState::Queued | ActionState::Sending)
        };
        let acknowledged_at = revokes().filter_map(|action| action.acknowledged_at).max();
        let stage = match &proof {
            Some(proof) if proof.outcome == ProofOutcome::Evaded => Stage::Evaded,
            Some(_) => Stage::Proven,
            None if acknowledged_at.is_some() => Stage::Acknowledged,
            None if revokes().any(under_way) => Stage::Requested,
            None => Stage::None,
        };
        let (shown_at, shown_by) = proof.map(|proof| (proof.at, proof.record)).unzip();
        Self {
            stage,
            acknowledged_at,
            shown_at,
            shown_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ActionId, UserId};
    use ProofOutcome::{Evaded, Proven};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn proof(second: i64, outcome: ProofOutcome) -> Proof {
        Proof {
            case: CaseId::derive(&UserId::new("u"), &RecordId::new("r1")),
            at: at(second),
            record: RecordId::new("r9"),
            outcome,
        }
    }

    #[test]
    fn the_latest_proof_counts_and_bad_news_wins_a_tie() {
        for (new, known, outweighs) in [
            ((10, Evaded), (9, Proven), true),
            ((10, Proven), (9, Evaded), true),
            ((10, Proven), (9, Proven), true),
            ((9, Proven), (10, Evaded), false),
            ((9, Evaded), (10, Proven), false),
            ((10, Evaded), (10, Proven), true),
            ((10, Proven), (10, Evaded), false),
            ((10, Evaded), (10, Evaded), false),
            ((10, Proven), (10, Proven), false),
        ] {
            let (new, known) = (proof(new.0, new.1), proof(known.0, known.1));
            assert_eq!(new.outweighs(&known), outweighs, "{new:?} {known:?}");
        }
    }

    #[test]
    fn the_same_again_is_news_only_after_another_revoke() {
        let revoked = |second| Some(at(second));
        for (new, known, revoked_at, news) in [
            (Evaded, Proven, None, true),
            (Proven, Evaded, revoked(5), true),
            (Evaded, Evaded, revoked(5), false),
            (Evaded, Evaded, None, false),
            (Evaded, Evaded, revoked(15), true),
            (Proven, Proven, revoked(15), true),
            // What the record shows happened before that revoke.
            (Evaded, Evaded, revoked(25), false),
        ] {
            let (new, known) = (proof(20, new), proof(10, known));
            let found = new.is_news_after(&known, revoked_at);
            assert_eq!(found, news, "{new:?} {known:?} {revoked_at:?}");
        }
    }

    fn action(kind: ActionKind, state: ActionState, acknowledged_at: Option<i64>) -> ActionView {
        let case = proof(0, Proven).case;
        ActionView {
            id: ActionId::derive(&case, kind, &RecordId::new("r1")),
            kind,
            state,
            score: 90,
            approvers_needed: 0,
            approved_by: Vec::new(),
            denied_by: None,
            expires_at: None,
            attempts: 0,
            last_outcome: None,
            acknowledged_at: acknowledged_at.map(at),
            event_to_acknowledged_seconds: None,
        }
    }

    #[test]
    fn the_stage_is_as_far_as_the_revokes_and_the_proof_have_come() {
        use ActionKind::{ConfirmCompromised, RevokeSessions};
        use ActionState as A;
        let revoke = |state, acknowledged_at| action(RevokeSessions, state, acknowledged_at);
        let confirmed = action(ConfirmCompromised, A::Acknowledged, Some(9));
        let done = revoke(A::Acknowledged, Some(5));
        let table = [
            (vec![], None, Stage::None, None),
            (vec![confirmed.clone()], None, Stage::None, None),
            (
                vec![revoke(A::AwaitingApproval, None)],
                None,
                Stage::None,
                None,
            ),
            (vec![revoke(A::Failed, None)], None, Stage::None, None),
            (vec![revoke(A::Queued, None)], None, Stage::Requested, None),
            (vec![revoke(A::Sending, None)], None, Stage::Requested, None),
            (
                vec![done.clone(), confirmed],
                None,
                Stage::Acknowledged,
                Some(5),
            ),
            (
                vec![done.clone(), revoke(A::Acknowledged, Some(8))],
                None,
                Stage::Acknowledged,
                Some(8),
            ),
            (
                vec![done.clone(), revoke(A::Queued, None)],
                Some(Evaded),
                Stage::Evaded,
                Some(5),
            ),
            (vec![done], Some(Proven), Stage::Proven, Some(5)),
        ];
        for (actions, outcome, stage, acknowledged) in table {
            let proof = outcome.map(|outcome| proof(7, outcome));
            let shown_by = proof.as_ref().map(|proof| proof.record.clone());
            let containment = Containment::of(&actions, proof);
            let expected = Containment {
                stage,
                acknowledged_at: acknowledged.map(at),
                shown_at: outcome.map(|_| at(7)),
                shown_by,
            };
            assert_eq!(containment, expected, "{actions:?} {outcome:?}");
        }
    }
}
