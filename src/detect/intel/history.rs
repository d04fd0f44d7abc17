//! Tor exits with their past.
//!
//! Exits come and go by the hour, and Microsoft's offline detections speak of
//! yesterday: each version of the list is kept for [`limits::HOURS`], as the
//! intervals of versions in which each address was an exit.
//!
//! Invariant: a time that no version is near enough to speak of is unknown;
//! and so is everything of a list that is no longer refreshed.

use std::collections::VecDeque;
use std::net::IpAddr;

use ahash::{AHashMap, AHashSet};
use jiff::{SignedDuration, Timestamp};

use super::{earlier, later};

/// The bounds of the history.
pub mod limits {
    /// How far back versions are kept, in hours: as far as memory reaches
    /// (`model::memory::limits::RETENTION_HOURS`).
    pub const HOURS: i64 = 72;
    /// Versions kept, whatever their times: one an hour, and some for reloads.
    pub const VERSIONS_MAX: usize = 128;
    /// Addresses of one version. Some 2,300 exits run at one time (list of
    /// 2026-08-22); a list beyond this is no list of exits.
    pub const ADDRESSES_MAX: usize = 100_000;
}

/// Which addresses were Tor exits when.
#[derive(Debug, Clone)]
pub struct ExitHistory {
    /// How near in time a version must be to speak of an event.
    stale_after: SignedDuration,
    /// Oldest first; their numbers are consecutive.
    versions: VecDeque<Version>,
    /// For each address the first and last version of every unbroken stay.
    stays: AHashMap<IpAddr, Vec<(u32, u32)>>,
}

#[derive(Debug, Clone, Copy)]
struct Version {
    number: u32,
    as_of: Timestamp,
    addresses: usize,
}

impl ExitHistory {
    /// A history with nothing in it.
    pub fn new(stale_after: SignedDuration) -> Self {
        Self {
            stale_after,
            versions: VecDeque::new(),
            stays: AHashMap::new(),
        }
    }

    /// One list that is believed whatever the time, as one given by hand is.
    pub fn timeless(exits: &AHashSet<IpAddr>) -> Self {
        let mut history = Self::new(SignedDuration::MAX);
        history.add(Timestamp::UNIX_EPOCH, exits);
        history
    }

    /// Takes in a version of the list that was true at `as_of`. One that is no
    /// newer than the newest known is not taken; returns whether it was.
    pub fn add(&mut self, as_of: Timestamp, exits: &AHashSet<IpAddr>) -> bool {
        let newest = self.versions.back();
        if newest.is_some_and(|newest| as_of <= newest.as_of) {
            return false;
        }
        let number = newest.map_or(0, |newest| newest.number + 1);
        for exit in exits {
            let stays = self.stays.entry(*exit).or_default();
            match stays.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => stays.push((number, number)),
            }
        }
        self.versions.push_back(Version {
            number,
            as_of,
            addresses: exits.len(),
        });
        self.forget(as_of);
        true
    }

    /// Takes in that the newest version was still true at `as_of`.
    pub fn confirm(&mut self, as_of: Timestamp) -> bool {
        let exits = self.newest();
        !exits.is_empty() && self.add(as_of, &exits)
    }

    /// The addresses of the newest version.
    pub fn newest(&self) -> AHashSet<IpAddr> {
        let Some(newest) = self.versions.back() else {
            return AHashSet::new();
        };
        self.stays
            .iter()
            .filter(|(_, stays)| stays.last().is_some_and(|(_, last)| *last == newest.number))
            .map(|(address, _)| *address)
            .collect()
    }

    /// Drops what is beyond the bounds.
    fn forget(&mut self, newest: Timestamp) {
        let horizon = earlier(newest, SignedDuration::from_hours(limits::HOURS));
        let mut dropped = false;
        while let Some(oldest) = self.versions.front()
            && (oldest.as_of < horizon || self.versions.len() > limits::VERSIONS_MAX)
        {
            self.versions.pop_front();
            dropped = true;
        }
        if let (true, Some(oldest)) = (dropped, self.versions.front()) {
            let first = oldest.number;
            self.stays.retain(|_, stays| {
                stays.retain(|(_, last)| *last >= first);
                !stays.is_empty()
            });
        }
    }

    /// Whether the address was an exit at that time; `None` when no list is
    /// near enough to say.
    pub fn was_exit(&self, address: IpAddr, at: Timestamp) -> Option<bool> {
        let version = self.version_at(at)?;
        let stays = self.stays.get(&address);
        Some(stays.is_some_and(|stays| {
            stays
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&version.number))
        }))
    }

    /// When the list that speaks of that time was made.
    pub fn version_as_of(&self, at: Timestamp) -> Option<Timestamp> {
        Some(self.version_at(at)?.as_of)
    }

    /// The newest version before the event or, where there is none, the first
    /// after it; either only if near enough.
    fn version_at(&self, at: Timestamp) -> Option<Version> {
        let after = self.versions.partition_point(|v| v.as_of <= at);
        let before = after.checked_sub(1).and_then(|i| self.versions.get(i));
        let next = self.versions.get(after);
        before
            .filter(|version| at <= later(version.as_of, self.stale_after))
            .or_else(|| next.filter(|version| at >= earlier(version.as_of, self.stale_after)))
            .copied()
    }

    /// Addresses in the newest version.
    pub fn len(&self) -> usize {
        self.versions.back().map_or(0, |newest| newest.addresses)
    }

    /// Whether no version is known.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// When the newest version was made.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.versions.back().map(|newest| newest.as_of)
    }

    /// The last time the newest version may be believed of.
    pub fn until(&self) -> Option<Timestamp> {
        Some(later(self.as_of()?, self.stale_after))
    }

    /// How many versions are kept.
    pub fn versions(&self) -> usize {
        self.versions.len()
    }
}

