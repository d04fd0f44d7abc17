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

use super::{ActionKind, CaseId, Effect, Place, PolicyName, Prefix, RecordId, SessionId, Signal};

/// The bounds of one user's memory.
pub mod limits {
    /// Footprints kept, the newest by event time.
    pub const FOOTPRINTS_MAX: usize = 96;
    /// Signals kept, the newest by event time.
    pub const SIGNALS_MAX: usize = 64;
    /// Signals of one name kept, the newest by event time, so that a busy
    /// thief does not push other evidence out.
    pub const SIGNALS_PER_NAME_MAX: usize = 8;
    /// Record ids kept to recognise redelivery: 3–4 % of sign-ins are
    /// delivered again (entra-records.md), within minutes.
    pub const SEEN_MAX: usize = 64;
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
    pub client: Option<Box<str>>,
    /// Whether any of the sign-ins was interactive.
    pub interactive: bool,
}

impl Footprint {
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
    /// Where the user was, by `first`, ascending.
    pub footprints: Vec<Footprint>,
    /// What was raised, by `at`, ascending.
    pub signals: Vec<Signal>,
    /// The incident the user is in or was last in.
    pub incident: Option<Incident>,
    /// Records already judged: hash of the id, event time in seconds.
    seen: Vec<(u64, i64)>,
}

impl UserMemory {
    /// Whether the record was already judged. A redelivery older than the
    /// bound is not recognised here; it then changes nothing because memory
    /// is a set.
    pub fn has_seen(&self, record: &RecordId) -> bool {
        let hash = hash_of(record);
        self.seen.iter().any(|(seen, _)| *seen == hash)
    }

    /// Marks a record as judged.
    pub fn mark_seen(&mut self, record: &RecordId, at: Timestamp) {
        self.seen.push((hash_of(record), at.as_second()));
        if self.seen.len() > limits::SEEN_MAX {
            let oldest = (0..self.seen.len()).min_by_key(|&i| (self.seen[i].1, self.seen[i].0));
            if let Some(oldest) = oldest {
                self.seen.swap_remove(oldest);
            }
        }
    }

    /// Takes in where the user was.
    pub fn remember_footprint(&mut self, new: Footprint) {
        match self
            .footprints
            .iter_mut()
            .find(|known| known.same_slot(&new))
        {
            Some(known) => {
                known.first = known.first.min(new.first);
                if (new.last, &new.last_record) > (known.last, &known.last_record) {
                    known.last = new.last;
                    known.last_record = new.last_record;
                }
            }
            None => self.footprints.push(new),
        }
        // Nearly sorted already: one element at most is out of place.
        self.footprints
            .sort_by(|a, b| (a.first, &a.last_record).cmp(&(b.first, &b.last_record)));
        let horizon = self
            .footprints
            .last()
            .map(|newest| horizon_before(newest.first));
        let expired = self
            .footprints
            .iter()
            .filter(|f| Some(f.last) < horizon)
            .count();
        let excess = self.footprints.len().saturating_sub(limits::FOOTPRINTS_MAX);
        self.footprints.drain(..expired.max(excess));
    }

    /// Takes in a signal; returns whether it is new.
    pub fn remember_signal(&mut self, new: Signal) -> bool {
        if self.signals.iter().any(|known| known.same_as(&new)) {
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
/// at worst let one redelivery through, which changes nothing.
fn hash_of(record: &RecordId) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.as_str().hash(&mut hasher);
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
