//! The world the evaluation plays in: cities, networks and what the lists say
//! of them.
//!
//! Everything is made up, and made so that it repeats: an address follows from
//! its network and a number. Networks are of the kinds that decide whether a
//! detector is right: homes, carriers whose gateways stand 800 km away, offices
//! behind one declared egress, split VPNs, relays, hosting, commercial VPNs, Tor
//! and residential proxies, which no list knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::detect::intel::{Corporate, Dated, ExitHistory, Intel};
use crate::model::{CountryCode, GeoPoint, Network, Place};

/// The generator of everything random here: portable and seeded.
pub(super) type Dice = ChaCha8Rng;

/// A city.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct City {
    pub(super) name: &'static str,
    pub(super) country: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

const fn city(name: &'static str, country: &'static str, latitude: f64, longitude: f64) -> City {
    City {
        name,
        country,
        latitude,
        longitude,
    }
}

/// Where Contoso's people live; the first four have offices.
pub(super) const HOMES: [City; 8] = [
    city("Paris", "FR", 48.86, 2.35),
    city("Hamburg", "DE", 53.55, 9.99),
    city("Madrid", "ES", 40.42, -3.70),
    city("Boston", "US", 42.36, -71.06),
    city("Lyon", "FR", 45.76, 4.84),
    city("Munich", "DE", 48.14, 11.58),
    city("Seville", "ES", 37.39, -5.98),
    city("Denver", "US", 39.74, -104.99),
];

/// Where they travel to.
pub(super) const DESTINATIONS: [City; 8] = [
    city("London", "GB", 51.51, -0.13),
    city("Singapore", "SG", 1.35, 103.82),
    city("New York", "US", 40.71, -74.01),
    city("Tokyo", "JP", 35.68, 139.69),
    city("Amsterdam", "NL", 52.37, 4.90),
    city("Dubai", "AE", 25.20, 55.27),
    city("Toronto", "CA", 43.65, -79.38),
    city("Sydney", "AU", -33.87, 151.21),
];

/// Where attackers live who do not hide.
pub(super) const ELSEWHERE: [City; 4] = [
    city("Lagos", "NG", 6.52, 3.38),
    city("Saint Petersburg", "RU", 59.94, 30.31),
    city("Ho Chi Minh City", "VN", 10.82, 106.63),
    city("Bucharest", "RO", 44.43, 26.10),
];

/// Where rented machines stand.
const DATA_CENTRES: [City; 4] = [
    city("Ashburn", "US", 39.04, -77.49),
    city("Frankfurt", "DE", 50.11, 8.68),
    city("Amsterdam", "NL", 52.37, 4.90),
    city("Singapore", "SG", 1.35, 103.82),
];

/// An address somewhere, as a record would tell of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub(super) address: IpAddr,
    pub(super) asn: u32,
    pub(super) city: City,
}

impl Spot {
    /// The network as Entra would log it.
    pub(super) fn network(&self) -> Network {
        Network {
            address: Some(self.address),
            asn: Some(self.asn),
            place: Place {
                city: Some(self.city.name.into()),
                country: CountryCode::parse(self.city.country),
                point: GeoPoint::new(self.city.latitude, self.city.longitude),
            },
        }
    }
}

// Private-use numbers (RFC 6996: 4200000000–4294967294), one block a kind.
const HOME_ASN: u32 = 4_200_001_000;
const MOBILE_ASN: u32 = 4_200_002_000;
const OFFICE_ASN: u32 = 4_200_003_000;
const HOTEL_ASN: u32 = 4_200_004_000;
const HOSTING_ASN: u32 = 4_200_005_000;
const VPN_ASN: u32 = 4_200_006_000;
const RELAY_ASN: u32 = 4_200_007_000;
const TOR_ASN: u32 = 4_200_008_000;
/// Microsoft's own (signals.md, #1).
const MICROSOFT_ASN: u32 = 8075;

const HOSTING_ASNS: u32 = 6;
const VPN_ASNS: u32 = 4;
const TOR_EXITS: u8 = 200;

/// The networks, and what the lists say of them.
#[derive(Debug)]
pub(super) struct World {
    pub(super) intel: Intel,
}

impl World {
    pub(super) fn new() -> Self {
        let exits = (0..TOR_EXITS).map(|host| IpAddr::from(Ipv4Addr::new(18, 0, 0, host)));
        let ranges = |text: &str| {
            crate::detect::intel::parse_ranges(text)
                .map(Dated::timeless)
                .ok()
        };
        Self {
            intel: Intel {
                tor_exits: Some(ExitHistory::timeless(&exits.collect())),
                hosting_asns: Some(Dated::timeless(
                    (0..HOSTING_ASNS).map(|n| HOSTING_ASN + n).collect(),
                )),
                vpn_asns: Some(Dated::timeless(
                    (0..VPN_ASNS).map(|n| VPN_ASN + n).collect(),
                )),
                relay_ranges: ranges("17.0.0.0/8"),
                corporate: Corporate {
                    asns: std::iter::once(OFFICE_ASN).collect(),
                    ..Corporate::default()
                },
                ..Intel::default()
            },
        }
    }

    /// A flat's line; `household` numbers it, so that a person keeps it.
    /// Each city has three providers.
    pub(super) fn home(&self, city: City, household: u32) -> Spot {
        let provider = household % 3;
        Spot {
            address: address(11, index(city) * 3 + provider, household),
            asn: HOME_ASN + index(city) * 3 + provider,
            city,
        }
    }

