//! What goes wrong on ordinary days: interrupts, wrong passwords, a finger on
//! the wrong button, a private computer that is not let in, a consent.

use jiff::SignedDuration;
use rand::Rng;

use super::diary::Diary;
use crate::lab::evaluate::people::{Machine, OFFICE_HOME, TEAMS, chrome, failed, step, uuid_of};
use crate::lab::evaluate::world::Spot;
use crate::model::{AuditKind, RecordId, SignIn};

/// Of how many different applications people ask for consent.
const APPS: u32 = 40;

/// An earlier attempt of the same login.
fn before(login: &SignIn, seconds: i64, code: i64) -> SignIn {
    let mut attempt = failed(login.clone(), code);
    attempt.at = login.at - SignedDuration::from_secs(seconds);
    attempt.record = RecordId::new(uuid_of(&format!("{code} before {}", login.record)));
    attempt
}

/// What comes before the morning's sign-in succeeds.
pub(super) fn around_login(diary: &mut Diary<'_>, login: &SignIn) {
    if diary.chance(0.08) {
        diary.tell("interrupt", before(login, 25, 50_074));
        if diary.chance(0.7) {
            diary.tell("interrupt", before(login, 8, 50_140));
        }
    } else if diary.chance(0.02) {
        diary.tell("interrupt", before(login, 3, 50_058));
    }
    if diary.chance(0.03) {
        for seconds in [90, 50].into_iter().take(diary.dice.random_range(1..3)) {
            let mut attempt = before(login, seconds, 50_126);
            attempt.record = RecordId::new(uuid_of(&format!("{seconds} {}", attempt.record)));
            diary.tell("mistyped_password", attempt);
        }
    }
    if diary.chance(0.005) {
        let presses = if diary.chance(0.1) { 2 } else { 1 };
        for press in 0..presses {
            let mut denied = before(login, 60 - 20 * press, 500_121);
            denied.record = RecordId::new(uuid_of(&format!("{press} {}", denied.record)));
            denied.mfa_denials = 1;
            denied.steps.push(step(
                "Mobile app notification",
                false,
                "MFA denied; user declined the authentication",
            ));
            diary.tell("mfa_misclick", denied);
        }
    }
}

fn private_machine() -> Machine {
    Machine {
        id: None,
        system: "Windows 10",
        browser: "Chrome 128.0.0",
        agent: chrome(128),
        managed: false,
    }
}

/// In the evening on the family's computer: let in by some policies, by
/// others not.
pub(super) fn at_home(diary: &mut Diary<'_>) {
    if !diary.life.private_machine || !diary.chance(0.12) {
        return;
    }
    let spot = diary.world.home(diary.person.city, diary.person.household);
    let at = diary.between(19.0, 22.5);
    if diary.life.city_at(at).map(|city| city.name) != Some(diary.person.city.name) {
        return;
    }
    let session = diary.person.session("private", diary.day);
    let event = diary.interactive(at, spot, &private_machine(), &session, OFFICE_HOME);
    if diary.chance(0.35) {
        let code = diary.pick(&[53_000, 53_003]);
        diary.tell("blocked_at_home", failed(event, code));
    } else {
        diary.tell("private_machine", event);
    }
}

/// Somebody lets an application read their data, and uses it.
pub(super) fn consent(diary: &mut Diary<'_>, spot: Spot) {
    if !diary.chance(0.004) {
        return;
    }
    let at = diary.between(10.0, 17.0);
    if diary.life.city_at(at).map(|city| city.name) != Some(diary.person.city.name) {
        return;
    }
    let number = diary.dice.random_range(0..APPS);
    let name = format!("Meeting Notes {number}");
    diary.change(
        "consent",
        at,
        AuditKind::ConsentGranted,
        "Consent to application",
        spot,
        Some(("ServicePrincipal", &name)),
    );
    // The application asks for its tokens from where it runs.
    let from = if diary.chance(0.5) {
        diary.world.rented(number, 500 + number)
    } else {
        spot
    };
    let session = diary.laptop_session();
    let laptop = diary.person.laptop.clone();
    let later = at + SignedDuration::from_mins(2);
    let mut event = diary.renewal(later, from, &laptop, &session, TEAMS);
    if from != spot {
        event.device = crate::model::Device::default();
        event.user_agent = Some("axios/1.7.2".into());
        event.session = Some(diary.person.session("consented", diary.day));
    }
    event.app.id = Some(uuid_of(&name));
    event.app.name = Some(name.into());
    diary.tell("consent", event);
}
