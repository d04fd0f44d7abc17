//! What we remember of one user.
//!
//! Architecture invariant: memory is a set, not a history. What it holds after
//! some events depends on which events they were, never on the order or the
//! number of times they arrived (up to the bounds in [`limits`], which drop
//! the oldest by event time). Detectors compare a new event with everything
//! remembered, on both sides of it in time, and so reach the same signals in
//! any order.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::habits::Habits;
use super::{
    ActionKind, AuditKind, CaseId, Client, CountryCode, Effect, Place, PolicyName, Prefix,
    RecordId, SessionId, Sighting, Signal,
};

/// The bounds of one user's memory.
pub mod limits {
    /// Footprints kept, the newest by event time.
    pub const FOOTPRINTS_MAX: usize = 96;
    /// Signals kept, the newest by event time.
    pub const SIGNALS_MAX: usize = 64;
    /// Signals of one name kept, the newest by event time, so that a busy
    /// thief does not push other evidence out.
    pub const SIGNALS_PER_NAME_MAX: usize = 8;
    /// Records kept to recognise redelivery (3–4 % of sign-ins are delivered
    /// again, entra-records.md), and to join a risk that speaks of one up to
    /// 48 h later: three busy days of one user.
    pub const JUDGED_MAX: usize = 128;
    /// Sessions whose beginning is kept, the most lately used.
    pub const SESSIONS_MAX: usize = 24;
    /// How long an unused session is remembered, in days: a browser's session
    /// token may live 90 days.
    pub const SESSION_DAYS: i64 = 90;
    /// Interrupted sign-ins kept, the newest; and logins as many.
    pub const ATTEMPTS_MAX: usize = 32;
    /// Changes of the directory kept, the newest.
    pub const CHANGES_MAX: usize = 16;
    /// Detections kept that somebody settled, the last to be settled.
    pub const SETTLED_MAX: usize = 32;
    /// Networks kept of an incident's attacker.
    pub const ATTACKER_PREFIXES_MAX: usize = 8;
    /// How far back footprints and signals are kept, in hours of event time:
    /// the 48 h an offline risk may lag, and a day of comparison before it.
    pub const RETENTION_HOURS: i64 = 72;
    /// The width of a footprint's slot in seconds. Within it only the first
    /// and last times are kept, which loses no travel signal: 500 km inside
    /// 15 minutes are beyond any speed limit anyway.
    pub const SLOT_SECONDS: i64 = 900;
    /// How long after its last signal an incident takes in further ones.
    pub const INCIDENT_HOURS: i64 = 24;
}

/// What kind of network an address belongs to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum NetworkClass {
    /// Nothing special is known of it.
    #[default]
    Ordinary,
    /// Microsoft's own egress: a service acting on the user's behalf.
    Microsoft,
    /// A relay that ordinary people use, often without knowing: iCloud Private
    /// Relay, Google One VPN.
    Relay,
    /// The tenant's own egress, as its operator declared it.
    Corporate,
    /// A hosting provider or data centre.
    Hosting,
    /// A commercial VPN.
    Vpn,
    /// A Tor exit at the time of the event.
    Tor,
}

impl NetworkClass {
    /// Every class, by name.
    pub const NAMES: &[&str] = &[
        "ordinary",
        "microsoft",
        "relay",
        "corporate",
        "hosting",
        "vpn",
        "tor",
    ];

    /// The name used in JSON and in evidence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Microsoft => "microsoft",
            Self::Relay => "relay",
            Self::Corporate => "corporate",
            Self::Hosting => "hosting",
            Self::Vpn => "vpn",
            Self::Tor => "tor",
        }
    }

    /// Whether an attacker rents it rather than lives in it.
    pub fn is_anonymous(self) -> bool {
        matches!(self, Self::Hosting | Self::Vpn | Self::Tor)
    }

    /// Whether it says nothing of where its user is, and nothing against
    /// them: never a place to travel from or to, never a second network.
    pub fn is_neutral(self) -> bool {
        matches!(self, Self::Microsoft | Self::Relay | Self::Corporate)
    }
}

