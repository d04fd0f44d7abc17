//! Intelligence: what is known of addresses and autonomous systems.
//!
//! A snapshot is immutable; the daemon swaps whole snapshots. Every list says
//! when it was last known to be true, and is asked about the time of the
//! event, not about now: so an event of yesterday is judged by yesterday's
//! list, and a replay by the lists it was given.
//!
//! Invariant: a list that is missing or too old means "unknown", never "no".
//! Unknown raises nothing.

mod content;
mod geo;
mod history;
mod lists;
mod status;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use self::content::{BadList, ListContent};
pub use self::geo::{GeoAgreement, GeoDatabase, GeoError};
pub use self::history::{ExitHistory, limits as history_limits};
pub use self::lists::{
    AsnSet, BadLine, IpNet, PrefixSet, parse_addresses, parse_asns, parse_prefix, parse_ranges,
};
pub use self::status::{ListName, ListStatus};

use crate::model::{Network, NetworkClass, Place};

/// Microsoft's autonomous systems: egress of its own services on a user's
/// behalf, never a place where a user is (signals.md, #1 and "Impossible
/// travel, done well").
const MICROSOFT_ASNS: [u32; 3] = [8068, 8069, 8075];

/// One immutable snapshot of every list.
#[derive(Debug, Clone, Default)]
pub struct Intel {
    /// Addresses of Tor exits, with their past.
    pub tor_exits: Option<ExitHistory>,
    /// Autonomous systems of hosting providers.
    pub hosting_asns: Option<Dated<AsnSet>>,
    /// Autonomous systems of commercial VPNs.
    pub vpn_asns: Option<Dated<AsnSet>>,
    /// Egress of relays that ordinary people have switched on without knowing,
    /// such as iCloud Private Relay and Google One VPN.
    pub relay_ranges: Option<Dated<PrefixSet>>,
    /// Egress of clouds, where their autonomous system says too little.
    pub cloud_ranges: Option<Dated<PrefixSet>>,
    /// The tenant's own egress, as its operator declared it.
    pub corporate: Corporate,
    /// Cities by address.
    pub geo_city: Option<Dated<GeoDatabase>>,
    /// Autonomous systems by address.
    pub geo_asn: Option<Dated<GeoDatabase>>,
}

/// The tenant's own egress. It is declared, not observed, so it does not age.
#[derive(Debug, Clone, Default)]
pub struct Corporate {
    /// Ranges of addresses.
    pub ranges: PrefixSet,
    /// Autonomous systems.
    pub asns: AsnSet,
}

/// A list with the time it was last known to be true.
#[derive(Debug)]
pub struct Dated<T> {
    /// When it was last known to be true.
    pub as_of: Timestamp,
    /// For how long after `as_of` it may be believed.
    pub stale_after: SignedDuration,
    /// The list.
    pub list: Arc<T>,
}

impl<T> Clone for Dated<T> {
    fn clone(&self) -> Self {
        Self {
            list: Arc::clone(&self.list),
            ..*self
        }
    }
}

impl<T> Dated<T> {
    /// A list that is believed whatever the time, as one given by hand is.
    pub fn timeless(list: T) -> Self {
        Self {
            as_of: Timestamp::UNIX_EPOCH,
            stale_after: SignedDuration::MAX,
            list: Arc::new(list),
        }
    }

    /// The list, unless it is too old to say anything of that time. These
    /// lists change slowly, so an earlier time is judged by the present one.
    pub fn at(&self, at: Timestamp) -> Option<&T> {
        (at <= self.until()).then_some(&*self.list)
    }

    /// The last time it may be believed of.
    pub fn until(&self) -> Timestamp {
        later(self.as_of, self.stale_after)
    }
}

impl<const N: usize> From<[u32; N]> for Dated<AsnSet> {
    fn from(asns: [u32; N]) -> Self {
        Self::timeless(asns.into_iter().collect())
    }
}

/// `at + span`, stopping at the end of time.
fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// `at − span`, stopping at the beginning of time.
fn earlier(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

/// A network with what our own databases add to the record's account of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Enriched {
    /// The network to judge by.
    pub network: Network,
    /// Whether the record and our database name the same country.
    pub agreement: GeoAgreement,
}

