//! The lists by name, and how each of them is: for metrics, for the log and
//! for whoever asks what is known.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Dated, Intel};

/// A list. Its name is the key in `[intel]` and the label of its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListName {
    /// Addresses of Tor exits.
    TorExits,
    /// Autonomous systems of hosting providers.
    HostingAsns,
    /// Autonomous systems of commercial VPNs.
    VpnAsns,
    /// Ranges of relays.
    RelayRanges,
    /// Ranges of clouds.
    CloudRanges,
    /// The City database.
    GeoCity,
    /// The ASN database.
    GeoAsn,
}

impl ListName {
    /// Every list.
    pub const ALL: [Self; 7] = [
        Self::TorExits,
        Self::HostingAsns,
        Self::VpnAsns,
        Self::RelayRanges,
        Self::CloudRanges,
        Self::GeoCity,
        Self::GeoAsn,
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TorExits => "tor_exits",
            Self::HostingAsns => "hosting_asns",
            Self::VpnAsns => "vpn_asns",
            Self::RelayRanges => "relay_ranges",
            Self::CloudRanges => "cloud_ranges",
            Self::GeoCity => "geo_city",
            Self::GeoAsn => "geo_asn",
        }
    }

    /// How long after it was true a list is believed unless told otherwise.
    /// Exits change by the hour (signals.md, "Tor"); the others by the month.
    pub fn stale_after(self) -> SignedDuration {
        match self {
            Self::TorExits => SignedDuration::from_hours(6),
            _ => SignedDuration::from_hours(30 * 24),
        }
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListStatus {
    /// Which.
    pub name: ListName,
    /// Addresses, systems, ranges, or nodes of a database's tree.
    pub entries: usize,
    /// When it was last known to be true.
    pub as_of: Timestamp,
    /// The last time it may be believed of.
    pub until: Timestamp,
}

impl ListStatus {
    /// Whether it says nothing of that time.
    pub fn is_stale(&self, at: Timestamp) -> bool {
        at > self.until
    }

    /// Whether it grows stale at all: one given by hand does not.
    pub fn ages(&self) -> bool {
        self.until < Timestamp::MAX
    }
}

impl Intel {
    /// How the list is, where there is one.
    pub fn status(&self, name: ListName) -> Option<ListStatus> {
        match name {
            ListName::TorExits => {
                let exits = self.tor_exits.as_ref()?;
                Some(ListStatus {
                    name,
                    entries: exits.len(),
                    as_of: exits.as_of()?,
                    until: exits.until()?,
                })
            }
            ListName::HostingAsns => dated(name, self.hosting_asns.as_ref(), |l| l.len()),
            ListName::VpnAsns => dated(name, self.vpn_asns.as_ref(), |l| l.len()),
            ListName::RelayRanges => dated(name, self.relay_ranges.as_ref(), |l| l.len()),
            ListName::CloudRanges => dated(name, self.cloud_ranges.as_ref(), |l| l.len()),
            ListName::GeoCity => dated(name, self.geo_city.as_ref(), |l| l.nodes()),
            ListName::GeoAsn => dated(name, self.geo_asn.as_ref(), |l| l.nodes()),
        }
    }
}

fn dated<T>(
    name: ListName,
    list: Option<&Dated<T>>,
    entries: impl Fn(&T) -> usize,
) -> Option<ListStatus> {
    let list = list?;
    Some(ListStatus {
        name,
        entries: entries(&list.list),
        as_of: list.as_of,
        until: list.until(),
    })
}
