//! The policies that ship do what their comments promise.

use jiff::Timestamp;

use super::known_signals;
use crate::model::{
    Effect, Evidence, Family, Mode, PolicyVerdict, RecordId, Signal, SignalName, UserId, UserRef,
};
use crate::policy::{PolicySet, evaluate, explain, shipped};

/// Its family and evidence do not matter here: a policy takes the family from
/// what it was compiled with.
fn signal(name: &str, second: i64) -> Signal {
    Signal {
        name: SignalName::new(name),
        family: Family::Behaviour,
        at: Timestamp::from_second(second).unwrap(),
        record: RecordId::new(format!("{name}@{second}")),
        evidence: Evidence::Change {
            what: "any".into(),
            subject: None,
            sighting: None,
        },
        reservations: Vec::new(),
        asked: Vec::new(),
    }
}

fn user() -> UserRef {
    UserRef {
        id: UserId::new("6f2a9f0e-0d5c-4f0e-8c39-3f6f3b1f7a11"),
        principal_name: "alice@contoso.example".into(),
        guest: false,
        workload: false,
    }
}

fn set() -> PolicySet {
    PolicySet::compile(shipped(), &known_signals()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn judge(policy: &str, names: &[&str]) -> PolicyVerdict {
    let set = set();
    let policy = set
        .policies
        .iter()
        .find(|p| p.name.as_str() == policy)
        .unwrap();
    let signals: Vec<_> = names.iter().map(|name| signal(name, 1_000)).collect();
    let end = Timestamp::from_second(1_000).unwrap();
    let subject = UserRef {
        workload: policy.scope.workloads,
        ..user()
    };
    evaluate(policy, &subject, &signals, &[end])
}

#[test]
fn they_compile_without_a_warning() {
    let set = set();
    assert_eq!(set.warnings, []);
    let names: Vec<_> = set
        .policies
        .iter()
        .map(|p| (p.name.as_str(), p.mode))
        .collect();
    assert_eq!(
        names,
        [
            ("identity-protection", Mode::Shadow),
            ("risky-network", Mode::Approve),
            ("stolen-credentials", Mode::Approve),
            ("stolen-session", Mode::Enforce),
            ("workload-identity", Mode::Approve),
        ]
    );
}

#[test]
fn the_guard_protects_the_break_glass_account_of_the_example() {
    let breakglass = UserRef {
        principal_name: "BreakGlass@contoso.example".into(),
        ..user()
    };
    let guard = set().guard;
    assert!(guard.protected.holds(&breakglass));
    assert!(!guard.protected.holds(&user()));
}

#[test]
fn each_policy_does_what_its_comments_promise() {
    use Effect::{Act, Ask, Shadow};
    type Case<'a> = (&'a str, &'a [&'a str], u8, Option<Effect>);
    let table: &[Case<'_>] = &[
        (
            "stolen-session",
            &["session_hosting", "impossible_travel"],
            93,
            Some(Act),
        ),
        (
            "stolen-session",
            &["tor_exit", "risk.anonymizedIPAddress"],
            88,
            Some(Act),
        ),
        (
            "stolen-session",
            &["risk.attackerinTheMiddle", "impossible_travel"],
            93,
            Some(Act),
        ),
        (
            "stolen-session",
            &["impossible_travel", "risk.unlikelyTravel"],
            69,
            Some(Ask),
        ),
        ("stolen-session", &["session_hosting"], 85, Some(Ask)),
        ("stolen-session", &["tor_exit"], 70, None),
        ("stolen-session", &["risk.anomalousToken"], 55, None),
        (
            "stolen-session",
            &["risk.anomalousToken", "risk.newCountry"],
            55,
            None,
        ),
        ("stolen-session", &["device_code"], 45, None),
        (
            "stolen-session",
            &["device_code", "script_user_agent"],
            59,
            None,
        ),
        (
            "stolen-session",
            &["ropc", "script_user_agent"],
            66,
            Some(Ask),
        ),
        ("stolen-session", &["device_code_broker"], 80, Some(Ask)),
        ("stolen-session", &["kit_user_agent"], 80, Some(Ask)),
        (
            "stolen-session",
            &["device_code_broker", "impossible_travel"],
            91,
            Some(Act),
        ),
        (
            "stolen-session",
            &["device_code", "impossible_travel"],
            75,
            Some(Ask),
        ),
        ("risky-network", &["tor_exit"], 70, Some(Ask)),
        ("risky-network", &["session_two_asns"], 55, None),
        ("risky-network", &["impossible_travel"], 45, None),
        ("risky-network", &["tor_exit_failed"], 15, None),
        (
            "identity-protection",
            &["risk.attackerinTheMiddle"],
            85,
            Some(Shadow),
        ),
        ("identity-protection", &["risk.anomalousToken"], 0, None),
        (
            "workload-identity",
            &["risk.leakedCredentials"],
            80,
            Some(Ask),
        ),
        (
            "workload-identity",
            &["risk.suspiciousSignins"],
            60,
            Some(Ask),
        ),
        (
            "workload-identity",
            &["risk.anomalousToken", "tor_exit"],
            0,
            None,
        ),
    ];
    for (policy, names, score, effect) in table {
        let verdict = judge(policy, names);
        assert_eq!(
            (verdict.score, verdict.effect),
            (*score, *effect),
            "{policy} {names:?}"
        );
    }
}

