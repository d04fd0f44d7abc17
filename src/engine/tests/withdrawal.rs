//! Evidence that is taken back: somebody settled the risk, or its sign-in had
//! failed.

use super::*;
use crate::model::RiskyUser;

const SETTLED: [RiskState; 3] = [
    RiskState::Dismissed,
    RiskState::Remediated,
    RiskState::ConfirmedSafe,
];
const RESET: [(ActionKind, Effect); 1] = [(ActionKind::ResetPassword, Effect::Ask)];

/// A later update of the same detection.
fn updated(detection: &Event, state: RiskState) -> Event {
    let Event::RiskDetection(detection) = detection else {
        unreachable!("a detection is one")
    };
    let mut update = detection.clone();
    update.record = RecordId::new(format!("{}@2", detection.detection));
    update.state = state;
    Event::RiskDetection(update)
}

/// A detection that speaks of that sign-in.
fn about(detection: &Event, sign_in: &Event) -> Event {
    let Event::RiskDetection(detection) = detection else {
        unreachable!("a detection is one")
    };
    let mut about = detection.clone();
    about.request = Some(sign_in.record().clone());
    Event::RiskDetection(about)
}

fn risky_user(seconds: i64, state: RiskState) -> Event {
    Event::RiskyUser(Box::new(RiskyUser {
        record: RecordId::new(format!("ana@{seconds}")),
        at: at(seconds),
        user: ana(),
        level: RiskLevel::None,
        state,
    }))
}

#[test]
fn a_settled_detection_takes_its_question_back_and_later_evidence_asks_again() {
    for state in SETTLED {
        let mut life = Life::known();
        let leaked = risk(0, "leakedCredentials");
        assert_eq!(orders(&life.tell(&leaked)), RESET);
        let case = life.incident().case;
        let step = life.tell(&updated(&leaked, state));
        assert_eq!(step.withdrawn, Some(case), "{state:?}");
        assert_eq!((step.signals, step.decision), (vec![], None));
        assert_eq!(life.memory.signals, []);
        let step = life.tell(&risk(600, "passwordSpray"));
        assert_eq!(orders(&step), RESET, "{state:?}");
        assert_eq!(step.case, Some(case), "the same case");
    }
}

#[test]
fn a_detection_whose_settlement_came_first_raises_nothing() {
    for state in SETTLED {
        let mut life = Life::known();
        let leaked = risk(0, "leakedCredentials");
        life.tell(&updated(&leaked, state));
        let step = life.tell(&leaked);
        assert_eq!((step.signals, step.decision), (vec![], None), "{state:?}");
        // Another one of the same type is not settled by it.
        assert_eq!(orders(&life.tell(&risk(1, "leakedCredentials"))), RESET);
    }
}

#[test]
fn an_update_that_settles_nothing_takes_nothing_back() {
    for state in [
        RiskState::AtRisk,
        RiskState::ConfirmedCompromised,
        RiskState::Unknown,
        RiskState::None,
    ] {
        let mut life = Life::known();
        let leaked = risk(0, "leakedCredentials");
        life.tell(&leaked);
        let step = life.tell(&updated(&leaked, state));
        assert_eq!(
            (step.withdrawn, step.decision, step.signals),
            (None, None, vec![]),
            "{state:?}"
        );
        assert_eq!(life.memory.signals.len(), 1);
    }
}

#[test]
fn a_user_whose_risk_is_settled_is_settled_up_to_then() {
    let table = [
        (600, RiskState::Dismissed, true),
        (600, RiskState::Remediated, true),
        (0, RiskState::Dismissed, true),
        (-1, RiskState::Dismissed, false),
        (600, RiskState::AtRisk, false),
        (600, RiskState::Unknown, false),
    ];
    for (seconds, state, withdrawn) in table {
        let mut life = Life::known();
        life.tell(&risk(0, "leakedCredentials"));
        let step = life.tell(&risky_user(seconds, state));
        assert_eq!(step.withdrawn.is_some(), withdrawn, "{seconds}, {state:?}");
        // A detection made afterwards may be of an older activity: it asks.
        let offline = life.tell(&risk(-3_600, "passwordSpray"));
        assert_eq!(!orders(&offline).is_empty(), withdrawn, "{seconds}");
    }
}

