//! The engine as a whole: what a set of events leads to, in any order.
//!
//! - here: one theft, its decision, order and repetition
//! - `after`: what follows an eviction: proof, evasion, our own echo
//! - `withdrawal`: evidence that is taken back
//! - `conditions`: what authors ask of events
//! - `learning`: what days teach, and what they must not

mod after;
mod conditions;
mod learning;
mod withdrawal;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::detect::CATALOGUE;
use crate::model::{
    CountryCode, Device, GeoPoint, GuardReason, Network, NetworkClass, Place, RiskDetection,
    RiskLevel, RiskState, RiskType, SessionId, SignIn, UserId, UserRef,
};
use crate::policy::KnownSignal;

const HOSTING_ASN: u32 = 64500;
const DAY: i64 = 24 * 3_600;

/// Compiled once: the properties run thousands of times.
static POLICIES: LazyLock<PolicySet> = LazyLock::new(policies);

fn compiled(sources: Vec<policy::Source>) -> PolicySet {
    let known: Vec<KnownSignal> = CATALOGUE
        .iter()
        .map(|spec| KnownSignal {
            name: spec.name,
            family: spec.family,
        })
        .collect();
    PolicySet::compile(sources, &known).unwrap()
}

fn policies() -> PolicySet {
    compiled(policy::shipped())
}

fn intel() -> Intel {
    Intel {
        tor_exits: Some(["198.51.100.7".parse().unwrap()].into()),
        hosting_asns: Some([HOSTING_ASN].into()),
        ..Intel::default()
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_507_200 + seconds).unwrap()
}

fn ana() -> UserRef {
    UserRef {
        id: UserId::new("ana"),
        principal_name: "ana@contoso.example".into(),
        guest: false,
        workload: false,
    }
}

/// Places by number: two networks at home, one far away, hosting, Tor.
fn network(place: u8) -> Network {
    let (address, asn, city, country, latitude, longitude) = match place {
        0 => ("192.0.2.10", 3215, "Paris", "FR", 48.86, 2.35),
        1 => ("203.0.113.10", 15557, "Paris", "FR", 48.86, 2.35),
        2 => ("198.51.100.20", 29465, "Lagos", "NG", 6.52, 3.38),
        3 => ("203.0.113.77", HOSTING_ASN, "Ashburn", "US", 39.04, -77.49),
        _ => ("198.51.100.7", 60729, "Berlin", "DE", 52.52, 13.4),
    };
    Network {
        address: Some(address.parse().unwrap()),
        asn: Some(asn),
        place: Place {
            city: Some(city.into()),
            country: CountryCode::parse(country),
            point: GeoPoint::new(latitude, longitude),
        },
    }
}

fn laptop() -> Device {
    Device {
        id: Some("laptop".into()),
        compliant: Some(true),
        managed: Some(true),
        ..Device::default()
    }
}

fn sign_in(seconds: i64, place: u8, session: u8, interactive: bool) -> Event {
    Event::SignIn(Box::new(SignIn {
        session: Some(SessionId::new(format!("session-{session}"))),
        interactive,
        network: network(place),
        // At home she is on her managed laptop.
        device: if place < 2 {
            laptop()
        } else {
            Device::default()
        },
        user_agent: Some("Mozilla/5.0 (Windows NT 10.0) Chrome/128.0.0.0 Edg/128.0".into()),
        ..SignIn::new(
            RecordId::new(format!("s{seconds}-{place}-{session}-{interactive}")),
            at(seconds),
            ana(),
        )
    }))
}

/// The same person at home, by another browser in the same session.
fn client_changed(seconds: i64, session: u8) -> Event {
    let Event::SignIn(mut event) = sign_in(seconds, 0, session, false) else {
        unreachable!("a sign-in is one")
    };
    event.user_agent = Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0".into());
    event.device = Device::default();
    Event::SignIn(event)
}

