//! What people read, at a fixed time.

mod daemon;

use super::*;
use crate::model::{
    ActionId, ActionKind, CaseId, CaseStatus, CountryCode, Decision, DecisionId, DecisionView,
    Effect, Evidence, Family, FamilyScore, GuardReason, Intent, Mode, NetworkClass, Place,
    PolicyName, PolicyVerdict, Proof, ProofOutcome, RecordId, RungVerdict, SessionId, Sighting,
    Signal, SignalName, UserId, UserRef,
};
use ActionKind::{ConfirmCompromised, ResetPassword, RevokeSessions};

/// What is printed, without its colours, and no blanks at the ends of lines.
fn plain(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    print(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let text = anstream::adapter::strip_str(&text).to_string();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_500_000 + second).unwrap()
}

/// When it is printed: 38 minutes after the event.
fn now() -> Timestamp {
    at(38 * 60)
}

fn action(kind: ActionKind, state: ActionState) -> ActionView {
    let case = CaseId::derive(&UserId::new("u"), &RecordId::new("r1"));
    ActionView {
        id: ActionId::derive(&case, kind, &RecordId::new("r1")),
        kind,
        state,
        score: 91,
        approvers_needed: 0,
        approved_by: Vec::new(),
        denied_by: None,
        expires_at: None,
        attempts: 0,
        last_outcome: None,
        acknowledged_at: None,
        event_to_acknowledged_seconds: None,
    }
}

fn asked(kind: ActionKind, needed: u8, approved_by: &[&str]) -> ActionView {
    ActionView {
        approvers_needed: needed,
        approved_by: approved_by.iter().map(|&by| by.to_owned()).collect(),
        expires_at: Some(at(60 * 60)),
        ..action(kind, ActionState::AwaitingApproval)
    }
}

fn acknowledged(kind: ActionKind, outcome: &str) -> ActionView {
    ActionView {
        attempts: 1,
        last_outcome: Some(outcome.to_owned()),
        acknowledged_at: Some(at(4)),
        event_to_acknowledged_seconds: Some(4.21),
        ..action(kind, ActionState::Acknowledged)
    }
}

fn of(user: &str, actions: Vec<ActionView>) -> CaseView {
    let id = UserId::new(format!("id-of-{user}"));
    let mut case = CaseView {
        id: CaseId::derive(&id, &RecordId::new("r1")),
        user: UserRef {
            id,
            principal_name: user.into(),
            guest: false,
            workload: false,
        },
        status: CaseStatus::Shadow,
        score: 91,
        opened_at: at(3),
        updated_at: at(5),
        containment: Containment::default(),
        actions,
        decisions: Vec::new(),
        findings: Vec::new(),
        signals: Vec::new(),
    };
    case.derive(None);
    case
}

fn sighting(second: i64, city: &str, country: &str, class: NetworkClass) -> Sighting {
    Sighting {
        at: at(second),
        place: Place {
            city: Some(city.into()),
            country: CountryCode::parse(country),
            point: None,
        },
        asn: Some(64_500),
        prefix: None,
        class,
    }
}

