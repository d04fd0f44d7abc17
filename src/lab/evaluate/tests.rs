//! The evaluation repeats, misses nothing it claims to play, and scores
//! foreign records by their labels.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::attacks::{Scenario, Stage};
use super::habits::HABITS;
use super::people::{Label, OFFICE_HOME, sign_in};
use super::population::{Day, Population, Truth};
use super::*;
use crate::model::{Event, SessionId};

const USERS: u32 = 30;
const DAYS: u32 = 9;

fn json(seed: u64, ablate: bool) -> String {
    let policies = ruleset::load(None).unwrap();
    let result = evaluate(USERS, DAYS, seed, &policies, ablate);
    serde_json::to_string_pretty(&result).unwrap()
}

/// A theft that the shipped policies have always asked about: a new session
/// through Tor, with the victim's password.
fn by_tor(stage: &mut Stage<'_>, _variation: &'static str) {
    let spot = stage.world.tor(stage.dice);
    let session = SessionId::new("a thief's");
    let at = stage.at(0);
    let machine = stage.victim.laptop.clone();
    let event = sign_in(stage.victim, at, spot, &machine, &session, OFFICE_HOME);
    stage.emit(Event::SignIn(Box::new(event)));
}

fn nothing(_stage: &mut Stage<'_>, _variation: &'static str) {}

fn scenario(name: &'static str, play: fn(&mut Stage<'_>, &'static str)) -> Scenario {
    Scenario {
        name,
        summary: "for a test",
        technique: "T1078",
        microsoft_high: true,
        variations: &["once"],
        play,
    }
}

#[test]
fn the_same_seed_gives_the_same_document_and_another_seed_another() {
    let first = json(5, true);
    assert_eq!(first, json(5, true));
    assert_ne!(json(5, false), json(6, false));
}

#[test]
fn every_habit_occurs_among_two_thousand_people() {
    let population = Population::attacked_by(2_000, 14, 1, &[]);
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for day in population.stream() {
        found.extend(day.user_days_by_habit.keys());
    }
    let missing: Vec<&str> = HABITS
        .into_iter()
        .filter(|habit| !found.contains(habit))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unlisted: Vec<&&str> = found
        .iter()
        .filter(|habit| !HABITS.contains(habit))
        .collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn the_stream_is_ordered_by_arrival_and_nothing_arrives_before_it_happens() {
    let population = Population::new(USERS, DAYS, 3);
    let mut last = None;
    let mut events = 0;
    for Day { deliveries, .. } in population.stream() {
        for delivery in deliveries {
            assert!(last <= Some(delivery.arrives), "{delivery:?}");
            assert!(delivery.event.at() <= delivery.arrives, "{delivery:?}");
            last = Some(delivery.arrives);
            events += 1;
        }
    }
    assert!(events > 1_000, "{events}");
}

#[test]
fn a_victim_lives_an_ordinary_life_until_the_attack_and_none_after() {
    let population = Population::attacked_by(1, 30, 2, &[scenario("by_tor", by_tor)]);
    let truths = population.truths();
    let of_victim: Vec<_> = population
        .stream()
        .flat_map(|day| day.deliveries)
        .filter(|delivery| truths[&delivery.event.user().id] == Truth::Victim(0))
        .collect();
    let attack = of_victim
        .iter()
        .find(|delivery| delivery.label == Label::Attack(0))
        .unwrap()
        .event
        .at();
    let benign: Vec<_> = of_victim
        .iter()
        .filter(|delivery| matches!(delivery.label, Label::Benign(_)))
        .collect();
    assert!(benign.len() > 50, "{}", benign.len());
    assert!(benign.iter().all(|delivery| delivery.event.at() < attack));
}

#[test]
fn an_attack_is_told_by_its_rung_and_one_that_nothing_shows_misses_the_target() {
    let policies = ruleset::load(None).unwrap();
    let scenarios = [scenario("by_tor", by_tor), scenario("nothing", nothing)];
    let population = Population::attacked_by(5, 14, 2, &scenarios);
    let (tally, _) = pass(&population, &policies, true, false);
    assert!(tally.runs[0].effect.is_some());
    assert_eq!(tally.runs[0].reached, Some((1, 0)));
    assert_eq!(tally.runs[1].effect, None);
    assert_eq!(tally.runs[1].reached, None);
}

const RECORD: &str = r#"{"category":"SignInLogs","time":"2026-09-07T08:00:00Z","properties":{"id":"ID","userId":"USER","createdDateTime":"2026-09-07T08:00:00Z","status":{"errorCode":0},"appId":"4765445b-32c6-49b0-83e6-1d93765276ca","userAgent":"AGENT","ipAddress":"198.51.100.7"}}"#;

fn record(id: &str, user: &str, agent: &str) -> String {
    let record = RECORD.replace("ID", id).replace("USER", user);
    record.replace("AGENT", agent)
}

fn score(dir: &Path, labels: &str) -> anyhow::Result<foreign::Scored> {
    let file = dir.join("records.ndjson");
    let lines = [
        record("r1", "ann", "Mozilla/5.0"),
        record("r2", "bob", "axios/1.7.2"),
        record("r3", "eve", "Mozilla/5.0"),
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    fs::write(dir.join("records.ndjson.labels.json"), labels).unwrap();
    let policies = ruleset::load(None).unwrap();
    let intel = crate::detect::intel::Intel::default();
    foreign::score(&[file], Engine::new(&intel, &policies, true), false)
}

#[test]
fn foreign_records_are_scored_by_their_labels() {
    let dir = tempfile::tempdir().unwrap();
    let labels = r#"{"r1":"benign","r2":"kit","gone":"benign"}"#;
    let scored = score(dir.path(), labels).unwrap();
    assert_eq!((scored.users, scored.days.all), (1, 1));
    assert_eq!(scored.tally.benign_events, 1);
    let attack = &scored.attacks[0];
    assert_eq!((&*attack.scenario, &*attack.variation), ("kit", "bob"));
    assert!(attack.detected(), "{attack:?}");
    assert_eq!(
        scored.warnings,
        [
            "records: 1 records have no label (by their properties.id) and count for nothing",
            "records: 1 labels name no record of the file",
        ]
    );
}

#[test]
fn each_victim_of_a_scenario_counts_and_only_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let labels = r#"{"r1":"kit","r2":"kit","r3":"kit"}"#;
    let scored = score(dir.path(), labels).unwrap();
    let mut found: Vec<(&str, bool)> = scored
        .attacks
        .iter()
        .map(|attack| (&*attack.variation, attack.detected()))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [("ann", false), ("bob", true), ("eve", false)]);
    assert_eq!((scored.users, scored.days.all), (0, 0));
}

