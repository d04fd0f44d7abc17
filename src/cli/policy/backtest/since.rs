//! `--since`: how far back, or from when.
//!
//! Invariant: pure; whoever calls tells the time. A duration has a unit, as in
//! policies, and a date is midnight UTC.

use std::str::FromStr;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};

/// The furthest back that makes sense: ten years.
const BACK_MAX: SignedDuration = SignedDuration::from_hours(24 * 3_653);

/// Where a backtest begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::policy) enum Since {
    /// So long ago.
    Ago(SignedDuration),
    /// At that time.
    At(Timestamp),
}

impl Since {
    /// The time it means at `now`.
    pub(in crate::cli::policy) fn before(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(at) => Ok(at),
            Self::Ago(ago) => now
                .checked_sub(ago)
                .context("--since: too long ago to be a time"),
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "expected how long ago (90d, 24h, 30m), a date (2026-08-01) \
                 or a time (2026-08-01T08:00:00Z), saw {text:?}"
            )
        };
        if let Some(ago) = ago(text) {
            return match ago <= BACK_MAX && ago.is_positive() {
                true => Ok(Self::Ago(ago)),
                false => Err(format!(
                    "expected more than nothing and at most ten years, saw {text:?}"
                )),
            };
        }
        let at = match text.len() {
            10 => format!("{text}T00:00:00Z").parse(),
            _ => text.parse(),
        };
        at.map(Self::At).map_err(|_| wrong())
    }
}

/// `90d`, `24h`, `30m`.
fn ago(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number = text.strip_suffix(unit)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 60 * 24,
        _ => return None,
    };
    // What does not fit is longer than anything that makes sense.
    let number: i32 = number.parse().unwrap_or(i32::MAX);
    Some(SignedDuration::from_mins(i64::from(number) * minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_dates_and_times_are_read() {
        let now: Timestamp = "2026-11-24T12:30:00Z".parse().unwrap();
        let table = [
            ("90d", "2026-08-26T12:30:00Z"),
            ("24h", "2026-11-23T12:30:00Z"),
            ("30m", "2026-11-24T12:00:00Z"),
            ("2026-08-01", "2026-08-01T00:00:00Z"),
            ("2026-08-01T08:00:00+02:00", "2026-08-01T06:00:00Z"),
        ];
        for (text, expected) in table {
            let since: Since = text.parse().unwrap();
            assert_eq!(since.before(now).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        for text in [
            "",
            "d",
            "90",
            "90w",
            "-5d",
            "0d",
            "99999999999999d",
            "yesterday",
            "2026-13-01",
        ] {
            let error = text.parse::<Since>().unwrap_err();
            assert!(
                error.starts_with("expected ") && error.contains(&format!("{text:?}")),
                "{error}"
            );
        }
    }
}