/// Where a user was in one quarter of an hour: successful sign-ins that share
/// network, session and client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// The earliest sign-in of the slot.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
    /// The record of the latest sign-in.
    pub last_record: RecordId,
    /// The network.
    pub prefix: Option<Prefix>,
    /// The autonomous system.
    pub asn: Option<u32>,
    /// What kind of network.
    pub class: NetworkClass,
    /// Where.
    pub place: Place,
    /// The session.
    pub session: Option<SessionId>,
    /// The client, e.g. `Edge on Windows`; `None` when it did not say.
    #[serde(default)]
    pub client: Option<Client>,
    /// Whether any of the sign-ins was interactive.
    pub interactive: bool,
    /// The registered device, by a hash of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u64>,
    /// What else is remembered of how it was done.
    #[serde(default, skip_serializing_if = "Traits::is_empty")]
    pub traits: Traits,
}

/// What is remembered of how a session is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Traits(u16);

impl Traits {
    /// On a device that is compliant or managed.
    pub const MANAGED: Self = Self(1);
    /// Token protection: tied to a device's key.
    pub const BOUND: Self = Self(1 << 1);
    /// Token protection: not tied.
    pub const UNBOUND: Self = Self(1 << 2);
    /// The session came by device code.
    pub const DEVICE_CODE: Self = Self(1 << 3);
    /// A command line tool or an editor of Microsoft's own.
    pub const CLI: Self = Self(1 << 4);
    /// By a primary refresh token.
    pub const PRT: Self = Self(1 << 5);

    /// Whether all of `other` are among them.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These, if so.
    #[must_use]
    pub fn when(self, so: bool) -> Self {
        if so { self } else { Self::default() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// How a session began, for as long as it is used: the beginning outlasts the
/// footprints, since a thief can wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionMemory {
    /// The session, by a hash of its id.
    pub id: u64,
    /// Its first sign-in that was seen, in seconds since 1970.
    pub born: i64,
    /// Its latest.
    pub last: i64,
    /// The autonomous system it began on.
    pub asn: Option<u32>,
    /// The network it began on.
    pub prefix: Option<Prefix>,
    /// The country it began in.
    pub country: Option<CountryCode>,
    /// What kind of network it began on.
    pub class: NetworkClass,
    /// All that was ever true of it.
    #[serde(default, skip_serializing_if = "Traits::is_empty")]
    pub traits: Traits,
}

/// A sign-in whose place in a sequence matters: interrupted, denied, blocked,
/// or an interactive success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// `status.errorCode`; 0 is success.
    pub code: i64,
    /// The login it is part of, by a hash of its `correlationId`.
    pub correlation: Option<u64>,
    /// The record.
    pub record: RecordId,
    /// Where from.
    pub sighting: Sighting,
}

/// A change of the directory that can keep a thief in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub kind: AuditKind,
    /// The record.
    pub record: RecordId,
    /// What was changed, as the record names it: a device, an application.
    pub what: Option<Box<str>>,
    /// Of a consent: whether it opens mail or files.
    #[serde(default)]
    pub opens_mail: bool,
}

/// A sign-in that a risk speaks of, as far as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// When it happened, in seconds since 1970.
    pub second: i64,
    /// Its `status.errorCode`; 0 is success.
    pub code: i64,
}

impl Footprint {
    /// Where the user was, at one of the slot's times.
    pub fn sighting(&self, at: Timestamp) -> Sighting {
        Sighting {
            at,
            place: self.place.clone(),
            asn: self.asn,
            prefix: self.prefix,
            class: self.class,
        }
    }

    fn slot(at: Timestamp) -> i64 {
        at.as_second().div_euclid(limits::SLOT_SECONDS)
    }

    fn same_slot(&self, other: &Self) -> bool {
        Self::slot(self.first) == Self::slot(other.first)
            && self.prefix == other.prefix
            && self.asn == other.asn
            && self.class == other.class
            && self.session == other.session
            && self.client == other.client
            && self.interactive == other.interactive
            && self.device == other.device
            && self.traits == other.traits
            && self.place.country == other.place.country
            && self.place.city == other.place.city
    }
}

