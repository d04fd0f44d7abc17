//! The whole way from files to a report, by records written here.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::model::Effect;
use crate::policy::{PolicySet, Source};
use crate::ruleset;

const DAY: i64 = 86_400;

fn at(second: i64) -> String {
    let start: jiff::Timestamp = "2026-11-02T08:00:00Z".parse().unwrap();
    (start + jiff::SignedDuration::from_secs(second)).to_string()
}

/// A detection of Identity Protection.
fn risk(user: &str, kind: &str, second: i64) -> Value {
    let at = at(second);
    json!({ "category": "UserRiskEvents", "time": at, "properties": {
        "id": format!("{user}-{kind}-{second}"), "riskEventType": kind, "riskState": "atRisk",
        "riskLevel": "high", "activityDateTime": at, "detectedDateTime": at, "lastUpdatedDateTime": at,
        "userId": user, "userPrincipalName": format!("{user}@contoso.example"),
    }})
}

fn sign_in(user: &str, second: i64) -> Value {
    let at = at(second);
    json!({ "category": "SignInLogs", "time": at, "properties": {
        "id": format!("{user}-{second}"), "createdDateTime": at, "userId": user,
        "userPrincipalName": format!("{user}@contoso.example"), "status": { "errorCode": 0 },
        "ipAddress": "192.0.2.10", "autonomousSystemNumber": 3215,
    }})
}

/// A policy on one kind of detection that acts from 80 and asks from 40.
fn rules(weight: u8, guard: &str) -> Rules {
    let text = format!(
        "policy: risky\nmode: enforce\nwindow: 1h\nsignals: {{ risk.anomalousToken: {weight}, risk.other: 50, risk.never: 99 }}\n\
         rungs:\n  - {{ at: 80, do: [revoke_sessions] }}\n  - {{ at: 40, ask: {{ expires: 30m }}, do: [revoke_sessions] }}\n"
    );
    let sources = [("risky.yaml", text.as_str()), ("guard.yaml", guard)];
    let sources = sources.iter().filter(|(_, text)| !text.is_empty());
    let sources = sources.map(|(path, text)| Source {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    });
    Rules {
        from: "a test".to_owned(),
        set: PolicySet::compile(sources.collect(), &ruleset::known_signals()).unwrap(),
    }
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn compared(files: &[PathBuf], old: &Rules, new: &Rules, threads: usize) -> anyhow::Result<Report> {
    let intel = Intel::default();
    let backtest = Backtest {
        files,
        intel: &intel,
        old,
        new,
        threads,
    };
    backtest.run(&|_, _| {})
}

fn run(files: &[PathBuf], old: u8, new: u8) -> Report {
    compared(files, &rules(old, ""), &rules(new, ""), 2).unwrap()
}

/// (who, what changed) of each change.
fn changed(report: &Report) -> Vec<(&str, ChangeKind)> {
    let changes = report.changes.iter();
    changes.map(|c| (c.user.id.as_str(), c.change)).collect()
}

#[test]
fn a_heavier_weight_acts_on_whom_it_asked_about_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let records = [
        sign_in("ana", 0),
        risk("ana", "anomalousToken", 10),
        risk("ben", "other", 20),
    ];
    let file = write(dir.path(), "a.ndjson", &lines(&records));
    let report = run(&[file], 60, 90);
    assert_eq!(changed(&report), [("ana", ChangeKind::AskToAct)]);
    let change = &report.changes[0];
    let told = |outcome: &Option<CaseOutcome>| {
        let outcome = outcome.as_ref().unwrap();
        (outcome.effect, outcome.score, outcome.reason.clone())
    };
    assert_eq!(
        told(&change.old),
        (
            Effect::Ask,
            60,
            "risky: microsoft_risk 60 (risk.anomalousToken) = 60 ≥ 40, 1 family → ask: revoke_sessions"
                .to_owned()
        )
    );
    assert_eq!(
        (told(&change.new).0, told(&change.new).1),
        (Effect::Act, 90)
    );
    assert_eq!((report.input.events, report.new.users), (3, 2));
    let counts = |side: &SideReport| (side.cases.acted, side.cases.asked);
    assert_eq!((counts(&report.old), counts(&report.new)), ((0, 2), (1, 1)));
    assert_eq!(report.new.approvers.questions, 1);
    let queued = report.new.graph.unattended.map(|wait| wait.actions);
    assert_eq!(queued, Some(1));
}

#[test]
fn every_direction_of_a_change_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(
        dir.path(),
        "a.ndjson",
        &lines(&[risk("ana", "anomalousToken", 0)]),
    );
    let table = [
        (10, 90, Some(ChangeKind::NewlyActed)),
        (10, 60, Some(ChangeKind::NewlyAsked)),
        (60, 10, Some(ChangeKind::NoLongerAsked)),
        (90, 10, Some(ChangeKind::NoLongerActed)),
        (90, 60, Some(ChangeKind::ActToAsk)),
        (60, 60, None),
    ];
    for (old, new, expected) in table {
        let report = run(std::slice::from_ref(&file), old, new);
        let found: Vec<ChangeKind> = report.changes.iter().map(|c| c.change).collect();
        assert_eq!(found, Vec::from_iter(expected), "{old} to {new}");
    }
}