fn risk(seconds: i64, risk_type: &str) -> Event {
    Event::RiskDetection(Box::new(RiskDetection {
        record: RecordId::new(format!("{risk_type}-{seconds}@1")),
        detection: format!("{risk_type}-{seconds}").into(),
        at: at(seconds),
        user: ana(),
        request: None,
        risk_type: RiskType(risk_type.into()),
        level: RiskLevel::Medium,
        state: RiskState::AtRisk,
        network: Network::default(),
    }))
}

/// A sign-in that failed.
fn failed(seconds: i64, place: u8, session: u8, error_code: i64) -> Event {
    let Event::SignIn(mut event) = sign_in(seconds, place, session, true) else {
        unreachable!("a sign-in is one")
    };
    event.error_code = error_code;
    event.record = RecordId::new(format!("f{seconds}-{place}-{session}-{error_code}"));
    Event::SignIn(event)
}

/// The engine under the shipped policies, with a memory that grows and the
/// time of the revoke that Graph last acknowledged.
struct Life {
    memory: UserMemory,
    around: Surroundings,
    intel: Intel,
    revoked_at: Option<Timestamp>,
}

impl Life {
    /// Of somebody of whom nothing is known.
    fn new() -> Self {
        Self {
            memory: UserMemory::default(),
            around: Surroundings::default(),
            intel: intel(),
            revoked_at: None,
        }
    }

    /// Of somebody who worked at home, on a managed laptop, on each of ten
    /// days before, yesterday among them.
    fn known() -> Self {
        let mut life = Self::new();
        for day in 1..=10 {
            let quiet = life.tell(&sign_in(-day * DAY, 0, 0, true));
            assert_eq!(quiet.signals, [], "an ordinary day");
        }
        life
    }

    fn tell(&mut self, event: &Event) -> Step {
        let given = Given {
            intel: &self.intel,
            policies: &POLICIES,
            revoked_at: self.revoked_at,
        };
        step(&mut self.memory, &mut self.around, event, &given)
    }

    fn tell_all(&mut self, events: &[Event]) -> Vec<Step> {
        events.iter().map(|event| self.tell(event)).collect()
    }

    fn incident(&self) -> &Incident {
        self.memory.incident.as_ref().unwrap()
    }
}

/// The names of the signals that an event raised.
fn names(step: &Step) -> Vec<&str> {
    step.signals.iter().map(|s| s.name.as_str()).collect()
}

/// What a decision orders.
fn orders(step: &Step) -> Vec<(ActionKind, Effect)> {
    let decision = step.decision.iter();
    decision
        .flat_map(|decision| &decision.orders)
        .map(|order| (order.kind, order.effect))
        .collect()
}

fn given<'a>(intel: &'a Intel, policies: &'a PolicySet) -> Given<'a> {
    Given {
        intel,
        policies,
        revoked_at: None,
    }
}

fn run(events: &[Event]) -> (UserMemory, Vec<Step>) {
    let intel = intel();
    let given = given(&intel, &POLICIES);
    let mut memory = UserMemory::default();
    let mut around = Surroundings::default();
    let steps = events
        .iter()
        .map(|event| step(&mut memory, &mut around, event, &given))
        .collect();
    (memory, steps)
}

/// What an incident called for in the end, whatever the way there.
fn called_for(memory: &UserMemory) -> BTreeSet<(ActionKind, Effect)> {
    memory
        .incident
        .iter()
        .flat_map(|incident| incident.called_for.iter().copied())
        .collect()
}

fn decisions(steps: &[Step]) -> Vec<&Decision> {
    steps
        .iter()
        .filter_map(|step| step.decision.as_ref())
        .collect()
}

#[test]
fn a_stolen_session_is_acted_on_once() {
    let (memory, steps) = run(&[
        sign_in(0, 0, 1, true),
        sign_in(1_800, 3, 1, false),
        sign_in(1_860, 3, 1, false),
        sign_in(1_920, 3, 1, false),
    ]);
    let decisions = decisions(&steps);
    assert_eq!(
        decisions.len(),
        1,
        "further events of one theft call for nothing new"
    );
    let decision = decisions[0];
    assert_eq!((decision.effect, decision.score), (Effect::Act, 94));
    let kinds: Vec<ActionKind> = decision.orders.iter().map(|order| order.kind).collect();
    let expected = [ActionKind::RevokeSessions, ActionKind::ConfirmCompromised];
    assert_eq!(kinds, expected);
    assert_eq!(decision.orders[0].policy.as_str(), "stolen-session");
    assert!(
        decision
            .signals
            .iter()
            .any(|s| s.name.as_str() == "session_hosting")
    );
    // The later events' signals are filed under the case.
    assert_eq!(steps[2].case, Some(decision.case));
    assert!(!steps[2].signals.is_empty());
    assert_eq!(
        memory.incident.as_ref().map(|i| i.case),
        Some(decision.case)
    );
}

