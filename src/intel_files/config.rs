//! Where each list comes from and how it is kept fresh: `[intel]`, and the
//! same keys as flags.
//!
//! Invariant: a URL is https, or http to this machine: a list that others can
//! rewrite on its way would choose whom evictd suspects. What stands in a URL
//! before the host or behind `?` may be a key, and is never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::read_file;
use crate::detect::intel::{self, Corporate, Intel, ListContent, ListName};

/// The shortest time between two refreshes.
const EVERY_MIN: SignedDuration = SignedDuration::from_secs(1);
/// The longest, and the longest that a list may be believed: a year.
const SPAN_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Lists of intelligence; one that is not named is unknown, and its detectors
/// stay silent.
#[derive(Debug, Clone, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct IntelConfig {
    /// Addresses of Tor exits, one a line or a CSV column.
    #[arg(long, value_name = "FILE")]
    pub tor_exits: Option<ListSource>,
    /// Autonomous systems of hosting providers, one a line or the first CSV column.
    #[arg(long, value_name = "FILE")]
    pub hosting_asns: Option<ListSource>,
    /// Autonomous systems of commercial VPNs.
    #[arg(long, value_name = "FILE")]
    pub vpn_asns: Option<ListSource>,
    /// Egress ranges of relays such as iCloud Private Relay, one a line or the
    /// first CSV column.
    #[arg(long, value_name = "FILE")]
    pub relay_ranges: Option<ListSource>,
    /// Egress ranges of clouds.
    #[arg(long, value_name = "FILE")]
    pub cloud_ranges: Option<ListSource>,
    /// A City database in MMDB format.
    #[arg(long, value_name = "FILE")]
    pub geo_city: Option<ListSource>,
    /// An ASN database in MMDB format.
    #[arg(long, value_name = "FILE")]
    pub geo_asn: Option<ListSource>,
    /// The tenant's own egress, such as 192.0.2.0/24; may be repeated.
    #[arg(long = "corporate-range", value_name = "RANGE")]
    pub corporate_ranges: Vec<String>,
    /// The tenant's own autonomous system; may be repeated.
    #[arg(long = "corporate-asn", value_name = "ASN")]
    pub corporate_asns: Vec<u32>,
    /// How the daemon keeps each list fresh.
    #[arg(skip)]
    pub refresh: RefreshConfig,
}

/// `[intel.refresh]`: the terms of each list, by its name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshConfig {
    tor_exits: Wishes,
    hosting_asns: Wishes,
    vpn_asns: Wishes,
    relay_ranges: Wishes,
    cloud_ranges: Wishes,
    geo_city: Wishes,
    geo_asn: Wishes,
}

/// What the configuration says of one list's terms.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wishes {
    #[serde(deserialize_with = "span")]
    every: Option<SignedDuration>,
    #[serde(deserialize_with = "span")]
    stale_after: Option<SignedDuration>,
    shrink_allowed: bool,
}

/// On what terms a list is kept fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long after a refresh the next is due: 1 h for Tor exits and 24 h
    /// for the others unless configured (signals.md, "Tor").
    pub every: SignedDuration,
    /// How long after it was true a version is believed:
    /// [`ListName::stale_after`] unless configured.
    pub stale_after: SignedDuration,
    /// Whether a version with less than half the entries of the one before is
    /// taken. It is not unless configured: publishers cut lists by mistake
    /// more often than half of a list goes away.
    pub shrink_allowed: bool,
}

/// Where a list comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum ListSource {
    /// A file of this machine; true as of its modification time.
    File(PathBuf),
    /// A URL; true as of its last answer.
    Url(Url),
}

impl IntelConfig {
    /// The lists that are named, in the order of [`ListName::ALL`].
    pub fn sources(&self) -> impl Iterator<Item = (ListName, &ListSource)> {
        ListName::ALL
            .into_iter()
            .filter_map(|name| Some((name, self.source(name)?)))
    }

