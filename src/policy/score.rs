//! Score: what one policy says of what is remembered of a user.
//!
//! Invariant: pure, exact and independent of the order of the signals. The
//! arithmetic is in whole numbers, so the same evidence scores the same on
//! every machine and an explanation can be checked by hand. Within one window
//! one signal more never lowers the score.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{Policy, PolicySet, Rung, Weight};
use crate::model::{
    Effect, Family, FamilyScore, Intent, Mode, PolicyVerdict, ReservationGround, RungVerdict,
    SetAside, Signal, SignalName, UserRef,
};

/// Who weighs which signal: so that a policy that weighs none of what fired
/// costs next to nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Weighers(HashMap<SignalName, Vec<(usize, Weight)>, ahash::RandomState>);

impl Weighers {
    pub(super) fn of(policies: &[Policy]) -> Self {
        let mut weighers = Self::default();
        for (index, policy) in policies.iter().enumerate() {
            for (name, weight) in &policy.weights {
                let of_signal = weighers.0.entry(name.clone()).or_default();
                of_signal.push((index, *weight));
            }
        }
        weighers
    }

    /// The policies that weigh a signal, by index, and what it weighs.
    pub(super) fn of_signal(&self, name: &SignalName) -> &[(usize, Weight)] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

impl PartialEq for Weighers {
    /// They follow from the policies.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What every policy of a set says, in the set's order: see [`evaluate`].
///
/// Only windows that reach back before `newest`, the time of the newest signal
/// that was not judged before: what a late signal is not in was judged, perhaps
/// by another set, and is not called for again.
pub fn verdicts(
    set: &PolicySet,
    user: &UserRef,
    signals: &[Signal],
    ends: &[Timestamp],
    newest: Timestamp,
) -> Vec<PolicyVerdict> {
    let mut weighed: Vec<(usize, Weighed<'_>)> = signals
        .iter()
        .flat_map(|signal| {
            let weighers = set.weighers.of_signal(&signal.name).iter();
            weighers.map(move |(index, weight)| {
                (*index, Weighed::new(&set.policies[*index], signal, *weight))
            })
        })
        .collect();
    // Of one policy together; the order of the signals does not matter.
    weighed.sort_by_key(|(index, _)| *index);
    let mut rest = weighed.as_slice();
    let policies = set.policies.iter().enumerate();
    policies
        .map(|(index, policy)| {
            let own = rest.iter().take_while(|(of, _)| *of == index).count();
            let (own, others) = rest.split_at(own);
            rest = others;
            let changed = ends.iter().copied();
            let changed = changed.filter(|end| start_of(policy, *end) < newest);
            verdict(
                policy,
                user,
                own.iter().map(|(_, weighed)| weighed),
                changed,
            )
        })
        .collect()
}

/// Scores the signals of one user in every candidate window, which ends at
/// one of `ends` and reaches back for the policy's window, its start not
/// included. The window with the highest rung counts; among those the highest
/// score, then the earliest end.
///
/// `signals` are all that is remembered, in any order. With no `ends` nothing
/// is scored.
pub fn evaluate(
    policy: &Policy,
    user: &UserRef,
    signals: &[Signal],
    ends: &[Timestamp],
) -> PolicyVerdict {
    let weighed: Vec<Weighed<'_>> = signals
        .iter()
        .filter_map(|signal| {
            let weight = policy.weights.get(&signal.name)?;
            Some(Weighed::new(policy, signal, *weight))
        })
        .collect();
    verdict(policy, user, weighed.iter(), ends.iter().copied())
}

fn verdict<'a>(
    policy: &Policy,
    user: &UserRef,
    weighed: impl ExactSizeIterator<Item = &'a Weighed<'a>> + Clone,
    ends: impl Iterator<Item = Timestamp> + Clone,
) -> PolicyVerdict {
    let out_of_scope = !policy.scope.takes_in(user);
    let best = if out_of_scope || weighed.len() == 0 {
        nothing_in(policy, ends)
    } else {
        best_window(policy, weighed, ends)
    };
    let best = best.unwrap_or_default();
    PolicyVerdict {
        policy: policy.name.clone(),
        mode: policy.mode,
        window_start: best.start,
        window_end: best.end,
        score: best.score,
        families: best.families,
        rung: best.rung.map(|index| rung_verdict(policy, index)),
        effect: best.rung.map(|index| {
            let effect = effect_of(policy.mode, &policy.rungs[index].intent);
            // A record that does not say what was asked is no ground to act.
            if best.certain {
                effect
            } else {
                effect.min(Effect::Ask)
            }
        }),
        out_of_scope,
        set_aside: best.set_aside,
    }
}

/// The window that counts.
fn best_window<'a>(
    policy: &Policy,
    weighed: impl Iterator<Item = &'a Weighed<'a>> + Clone,
    ends: impl Iterator<Item = Timestamp>,
) -> Option<Window> {
    let windows = ends.map(|end| score_window(policy, weighed.clone(), end));
    windows.max_by_key(|window| {
        let rung = window.rung.map(Reverse);
        (rung, window.score, Reverse(window.end))
    })
}

/// What a policy says that weighs none of the signals.
fn nothing_in(policy: &Policy, ends: impl Iterator<Item = Timestamp>) -> Option<Window> {
    let end = ends.min()?;
    Some(Window {
        start: start_of(policy, end),
        end,
        ..Window::default()
    })
}

/// A remembered signal that the policy weighs.
struct Weighed<'a> {
    at: Timestamp,
    name: &'a SignalName,
    family: Family,
    weight: u8,
    /// What the policy's conditions said of its record.
    reservation: Option<&'a ReservationGround>,
}

