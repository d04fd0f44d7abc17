//! Lists as their publishers write them, and the sets they are kept as.
//!
//! Invariant: a line that does not read is an error with its number, never
//! passed over, since a list that is half read would say "no" of the other
//! half. One header line is allowed, as in a CSV.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ahash::{AHashMap, AHashSet};
pub use ipnet::IpNet;
use ipnet::{Ipv4Net, Ipv6Net};

/// A set of autonomous systems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsnSet(AHashSet<u32>);

impl AsnSet {
    /// Whether the set holds it.
    pub fn contains(&self, asn: u32) -> bool {
        self.0.contains(&asn)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u32> for AsnSet {
    fn from_iter<I: IntoIterator<Item = u32>>(asns: I) -> Self {
        Self(asns.into_iter().collect())
    }
}

/// A set of ranges that answers with the narrowest one around an address.
///
/// One hash set for each length of prefix that occurs, asked from the longest
/// to the shortest. Published lists use few lengths (a dozen or two), so an
/// answer costs that many probes whatever the number of ranges.
#[derive(Debug, Clone, Default)]
pub struct PrefixSet {
    v4: ByLength<u32>,
    v6: ByLength<u128>,
    len: usize,
}

impl PrefixSet {
    /// The narrowest range around the address.
    pub fn longest_match(&self, address: IpAddr) -> Option<IpNet> {
        match address {
            IpAddr::V4(v4) => {
                let length = self.v4.longest(|length| mask_v4(v4.to_bits(), length))?;
                let network = Ipv4Addr::from_bits(mask_v4(v4.to_bits(), length));
                Ipv4Net::new(network, length).ok().map(IpNet::V4)
            }
            IpAddr::V6(v6) => {
                let length = self.v6.longest(|length| mask_v6(v6.to_bits(), length))?;
                let network = Ipv6Addr::from_bits(mask_v6(v6.to_bits(), length));
                Ipv6Net::new(network, length).ok().map(IpNet::V6)
            }
        }
    }

    /// How many ranges.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl FromIterator<IpNet> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(ranges: I) -> Self {
        let mut set = Self::default();
        for range in ranges {
            // Whatever bits the host part holds say nothing of the range.
            let new = match range.trunc() {
                IpNet::V4(net) => set.v4.insert(net.prefix_len(), net.network().to_bits()),
                IpNet::V6(net) => set.v6.insert(net.prefix_len(), net.network().to_bits()),
            };
            set.len += usize::from(new);
        }
        set
    }
}

/// Networks of one address family by length of prefix.
#[derive(Debug, Clone)]
struct ByLength<B> {
    networks: AHashMap<u8, AHashSet<B>>,
    /// The lengths that occur, longest first.
    lengths: Vec<u8>,
}

impl<B> Default for ByLength<B> {
    fn default() -> Self {
        Self {
            networks: AHashMap::new(),
            lengths: Vec::new(),
        }
    }
}

impl<B: Eq + std::hash::Hash> ByLength<B> {
    /// Adds a network; whether it is new.
    fn insert(&mut self, length: u8, network: B) -> bool {
        if let Err(place) = self.lengths.binary_search_by(|known| length.cmp(known)) {
            self.lengths.insert(place, length);
        }
        self.networks.entry(length).or_default().insert(network)
    }

