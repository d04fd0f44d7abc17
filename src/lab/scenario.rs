//! The scripted morning at Contoso, and what must come of it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::records::{
    Agent, CHROME_LINUX, EDGE, HOSTING, HOSTING_SINGAPORE, LAGOS, MAIL, OFFICES, Person,
    SignInRecord, Spot, TEAMS, TOR_EXIT, record_id, risk_event,
};

/// The break-glass account that the shipped `guard.yaml` protects.
pub const BREAK_GLASS: &str = "breakglass@contoso.example";
/// The meeting room whose screen signs in by device code each morning.
pub const MEETING_ROOM: &str = "room.curie@contoso.example";

/// What must come of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every session is revoked, unattended.
    Contained,
    /// A human is asked.
    Queued,
    /// Nothing is done: the account is protected.
    Protected,
    /// No policy calls for anything.
    Quiet,
}

/// One thing that happens to one person.
#[derive(Debug, Clone)]
pub struct Act {
    /// For the narrator.
    pub title: &'static str,
    /// What a human would say of it.
    pub story: &'static str,
    /// To whom.
    pub person: Person,
    /// The records, in order, each a message of its own.
    pub records: Vec<Value>,
    /// What must come of it.
    pub outcome: Outcome,
}

const GIVEN_NAMES: [&str; 24] = [
    "Ana", "Bruno", "Chloe", "Dana", "Emil", "Farah", "Goran", "Hana", "Ines", "Jonas", "Katya",
    "Luca", "Marta", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Samir", "Tilda", "Ugo", "Vera",
    "Wanda", "Yusuf",
];
const FAMILY_NAMES: [&str; 10] = [
    "Abel", "Brandt", "Costa", "Dubois", "Eriksen", "Ferrari", "Garcia", "Horvat", "Ivanova",
    "Jansen",
];

/// 240 people, the same in every run.
pub fn staff() -> Vec<Person> {
    let mut people = Vec::new();
    for (f, family) in FAMILY_NAMES.iter().enumerate() {
        for (g, given) in GIVEN_NAMES.iter().enumerate() {
            let home = OFFICES[(f + g) % OFFICES.len()];
            let host = u8::try_from(10 + (f * GIVEN_NAMES.len() + g) % 240).unwrap_or(10);
            people.push(Person::new(&format!("{given} {family}"), home, host));
        }
    }
    people
}

/// The break-glass account as a person.
pub fn break_glass() -> Person {
    Person::new("breakglass", OFFICES[0], 250)
}

/// The meeting room's account as a person.
pub fn meeting_room() -> Person {
    Person::new("Room Curie", OFFICES[0], 251)
}

/// Everybody who has an account at Contoso.
pub fn tenant() -> Vec<Person> {
    let mut people = staff();
    people.extend([meeting_room(), break_glass()]);
    people
}

/// An hour of ordinary work that ends at `now`: everybody signs in, and their
/// applications renew tokens. Every 30th record is delivered twice, as the
/// real stream does (3–4 %).
pub fn ordinary_morning(people: &[Person], now: Timestamp) -> Vec<Value> {
    let mut records = Vec::new();
    for (index, person) in people.iter().enumerate() {
        let minutes = 59 - i64::try_from(index % 50).unwrap_or(0);
        let first = SignInRecord::at_home(person, now - SignedDuration::from_mins(minutes));
        records.push(first.to_json());
        for renewal in 1..=4_i64 {
            let at = first.at + SignedDuration::from_mins(renewal * minutes / 8);
            let id = record_id(&[&first.id, &renewal.to_string()]);
            let renewed = SignInRecord {
                at,
                id,
                interactive: false,
                ..first.clone()
            };
            records.push(renewed.to_json());
        }
    }
    let again: Vec<Value> = records.iter().step_by(30).cloned().collect();
    records.extend(again);
    records
}

/// The fortnight before, of the people in the acts: on ten days each signs in
/// at home in the morning and works until the afternoon, so that evictd knows
/// them and "new" means something.
pub fn fortnight(people: &[Person], now: Timestamp) -> Vec<Value> {
    let mut records = Vec::new();
    for act in acts(people, now) {
        for day in 2..=11_i64 {
            for hours in [0_i64, 3, 6] {
                let at = now - SignedDuration::from_hours(24 * day - hours);
                let at_work = SignInRecord {
                    interactive: hours == 0,
                    ..usual(&act.person, at)
                };
                records.push(at_work.to_json());
            }
        }
    }
    records
}

/// How somebody signs in at home: a meeting room has no keyboard, so that a
/// colleague types its code.
fn usual(person: &Person, at: Timestamp) -> SignInRecord<'_> {
    let at_home = SignInRecord::at_home(person, at);
    if person.principal_name != MEETING_ROOM {
        return at_home;
    }
    SignInRecord {
        client: TEAMS,
        device_code: true,
        ..at_home
    }
}

/// A message that holds a record which cannot be decoded between two that can.
pub fn with_a_broken_record(people: &[Person], now: Timestamp) -> Vec<Value> {
    let good = |index: usize, seconds| {
        SignInRecord::at_home(&people[index], now - SignedDuration::from_secs(seconds)).to_json()
    };
    let broken =
        json!({ "category": "SignInLogs", "properties": { "status": "no user, no time" } });
    vec![good(0, 30), broken, good(1, 29)]
}

