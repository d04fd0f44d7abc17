//! Reads the times that Entra's records carry, in every shape they were seen
//! in.
//!
//! Invariant: a time without a zone is UTC; what cannot be read is not a time
//! and never a guess. Why not jiff's own parser alone: Entra writes one-digit
//! hours, a blank for the `T`, and US style dates (entra-records.md, "Traps").

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Reads `2026-07-18T14:03:03.1234567Z` (also with an offset, a blank for the
/// `T`, no zone, a one-digit hour, any number of fraction digits) or
/// `7/18/2026 2:03:03 PM`. Digits below the nanosecond are dropped.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text.trim().as_bytes());
    let first = rest.number(4)?;
    let civil = match rest.next()? {
        b'-' => iso(first, &mut rest)?,
        b'/' => us(first, &mut rest)?,
        _ => return None,
    };
    let offset = rest.offset()?;
    if !rest.0.is_empty() {
        return None;
    }
    offset.to_timestamp(civil).ok()
}

/// The rest of `YYYY-MM-DDTHH:MM:SS.f`, behind the first hyphen.
fn iso(year: i32, rest: &mut Rest<'_>) -> Option<DateTime> {
    let month = rest.number(2)?;
    rest.expect(b'-')?;
    let day = rest.number(2)?;
    if !matches!(rest.next()?, b'T' | b't' | b' ') {
        return None;
    }
    let (hour, minute, second, nanosecond) = rest.clock()?;
    date_time([year, month, day], [hour, minute, second, nanosecond])
}

/// The rest of `M/D/YYYY h:mm:ss AM`, behind the first slash.
fn us(month: i32, rest: &mut Rest<'_>) -> Option<DateTime> {
    let day = rest.number(2)?;
    rest.expect(b'/')?;
    let year = rest.number(4)?;
    rest.expect(b' ')?;
    let (hour, minute, second, nanosecond) = rest.clock()?;
    let hour = match rest.half_of_day() {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(Half::Am) => hour % 12,
        Some(Half::Pm) => hour % 12 + 12,
    };
    date_time([year, month, day], [hour, minute, second, nanosecond])
}

fn date_time(
    [year, month, day]: [i32; 3],
    [hour, minute, second, nano]: [i32; 4],
) -> Option<DateTime> {
    // A leap second is not in our time scale: it counts as the one before.
    let second = if second == 60 { 59 } else { second };
    DateTime::new(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
        hour.try_into().ok()?,
        minute.try_into().ok()?,
        second.try_into().ok()?,
        nano,
    )
    .ok()
}

enum Half {
    Am,
    Pm,
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.next();
        }
        found
    }

    fn digit(&mut self) -> Option<i32> {
        let digit = self.0.first().filter(|byte| byte.is_ascii_digit())? - b'0';
        self.next();
        Some(digit.into())
    }

    /// One to `digits_max` digits.
    fn number(&mut self, digits_max: usize) -> Option<i32> {
        let mut value = self.digit()?;
        for _ in 1..digits_max {
            match self.digit() {
                Some(digit) => value = value * 10 + digit,
                None => break,
            }
        }
        Some(value)
    }

    /// `H:MM:SS.f`: hour, minute, second, nanosecond.
    fn clock(&mut self) -> Option<(i32, i32, i32, i32)> {
        let hour = self.number(2)?;
        self.expect(b':')?;
        let minute = self.number(2)?;
        self.expect(b':')?;
        let second = self.number(2)?;
        let nanosecond = if self.accept(b'.') {
            self.fraction()?
        } else {
            0
        };
        Some((hour, minute, second, nanosecond))
    }

    fn fraction(&mut self) -> Option<i32> {
        let mut nanosecond = self.digit()? * 100_000_000;
        let mut unit = 10_000_000;
        while let Some(digit) = self.digit() {
            nanosecond += digit * unit;
            unit /= 10;
        }
        Some(nanosecond)
    }

    fn half_of_day(&mut self) -> Option<Half> {
        let text = self.0.strip_prefix(b" ").unwrap_or(self.0);
        let half = match text.get(..2)? {
            half if half.eq_ignore_ascii_case(b"am") => Half::Am,
            half if half.eq_ignore_ascii_case(b"pm") => Half::Pm,
            _ => return None,
        };
        self.0 = text.get(2..)?;
        Some(half)
    }

    /// `Z`, `+01:00`, `-0500`, or nothing.
    fn offset(&mut self) -> Option<Offset> {
        let sign = match self.0.first() {
            None => return Some(Offset::UTC),
            Some(b'Z' | b'z') => {
                self.next();
                return Some(Offset::UTC);
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.next();
        let hours = self.number(2)?;
        self.accept(b':');
        let minutes = self.number(2)?;
        if minutes > 59 {
            return None;
        }
        Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_seen_in_records_is_read_as_utc() {
        for (text, expected) in [
            ("2026-07-18T14:03:03Z", "2026-07-18T14:03:03Z"),
            ("2026-07-18T14:03:03.5Z", "2026-07-18T14:03:03.5Z"),
            ("2026-07-18T14:03:03.123Z", "2026-07-18T14:03:03.123Z"),
            (
                "2026-07-18T14:03:03.1234567Z",
                "2026-07-18T14:03:03.1234567Z",
            ),
            (
                "2026-07-18T14:03:03.123456789123Z",
                "2026-07-18T14:03:03.123456789Z",
            ),
            ("2022-09-09T8:48:50.361Z", "2022-09-09T08:48:50.361Z"),
            ("2026-07-18T09:03:03-05:00", "2026-07-18T14:03:03Z"),
            ("2026-07-18T14:03:03+0530", "2026-07-18T08:33:03Z"),
            ("2025-01-15 09:30:45.123", "2025-01-15T09:30:45.123Z"),
            ("2025-01-15T09:30:45", "2025-01-15T09:30:45Z"),
            ("7/18/2026 2:03:03 PM", "2026-07-18T14:03:03Z"),
            ("7/18/2026 12:03:03 AM", "2026-07-18T00:03:03Z"),
            ("12/1/2026 12:03:03 pm", "2026-12-01T12:03:03Z"),
            ("7/18/2026 14:03:03", "2026-07-18T14:03:03Z"),
            (" 2026-07-18T14:03:03Z ", "2026-07-18T14:03:03Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_not_guessed() {
        for text in [
            "",
            "Z",
            "foo",
            "2026",
            "2026-07-18",
            "2026-13-18T14:03:03Z",
            "2026-02-30T14:03:03Z",
            "2026-07-18T24:03:03Z",
            "2026-07-18T14:03:03X",
            "2026-07-18T14:03:03Z!",
            "2026-07-18T14:03Z",
            "2026-07-18T14:03:03.Z",
            "2026-07-18T14:03:03+99:00",
            "2026-07-18T14:03:03+01:99",
            "18/7/2026 2:03:03 PM",
            "7/18/2026 13:03:03 PM",
            "7/18/2026",
            "20260-07-18T14:03:03Z",
            "٢026-07-18T14:03:03Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
