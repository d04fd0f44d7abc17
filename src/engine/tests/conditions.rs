//! What authors ask of events: their own signals, `when` and `except`, and
//! what follows where a record does not say.

use super::*;
use crate::model::{Mode, Protocol, ReservationGround};

/// Acts on Tor and hosting alone, as the lines say.
fn set(lines: &str) -> PolicySet {
    let policy = format!(
        "policy: p
mode: enforce
window: 60m
signals: {{ tor_exit: 95, session_hosting: 95, new_hosting_network: 60, custom.code: default }}
rungs:
  - {{ at: 90, do: [revoke_sessions] }}
  - {{ at: 60, do: [revoke_sessions], ask: {{}} }}
{lines}
"
    );
    let signals = "signals:
  custom.code:
    description: a device code
    family: protocol
    weight: 65
    when: event.sign_in.protocol == \"deviceCode\" && event.sign_in.succeeded
";
    let source = |path: &str, text: &str| policy::Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    compiled(vec![
        source("p.yaml", &policy),
        source("signals.yaml", signals),
    ])
}

fn effect(set: &PolicySet, events: &[Event]) -> (Option<Effect>, Option<PolicyVerdict>) {
    let intel = intel();
    let given = given(&intel, set);
    let mut memory = UserMemory::default();
    let mut around = Surroundings::default();
    let steps: Vec<Step> = events
        .iter()
        .map(|event| step(&mut memory, &mut around, event, &given))
        .collect();
    let last = steps.iter().rev().find_map(|step| step.decision.clone());
    (
        last.as_ref().map(|decision| decision.effect),
        last.and_then(|decision| decision.verdicts.into_iter().next()),
    )
}

fn device_code() -> Event {
    let Event::SignIn(mut event) = sign_in(0, 0, 1, true) else {
        unreachable!("a sign-in is one")
    };
    event.protocol = Protocol::DeviceCode;
    Event::SignIn(event)
}

#[test]
fn an_authors_own_signal_is_raised_weighed_and_explained() {
    let (effect, verdict) = effect(&set(""), &[device_code()]);
    assert_eq!(effect, Some(Effect::Ask));
    let verdict = verdict.unwrap();
    assert_eq!(verdict.score, 65);
    assert_eq!(verdict.families[0].signal.as_str(), "custom.code");
    assert_eq!(verdict.families[0].family, Family::Protocol);
}

#[test]
fn what_does_not_meet_the_condition_or_is_excepted_does_not_count() {
    let except = |when: &str, until: &str| {
        format!(
            "except: [{{ name: lab, when: '{when}', owner: ana, reason: the lab, until: {until} }}]"
        )
    };
    let tor = [sign_in(0, 4, 1, true)];
    let table = [
        (String::new(), Some(Effect::Act)),
        ("when: event.sign_in.succeeded".into(), Some(Effect::Act)),
        ("when: event.network.country == \"FR\"".into(), None),
        (
            except("event.network.country == \"DE\"", "2027-01-31"),
            None,
        ),
        (
            except("event.network.country == \"FR\"", "2027-01-31"),
            Some(Effect::Act),
        ),
        // Over by the time of the event.
        (
            except("event.network.country == \"DE\"", "2026-11-23"),
            Some(Effect::Act),
        ),
        (
            except("event.network.country == \"DE\"", "2026-11-24"),
            None,
        ),
        // Of another signal only.
        (
            except("signal.name == \"session_hosting\"", "2027-01-31"),
            Some(Effect::Act),
        ),
        (except("signal.family == \"network\"", "2027-01-31"), None),
    ];
    for (lines, expected) in table {
        assert_eq!(effect(&set(&lines), &tor).0, expected, "{lines}");
    }
}

#[test]
fn what_a_record_does_not_say_is_asked_about_and_never_acted_on() {
    // The record says nothing of compliance.
    let set = set("when: '!event.sign_in.device.compliant'");
    let (effect, verdict) = effect(&set, &[sign_in(0, 4, 1, true)]);
    assert_eq!(effect, Some(Effect::Ask));
    let verdict = verdict.unwrap();
    assert_eq!(verdict.rung.unwrap().at, 90);
    assert_eq!(verdict.set_aside[0].ground, ReservationGround::Undecided);
}

