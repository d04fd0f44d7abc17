//! What is usual for a user, and on which days it was.
//!
//! A habit is a thing (an autonomous system, a country, a device, an
//! application) with the days on which it was used. Days rather than counts:
//! a set of days is the same whatever the order and the number of deliveries,
//! and what is not used any more falls out of its window by itself.
//!
//! Invariant: today never vouches for today. A day counts as known only when
//! it was over before the event, with room for late records, so a late record
//! finds the same habits as one in time, and an attacker's first day teaches
//! nothing about that day. Days that an incident touches never count.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CountryCode, Parameter, Parameters};

/// Habits kept of one user, the most lately used.
const HABITS_MAX: usize = 64;
/// How long after its end a day still takes in late records, in seconds: the
/// hour that records may be late (entra-records.md, latency), twice.
pub const LATENESS_SECONDS: i64 = 2 * 3600;
/// A day, in seconds.
pub(super) const DAY_SECONDS: i64 = 24 * 3600;

/// A set of days within 64 days of its latest: bit 0 is the latest day, bit n
/// the day n before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "(i32, u64)", into = "(i32, u64)")]
pub struct Days {
    /// Days since 1970-01-01.
    latest: i32,
    bits: u64,
}

impl From<(i32, u64)> for Days {
    fn from((latest, bits): (i32, u64)) -> Self {
        Self { latest, bits }
    }
}

impl From<Days> for (i32, u64) {
    fn from(days: Days) -> Self {
        (days.latest, days.bits)
    }
}

/// The day of a time, in days since 1970-01-01.
pub fn day_of(at: Timestamp) -> i32 {
    i32::try_from(at.as_second().div_euclid(DAY_SECONDS)).unwrap_or(i32::MAX)
}

impl Days {
    /// Takes in a day; returns whether it is new. A day more than 63 days
    /// before the latest is not kept.
    pub fn insert(&mut self, day: i32) -> bool {
        if self.bits == 0 {
            *self = Self {
                latest: day,
                bits: 1,
            };
            return true;
        }
        let ahead = i64::from(day) - i64::from(self.latest);
        if ahead > 0 {
            let shifted = u32::try_from(ahead)
                .ok()
                .and_then(|ahead| self.bits.checked_shl(ahead));
            *self = Self {
                latest: day,
                bits: shifted.unwrap_or(0) | 1,
            };
            return true;
        }
        let Some(bit) = u32::try_from(-ahead)
            .ok()
            .and_then(|back| 1_u64.checked_shl(back))
        else {
            return false;
        };
        let new = self.bits & bit == 0;
        self.bits |= bit;
        new
    }

    /// Whether the day is in the set.
    pub fn contains(&self, day: i32) -> bool {
        let back = i64::from(self.latest) - i64::from(day);
        u32::try_from(back)
            .ok()
            .and_then(|back| 1_u64.checked_shl(back))
            .is_some_and(|bit| self.bits & bit != 0)
    }

    /// The days from `first` to `last`, without those of `without`.
    fn count(&self, first: i32, last: i32, without: &Self) -> u32 {
        let known = self.within(first, last);
        if known == 0 || without.bits == 0 {
            return known.count_ones();
        }
        let mut count = 0;
        for back in 0..64_i32 {
            let hit = known >> back & 1 == 1;
            count += u32::from(hit && !without.contains(self.latest - back));
        }
        count
    }

    /// The bits of the days from `first` to `last`.
    fn within(&self, first: i32, last: i32) -> u64 {
        let skip = i64::from(self.latest) - i64::from(last);
        let keep = i64::from(self.latest) - i64::from(first);
        if keep < 0 {
            return 0;
        }
        let low = match u32::try_from(skip) {
            Ok(skip) => u64::MAX.checked_shl(skip).unwrap_or(0),
            Err(_) => u64::MAX,
        };
        let high = match u32::try_from(keep) {
            Ok(keep) if keep < 63 => (1_u64 << (keep + 1)) - 1,
            _ => u64::MAX,
        };
        self.bits & low & high
    }

    /// The latest day, and how many there are.
    pub fn latest(&self) -> i32 {
        self.latest
    }

