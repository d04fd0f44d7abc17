//! Who somebody is for the month: their role, what they carry, and what will
//! happen to them.
//!
//! Invariant: everything is drawn once from the seed and the person's number,
//! before any day is written, so days can be written in any order.

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng};

use crate::lab::evaluate::people::{Person, chrome, edge, uuid_of};
use crate::lab::evaluate::world::{
    City, DESTINATIONS, Dice, HOMES, day_of, distance_km, utc_offset,
};

/// An airliner's speed from gate to gate, in km/h.
const FLIGHT_KMH: f64 = 780.0;
/// To the airport, through it, and out of the other one, in hours.
const AIRPORTS_HOURS: f64 = 3.0;

/// How long people are at the airport before they board.
const AIRPORT_WAIT: SignedDuration = SignedDuration::from_mins(90);

/// When the period is and what happens to everybody in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::lab::evaluate) struct Calendar {
    pub(in crate::lab::evaluate) seed: u64,
    /// Midnight UTC of the first day, a Monday.
    pub(in crate::lab::evaluate) start: Timestamp,
    pub(in crate::lab::evaluate) days: u32,
}

impl Calendar {
    /// The day on which the fleet's browser is upgraded.
    pub(super) fn upgrade_day(&self) -> u32 {
        self.next_working(self.days * 2 / 5)
    }

    /// The first day of the new cloud desktops.
    pub(super) fn rollout_day(&self) -> u32 {
        self.next_working(self.days / 2)
    }

    /// The day of the conference.
    pub(super) fn conference_day(&self) -> u32 {
        self.next_working(self.days * 3 / 5)
    }

    /// Monday is 0.
    pub(in crate::lab::evaluate) fn works(&self, day: u32) -> bool {
        day % 7 < 5
    }

    /// That day, or the Monday after it.
    pub(in crate::lab::evaluate) fn next_working(&self, day: u32) -> u32 {
        match day % 7 {
            5 => day + 2,
            6 => day + 1,
            _ => day,
        }
    }

    /// The dice of one person, for one purpose.
    pub(in crate::lab::evaluate) fn dice(&self, person: u32, purpose: u64) -> Dice {
        let mut seed = [0_u8; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..12].copy_from_slice(&person.to_le_bytes());
        seed[12..20].copy_from_slice(&purpose.to_le_bytes());
        Dice::from_seed(seed)
    }
}

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lab::evaluate) enum Role {
    Employee,
    Guest,
    SharedMailbox,
    MeetingRoom,
    Kiosk,
    ServiceAccount,
    Scanner,
    RedTeam,
}

/// A journey there and back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trip {
    pub(super) city: City,
    pub(super) leaves: Timestamp,
    pub(super) arrives: Timestamp,
    pub(super) leaves_again: Timestamp,
    pub(super) back: Timestamp,
    /// Whether the laptop tunnels everything home while away.
    pub(super) full_tunnel: bool,
}

/// One account for the whole period.
#[derive(Debug, Clone)]
pub(in crate::lab::evaluate) struct Life {
    pub(in crate::lab::evaluate) person: Person,
    pub(in crate::lab::evaluate) role: Role,
    pub(super) office_share: f64,
    pub(super) split_vpn: bool,
    pub(super) relay: bool,
    /// The provider of a commercial VPN, for who has one.
    pub(super) vpn: Option<u32>,
    pub(super) dual_stack: bool,
    /// The pool of cloud desktops they work on, and from which day.
    pub(super) desktop: Option<(u32, u32)>,
    pub(super) developer: bool,
    pub(super) private_machine: bool,
    pub(super) attends_conference: bool,
    pub(super) trip: Option<Trip>,
    pub(super) new_phone: Option<u32>,
    pub(super) new_laptop: Option<u32>,
    /// Their first day, 0 for those who were there before.
    pub(super) joins: u32,
    /// When the attack on a victim begins: their ordinary life ends there.
    pub(in crate::lab::evaluate) attacked: Option<Timestamp>,
    /// The day of the attack: the victim works at home.
    pub(super) at_home_on: Option<u32>,
}

impl Life {
    /// The life of the person of that number, among so many.
    pub(in crate::lab::evaluate) fn new(calendar: &Calendar, number: u32) -> Self {
        let dice = &mut calendar.dice(number, u64::MAX);
        let city = HOMES[dice.random_range(0..HOMES.len())];
        let mut person = Person::new(number, city, dice);
        let role = role(dice);
        person.user.guest = role == Role::Guest;
        if matches!(role, Role::Guest | Role::SharedMailbox) {
            person.laptop.id = None;
            person.laptop.managed = false;
        }
        let mut chance = |p: f64| dice.random_bool(p);
        let desktop_old = chance(0.004);
        let desktop_new = chance(0.015);
        let mut life = Self {
            person,
            role,
            office_share: if chance(0.15) { 0.05 } else { 0.55 },
            split_vpn: chance(0.12),
            relay: chance(0.08),
            vpn: chance(0.02).then_some(number % 4),
            dual_stack: chance(0.25),
            desktop: match (desktop_old, desktop_new) {
                (true, _) => Some((0, 0)),
                (_, true) => Some((1, calendar.rollout_day())),
                _ => None,
            },
            developer: chance(0.06),
            private_machine: chance(0.10),
            attends_conference: chance(0.05),
            trip: None,
            new_phone: None,
            new_laptop: None,
            joins: 0,
            attacked: None,
            at_home_on: None,
        };
        if role == Role::Employee {
            life.plan(calendar, dice);
        }
        life
    }