/// A case with signals and a decision: divergence from Paris to a host in Lagos.
fn whole(actions: Vec<ActionView>, admission: Admission) -> CaseView {
    let signals = vec![
        Signal {
            name: SignalName::new("session_divergence"),
            family: Family::Session,
            at: at(0),
            record: RecordId::new("r1"),
            evidence: Evidence::Divergence {
                session: SessionId::new("0a1b2c3d-4e5f"),
                from: sighting(-1_800, "Paris", "FR", NetworkClass::Ordinary),
                to: sighting(0, "Lagos", "NG", NetworkClass::Hosting),
            },
            reservations: Vec::new(),
            asked: Vec::new(),
        },
        Signal {
            name: SignalName::new("tor_exit"),
            family: Family::Network,
            at: at(1),
            record: RecordId::new("r2"),
            evidence: Evidence::TorExit {
                sighting: sighting(1, "Lagos", "NG", NetworkClass::Tor),
                succeeded: true,
            },
            reservations: Vec::new(),
            asked: Vec::new(),
        },
    ];
    let case = of("ana@contoso.example", actions);
    let verdict = PolicyVerdict {
        policy: PolicyName::new("stolen-session"),
        mode: Mode::Enforce,
        window_start: at(-3_599),
        window_end: at(1),
        score: 91,
        families: vec![
            FamilyScore {
                family: Family::Session,
                signal: signals[0].name.clone(),
                weight: 70,
            },
            FamilyScore {
                family: Family::Network,
                signal: signals[1].name.clone(),
                weight: 70,
            },
        ],
        rung: Some(RungVerdict {
            index: 0,
            at: 85,
            families: 2,
            intent: Intent::Do,
            actions: vec![RevokeSessions, ConfirmCompromised],
        }),
        effect: Some(Effect::Act),
        out_of_scope: false,
        set_aside: Vec::new(),
    };
    let record = RecordId::new("r2");
    let decision = Decision {
        id: DecisionId::derive(&case.user.id, &record),
        case: case.id,
        opened_by: RecordId::new("r1"),
        record,
        user: case.user.clone(),
        at: at(1),
        effect: match admission {
            Admission::Demoted(_) => Effect::Ask,
            _ => Effect::Act,
        },
        score: 91,
        signals: signals.clone(),
        verdicts: vec![verdict],
        orders: Vec::new(),
        admission,
        policy_set: "3f9a01".into(),
    };
    CaseView {
        decisions: vec![DecisionView {
            decision,
            decided_at: at(3),
        }],
        signals: signals.into_iter().map(Into::into).collect(),
        ..case
    }
}

