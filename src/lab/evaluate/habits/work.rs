//! People at work: the laptop, the phone, the cloud desktop, the journey.

use jiff::Timestamp;
use rand::Rng;

use super::diary::Diary;
use super::{RED_TEAM, mishaps, noise};
use crate::lab::evaluate::people::{
    AZURE_CLI, App, Machine, OFFICE_HOME, OUTLOOK, OUTLOOK_MOBILE, TEAMS, VS_CODE, edge, failed,
    uuid_of,
};
use crate::lab::evaluate::world::{City, HOMES, Spot};
use crate::model::{AuditKind, IncomingToken, Protocol, SessionId, SignIn, TransferMethod};

const DESK_APPS: [App; 3] = [OUTLOOK, TEAMS, OFFICE_HOME];
/// The conference's Wi-Fi.
const CONFERENCE_NETWORK: u32 = 999;
/// An airport's Wi-Fi.
const AIRPORT_NETWORK: u32 = 998;
/// The host of each pool of cloud desktops.
const DESKTOP_HOST: u32 = 77;

/// Where the laptop is today, and what that is called.
#[derive(Debug, Clone, Copy)]
struct Desk {
    habit: &'static str,
    spot: Spot,
    /// A second way out of the same machine, used by some of its connections.
    also: Option<(&'static str, Spot)>,
}

pub(super) fn employee(diary: &mut Diary<'_>) {
    if !diary.calendar.works(diary.day) {
        weekend(diary);
        return;
    }
    let desk = desk(diary);
    let first = laptop(diary, desk);
    changes(diary, desk);
    phone(diary, desk);
    cloud_desktop(diary);
    if diary.life.developer {
        developer(diary, desk);
    }
    mishaps::around_login(diary, &first);
    mishaps::at_home(diary);
    mishaps::consent(diary, desk.spot);
    noise::microsoft_egress(diary);
    noise::identity_protection(diary);
}

/// Chooses the place of the day. Of a person on a journey it is a hotel, and
/// before they leave and after they are back their home.
fn desk(diary: &mut Diary<'_>) -> Desk {
    let life = diary.life;
    let world = diary.world;
    let city = diary.person.city;
    let home = world.home(city, diary.person.household);
    if life.at_home_on == Some(diary.day) {
        return plain("home_day", home);
    }
    if life.attends_conference && diary.day == diary.calendar.conference_day() {
        return plain("conference", world.guest_network(city, CONFERENCE_NETWORK));
    }
    if diary.chance(life.office_share) {
        let place = HOMES.iter().position(|home| home.name == city.name);
        let place = place.unwrap_or(0);
        // Cities without an office go out through the one of their country.
        let habit = if place < 4 {
            "office_day"
        } else {
            "corporate_egress"
        };
        return plain(habit, world.office(HOMES[place % 4]));
    }
    let mut desk = plain("home_day", home);
    if let Some(provider) = life.vpn
        && diary.chance(0.5)
    {
        desk = plain("commercial_vpn", world.vpn(&mut diary.dice, provider));
        desk.also = diary.chance(0.5).then_some(("commercial_vpn", home));
    } else if life.split_vpn {
        let place = HOMES.iter().position(|home| home.name == city.name);
        let egress = world.office(HOMES[place.unwrap_or(0) % 4]);
        desk.also = Some(("split_vpn", egress));
    } else if life.dual_stack {
        let v6 = world.home_v6(city, diary.person.household);
        desk.also = Some(("dual_stack", v6));
    }
    desk
}

fn plain(habit: &'static str, spot: Spot) -> Desk {
    Desk {
        habit,
        spot,
        also: None,
    }
}

/// Where the laptop goes out at that time.
fn laptop_spot(diary: &mut Diary<'_>, desk: Desk, at: Timestamp) -> (&'static str, Spot) {
    if let Some(airport) = airport(diary, at) {
        return ("travel_airport", airport);
    }
    if let Some(trip) = diary.life.trip {
        if at >= trip.leaves && at < trip.back {
            if trip.full_tunnel {
                return ("travel_full_tunnel", diary.world.office(HOMES[0]));
            }
            return ("travel_hotel", hotel(diary, trip.city));
        }
        if at >= trip.back && at.duration_since(trip.back).as_hours() < 12 {
            let home = diary.world.home(diary.person.city, diary.person.household);
            return ("travel_hotel", home);
        }
    }
    match desk.also {
        Some(other) if diary.chance(0.4) => other,
        _ => (desk.habit, desk.spot),
    }
}

/// The airport's Wi-Fi, for who waits there.
fn airport(diary: &Diary<'_>, at: Timestamp) -> Option<Spot> {
    let city = diary.life.airport_at(at)?;
    Some(diary.world.guest_network(city, AIRPORT_NETWORK))
}

fn hotel(diary: &Diary<'_>, city: City) -> Spot {
    diary.world.guest_network(city, diary.person.number)
}

/// A working day at the laptop. Answers the morning's sign-in.
fn laptop(diary: &mut Diary<'_>, desk: Desk) -> SignIn {
    let session = diary.laptop_session();
    let mut machine = diary.person.laptop.clone();
    let morning = diary.between(7.3, 9.8);
    let (habit, spot) = laptop_spot(diary, desk, morning);
    let app = diary.pick(&DESK_APPS);
    let first = diary.interactive(morning, spot, &machine, &session, app);
    diary.tell(habit, first.clone());
    let upgrade = diary.day == diary.calendar.upgrade_day();
    let renewals = diary.dice.random_range(5..10);
    for n in 0..renewals {
        let at = diary.between(9.8, 18.2);
        let (mut habit, spot) = laptop_spot(diary, desk, at);
        if upgrade && n == renewals / 2 {
            // The same browser, newer: what they have from tomorrow on.
            let tomorrow = diary.life.equipped(diary.calendar, diary.day + 1);
            machine.agent = tomorrow.laptop.agent;
            machine.browser = tomorrow.laptop.browser;
        }
        if upgrade && n >= renewals / 2 {
            habit = "browser_upgrade";
        }
        let app = diary.pick(&DESK_APPS);
        let mut event = diary.renewal(at, spot, &machine, &session, app);
        if machine.managed && diary.chance(0.5) {
            event.incoming_token = IncomingToken::PrimaryRefreshToken;
        }
        diary.tell(habit, event);
    }
    if diary.chance(0.4) {
        let at = diary.between(11.0, 17.0);
        let (habit, spot) = laptop_spot(diary, desk, at);
        let event = diary.by_cookie(at, spot, &machine, &session, OFFICE_HOME);
        diary.tell(habit, event);
    }
    first
}

/// A phone roams between Wi-Fi and its carrier, abroad too.
fn phone(diary: &mut Diary<'_>, desk: Desk) {
    let session = diary.phone_session();
    let machine = diary.person.phone.clone();
    for (from, to, on_wifi) in [
        (6.5, 8.5, 0.6),
        (12.0, 14.0, 0.3),
        (17.5, 19.0, 0.1),
        (19.5, 23.0, 0.85),
    ] {
        if diary.chance(0.2) {
            continue;
        }
        let at = diary.between(from, to);
        let wifi = diary.chance(on_wifi);
        let (habit, spot) = phone_spot(diary, desk, at, wifi, from);
        let app = if diary.chance(0.7) {
            OUTLOOK_MOBILE
        } else {
            TEAMS
        };
        let event = diary.renewal(at, spot, &machine, &session, app);
        diary.tell(habit, event);
    }
}

fn phone_spot(
    diary: &mut Diary<'_>,
    desk: Desk,
    at: Timestamp,
    wifi: bool,
    hour: f64,
) -> (&'static str, Spot) {
    if let Some(airport) = airport(diary, at) {
        return ("travel_airport", airport);
    }
    let home = diary.person.city;
    let city = diary.life.city_at(at).unwrap_or(home);
    let (world, carrier) = (diary.world, diary.person.carrier);
    if city.name != home.name {
        if wifi {
            return ("travel_phone", hotel(diary, city));
        }
        return ("travel_phone", world.mobile(&mut diary.dice, city, carrier));
    }
    if diary.life.relay && diary.chance(0.5) {
        return ("private_relay", world.relay(&mut diary.dice, city));
    }
    if wifi && (9.0..17.0).contains(&hour) {
        return ("phone", desk.spot);
    }
    if wifi {
        return ("phone", world.home(city, diary.person.household));
    }
    (
        "phone_roaming",
        world.mobile(&mut diary.dice, city, carrier),
    )
}

fn weekend(diary: &mut Diary<'_>) {
    let session = diary.phone_session();
    let machine = diary.person.phone.clone();
    for _ in 0..2 {
        let at = diary.between(9.0, 22.0);
        let wifi = diary.chance(0.6);
        let home = diary.world.home(diary.person.city, diary.person.household);
        let (habit, spot) = phone_spot(diary, plain("weekend", home), at, wifi, 20.0);
        let habit = if habit == "phone" { "weekend" } else { habit };
        let event = diary.renewal(at, spot, &machine, &session, OUTLOOK_MOBILE);
        diary.tell(habit, event);
    }
    if diary.chance(0.08) {
        let at = diary.between(10.0, 21.0);
        let desk = plain(
            "weekend",
            diary.world.home(diary.person.city, diary.person.household),
        );
        let (habit, spot) = laptop_spot(diary, desk, at);
        let session = diary.laptop_session();
        let laptop = diary.person.laptop.clone();
        let event = diary.interactive(at, spot, &laptop, &session, OFFICE_HOME);
        diary.tell(habit, event);
    }
}

/// What happens once: a first day, a new phone, a new laptop.
fn changes(diary: &mut Diary<'_>, desk: Desk) {
    let (day, life) = (diary.day, diary.life);
    if life.joins > 0 && life.joins == day {
        enrols(diary, "onboarding", desk, true);
    }
    if life.new_phone == Some(day) {
        enrols(diary, "new_phone", desk, true);
    }
    if life.new_laptop == Some(day) {
        enrols(diary, "new_laptop", desk, false);
    }
}

/// A device is set up: signed in before it is enrolled, then registered.
fn enrols(diary: &mut Diary<'_>, habit: &'static str, desk: Desk, with_method: bool) {
    let at = diary.between(10.0, 15.0);
    if diary.life.city_at(at).is_none() {
        return;
    }
    let (_, spot) = laptop_spot(diary, desk, at);
    let machine = match habit {
        "new_phone" => diary.person.phone.clone(),
        _ => diary.person.laptop.clone(),
    };
    let bare = Machine {
        id: None,
        managed: false,
        ..machine
    };
    let session = diary.person.session(habit, diary.day);
    let event = diary.interactive(at, spot, &bare, &session, OFFICE_HOME);
    diary.tell(habit, event);
    let name = match habit {
        "new_phone" => format!("iPhone of {}", diary.person.number),
        _ => format!("CONTOSO-{:05}", diary.person.number),
    };
    let soon = at + jiff::SignedDuration::from_mins(4);
    diary.change(
        habit,
        soon,
        AuditKind::DeviceRegistered,
        "Register device",
        spot,
        Some(("Device", &name)),
    );
    if with_method {
        let later = at + jiff::SignedDuration::from_mins(9);
        diary.change(
            habit,
            later,
            AuditKind::SecurityInfoRegistered,
            "User registered security info",
            spot,
            None,
        );
    }
}

/// A desktop in somebody's cloud, beside the laptop.
fn cloud_desktop(diary: &mut Diary<'_>) {
    let Some((pool, from)) = diary.life.desktop else {
        return;
    };
    if diary.day < from || diary.life.at_home_on == Some(diary.day) || diary.chance(0.15) {
        return;
    }
    let habit = if from == 0 {
        "cloud_desktop"
    } else {
        "cloud_desktop_rollout"
    };
    let spot = diary.world.rented(pool, DESKTOP_HOST);
    let session = diary.person.session("desktop", diary.day);
    // Whoever rolls desktops out enrols them; the old pool never was.
    let enrolled = from > 0;
    let name = format!("desktop {}", diary.person.number);
    let machine = Machine {
        id: enrolled.then(|| uuid_of(&name)),
        system: "Windows 10",
        browser: "Edge 128.0.0",
        agent: edge(128),
        managed: enrolled,
    };
    let at = diary.between(8.5, 11.0);
    let event = diary.interactive(at, spot, &machine, &session, OFFICE_HOME);
    diary.tell(habit, event);
    for _ in 0..4 {
        let at = diary.between(11.0, 18.0);
        let app = diary.pick(&DESK_APPS);
        let event = diary.renewal(at, spot, &machine, &session, app);
        diary.tell(habit, event);
    }
}

/// Command lines, editors on other machines, scripts.
fn developer(diary: &mut Diary<'_>, desk: Desk) {
    let script = |agent: &str| Machine {
        id: None,
        system: "",
        browser: "",
        agent: agent.into(),
        managed: false,
    };
    let cli = script("python-requests/2.32.3");
    if diary.chance(0.4) {
        let session = diary.person.session("cli", diary.day / 7);
        let at = diary.between(9.5, 17.0);
        let (_, spot) = laptop_spot(diary, desk, at);
        let event = diary.renewal(at, spot, &cli, &session, AZURE_CLI);
        diary.tell("azure_cli", event);
    }
    if diary.chance(0.06) {
        by_code(diary, "device_code_cli", desk, None, AZURE_CLI, &cli);
    }
    if diary.chance(0.05) {
        // The code is typed at the desk. Most remote machines stand in the same
        // network (signals.md, #24: same ASN), one in three is rented.
        let number = diary.person.number;
        let remote = match number % 3 {
            0 => Some(diary.world.rented(2 + number % 2, number)),
            1 => Some(
                diary
                    .world
                    .home(diary.person.city, number * 7 + number % 7 + 21),
            ),
            _ => None,
        };
        let editor = script("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)");
        by_code(diary, "vs_code_remote", desk, remote, VS_CODE, &editor);
    }
    if diary.chance(0.15) {
        let session = diary.person.session("script", diary.day);
        let at = diary.between(9.5, 18.0);
        let app = App {
            id: "14d82eec-204b-4c2f-b7e8-296a70dab67e",
            name: "Microsoft Graph Command Line Tools",
            ..TEAMS
        };
        let (_, spot) = laptop_spot(diary, desk, at);
        let event = diary.interactive(at, spot, &cli, &session, app);
        diary.tell("python_script", event);
    }
}

/// A device code: confirmed in a browser, redeemed by a program.
fn by_code(
    diary: &mut Diary<'_>,
    habit: &'static str,
    desk: Desk,
    program_at: Option<Spot>,
    app: App,
    program: &Machine,
) {
    let at = diary.between(9.5, 17.0);
    let session: SessionId = diary.person.session(habit, diary.day);
    let laptop = diary.person.laptop.clone();
    let (_, spot) = laptop_spot(diary, desk, at);
    let program_at = program_at.unwrap_or(spot);
    let mut asked = diary.interactive(at, spot, &laptop, &session, app);
    asked.protocol = Protocol::DeviceCode;
    asked.transfer_method = TransferMethod::DeviceCodeFlow;
    let correlation = asked.correlation.clone();
    diary.tell(habit, failed(asked.clone(), 50_199));
    asked.at += jiff::SignedDuration::from_secs(20);
    asked.record = crate::model::RecordId::new(uuid_of(&format!("confirmed {}", asked.record)));
    diary.tell(habit, asked);
    for minutes in [1, 65, 130] {
        let at = at + jiff::SignedDuration::from_mins(minutes);
        let mut event = diary.renewal(at, program_at, program, &session, app);
        event.transfer_method = TransferMethod::DeviceCodeFlow;
        if minutes == 1 {
            event.incoming_token = IncomingToken::None;
            event.correlation = correlation.clone();
        }
        diary.tell(habit, event);
    }
}

/// Somebody of another company.
pub(super) fn guest(diary: &mut Diary<'_>) {
    if !diary.calendar.works(diary.day) || diary.chance(0.6) {
        return;
    }
    let spot = diary
        .world
        .guest_network(diary.person.city, diary.person.number);
    let machine = diary.person.laptop.clone();
    let session = diary.laptop_session();
    let at = diary.between(8.0, 18.0);
    for minutes in [0, 62, 125] {
        let at = at + jiff::SignedDuration::from_mins(minutes);
        let mut event = if minutes == 0 {
            diary.interactive(at, spot, &machine, &session, TEAMS)
        } else {
            diary.renewal(at, spot, &machine, &session, TEAMS)
        };
        event.home_tenant = Some("0f0e0d0c-0000-4000-8000-00000000f00d".into());
        diary.tell("guest", event);
    }
}

/// A tester with an attacker's tools: works like everybody, and at times
/// through Tor and rented machines.
pub(super) fn red_team(diary: &mut Diary<'_>) {
    employee(diary);
    for delivery in &mut diary.deliveries {
        delivery.label = crate::lab::evaluate::people::Label::Benign(RED_TEAM);
    }
    if diary.calendar.works(diary.day) && diary.chance(0.4) {
        let world = diary.world;
        let spot = if diary.chance(0.5) {
            world.tor(&mut diary.dice)
        } else {
            world.hosting(&mut diary.dice)
        };
        let machine = Machine {
            id: None,
            managed: false,
            ..diary.person.laptop.clone()
        };
        let session = diary.person.session("test", diary.day);
        let at = diary.between(10.0, 17.0);
        let event = diary.interactive(at, spot, &machine, &session, OFFICE_HOME);
        diary.tell(RED_TEAM, event);
    }
}
