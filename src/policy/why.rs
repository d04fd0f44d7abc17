//! Why a policy said what it said, and why not more: the arithmetic signal by
//! signal, each rung with what it lacks, and what would have changed it.
//!
//! Invariant: nothing is judged here in another way. What would be, if this
//! signal were gone or that one there, is asked of the same scoring that
//! decides; so an explanation cannot disagree with a decision.

use jiff::Timestamp;
use serde::Serialize;

use super::score::{effect_of, evaluate};
use super::{Policy, Rung};
use crate::model::{
    ActionKind, Effect, Evidence, Family, Mode, PolicyName, PolicyVerdict, RecordId,
    ReservationGround, Signal, SignalName, UserRef,
};

/// Signals named that would have led further.
const FLIPS_MAX: usize = 3;

/// A policy's verdict, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// The policy.
    pub policy: PolicyName,
    /// Its mode.
    pub mode: Mode,
    /// What it came to.
    pub effect: Option<Effect>,
    /// Its score.
    pub score: u8,
    /// Whether the user is out of its scope; nothing else is said then.
    pub out_of_scope: bool,
    /// The signals that it weighs, the strongest first.
    pub weighed: Vec<WeighedSignal>,
    /// Its rungs, highest first.
    pub rungs: Vec<RungWhy>,
    /// What would have changed what it came to.
    pub flips: Vec<Flip>,
}

/// A signal that a policy weighs, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeighedSignal {
    /// The signal.
    pub signal: SignalName,
    /// The record that raised it.
    pub record: RecordId,
    /// When.
    pub at: Timestamp,
    /// Its family.
    pub family: Family,
    /// Its weight.
    pub weight: u8,
    /// Whether it counts, or why not.
    #[serde(flatten)]
    pub part: Role,
}

/// What became of a signal in a score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum Role {
    /// The strongest of its family.
    Counted,
    /// The strongest of its family, but the record did not say what the
    /// policy's `when` asks: good for a question only.
    CountedForAsking,
    /// Another of its family is as strong or stronger.
    Weaker,
    /// It happened outside of the window that was scored.
    OutsideWindow,
    /// The policy's `when` does not hold.
    Condition {
        /// As written; absent where the policy has changed since.
        text: Option<String>,
    },
    /// An exception holds.
    Exception {
        /// Its name.
        name: Box<str>,
        /// As written; absent where the policy has changed since.
        text: Option<String>,
        /// Who answers for it.
        owner: Option<Box<str>>,
    },
}

/// A rung, and what it lacks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RungWhy {
    /// The score it asks for.
    pub at: u8,
    /// The families it asks for.
    pub families: u8,
    /// What it comes to under the policy's mode.
    pub effect: Effect,
    /// What it would do.
    pub actions: Vec<ActionKind>,
    /// Points that are missing.
    pub lacks_score: u8,
    /// Families that are missing.
    pub lacks_families: u8,
}

/// What would have changed the outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Flip {
    /// Without this signal.
    Without {
        /// The signal.
        signal: SignalName,
        /// The score then.
        score: u8,
        /// What the policy would have come to.
        effect: Option<Effect>,
    },
    /// With this signal as well.
    With {
        /// The signal.
        signal: SignalName,
        /// Its weight.
        weight: u8,
        /// The score then.
        score: u8,
        /// What the policy would have come to.
        effect: Option<Effect>,
    },
    /// Without its `when` and its exceptions.
    WithoutConditions {
        /// The score then.
        score: u8,
        /// What the policy would have come to.
        effect: Option<Effect>,
    },
}

/// Explains a verdict. `signals` are all that were remembered when it was
/// given, in any order.
pub fn why(policy: &Policy, user: &UserRef, signals: &[Signal], verdict: &PolicyVerdict) -> Why {
    let explained = Why {
        policy: verdict.policy.clone(),
        mode: verdict.mode,
        effect: verdict.effect,
        score: verdict.score,
        out_of_scope: verdict.out_of_scope,
        weighed: Vec::new(),
        rungs: Vec::new(),
        flips: Vec::new(),
    };
    if verdict.out_of_scope {
        return explained;
    }
    let weighed = weighed(policy, signals, verdict);
    let flips = if weighed.is_empty() {
        Vec::new()
    } else {
        flips(policy, user, signals, verdict)
    };
    Why {
        rungs: policy
            .rungs
            .iter()
            .map(|rung| of_rung(rung, verdict))
            .collect(),
        weighed,
        flips,
        ..explained
    }
}

