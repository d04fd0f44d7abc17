//! A list out of the bytes its publisher serves, and into the snapshot.
//!
//! Invariant: what does not read as a whole, holds nothing, or is too much to
//! be what it says it is never becomes a list: an empty list would say
//! "nobody", which is never true.

use std::net::IpAddr;
use std::sync::Arc;

use ahash::AHashSet;
use jiff::{SignedDuration, Timestamp};

use super::{
    AsnSet, BadLine, Dated, ExitHistory, GeoDatabase, GeoError, Intel, ListName, PrefixSet,
    history_limits, parse_addresses, parse_asns, parse_ranges,
};

/// A version of a list, whole and not empty.
#[derive(Debug)]
pub enum ListContent {
    /// Addresses of Tor exits.
    TorExits(AHashSet<IpAddr>),
    /// Autonomous systems of hosting providers.
    HostingAsns(AsnSet),
    /// Autonomous systems of commercial VPNs.
    VpnAsns(AsnSet),
    /// Ranges of relays.
    RelayRanges(PrefixSet),
    /// Ranges of clouds.
    CloudRanges(PrefixSet),
    /// The City database.
    GeoCity(GeoDatabase),
    /// The ASN database.
    GeoAsn(GeoDatabase),
}

/// Why bytes are no version of a list.
#[derive(Debug, thiserror::Error)]
pub enum BadList {
    /// They are not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
    /// A line does not read.
    #[error(transparent)]
    Line(#[from] BadLine),
    /// The database is unsound.
    #[error(transparent)]
    Database(#[from] GeoError),
    /// Nothing is in it.
    #[error("the list holds nothing")]
    Empty,
    /// More is in it than such a list can hold.
    #[error("it holds {seen} entries, and such a list holds at most {max}")]
    TooMany {
        /// Entries found.
        seen: usize,
        /// The bound.
        max: usize,
    },
}

impl ListContent {
    /// Reads a version of the named list, all of it. Takes up to seconds for a
    /// large database.
    ///
    /// # Errors
    /// When it does not read, holds nothing, or holds too much.
    pub fn parse(name: ListName, bytes: &[u8]) -> Result<Self, BadList> {
        let text = || std::str::from_utf8(bytes).map_err(|_| BadList::NotText);
        let database = || GeoDatabase::read(bytes.to_vec());
        let content = match name {
            ListName::TorExits => Self::TorExits(parse_addresses(text()?)?),
            ListName::HostingAsns => Self::HostingAsns(parse_asns(text()?)?),
            ListName::VpnAsns => Self::VpnAsns(parse_asns(text()?)?),
            ListName::RelayRanges => Self::RelayRanges(parse_ranges(text()?)?),
            ListName::CloudRanges => Self::CloudRanges(parse_ranges(text()?)?),
            ListName::GeoCity => Self::GeoCity(database()?),
            ListName::GeoAsn => Self::GeoAsn(database()?),
        };
        match content.entries() {
            0 => Err(BadList::Empty),
            seen if name == ListName::TorExits && seen > history_limits::ADDRESSES_MAX => {
                let max = history_limits::ADDRESSES_MAX;
                Err(BadList::TooMany { seen, max })
            }
            _ => Ok(content),
        }
    }

    /// Addresses, systems, ranges, or nodes of a database's tree.
    pub fn entries(&self) -> usize {
        match self {
            Self::TorExits(exits) => exits.len(),
            Self::HostingAsns(asns) | Self::VpnAsns(asns) => asns.len(),
            Self::RelayRanges(ranges) | Self::CloudRanges(ranges) => ranges.len(),
            Self::GeoCity(database) | Self::GeoAsn(database) => database.nodes(),
        }
    }
}

impl Intel {
    /// Takes in a version that was true at `as_of`, to be believed for
    /// `stale_after` from then; whether it was taken. One of Tor exits that is
    /// no newer than the newest known is not: the past is not rewritten.
    pub fn take(
        &mut self,
        content: ListContent,
        as_of: Timestamp,
        stale_after: SignedDuration,
    ) -> bool {
        let exits = match content {
            ListContent::TorExits(exits) => exits,
            ListContent::HostingAsns(list) => {
                return put(&mut self.hosting_asns, list, as_of, stale_after);
            }
            ListContent::VpnAsns(list) => return put(&mut self.vpn_asns, list, as_of, stale_after),
            ListContent::RelayRanges(list) => {
                return put(&mut self.relay_ranges, list, as_of, stale_after);
            }
            ListContent::CloudRanges(list) => {
                return put(&mut self.cloud_ranges, list, as_of, stale_after);
            }
            ListContent::GeoCity(list) => return put(&mut self.geo_city, list, as_of, stale_after),
            ListContent::GeoAsn(list) => return put(&mut self.geo_asn, list, as_of, stale_after),
        };
        self.tor_exits
            .get_or_insert_with(|| ExitHistory::new(stale_after))
            .add(as_of, &exits)
    }

    /// Takes in that the version known of a list was still true at `as_of`;
    /// whether there was one to say it of.
    pub fn confirm(&mut self, name: ListName, as_of: Timestamp) -> bool {
        match name {
            ListName::TorExits => self.tor_exits.as_mut().is_some_and(|l| l.confirm(as_of)),
            ListName::HostingAsns => still(&mut self.hosting_asns, as_of),
            ListName::VpnAsns => still(&mut self.vpn_asns, as_of),
            ListName::RelayRanges => still(&mut self.relay_ranges, as_of),
            ListName::CloudRanges => still(&mut self.cloud_ranges, as_of),
            ListName::GeoCity => still(&mut self.geo_city, as_of),
            ListName::GeoAsn => still(&mut self.geo_asn, as_of),
        }
    }
}

fn put<T>(
    place: &mut Option<Dated<T>>,
    list: T,
    as_of: Timestamp,
    stale_after: SignedDuration,
) -> bool {
    *place = Some(Dated {
        as_of,
        stale_after,
        list: Arc::new(list),
    });
    true
}

fn still<T>(place: &mut Option<Dated<T>>, as_of: Timestamp) -> bool {
    place
        .as_mut()
        .map(|list| list.as_of = as_of.max(list.as_of))
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Network, NetworkClass};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_795_507_200 + hour * 3_600).unwrap()
    }

    #[test]
    fn only_a_whole_and_plausible_list_is_one() {
        let bad = |name, bytes: &[u8]| ListContent::parse(name, bytes).unwrap_err().to_string();
        let table: [(ListName, &[u8], &str); 6] = [
            (ListName::TorExits, b"", "holds nothing"),
            (ListName::TorExits, b"<html>", "holds nothing"),
            (ListName::TorExits, b"192.0.2.1\n<html>", "line 2"),
            (ListName::VpnAsns, b"\xff\xfe", "not UTF-8"),
            (ListName::CloudRanges, b"# none\n", "holds nothing"),
            (ListName::GeoCity, b"<html>", "not a sound MMDB"),
        ];
        for (name, bytes, why) in table {
            let error = bad(name, bytes);
            assert!(error.contains(why), "{name}: {error}");
        }
        let many: String = (0..=history_limits::ADDRESSES_MAX as u32)
            .map(|n| format!("{}\n", std::net::Ipv4Addr::from_bits(n)))
            .collect();
        let error = bad(ListName::TorExits, many.as_bytes());
        assert!(error.contains("100001 entries"), "{error}");
        assert!(ListContent::parse(ListName::RelayRanges, b"192.0.2.0/24\n").is_ok());
    }

    #[test]
    fn a_version_lives_from_its_time_and_a_confirmed_one_longer() {
        let six = SignedDuration::from_hours(6);
        for (name, text, class) in [
            (ListName::TorExits, "192.0.2.1", NetworkClass::Tor),
            (ListName::HostingAsns, "AS64500", NetworkClass::Hosting),
            (ListName::VpnAsns, "AS64500", NetworkClass::Vpn),
            (ListName::RelayRanges, "192.0.2.0/24", NetworkClass::Relay),
            (ListName::CloudRanges, "192.0.2.0/24", NetworkClass::Hosting),
        ] {
            let mut intel = Intel::default();
            assert!(!intel.confirm(name, at(0)), "{name}: nothing to confirm");
            let content = ListContent::parse(name, text.as_bytes()).unwrap();
            assert!(intel.take(content, at(0), six));
            let network = Network {
                address: Some("192.0.2.1".parse().unwrap()),
                asn: Some(64_500),
                ..Network::default()
            };
            assert_eq!(intel.class_of(&network, at(6)), class, "{name}");
            assert_eq!(intel.class_of(&network, at(7)), NetworkClass::Ordinary);
            assert!(intel.confirm(name, at(5)));
            assert_eq!(intel.class_of(&network, at(7)), class, "{name}");
        }
    }
}
