//! What compiles, what does not, and what an author is told.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::bad_files::{
    bad_files, with_exception, with_line, with_rungs, with_signals, with_workloads,
};
use super::fixtures::{known, minimal, policy, set, source};
use super::{PolicyErrors, PolicySet, Problem, Source};
use crate::model::{ActionKind, Intent, Mode, UserRef};

fn errors(text: &str) -> PolicyErrors {
    PolicySet::compile(vec![source(text)], &known()).unwrap_err()
}

fn file(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn joined(problems: &[Problem]) -> String {
    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
    texts.join("\n\n")
}

/// The warnings but for those that every small policy gives cause for.
fn surprises(set: &PolicySet) -> String {
    let small = ["no-owner", "no-protected-account"];
    let mut warnings = set.warnings.clone();
    warnings.retain(|warning| !small.contains(&warning.rule));
    joined(&warnings)
}

#[test]
fn what_is_wrong_is_told_with_its_place_what_was_seen_and_what_was_expected() {
    let mut told = String::new();
    for (label, text) in bad_files() {
        writeln!(told, "## {label}\n{}\n", errors(&text)).unwrap();
    }
    insta::assert_snapshot!("bad_files", told);
}

#[test]
fn all_problems_of_all_files_are_told_at_once_by_file_and_place() {
    let sources = vec![
        file("policies/z.yaml", &minimal("same")),
        file(
            "policies/b.yaml",
            "policy: b
mode: enfroce
window: 90
signals:
  impossible_travle: 55
  tor_exit: 700
rungs:
  - at: 60
    do: [revoke_session]
  - do: []
",
        ),
        file("policies/a.yaml", &minimal("same")),
        file("policies/c.yaml", "guard: {}"),
        file("policies/d.yaml", "guard: {}"),
    ];
    let errors = PolicySet::compile(sources, &known()).unwrap_err();
    insta::assert_snapshot!(errors.to_string(), @"
    policies/b.yaml:2:7: `mode` is `enfroce`
      2 | mode: enfroce
        |       ^^^^^^^
        = did you mean `enforce`?

    policies/b.yaml:3:9: `window` is `90`
      3 | window: 90
        |         ^^
        = expected a duration such as `60m` or `24h`, from 1m to 72h

    policies/b.yaml:5:3: `impossible_travle` is not a signal
      5 |   impossible_travle: 55
        |   ^^^^^^^^^^^^^^^^^
        = did you mean `impossible_travel`?

    policies/b.yaml:6:13: the weight of `tor_exit` is `700`
      6 |   tor_exit: 700
        |             ^^^
        = expected a whole number from 1 to 100

    policies/b.yaml:9:10: the action is `revoke_session`
      9 |     do: [revoke_session]
        |          ^^^^^^^^^^^^^^
        = did you mean `revoke_sessions`?

    policies/b.yaml:10:5: the rung has no `at`
      10 |   - do: []
         |     ^

    policies/b.yaml:10:9: `do` is an empty list
      10 |   - do: []
         |         ^

    policies/d.yaml:1:1: a guard is already in policies/c.yaml:1
      1 | guard: {}
        | ^^^^^

    policies/z.yaml:1:9: the policy `same` is already in policies/a.yaml:1
      1 | policy: same
        |         ^^^^
    ");
}

#[test]
fn a_whole_policy_means_what_it_says() {
    let policy = policy(
        "policy: p-1
description: A test.
owner: me
mode: enforce
window: 90m
scope:
  users: [alice@contoso.example, 6F2A9F0E-0D5C-4F0E-8C39-3F6F3B1F7A22]
  exclude: { users: [bob@contoso.example] }
signals: { tor_exit: 70, session_hosting: 85 }
rungs:
  - { at: 60, ask: { approvers: 2, expires: 45m, on_silence: deny }, do: [revoke_sessions] }
  - { at: 90, families: 2, do: [confirm_compromised, revoke_sessions] }
  - { at: 50, ask: {}, do: [revoke_sessions] }
",
    );
    assert_eq!(policy.name.as_str(), "p-1");
    assert_eq!((&*policy.description, &*policy.owner), ("A test.", "me"));
    assert_eq!(policy.mode, Mode::Enforce);
    assert_eq!(policy.window, SignedDuration::from_mins(90));
    let alice = super::fixtures::user();
    let bob = UserRef {
        principal_name: "bob@contoso.example".into(),
        ..alice.clone()
    };
    assert!(policy.scope.takes_in(&alice));
    assert!(!policy.scope.takes_in(&bob));
    let rungs: Vec<_> = policy
        .rungs
        .iter()
        .map(|r| (r.at, r.families, r.intent.clone()))
        .collect();
    let ask = |approvers, expires_seconds| Intent::Ask {
        approvers,
        expires_seconds,
    };
    assert_eq!(
        rungs,
        [
            (90, 2, Intent::Do),
            (60, 1, ask(2, 2_700)),
            (50, 1, ask(1, 1_800)),
        ]
    );
    assert_eq!(
        policy.rungs[0].actions,
        [ActionKind::ConfirmCompromised, ActionKind::RevokeSessions]
    );
}

#[test]
fn a_reset_compiles_where_a_human_is_asked_or_nothing_is_done() {
    let rungs = |asks| format!("[{{ at: 60, {asks}do: [reset_password] }}]");
    for (mode, asks) in [
        ("shadow", ""),
        ("approve", ""),
        ("approve", "ask: {}, "),
        ("enforce", "ask: {}, "),
    ] {
        let text = format!("mode: {mode}\n{}", with_rungs(&rungs(asks)));
        let actions = &policy(&text).rungs[0].actions;
        assert_eq!(actions[..], [ActionKind::ResetPassword], "{mode} {asks}");
    }
}

#[test]
fn a_policy_about_service_principals_compiles_where_a_human_is_asked_or_nothing_is_done() {
    let rungs = |asks| format!("[{{ at: 60, {asks}do: [confirm_compromised] }}]");
    for (mode, asks) in [
        ("shadow", ""),
        ("approve", ""),
        ("approve", "ask: {}, "),
        ("enforce", "ask: {}, "),
    ] {
        let excluded = ", exclude: { users: [6f2a9f0e-0d5c-4f0e-8c39-3f6f3b1f7a22] }";
        let text = format!("mode: {mode}\n{}", with_workloads(&rungs(asks), excluded));
        assert!(policy(&text).scope.workloads, "{mode} {asks}");
    }
    let text = with_line("scope: { workloads: false }");
    assert!(!policy(&text).scope.workloads);
}

#[test]
fn a_policy_is_in_shadow_unless_it_says_otherwise() {
    assert_eq!(policy(&minimal("p")).mode, Mode::Shadow);
}

#[test]
fn a_set_without_a_guard_file_gets_the_defaults_and_one_with_it_its_settings() {
    let guard = set(&minimal("p")).guard;
    assert_eq!(guard, super::Guard::default());
    let text = "guard:
  protected: { users: [breakglass@contoso.example] }
  stale_after: 2h
  acts_per_hour: 0
";
    let sources = vec![source(&minimal("p")), file("guard.yaml", text)];
    let guard = PolicySet::compile(sources, &known()).unwrap().guard;
    assert_eq!(guard.protected.len(), 1);
    assert_eq!(guard.stale_after, SignedDuration::from_hours(2));
    assert_eq!(guard.acts_per_hour, 0);
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let set = set("policy: p
mode: enforce
window: 60m
signals:
  session_hosting: 85
  tor_exit: 70
  risk.adminConfirmedUserCompromised: 100
  risk.anomalusToken: 55
  risk.somethingNew: 20
rungs:
  - at: 95
    ask: {}
    do: [revoke_sessions]
  - at: 80
    do: [revoke_sessions]
");
    insta::assert_snapshot!(surprises(&set), @"
    a.yaml:8:3: `risk.anomalusToken` is not a risk type that evictd knows
      8 |   risk.anomalusToken: 55
        |   ^^^^^^^^^^^^^^^^^^
        = did you mean `risk.anomalousToken`?

    a.yaml:9:3: `risk.somethingNew` is not a risk type that evictd knows
      9 |   risk.somethingNew: 20
        |   ^^^^^^^^^^^^^^^^^
        = it counts if Microsoft ever sends a risk of this type

    a.yaml:11:9: the rung at 95 asks, though the lower one at 80 acts
      11 |   - at: 95
         |         ^^
         = stronger evidence would only be asked about

    a.yaml:14:9: one signal alone acts unattended here: session_hosting (85)
      14 |   - at: 80
         |         ^^
         = ask for `families: 2`, or let the rung `ask`
    ");
}

#[test]
fn a_rung_that_acts_on_a_decisive_signal_or_only_asks_is_no_surprise() {
    let decisive = "policy: p
mode: enforce
window: 60m
signals: { risk.adminConfirmedUserCompromised: 100, tor_exit: 70 }
rungs: [{ at: 100, do: [revoke_sessions] }]
";
    let asks = minimal("p").replace("do:", "ask: {}, do:") + "mode: enforce\n";
    for text in [decisive, &asks, &minimal("p")] {
        assert_eq!(surprises(&set(text)), "", "{text}");
    }
}

#[test]
fn the_hash_follows_the_texts_and_not_where_they_lie() {
    let hash = |files: &[(&str, &str)]| {
        let sources = files.iter().map(|(path, text)| file(path, text)).collect();
        PolicySet::compile(sources, &known()).unwrap().hash
    };
    let (a, b) = (minimal("a"), minimal("b"));
    let first = hash(&[("x/a.yaml", &a), ("x/b.yaml", &b)]);
    assert_eq!(first, hash(&[("y/2.yaml", &a), ("y/1.yaml", &b)]));
    assert_ne!(first, hash(&[("x/a.yaml", &a)]));
    assert_ne!(
        first,
        hash(&[("x/a.yaml", &a), ("x/b.yaml", &format!("{b}#"))])
    );
    assert_eq!(first.len(), 12);
    // Stored with every decision: a change makes old decisions look foreign.
    assert_eq!(
        &*hash(&[(
            "a.yaml",
            "policy: a\nwindow: 1h\nsignals: { tor_exit: 70 }\nrungs: [{ at: 60, do: [revoke_sessions] }]\n"
        )]),
        "53814c836810"
    );
}

#[test]
fn anchors_within_reason_are_fine_and_a_byte_order_mark_is_ignored() {
    let text = "\u{feff}policy: p
window: 60m
signals: { tor_exit: &w 70, session_hosting: *w }
rungs: [{ at: 60, do: [revoke_sessions] }]
";
    assert_eq!(policy(text).weights.len(), 2);
}

#[test]
fn a_problem_behind_an_alias_is_told_where_the_alias_stands() {
    let text = with_signals("{ tor_exit: &w 700, session_hosting: *w }");
    let places: Vec<_> = errors(&text)
        .problems
        .iter()
        .map(|p| p.place.unwrap().column)
        .collect();
    assert_eq!(places, [25, 47]);
}

#[test]
fn bombs_are_refused_at_once() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let item = format!("*a{}", i - 1);
        let items = [item.as_str(); 9].join(", ");
        writeln!(laughs, "a{i}: &a{i} [{items}]").unwrap();
    }
    let nested_flow = "[".repeat(10_000);
    let nested_pairs = "{a: ".repeat(10_000);
    let nested_block = (0..10_000).fold(String::new(), |mut text, depth| {
        writeln!(text, "{}-", " ".repeat(depth.min(80))).unwrap();
        text
    });
    let nested_dashes = "- ".repeat(10_000);
    let wide = format!("policy: [{}]", "x, ".repeat(300_000));
    let merges = format!("a: &a {{ b: c }}\n{}", "<<: *a\n".repeat(10_000));
    let long_scalar = format!("policy: {}", "x".repeat(1_000_000));
    let mistakes = "x: 1\n".repeat(9_000);
    let bombs = [
        ("laughs", laughs),
        ("nested_flow", nested_flow),
        ("nested_pairs", nested_pairs),
        ("nested_block", nested_block),
        ("nested_dashes", nested_dashes),
        ("wide", wide),
        ("merges", merges),
        ("long_scalar", long_scalar),
        ("mistakes", mistakes),
    ];
    for (name, text) in bombs {
        let started = Instant::now();
        let told = errors(&text).to_string();
        // Milliseconds in practice; the bound only has to tell an explosion
        // from a slow machine.
        assert!(started.elapsed() < Duration::from_secs(10), "{name}");
        assert!(told.len() < 64 * 1024, "{name}: {} bytes", told.len());
    }
}

#[test]
fn lists_signals_and_exceptions_are_defined_once_and_used_by_name() {
    let set = PolicySet::compile(
        vec![
            file(
                "lists.yaml",
                "lists: { rooms: { users: [room@contoso.example] } }\nsignals:\n  custom.code: { description: a device code, family: protocol, weight: 45, when: event.sign_in.protocol == \"deviceCode\" }\n",
            ),
            file(
                "p.yaml",
                "policy: p
window: 60m
scope: { exclude: { lists: [rooms] } }
when: event.sign_in.succeeded
signals: { custom.code: default, tor_exit: 70 }
except:
  - { name: lab, when: event.network.asn == 64500, owner: ana, reason: the lab, until: 2027-01-31 }
rungs: [{ at: 60, do: [revoke_sessions] }]
",
            ),
        ],
        &known(),
    )
    .unwrap();
    let policy = &set.policies[0];
    assert_eq!(policy.scope.exclude.len(), 1);
    let code = policy
        .weights
        .iter()
        .find(|(name, _)| name.as_str() == "custom.code");
    assert_eq!(code.unwrap().1.weight, 45);
    assert_eq!(policy.exceptions[0].reason.as_ref(), "the lab");
    assert_eq!(
        policy.when.as_ref().unwrap().text(),
        "event.sign_in.succeeded"
    );
    assert_eq!(set.signals.len(), 1);
}

#[test]
fn an_override_changes_what_it_names_and_leaves_the_rest() {
    let base = "policy: p
owner: identity-team
mode: enforce
window: 60m
signals: { tor_exit: 70, session_hosting: 85, impossible_travel: 55 }
rungs: [{ at: 60, families: 2, do: [revoke_sessions] }]
";
    let change = "override: p
mode: approve
signals: { tor_exit: 50, impossible_travel: off, session_two_asns: 40 }
except:
  - { name: lab, when: event.network.asn == 64500, owner: ana, reason: the lab, until: 2027-01-31 }
";
    let compile = |change: &str| {
        let sources = vec![file("z.yaml", base), file("a.yaml", change)];
        PolicySet::compile(sources, &known())
    };
    let set = compile(change).unwrap();
    let policy = &set.policies[0];
    assert_eq!(
        (policy.mode, &*policy.owner),
        (Mode::Approve, "identity-team")
    );
    let weights: Vec<(&str, u8)> = policy
        .weights
        .iter()
        .map(|(name, weight)| (name.as_str(), weight.weight))
        .collect();
    assert_eq!(
        weights,
        [
            ("session_hosting", 85),
            ("session_two_asns", 40),
            ("tor_exit", 50)
        ]
    );
    assert_eq!(policy.exceptions.len(), 1);
    assert_ne!(
        set.hash,
        compile("override: p\nmode: approve\n").unwrap().hash
    );
    // A mistake is shown in the file that makes it.
    let errors =
        compile("override: p\nsignals: { tor_exti: 5, session_client_change: off }\n").unwrap_err();
    insta::assert_snapshot!("override_mistakes", errors.to_string());
}

#[test]
fn an_exception_is_warned_of_before_it_ends_and_an_error_afterwards() {
    let set = PolicySet::compile(vec![source(&with_exception(""))], &known()).unwrap();
    let told = |today: &str| {
        let (ended, ending) = crate::policy::expiring(&set.policies, today.parse().unwrap());
        (joined(&ended), joined(&ending))
    };
    assert_eq!(told("2027-01-17"), (String::new(), String::new()));
    assert!(told("2027-01-18").1.contains("ends on 2027-01-31"));
    assert!(told("2027-01-31").1.contains("ends on 2027-01-31"));
    insta::assert_snapshot!("exception_ended", told("2027-02-01").0);
}

#[test]
fn who_has_no_owner_and_who_protects_nobody_is_warned_of() {
    let acting = "mode: enforce\npolicy: p\nowner: o\nwindow: 1h\n\
                  signals: { tor_exit: 70, session_hosting: 85 }\n\
                  rungs: [{ at: 90, families: 2, do: [revoke_sessions] }]\n";
    let guarded = "guard: { protected: { users: [breakglass@contoso.example] } }\n";
    let table = [
        (acting.to_owned(), "", vec![("no-protected-account", 1)]),
        (
            acting.to_owned(),
            "guard: { acts_per_hour: 5 }\n",
            vec![("no-protected-account", 1)],
        ),
        (acting.to_owned(), guarded, vec![]),
        (acting.replace("enforce", "approve"), "", vec![]),
        (
            acting.replace("owner: o\n", ""),
            guarded,
            vec![("no-owner", 2)],
        ),
    ];
    for (policy, guard, expected) in table {
        let mut sources = vec![source(&policy)];
        if !guard.is_empty() {
            sources.push(file("guard.yaml", guard));
        }
        let set = PolicySet::compile(sources, &known()).unwrap();
        let warned: Vec<(&str, u32)> = set
            .warnings
            .iter()
            .map(|warning| (warning.rule, warning.place.unwrap().line))
            .collect();
        assert_eq!(warned, expected, "{policy}{guard}");
    }
}

#[test]
fn warnings_and_what_is_sound_are_told_beside_errors() {
    let broken = file("b.yaml", "policy: broken\n");
    let errors = PolicySet::compile(vec![source(&minimal("p")), broken], &known()).unwrap_err();
    let rules: Vec<(&str, &str)> = errors
        .warnings
        .iter()
        .map(|warning| (warning.path.as_str(), warning.rule))
        .collect();
    assert_eq!(rules, [("a.yaml", "no-owner"), ("b.yaml", "no-owner")]);
    let sound: Vec<&str> = errors.sound.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(sound, ["p"]);
}