#[test]
fn a_condition_on_sign_ins_lets_microsofts_detections_through() {
    let policy = policy::Source {
        path: "p.yaml".into(),
        text: "policy: p
mode: enforce
window: 60m
when: event.sign_in.succeeded
signals: { risk.attackerinTheMiddle: 85 }
rungs: [{ at: 80, do: [revoke_sessions] }]
"
        .into(),
    };
    let set = compiled(vec![policy]);
    assert_eq!(
        effect(&set, &[risk(0, "attackerinTheMiddle")]).0,
        Some(Effect::Act)
    );
}

#[test]
fn what_a_condition_said_stays_with_the_signal() {
    // The exception is met by the first sign-in only; what the second brings
    // does not make the first count.
    let set = set(
        "except: [{ name: lab, when: event.network.country == \"DE\", owner: ana, reason: x, until: 2027-01-31 }]",
    );
    let (effect, verdict) = effect(&set, &[sign_in(0, 4, 1, true), device_code_at(60)]);
    assert_eq!(effect, Some(Effect::Ask));
    let verdict = verdict.unwrap();
    assert_eq!(verdict.score, 65);
    let names: Vec<&str> = verdict
        .set_aside
        .iter()
        .map(|s| s.signal.as_str())
        .collect();
    assert_eq!(names, ["tor_exit"]);
}

fn device_code_at(seconds: i64) -> Event {
    let Event::SignIn(mut event) = sign_in(seconds, 0, 2, true) else {
        unreachable!("a sign-in is one")
    };
    event.protocol = Protocol::DeviceCode;
    Event::SignIn(event)
}

#[test]
fn a_policy_in_shadow_never_orders_anything_whatever_its_conditions_say() {
    for lines in [
        "",
        "when: event.sign_in.succeeded",
        "when: '!event.sign_in.device.compliant'",
    ] {
        let mut set = set(lines);
        set.policies[0].mode = Mode::Shadow;
        let intel = intel();
        let given = given(&intel, &set);
        let (mut memory, mut around) = (UserMemory::default(), Surroundings::default());
        let step = step(&mut memory, &mut around, &sign_in(0, 4, 1, true), &given);
        let decision = step.decision.unwrap();
        assert_eq!((decision.effect, decision.orders), (Effect::Shadow, vec![]));
    }
}

/// The event as records write it that name their user by object id alone.
fn nameless(event: Event) -> Event {
    let unnamed = UserRef {
        principal_name: "".into(),
        ..ana()
    };
    match event {
        Event::SignIn(mut sign_in) => {
            sign_in.user = unnamed;
            Event::SignIn(sign_in)
        }
        Event::RiskDetection(mut detection) => {
            detection.user = unnamed;
            Event::RiskDetection(detection)
        }
        other => other,
    }
}

#[test]
fn a_record_that_names_nobody_is_still_about_whom_it_was_known_to_be() {
    let scope = "scope: { exclude: { users: [ana@contoso.example] } }";
    let except = "except: [{ name: rooms, when: event.user.name == \"ana@contoso.example\", \
                  owner: ana, reason: x, until: 2027-01-31 }]";
    let home = sign_in(-600, 0, 0, true);
    for lines in [scope, except] {
        let events = [home.clone(), nameless(sign_in(0, 4, 1, true))];
        assert_eq!(effect(&set(lines), &events).0, None, "{lines}");
    }
    // Of whom the name was never known: perhaps it is her.
    let unknown = [nameless(sign_in(0, 4, 1, true))];
    assert_eq!(effect(&set(scope), &unknown).0, Some(Effect::Ask));
    assert_eq!(effect(&set(""), &unknown).0, Some(Effect::Act));
    // So that the guard knows a protected account, too.
    let (intel, set) = (intel(), set(""));
    let given = given(&intel, &set);
    let (mut memory, mut around) = (UserMemory::default(), Surroundings::default());
    step(&mut memory, &mut around, &home, &given);
    let tor = nameless(sign_in(0, 4, 1, true));
    let decision = step(&mut memory, &mut around, &tor, &given).decision;
    assert_eq!(decision.unwrap().user, ana());
}