    /// How many days the set holds.
    pub fn len(&self) -> u32 {
        self.bits.count_ones()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }
}

/// The last day that was over, late records included, before `at`.
pub(super) fn last_full_day(at: Timestamp) -> i32 {
    let second = at.as_second() - LATENESS_SECONDS;
    i32::try_from(second.div_euclid(DAY_SECONDS) - 1).unwrap_or(i32::MIN)
}

/// Something a user does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Habit {
    /// Signs in from an autonomous system.
    Asn(u32),
    /// Signs in from a country.
    Country(CountryCode),
    /// Uses a registered device, by a hash of its id.
    Device(u64),
    /// Uses an application with an HTTP library, by a hash of its id.
    Scripted(u64),
    /// Signs in to an application by device code, by a hash of its id.
    DeviceCode(u64),
    /// Signs in on a device that is not managed.
    Unmanaged,
    /// Uses a command line tool or an editor of Microsoft's own.
    CommandLine,
    /// Sends a password to an application without a second factor, by a hash
    /// of its id.
    Password(u64),
}

/// What is usual for one user.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Habits {
    /// Days on which the user signed in.
    active: Days,
    /// Days that an incident touched: nothing is learned from them.
    tainted: Days,
    /// By habit, ascending.
    known: Vec<(Habit, Days)>,
}

impl Habits {
    /// Takes in a day of a habit; returns whether it is the first time on that
    /// day.
    pub fn learn(&mut self, habit: Habit, at: Timestamp) -> bool {
        let day = day_of(at);
        match self.known.binary_search_by_key(&habit, |(known, _)| *known) {
            Ok(i) => self.known[i].1.insert(day),
            Err(i) => {
                let mut days = Days::default();
                days.insert(day);
                self.known.insert(i, (habit, days));
                self.keep_within_bounds();
                true
            }
        }
    }

    /// Takes in that the user signed in on that day.
    pub fn was_active(&mut self, at: Timestamp) {
        self.active.insert(day_of(at));
    }

    /// Takes in that an incident reached from `first` to `last`.
    pub fn taint(&mut self, first: Timestamp, last: Timestamp) {
        let (first, last) = (day_of(first), day_of(last));
        for day in first.max(last.saturating_sub(63))..=last {
            self.tainted.insert(day);
        }
    }

    /// Drops what was used least lately, whole habits.
    fn keep_within_bounds(&mut self) {
        if self.known.len() <= HABITS_MAX {
            return;
        }
        let oldest = (0..self.known.len()).min_by_key(|&i| {
            (
                self.known[i].1.latest,
                self.known[i].1.len(),
                self.known[i].0,
            )
        });
        if let Some(oldest) = oldest {
            self.known.remove(oldest);
        }
    }

    /// On how many days before `at` the habit was seen, as far as it is still
    /// remembered.
    pub fn days(&self, habit: Habit, at: Timestamp, parameters: &Parameters) -> u32 {
        let Ok(i) = self.known.binary_search_by_key(&habit, |(known, _)| *known) else {
            return 0;
        };
        self.counted(&self.known[i].1, at, parameters)
    }

    /// Whether the user is known to do so.
    pub fn is_familiar(&self, habit: Habit, at: Timestamp, parameters: &Parameters) -> bool {
        self.days(habit, at, parameters) > 0
    }

    /// Whether enough is known of the user for "new" to mean something.
    pub fn is_learned(&self, at: Timestamp, parameters: &Parameters) -> bool {
        let last = last_full_day(at);
        let first = last.saturating_sub(63);
        let days = self.active.count(first, last, &Days::default());
        let wanted = parameters.get(Parameter::LearningActiveDays);
        if i64::from(days) >= wanted {
            return true;
        }
        let span = i32::try_from(parameters.get(Parameter::LearningPeriod)).unwrap_or(i32::MAX);
        days > 0 && self.active.within(first, last.saturating_sub(span)) != 0
    }