    /// Where the named list comes from.
    pub fn source(&self, name: ListName) -> Option<&ListSource> {
        match name {
            ListName::TorExits => self.tor_exits.as_ref(),
            ListName::HostingAsns => self.hosting_asns.as_ref(),
            ListName::VpnAsns => self.vpn_asns.as_ref(),
            ListName::RelayRanges => self.relay_ranges.as_ref(),
            ListName::CloudRanges => self.cloud_ranges.as_ref(),
            ListName::GeoCity => self.geo_city.as_ref(),
            ListName::GeoAsn => self.geo_asn.as_ref(),
        }
    }

    /// Reads the files that are named as lists given by hand: believed
    /// whatever the time, as a replay needs them.
    ///
    /// # Errors
    /// A URL, a file that cannot be read, a line that does not read, a
    /// database that is unsound, or a list with nothing in it.
    pub fn load(&self) -> anyhow::Result<Intel> {
        let mut intel = Intel {
            corporate: self.corporate()?,
            ..Intel::default()
        };
        for (name, source) in self.sources() {
            let ListSource::File(path) = source else {
                bail!(
                    "intel.{name}: {source} is a URL, which only the daemon fetches; expected a file"
                );
            };
            let (bytes, _) = read_file(name, path)?;
            let content = ListContent::parse(name, &bytes)
                .with_context(|| format!("intel.{name}: {}", path.display()))?;
            intel.take(content, Timestamp::UNIX_EPOCH, SignedDuration::MAX);
        }
        Ok(intel)
    }

    /// Whether nothing at all is named.
    pub fn is_empty(&self) -> bool {
        self.sources().next().is_none()
            && self.corporate_ranges.is_empty()
            && self.corporate_asns.is_empty()
    }

    /// Checks the terms of every list.
    ///
    /// # Errors
    /// A span out of bounds, or a list that would always be stale before it is
    /// refreshed.
    pub fn check(&self) -> anyhow::Result<()> {
        for name in ListName::ALL {
            let Terms {
                every, stale_after, ..
            } = self.refresh.terms(name);
            for (key, span) in [("every", every), ("stale_after", stale_after)] {
                if !(EVERY_MIN..=SPAN_MAX).contains(&span) {
                    bail!("intel.refresh.{name}.{key}: saw {span:#}, expected 1s to 8784h");
                }
            }
            if stale_after <= every {
                bail!(
                    "intel.refresh.{name}: stale_after ({stale_after:#}) is not longer than every \
                     ({every:#}): the list would be stale before it is refreshed"
                );
            }
        }
        Ok(())
    }

    /// The tenant's own egress.
    pub(super) fn corporate(&self) -> anyhow::Result<Corporate> {
        let ranges = self
            .corporate_ranges
            .iter()
            .map(|text| {
                intel::parse_prefix(text).with_context(|| {
                    format!(
                        "intel.corporate_ranges: saw {text:?}, expected a range such as 192.0.2.0/24"
                    )
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Corporate {
            ranges,
            asns: self.corporate_asns.iter().copied().collect(),
        })
    }
}

impl RefreshConfig {
    /// The terms of the named list.
    pub fn terms(&self, name: ListName) -> Terms {
        let wishes = match name {
            ListName::TorExits => self.tor_exits,
            ListName::HostingAsns => self.hosting_asns,
            ListName::VpnAsns => self.vpn_asns,
            ListName::RelayRanges => self.relay_ranges,
            ListName::CloudRanges => self.cloud_ranges,
            ListName::GeoCity => self.geo_city,
            ListName::GeoAsn => self.geo_asn,
        };
        let every = match name {
            ListName::TorExits => SignedDuration::from_hours(1),
            _ => SignedDuration::from_hours(24),
        };
        Terms {
            every: wishes.every.unwrap_or(every),
            stale_after: wishes.stale_after.unwrap_or(name.stale_after()),
            shrink_allowed: wishes.shrink_allowed,
        }
    }
}

/// A span as text with a unit, as everywhere in the configuration.
fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SignedDuration>, D::Error> {
    let text = String::deserialize(from)?;
    let span = text
        .parse()
        .map_err(|_| D::Error::custom(format!("{text:?} is not a duration such as \"24h\"")))?;
    Ok(Some(span))
}

impl ListSource {
    /// A file.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::File(path.as_ref().to_owned())
    }
}

impl FromStr for ListSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected a path or an https URL, saw nothing".to_owned());
        }
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
        if is_safe(&url) {
            return Ok(Self::Url(url));
        }
        Err(format!(
            "saw {}, expected a path or an https URL; http reaches only this machine",
            shown(&url)
        ))
    }
}