impl<'a> Weighed<'a> {
    fn new(policy: &Policy, signal: &'a Signal, weight: Weight) -> Self {
        Self {
            at: signal.at,
            name: &signal.name,
            family: weight.family,
            weight: weight.weight,
            reservation: signal.reservation(&policy.name),
        }
    }

    /// Whether it counts at all.
    fn counts(&self) -> bool {
        matches!(self.reservation, None | Some(ReservationGround::Undecided))
    }
}

/// What one window comes to.
#[derive(Default)]
struct Window {
    start: Timestamp,
    end: Timestamp,
    score: u8,
    families: Vec<FamilyScore>,
    /// The index of the highest rung reached; 0 is the highest of all.
    rung: Option<usize>,
    /// Whether signals that nothing speaks against reach that rung alone.
    certain: bool,
    set_aside: Vec<SetAside>,
}

fn start_of(policy: &Policy, end: Timestamp) -> Timestamp {
    end.saturating_sub(policy.window).unwrap_or(Timestamp::MIN)
}

fn score_window<'a>(
    policy: &Policy,
    weighed: impl Iterator<Item = &'a Weighed<'a>> + Clone,
    end: Timestamp,
) -> Window {
    let start = start_of(policy, end);
    let inside = || weighed.clone().filter(|w| w.at > start && w.at <= end);
    let families = strongest(inside().filter(|w| w.counts()));
    let (score, rung) = highest_rung(policy, &families);
    let doubtful = inside().any(|w| w.reservation.is_some());
    let certain = !doubtful || {
        let sure = strongest(inside().filter(|w| w.reservation.is_none()));
        highest_rung(policy, &sure).1 == rung
    };
    Window {
        start,
        end,
        score,
        families,
        rung,
        certain,
        set_aside: if doubtful {
            aside(inside())
        } else {
            Vec::new()
        },
    }
}

/// The score and the highest rung that it reaches.
fn highest_rung(policy: &Policy, families: &[FamilyScore]) -> (u8, Option<usize>) {
    let score = noisy_or(families.iter().map(|f| f.weight));
    let rung = policy
        .rungs
        .iter()
        .position(|rung| reaches(rung, score, families.len()));
    (score, rung)
}

/// What conditions speak against, each signal once, by name.
fn aside<'a>(inside: impl Iterator<Item = &'a Weighed<'a>>) -> Vec<SetAside> {
    let mut found: BTreeMap<&SignalName, &ReservationGround> = BTreeMap::new();
    for weighed in inside {
        if let Some(ground) = weighed.reservation {
            found.entry(weighed.name).or_insert(ground);
        }
    }
    found
        .into_iter()
        .map(|(signal, ground)| SetAside {
            signal: signal.clone(),
            ground: ground.clone(),
        })
        .collect()
}

fn reaches(rung: &Rung, score: u8, families: usize) -> bool {
    rung.at <= score && usize::from(rung.families) <= families
}

