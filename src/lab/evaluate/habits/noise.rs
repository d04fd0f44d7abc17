//! What Microsoft adds: its own services on a user's behalf, and Identity
//! Protection's alarms about ordinary people.

use jiff::SignedDuration;
use rand::Rng;

use super::diary::Diary;
use crate::lab::evaluate::people::{TEAMS, uuid_of};
use crate::model::{Event, RecordId, RiskDetection, RiskLevel, RiskState, RiskType, SignIn};

/// A service asks for a token for a user, from Microsoft's own network.
pub(super) fn microsoft_egress(diary: &mut Diary<'_>) {
    if !diary.chance(0.15) {
        return;
    }
    let world = diary.world;
    let spot = world.microsoft(&mut diary.dice);
    let session = diary.laptop_session();
    let laptop = diary.person.laptop.clone();
    let at = diary.between(10.0, 18.0);
    let mut event = diary.renewal(at, spot, &laptop, &session, TEAMS);
    event.user_agent = None;
    event.device = crate::model::Device::default();
    diary.tell("microsoft_egress", event);
}

/// A kind of alarm, and how long it takes: minutes, or a day.
const QUIET: [(&str, bool); 3] = [
    ("unfamiliarFeatures", false),
    ("anomalousToken", false),
    ("mcasImpossibleTravel", true),
];
const ON_A_JOURNEY: [(&str, bool); 4] = [
    ("unlikelyTravel", true),
    ("newCountry", true),
    ("unfamiliarFeatures", false),
    ("mcasImpossibleTravel", true),
];
const HIDDEN: [(&str, bool); 2] = [
    ("anonymizedIPAddress", false),
    ("unfamiliarFeatures", false),
];

/// Alarms about nothing: in some 0.2–0.5 % of a working population's days,
/// more often around journeys and hidden addresses.
pub(super) fn identity_protection(diary: &mut Diary<'_>) {
    let mut labels = diary.deliveries.iter().map(|delivery| delivery.label);
    let of = |names: &'static [&'static str]| {
        move |label| match label {
            crate::lab::evaluate::people::Label::Benign(habit) => names.contains(&habit),
            crate::lab::evaluate::people::Label::Attack(_) => false,
        }
    };
    let travels = labels.clone().any(of(&["travel_hotel", "travel_phone"]));
    let hides = labels.any(of(&["commercial_vpn", "private_relay"]));
    let (rate, kinds): (f64, &[(&str, bool)]) = if travels {
        (0.04, &ON_A_JOURNEY)
    } else if hides {
        (0.015, &HIDDEN)
    } else {
        (0.0015, &QUIET)
    };
    if !diary.chance(rate) {
        return;
    }
    let (kind, offline) = diary.pick(kinds);
    let candidates: Vec<usize> = (0..diary.deliveries.len())
        .filter(|i| match &diary.deliveries[*i].event {
            Event::SignIn(event) => event.succeeded(),
            _ => false,
        })
        .collect();
    if candidates.is_empty() {
        return;
    }
    let chosen = diary.pick(&candidates);
    let level = match diary.dice.random_range(0..100) {
        0..75 => RiskLevel::Low,
        75..97 => RiskLevel::Medium,
        _ => RiskLevel::High,
    };
    let Event::SignIn(about) = &mut diary.deliveries[chosen].event else {
        return;
    };
    if !offline {
        about.risk_types = vec![RiskType(kind.into())];
        about.risk_level = level;
    }
    let about = SignIn::clone(about);
    tell_of(diary, &about, kind, offline, level);
}

fn tell_of(diary: &mut Diary<'_>, about: &SignIn, kind: &str, offline: bool, level: RiskLevel) {
    let habit = if offline {
        "offline_risk"
    } else {
        "identity_protection"
    };
    let detection = uuid_of(&format!("{kind} {}", about.record));
    let raised = RiskDetection {
        record: RecordId::new(uuid_of(&format!("raised {detection}"))),
        detection: detection.clone(),
        at: about.at,
        user: about.user.clone(),
        request: Some(about.record.clone()),
        risk_type: RiskType(kind.into()),
        level,
        state: RiskState::AtRisk,
        network: about.network.clone(),
    };
    let delay = if offline {
        SignedDuration::from_mins(diary.dice.random_range(20 * 60..28 * 60))
    } else {
        SignedDuration::from_secs(diary.dice.random_range(300..600))
    };
    diary.tell_late(habit, Event::RiskDetection(Box::new(raised.clone())), delay);
    if diary.chance(0.4) {
        let settled = RiskDetection {
            record: RecordId::new(uuid_of(&format!("dismissed {detection}"))),
            state: RiskState::Dismissed,
            ..raised
        };
        let later = delay + SignedDuration::from_mins(diary.dice.random_range(240..1800));
        diary.tell_late(habit, Event::RiskDetection(Box::new(settled)), later);
    }
}