#[test]
fn users_and_service_principals_are_judged_by_policies_of_their_own() {
    let set = set();
    let names: Vec<&str> = known_signals().iter().map(|known| known.name).collect();
    let signals: Vec<_> = names.iter().map(|name| signal(name, 1_000)).collect();
    let end = Timestamp::from_second(1_000).unwrap();
    for workload in [false, true] {
        let subject = UserRef { workload, ..user() };
        for policy in &set.policies {
            let verdict = evaluate(policy, &subject, &signals, &[end]);
            let theirs = (policy.name.as_str() == "workload-identity") == workload;
            assert_eq!(verdict.out_of_scope, !theirs, "{} {workload}", policy.name);
            assert_eq!(verdict.effect.is_some(), theirs, "{}", policy.name);
        }
    }
}

#[test]
fn one_family_alone_never_acts_unless_it_is_decisive() {
    // Of these a human, or nobody but a thief, has made sure (signals.md,
    // "Independent evidence").
    let decisive = [
        "risk.adminConfirmedUserCompromised",
        "risk.attemptedPrtAccess",
        "prt_by_device_code",
        "containment_evaded",
    ];
    let known = known_signals();
    for family in known.iter().map(|k| k.family) {
        let names: Vec<&str> = known
            .iter()
            .filter(|k| k.family == family && !decisive.contains(&k.name))
            .map(|k| k.name)
            .collect();
        for policy in [
            "stolen-session",
            "stolen-credentials",
            "risky-network",
            "identity-protection",
            "workload-identity",
        ] {
            assert_ne!(judge(policy, &names).effect, Some(Effect::Act), "{names:?}");
        }
    }
}

#[test]
fn a_decisive_signal_acts_alone() {
    for name in [
        "risk.adminConfirmedUserCompromised",
        "risk.attemptedPrtAccess",
        "prt_by_device_code",
        "containment_evaded",
    ] {
        let verdict = judge("stolen-session", &[name]);
        assert_eq!(verdict.effect, Some(Effect::Act), "{name}");
    }
}

#[test]
fn a_verdict_is_explained_by_its_arithmetic() {
    let bob = || {
        let mut verdict = judge("stolen-session", &[]);
        verdict.out_of_scope = true;
        verdict
    };
    let lines = [
        explain(&judge(
            "stolen-session",
            &["impossible_travel", "session_hosting"],
        )),
        explain(&judge("stolen-session", &["session_hosting"])),
        explain(&judge("stolen-session", &["tor_exit"])),
        explain(&judge(
            "identity-protection",
            &["risk.attackerinTheMiddle", "tor_exit"],
        )),
        explain(&judge("stolen-session", &[])),
        explain(&bob()),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    stolen-session: session 85 (session_hosting) ⊕ network 55 (impossible_travel) = 93 ≥ 90, 2 families → act: revoke_sessions, confirm_compromised
    stolen-session: session 85 (session_hosting) = 85 ≥ 80, 1 family → ask: revoke_sessions, confirm_compromised
    stolen-session: network 70 (tor_exit) = 70, 1 family → no rung
    identity-protection: microsoft_risk 85 (risk.attackerinTheMiddle) = 85 ≥ 80, 1 family → shadow: revoke_sessions, confirm_compromised
    stolen-session: no signal that it weighs
    stolen-session: the user is out of its scope
    ");
}