#[test]
fn a_list_is_aligned_and_says_what_is_asked() {
    let failed = ActionView {
        last_outcome: Some("403 Authorization_RequestDenied".to_owned()),
        ..action(RevokeSessions, ActionState::Failed)
    };
    let mut nameless = of("", vec![action(RevokeSessions, ActionState::Denied)]);
    nameless.opened_at = at(-3 * 86_400);
    let cases = [
        of("cem@contoso.example", vec![failed]),
        of(
            "ana@contoso.example",
            vec![
                asked(RevokeSessions, 2, &["kim"]),
                asked(ConfirmCompromised, 2, &["kim"]),
            ],
        ),
        of(
            "dee@contoso.example",
            vec![
                action(RevokeSessions, ActionState::Failed),
                asked(ConfirmCompromised, 1, &[]),
            ],
        ),
        of("bo@contoso.example", vec![asked(RevokeSessions, 1, &[])]),
        nameless,
        of(&"long".repeat(20), Vec::new()),
    ];
    insta::assert_snapshot!(plain(|out| list(out, &cases, now())), @r"
    CASE      STATUS            SCORE       AGE  USER                                              WHAT
    4ebd365a  failed               91    37 min  cem@contoso.example                               failed: revoke_sessions (403 Authorization_RequestDenied)
    0d633603  awaiting_approval    91    37 min  ana@contoso.example                               asks: revoke_sessions, confirm_compromised (1 of 2 approved, 22 min left)
    3740a053  failed               91    37 min  dee@contoso.example                               failed: revoke_sessions; asks: confirm_compromised (22 min left)
    19446b34  awaiting_approval    91    37 min  bo@contoso.example                                asks: revoke_sessions (22 min left)
    bf27da2c  denied               91       3 d  id-of-                                            revoke_sessions
    3c7b0b84  shadow               91    37 min  longlonglonglonglonglonglonglonglonglonglonglon…
    ");
    assert_eq!(plain(|out| list(out, &[], now())), "No cases.");
}

#[test]
fn a_contained_case_on_one_screen() {
    let actions = vec![
        acknowledged(RevokeSessions, "200"),
        ActionView {
            attempts: 3,
            ..acknowledged(ConfirmCompromised, "204")
        },
    ];
    let view = whole(actions, Admission::Admitted);
    insta::assert_snapshot!(plain(|out| case(out, &view, now())), @r"
    Case 0d633603-75fe-5162-888a-7e7a8ed20265  contained  score 91
    User ana@contoso.example  id-of-ana@contoso.example
    Opened 37 min ago, at 2026-11-24 06:00:03 Z
    Contained: Graph acknowledged 2026-11-24 06:00:04 Z; not proven yet

    Signals
      2026-11-24 06:00:00 Z  session_divergence       session 0a1b2c3d… began at Paris (FR), AS64500, 30 min later used from Lagos (NG), AS64500 hosting
      2026-11-24 06:00:01 Z  tor_exit                 signed in from a Tor exit (Lagos (NG), AS64500 tor)

    Decisions
      2026-11-24 06:00:03 Z  act    policies 3f9a01
        stolen-session: session 70 (session_divergence) ⊕ network 70 (tor_exit) = 91 ≥ 85, 2 families → act: revoke_sessions, confirm_compromised

    Actions
      revoke_sessions      acknowledged       200, 4.2 s after the event
      confirm_compromised  acknowledged       204, 3 attempts, 4.2 s after the event
    ");
}

#[test]
fn a_case_that_asks_says_why_who_has_answered_and_how_to() {
    let actions = vec![
        asked(RevokeSessions, 2, &["kim"]),
        ActionView {
            denied_by: Some("lee".to_owned()),
            ..action(ConfirmCompromised, ActionState::Denied)
        },
    ];
    let mut view = whole(actions, Admission::Demoted(GuardReason::BudgetSpent));
    view.user.guest = true;
    insta::assert_snapshot!(plain(|out| case(out, &view, now())), @r"
    Case 0d633603-75fe-5162-888a-7e7a8ed20265  awaiting_approval  score 91
    User ana@contoso.example  id-of-ana@contoso.example  guest: sessions of the home tenant are not revoked
    Opened 37 min ago, at 2026-11-24 06:00:03 Z

    Signals
      2026-11-24 06:00:00 Z  session_divergence       session 0a1b2c3d… began at Paris (FR), AS64500, 30 min later used from Lagos (NG), AS64500 hosting
      2026-11-24 06:00:01 Z  tor_exit                 signed in from a Tor exit (Lagos (NG), AS64500 tor)

    Decisions
      2026-11-24 06:00:03 Z  ask    policies 3f9a01
        stolen-session: session 70 (session_divergence) ⊕ network 70 (tor_exit) = 91 ≥ 85, 2 families → act: revoke_sessions, confirm_compromised
        guard: a human is asked first (budget_spent)

    Actions
      revoke_sessions      awaiting_approval  1 of 2 approvals, denied by silence in 22 min, approved by kim
      confirm_compromised  denied             denied by lee

    evictd cases approve 0d633603   or   evictd cases deny 0d633603
    ");
}

#[test]
fn a_failed_case_says_what_failed_why_and_what_was_done_all_the_same() {
    let failed = ActionView {
        attempts: 4,
        last_outcome: Some("given up after 24 h: timed out".to_owned()),
        ..action(ConfirmCompromised, ActionState::Failed)
    };
    let done = acknowledged(RevokeSessions, "200");
    let view = whole(vec![done, failed], Admission::Admitted);
    let text = plain(|out| case(out, &view, now()));
    let (_, actions) = text.split_once("Actions\n").unwrap();
    insta::assert_snapshot!(actions, @r"
    revoke_sessions      acknowledged       200, 4.2 s after the event
    confirm_compromised  failed             given up after 24 h: timed out, 4 attempts
    ");
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
fn how_far_an_eviction_has_come_is_one_line() {
    let line = |actions, proof| {
        let mut case = of("ana@contoso.example", actions);
        case.derive(proof);
        containment(&case.containment).unwrap_or("(no line)".to_owned())
    };
    let done = || acknowledged(RevokeSessions, "200");
    let later = ActionView {
        acknowledged_at: Some(at(900)),
        ..done()
    };
    let lines = [
        line(vec![asked(RevokeSessions, 1, &[])], None),
        line(vec![action(RevokeSessions, ActionState::Queued)], None),
        line(vec![done()], None),
        line(vec![done()], Some(proof(130, ProofOutcome::Proven))),
        line(vec![done()], Some(proof(130, ProofOutcome::Evaded))),
        line(vec![done(), later], Some(proof(130, ProofOutcome::Evaded))),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    (no line)
    Contained: not yet; the revoke is requested
    Contained: Graph acknowledged 2026-11-24 06:00:04 Z; not proven yet
    Contained: Graph acknowledged 2026-11-24 06:00:04 Z; proven 2026-11-24 06:02:10 Z (sign-in refused, record r9)
    EVADED 2026-11-24 06:02:10 Z: a sign-in from the attacker's address succeeded (record r9)
    EVADED 2026-11-24 06:02:10 Z: a sign-in from the attacker's address succeeded (record r9); Graph acknowledged another revoke 2026-11-24 06:15:00 Z
    ");
}

#[test]
fn two_rounds_in_one_case_are_both_shown_and_the_latest_counts() {
    let failed = ActionView {
        last_outcome: Some("403 Authorization_RequestDenied".to_owned()),
        ..action(ConfirmCompromised, ActionState::Failed)
    };
    let withdrawn = ActionView {
        last_outcome: Some("dismissed in Entra".to_owned()),
        ..action(ResetPassword, ActionState::Withdrawn)
    };
    let actions = vec![
        acknowledged(RevokeSessions, "200"),
        action(RevokeSessions, ActionState::Queued),
        failed,
        acknowledged(ConfirmCompromised, "204"),
        withdrawn,
    ];
    let mut view = whole(actions, Admission::Admitted);
    view.derive(Some(proof(31 * 60, ProofOutcome::Evaded)));
    let text = plain(|out| case(out, &view, now()));
    let (head, _) = text.split_once("\n\nSignals").unwrap();
    let (_, actions) = text.split_once("Actions\n").unwrap();
    insta::assert_snapshot!(format!("{head}\n{actions}"), @r"
    Case 0d633603-75fe-5162-888a-7e7a8ed20265  evaded  score 91
    User ana@contoso.example  id-of-ana@contoso.example
    Opened 37 min ago, at 2026-11-24 06:00:03 Z
    EVADED 2026-11-24 06:31:00 Z: a sign-in from the attacker's address succeeded (record r9)
      revoke_sessions      acknowledged       round 1, 200, 4.2 s after the event
      revoke_sessions      queued             round 2
      confirm_compromised  failed             round 1, 403 Authorization_RequestDenied
      confirm_compromised  acknowledged       round 2, 204, 4.2 s after the event
      reset_password       withdrawn          dismissed in Entra
    ");
    let listed = plain(|out| list(out, std::slice::from_ref(&view), now()));
    insta::assert_snapshot!(listed, @r"
    CASE      STATUS            SCORE       AGE  USER                 WHAT
    0d633603  evaded               91    37 min  ana@contoso.example  evaded 7 min ago
    ");
    view.actions.remove(1);
    view.derive(Some(proof(32 * 60, ProofOutcome::Proven)));
    let listed = plain(|out| list(out, std::slice::from_ref(&view), now()));
    let row = listed.lines().last().unwrap();
    assert!(
        row.ends_with("revoke_sessions, confirm_compromised, reset_password (proven)"),
        "{row}"
    );
}

#[test]
fn a_protected_account_is_left_alone_and_the_guard_says_so() {
    let actions = vec![action(RevokeSessions, ActionState::Refused)];
    let view = whole(actions, Admission::Refused(GuardReason::ProtectedAccount));
    let text = plain(|out| case(out, &view, now()));
    assert!(
        text.contains("guard: refused (protected_account); nothing was done"),
        "{text}"
    );
    assert!(!text.contains("evictd cases approve"), "{text}");
}

#[test]
fn what_was_judged_is_said_whatever_else_the_case_holds() {
    let judged = |judgement, actions| {
        let case = of("ana@contoso.example", actions);
        let text = plain(|out| judged(out, &case, judgement));
        text.replace(&case.id.short(), "ID")
    };
    let approved = ActionView {
        approved_by: vec!["kim".to_owned()],
        ..action(RevokeSessions, ActionState::Queued)
    };
    let denied = ActionView {
        denied_by: Some("kim".to_owned()),
        ..action(ConfirmCompromised, ActionState::Denied)
    };
    let failed = action(RevokeSessions, ActionState::Failed);
    let earlier = acknowledged(RevokeSessions, "200");
    let (yes, no) = (Judgement::Approve, Judgement::Deny);
    let table = [
        (
            yes,
            vec![
                approved.clone(),
                action(ConfirmCompromised, ActionState::Failed),
            ],
            "Approved: revoke_sessions for ana@contoso.example. `evictd cases show ID` follows it.",
        ),
        (
            yes,
            vec![asked(RevokeSessions, 2, &["kim"])],
            "Approved by 1 of 2; another person must approve ID.",
        ),
        // A no is never told as a yes, though the case stands elsewhere.
        (
            no,
            vec![denied.clone()],
            "Denied: confirm_compromised for ana@contoso.example.",
        ),
        (
            no,
            vec![failed, denied.clone()],
            "Denied: confirm_compromised for ana@contoso.example.",
        ),
        (
            no,
            vec![earlier, denied],
            "Denied: confirm_compromised for ana@contoso.example.",
        ),
    ];
    for (judgement, actions, expected) in table {
        assert_eq!(judged(judgement, actions), expected);
    }
}

#[test]
fn nothing_from_the_stream_reaches_the_terminal_as_it_is() {
    let hostile = "x\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\r\n";
    let mut view = whole(
        vec![ActionView {
            last_outcome: Some(hostile.to_owned()),
            approved_by: vec![hostile.to_owned()],
            denied_by: Some(hostile.to_owned()),
            ..action(RevokeSessions, ActionState::Failed)
        }],
        Admission::Admitted,
    );
    view.derive(Some(Proof {
        record: RecordId::new(hostile),
        ..proof(9, ProofOutcome::Evaded)
    }));
    view.user.principal_name = hostile.into();
    view.user.id = UserId::new(hostile);
    view.signals[0].text = hostile.to_owned();
    view.signals[0].signal.name = SignalName::new(hostile);
    view.decisions[0].decision.verdicts[0].families[0].signal = SignalName::new(hostile);
    let printed = [
        raw(|out| list(out, std::slice::from_ref(&view), now())),
        raw(|out| case(out, &view, now())),
        raw(|out| judged(out, &view, Judgement::Approve)),
    ];
    for text in printed {
        assert!(text.contains("\\u{202e}"), "{text:?}");
        // Our own colours apart.
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(
            !text.contains("]0;owned\u{7}") && !text.contains('\u{202e}'),
            "{text:?}"
        );
        let controls = text.chars().filter(|c| c.is_control() && *c != '\n');
        assert_eq!(controls.count(), 0, "{text:?}");
    }
}

fn raw(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    print(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_service_principal_is_called_one_wherever_it_is_named() {
    let mut view = of("Payroll Export", vec![asked(ConfirmCompromised, 1, &[])]);
    view.user.workload = true;
    let shown = plain(|out| case(out, &view, now()));
    let line = shown.lines().nth(1).unwrap();
    assert_eq!(
        line,
        "Service principal Payroll Export  id-of-Payroll Export"
    );
    let shown = plain(|out| judged(out, &view, Judgement::Deny));
    assert!(
        shown.contains("for service principal Payroll Export"),
        "{shown}"
    );
    // However long its name, the list says what it is.
    view.user.principal_name = "x".repeat(200).into();
    let shown = plain(|out| list(out, &[view], now()));
    assert!(shown.contains("service principal xxx"), "{shown}");
}

#[test]
fn what_a_case_turned_out_to_be_is_shown_with_who_says_so() {
    let mut view = of("ana@contoso.example", Vec::new());
    view.findings = vec![
        crate::model::Finding {
            truth: Truth::Theft,
            by: None,
            note: None,
            at: at(60),
        },
        crate::model::Finding {
            truth: Truth::Benign,
            by: Some("kim".to_owned()),
            note: Some("the new VPN\u{1b}[2J".to_owned()),
            at: at(120),
        },
    ];
    insta::assert_snapshot!(plain(|out| findings(out, &view)), @r"

    Findings
      2026-11-24 06:01:00 Z  theft  in Entra
      2026-11-24 06:02:00 Z  benign by kim: the new VPN\u{1b}[2J
    ");
    let shown = plain(|out| case(out, &view, now()));
    assert!(shown.contains("Findings"), "{shown}");
    view.findings.clear();
    assert!(!plain(|out| case(out, &view, now())).contains("Findings"));
}
