//! `[history]`: for how long what was received is kept, and how much of it.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest that anything is kept: ten years.
const DAYS_MAX: u32 = 3_660;
/// Less would not hold a day of anybody's.
const BYTES_MIN: u64 = 1024 * 1024;
const DEFAULT_DAYS: u32 = 90;
const DEFAULT_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// What is kept of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// Days of arrival that are kept, today's included; 0 keeps nothing.
    #[serde(deserialize_with = "days")]
    pub days: u32,
    /// Bytes on disk at most; beyond that the oldest days go.
    #[serde(deserialize_with = "size")]
    pub max_bytes: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            days: DEFAULT_DAYS,
            max_bytes: DEFAULT_BYTES,
        }
    }
}

/// Multiples of a byte, by what a person writes behind the number.
const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

fn days<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let text = from.deserialize_any(Words)?;
    let days = text.trim().parse().ok().filter(|days| *days <= DAYS_MAX);
    days.ok_or_else(|| {
        D::Error::custom(format!(
            "saw {text:?}, expected a number of days from 0 (keep nothing) to \
             {DAYS_MAX}"
        ))
    })
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = from.deserialize_any(Words)?;
    let wrong = |expected: &str| D::Error::custom(format!("saw {text:?}, expected {expected}"));
    let bytes = bytes_of(&text).ok_or_else(|| {
        wrong("a size with its unit, such as \"10 GiB\", \"500 MiB\" or \"20 GB\"")
    })?;
    match bytes {
        0..BYTES_MIN => Err(wrong("at least 1 MiB; history.days = 0 keeps nothing")),
        bytes => Ok(bytes),
    }
}

fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let bytes = number.parse::<f64>().ok()? * *factor as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// A value as text, whatever its type: the environment knows text only.
struct Words;

impl Visitor<'_> for Words {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<HistoryConfig, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn days_and_sizes_are_read_with_their_units() {
        let config = HistoryConfig::default();
        assert_eq!(read(serde_json::json!({})), Ok(config));
        for (text, bytes) in [
            ("10 GiB", DEFAULT_BYTES),
            ("10gib", DEFAULT_BYTES),
            ("20 GB", 20_000_000_000),
            ("1.5 MiB", 1_572_864),
            ("2000000 B", 2_000_000),
        ] {
            let read = read(serde_json::json!({"max_bytes": text, "days": "30"}));
            let expected = HistoryConfig {
                days: 30,
                max_bytes: bytes,
            };
            assert_eq!(read, Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_size_without_a_unit_is_refused_with_what_was_expected() {
        for (json, expected) in [
            (
                serde_json::json!({"max_bytes": 10}),
                "saw \"10\", expected a size with its unit, such as \"10 GiB\"",
            ),
            (
                serde_json::json!({"max_bytes": "10 GiBi"}),
                "saw \"10 GiBi\"",
            ),
            (serde_json::json!({"max_bytes": "GiB"}), "saw \"GiB\""),
            (serde_json::json!({"max_bytes": "-1 GiB"}), "saw \"-1 GiB\""),
            (
                serde_json::json!({"max_bytes": "1 KiB"}),
                "expected at least 1 MiB",
            ),
            (
                serde_json::json!({"days": -1}),
                "saw \"-1\", expected a number of days",
            ),
            (serde_json::json!({"days": "90d"}), "saw \"90d\""),
            (serde_json::json!({"day": 1}), "unknown field `day`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