    /// The longest length under which the address, masked, is a network.
    fn longest(&self, masked: impl Fn(u8) -> B) -> Option<u8> {
        self.lengths
            .iter()
            .copied()
            .find(|length| self.networks[length].contains(&masked(*length)))
    }
}

fn mask_v4(bits: u32, length: u8) -> u32 {
    bits & u32::MAX
        .checked_shl(u32::from(32 - length.min(32)))
        .unwrap_or(0)
}

fn mask_v6(bits: u128, length: u8) -> u128 {
    bits & u128::MAX
        .checked_shl(u32::from(128 - length.min(128)))
        .unwrap_or(0)
}

/// A line of a list that does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: saw {seen:?}, expected {expected}")]
pub struct BadLine {
    /// From 1.
    pub line: usize,
    /// The line, cut to 60 characters.
    pub seen: String,
    /// What should be there.
    pub expected: &'static str,
}

/// Reads a list of addresses: one a line, bare or as a column of a CSV (the
/// first column that is an address counts). `#` starts a comment; one header
/// line is allowed.
///
/// # Errors
/// The first line that holds no address.
pub fn parse_addresses(text: &str) -> Result<AHashSet<IpAddr>, BadLine> {
    parse_lines(text, "an IPv4 or IPv6 address", |line| {
        columns(line).find_map(|column| column.parse::<IpAddr>().ok())
    })
}

/// Reads a list of autonomous systems: `64500`, `AS64500`, or such a number as
/// the first column of a CSV. `#` starts a comment; one header line is allowed.
///
/// # Errors
/// The first line that holds no number.
pub fn parse_asns(text: &str) -> Result<AsnSet, BadLine> {
    parse_lines(text, "an autonomous system such as AS64500", |line| {
        let first = columns(line).next()?;
        let digits = first
            .strip_prefix("AS")
            .or_else(|| first.strip_prefix("as"))
            .unwrap_or(first);
        digits.parse().ok()
    })
}

/// Reads a list of ranges: `192.0.2.0/24`, `2001:db8::/32`, a bare address, or
/// such a range as the first column of a CSV, as iCloud Private Relay's and
/// Google's are. `#` starts a comment; one header line is allowed.
///
/// # Errors
/// The first line that holds no range.
pub fn parse_ranges(text: &str) -> Result<PrefixSet, BadLine> {
    parse_lines(text, "a range such as 192.0.2.0/24", |line| {
        parse_prefix(columns(line).next()?)
    })
}

/// Reads one range; a bare address is the range of itself.
pub fn parse_prefix(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn columns(line: &str) -> impl Iterator<Item = &str> {
    line.split([',', ' ', '\t', ';'])
        .map(|column| column.trim().trim_matches('"'))
}

fn parse_lines<T, C: FromIterator<T>>(
    text: &str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<C, BadLine> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut header_allowed = true;
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let content = line.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                return None;
            }
            let is_first = std::mem::replace(&mut header_allowed, false);
            match parse(content) {
                Some(value) => Some(Ok(value)),
                None if is_first => None,
                None => Some(Err(BadLine {
                    line: index + 1,
                    seen: content.chars().take(60).collect(),
                    expected,
                })),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_read_in_the_shapes_their_publishers_use() {
        let tor = parse_addresses(
            "fingerprint, ipaddr, port\n0008D9, 192.0.2.141, 444\n0008D9, 2001:db8:6003::141, 81\n",
        )
        .unwrap();
        assert_eq!(tor.len(), 2);
        assert_eq!(
            parse_addresses("# exits\n192.0.2.1\n\n192.0.2.1 # again\n")
                .unwrap()
                .len(),
            1
        );
        let asns =
            parse_asns("ASN,Entity\n64500,\"Example, Ltd\"\nAS64501 # other\nas64502\n").unwrap();
        assert_eq!(asns, [64500, 64501, 64502].into_iter().collect());
        let relay = parse_ranges(
            "192.0.2.0/31,GB,GB-EN,London,\n2001:db8:100::/45,US,US-CA,Napa,\n\"198.51.100.7\",DE\n",
        )
        .unwrap();
        assert_eq!(relay.len(), 3);
        assert!(
            relay
                .longest_match("2001:db8:107::1".parse().unwrap())
                .is_some()
        );
    }

    #[test]
    fn a_line_that_does_not_read_is_named() {
        let error = parse_addresses("192.0.2.1\n192.0.2.999\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: saw \"192.0.2.999\", expected an IPv4 or IPv6 address"
        );
        assert_eq!(parse_asns("64500\nhello\n").unwrap_err().line, 2);
        let error = parse_ranges("192.0.2.0/24\n192.0.2.0/33\n").unwrap_err();
        assert_eq!(error.line, 2);
    }

    #[test]
    fn the_narrowest_range_answers_and_its_edges_are_exact() {
        let set: PrefixSet = [
            "0.0.0.0/0",
            "192.0.2.0/24",
            "192.0.2.128/25",
            "192.0.2.130/32",
        ]
        .iter()
        .map(|range| range.parse().unwrap())
        .collect();
        let table = [
            ("192.0.2.130", Some("192.0.2.130/32")),
            ("192.0.2.131", Some("192.0.2.128/25")),
            ("192.0.2.127", Some("192.0.2.0/24")),
            ("192.0.3.0", Some("0.0.0.0/0")),
            ("2001:db8::1", None),
        ];
        for (address, range) in table {
            let found = set.longest_match(address.parse().unwrap());
            assert_eq!(
                found,
                range.map(|range| range.parse().unwrap()),
                "{address}"
            );
        }
    }

    /// Few distinct leading bits, so that ranges nest and addresses hit.
    fn crowded() -> impl Strategy<Value = (IpAddr, u8)> {
        prop_oneof![
            (0u32..4, 0u32..=255, 0u8..=32).prop_map(|(high, low, length)| {
                (IpAddr::V4(Ipv4Addr::from_bits(high << 30 | low)), length)
            }),
            (0u128..4, 0u128..=255, 0u8..=128).prop_map(|(high, low, length)| {
                (IpAddr::V6(Ipv6Addr::from_bits(high << 126 | low)), length)
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_lookup_finds_what_a_scan_of_every_range_finds(
            ranges in proptest::collection::vec(crowded(), 0..40),
            addresses in proptest::collection::vec(crowded(), 1..20),
        ) {
            let ranges: Vec<IpNet> = ranges
                .into_iter()
                .map(|(address, length)| IpNet::new(address, length).unwrap().trunc())
                .collect();
            let set: PrefixSet = ranges.iter().copied().collect();
            for (address, _) in addresses {
                let scanned = ranges
                    .iter()
                    .filter(|range| range.contains(&address))
                    .max_by_key(|range| range.prefix_len())
                    .copied();
                prop_assert_eq!(set.longest_match(address), scanned);
            }
        }
    }
}