    /// A phone on its carrier's network. Addresses change through the day, and
    /// one carrier in two shows its gateway in another city of the country.
    pub(super) fn mobile(&self, dice: &mut Dice, city: City, carrier: u32) -> Spot {
        let carrier = carrier % 2;
        let gateway = HOMES
            .iter()
            .rev()
            .find(|other| other.country == city.country);
        let shown = match gateway {
            Some(gateway) if carrier == 1 && dice.random_bool(0.5) => *gateway,
            _ => city,
        };
        Spot {
            address: address(12, country_index(city) * 2 + carrier, dice.random()),
            asn: MOBILE_ASN + country_index(city) * 2 + carrier,
            city: shown,
        }
    }

    /// The egress of an office, declared as the tenant's own.
    pub(super) fn office(&self, city: City) -> Spot {
        Spot {
            address: address(13, index(city), 10),
            asn: OFFICE_ASN,
            city,
        }
    }

    /// A hotel, a café, a train: ordinary, and new to whoever comes by.
    pub(super) fn guest_network(&self, city: City, number: u32) -> Spot {
        Spot {
            address: address(14, index(city), number),
            asn: HOTEL_ASN + index(city),
            city,
        }
    }

    /// A rented machine on a network that the lists call hosting.
    pub(super) fn hosting(&self, dice: &mut Dice) -> Spot {
        let provider = dice.random_range(0..HOSTING_ASNS);
        let city = DATA_CENTRES[dice.random_range(0..DATA_CENTRES.len())];
        Spot {
            address: address(15, provider, dice.random()),
            asn: HOSTING_ASN + provider,
            city,
        }
    }

    /// The one egress of a pool of cloud desktops or of a batch machine: rented,
    /// and the same every day.
    pub(super) fn rented(&self, provider: u32, host: u32) -> Spot {
        let provider = provider % HOSTING_ASNS;
        Spot {
            address: address(15, provider, host),
            asn: HOSTING_ASN + provider,
            city: DATA_CENTRES[index_in(provider, DATA_CENTRES.len())],
        }
    }

    /// The IPv6 side of a flat's line. One household in five has it from
    /// another autonomous system: a tunnel, or the provider's parent.
    pub(super) fn home_v6(&self, city: City, household: u32) -> Spot {
        let v4 = self.home(city, household);
        let network = v4.asn - HOME_ASN;
        let [_, _, b, c] = household.to_be_bytes();
        let groups = [
            0x2001,
            0x0db8,
            u16::try_from(network).unwrap_or(0),
            u16::from_be_bytes([b, c]),
        ];
        let [g0, g1, g2, g3] = groups;
        Spot {
            address: Ipv6Addr::new(g0, g1, g2, g3, 0, 0, 0, 0x10).into(),
            asn: if household.is_multiple_of(5) {
                v4.asn + 500
            } else {
                v4.asn
            },
            city,
        }
    }

    /// A commercial VPN's exit, in a country where it has one.
    pub(super) fn vpn(&self, dice: &mut Dice, provider: u32) -> Spot {
        let provider = provider % VPN_ASNS;
        let city = DATA_CENTRES[dice.random_range(0..DATA_CENTRES.len())];
        Spot {
            address: address(16, provider, dice.random()),
            asn: VPN_ASN + provider,
            city,
        }
    }

    /// iCloud Private Relay and its like: an egress near the user, of their
    /// country.
    pub(super) fn relay(&self, dice: &mut Dice, city: City) -> Spot {
        Spot {
            address: address(17, index(city), dice.random()),
            asn: RELAY_ASN,
            city,
        }
    }

    /// A Tor exit that the list knows.
    pub(super) fn tor(&self, dice: &mut Dice) -> Spot {
        let city = ELSEWHERE[dice.random_range(0..ELSEWHERE.len())];
        Spot {
            address: Ipv4Addr::new(18, 0, 0, dice.random_range(0..TOR_EXITS)).into(),
            asn: TOR_ASN,
            city,
        }
    }

    /// Microsoft's own egress, acting for a user.
    pub(super) fn microsoft(&self, dice: &mut Dice) -> Spot {
        Spot {
            address: address(19, 0, dice.random()),
            asn: MICROSOFT_ASN,
            city: DATA_CENTRES[2],
        }
    }

    /// Somebody's own line in that city, rented out without their knowing: an
    /// ordinary network that no list knows.
    pub(super) fn residential_proxy(&self, dice: &mut Dice, city: City) -> Spot {
        self.home(city, dice.random_range(1_000_000..2_000_000))
    }
}

/// A day starts at midnight UTC.
pub(super) fn day_of(start: Timestamp, day: u32) -> Timestamp {
    start + SignedDuration::from_hours(24 * i64::from(day))
}

fn all_cities() -> impl Iterator<Item = City> {
    HOMES
        .into_iter()
        .chain(DESTINATIONS)
        .chain(ELSEWHERE)
        .chain(DATA_CENTRES)
}

fn index(city: City) -> u32 {
    let index = all_cities().position(|other| other.name == city.name);
    index
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(0)
}

fn country_index(city: City) -> u32 {
    let index = all_cities().position(|other| other.country == city.country);
    index
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(0)
}

fn index_in(number: u32, len: usize) -> usize {
    usize::try_from(number).unwrap_or(0) % len.max(1)
}

/// Hours that the city's clocks are ahead of UTC, by its longitude.
pub(super) fn utc_offset(city: City) -> SignedDuration {
    SignedDuration::from_hours((city.longitude / 15.0).round() as i64)
}

/// Kilometres between two cities, as the crow flies.
pub(super) fn distance_km(a: City, b: City) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.longitude - a.longitude).to_radians() / 2.0;
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * 6371.0 * h.sqrt().min(1.0).asin()
}

/// An address of a network: a /16 of one block for each kind.
fn address(block: u8, network: u32, host: u32) -> IpAddr {
    let [_, _, b, c] = host.to_be_bytes();
    let network = u8::try_from(network % 256).unwrap_or(0);
    Ipv4Addr::new(block, network, b, c).into()
}
