//! Places and autonomous systems by address, from MMDB databases.
//!
//! Two schemas are read: MaxMind's nested one (`location.latitude`,
//! `country.iso_code`) and the flat one of DB-IP (`latitude`, `country_code`).
//!
//! Invariant: reading a row never fails the event. A row that does not decode
//! is unknown; the whole file is checked before it serves.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::model::{CountryCode, GeoPoint, Place};

/// A point vaguer than this is not taken: impossible travel reckons with an
/// error of 50 km for a city (signals.md, "Impossible travel, done well").
const RADIUS_KM_MAX: u16 = 50;

/// An MMDB database in memory.
pub struct GeoDatabase {
    reader: Reader<Vec<u8>>,
    built: Timestamp,
}

impl fmt::Debug for GeoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeoDatabase")
            .field("kind", &self.kind())
            .field("built", &self.built)
            .finish_non_exhaustive()
    }
}

/// Why a database does not serve.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// It is not an MMDB, or a damaged one.
    #[error("not a sound MMDB database: {0}")]
    Unsound(#[from] MaxMindDbError),
    /// Its date of build is no time.
    #[error("its build date, {0} s after 1970, is no time")]
    NoDate(u64),
}

/// Whether the record and our database name the same country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GeoAgreement {
    /// One of them names none.
    #[default]
    Unknown,
    /// Both name the same.
    Agrees,
    /// They name two.
    Differs {
        /// The record's.
        record: CountryCode,
        /// Our database's.
        ours: CountryCode,
    },
}

impl GeoAgreement {
    /// Compares the record's country with ours.
    pub fn between(record: Option<CountryCode>, ours: Option<CountryCode>) -> Self {
        match (record, ours) {
            (Some(record), Some(ours)) if record == ours => Self::Agrees,
            (Some(record), Some(ours)) => Self::Differs { record, ours },
            _ => Self::Unknown,
        }
    }
}

impl GeoDatabase {
    /// Reads a database and checks all of it: every node of its tree and every
    /// row. Takes up to seconds for a large one.
    ///
    /// # Errors
    /// When it is not an MMDB, or unsound anywhere.
    pub fn read(bytes: Vec<u8>) -> Result<Self, GeoError> {
        let reader = Reader::from_source(bytes)?;
        reader.verify()?;
        let epoch = reader.metadata().build_epoch;
        let built = i64::try_from(epoch)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or(GeoError::NoDate(epoch))?;
        Ok(Self { reader, built })
    }

    /// What it says it is, e.g. `GeoLite2-City`.
    pub fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When its publisher built it.
    pub fn built(&self) -> Timestamp {
        self.built
    }

    /// The nodes of its search tree, which grow with what it knows.
    pub fn nodes(&self) -> usize {
        self.reader.metadata().node_count as usize
    }

    /// The place of an address, where the database has a row for it; the point
    /// is there only where it is known to 50 km.
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        let row: CityRow<'_> = self.reader.lookup(address).ok()?.decode().ok()??;
        Some(row.place())
    }

    /// The autonomous system of an address.
    pub fn asn(&self, address: IpAddr) -> Option<u32> {
        let row: AsnRow = self.reader.lookup(address).ok()?.decode().ok()??;
        row.autonomous_system_number
    }
}

/// A row of a City database in either schema.
#[derive(Deserialize)]
struct CityRow<'a> {
    #[serde(borrow, default)]
    city: Name<'a>,
    #[serde(borrow, default)]
    country: Country<'a>,
    #[serde(default)]
    location: Location,
    country_code: Option<&'a str>,
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

#[derive(Deserialize, Default)]
struct Country<'a> {
    #[serde(borrow)]
    iso_code: Option<&'a str>,
}

#[derive(Deserialize, Default)]
struct Location {
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
    accuracy_radius: Option<u16>,
}

#[derive(Deserialize)]
struct AsnRow {
    autonomous_system_number: Option<u32>,
}

impl CityRow<'_> {
    fn place(&self) -> Place {
        let nested = &self.location;
        let precise = nested.accuracy_radius.is_none_or(|km| km <= RADIUS_KM_MAX);
        let point = nested
            .latitude
            .zip(nested.longitude)
            .or(self.latitude.zip(self.longitude))
            .filter(|_| precise)
            .and_then(|(latitude, longitude)| GeoPoint::new(latitude.0, longitude.0));
        let country = self.country.iso_code.or(self.country_code);
        Place {
            city: self
                .city
                .0
                .filter(|name| !name.is_empty())
                .map(std::sync::Arc::from),
            country: country.and_then(CountryCode::parse),
            point,
        }
    }
}

/// A coordinate: MaxMind writes double precision, DB-IP single, and the reader
/// takes neither for the other.
#[derive(Clone, Copy)]
struct Degrees(f64);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct EitherWidth;
        impl Visitor<'_> for EitherWidth {
            type Value = Degrees;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("degrees")
            }

            fn visit_f32<E>(self, value: f32) -> Result<Degrees, E> {
                Ok(Degrees(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Degrees, E> {
                Ok(Degrees(value))
            }
        }
        from.deserialize_any(EitherWidth)
    }
}

/// A city's name: text in the flat schema, `{names: {en: …}}` in the nested.
#[derive(Default)]
struct Name<'a>(Option<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name, or a map that holds names by language")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Some(name)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Name(None);
                while let Some(key) = map.next_key::<&str>()? {
                    if key == "names" {
                        found = Name(map.next_value::<Names<'de>>()?.en);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
        }
        from.deserialize_any(Either)
    }
}

#[derive(Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<&'a str>,
}

#[cfg(test)]
pub(super) mod tests;
