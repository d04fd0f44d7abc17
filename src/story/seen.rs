//! What was seen, against what was expected.
//!
//! Invariant: an answer is in the words of expectations, so that what was
//! instead can be copied into the story; and a clause that holds says nothing.

use std::collections::BTreeSet;
use std::fmt;

use super::expectation::{Claim, Clause, Outcome};
use crate::model::{
    ActionKind, Admission, Decision, Effect, GuardReason, PolicyVerdict, Reservation,
    ReservationGround, Signal, SignalName, UserId,
};

/// What an expectation is held against.
pub(super) struct Seen<'s> {
    pub(super) decisions: Vec<&'s Decision>,
    pub(super) signals: Vec<&'s (UserId, Signal)>,
    pub(super) verdicts: Vec<PolicyVerdict>,
    pub(super) asides: Vec<Aside<'s>>,
    pub(super) withdrawn: bool,
}

/// A signal that a policy does not count, or not for acting.
pub(super) struct Aside<'s> {
    pub(super) signal: &'s SignalName,
    pub(super) reservation: &'s Reservation,
}

impl fmt::Display for Aside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, signal) = (&self.reservation.policy, self.signal);
        match &self.reservation.ground {
            ReservationGround::Undecided => write!(
                f,
                "{policy}: {signal} can only ask: the record does not say what `when` asks"
            ),
            ground => write!(f, "{policy}: {signal} is {}", in_words(ground)),
        }
    }
}

/// As an expectation would say it.
fn in_words(ground: &ReservationGround) -> String {
    match ground {
        ReservationGround::When => "left aside by when".to_owned(),
        ReservationGround::Exception { name } => format!("excepted by {name}"),
        ReservationGround::Undecided => "undecided".to_owned(),
    }
}

