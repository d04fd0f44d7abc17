//! From an event to signals.
//!
//! A detector is a pure function of the event, the user's memory and the
//! intelligence. It compares the event with everything remembered, before and
//! after it in event time, and dates what it finds by the later half: so the
//! same events raise the same signals in whatever order they arrive.
//!
//! Architecture invariant: no clock, no I/O, no failure. Missing values mean
//! "unknown" and raise nothing.

mod aitm;
mod apps;
mod catalogue;
mod client;
mod network;
mod protocol;
mod risk;
mod session;
mod travel;

pub mod intel;

pub use catalogue::{CATALOGUE, SignalSpec, metric_label};

use std::borrow::Cow;

use jiff::Timestamp;

use self::intel::Intel;
use crate::model::{
    Event, Evidence, Footprint, Network, NetworkClass, Prefix, RecordId, Sighting, SignIn, Signal,
    SignalName, UserMemory,
};

/// Everything the event raises, given what is remembered. Memory is not
/// changed: the engine takes the signals in.
pub fn run(event: &Event, memory: &UserMemory, intel: &Intel) -> Vec<Signal> {
    match event {
        Event::SignIn(sign_in) => {
            let mut signals = Vec::new();
            let seen = Seen::new(sign_in, intel);
            network::detect(&seen, &mut signals);
            if sign_in.succeeded() {
                travel::detect(&seen, memory, &mut signals);
                session::detect(&seen, memory, &mut signals);
                aitm::detect(&seen, &mut signals);
                protocol::detect(&seen, &mut signals);
            }
            signals
        }
        Event::RiskDetection(detection) => risk::detect(detection, memory),
        // The aggregate follows from the detections, which are judged one by one.
        Event::RiskyUser(_) => Vec::new(),
        // What is done with an account raises nothing yet.
        Event::DirectoryAudit(_) | Event::GraphActivity(_) => Vec::new(),
    }
}

/// The trace that a successful sign-in leaves in memory; a failed one leaves
/// none, since it says where an attacker is, not where the user is.
pub fn footprint(event: &Event, intel: &Intel) -> Option<Footprint> {
    match event {
        Event::SignIn(sign_in) if sign_in.succeeded() => {
            Some(Seen::new(sign_in, intel).footprint())
        }
        _ => None,
    }
}

/// A sign-in with what the intelligence knows of its address.
struct Seen<'a> {
    sign_in: &'a SignIn,
    /// The record's network, completed by our own databases.
    network: Cow<'a, Network>,
    prefix: Option<Prefix>,
    class: NetworkClass,
    client: Option<Box<str>>,
}

impl<'a> Seen<'a> {
    fn new(sign_in: &'a SignIn, intel: &Intel) -> Self {
        let network = if intel.knows_places() {
            Cow::Owned(intel.enrich(&sign_in.network, sign_in.at).network)
        } else {
            Cow::Borrowed(&sign_in.network)
        };
        Self {
            sign_in,
            prefix: network.address.map(Prefix::of),
            class: intel.class_of(&network, sign_in.at),
            network,
            client: client::describe(sign_in),
        }
    }

    /// Whether the footprint is the same network and the same client: most
    /// are, and there is nothing to compare.
    fn is_like(&self, footprint: &Footprint) -> bool {
        self.prefix.is_some() && self.prefix == footprint.prefix && self.client == footprint.client
    }

    fn sighting(&self) -> Sighting {
        Sighting {
            at: self.sign_in.at,
            place: self.network.place.clone(),
            asn: self.network.asn,
            prefix: self.prefix,
            class: self.class,
        }
    }

    /// A signal about how the sign-in was made.
    fn method(&self, spec: &SignalSpec, what: &str) -> Signal {
        Signal {
            name: SignalName::new(spec.name),
            family: spec.family,
            at: self.sign_in.at,
            record: self.sign_in.record.clone(),
            evidence: Evidence::Method {
                what: what.into(),
                app: self.sign_in.app.name.clone(),
                resource: self.sign_in.resource.name.clone(),
                sighting: self.sighting(),
            },
        }
    }

    fn footprint(&self) -> Footprint {
        Footprint {
            first: self.sign_in.at,
            last: self.sign_in.at,
            last_record: self.sign_in.record.clone(),
            prefix: self.prefix,
            asn: self.network.asn,
            class: self.class,
            place: self.network.place.clone(),
            session: self.sign_in.session.clone(),
            client: self.client.clone(),
            interactive: self.sign_in.interactive,
        }
    }
}

/// A remembered footprint and the event, put in the order of event time.
struct Pair<'a> {
    earlier: End<'a>,
    later: End<'a>,
    /// The record that completes the pair: the later one.
    record: &'a RecordId,
}

/// One end of a [`Pair`].
struct End<'a> {
    sighting: Sighting,
    client: Option<&'a str>,
    interactive: bool,
}

impl<'a> End<'a> {
    fn of_event(seen: &'a Seen<'_>) -> Self {
        Self {
            sighting: seen.sighting(),
            client: seen.client.as_deref(),
            interactive: seen.sign_in.interactive,
        }
    }

    fn of_footprint(footprint: &'a Footprint, at: Timestamp) -> Self {
        Self {
            sighting: Sighting {
                at,
                place: footprint.place.clone(),
                asn: footprint.asn,
                prefix: footprint.prefix,
                class: footprint.class,
            },
            client: footprint.client.as_deref(),
            interactive: footprint.interactive,
        }
    }
}

impl<'a> Pair<'a> {
    /// The comparisons of a footprint with the event: the footprint's nearest
    /// known time before the event, and its nearest known time after it. A
    /// footprint that spans the event, or coincides with it, is on both sides.
    fn of(seen: &'a Seen<'_>, footprint: &'a Footprint) -> impl Iterator<Item = Self> {
        let at = seen.sign_in.at;
        let before = (footprint.first <= at).then(|| {
            let nearest = if footprint.last <= at {
                footprint.last
            } else {
                footprint.first
            };
            Self {
                earlier: End::of_footprint(footprint, nearest),
                later: End::of_event(seen),
                record: &seen.sign_in.record,
            }
        });
        let after = (footprint.last >= at).then(|| {
            let nearest = if footprint.first >= at {
                footprint.first
            } else {
                footprint.last
            };
            Self {
                earlier: End::of_event(seen),
                later: End::of_footprint(footprint, nearest),
                record: &footprint.last_record,
            }
        });
        before.into_iter().chain(after)
    }

    fn seconds(&self) -> i64 {
        self.later
            .sighting
            .at
            .duration_since(self.earlier.sighting.at)
            .as_secs()
    }

    /// Whether both ends are the same network for every purpose: one prefix,
    /// or one autonomous system in one country.
    fn same_network(&self) -> bool {
        let (a, b) = (&self.earlier.sighting, &self.later.sighting);
        let same_prefix = a.prefix.is_some() && a.prefix == b.prefix;
        let same_asn = a.asn.is_some() && a.asn == b.asn && a.place.country == b.place.country;
        same_prefix || same_asn
    }

    fn signal(&self, spec: &SignalSpec, evidence: Evidence) -> Signal {
        Signal {
            name: SignalName::new(spec.name),
            family: spec.family,
            at: self.later.sighting.at,
            record: self.record.clone(),
            evidence,
        }
    }
}

/// Adds a signal unless one of the same identity is there; of two the later
/// found is dropped, so callers offer the nearest pair first.
fn raise(signals: &mut Vec<Signal>, signal: Signal) {
    if !signals.iter().any(|known| known.same_as(&signal)) {
        signals.push(signal);
    }
}

#[cfg(test)]
mod testing;