#[test]
fn the_same_theft_is_the_same_incident_though_another_record_opened_it() {
    let dir = tempfile::tempdir().unwrap();
    let records = [risk("ana", "anomalousToken", 0), risk("ana", "other", 600)];
    let file = write(dir.path(), "a.ndjson", &lines(&records));
    // At 10 the first record opens nothing.
    let report = run(&[file], 10, 60);
    assert_ne!(report.old.cases, Counts::default());
    assert_eq!(changed(&report), [], "asked about by both");
}

#[test]
fn the_guard_s_budget_counts_the_hour_of_the_records_and_protects_whom_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let guard = "guard:\n  protected: { users: [boss@contoso.example] }\n  acts_per_hour: 2\n";
    let mut records: Vec<Value> = (0..4)
        .map(|n| risk(&format!("user{n}"), "anomalousToken", n * 60))
        .collect();
    records.push(risk("later", "anomalousToken", 2 * 3_600));
    records.push(risk("boss", "anomalousToken", 2 * 3_600));
    let file = write(dir.path(), "a.ndjson", &lines(&records));
    let (old, new) = (rules(90, ""), rules(90, guard));
    let report = compared(&[file], &old, &new, 2).unwrap();
    assert_eq!(report.old.cases.acted, 6);
    assert_eq!((report.new.cases.acted, report.new.cases.asked), (3, 2));
    assert_eq!(report.new.protected, 1);
    assert_eq!(report.new.demoted.get("budget_spent"), Some(&2));
    assert_eq!(
        changed(&report),
        [
            ("boss", ChangeKind::NoLongerActed),
            ("user2", ChangeKind::ActToAsk),
            ("user3", ChangeKind::ActToAsk),
        ]
    );
}

#[test]
fn a_file_is_turned_round_though_its_first_dates_tell_no_order() {
    let dir = tempfile::tempdir().unwrap();
    // From the 13th back to the 1st: until the last row, which is the 30th of
    // the month before, day and month could be either.
    let mut csv =
        "Type,TimeGenerated,Id,RiskEventType,RiskState,UserId,AdditionalInfo\n".to_owned();
    let padding = "x".repeat(1_000);
    for row in 0..400 {
        let (day, minute) = (12 - row / 40, 59 - row % 40);
        csv += &format!(
            "AADUserRiskEvents,\"11/{day}/2026, 8:{minute:02}:00 AM\",u{row},anomalousToken,atRisk,u{row},{padding}\n"
        );
    }
    csv += "AADUserRiskEvents,\"10/30/2026, 8:00:00 AM\",old,anomalousToken,atRisk,old,\n";
    let file = write(dir.path(), "a.csv", &csv);
    let report = run(&[file], 60, 90);
    assert_eq!(report.input.events, 401);
    assert_eq!(report.input.newest_first.len(), 1);
}

#[test]
fn a_day_counts_each_case_once_for_each_effect_whatever_else_was_decided_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let shadow = "policy: quiet\nmode: shadow\nwindow: 1h\nsignals: { risk.anomalousToken: 70 }\n\
                  rungs: [{ at: 50, do: [revoke_sessions] }]\n";
    let records = [risk("ana", "anomalousToken", 0)];
    let file = write(dir.path(), "a.ndjson", &lines(&records));
    let report = compared(&[file], &rules(60, ""), &rules(60, shadow), 2).unwrap();
    let [day] = report.new.days.as_slice() else {
        panic!("one day");
    };
    let counts = |c: &Counts| (c.acted, c.asked, c.shadow);
    assert_eq!(counts(&day.counts), (0, 1, 1));
    assert_eq!(counts(&report.new.cases), (0, 1, 0), "the strongest");
}

#[test]
fn files_exported_apart_meet_again_in_time_and_newest_first_is_turned_round() {
    let dir = tempfile::tempdir().unwrap();
    // Ten days of two detections that count together only within the hour.
    let tokens: Vec<Value> = (0..10)
        .map(|day| risk(&format!("u{day}"), "anomalousToken", day * DAY))
        .collect();
    let others: Vec<Value> = (0..10)
        .map(|day| risk(&format!("u{day}"), "other", day * DAY + 60))
        .collect();
    let turned: Vec<Value> = others.iter().rev().cloned().collect();
    let mixed = tokens.iter().zip(&others).rev();
    let mixed: Vec<Value> = mixed.flat_map(|(a, b)| [b.clone(), a.clone()]).collect();
    let first = write(dir.path(), "a.ndjson", &lines(&tokens));
    let empty = write(dir.path(), "empty.ndjson", "");
    let table = [
        ("b.ndjson", lines(&others), &first, false),
        ("c.ndjson", lines(&turned), &first, true),
        ("d.json", Value::from(turned).to_string(), &first, true),
        ("e.ndjson", lines(&mixed), &empty, true),
    ];
    for (name, text, other, reversed) in table {
        let file = write(dir.path(), name, &text);
        let report = run(&[file.clone(), other.clone()], 60, 90);
        let named = [file.display().to_string()];
        let expected: &[String] = if reversed { &named } else { &[] };
        assert_eq!(report.input.newest_first, expected);
        // The score is that of the detection which came first and asked.
        let scores: Vec<u8> = report
            .changes
            .iter()
            .map(|change| change.old.as_ref().unwrap().score)
            .collect();
        assert_eq!(scores, [60; 10], "{name}");
        let days: Vec<u64> = report.old.days.iter().map(|day| day.counts.asked).collect();
        assert_eq!(days, [1; 10], "{name}");
        assert_eq!(report.old.approvers.median_day, 1.0);
    }
}

