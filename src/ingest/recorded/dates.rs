//! The dates that the portal writes into a CSV, e.g. `4/28/2021, 2:08:45.221 PM`
//! (of the browser's language) where a query's answer has ISO 8601.
//!
//! Invariant: day and month are never guessed. Which of two numbers is the
//! month is told by a date of the same file in which one of them is above 12,
//! or by Entra's own ISO times in the same row's `AuthenticationDetails`; else
//! the file is refused. Dates whose two numbers are equal need no telling.

use std::borrow::Cow;

/// Which of a date's first two numbers is the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    MonthFirst,
    DayFirst,
}

/// A date as the portal writes it; times of day are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slashed<'a> {
    first: u32,
    second: u32,
    year: u32,
    clock: &'a str,
}

/// What one cell says of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Nothing to tell: another form, or no date at all.
    None,
    /// Both numbers are the same.
    Either,
    /// One of the two, and this cell does not tell which.
    Ambiguous,
    /// This one.
    Shown(Order),
}

/// What `cell` says, with `details`, the row's ISO times, to compare with.
pub(super) fn evidence(cell: &str, details: &str) -> Evidence {
    let Some(date) = slashed(cell) else {
        return Evidence::None;
    };
    let Slashed {
        first,
        second,
        year,
        ..
    } = date;
    match (first > 12, second > 12) {
        _ if first == second => Evidence::Either,
        (true, _) => Evidence::Shown(Order::DayFirst),
        (_, true) => Evidence::Shown(Order::MonthFirst),
        (false, false) => {
            let month_first = details.contains(&format!("{year}-{first:02}-{second:02}T"));
            let day_first = details.contains(&format!("{year}-{second:02}-{first:02}T"));
            match (month_first, day_first) {
                (true, false) => Evidence::Shown(Order::MonthFirst),
                (false, true) => Evidence::Shown(Order::DayFirst),
                _ => Evidence::Ambiguous,
            }
        }
    }
}

/// `4/28/2021, 2:08:45.221 PM` as ISO 8601 in UTC; any other text as it is.
/// `None` where the order is needed and not known, or the date is none.
pub(super) fn iso(cell: &str, order: Option<Order>) -> Option<Cow<'_, str>> {
    let Some(date) = slashed(cell) else {
        return Some(Cow::Borrowed(cell));
    };
    let (month, day) = match order {
        Some(Order::DayFirst) => (date.second, date.first),
        Some(Order::MonthFirst) => (date.first, date.second),
        None if date.first == date.second => (date.first, date.second),
        None => return None,
    };
    if month > 12 {
        return None;
    }
    let (clock, half) = match date.clock.rsplit_once([' ', '\u{a0}', '\u{202f}']) {
        Some((clock, half)) => (clock, Some(half)),
        None => (date.clock, None),
    };
    let (hour, rest) = clock.split_once(':')?;
    let hour: u32 = hour.parse().ok()?;
    let hour = match half {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(half) if half.eq_ignore_ascii_case("am") => hour % 12,
        Some(half) if half.eq_ignore_ascii_case("pm") => hour % 12 + 12,
        Some(_) => return None,
    };
    let year = date.year;
    Some(Cow::Owned(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{rest}Z"
    )))
}

fn slashed(cell: &str) -> Option<Slashed<'_>> {
    let (first, rest) = cell.trim().split_once('/')?;
    let (second, rest) = rest.split_once('/')?;
    let (year, clock) = rest.split_at_checked(4)?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    Some(Slashed {
        first: number(first).filter(|n| (1..=31).contains(n))?,
        second: number(second).filter(|n| (1..=31).contains(n))?,
        year: number(year)?,
        clock: clock.trim_start_matches([',', ' ']),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DETAILS: &str = r#"[{"authenticationStepDateTime":"2026-04-03T14:08:45.22+00:00"}]"#;

    #[test]
    fn day_and_month_are_told_by_evidence_only() {
        for (cell, details, expected) in [
            (
                "4/28/2021, 2:08:45.221 PM",
                "",
                Evidence::Shown(Order::MonthFirst),
            ),
            (
                "28/04/2021, 14:08:45.221",
                "",
                Evidence::Shown(Order::DayFirst),
            ),
            ("3/4/2026, 2:08:45 PM", "", Evidence::Ambiguous),
            (
                "3/4/2026, 2:08:45 PM",
                DETAILS,
                Evidence::Shown(Order::DayFirst),
            ),
            (
                "4/3/2026, 2:08:45 PM",
                DETAILS,
                Evidence::Shown(Order::MonthFirst),
            ),
            ("4/4/2026, 2:08:45 PM", "", Evidence::Either),
            ("2026-04-03T14:08:45Z", "", Evidence::None),
            ("40/4/2026, 2:08:45 PM", "", Evidence::None),
            ("", "", Evidence::None),
        ] {
            assert_eq!(evidence(cell, details), expected, "{cell}");
        }
    }

    #[test]
    fn a_portals_date_becomes_iso_where_its_order_is_known() {
        let (month, day) = (Some(Order::MonthFirst), Some(Order::DayFirst));
        for (cell, order, expected) in [
            (
                "4/28/2021, 2:08:45.221 PM",
                month,
                Some("2021-04-28T14:08:45.221Z"),
            ),
            ("4/3/2026 12:08:45 AM", month, Some("2026-04-03T00:08:45Z")),
            (
                "4/3/2026, 12:08:45\u{202f}pm",
                day,
                Some("2026-03-04T12:08:45Z"),
            ),
            (
                "28/04/2021, 14:08:45.221",
                day,
                Some("2021-04-28T14:08:45.221Z"),
            ),
            ("4/4/2026, 2:08:45 PM", None, Some("2026-04-04T14:08:45Z")),
            ("4/3/2026, 2:08:45 PM", None, None),
            ("4/3/2026, 14:08:45 PM", month, None),
            ("4/3/2026, noon", month, None),
            ("2026-04-03T14:08:45Z", None, Some("2026-04-03T14:08:45Z")),
            ("soon", day, Some("soon")),
        ] {
            assert_eq!(iso(cell, order).as_deref(), expected, "{cell}");
        }
    }
}