impl Intel {
    /// What kind of network it is at that time, the most telling first.
    ///
    /// Tor goes before what an operator declared, since a declared range may
    /// hold an exit; relays go before hosting, since they live in it.
    pub fn class_of(&self, network: &Network, at: Timestamp) -> NetworkClass {
        let Network { address, asn, .. } = *network;
        if self.is_tor(address, at) {
            NetworkClass::Tor
        } else if self.corporate.holds(address, asn) {
            NetworkClass::Corporate
        } else if in_ranges(self.relay_ranges.as_ref(), address, at) {
            NetworkClass::Relay
        } else if asn.is_some_and(|asn| MICROSOFT_ASNS.contains(&asn)) {
            NetworkClass::Microsoft
        } else if has_asn(self.vpn_asns.as_ref(), asn, at) {
            NetworkClass::Vpn
        } else if has_asn(self.hosting_asns.as_ref(), asn, at)
            || in_ranges(self.cloud_ranges.as_ref(), address, at)
        {
            NetworkClass::Hosting
        } else {
            NetworkClass::Ordinary
        }
    }

    fn is_tor(&self, address: Option<IpAddr>, at: Timestamp) -> bool {
        matches!(
            (&self.tor_exits, address),
            (Some(exits), Some(address)) if exits.was_exit(address, at) == Some(true)
        )
    }

    /// Fills in what the record does not say, and compares what it does.
    ///
    /// Where the two name different countries the place keeps its names and
    /// loses its point: nobody knows where it is, so no distance is computed
    /// from it (signals.md: disagreement lowers confidence).
    pub fn enrich(&self, network: &Network, at: Timestamp) -> Enriched {
        let mut enriched = Enriched {
            network: network.clone(),
            agreement: GeoAgreement::Unknown,
        };
        let Some(address) = network.address else {
            return enriched;
        };
        if network.asn.is_none() {
            enriched.network.asn = self.asn_of(address, at);
        }
        let Some(ours) = self.place_of(address, at) else {
            return enriched;
        };
        let place = &mut enriched.network.place;
        enriched.agreement = GeoAgreement::between(place.country, ours.country);
        match enriched.agreement {
            GeoAgreement::Differs { .. } => place.point = None,
            GeoAgreement::Agrees => complete(place, ours),
            // Without a country of its own a record has no place of its own.
            GeoAgreement::Unknown if *place == Place::default() => *place = ours,
            GeoAgreement::Unknown => {}
        }
        enriched
    }

    /// Whether [`Intel::enrich`] can say anything at all: most daemons start
    /// without a database, and then nothing need be copied.
    pub fn knows_places(&self) -> bool {
        self.geo_city.is_some() || self.geo_asn.is_some()
    }

    /// The autonomous system of an address by our own database.
    pub fn asn_of(&self, address: IpAddr, at: Timestamp) -> Option<u32> {
        self.geo_asn.as_ref()?.at(at)?.asn(address)
    }

    /// The place of an address by our own database; its point is there only
    /// where it is known to 50 km.
    pub fn place_of(&self, address: IpAddr, at: Timestamp) -> Option<Place> {
        self.geo_city.as_ref()?.at(at)?.place(address)
    }
}

impl Corporate {
    /// Whether the operator declared the address or its autonomous system.
    pub fn holds(&self, address: Option<IpAddr>, asn: Option<u32>) -> bool {
        asn.is_some_and(|asn| self.asns.contains(asn))
            || address.is_some_and(|address| self.ranges.longest_match(address).is_some())
    }
}

/// Takes city and point together from ours, and only where the record has no
/// usable pair and does not name another city: a city with another city's
/// coordinates would be worse than none.
fn complete(place: &mut Place, ours: Place) {
    let whole = |place: &Place| place.city.is_some() && place.point.is_some();
    let same_city = place.city.is_none() || place.city == ours.city;
    if !whole(place) && whole(&ours) && same_city {
        (place.city, place.point) = (ours.city, ours.point);
    }
}

fn has_asn(list: Option<&Dated<AsnSet>>, asn: Option<u32>, at: Timestamp) -> bool {
    let list = list.and_then(|list| list.at(at));
    matches!((list, asn), (Some(list), Some(asn)) if list.contains(asn))
}

fn in_ranges(list: Option<&Dated<PrefixSet>>, address: Option<IpAddr>, at: Timestamp) -> bool {
    let list = list.and_then(|list| list.at(at));
    matches!((list, address), (Some(list), Some(address)) if list.longest_match(address).is_some())
}

#[cfg(test)]
mod tests;
