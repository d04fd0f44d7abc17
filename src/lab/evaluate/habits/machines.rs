//! Accounts that are no one person's: shared ones, rooms, kiosks, programs.

use jiff::SignedDuration;
use rand::Rng;

use super::diary::{Diary, single_factor};
use crate::lab::evaluate::people::{App, Machine, OUTLOOK, TEAMS, edge, uuid_of};
use crate::lab::evaluate::world::{HOMES, Spot};
use crate::model::{ClientApp, IncomingToken, Protocol, TransferMethod};

fn office(diary: &Diary<'_>) -> Spot {
    let number = usize::try_from(diary.person.number).unwrap_or(0);
    diary.world.office(HOMES[number % 4])
}

fn program(agent: &str) -> Machine {
    Machine {
        id: None,
        system: "",
        browser: "",
        agent: agent.into(),
        managed: false,
    }
}

/// An account whose password several people know. Of every second one a
/// member lives in another city.
pub(super) fn shared_mailbox(diary: &mut Diary<'_>) {
    if !diary.calendar.works(diary.day) {
        return;
    }
    let number = diary.person.number;
    let city = diary.person.city;
    let elsewhere = HOMES
        .iter()
        .find(|other| other.country == city.country && other.name != city.name);
    for member in 0..3_u32 {
        if diary.chance(0.4) {
            continue;
        }
        let place = match elsewhere {
            Some(other) if member == 2 && number.is_multiple_of(2) => *other,
            _ => city,
        };
        let spot = if diary.chance(0.5) {
            office(diary)
        } else {
            diary.world.home(place, number * 7 + member)
        };
        let machine = Machine {
            id: Some(uuid_of(&format!("laptop of member {member} of {number}"))),
            system: "Windows 10",
            browser: "Edge 128.0.0",
            agent: edge(128),
            managed: true,
        };
        let session = diary.person.session(&format!("member {member}"), diary.day);
        let at = diary.between(8.0, 17.0);
        let event = diary.interactive(at, spot, &machine, &session, OUTLOOK);
        diary.tell("shared_mailbox", event);
        let at = at + SignedDuration::from_mins(70);
        let event = diary.renewal(at, spot, &machine, &session, OUTLOOK);
        diary.tell("shared_mailbox", event);
    }
}

/// A room's console: signed in by a code once a week, awake all day.
pub(super) fn meeting_room(diary: &mut Diary<'_>) {
    let spot = office(diary);
    let week = diary.day / 7;
    let session = diary.person.session("room", week);
    let machine = Machine {
        id: Some(uuid_of(&format!("console {}", diary.person.number))),
        system: "Android",
        browser: "",
        agent: "TeamsRoom/1449 (Android 12)".into(),
        managed: true,
    };
    if diary.day.is_multiple_of(7) {
        let at = diary.between(7.0, 8.0);
        let mut event = diary.interactive(at, spot, &machine, &session, TEAMS);
        single_factor(&mut event);
        event.protocol = Protocol::DeviceCode;
        event.transfer_method = TransferMethod::DeviceCodeFlow;
        diary.tell("meeting_room", event);
    }
    for hour in [8.0, 11.0, 14.0, 17.0] {
        let at = diary.between(hour, hour + 1.0);
        let mut event = diary.renewal(at, spot, &machine, &session, TEAMS);
        single_factor(&mut event);
        event.transfer_method = TransferMethod::DeviceCodeFlow;
        diary.tell("meeting_room", event);
    }
}

/// A screen on the shop floor that sends a stored password.
pub(super) fn kiosk(diary: &mut Diary<'_>) {
    let spot = office(diary);
    let machine = program("ContosoKiosk/3.2");
    for hour in [6.0, 14.0, 22.0] {
        let at = diary.between(hour, hour + 0.5);
        let session = diary.person.session(&format!("shift {hour}"), diary.day);
        let mut event = diary.interactive(at, spot, &machine, &session, OUTLOOK);
        single_factor(&mut event);
        event.interactive = false;
        event.client_app = ClientApp::Modern;
        event.protocol = Protocol::Ropc;
        diary.tell("kiosk", event);
    }
}

/// A program of the tenant's own on a rented machine, with a password.
pub(super) fn service_account(diary: &mut Diary<'_>) {
    let spot = diary.world.rented(diary.person.number, diary.person.number);
    let machine = program("python-requests/2.31.0");
    let app = App {
        id: "5b1e2d3c-1111-4222-8333-444455556666",
        name: "Contoso Nightly Export",
        ..TEAMS
    };
    let offset: f64 = diary.dice.random_range(0.0..0.2);
    for run in 0..12_u32 {
        let hour = f64::from(run) * 2.0 + offset;
        let at = diary.between(hour, hour + 0.05);
        let session = diary.person.session(&format!("run {run}"), diary.day);
        let mut event = diary.interactive(at, spot, &machine, &session, app);
        single_factor(&mut event);
        event.interactive = false;
        event.client_app = ClientApp::Modern;
        event.protocol = Protocol::Ropc;
        diary.tell("service_account", event);
    }
}

/// A scanner that mails what it scanned.
pub(super) fn scanner(diary: &mut Diary<'_>) {
    if !diary.calendar.works(diary.day) {
        return;
    }
    let spot = office(diary);
    let machine = program("BAV2ROPC");
    let exchange = App {
        id: OUTLOOK.resource_id,
        name: OUTLOOK.resource,
        ..OUTLOOK
    };
    let scans = diary.dice.random_range(2..9);
    for scan in 0..scans {
        let at = diary.between(8.0, 18.0);
        let session = diary.person.session(&format!("scan {scan}"), diary.day);
        let mut event = diary.interactive(at, spot, &machine, &session, exchange);
        single_factor(&mut event);
        event.session = None;
        event.interactive = false;
        event.client_app = ClientApp::from("Authenticated SMTP");
        event.incoming_token = IncomingToken::None;
        diary.tell("scanner", event);
    }
}