/// Whether a list may be fetched from there: nobody on the way can change it.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_loopback = || {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    match url.scheme() {
        "https" => true,
        "http" => is_loopback(),
        _ => false,
    }
}

/// The URL without what may be a key.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs without a host, which hold no such parts.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    let cut = url.query().is_some();
    shown.set_query(None);
    shown.set_fragment(None);
    format!("{shown}{}", if cut { "?…" } else { "" })
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(&shown(url)),
        }
    }
}

impl fmt::Debug for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for ListSource {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_path_or_a_url_that_nobody_can_rewrite() {
        let good = [
            ("/etc/evictd/tor.txt", "/etc/evictd/tor.txt"),
            ("lists/tor.txt", "lists/tor.txt"),
            ("https://lists.example/tor", "https://lists.example/tor"),
            ("http://127.0.0.1:8080/tor", "http://127.0.0.1:8080/tor"),
            ("http://[::1]/tor", "http://[::1]/tor"),
            ("http://localhost/tor", "http://localhost/tor"),
            (
                "https://me:secret@lists.example/city?key=secret#secret",
                "https://lists.example/city?…",
            ),
        ];
        for (text, shown) in good {
            let source: ListSource = text.parse().unwrap();
            assert_eq!(source.to_string(), shown);
            assert_eq!(format!("{source:?}"), shown);
        }
        let bad = [
            ("http://lists.example/tor?key=secret", "https"),
            ("http://127.0.0.1.example/tor", "https"),
            ("file:///etc/passwd", "https"),
            ("https://", "no URL"),
            ("", "nothing"),
        ];
        for (text, why) in bad {
            let error = text.parse::<ListSource>().unwrap_err();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
    }

    fn parse(text: &str) -> Result<IntelConfig, String> {
        let config: IntelConfig = config::Config::builder()
            .add_source(config::File::from_str(text, config::FileFormat::Toml))
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| error.to_string())?;
        config.check().map_err(|error| format!("{error:#}"))?;
        Ok(config)
    }

    #[test]
    fn each_list_has_terms_of_its_own() {
        let config = parse(
            "[refresh]\ntor_exits = { every = '30m' }\n\
             geo_city = { every = '48h', stale_after = '1440h', shrink_allowed = true }\n",
        )
        .unwrap();
        let terms = |name| {
            let terms = config.refresh.terms(name);
            let hours = |span: SignedDuration| span.as_secs() as f64 / 3_600.0;
            (
                hours(terms.every),
                hours(terms.stale_after),
                terms.shrink_allowed,
            )
        };
        assert_eq!(terms(ListName::TorExits), (0.5, 6.0, false));
        assert_eq!(terms(ListName::GeoCity), (48.0, 1_440.0, true));
        assert_eq!(terms(ListName::GeoAsn), (24.0, 720.0, false));
    }

    #[test]
    fn terms_that_cannot_work_are_refused_by_name() {
        let table = [
            ("[refresh]\ntor = {}\n", "tor"),
            ("[refresh]\ntor_exits = { often = '1h' }\n", "often"),
            ("[refresh]\ntor_exits = { every = '1' }\n", "duration"),
            (
                "[refresh]\ntor_exits = { every = '0s' }\n",
                "tor_exits.every",
            ),
            ("[refresh]\ntor_exits = { every = '6h' }\n", "stale before"),
            (
                "[refresh]\nvpn_asns = { stale_after = '9000h' }\n",
                "vpn_asns",
            ),
            ("tor_exits = 'http://lists.example/tor'\n", "https"),
        ];
        for (text, why) in table {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