/// The strongest signal of each family, strongest first. Among equals the
/// first by name, so that the order of arrival does not show.
fn strongest<'a>(signals: impl Iterator<Item = &'a Weighed<'a>>) -> Vec<FamilyScore> {
    let mut best = [const { None }; Family::ALL.len()];
    for signal in signals {
        let candidate = (signal.weight, Reverse(signal.name));
        let known: &mut Option<(u8, Reverse<&SignalName>)> = &mut best[signal.family as usize];
        *known = (*known).max(Some(candidate));
    }
    let mut families: Vec<FamilyScore> = Family::ALL
        .into_iter()
        .zip(best)
        .filter_map(|(family, strongest)| {
            let (weight, Reverse(name)) = strongest?;
            Some(FamilyScore {
                family,
                signal: name.clone(),
                weight,
            })
        })
        .collect();
    families.sort_by_key(|f| (Reverse(f.weight), f.family));
    families
}

/// 100 × (1 − Π(1 − wᵢ/100)), rounded half up: the probability, in percent,
/// that at least one of some independent weights is right.
///
/// At most one weight per family, so at most nine: 2 × 100 × 100⁹ fits `u128`
/// many times over.
pub(super) fn noisy_or(weights: impl IntoIterator<Item = u8>) -> u8 {
    let mut whole: u128 = 1;
    let mut missing: u128 = 1;
    for weight in weights {
        whole *= 100;
        missing *= u128::from(100 - weight.min(100));
    }
    let percent = (200 * (whole - missing) + whole) / (2 * whole);
    u8::try_from(percent).unwrap_or(100).min(100)
}

fn rung_verdict(policy: &Policy, index: usize) -> RungVerdict {
    let rung = &policy.rungs[index];
    RungVerdict {
        index: u8::try_from(index).unwrap_or(u8::MAX),
        at: rung.at,
        families: rung.families,
        intent: rung.intent.clone(),
        actions: rung.actions.clone(),
    }
}

