//! Intelligence: what is known of addresses and autonomous systems.
//!
//! A snapshot is immutable; the daemon swaps whole snapshots. A list that is
//! not there means "unknown", never "no": its detectors stay silent and
//! `evictd_intel_entries` says 0.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::model::{Network, NetworkClass};

/// Microsoft's autonomous systems: egress of its own services on a user's
/// behalf, never a place where a user is (signals.md, #1 and "Impossible
/// travel, done well").
const MICROSOFT_ASNS: [u32; 3] = [8068, 8069, 8075];

/// One immutable snapshot of every list.
#[derive(Debug, Clone, Default)]
pub struct Intel {
    /// Addresses of Tor exits.
    pub tor_exits: Option<HashSet<IpAddr>>,
    /// Autonomous systems of hosting providers.
    pub hosting_asns: Option<HashSet<u32>>,
    /// Autonomous systems of commercial VPNs.
    pub vpn_asns: Option<HashSet<u32>>,
}

impl Intel {
    /// What kind of network it is, the most telling first.
    pub fn class_of(&self, network: &Network) -> NetworkClass {
        let listed = |list: &Option<HashSet<u32>>| matches!((list, network.asn), (Some(list), Some(asn)) if list.contains(&asn));
        let tor = matches!(
            (&self.tor_exits, network.address),
            (Some(exits), Some(address)) if exits.contains(&address)
        );
        if tor {
            NetworkClass::Tor
        } else if network.asn.is_some_and(|asn| MICROSOFT_ASNS.contains(&asn)) {
            NetworkClass::Microsoft
        } else if listed(&self.vpn_asns) {
            NetworkClass::Vpn
        } else if listed(&self.hosting_asns) {
            NetworkClass::Hosting
        } else {
            NetworkClass::Ordinary
        }
    }
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
pub fn parse_addresses(text: &str) -> Result<HashSet<IpAddr>, BadLine> {
    parse_lines(text, "an IPv4 or IPv6 address", |line| {
        line.split([',', ' ', '\t', ';'])
            .find_map(|column| column.trim().parse::<IpAddr>().ok())
    })
}

/// Reads a list of autonomous systems: `64500`, `AS64500`, or such a number as
/// the first column of a CSV. `#` starts a comment; one header line is allowed.
///
/// # Errors
/// The first line that holds no number.
pub fn parse_asns(text: &str) -> Result<HashSet<u32>, BadLine> {
    parse_lines(text, "an autonomous system such as AS64500", |line| {
        let first = line.split([',', ' ', '\t', ';']).next()?.trim();
        let digits = first
            .strip_prefix("AS")
            .or_else(|| first.strip_prefix("as"))
            .unwrap_or(first);
        digits.parse().ok()
    })
}

fn parse_lines<T: Eq + std::hash::Hash>(
    text: &str,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<HashSet<T>, BadLine> {
    let mut found = HashSet::new();
    let mut header_allowed = true;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        match parse(content) {
            Some(value) => {
                found.insert(value);
            }
            None if header_allowed => {}
            None => {
                let seen = content.chars().take(60).collect();
                return Err(BadLine {
                    line: index + 1,
                    seen,
                    expected,
                });
            }
        }
        header_allowed = false;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(asns, HashSet::from([64500, 64501, 64502]));
    }

    #[test]
    fn a_line_that_does_not_read_is_named() {
        let error = parse_addresses("192.0.2.1\n192.0.2.999\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: saw \"192.0.2.999\", expected an IPv4 or IPv6 address"
        );
        assert_eq!(parse_asns("64500\nhello\n").unwrap_err().line, 2);
    }

    #[test]
    fn the_most_telling_class_wins_and_a_missing_list_tells_nothing() {
        let network = |address: &str, asn| Network {
            address: Some(address.parse().unwrap()),
            asn: Some(asn),
            ..Network::default()
        };
        let intel = Intel {
            tor_exits: Some(HashSet::from(["192.0.2.1".parse().unwrap()])),
            hosting_asns: Some(HashSet::from([64500, 64501])),
            vpn_asns: Some(HashSet::from([64501])),
        };
        let table = [
            ("192.0.2.1", 64500, NetworkClass::Tor),
            ("192.0.2.2", 64500, NetworkClass::Hosting),
            ("192.0.2.2", 64501, NetworkClass::Vpn),
            ("192.0.2.2", 8075, NetworkClass::Microsoft),
            ("192.0.2.2", 3215, NetworkClass::Ordinary),
        ];
        for (address, asn, class) in table {
            assert_eq!(
                intel.class_of(&network(address, asn)),
                class,
                "{address} AS{asn}"
            );
        }
        assert_eq!(
            Intel::default().class_of(&network("192.0.2.1", 64500)),
            NetworkClass::Ordinary
        );
    }
}