/// Asks about Microsoft's detections and about a signal of an author's that
/// they raise.
fn of_detections(lines: &str) -> PolicySet {
    let policy = format!(
        "policy: p
mode: enforce
window: 60m
signals: {{ custom.risk: default }}
rungs: [{{ at: 60, do: [revoke_sessions] }}]
{lines}
"
    );
    let signals = "signals:
  custom.risk:
    description: a risk
    family: behaviour
    weight: 65
    when: event.risk.level == \"medium\"
";
    let source = |path: &str, text: &str| policy::Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    compiled(vec![
        source("p.yaml", &policy),
        source("signals.yaml", signals),
    ])
}

fn settled(event: Event) -> Event {
    let Event::RiskDetection(mut detection) = event else {
        unreachable!("a detection is one")
    };
    detection.state = RiskState::Dismissed;
    detection.record = RecordId::new(format!("{}@2", detection.detection));
    Event::RiskDetection(detection)
}

#[test]
fn an_authors_signal_of_a_detection_is_named_after_it_and_taken_back_with_it() {
    let news = risk(0, "unfamiliarFeatures");
    let (intel, set) = (intel(), of_detections(""));
    let given = given(&intel, &set);
    // Its record is at hand: a condition on it is decided.
    let conditional = of_detections("when: event.risk.level == \"medium\"");
    assert_eq!(
        effect(&conditional, std::slice::from_ref(&news)).0,
        Some(Effect::Act)
    );
    // What was dismissed before it was known raises nothing.
    assert_eq!(effect(&set, &[settled(news.clone())]).0, None);
    for order in [[0, 1], [1, 0]] {
        let events = [news.clone(), settled(news.clone())];
        let (mut memory, mut around) = (UserMemory::default(), Surroundings::default());
        for index in order {
            step(&mut memory, &mut around, &events[index], &given);
        }
        assert_eq!(memory.signals, [], "{order:?}");
    }
}

#[test]
fn a_late_signal_judges_no_window_that_it_is_not_in() {
    // In shadow when it was seen, and the author has made the policy act since.
    let mut asks = set("");
    asks.policies[0].mode = Mode::Shadow;
    let mut acts = set("");
    let intel = intel();
    let (mut memory, mut around) = (UserMemory::default(), Surroundings::default());
    let theft = sign_in(0, 4, 1, true);
    let first = step(&mut memory, &mut around, &theft, &given(&intel, &asks));
    assert_eq!(first.decision.map(|d| d.effect), Some(Effect::Shadow));
    let incident = memory.incident.clone();
    // Weak, and older than a window.
    let late = device_code_at(-2 * 3_600);
    acts.policies[0].rungs.retain(|rung| rung.at > 65);
    let step = step(&mut memory, &mut around, &late, &given(&intel, &acts));
    assert_eq!(step.signals.len(), 1, "{:?}", step.signals);
    assert_eq!(step.decision, None);
    assert_eq!(memory.incident, incident);
}

#[test]
fn a_condition_that_is_newer_than_a_signal_lets_it_ask_and_not_act() {
    // The exception is added, or changed, between two events of one theft.
    let except = |until: &str| {
        format!(
            "except: [{{ name: lab, when: event.network.country == \"DE\", owner: ana, reason: x, until: {until} }}]"
        )
    };
    let run = |first: &PolicySet, then: &PolicySet| {
        let intel = intel();
        let (mut memory, mut around) = (UserMemory::default(), Surroundings::default());
        // Shadow: nothing is called for by the first event yet.
        let mut first = first.clone();
        first.policies[0].mode = Mode::Shadow;
        step(
            &mut memory,
            &mut around,
            &sign_in(0, 4, 1, true),
            &given(&intel, &first),
        );
        let again = step(
            &mut memory,
            &mut around,
            &device_code_at(60),
            &given(&intel, then),
        );
        again.decision.map(|decision| decision.effect)
    };
    let (none, excepted) = (set(""), set(&except("2027-01-31")));
    assert_eq!(run(&none, &none), Some(Effect::Act));
    assert_eq!(run(&none, &excepted), Some(Effect::Ask));
    assert_eq!(
        run(&set(&except("2026-11-23")), &excepted),
        Some(Effect::Ask)
    );
    assert_eq!(
        run(&excepted, &excepted),
        Some(Effect::Ask),
        "of the code alone"
    );
}