/// The incident a user is in: what has already been called for, so that every
/// further event of the same theft calls for nothing twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The case it is kept as.
    pub case: CaseId,
    /// The record that opened it: the evidence its actions' ids derive from.
    pub opened_by: RecordId,
    /// The earliest signal.
    pub first: Timestamp,
    /// The latest signal.
    pub last: Timestamp,
    /// The strongest effect called for so far, by kind of action.
    pub called_for: Vec<(ActionKind, Effect)>,
    /// Shadow rungs already recorded.
    pub shadowed: Vec<(PolicyName, u8)>,
    /// Networks that the attacker came from: where containment is proven or
    /// evaded.
    #[serde(default)]
    pub attacker: Vec<Prefix>,
    /// When the containment was last evaded, or another theft began after it.
    #[serde(default)]
    pub evaded_at: Option<Timestamp>,
    /// Signals from before then were answered, and count for nothing new: the
    /// revoke was in force when another theft began.
    #[serde(default)]
    pub answered_until: Option<Timestamp>,
    /// Whether an earlier round confirmed the user as compromised: that comes
    /// back as a detection.
    #[serde(default)]
    pub confirmed: bool,
}

impl Incident {
    /// The strongest effect called for so far.
    pub fn effect_of(&self, kind: ActionKind) -> Option<Effect> {
        self.called_for
            .iter()
            .find(|(k, _)| *k == kind)
            .map(|(_, e)| *e)
    }

    /// Whether a signal at `at` belongs to it.
    pub fn takes_in(&self, at: Timestamp) -> bool {
        let reach = SignedDuration::from_hours(limits::INCIDENT_HOURS);
        at <= self.last.saturating_add(reach).unwrap_or(Timestamp::MAX)
    }
}

/// Everything remembered of one user.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UserMemory {
    /// The principal name as last logged, for people to ask by.
    #[serde(default)]
    pub principal_name: Box<str>,
    /// Where the user was, by `first`, ascending.
    pub footprints: Vec<Footprint>,
    /// What was raised, by `at`, ascending.
    pub signals: Vec<Signal>,
    /// The incident the user is in or was last in.
    pub incident: Option<Incident>,
    /// What is usual for the user.
    #[serde(default)]
    pub habits: Habits,
    /// How the sessions in use began, by `last`, ascending.
    #[serde(default)]
    pub sessions: Vec<SessionMemory>,
    /// Interrupted, denied and blocked sign-ins, by `at`, ascending: of most
    /// users there are none, and then nothing of a sequence need be looked at.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// Successes with the user present, by `at`, ascending.
    #[serde(default)]
    pub logins: Vec<Attempt>,
    /// Changes of the directory, by `at`, ascending.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Detections of Identity Protection that somebody settled, by hash.
    #[serde(default)]
    settled: Vec<u64>,
    /// Records already judged, by hash. Apart from their times, because every
    /// event looks through all of them.
    #[serde(default)]
    judged: Vec<u64>,
    /// Event time in seconds and outcome of each.
    #[serde(default)]
    outcomes: Vec<(i64, i64)>,
}

impl UserMemory {
    /// Whether the record was already judged. A redelivery older than the
    /// bound is not recognised here; it then changes nothing because memory
    /// is a set.
    pub fn has_judged(&self, record: &RecordId) -> bool {
        self.judged.contains(&hash_of(record.as_str()))
    }

    /// The sign-in of that id, if it is remembered.
    pub fn join(&self, record: &RecordId) -> Option<Joined> {
        let hash = hash_of(record.as_str());
        let place = self.judged.iter().position(|judged| *judged == hash)?;
        let (second, code) = *self.outcomes.get(place)?;
        Some(Joined { second, code })
    }