#[test]
fn stronger_evidence_turns_a_question_into_an_act_in_the_same_case() {
    let (_, steps) = run(&[sign_in(0, 4, 1, true), risk(30, "anonymizedIPAddress")]);
    let decisions = decisions(&steps);
    let effects: Vec<Effect> = decisions.iter().map(|d| d.effect).collect();
    assert_eq!(effects, [Effect::Ask, Effect::Act]);
    assert_eq!(decisions[0].case, decisions[1].case);
    assert_eq!(decisions[0].opened_by, decisions[1].opened_by);
    // The ids of the actions derive from the same evidence: the question is promoted.
    let id = |d: &Decision| {
        crate::model::ActionId::derive(&d.case, ActionKind::RevokeSessions, &d.opened_by)
    };
    assert_eq!(id(decisions[0]), id(decisions[1]));
}

#[test]
fn a_redelivered_record_is_recognised_and_changes_nothing() {
    let events = [sign_in(0, 0, 1, true), sign_in(1_800, 3, 1, false)];
    let (before, _) = run(&events);
    let (policies, intel) = (policies(), intel());
    let mut memory = before.clone();
    for event in &events {
        let around = &mut Surroundings::default();
        let step = step(&mut memory, around, event, &given(&intel, &policies));
        assert_eq!(
            step,
            Step {
                duplicate: true,
                ..Step::default()
            }
        );
    }
    assert_eq!(memory, before);
}

#[test]
fn a_theft_after_the_incident_is_over_is_a_new_case() {
    let day = 24 * 3_600;
    let (_, steps) = run(&[
        sign_in(0, 0, 1, true),
        sign_in(1_800, 3, 1, false),
        sign_in(2 * day, 0, 2, true),
        sign_in(2 * day + 1_800, 3, 2, false),
    ]);
    let decisions = decisions(&steps);
    assert_eq!(decisions.len(), 2);
    assert_ne!(decisions[0].case, decisions[1].case);
}

#[test]
fn a_weak_signal_after_an_incident_does_not_make_it_forgotten() {
    let day = 24 * 3_600;
    let events = [
        sign_in(0, 0, 1, true),
        sign_in(1_800, 3, 1, false),
        // A day later the client changes, which calls for nothing.
        sign_in(2 * day, 0, 2, true),
        client_changed(2 * day + 60, 2),
        // Late: more of the theft that was answered two days ago.
        sign_in(1_860, 3, 1, false),
    ];
    let (memory, steps) = run(&events);
    assert!(!steps[3].signals.is_empty(), "the change was noticed");
    assert!(!steps[4].signals.is_empty(), "the late record was noticed");
    let decisions = decisions(&steps);
    assert_eq!(decisions.len(), 1, "nothing is done twice");
    let incident = memory.incident.as_ref().unwrap();
    assert_eq!(incident.case, decisions[0].case);
    assert_eq!(incident.last, at(1_860));
}

