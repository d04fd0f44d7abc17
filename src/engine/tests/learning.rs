//! What days teach, and what they must not.

use super::*;
use crate::model::{Parameters, day_of};

/// Days after which a day's habits count: today and late records are out.
const LATER: i64 = 2 * DAY;

fn is_familiar(life: &Life, habit: Habit, seconds: i64) -> bool {
    let parameters = Parameters::default();
    life.memory
        .habits
        .is_familiar(habit, at(seconds), &parameters)
}

#[test]
fn an_incidents_day_teaches_nothing() {
    let mut life = Life::known();
    let hosting = Habit::Asn(HOSTING_ASN);
    life.tell_all(&[
        sign_in(0, 0, 1, true),
        sign_in(1_800, 3, 1, false),
        sign_in(3_600, 3, 1, false),
    ]);
    assert!(life.memory.incident.is_some());
    assert!(!is_familiar(&life, hosting, LATER));
    assert!(
        is_familiar(&life, Habit::Asn(3215), LATER),
        "home stays known"
    );
    // The tenant learns as little: nobody's gateway is the thief's.
    assert_eq!(life.around.len().1, 0);
    let prefix = crate::model::Prefix::of(network(3).address.unwrap());
    assert!(
        life.around
            .changes()
            .all(|(thing, _)| thing != Thing::Prefix(prefix)),
        "the thief's network is not the tenant's"
    );
}

#[test]
fn a_day_after_a_theft_still_finds_the_thief_strange() {
    let mut life = Life::known();
    life.tell_all(&[sign_in(0, 0, 1, true), sign_in(1_800, 3, 1, false)]);
    for day in 2..5 {
        life.tell(&sign_in(day * DAY, 0, day as u8, true));
        let theft = life.tell(&sign_in(day * DAY + 1_800, 3, day as u8, false));
        assert!(
            names(&theft).contains(&"session_hosting"),
            "day {day}: {:?}",
            names(&theft)
        );
    }
}

#[test]
fn weak_signals_day_after_day_do_not_keep_an_incident_open() {
    let mut life = Life::known();
    let theft = life.tell_all(&[sign_in(0, 0, 1, true), sign_in(1_800, 3, 1, false)]);
    assert!(theft[1].decision.is_some());
    // Never a day without one, each within a day of the one before.
    for n in 1..=8_u8 {
        let seconds = i64::from(n) * 20 * 3_600;
        life.tell(&sign_in(seconds, 0, n + 10, true));
        let weak = life.tell(&client_changed_unmanaged(seconds + 60, n + 10));
        assert!(!weak.signals.is_empty(), "{n}");
        assert!(weak.decision.is_none(), "{n}");
    }
    assert!(
        life.incident().last <= at(DAY),
        "{:?}",
        life.incident().last
    );
    let tainted = life.memory.habits.tainted();
    for day in 2..7 {
        assert!(!tainted.contains(day_of(at(day * DAY))), "day {day}");
    }
}

/// At home in the same session by another browser, on no device that is known.
fn client_changed_unmanaged(seconds: i64, session: u8) -> Event {
    let Event::SignIn(mut event) = client_changed(seconds, session) else {
        unreachable!("a sign-in is one")
    };
    event.record = RecordId::new(format!("c{seconds}-{session}"));
    Event::SignIn(event)
}

#[test]
fn what_was_new_is_usual_after_some_days() {
    let mut life = Life::known();
    // She moves to Lagos and takes her laptop along.
    let in_lagos = |seconds, session| {
        let Event::SignIn(mut event) = sign_in(seconds, 2, session, true) else {
            unreachable!("a sign-in is one")
        };
        event.device = laptop();
        Event::SignIn(event)
    };
    let first = life.tell(&in_lagos(0, 1));
    assert!(names(&first).contains(&"new_country"), "{first:?}");
    assert_eq!(first.decision, None);
    let same_day = life.tell(&in_lagos(3_600, 1));
    assert!(
        names(&same_day).contains(&"new_country"),
        "today does not vouch for today"
    );
    for day in 2..5 {
        let step = life.tell(&in_lagos(day * DAY, day as u8));
        assert_eq!(names(&step), [""; 0], "day {day}");
    }
    // What is not used for two months is new again.
    life.tell(&sign_in(40 * DAY, 0, 40, true));
    life.tell(&sign_in(80 * DAY, 0, 80, true));
    let again = life.tell(&in_lagos(100 * DAY, 100));
    assert!(names(&again).contains(&"new_country"), "{again:?}");
}

#[test]
fn right_credentials_that_were_stopped_ask_for_a_reset_and_revoke_nothing() {
    for code in [53000, 53001, 53002, 53003] {
        let mut life = Life::known();
        let step = life.tell(&failed(0, 2, 1, code));
        assert_eq!(names(&step), ["credentials_stolen"], "{code}");
        let expected = [(ActionKind::ResetPassword, Effect::Ask)];
        assert_eq!(orders(&step), expected, "{code}");
        assert_eq!(
            life.incident().effect_of(ActionKind::RevokeSessions),
            None,
            "{code}"
        );
        // Again and again is one question.
        assert_eq!(life.tell(&failed(60, 2, 1, code)).decision, None);
        // At home, somebody forgot the laptop.
        assert_eq!(names(&Life::known().tell(&failed(0, 0, 1, code))), [""; 0]);
        // Of somebody unknown every country is new, and that says nothing.
        assert_eq!(names(&Life::new().tell(&failed(0, 2, 1, code))), [""; 0]);
    }
    // Wrong credentials are not stolen ones.
    for code in [50126, 50053, 50074] {
        assert_eq!(names(&Life::known().tell(&failed(0, 2, 1, code))), [""; 0]);
    }
}
