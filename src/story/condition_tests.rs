//! What authors ask of events, told in stories: their own signals, `when`,
//! exceptions and when they end, and which of these no story reached.

use super::*;
use crate::policy::{PolicySet, Problem, Source};
use crate::ruleset;

const POLICY: &str = "policy: device-code
mode: enforce
window: 1h
signals: { custom.code: default, tor_exit: 70, custom.never: default }
when: event.sign_in.app.name != \"Microsoft Azure CLI\"
except:
  - name: rooms
    when: event.user in lists.rooms
    owner: facilities
    reason: screens have no keyboard
    until: 2027-01-31
  - name: lab
    when: event.network.country == \"JP\"
    owner: research
    reason: nobody goes there
    until: 2027-01-31
rungs:
  - { at: 90, do: [revoke_sessions] }
  - { at: 60, do: [revoke_sessions], ask: {} }
";
const SIGNALS: &str = "lists:
  rooms: { users: [room-paris@contoso.example] }
signals:
  custom.code:
    description: a sign-in by device code
    family: protocol
    weight: 65
    when: event.sign_in.protocol == \"deviceCode\" && event.sign_in.succeeded
  custom.never:
    description: something else
    family: behaviour
    weight: 10
    when: event.network.country == \"AQ\"
";

fn policies() -> PolicySet {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("device-code.yaml"), POLICY).unwrap();
    std::fs::write(dir.path().join("signals.yaml"), SIGNALS).unwrap();
    ruleset::load(Some(dir.path())).unwrap_or_else(|errors| panic!("{errors}"))
}

fn read(text: &str, policies: &PolicySet) -> Result<Suite, String> {
    let source = Source {
        path: "device-code.test.yaml".to_owned(),
        text: text.to_owned(),
    };
    let read = |_: &str| Err("no such file".to_owned());
    parse(&source, policies, &read).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
        told.join("\n\n")
    })
}

fn told(text: &str) -> (Vec<Told>, CoverageReport) {
    let policies = policies();
    let suite = read(text, &policies).unwrap_or_else(|problems| panic!("{problems}"));
    let mut coverage = Coverage::default();
    let told = (0..suite.names().count())
        .filter_map(|index| tell(&suite, index, &policies, &mut coverage))
        .collect();
    let report = coverage.report(&policies, |_| Extent::Whole);
    (told, report.unwrap())
}

const ROOM: &str = "people: { room: { name: room-paris@contoso.example, app: teams } }\n";

#[test]
fn an_own_signal_an_exception_and_a_condition_are_told_end_to_end() {
    let (told, report) = told(&format!(
        "{ROOM}stories:
  - story: a code is phished
    when: [09:00 ana signs in by device code to outlook]
    expect: ask by device-code to revoke_sessions, score = 65, with custom.code
  - story: a room's screen
    when: [09:00 room signs in by device code]
    expect: nothing by device-code, with custom.code, excepted by rooms, score = 0
  - story: a developer
    when: [09:00 ana signs in by device code to azure-cli]
    expect: nothing, left aside by when
"
    ));
    for story in &told {
        assert!(story.passed(), "{story:#?}");
    }
    let missed: Vec<String> = report.missed[0]
        .parts
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        missed,
        [
            "no story reaches the rung at 90 (does)",
            "no story meets the exception lab",
            "no story raises custom.never",
            "no story raises tor_exit",
        ]
    );
    // One rung of two, one exception of two, the condition, one own signal.
    assert_eq!(report.percent(), 66 - 9);
}

#[test]
fn a_condition_is_covered_once_it_was_seen_to_hold_and_not_to() {
    let holds = "  - story: holds
    when: [09:00 ana signs in by device code to outlook]
    expect: ask
";
    let fails = "  - story: does not hold
    when: [09:00 ana signs in by device code to azure-cli]
    expect: nothing
";
    let table = [
        (format!("{holds}{fails}"), None),
        (holds.to_owned(), Some("in no story `when` does not hold")),
        (fails.to_owned(), Some("in no story `when` holds")),
        (
            "  - story: is not asked\n    when: [09:00 ana signs in]\n    expect: nothing\n".into(),
            Some("no story asks `when`"),
        ),
    ];
    for (stories, expected) in table {
        let (_, report) = told(&format!("stories:\n{stories}"));
        let parts = &report.missed[0].parts;
        let condition = parts.iter().find(|p| matches!(p, Part::Condition { .. }));
        let told = condition.map(ToString::to_string);
        assert_eq!(told.as_deref(), expected, "{stories}");
    }
}

#[test]
fn what_the_fortnight_before_a_story_reaches_covers_nothing() {
    let (_, report) = told(&format!(
        "{ROOM}stories:
  - story: only before
    given: [room signs in by device code]
    when: [09:00 ben signs in]
    expect: nothing
"
    ));
    assert_eq!(report.percent(), 0);
}

#[test]
fn an_exception_ends_by_the_day_of_the_story() {
    let on = |day: &str, expected: &str| {
        let (told, _) = told(&format!(
            "{ROOM}stories:
  - story: a room's screen
    on: {day}
    when: [09:00 room signs in by device code]
    expect: {expected}
"
        ));
        assert!(told[0].passed(), "{day}: {told:#?}");
    };
    on("2026-11-24", "nothing, excepted by rooms");
    on("2027-01-31", "nothing, excepted by rooms");
    on("2027-02-01", "ask by device-code, with custom.code");
}

#[test]
fn what_left_a_signal_aside_is_told_in_the_words_of_expectations() {
    let (told, _) = told(&format!(
        "{ROOM}stories:
  - story: other grounds than expected
    when:
      - 09:00 room signs in by device code
      - expect: ask by device-code
      - 10:00 room signs in by device code
    expect: nothing by device-code, excepted by lab, left aside by when
  - story: no ground at all
    when: [09:00 ana signs in]
    expect: nothing, excepted by lab, left aside by when
"
    ));
    let failures: Vec<&Failure> = told.iter().flat_map(|told| &told.failures).collect();
    insta::assert_debug_snapshot!(failures);
}

#[test]
fn mistakes_in_what_excepts_are_told_at_their_word() {
    let text = "stories:
  - story: mistakes
    on: tomorrow
    when: [09:00 ana signs in]
    expect:
      - nothing, excepted by room
      - nothing by device-code, excepted by nobody-knows-what
      - nothing, excepted
      - nothing, exceptd by rooms
      - nothing, left aside by mistake
      - nothing, lefd aside by when
  - story: long ago
    on: 1999-12-31
    when: [09:00 ana signs in]
    expect: nothing
";
    insta::assert_snapshot!(read(text, &policies()).unwrap_err());
    let shipped = ruleset::load(None).unwrap();
    let text = "stories:
  - story: mistakes
    when: [09:00 ana signs in]
    expect:
      - nothing by stolen-session, excepted by rooms
      - nothing by stolen-session, left aside by when
      - nothing, left aside by when
      - nothing, excepted by rooms
";
    insta::assert_snapshot!(read(text, &shipped).unwrap_err());
}