/// What a rung comes to under its policy's mode.
fn effect_of(mode: Mode, intent: &Intent) -> Effect {
    match (mode, intent) {
        (Mode::Shadow, _) => Effect::Shadow,
        (Mode::Approve, _) | (Mode::Enforce, Intent::Ask { .. }) => Effect::Ask,
        (Mode::Enforce, Intent::Do) => Effect::Act,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{known, policy, signal, user};
    use super::*;
    use crate::model::ActionKind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Window 60 m; session 85/60, network 55/70, risk 55.
    fn stolen_session(mode: &str) -> Policy {
        policy(&format!(
            "policy: p
mode: {mode}
window: 60m
scope: {{ exclude: {{ users: [bob@contoso.example] }} }}
signals:
  session_hosting: 85
  session_client_change: 60
  impossible_travel: 55
  tor_exit: 70
  risk.anomalousToken: 55
rungs:
  - {{ at: 85, families: 2, do: [revoke_sessions, confirm_compromised] }}
  - {{ at: 60, do: [revoke_sessions], ask: {{ approvers: 2, expires: 10m }} }}
"
        ))
    }

    #[test]
    fn noisy_or_is_rounded_half_up() {
        let table: &[(&[u8], u8)] = &[
            (&[], 0),
            (&[55], 55),
            (&[100], 100),
            (&[85, 55], 93),
            (&[70, 60], 88),
            // 68.5
            (&[55, 30], 69),
            (&[50, 50], 75),
            // 99.5
            (&[90, 95], 100),
            (&[1, 1], 2),
            (&[99; 9], 100),
            (&[100, 100], 100),
        ];
        for (weights, expected) in table {
            assert_eq!(noisy_or(weights.iter().copied()), *expected, "{weights:?}");
        }
    }

    #[test]
    fn the_highest_rung_whose_score_and_families_are_reached_counts() {
        let policy = stolen_session("enforce");
        type Case<'a> = (&'a [&'a str], u8, Option<u8>, Option<Effect>);
        let table: &[Case<'_>] = &[
            (&[], 0, None, None),
            (&["something_else"], 0, None, None),
            (&["impossible_travel"], 55, None, None),
            (&["tor_exit"], 70, Some(60), Some(Effect::Ask)),
            // One family: the strongest counts, and it never reaches two.
            (
                &["session_hosting", "session_client_change"],
                85,
                Some(60),
                Some(Effect::Ask),
            ),
            (
                &["session_hosting", "impossible_travel"],
                93,
                Some(85),
                Some(Effect::Act),
            ),
            (
                &["impossible_travel", "tor_exit", "risk.anomalousToken"],
                87,
                Some(85),
                Some(Effect::Act),
            ),
        ];
        for (names, score, rung, effect) in table {
            let signals: Vec<Signal> = names.iter().map(|n| signal(n, 1_000)).collect();
            let verdict = evaluate(&policy, &user(), &signals, &[at(1_000)]);
            assert_eq!(verdict.score, *score, "{names:?}");
            assert_eq!(verdict.rung.as_ref().map(|r| r.at), *rung, "{names:?}");
            assert_eq!(verdict.effect, *effect, "{names:?}");
        }
    }

    #[test]
    fn the_mode_limits_the_effect_and_leaves_the_rung_as_written() {
        let both = [signal("session_hosting", 1_000), signal("tor_exit", 1_000)];
        let one = [signal("tor_exit", 1_000)];
        let table = [
            ("shadow", Effect::Shadow, Effect::Shadow),
            ("approve", Effect::Ask, Effect::Ask),
            ("enforce", Effect::Act, Effect::Ask),
        ];
        for (mode, acting, asking) in table {
            let policy = stolen_session(mode);
            let verdict = evaluate(&policy, &user(), &both, &[at(1_000)]);
            assert_eq!(verdict.effect, Some(acting), "{mode}");
            let rung = verdict.rung.unwrap();
            assert_eq!(rung.intent, Intent::Do);
            assert_eq!(rung.index, 0);
            assert_eq!(
                rung.actions,
                [ActionKind::RevokeSessions, ActionKind::ConfirmCompromised]
            );
            let verdict = evaluate(&policy, &user(), &one, &[at(1_000)]);
            assert_eq!(verdict.effect, Some(asking), "{mode}");
            assert_eq!(
                verdict.rung.unwrap().intent,
                Intent::Ask {
                    approvers: 2,
                    expires_seconds: 600
                }
            );
        }
    }

    #[test]
    fn the_window_includes_its_end_and_not_its_start() {
        let policy = stolen_session("enforce");
        for (end, score) in [(1_000, 93), (4_599, 93), (4_600, 85), (5_000, 85)] {
            let signals = [
                signal("impossible_travel", 1_000),
                signal("session_hosting", end),
            ];
            let verdict = evaluate(&policy, &user(), &signals, &[at(end)]);
            assert_eq!(verdict.score, score, "end {end}");
        }
        let signals = [signal("tor_exit", 1_001)];
        assert_eq!(evaluate(&policy, &user(), &signals, &[at(1_000)]).score, 0);
    }

    #[test]
    fn the_best_window_is_by_rung_then_score_then_the_earliest() {
        let policy = policy(
            "policy: p
window: 1m
signals: { session_hosting: 90, impossible_travel: 60, risk.anomalousToken: 65, tor_exit: 70 }
rungs:
  - { at: 85, families: 2, do: [revoke_sessions] }
  - { at: 60, do: [revoke_sessions] }
",
        );
        let signals = [
            signal("tor_exit", 1_000),
            // One family, 90: the lower rung.
            signal("session_hosting", 2_000),
            // Two families, 86: the higher rung, twice.
            signal("impossible_travel", 3_000),
            signal("risk.anomalousToken", 3_000),
            signal("impossible_travel", 4_000),
            signal("risk.anomalousToken", 4_000),
        ];
        let pick = |ends: &[i64]| {
            let ends: Vec<Timestamp> = ends.iter().map(|e| at(*e)).collect();
            let verdict = evaluate(&policy, &user(), &signals, &ends);
            (verdict.window_end.as_second(), verdict.score)
        };
        assert_eq!(pick(&[1_000, 2_000, 4_000, 3_000]), (3_000, 86));
        assert_eq!(pick(&[1_000, 2_000]), (2_000, 90));
        assert_eq!(pick(&[1_030, 1_000]), (1_000, 70));
        assert_eq!(pick(&[]), (0, 0));
    }

    #[test]
    fn a_user_out_of_scope_is_not_scored() {
        let bob = UserRef {
            principal_name: "Bob@contoso.example".into(),
            ..user()
        };
        let signals = [signal("session_hosting", 10), signal("tor_exit", 10)];
        let verdict = evaluate(&stolen_session("enforce"), &bob, &signals, &[at(10)]);
        assert!(verdict.out_of_scope);
        assert_eq!(
            (verdict.score, verdict.rung, verdict.effect),
            (0, None, None)
        );
        assert!(verdict.families.is_empty());
        assert_eq!(verdict.window_end, at(10));
    }

    #[test]
    fn families_stand_strongest_first_whatever_the_order_of_the_signals() {
        let policy = stolen_session("enforce");
        let mut signals = vec![
            signal("risk.anomalousToken", 10),
            signal("impossible_travel", 10),
            signal("session_hosting", 10),
        ];
        let forwards = evaluate(&policy, &user(), &signals, &[at(10)]);
        signals.reverse();
        assert_eq!(evaluate(&policy, &user(), &signals, &[at(10)]), forwards);
        let order: Vec<Family> = forwards.families.iter().map(|f| f.family).collect();
        assert_eq!(
            order,
            [Family::Session, Family::Network, Family::MicrosoftRisk]
        );
    }

    /// A policy that weighs every known signal, with three rungs.
    fn any_policy() -> impl Strategy<Value = Policy> {
        let weights = proptest::collection::vec(1_u8..=100, known().len());
        weights.prop_map(|weights| {
            let mut policy = policy(
                "policy: p
mode: enforce
window: 30m
signals: { tor_exit: 70, session_hosting: 85, risk.anomalousToken: 55 }
rungs:
  - { at: 90, families: 3, do: [revoke_sessions] }
  - { at: 70, families: 2, do: [revoke_sessions] }
  - { at: 40, do: [revoke_sessions], ask: {} }
",
            );
            let names = known().into_iter().zip(weights);
            policy.weights = names
                .map(|(known, weight)| {
                    let weight = super::super::Weight {
                        family: known.family,
                        weight,
                    };
                    (SignalName::new(known.name), weight)
                })
                .collect();
            policy
        })
    }

    fn any_signal() -> impl Strategy<Value = Signal> {
        (0..known().len(), 0_i64..7_200)
            .prop_map(|(index, second)| signal(known()[index].name, second))
    }

    fn any_signals() -> impl Strategy<Value = Vec<Signal>> {
        proptest::collection::vec(any_signal(), 0..12)
    }

    fn height(verdict: &PolicyVerdict) -> u8 {
        verdict.rung.as_ref().map_or(0, |rung| rung.at)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn one_signal_more_never_lowers_the_score_of_a_window(
            policy in any_policy(), signals in any_signals(), more in any_signal(), end in 0_i64..9_000,
        ) {
            let before = evaluate(&policy, &user(), &signals, &[at(end)]);
            let mut signals = signals;
            signals.push(more);
            let after = evaluate(&policy, &user(), &signals, &[at(end)]);
            prop_assert!(after.score >= before.score);
            prop_assert!(height(&after) >= height(&before));
        }

        #[test]
        fn one_signal_more_or_one_window_more_never_lowers_the_rung(
            policy in any_policy(), signals in any_signals(), more in any_signal(),
        ) {
            let ends: Vec<Timestamp> = signals.iter().map(|s| s.at).collect();
            let before = evaluate(&policy, &user(), &signals, &ends);
            let mut signals = signals;
            signals.push(more);
            let ends: Vec<Timestamp> = signals.iter().map(|s| s.at).collect();
            let after = evaluate(&policy, &user(), &signals, &ends);
            prop_assert!((height(&after), after.score) >= (height(&before), before.score));
        }

        #[test]
        fn the_order_of_signals_and_ends_does_not_show(
            policy in any_policy(), signals in any_signals(),
        ) {
            let mut ends: Vec<Timestamp> = signals.iter().map(|s| s.at).collect();
            let forwards = evaluate(&policy, &user(), &signals, &ends);
            let mut signals = signals;
            signals.reverse();
            ends.sort();
            prop_assert_eq!(evaluate(&policy, &user(), &signals, &ends), forwards);
        }

        #[test]
        fn a_family_counts_once_and_with_its_strongest_weight_at_most(
            policy in any_policy(), signals in any_signals(), end in 0_i64..9_000,
        ) {
            let verdict = evaluate(&policy, &user(), &signals, &[at(end)]);
            prop_assert!(verdict.score <= 100);
            for (i, family) in verdict.families.iter().enumerate() {
                let strongest = policy.weights.values()
                    .filter(|w| w.family == family.family)
                    .map(|w| w.weight)
                    .max();
                prop_assert!(Some(family.weight) <= strongest);
                prop_assert!(verdict.families[i + 1..].iter().all(|f| f.family != family.family));
            }
            if let [only] = &verdict.families[..] {
                prop_assert_eq!(verdict.score, only.weight);
            }
        }
    }
}