#[test]
fn nothing_is_promised_of_what_the_records_do_not_hold() {
    let names =
        |benign: &Benign, attacks: &[Attack]| -> usize { report::targets(benign, attacks).len() };
    assert_eq!(names(&Benign::default(), &[]), 0);
    let some = Benign {
        user_days: 1,
        ..Benign::default()
    };
    assert_eq!(names(&some, &[]), 2);
}

#[test]
fn a_label_file_that_is_missing_or_broken_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = score(dir.path(), "[1]").err().unwrap();
    assert!(
        format!("{error:#}").contains("records.ndjson.labels.json is not an object"),
        "{error:#}"
    );
    let policies = ruleset::load(None).unwrap();
    let intel = crate::detect::intel::Intel::default();
    let file = dir.path().join("other.ndjson");
    fs::write(&file, "").unwrap();
    let error = foreign::score(&[file], Engine::new(&intel, &policies, true), false)
        .err()
        .unwrap();
    let text = format!("{error:#}");
    assert!(text.contains("other.ndjson.labels.json"), "{text}");
    let error = score(dir.path(), r#"{"r9":"kit"}"#).err().unwrap();
    let text = format!("{error:#}");
    assert!(
        text.contains("none of its 1 labels names a record"),
        "{text}"
    );
}

#[test]
fn tables_are_at_most_a_hundred_columns_wide() {
    let policies = ruleset::load(None).unwrap();
    let result = evaluate(60, DAYS, 5, &policies, true);
    let mut out = Vec::new();
    text::print(&mut anstream::StripStream::new(&mut out), &result, 10).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(text.contains("✗") || text.contains("✓"));
}

/// Rungs of attacks rated high, and of others; benign asks and acts.
fn met(high: &[&'static str], other: &[&'static str], asks: u64, acts: u64) -> Vec<bool> {
    let attack = |rung, microsoft_high| Attack {
        rung,
        ..Attack::new(
            "a".to_owned(),
            ("", "", microsoft_high),
            "v".to_owned(),
            &judge::RunTally::default(),
        )
    };
    let attacks: Vec<Attack> = high
        .iter()
        .map(|rung| attack(*rung, true))
        .chain(other.iter().map(|rung| attack(*rung, false)))
        .collect();
    let benign = Benign {
        user_days: 20_000,
        asks,
        acts,
        ..Benign::default()
    };
    let targets = report::targets(&benign, &attacks);
    targets.iter().map(|target| target.met).collect()
}

#[test]
fn each_target_is_met_up_to_its_bound_and_missed_beyond_it() {
    let high = ["act", "act", "act", "act", "ask"];
    let fewer = ["act", "act", "act", "ask", "ask"];
    type Case<'a> = (&'a [&'static str], &'a [&'static str], u64, u64, [bool; 4]);
    let table: [Case<'_>; 5] = [
        (&high, &["ask"], 2, 0, [true, true, true, true]),
        (&high, &["ask"], 2, 1, [false, true, true, true]),
        (&high, &["ask"], 3, 0, [true, false, true, true]),
        (&high, &["none"], 2, 0, [true, true, false, true]),
        (&fewer, &["act"], 2, 0, [true, true, true, false]),
    ];
    for (high, other, asks, acts, expected) in table {
        assert_eq!(met(high, other, asks, acts), expected, "{high:?} {other:?}");
    }
    assert_eq!(met(&[], &["ask"], 0, 0).len(), 3);
}