    /// Marks a record as judged; `code` is a sign-in's outcome.
    pub fn mark_judged(&mut self, record: &RecordId, at: Timestamp, code: i64) {
        self.judged.push(hash_of(record.as_str()));
        self.outcomes.push((at.as_second(), code));
        if self.judged.len() > limits::JUDGED_MAX {
            let age = |&i: &usize| (self.outcomes[i].0, self.judged[i]);
            if let Some(oldest) = (0..self.judged.len()).min_by_key(age) {
                self.judged.swap_remove(oldest);
                self.outcomes.swap_remove(oldest);
            }
        }
    }

    /// How the session began, if it is remembered.
    pub fn session(&self, id: &SessionId) -> Option<&SessionMemory> {
        self.session_of(hash_of(id.as_str()))
    }

    /// The same, by the hash of the id.
    pub fn session_of(&self, hash: u64) -> Option<&SessionMemory> {
        self.sessions.iter().rev().find(|known| known.id == hash)
    }

    /// Takes in that a session was used: the earliest use is its beginning.
    pub fn remember_session(&mut self, new: SessionMemory) {
        match self.sessions.iter().position(|known| known.id == new.id) {
            Some(i) => {
                let known = &mut self.sessions[i];
                let traits = known.traits.with(new.traits);
                let last = known.last.max(new.last);
                let later = last != known.last;
                if new.born < known.born {
                    *known = new;
                }
                known.traits = traits;
                known.last = last;
                if later && i + 1 < self.sessions.len() {
                    let known = self.sessions.remove(i);
                    self.insert_session(known);
                }
            }
            None => self.insert_session(new),
        }
        let newest = self.sessions.last().map_or(i64::MIN, |known| known.last);
        let horizon = newest.saturating_sub(limits::SESSION_DAYS * 24 * 3600);
        let expired = self.sessions.partition_point(|known| known.last < horizon);
        let excess = self.sessions.len().saturating_sub(limits::SESSIONS_MAX);
        self.sessions.drain(..expired.max(excess));
    }

    fn insert_session(&mut self, session: SessionMemory) {
        let key = |known: &SessionMemory| (known.last, known.id);
        let at = self
            .sessions
            .partition_point(|known| key(known) < key(&session));
        self.sessions.insert(at, session);
    }

    /// Takes in a sign-in whose place in a sequence matters.
    pub fn remember_attempt(&mut self, new: Attempt) {
        let list = if new.code == 0 {
            &mut self.logins
        } else {
            &mut self.attempts
        };
        let key = |attempt: &Attempt| (attempt.at, attempt.record.clone());
        let place = list.binary_search_by_key(&key(&new), key);
        let Err(place) = place else { return };
        list.insert(place, new);
        let excess = list.len().saturating_sub(limits::ATTEMPTS_MAX);
        let horizon = list.last().map(|newest| horizon_before(newest.at));
        let expired = list.partition_point(|a| Some(a.at) < horizon);
        list.drain(..expired.max(excess));
    }

    /// Everything whose place in a sequence matters, failures first.
    pub fn sequence(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().chain(&self.logins)
    }

    /// Takes in a change of the directory.
    pub fn remember_change(&mut self, new: Change) {
        if self.changes.iter().any(|known| known.record == new.record) {
            return;
        }
        let at = self
            .changes
            .partition_point(|known| (known.at, &known.record) < (new.at, &new.record));
        self.changes.insert(at, new);
        let excess = self.changes.len().saturating_sub(limits::CHANGES_MAX);
        let horizon = self.changes.last().map(|newest| horizon_before(newest.at));
        let expired = self.changes.partition_point(|c| Some(c.at) < horizon);
        self.changes.drain(..expired.max(excess));
    }

    /// Whether somebody settled the detection.
    pub fn is_settled(&self, detection: &str) -> bool {
        self.settled.contains(&hash_of(detection))
    }

    /// Takes in that somebody settled the detection, whose evidence is
    /// withdrawn, now and if it comes late; returns whether there was any.
    pub fn settle(&mut self, detection: &str) -> bool {
        if !self.is_settled(detection) {
            if self.settled.len() == limits::SETTLED_MAX {
                self.settled.remove(0);
            }
            self.settled.push(hash_of(detection));
        }
        self.withdraw(|signal| signal.record.as_str() == detection)
    }

