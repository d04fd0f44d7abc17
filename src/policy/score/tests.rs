//! The arithmetic by hand, and what holds of any policy and any signals.

use proptest::prelude::*;

use super::super::fixtures::{known, minimal, policy, set, signal, user};
use super::*;
use crate::model::{ActionKind, PolicyName, Reservation};

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
    (0..known().len(), 0_i64..7_200).prop_map(|(index, second)| signal(known()[index].name, second))
}

fn any_signals() -> impl Strategy<Value = Vec<Signal>> {
    proptest::collection::vec(any_signal(), 0..12)
}

fn reserved(mut signal: Signal, ground: Option<ReservationGround>) -> Signal {
    signal.reservations = Vec::from_iter(ground.map(|ground| Reservation {
        policy: PolicyName::new("p"),
        ground,
    }));
    signal
}

/// Some undecided, some that do not count.
fn any_reserved_signals() -> impl Strategy<Value = Vec<Signal>> {
    let ground = prop_oneof![
        Just(None),
        Just(Some(ReservationGround::Undecided)),
        Just(Some(ReservationGround::When)),
    ];
    let signal = (any_signal(), ground);
    proptest::collection::vec(signal.prop_map(|(s, ground)| reserved(s, ground)), 0..12)
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
    fn a_signal_that_is_undecided_never_weakens_what_is_called_for(
        policy in any_policy(), signals in any_signals(), more in any_signal(),
    ) {
        let more = reserved(more, Some(ReservationGround::Undecided));
        let ends: Vec<Timestamp> = signals.iter().chain([&more]).map(|s| s.at).collect();
        let before = evaluate(&policy, &user(), &signals, &ends);
        let mut signals = signals;
        signals.push(more);
        let after = evaluate(&policy, &user(), &signals, &ends);
        prop_assert!(after.effect >= before.effect, "{before:?} {after:?}");
        // Nor does it make anything act that did not.
        let acts = |verdict: &PolicyVerdict| verdict.effect == Some(Effect::Act);
        prop_assert_eq!(acts(&after), acts(&before));
    }

    #[test]
    fn a_signal_that_does_not_count_changes_nothing_but_what_is_set_aside(
        policy in any_policy(), signals in any_signals(), more in any_signal(),
    ) {
        let more = reserved(more, Some(ReservationGround::When));
        let ends: Vec<Timestamp> = signals.iter().chain([&more]).map(|s| s.at).collect();
        let before = evaluate(&policy, &user(), &signals, &ends);
        let mut signals = signals;
        signals.push(more);
        let mut after = evaluate(&policy, &user(), &signals, &ends);
        after.set_aside.clear();
        prop_assert_eq!(after, before);
    }

    #[test]
    fn a_set_says_what_each_of_its_policies_says(
        policies in proptest::collection::vec(any_policy(), 1..4),
        signals in any_reserved_signals(),
    ) {
        let mut set = set(&minimal("p"));
        set.weighers = Weighers::of(&policies);
        set.policies = policies;
        let ends: Vec<Timestamp> = signals.iter().map(|s| s.at).collect();
        let each: Vec<PolicyVerdict> = set
            .policies
            .iter()
            .map(|policy| evaluate(policy, &user(), &signals, &ends))
            .collect();
        let all = scores(&set, &user(), &signals, &ends, Timestamp::MAX);
        let all: Vec<PolicyVerdict> = all.iter().map(|score| score.verdict(&signals)).collect();
        prop_assert_eq!(all, each);
    }

    #[test]
    fn the_order_of_signals_and_ends_does_not_show(
        policy in any_policy(), signals in any_reserved_signals(),
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