/// The acts of the morning, each at `now`; whoever is in them has worked at
/// home for a fortnight ([`fortnight`]) and within the last hour
/// ([`ordinary_morning`]).
pub fn acts(people: &[Person], now: Timestamp) -> Vec<Act> {
    let person = |name: &str| {
        people
            .iter()
            .find(|p| p.name == name)
            .cloned()
            .unwrap_or_else(|| Person::new(name, OFFICES[0], 9))
    };
    vec![
        traveller(person("Bruno Costa"), now),
        tor_sign_in(person("Chloe Dubois"), now),
        stolen_session(person("Dana Eriksen"), now),
        phishing_proxy(person("Goran Horvat"), now),
        attacker_in_the_middle(person("Emil Ferrari"), now),
        device_code_phishing(person("Ines Ivanova"), now),
        meeting_room_signs_in(now),
        protected_account(now),
        needs_a_human(person("Farah Garcia"), now),
    ]
}

/// A sign-in by somebody else as `person`, in a new session.
fn intruder<'a>(person: &'a Person, spot: Spot, agent: Agent, now: Timestamp) -> SignInRecord<'a> {
    SignInRecord {
        spot,
        host: 7,
        agent,
        laptop: false,
        session: record_id(&[&person.id, spot.city, "intruder"]),
        id: record_id(&[&person.id, spot.city, &now.to_string()]),
        ..SignInRecord::at_home(person, now)
    }
}

fn traveller(person: Person, now: Timestamp) -> Act {
    let sign_in = intruder(&person, LAGOS, EDGE, now);
    let records = vec![
        sign_in.to_json(),
        risk_event(&sign_in, "maliciousIPAddress", "high"),
    ];
    Act {
        title: "An impossible traveller",
        story: "was at home minutes ago and signs in from Lagos, from an address Microsoft calls malicious",
        outcome: Outcome::Contained,
        records,
        person,
    }
}

fn tor_sign_in(person: Person, now: Timestamp) -> Act {
    let sign_in = intruder(&person, TOR_EXIT, EDGE, now);
    let records = vec![
        sign_in.to_json(),
        risk_event(&sign_in, "anonymizedIPAddress", "medium"),
    ];
    Act {
        title: "A sign-in through Tor",
        story: "signs in from a Tor exit",
        outcome: Outcome::Contained,
        records,
        person,
    }
}

fn stolen_session(person: Person, now: Timestamp) -> Act {
    let replay = SignInRecord {
        session: person.session(),
        interactive: false,
        ..intruder(&person, HOSTING, CHROME_LINUX, now)
    };
    Act {
        title: "A stolen session, replayed",
        story: "works at home while the same session is used from a hosting network",
        outcome: Outcome::Contained,
        records: vec![replay.to_json()],
        person,
    }
}

fn phishing_proxy(person: Person, now: Timestamp) -> Act {
    let sign_in = intruder(&person, HOSTING_SINGAPORE, CHROME_LINUX, now);
    Act {
        title: "A phishing proxy that nobody else noticed",
        story: "works on the managed laptop while a session begins elsewhere, on a rented machine",
        outcome: Outcome::Contained,
        records: vec![sign_in.to_json()],
        person,
    }
}

fn attacker_in_the_middle(person: Person, now: Timestamp) -> Act {
    let sign_in = intruder(&person, HOSTING_SINGAPORE, EDGE, now);
    let records = vec![
        sign_in.to_json(),
        risk_event(&sign_in, "attackerinTheMiddle", "high"),
    ];
    Act {
        title: "An adversary in the middle",
        story: "signed in through a phishing proxy; Identity Protection noticed",
        outcome: Outcome::Contained,
        records,
        person,
    }
}

/// The thief began a sign-in on their own machine and sent the victim its
/// code: the victim's record looks like work, the tokens go to the thief.
fn device_code_phishing(person: Person, now: Timestamp) -> Act {
    let session = record_id(&[&person.id, "code"]);
    let entered = SignInRecord {
        client: MAIL,
        device_code: true,
        session: session.clone(),
        ..SignInRecord::at_home(&person, now - SignedDuration::from_secs(20))
    };
    let redeemed = SignInRecord {
        client: MAIL,
        device_code: true,
        session,
        interactive: false,
        ..intruder(&person, HOSTING, CHROME_LINUX, now)
    };
    Act {
        title: "A device code, phished",
        story: "types a code from a mail into Microsoft's own page; the session it begins is used from a hosting network",
        outcome: Outcome::Queued,
        records: vec![entered.to_json(), redeemed.to_json()],
        person,
    }
}

fn meeting_room_signs_in(now: Timestamp) -> Act {
    let person = meeting_room();
    Act {
        title: "A meeting room",
        story: "signs in by device code, as its screen does each morning",
        outcome: Outcome::Quiet,
        records: vec![usual(&person, now).to_json()],
        person,
    }
}

fn protected_account(now: Timestamp) -> Act {
    let person = break_glass();
    let sign_in = intruder(&person, TOR_EXIT, EDGE, now);
    let records = vec![
        sign_in.to_json(),
        risk_event(&sign_in, "anonymizedIPAddress", "high"),
    ];
    Act {
        title: "A protected account",
        story: "is the break-glass account and signs in from a Tor exit",
        outcome: Outcome::Protected,
        records,
        person,
    }
}

fn needs_a_human(person: Person, now: Timestamp) -> Act {
    let sign_in = SignInRecord::at_home(&person, now);
    let records = vec![risk_event(&sign_in, "leakedCredentials", "high")];
    Act {
        title: "A case for a human",
        story: "works as ever, but the password is for sale: nobody's session to revoke, a reset to decide on",
        outcome: Outcome::Queued,
        records,
        person,
    }
}
