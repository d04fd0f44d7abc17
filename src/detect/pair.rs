//! A remembered footprint and the event, put in the order of event time.
//!
//! Invariant: whichever of the two arrived first, the pair is the same.

use jiff::Timestamp;

use super::{Seen, SignalSpec};
use crate::model::{Client, Evidence, Footprint, RecordId, SessionId, Sighting, Signal, Traits};

/// A remembered footprint and the event, put in the order of event time.
pub(super) struct Pair<'a> {
    pub(super) earlier: End,
    pub(super) later: End,
    /// The record that completes the pair: the later one.
    pub(super) record: &'a RecordId,
}

/// One end of a [`Pair`].
pub(super) struct End {
    pub(super) sighting: Sighting,
    pub(super) client: Option<Client>,
    pub(super) interactive: bool,
    pub(super) device: Option<u64>,
    pub(super) traits: Traits,
}

impl End {
    pub(super) fn of_event(seen: &Seen<'_>) -> Self {
        Self {
            sighting: seen.sighting(),
            client: seen.agent.client,
            interactive: seen.sign_in.interactive,
            device: seen.device,
            traits: seen.traits,
        }
    }

    pub(super) fn of_footprint(footprint: &Footprint, at: Timestamp) -> Self {
        Self {
            sighting: footprint.sighting(at),
            client: footprint.client,
            interactive: footprint.interactive,
            device: footprint.device,
            traits: footprint.traits,
        }
    }
}

impl<'a> Pair<'a> {
    /// The comparisons of a footprint with the event: the footprint's nearest
    /// known time before the event, and its nearest known time after it. A
    /// footprint that spans the event, or coincides with it, is on both sides.
    pub(super) fn of(seen: &'a Seen<'_>, footprint: &'a Footprint) -> impl Iterator<Item = Self> {
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

    /// Two footprints, the first before the second.
    pub(super) fn between(earlier: &'a Footprint, later: &'a Footprint) -> Self {
        Self {
            earlier: End::of_footprint(earlier, earlier.last),
            later: End::of_footprint(later, later.first),
            record: &later.last_record,
        }
    }

    pub(super) fn seconds(&self) -> i64 {
        self.later
            .sighting
            .at
            .duration_since(self.earlier.sighting.at)
            .as_secs()
    }

    /// Whether both ends are the same network for every purpose: one prefix,
    /// or one autonomous system in one country.
    pub(super) fn same_network(&self) -> bool {
        let (a, b) = (&self.earlier.sighting, &self.later.sighting);
        let same_prefix = a.prefix.is_some() && a.prefix == b.prefix;
        let same_asn = a.asn.is_some() && a.asn == b.asn && a.place.country == b.place.country;
        same_prefix || same_asn
    }

    pub(super) fn signal(&self, spec: &SignalSpec, evidence: Evidence) -> Signal {
        spec.raised(self.later.sighting.at, self.record, evidence)
    }

    /// What became of a session, or of a device, from the one end to the other.
    pub(super) fn moved(&self, what: &str, session: Option<&SessionId>) -> Evidence {
        Evidence::Moved {
            what: what.into(),
            session: session.cloned(),
            from: self.earlier.sighting.clone(),
            to: self.later.sighting.clone(),
        }
    }

    /// Whether both ends are the same registered device: whoever has only
    /// copied a cookie does not show its id.
    pub(super) fn same_device(&self) -> bool {
        self.earlier.device.is_some() && self.earlier.device == self.later.device
    }

    /// Whether one of the ends has all of these.
    pub(super) fn either(&self, traits: Traits) -> bool {
        self.earlier.traits.has(traits) || self.later.traits.has(traits)
    }

    pub(super) fn neutral(&self) -> bool {
        self.earlier.sighting.class.is_neutral() || self.later.sighting.class.is_neutral()
    }

    pub(super) fn asns_differ(&self) -> bool {
        let (a, b) = (self.earlier.sighting.asn, self.later.sighting.asn);
        matches!((a, b), (Some(a), Some(b)) if a != b)
    }

    pub(super) fn prefixes_differ(&self) -> bool {
        let (a, b) = (self.earlier.sighting.prefix, self.later.sighting.prefix);
        matches!((a, b), (Some(a), Some(b)) if a != b)
    }

    pub(super) fn countries_differ(&self) -> bool {
        let (a, b) = (
            self.earlier.sighting.place.country,
            self.later.sighting.place.country,
        );
        matches!((a, b), (Some(a), Some(b)) if a != b)
    }

    /// From a network that nobody rents to one that an attacker would.
    pub(super) fn turns_anonymous(&self) -> bool {
        self.later.sighting.class.is_anonymous() && !self.earlier.sighting.class.is_anonymous()
    }
}