fn weighed(policy: &Policy, signals: &[Signal], verdict: &PolicyVerdict) -> Vec<WeighedSignal> {
    let mut taken: Vec<Family> = Vec::new();
    let mut weighed: Vec<(&Signal, Family, u8)> = signals
        .iter()
        .filter_map(|signal| {
            let weight = policy.weights.get(&signal.name)?;
            Some((signal, weight.family, weight.weight))
        })
        .collect();
    weighed.sort_by(|(a, _, x), (b, _, y)| {
        (y, &a.name, a.at, &a.record).cmp(&(x, &b.name, b.at, &b.record))
    });
    weighed
        .into_iter()
        .map(|(signal, family, weight)| WeighedSignal {
            signal: signal.name.clone(),
            record: signal.record.clone(),
            at: signal.at,
            family,
            weight,
            part: role(policy, signal, family, verdict, &mut taken),
        })
        .collect()
}

/// `taken` are the families that a stronger signal has been counted for.
fn role(
    policy: &Policy,
    signal: &Signal,
    family: Family,
    verdict: &PolicyVerdict,
    taken: &mut Vec<Family>,
) -> Role {
    if signal.at <= verdict.window_start || signal.at > verdict.window_end {
        return Role::OutsideWindow;
    }
    let reservation = policy.against(signal);
    match reservation {
        Some(ReservationGround::When) => Role::Condition {
            text: policy.when.as_ref().map(|when| when.text().to_owned()),
        },
        Some(ReservationGround::Exception { name }) => {
            let exception = policy.exceptions.iter().find(|known| known.name == *name);
            Role::Exception {
                name: name.clone(),
                text: exception.map(|known| known.when.text().to_owned()),
                owner: exception.map(|known| known.owner.clone()),
            }
        }
        _ if taken.contains(&family) => Role::Weaker,
        other => {
            taken.push(family);
            match other {
                Some(ReservationGround::Undecided) => Role::CountedForAsking,
                _ => Role::Counted,
            }
        }
    }
}

fn of_rung(rung: &Rung, verdict: &PolicyVerdict) -> RungWhy {
    let families = u8::try_from(verdict.families.len()).unwrap_or(u8::MAX);
    RungWhy {
        at: rung.at,
        families: rung.families,
        effect: effect_of(verdict.mode, &rung.intent),
        actions: rung.actions.clone(),
        lacks_score: rung.at.saturating_sub(verdict.score),
        lacks_families: rung.families.saturating_sub(families),
    }
}

/// What would have changed the effect: a signal less, the lightest signals
/// more, or no conditions.
fn flips(
    policy: &Policy,
    user: &UserRef,
    signals: &[Signal],
    verdict: &PolicyVerdict,
) -> Vec<Flip> {
    let ask = |signals: &[Signal]| {
        let again = evaluate(policy, user, signals, &[verdict.window_end]);
        (again.effect != verdict.effect || rung_of(&again) != rung_of(verdict)).then_some(again)
    };
    let mut flips = Vec::new();
    for counted in &verdict.families {
        let rest: Vec<Signal> = signals
            .iter()
            .filter(|signal| signal.name != counted.signal)
            .cloned()
            .collect();
        if let Some(again) = ask(&rest) {
            flips.push(Flip::Without {
                signal: counted.signal.clone(),
                score: again.score,
                effect: again.effect,
            });
        }
    }
    if !verdict.set_aside.is_empty() {
        let mut all = signals.to_vec();
        for signal in &mut all {
            signal.reservations.clear();
            signal.asked.extend(policy.conditions);
        }
        if let Some(again) = ask(&all) {
            flips.push(Flip::WithoutConditions {
                score: again.score,
                effect: again.effect,
            });
        }
    }
    flips.extend(one_more(policy, signals, verdict, ask));
    flips
}

/// The lightest signals that would have led further, alone.
fn one_more(
    policy: &Policy,
    signals: &[Signal],
    verdict: &PolicyVerdict,
    ask: impl Fn(&[Signal]) -> Option<PolicyVerdict>,
) -> Vec<Flip> {
    let mut lightest: Vec<(&SignalName, u8)> = policy
        .weights
        .iter()
        .map(|(name, weight)| (name, weight.weight))
        // What was seen already, counted or left aside, cannot be seen as well.
        .filter(|(name, _)| !signals.iter().any(|signal| signal.name == **name))
        .collect();
    lightest.sort_by_key(|(name, weight)| (*weight, *name));
    let mut more = signals.to_vec();
    lightest
        .into_iter()
        .filter_map(|(name, weight)| {
            more.push(Signal {
                name: name.clone(),
                family: Family::Behaviour,
                at: verdict.window_end,
                record: RecordId::new("what-if"),
                evidence: Evidence::Change {
                    what: "".into(),
                    subject: None,
                    sighting: None,
                },
                reservations: Vec::new(),
                asked: policy.conditions.into_iter().collect(),
            });
            let again = ask(&more);
            more.pop();
            let again = again.filter(|again| again.effect >= verdict.effect)?;
            Some(Flip::With {
                signal: name.clone(),
                weight,
                score: again.score,
                effect: again.effect,
            })
        })
        .take(FLIPS_MAX)
        .collect()
}