#[test]
fn records_that_do_not_decode_are_counted_and_the_first_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = lines(&[sign_in("ana", 0)]);
    text.push_str(&"not json\n".repeat(30));
    text.push_str(&lines(&[sign_in("ana", 60)]));
    let file = write(dir.path(), "a.ndjson", &text);
    let input = run(std::slice::from_ref(&file), 60, 60).input;
    assert_eq!(
        (input.records, input.events, input.undecodable),
        (32, 2, 30)
    );
    assert_eq!(input.undecodable_first.len(), 20);
    let named: Vec<usize> = input.undecodable_first.iter().map(|u| u.line).collect();
    assert_eq!(named, Vec::from_iter(2..22));
    assert_eq!(input.undecodable_first[0].file, file.display().to_string());
}

#[test]
fn one_thread_and_many_give_the_same_json_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    // Enough for several pieces of a file, lines that do not decode among them.
    let padding = "x".repeat(2_000);
    let mut texts = [String::new(), String::new(), String::new()];
    for n in 0..4_000_i64 {
        let user = format!("user{}", n % 97);
        let mut record = match n % 40 {
            0 => risk(&user, "anomalousToken", n * 60),
            20 => risk(&user, "other", n * 60 - 30),
            _ => sign_in(&user, n * 60),
        };
        record["padding"] = padding.as_str().into();
        let text = &mut texts[usize::try_from(n % 2).unwrap()];
        text.push_str(&format!("{record}\n"));
        if n % 500 == 0 {
            text.push_str("broken\n");
        }
        if n % 10 == 0 {
            texts[2].push_str(if n == 0 { "[" } else { ",\n" });
            texts[2].push_str(&sign_in("array", n * 60).to_string());
        }
    }
    texts[2].push(']');
    let files: Vec<PathBuf> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| write(dir.path(), &format!("{n}.json"), text))
        .collect();
    assert!(texts[0].len() > 3 * 1024 * 1024);
    let (old, new) = (rules(60, ""), rules(90, ""));
    let json = |threads| {
        let report = compared(&files, &old, &new, threads).unwrap();
        assert_eq!(report.input.events, 4_400);
        assert_eq!(report.input.undecodable, 8);
        assert!(!report.changes.is_empty());
        serde_json::to_string(&report).unwrap()
    };
    let one = json(1);
    for threads in [2, 3, 8] {
        assert!(json(threads) == one, "{threads} threads tell another story");
    }
}

#[test]
fn what_is_cut_into_pieces_is_what_is_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines_of_records = String::new();
    let mut array = String::from("[");
    // Nowhere to cut: a line stands between the records.
    let mut spaced = String::new();
    for n in 0..2_000_i64 {
        let mut record = sign_in("ana", n);
        record["padding"] = "}\n{".repeat(800).into();
        lines_of_records.push_str(&format!("{record}\n"));
        array.push_str(&format!("{}{record}\n", if n == 0 { "" } else { "," }));
        spaced.push_str(&format!("{record}\n\n"));
    }
    assert!(spaced.len() > 5 * 1024 * 1024, "{}", spaced.len());
    array.push(']');
    let cut = write(dir.path(), "cut.ndjson", &lines_of_records);
    let whole = write(dir.path(), "whole.json", &array);
    let spaced = write(dir.path(), "spaced.ndjson", &spaced);
    let (cut, whole) = (run(&[cut], 60, 60), run(&[whole], 60, 60));
    assert_eq!((cut.input.events, cut.input.undecodable), (2_000, 0));
    for other in [whole, run(&[spaced], 60, 60)] {
        assert_eq!(cut.input, other.input);
        assert_eq!(cut.new, other.new);
    }
}

#[test]
fn a_file_that_is_not_there_and_a_value_too_long_are_errors_that_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(17 * 1024 * 1024));
    let long = write(dir.path(), "long.ndjson", &long);
    for (path, expected) in [
        (dir.path().join("gone.ndjson"), "gone.ndjson: No such file"),
        (long, "longer than 16 MiB"),
    ] {
        let (old, new) = (rules(60, ""), rules(60, ""));
        let error = compared(&[path], &old, &new, 2).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn nothing_at_all_is_a_report_of_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "empty.ndjson", "");
    let report = run(&[file], 60, 90);
    assert_eq!((report.input.records, report.changes.len()), (0, 0));
    assert_eq!(report.new.approvers, Load::default());
}
