//! What an author reads, kept as snapshots.

use std::collections::BTreeMap;

use clap::Parser;

use super::*;
use crate::backtest::{
    CaseOutcome, Change, ChangeKind, Counts, DayRow, Input, Load, Peak, PolicyRow, Quotas,
    SideReport, Unread, Wait,
};
use crate::model::{CaseId, Effect, GuardReason, Mode, RecordId, UserId, UserRef};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn counts(acted: u64, asked: u64, shadow: u64) -> Counts {
    Counts {
        acted,
        asked,
        shadow,
    }
}

fn side(acted: u64, asked: u64) -> SideReport {
    let all = counts(acted, asked, 1);
    let stolen = "stolen-session".to_owned();
    SideReport {
        policies_from: "policies".to_owned(),
        policy_set: format!("{:012x}", 0xabc + acted),
        cases: all,
        protected: 1,
        demoted: BTreeMap::from([("budget_spent", 2)]),
        policies: vec![
            PolicyRow {
                policy: stolen.clone(),
                mode: Mode::Enforce,
                counts: counts(acted, asked, 0),
            },
            PolicyRow {
                policy: "device-code".to_owned(),
                mode: Mode::Shadow,
                counts: counts(0, 0, 1),
            },
        ],
        days: vec![DayRow {
            day: "2026-11-02".to_owned(),
            counts: all,
            policies: BTreeMap::from([(stolen, all)]),
        }],
        approvers: Load {
            questions: asked,
            median_day: 0.5,
            worst_day: Some(Peak {
                at: at("2026-11-02T00:00:00Z"),
                count: asked,
            }),
            worst_hour: Some(Peak {
                at: at("2026-11-02T08:00:00Z"),
                count: asked,
            }),
            open_at_once: None,
        },
        graph: Quotas {
            unattended: None,
            all_approved: Some(Wait {
                hour: at("2026-11-02T08:00:00Z"),
                actions: 480,
                longest_seconds: 20.0,
            }),
        },
        duplicates: 3,
        users: 240,
    }
}

fn outcome(user: &str, effect: Effect, score: u8) -> CaseOutcome {
    CaseOutcome {
        case: CaseId::derive(&UserId::new(user), &RecordId::new("r")),
        effect,
        at: at("2026-11-02T08:10:00Z"),
        score,
        reason: format!(
            "stolen-session: network {score} (tor_exit) = {score} ≥ 70, 1 family → {effect}: revoke_sessions"
        ),
        guard: (effect == Effect::Ask).then_some(GuardReason::BudgetSpent),
    }
}

fn change(user: &str, change: ChangeKind, old: Option<Effect>, new: Option<Effect>) -> Change {
    Change {
        change,
        user: UserRef {
            id: UserId::new(format!(
                "6f2a9f{:02}-0d5c-4f0e-8c39-3f6f3b1f7a11",
                user.len() % 100
            )),
            principal_name: format!("{user}@contoso.example").into(),
            guest: false,
            workload: false,
        },
        old: old.map(|effect| outcome(user, effect, 70)),
        new: new.map(|effect| outcome(user, effect, 90)),
    }
}

fn report() -> Report {
    Report {
        input: Input {
            files: 2,
            records: 1_010,
            events: 1_000,
            passed_over: BTreeMap::from([("ProvisioningLogs", 9)]),
            undecodable: 1,
            undecodable_first: vec![Unread {
                file: "exports/november.json".to_owned(),
                line: 7,
                reason: "properties.createdDateTime: saw \"ana\", expected a time".to_owned(),
            }],
            first: Some(at("2026-11-01T00:00:00Z")),
            last: Some(at("2026-11-03T00:00:00Z")),
            newest_first: vec!["exports/november.json".to_owned()],
        },
        old: side(1, 4),
        new: side(2, 3),
        changes: vec![
            change("ana", ChangeKind::NewlyActed, None, Some(Effect::Act)),
            change("li", ChangeKind::NoLongerAsked, Some(Effect::Ask), None),
        ],
        left_out: 0,
    }
}

fn as_text(report: &Report) -> String {
    let mut bytes = Vec::new();
    text::print(&mut bytes, report).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_text_says_what_changes_for_whom() {
    insta::assert_snapshot!(as_text(&report()));
}

#[test]
fn the_markdown_is_masked_and_says_the_same() {
    let mut report = report();
    report.mask();
    let page = markdown::page(&report);
    for name in ["ana", "contoso", "li@"] {
        assert!(!page.contains(name), "{name} is in {page}");
    }
    insta::assert_snapshot!(page);
}

#[test]
fn a_page_keeps_its_bound_whatever_it_is_given() {
    let hostile = "@<|".repeat(200);
    let mut report = report();
    for n in 0..3_000_usize {
        let kind = ChangeKind::ALL[n % ChangeKind::ALL.len()];
        report
            .changes
            .push(change(&hostile, kind, Some(Effect::Ask), Some(Effect::Act)));
        report.new.policies.push(PolicyRow {
            policy: format!("{n}{hostile}"),
            mode: Mode::Shadow,
            counts: Counts::default(),
        });
        report.new.days.push(DayRow {
            day: format!("day {n:05}"),
            counts: counts(u64::MAX, u64::MAX, 0),
            policies: BTreeMap::new(),
        });
    }
    report.input.newest_first = vec![hostile.clone(); 3_000];
    report.input.undecodable = 5_000;
    report.input.undecodable_first = vec![
        Unread {
            file: hostile.clone(),
            line: 1,
            reason: hostile,
        };
        20
    ];
    let page = markdown::page(&report);
    let length = page.chars().count();
    assert!(length <= 60_000, "{length} characters");
    assert!(length > 40_000, "the room is used: {length}");
    let count = |text: &str| page.matches(text).count();
    assert_eq!(
        count("<details>"),
        count("</details>"),
        "all folds are closed"
    );
    assert!(page.contains("more policies") && page.contains("earlier days"));
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: BacktestArgs,
}

#[test]
fn the_command_line_wants_records_and_the_changed_policies() {
    let table = [
        ("--policies p f.ndjson", true),
        (
            "--policies p --against o f.ndjson g.ndjson --strict --mask",
            true,
        ),
        ("--policies p --config c --since 90d", true),
        ("--policies p", false),
        ("f.ndjson", false),
        ("--policies p --since 90d", false),
        ("--policies p --config c --since 90d f.ndjson", false),
        ("--policies p --config c --since tomorrow", false),
        ("--policies p --mask --names f.ndjson", false),
        ("--policies p --threads 0 f.ndjson", false),
    ];
    for (line, fine) in table {
        let words = std::iter::once("backtest").chain(line.split_whitespace());
        let parsed = Line::try_parse_from(words);
        assert_eq!(parsed.is_ok(), fine, "{line}: {parsed:?}");
    }
}

#[test]
fn without_kept_records_since_says_what_to_do_instead() {
    let now = at("2026-11-24T00:00:00Z");
    let state = tempfile::tempdir().unwrap();
    let error = segments_since(state.path(), now).unwrap_err().to_string();
    assert!(
        error.contains("no records are kept since 2026-11-24T00:00:00Z"),
        "{error}"
    );
    assert!(
        error.contains("files can be named instead of --since"),
        "{error}"
    );
}