#[test]
fn a_risk_of_a_sign_in_that_failed_asks_nothing_in_either_order() {
    let attempt = failed(0, 0, 1, 50126);
    let spray = about(&risk(0, "passwordSpray"), &attempt);
    let mut life = Life::known();
    life.tell(&attempt);
    let step = life.tell(&spray);
    assert_eq!((step.signals, step.decision), (vec![], None));

    let mut life = Life::known();
    assert_eq!(orders(&life.tell(&spray)), RESET);
    let case = life.incident().case;
    assert_eq!(life.tell(&attempt).withdrawn, Some(case));
    assert_eq!(life.memory.signals, []);
    // Its update is no news either.
    let step = life.tell(&updated(&spray, RiskState::AtRisk));
    assert_eq!((step.signals, step.decision), (vec![], None));
}

#[test]
fn a_leak_stands_whatever_became_of_the_sign_in_it_names() {
    let attempt = failed(0, 0, 1, 50126);
    let leaked = about(&risk(0, "leakedCredentials"), &attempt);
    for order in [[&attempt, &leaked], [&leaked, &attempt]] {
        let mut life = Life::known();
        let steps = order.map(|event| life.tell(event));
        assert!(steps.iter().any(|step| orders(step) == RESET));
        assert!(steps.iter().all(|step| step.withdrawn.is_none()));
    }
}

#[test]
fn nothing_is_withdrawn_while_something_else_still_asks() {
    let mut life = Life::known();
    let leaked = risk(0, "leakedCredentials");
    life.tell(&leaked);
    let tor = life.tell(&sign_in(300, 4, 5, true));
    assert!(names(&tor).contains(&"tor_exit"));
    let step = life.tell(&updated(&leaked, RiskState::Dismissed));
    assert_eq!(step.withdrawn, None);
    assert!(
        life.memory
            .signals
            .iter()
            .all(|s| s.name.as_str() != "risk.leakedCredentials")
    );
}

#[test]
fn what_was_acted_on_stays_acted_on() {
    let mut life = Life::known();
    let confirmed = risk(0, RiskType::ADMIN_CONFIRMED);
    let acted = orders(&life.tell(&confirmed));
    assert!(acted.contains(&(ActionKind::RevokeSessions, Effect::Act)));
    life.tell(&updated(&confirmed, RiskState::Dismissed));
    assert_eq!(
        life.incident().effect_of(ActionKind::RevokeSessions),
        Some(Effect::Act)
    );
    // More of the same calls for nothing.
    let step = life.tell(&updated(&confirmed, RiskState::ConfirmedCompromised));
    assert_eq!(step.decision, None);
}

/// The guard may have turned the act into a question, which the engine cannot
/// know: it says that nothing calls for it, and the store closes what waits.
#[test]
fn an_act_that_nothing_calls_for_any_more_is_withdrawn_where_it_still_waits() {
    let mut life = Life::known();
    let confirmed = risk(0, RiskType::ADMIN_CONFIRMED);
    life.tell(&confirmed);
    let case = life.incident().case;
    let step = life.tell(&updated(&confirmed, RiskState::Dismissed));
    assert_eq!(step.withdrawn, Some(case));
}

#[test]
fn two_detections_that_agree_do_so_no_more_once_one_is_settled() {
    for settled in 0..2 {
        let mut life = Life::known();
        let pair = [
            risk(0, "maliciousIPAddress"),
            risk(60, "anonymizedIPAddress"),
        ];
        let steps = life.tell_all(&pair);
        assert!(names(&steps[1]).contains(&"risk_types_agree"));
        assert!(!orders(&steps[1]).is_empty());
        let step = life.tell(&updated(&pair[settled], RiskState::Dismissed));
        let left: Vec<&str> = life
            .memory
            .signals
            .iter()
            .map(|s| s.name.as_str())
            .collect();
        assert_eq!(left.len(), 1, "{settled}: {left:?}");
        assert!(step.withdrawn.is_some(), "{settled}: {left:?}");
    }
}

#[test]
fn what_an_earlier_round_answered_does_not_keep_a_later_question_open() {
    let mut life = Life::known();
    life.tell(&sign_in(0, 0, 1, true));
    assert!(!orders(&life.tell(&sign_in(1_800, 3, 1, false))).is_empty());
    life.revoked_at = Some(at(1_860));
    let hours = 4 * 3_600;
    let noticed = risk(hours, "attackerinTheMiddle");
    assert!(
        orders(&life.tell(&noticed))
            .iter()
            .all(|(_, effect)| *effect == Effect::Ask)
    );
    let case = life.incident().case;
    let step = life.tell(&updated(&noticed, RiskState::Dismissed));
    assert_eq!(step.withdrawn, Some(case));
}