    /// Forgets signals; returns whether there were any.
    pub fn withdraw(&mut self, which: impl Fn(&Signal) -> bool) -> bool {
        let before = self.signals.len();
        self.signals.retain(|signal| !which(signal));
        self.signals.len() < before
    }

    /// Takes in where the user was.
    pub fn remember_footprint(&mut self, new: Footprint) {
        match self
            .footprints
            .iter()
            .rposition(|known| known.same_slot(&new))
        {
            Some(i) => {
                let known = &mut self.footprints[i];
                if (new.last, &new.last_record) > (known.last, &known.last_record) {
                    known.last = new.last;
                    known.last_record = new.last_record;
                }
                if new.first < known.first {
                    let mut moved = self.footprints.remove(i);
                    moved.first = new.first;
                    self.insert_footprint(moved);
                }
            }
            None => self.insert_footprint(new),
        }
        let horizon = self
            .footprints
            .last()
            .map(|newest| horizon_before(newest.first));
        let expired = self
            .footprints
            .iter()
            .take_while(|f| Some(f.last) < horizon)
            .count();
        let excess = self.footprints.len().saturating_sub(limits::FOOTPRINTS_MAX);
        self.footprints.drain(..expired.max(excess));
    }

    fn insert_footprint(&mut self, footprint: Footprint) {
        let at = self
            .footprints
            .partition_point(|known| known.first <= footprint.first);
        self.footprints.insert(at, footprint);
    }

    /// Takes in a signal; returns whether it is new. One from before all that
    /// is kept is not: it would count in no window, and reach into an incident
    /// that it has nothing to do with.
    pub fn remember_signal(&mut self, new: Signal) -> bool {
        let newest = self.signals.last().map(|newest| newest.at);
        let too_old = newest.is_some_and(|newest| new.at < horizon_before(newest));
        if too_old || self.signals.iter().any(|known| known.same_as(&new)) {
            return false;
        }
        let at = self.signals.partition_point(|known| {
            (known.at, &known.name, &known.record) < (new.at, &new.name, &new.record)
        });
        let same_name = self.signals.iter().filter(|s| s.name == new.name).count();
        let name = new.name.clone();
        self.signals.insert(at, new);
        if same_name >= limits::SIGNALS_PER_NAME_MAX
            && let Some(oldest) = self.signals.iter().position(|s| s.name == name)
        {
            self.signals.remove(oldest);
        }
        let horizon = self.signals.last().map(|newest| horizon_before(newest.at));
        let expired = self
            .signals
            .iter()
            .take_while(|s| Some(s.at) < horizon)
            .count();
        let excess = self.signals.len().saturating_sub(limits::SIGNALS_MAX);
        self.signals.drain(..expired.max(excess));
        true
    }
}

fn horizon_before(newest: Timestamp) -> Timestamp {
    newest
        .saturating_sub(SignedDuration::from_hours(limits::RETENTION_HOURS))
        .unwrap_or(Timestamp::MIN)
}

/// A hash that is the same in every process: `DefaultHasher::new` has fixed
/// keys. It is persisted; a change of the standard library's algorithm would
/// at worst let one redelivery through and make a device look new once.
pub fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_written_before_a_class_was_added_still_read_and_names_are_stable() {
        let table = [
            (NetworkClass::Ordinary, "ordinary"),
            (NetworkClass::Microsoft, "microsoft"),
            (NetworkClass::Relay, "relay"),
            (NetworkClass::Corporate, "corporate"),
            (NetworkClass::Hosting, "hosting"),
            (NetworkClass::Vpn, "vpn"),
            (NetworkClass::Tor, "tor"),
        ];
        for (class, name) in table {
            let json = format!("\"{name}\"");
            assert_eq!(class.as_str(), name);
            assert_eq!(serde_json::to_string(&class).unwrap(), json);
            assert_eq!(serde_json::from_str::<NetworkClass>(&json).unwrap(), class);
            assert!(!(class.is_neutral() && class.is_anonymous()), "{name}");
        }
    }
}