fn rung_of(verdict: &PolicyVerdict) -> Option<u8> {
    verdict.rung.as_ref().map(|rung| rung.at)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{policy, signal, user};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stolen_session() -> Policy {
        policy(
            "policy: p
mode: enforce
window: 60m
signals: { session_hosting: 85, session_client_change: 60, impossible_travel: 55, risk.anomalousToken: 55 }
rungs:
  - { at: 85, families: 2, do: [revoke_sessions] }
  - { at: 70, do: [revoke_sessions], ask: {} }
",
        )
    }

    fn explained(signals: &[Signal]) -> Why {
        let policy = stolen_session();
        let verdict = evaluate(&policy, &user(), signals, &[at(10_000)]);
        why(&policy, &user(), signals, &verdict)
    }

    #[test]
    fn each_signal_has_its_part_and_each_rung_what_it_lacks() {
        let why = explained(&[
            signal("session_hosting", 9_000),
            signal("session_client_change", 9_500),
            signal("impossible_travel", 1_000),
            signal("unknown", 9_000),
        ]);
        let parts: Vec<(&str, &Role)> = why
            .weighed
            .iter()
            .map(|weighed| (weighed.signal.as_str(), &weighed.part))
            .collect();
        assert_eq!(
            parts,
            [
                ("session_hosting", &Role::Counted),
                ("session_client_change", &Role::Weaker),
                ("impossible_travel", &Role::OutsideWindow),
            ]
        );
        let lacks: Vec<(u8, u8, u8)> = why
            .rungs
            .iter()
            .map(|rung| (rung.at, rung.lacks_score, rung.lacks_families))
            .collect();
        assert_eq!(lacks, [(85, 0, 1), (70, 0, 0)]);
        assert_eq!(why.effect, Some(Effect::Ask));
    }

    #[test]
    fn what_would_have_changed_it_is_what_scoring_says() {
        let why = explained(&[signal("session_hosting", 9_000)]);
        assert_eq!(
            why.flips,
            [
                Flip::Without {
                    signal: SignalName::new("session_hosting"),
                    score: 0,
                    effect: None
                },
                Flip::With {
                    signal: SignalName::new("impossible_travel"),
                    weight: 55,
                    score: 93,
                    effect: Some(Effect::Act)
                },
                Flip::With {
                    signal: SignalName::new("risk.anomalousToken"),
                    weight: 55,
                    score: 93,
                    effect: Some(Effect::Act)
                },
            ]
        );
        // 55 of 70: any of another family, or a stronger one, leads on.
        let why = explained(&[signal("impossible_travel", 9_000)]);
        assert_eq!(why.rungs[1].lacks_score, 15);
        let names: Vec<&SignalName> = why
            .flips
            .iter()
            .filter_map(|flip| match flip {
                Flip::With { signal, .. } => Some(signal),
                _ => None,
            })
            .collect();
        assert_eq!(
            names,
            [
                &SignalName::new("risk.anomalousToken"),
                &SignalName::new("session_client_change"),
                &SignalName::new("session_hosting"),
            ]
        );
    }

    #[test]
    fn what_is_set_aside_says_by_what_and_what_it_would_have_been() {
        let policy = policy(
            "policy: p
mode: approve
window: 60m
signals: { tor_exit: 70 }
except: [{ name: lab, when: event.user.guest, owner: ana, reason: x, until: 2027-01-31 }]
rungs: [{ at: 70, do: [revoke_sessions] }]
",
        );
        let mut tor = signal("tor_exit", 9_000);
        tor.asked.extend(policy.conditions);
        tor.reservations.push(crate::model::Reservation {
            policy: policy.name.clone(),
            ground: ReservationGround::Exception { name: "lab".into() },
        });
        let verdict = evaluate(&policy, &user(), &[tor.clone()], &[at(10_000)]);
        let why = why(&policy, &user(), &[tor], &verdict);
        assert_eq!(
            why.weighed[0].part,
            Role::Exception {
                name: "lab".into(),
                text: Some("event.user.guest".into()),
                owner: Some("ana".into())
            }
        );
        assert_eq!(
            why.flips[0],
            Flip::WithoutConditions {
                score: 70,
                effect: Some(Effect::Ask)
            }
        );
    }
}