    /// What will happen once in the period.
    fn plan(&mut self, calendar: &Calendar, dice: &mut Dice) {
        let days = calendar.days;
        let mut on_some_day = |p: f64| {
            (days > 2 && dice.random_bool(p))
                .then(|| calendar.next_working(dice.random_range(1..days)))
        };
        let leaves = on_some_day(0.10);
        self.new_phone = on_some_day(0.04);
        self.new_laptop = on_some_day(0.025);
        let joins = on_some_day(0.03);
        if let Some(day) = leaves {
            self.trip = Some(self.trip(calendar, day, dice));
        }
        if let Some(day) = joins {
            self.joins = day;
            self.trip = None;
            self.new_phone = None;
            self.new_laptop = None;
        }
    }

    fn trip(&self, calendar: &Calendar, day: u32, dice: &mut Dice) -> Trip {
        let city = DESTINATIONS[dice.random_range(0..DESTINATIONS.len())];
        let home = self.person.city;
        let hours = distance_km(home, city) / FLIGHT_KMH + AIRPORTS_HOURS;
        let journey = SignedDuration::from_secs((hours * 3600.0) as i64);
        let leaves = day_of(calendar.start, day) - utc_offset(home)
            + SignedDuration::from_mins(dice.random_range(7 * 60..18 * 60));
        let stays = day + dice.random_range(2..6);
        let leaves_again = day_of(calendar.start, stays) - utc_offset(city)
            + SignedDuration::from_mins(dice.random_range(9 * 60..20 * 60));
        Trip {
            city,
            leaves,
            arrives: leaves + journey,
            leaves_again,
            back: leaves_again + journey,
            full_tunnel: dice.random_bool(0.3),
        }
    }

    /// Makes a victim of an ordinary employee: at home that day, and no more
    /// than that is arranged for the attack.
    pub(in crate::lab::evaluate) fn into_victim(mut self, day: u32, start: Timestamp) -> Self {
        let city = self.person.city;
        if self.role != Role::Employee {
            // The account of a person, as the scenarios assume.
            let mut dice = Dice::seed_from_u64(u64::from(self.person.number));
            self.person = Person::new(self.person.number, city, &mut dice);
            self.role = Role::Employee;
        }
        self.trip = None;
        self.new_laptop = None;
        self.new_phone = None;
        self.joins = 0;
        self.attacked = Some(start);
        self.at_home_on = Some(day);
        self
    }

    /// The red team of one: an employee who tests with an attacker's tools.
    pub(in crate::lab::evaluate) fn into_red_team(mut self) -> Self {
        self.role = Role::RedTeam;
        self.trip = None;
        self.joins = 0;
        self
    }

    /// Where they are at that time; `None` on a journey.
    pub(super) fn city_at(&self, at: Timestamp) -> Option<City> {
        match self.trip {
            _ if self.airport_at(at).is_some() => Some(self.person.city),
            Some(trip) if at >= trip.leaves && at < trip.back => {
                (at >= trip.arrives && at < trip.leaves_again).then_some(trip.city)
            }
            _ => Some(self.person.city),
        }
    }

    /// The city at whose airport they wait to leave.
    pub(super) fn airport_at(&self, at: Timestamp) -> Option<City> {
        let trip = self.trip?;
        let waits = at >= trip.leaves && at.duration_since(trip.leaves) < AIRPORT_WAIT;
        waits.then_some(self.person.city)
    }

    /// The person with the machines they have at that time of that day.
    pub(in crate::lab::evaluate) fn equipped(&self, calendar: &Calendar, day: u32) -> Person {
        let mut person = self.person.clone();
        if self.new_phone.is_some_and(|new| day >= new) {
            person.phone.id = Some(uuid_of(&format!("new phone {}", person.number)));
        }
        if self.new_laptop.is_some_and(|new| day >= new) {
            person.laptop.id = Some(uuid_of(&format!("new laptop {}", person.number)));
        }
        let upgraded = day > calendar.upgrade_day();
        if person.number.is_multiple_of(7) {
            person.laptop.agent = chrome(if upgraded { 129 } else { 128 });
            person.laptop.browser = if upgraded {
                "Chrome 129.0.0"
            } else {
                "Chrome 128.0.0"
            };
        } else if upgraded {
            person.laptop.agent = edge(129);
            person.laptop.browser = "Edge 129.0.0";
        }
        person
    }
}

/// What an account is for: of a thousand, some forty are no employee's.
fn role(dice: &mut Dice) -> Role {
    match dice.random_range(0..1000) {
        0..25 => Role::Guest,
        25..29 => Role::SharedMailbox,
        29..33 => Role::MeetingRoom,
        33..36 => Role::Kiosk,
        36..40 => Role::ServiceAccount,
        40..43 => Role::Scanner,
        _ => Role::Employee,
    }
}