impl<const N: usize> From<[IpAddr; N]> for ExitHistory {
    fn from(exits: [IpAddr; N]) -> Self {
        Self::timeless(&exits.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_507_200 + seconds).unwrap()
    }

    fn address(last_octet: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last_octet])
    }

    fn exits(last_octets: &[u8]) -> AHashSet<IpAddr> {
        last_octets.iter().copied().map(address).collect()
    }

    fn history(versions: &[(i64, &[u8])]) -> ExitHistory {
        let mut history = ExitHistory::new(SignedDuration::from_hours(6));
        for (seconds, octets) in versions {
            assert!(history.add(at(*seconds), &exits(octets)));
        }
        history
    }

    #[test]
    fn an_event_is_judged_by_the_list_of_its_time() {
        // .1 left at 2 h and came back at 3 h; the list was not refreshed
        // between 4 h and 20 h.
        let history = history(&[
            (0, &[1, 2]),
            (HOUR, &[1, 2]),
            (2 * HOUR, &[2]),
            (3 * HOUR, &[1]),
            (4 * HOUR, &[1]),
            (20 * HOUR, &[3]),
        ]);
        let table = [
            (1, 0, Some(true)),
            (1, 2 * HOUR - 1, Some(true)),
            (1, 2 * HOUR, Some(false)),
            (2, 3 * HOUR - 1, Some(true)),
            (2, 3 * HOUR, Some(false)),
            (1, 10 * HOUR, Some(true)),
            // Six hours after one list and more than six before the next.
            (1, 10 * HOUR + 1, None),
            (3, 14 * HOUR - 1, None),
            (3, 14 * HOUR, Some(true)),
            (1, 14 * HOUR, Some(false)),
            (3, 26 * HOUR, Some(true)),
            (3, 26 * HOUR + 1, None),
            // Before the first.
            (1, -6 * HOUR, Some(true)),
            (1, -6 * HOUR - 1, None),
        ];
        for (octet, seconds, expected) in table {
            let found = history.was_exit(address(octet), at(seconds));
            assert_eq!(found, expected, ".{octet} at {seconds} s");
        }
    }

    #[test]
    fn a_version_that_is_no_newer_is_not_taken() {
        let mut history = history(&[(HOUR, &[1])]);
        assert!(!history.add(at(HOUR), &exits(&[2])));
        assert!(!history.add(at(0), &exits(&[2])));
        assert_eq!((history.versions(), history.len()), (1, 1));
    }

    #[test]
    fn a_confirmed_version_goes_on_and_keeps_what_it_held() {
        let mut history = history(&[(0, &[1, 2]), (HOUR, &[2, 3])]);
        assert!(history.confirm(at(9 * HOUR)));
        assert_eq!(history.newest(), exits(&[2, 3]));
        assert_eq!(history.was_exit(address(3), at(12 * HOUR)), Some(true));
        assert_eq!(history.was_exit(address(1), at(12 * HOUR)), Some(false));
        assert_eq!(history.was_exit(address(1), at(0)), Some(true));
    }

    #[test]
    fn the_past_is_bounded_in_hours_and_in_versions() {
        let mut history = ExitHistory::new(SignedDuration::from_hours(6));
        for hour in 0..200 {
            history.add(at(hour * HOUR), &exits(&[hour as u8]));
        }
        // The newest and the 72 hours before it.
        assert_eq!((history.versions(), history.stays.len()), (73, 73));
        let mut history = ExitHistory::new(SignedDuration::from_hours(6));
        for second in 0..1_000 {
            history.add(at(second), &exits(&[second as u8, 255]));
        }
        assert_eq!(history.versions(), limits::VERSIONS_MAX);
        assert_eq!(history.was_exit(address(255), at(999)), Some(true));
    }
}