    fn counted(&self, days: &Days, at: Timestamp, parameters: &Parameters) -> u32 {
        let last = last_full_day(at);
        let expiry = i32::try_from(parameters.get(Parameter::LearningExpiry)).unwrap_or(63);
        days.count(day_of(at).saturating_sub(expiry), last, &self.tainted)
    }

    /// Every habit with its days, for `evictd memory show`.
    pub fn iter(&self) -> impl Iterator<Item = (Habit, Days)> + '_ {
        self.known.iter().copied()
    }

    /// Days on which the user signed in.
    pub fn active(&self) -> Days {
        self.active
    }

    /// Days that an incident touched.
    pub fn tainted(&self) -> Days {
        self.tainted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(day: i64, hour: i64) -> Timestamp {
        Timestamp::from_second((20_000 + day) * DAY_SECONDS + hour * 3600).unwrap()
    }

    #[test]
    fn today_never_vouches_for_today_and_late_records_have_their_hour() {
        let parameters = Parameters::default();
        let mut habits = Habits::default();
        let habit = Habit::Asn(3215);
        habits.learn(habit, at(0, 9));
        for (day, hour, familiar) in [
            (0, 23, false),
            (1, 1, false),
            // The day before is over, and so is the time for its late records.
            (1, 2, true),
            (60, 12, true),
            // Expired: 60 days.
            (61, 12, false),
        ] {
            assert_eq!(
                habits.is_familiar(habit, at(day, hour), &parameters),
                familiar,
                "day {day}, {hour} h"
            );
        }
        assert!(!habits.is_familiar(Habit::Asn(1), at(1, 12), &parameters));
    }

    #[test]
    fn a_day_of_an_incident_teaches_nothing() {
        let parameters = Parameters::default();
        let mut habits = Habits::default();
        let habit = Habit::Country(CountryCode::parse("NG").unwrap());
        habits.learn(habit, at(0, 9));
        habits.taint(at(0, 10), at(0, 11));
        assert!(!habits.is_familiar(habit, at(2, 9), &parameters));
        habits.learn(habit, at(1, 9));
        assert!(habits.is_familiar(habit, at(2, 9), &parameters));
    }

    #[test]
    fn a_user_is_learned_after_some_days_of_work_or_a_fortnight() {
        let parameters = Parameters::default();
        let mut habits = Habits::default();
        for day in 0..4 {
            habits.was_active(at(day, 9));
        }
        assert!(!habits.is_learned(at(4, 9), &parameters));
        habits.was_active(at(4, 9));
        assert!(!habits.is_learned(at(4, 23), &parameters));
        assert!(habits.is_learned(at(5, 9), &parameters));
        let mut rare = Habits::default();
        rare.was_active(at(0, 9));
        assert!(!rare.is_learned(at(14, 9), &parameters));
        assert!(rare.is_learned(at(15, 9), &parameters));
    }

    #[test]
    fn habits_are_bounded_and_the_least_lately_used_goes() {
        let mut habits = Habits::default();
        for i in 0..100_u32 {
            habits.learn(Habit::Asn(i), at(i64::from(i), 9));
        }
        assert_eq!(habits.iter().count(), HABITS_MAX);
        assert!(habits.iter().all(|(habit, _)| habit >= Habit::Asn(36)));
    }

    proptest! {
        #[test]
        fn days_are_a_set_whatever_the_order(
            mut days in prop::collection::vec(0..63_i32, 0..20),
            shuffle in any::<prop::sample::Index>(),
            from in 0..63_i32, to in 0..63_i32, hole in 0..63_i32,
        ) {
            let build = |days: &[i32]| {
                let mut set = Days::default();
                for day in days { set.insert(*day); }
                set
            };
            let set = build(&days);
            if !days.is_empty() {
                let by = shuffle.index(days.len());
                days.rotate_left(by);
            }
            prop_assert_eq!(build(&days), set);
            days.sort_unstable();
            days.dedup();
            prop_assert_eq!(set.len() as usize, days.len());
            let mut without = Days::default();
            without.insert(hole);
            let expected = days.iter().filter(|d| (from..=to).contains(*d) && **d != hole).count();
            prop_assert_eq!(set.count(from, to, &without) as usize, expected);
        }
    }
}
