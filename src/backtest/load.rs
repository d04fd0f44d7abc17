//! The work for approvers: how many questions, when, and how many at once.
//!
//! Invariant: every question counts, answered or not. How many would be open
//! at once supposes that nobody answers before they expire, which is the most
//! that can be.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::report::{Input, Load, Peak};

/// Questions whose time is held; 16 bytes each. Further ones count by the day
/// and the hour, but not among those open at once.
const HELD_MAX: usize = 2_000_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Questions as they are asked.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: u64,
    by_hour: BTreeMap<i64, u64>,
    /// From when until when, in seconds since 1970.
    open: Vec<(i64, i64)>,
}

impl Questions {
    /// A question is asked. Returns its place, to close it by.
    pub(super) fn open(&mut self, at: Timestamp, expires_seconds: u32) -> Option<usize> {
        let second = at.as_second();
        self.asked += 1;
        *self.by_hour.entry(second.div_euclid(HOUR)).or_default() += 1;
        if self.open.len() == HELD_MAX {
            return None;
        }
        self.open
            .push((second, second + i64::from(expires_seconds)));
        Some(self.open.len() - 1)
    }

    /// A question is taken back, where it has not expired by then.
    pub(super) fn close(&mut self, place: usize, at: Timestamp) {
        if let Some((from, until)) = self.open.get_mut(place) {
            *until = (*until).min(at.as_second()).max(*from);
        }
    }

    /// What it comes to, over the days of the input.
    pub(super) fn load(&self, input: &Input) -> Load {
        let mut by_day: BTreeMap<i64, u64> = BTreeMap::new();
        for (hour, count) in &self.by_hour {
            *by_day.entry(hour * HOUR / DAY).or_default() += count;
        }
        let all_days = match (input.first, input.last) {
            (Some(first), Some(last)) => {
                last.as_second().div_euclid(DAY) - first.as_second().div_euclid(DAY) + 1
            }
            _ => 0,
        };
        Load {
            questions: self.asked,
            median_day: median(by_day.values().copied().collect(), all_days),
            worst_day: worst(&by_day, DAY),
            worst_hour: worst(&self.by_hour, HOUR),
            open_at_once: self.open_at_once(),
        }
    }

    fn open_at_once(&self) -> Option<Peak> {
        let mut turns: Vec<(i64, i64)> = Vec::with_capacity(2 * self.open.len());
        for (from, until) in &self.open {
            turns.push((*from, 1));
            turns.push((*until, -1));
        }
        // One that expires makes room for one asked at the same second.
        turns.sort_unstable();
        let mut open = 0_i64;
        let mut most: Option<(i64, i64)> = None;
        for (at, change) in turns {
            open += change;
            if most.is_none_or(|(_, count)| open > count) && open > 0 {
                most = Some((at, open));
            }
        }
        let (at, count) = most?;
        peak(at, u64::try_from(count).ok()?)
    }
}

/// The earliest of the fullest.
fn worst(counts: &BTreeMap<i64, u64>, seconds: i64) -> Option<Peak> {
    let most = counts.values().max()?;
    let (at, count) = counts.iter().find(|(_, count)| *count == most)?;
    peak(at * seconds, *count)
}

fn peak(second: i64, count: u64) -> Option<Peak> {
    let at = Timestamp::from_second(second).ok()?;
    Some(Peak { at, count })
}

/// The median over so many days, of which those not among `counts` had none.
fn median(mut counts: Vec<u64>, days: i64) -> f64 {
    let days = usize::try_from(days).unwrap_or(0).max(counts.len());
    if days == 0 {
        return 0.0;
    }
    counts.sort_unstable();
    let none = days - counts.len();
    let of = |place: usize| match place.checked_sub(none) {
        Some(place) => counts.get(place).copied().unwrap_or(0) as f64,
        None => 0.0,
    };
    (of((days - 1) / 2) + of(days / 2)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn days_hours_and_questions_at_once() {
        let mut questions = Questions::default();
        for time in ["08:00:00", "08:10:00", "08:20:00", "09:00:00"] {
            questions.open(at(&format!("2026-11-02T{time}Z")), 30 * 60);
        }
        let taken_back = questions.open(at("2026-11-04T23:59:00Z"), 60).unwrap();
        questions.close(taken_back, at("2026-11-04T23:59:10Z"));
        let input = Input {
            first: Some(at("2026-11-01T12:00:00Z")),
            last: Some(at("2026-11-05T00:00:00Z")),
            ..Input::default()
        };
        let peak = |time, count| {
            Some(Peak {
                at: at(time),
                count,
            })
        };
        assert_eq!(
            questions.load(&input),
            Load {
                questions: 5,
                // 0, 4, 0, 1, 0.
                median_day: 0.0,
                worst_day: peak("2026-11-02T00:00:00Z", 4),
                worst_hour: peak("2026-11-02T08:00:00Z", 3),
                open_at_once: peak("2026-11-02T08:20:00Z", 3),
            }
        );
    }

    #[test]
    fn the_median_counts_quiet_days() {
        let table: [(&[u64], i64, f64); 5] = [
            (&[], 0, 0.0),
            (&[], 90, 0.0),
            (&[3], 1, 3.0),
            (&[5, 3, 1], 4, 2.0),
            (&[5, 3], 3, 3.0),
        ];
        for (counts, days, expected) in table {
            assert_eq!(median(counts.to_vec(), days), expected, "{counts:?}");
        }
    }

    #[test]
    fn a_question_asked_when_another_expires_is_not_open_beside_it() {
        let mut questions = Questions::default();
        questions.open(at("2026-11-02T08:00:00Z"), 60);
        questions.open(at("2026-11-02T08:01:00Z"), 60);
        let load = questions.load(&Input::default());
        assert_eq!(load.open_at_once.unwrap().count, 1);
    }
}