#[test]
fn the_guard_has_the_last_word() {
    let (_, steps) = run(&[sign_in(0, 0, 1, true), sign_in(1_800, 3, 1, false)]);
    let decision = decisions(&steps)[0].clone();
    let mut policies = policies();
    let situation = |now| Situation {
        now,
        paused: false,
        acts_last_hour: 0,
    };
    let mut admitted = decision.clone();
    admit(&mut admitted, &policies, &situation(decision.at));
    assert_eq!(
        (admitted.admission, admitted.effect),
        (Admission::Admitted, Effect::Act)
    );
    let mut stale = decision.clone();
    admit(
        &mut stale,
        &policies,
        &situation(decision.at + SignedDuration::from_hours(5)),
    );
    assert_eq!(stale.admission, Admission::Demoted(GuardReason::StaleEvent));
    assert_eq!(stale.effect, Effect::Ask);
    let guard = "guard: { protected: { users: [ana@contoso.example] } }";
    let mut sources = policy::shipped();
    sources.retain(|source| !source.path.ends_with("guard.yaml"));
    sources.push(policy::Source {
        path: "guard.yaml".into(),
        text: guard.into(),
    });
    policies = compiled(sources);
    let mut refused = decision.clone();
    admit(&mut refused, &policies, &situation(decision.at));
    assert_eq!(
        refused.admission,
        Admission::Refused(GuardReason::ProtectedAccount)
    );
    assert_eq!(refused.effect, Effect::Shadow);
}

#[test]
fn without_intelligence_nothing_is_hosting_and_nothing_is_tor() {
    let mut memory = UserMemory::default();
    let (policies, intel) = (policies(), Intel::default());
    for event in [
        sign_in(0, 0, 1, true),
        sign_in(1_800, 3, 1, false),
        sign_in(9_000, 4, 2, true),
    ] {
        let around = &mut Surroundings::default();
        step(&mut memory, around, &event, &given(&intel, &policies));
    }
    assert!(
        memory
            .footprints
            .iter()
            .all(|f| f.class == NetworkClass::Ordinary)
    );
    let names: BTreeSet<&str> = memory.signals.iter().map(|s| s.name.as_str()).collect();
    assert!(
        !names.contains("session_hosting") && !names.contains("tor_exit"),
        "{names:?}"
    );
}

fn any_event() -> impl Strategy<Value = Event> {
    let minutes = 0..300_i64;
    prop_oneof![
        4 => (minutes.clone(), 0..5_u8, 0..3_u8, any::<bool>())
            .prop_map(|(m, place, session, interactive)| sign_in(m * 60, place, session, interactive)),
        1 => (minutes, prop_oneof![
            Just("unlikelyTravel"),
            Just("anonymizedIPAddress"),
            Just("attackerinTheMiddle"),
        ])
            .prop_map(|(m, risk_type)| risk(m * 60, risk_type)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The heart of it: order and repetition do not change what is called for,
    /// as long as no record comes more than an hour late.
    #[test]
    fn order_and_repetition_change_nothing(
        deliveries in prop::collection::vec((any_event(), 0..3_600_i64, 0..3_600_i64), 1..14)
    ) {
        let events: Vec<Event> = deliveries.iter().map(|(event, ..)| event.clone()).collect();
        let mut twice: Vec<(Timestamp, Event)> = Vec::new();
        for (event, first, again) in deliveries {
            for late in [first, again] {
                twice.push((event.at() + SignedDuration::from_secs(late), event.clone()));
            }
        }
        twice.sort_by_key(|(arrives, _)| *arrives);
        let shuffled: Vec<Event> = twice.into_iter().map(|(_, event)| event).collect();
        let mut orderly = events;
        orderly.sort_by_key(|event| (event.at(), event.record().clone()));
        let (in_order, _) = run(&orderly);
        let (out_of_order, _) = run(&shuffled);
        prop_assert_eq!(called_for(&in_order), called_for(&out_of_order));
        let names = |memory: &UserMemory| -> BTreeSet<String> {
            memory.signals.iter().map(|s| s.name.to_string()).collect()
        };
        prop_assert_eq!(names(&in_order), names(&out_of_order));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Memory stays within its bounds whatever comes.
    #[test]
    fn memory_is_bounded(events in prop::collection::vec(any_event(), 1..400)) {
        let (memory, _) = run(&events);
        prop_assert!(memory.footprints.len() <= crate::model::limits::FOOTPRINTS_MAX);
        prop_assert!(memory.signals.len() <= crate::model::limits::SIGNALS_MAX);
        prop_assert!(memory.footprints.is_sorted_by_key(|f| f.first));
        prop_assert!(memory.signals.is_sorted_by_key(|s| s.at));
    }
}