impl Seen<'_> {
    /// The strongest decision.
    fn strongest(&self) -> Option<&Decision> {
        let decisions = self.decisions.iter().copied();
        decisions.max_by_key(|decision| outcome_of(decision))
    }

    fn outcome(&self) -> Outcome {
        self.strongest().map_or(Outcome::Nothing, outcome_of)
    }

    fn outcome_in_words(&self) -> String {
        let outcome = self.outcome();
        let by: BTreeSet<&str> = self
            .decisions
            .iter()
            .flat_map(|decision| {
                let verdicts = decision.verdicts.iter();
                verdicts.filter(|v| outcome_under(decision, v) == outcome)
            })
            .map(|verdict| verdict.policy.as_str())
            .collect();
        let by: Vec<&str> = by.into_iter().collect();
        match (outcome, by.is_empty()) {
            (Outcome::Nothing, _) | (_, true) => outcome.as_str().to_owned(),
            _ => format!("{} by {}", outcome.as_str(), by.join(", ")),
        }
    }

    /// What one policy came to, by its strongest verdict.
    fn of_policy(&self, policy: &str) -> (Outcome, Option<&PolicyVerdict>) {
        self.decisions
            .iter()
            .flat_map(|decision| decision.verdicts.iter().map(move |v| (*decision, v)))
            .filter(|(_, verdict)| verdict.policy.as_str() == policy)
            .map(|(decision, verdict)| (outcome_under(decision, verdict), Some(verdict)))
            .max_by_key(|(outcome, _)| *outcome)
            .unwrap_or((Outcome::Nothing, None))
    }

    fn score(&self, policy: Option<&String>) -> u8 {
        let of = |verdict: &&PolicyVerdict| {
            policy.is_none_or(|policy| verdict.policy.as_str() == policy)
        };
        let scores = self.verdicts.iter().filter(of).map(|verdict| verdict.score);
        scores.max().unwrap_or(0)
    }

    /// What is instead of a clause; `None` where it holds.
    pub(super) fn against(&self, clause: &Clause) -> Option<String> {
        match &clause.claim {
            Claim::Outcome {
                outcome,
                policy,
                actions,
                reason,
            } => self.against_outcome(*outcome, policy.as_ref(), actions, *reason),
            Claim::Demoted(reason) => {
                let admissions = || self.decisions.iter().map(|d| d.admission);
                let demoted = admissions().any(|a| a == Admission::Demoted(*reason));
                let told = admissions().find_map(|admission| match admission {
                    Admission::Demoted(other) => Some(format!("demoted ({other})")),
                    Admission::Refused(other) => Some(format!("refused ({other})")),
                    Admission::Admitted => None,
                });
                (!demoted).then(|| told.unwrap_or_else(|| "not demoted".to_owned()))
            }
            Claim::Score {
                comparison,
                value,
                policy,
            } => {
                let actual = self.score(policy.as_ref());
                (!comparison.holds(actual, *value)).then(|| format!("score {actual}"))
            }
            Claim::With(name) => (!self.raised(name)).then(|| format!("without {name}")),
            Claim::Without(name) => self.raised(name).then(|| format!("with {name}")),
            Claim::Excepted { exception, policy } => {
                let ground = ReservationGround::Exception {
                    name: exception.as_str().into(),
                };
                self.against_aside(&ground, policy.as_ref())
            }
            Claim::LeftAside { policy } => {
                self.against_aside(&ReservationGround::When, policy.as_ref())
            }
            Claim::Withdrawn => (!self.withdrawn).then(|| "not withdrawn".to_owned()),
        }
    }

    fn against_aside(&self, ground: &ReservationGround, policy: Option<&String>) -> Option<String> {
        let of = |aside: &&Aside<'_>| {
            policy.is_none_or(|policy| aside.reservation.policy.as_str() == policy)
        };
        let mut grounds: Vec<&ReservationGround> = Vec::new();
        for aside in self.asides.iter().filter(of) {
            let found = &aside.reservation.ground;
            if found == ground {
                return None;
            }
            if !grounds.contains(&found) {
                grounds.push(found);
            }
        }
        if grounds.is_empty() {
            return Some(match ground {
                ReservationGround::Exception { .. } => "not excepted".to_owned(),
                _ => "not left aside".to_owned(),
            });
        }
        let words: Vec<String> = grounds.into_iter().map(in_words).collect();
        Some(words.join(", "))
    }

    fn raised(&self, name: &str) -> bool {
        self.signals.iter().any(|(_, s)| s.name.as_str() == name)
    }

    fn against_outcome(
        &self,
        outcome: Outcome,
        policy: Option<&String>,
        actions: &BTreeSet<ActionKind>,
        reason: Option<GuardReason>,
    ) -> Option<String> {
        let mut ordered = BTreeSet::new();
        let actual = match policy {
            Some(policy) => {
                let (actual, verdict) = self.of_policy(policy);
                let rung = verdict.and_then(|verdict| verdict.rung.as_ref());
                ordered.extend(rung.iter().flat_map(|rung| &rung.actions).copied());
                actual
            }
            None => {
                let orders = self.strongest().map(|decision| &decision.orders);
                ordered.extend(orders.into_iter().flatten().map(|order| order.kind));
                self.outcome()
            }
        };
        if actual != outcome {
            return Some(match policy {
                Some(policy) => format!("{} by {policy}", actual.as_str()),
                None => self.outcome_in_words(),
            });
        }
        if !actions.is_empty() && *actions != ordered {
            let names: Vec<&str> = ordered.iter().map(|kind| kind.as_str()).collect();
            return Some(format!("to {}", names.join(" and ")));
        }
        let refused = self.decisions.iter().find_map(|d| match d.admission {
            Admission::Refused(reason) => Some(reason),
            _ => None,
        });
        match (reason, refused) {
            (Some(expected), Some(actual)) if expected != actual => {
                Some(format!("refused ({actual})"))
            }
            (Some(_), None) => Some("not refused".to_owned()),
            _ => None,
        }
    }
}

fn outcome_of(decision: &Decision) -> Outcome {
    match decision.admission {
        Admission::Refused(_) => Outcome::Refused,
        _ => decision.effect.into(),
    }
}

/// What a policy's verdict came to, after the guard's word on the decision.
fn outcome_under(decision: &Decision, verdict: &PolicyVerdict) -> Outcome {
    match (verdict.effect, decision.admission) {
        (None, _) => Outcome::Nothing,
        (Some(Effect::Shadow), _) => Outcome::Shadow,
        (Some(_), Admission::Refused(_)) => Outcome::Refused,
        (Some(_), Admission::Demoted(_)) => Outcome::Ask,
        (Some(effect), Admission::Admitted) => effect.into(),
    }
}
