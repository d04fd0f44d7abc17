//! What we remember of the tenant and of addresses: what is common among all
//! users, and who else an address tried.
//!
//! Invariant: bounded, and a set: users are remembered by a hash and a time,
//! so the order in which users' records arrive hardly shows. As with habits,
//! what happened today makes nothing common today.
//!
//! Entries are changed in place by the pure engine and written by the one
//! writer: [`Surroundings::changes`] says what changed since it last settled,
//! [`Surroundings::roll_back`] undoes it where the commit failed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::habits::{DAY_SECONDS, day_of, last_full_day};
use super::memory;
use super::{CountryCode, Parameter, Parameters, Prefix, UserId};

/// Users remembered of a thing that is common, the most lately seen.
const COMMON_USERS_MAX: usize = 8;
/// Users remembered of an address in each role, the most lately seen.
const ADDRESS_USERS_MAX: usize = 64;
/// Things remembered as used in the tenant: countries, networks, applications.
const COMMON_MAX: usize = 8_192;
/// Addresses remembered; only those from which a sign-in failed.
const ADDRESSES_MAX: usize = 20_000;
/// Of a full table this share goes at once, the least lately used.
const DROPPED_AT_ONCE: usize = 16;

/// A key of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A country that users sign in from.
    Country(CountryCode),
    /// An autonomous system that users sign in from.
    Asn(u32),
    /// A network, where its autonomous system says too little: hosting.
    Prefix(Prefix),
    /// An application that users consented to, by a hash of its id.
    Consented(u64),
    /// An address from which sign-ins failed: IPv4 whole, IPv6 to its /64.
    Address(IpAddr),
}

impl Thing {
    /// The address as it is remembered.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

/// A user who was seen, and when first and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen(u32, i64, i64);

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Who used the thing, or signed in from the address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    good: Vec<Seen>,
    /// Who failed to sign in from the address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Seen>,
    /// Whose account was found disabled from the address (50057).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    disabled: Vec<Seen>,
}

impl Entry {
    fn latest(&self) -> i64 {
        let all = self.good.iter().chain(&self.failed).chain(&self.disabled);
        all.map(|seen| seen.2).max().unwrap_or(i64::MIN)
    }
}

/// Of a slow spray at least so many fail for each who gets in.
const SLOW_SPRAY_FAILURES_PER_SUCCESS: usize = 4;

/// A spray from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spray {
    /// How many users failed within the window.
    pub users: usize,
    /// When the last of them failed.
    pub last: Timestamp,
}

/// An address that tries accounts it knows little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// Disabled accounts tried.
    pub disabled: usize,
    /// Users who signed in from there.
    pub good: usize,
}

/// The tenant and its addresses.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    entries: HashMap<Thing, Entry>,
    addresses: usize,
    /// What the entries touched since the last settling were before.
    before: HashMap<Thing, Option<Entry>>,
}

impl Surroundings {
    /// Reads back what was written.
    pub fn load(entries: impl IntoIterator<Item = (Thing, Entry)>) -> Self {
        let entries: HashMap<Thing, Entry> = entries.into_iter().collect();
        let addresses = entries.keys().filter(|thing| is_address(thing)).count();
        Self {
            entries,
            addresses,
            before: HashMap::new(),
        }
    }

    /// Takes in that a user used the thing.
    pub fn used(&mut self, thing: Thing, user: &UserId, at: Timestamp) {
        self.saw(thing, |entry| &mut entry.good, user, at);
    }

    /// Takes in that a sign-in failed; `disabled` where the account is.
    pub fn failed(&mut self, address: IpAddr, user: &UserId, at: Timestamp, disabled: bool) {
        let list: fn(&mut Entry) -> &mut Vec<Seen> = match disabled {
            true => |entry| &mut entry.disabled,
            false => |entry| &mut entry.failed,
        };
        self.saw(Thing::address(address), list, user, at);
    }

    /// Takes in that a user signed in. Of an address from which nothing ever
    /// failed nothing is remembered.
    pub fn signed_in(&mut self, address: IpAddr, user: &UserId, at: Timestamp) {
        let thing = Thing::address(address);
        if self.addresses > 0 && self.entries.contains_key(&thing) {
            self.saw(thing, |entry| &mut entry.good, user, at);
        }
    }

    /// Whether enough users used the thing on days before.
    pub fn is_common(&self, thing: Thing, at: Timestamp, parameters: &Parameters) -> bool {
        let Some(entry) = self.entries.get(&thing) else {
            return false;
        };
        let last = last_full_day(at);
        let expiry = parameters.get(Parameter::LearningExpiry);
        let known = |seen: &&Seen| {
            let (first_day, last_day) = (day_of(second(seen.1)), day_of(second(seen.2)));
            first_day <= last && i64::from(day_of(at)) - i64::from(last_day) <= expiry
        };
        let users = entry.good.iter().filter(known).count();
        i64::try_from(users).unwrap_or(i64::MAX) >= parameters.get(Parameter::LearningTenantUsers)
    }

    /// The spray that came from the address before `at`.
    pub fn spray_before(
        &self,
        address: IpAddr,
        at: Timestamp,
        parameters: &Parameters,
    ) -> Option<Spray> {
        let entry = self.address(address)?;
        let window = parameters.get(Parameter::SprayWindow);
        let more_than = parameters.get(Parameter::SprayUsers);
        let (from, to) = (
            at.as_second() - parameters.get(Parameter::SprayReach),
            at.as_second(),
        );
        let mut times: Vec<i64> = entry
            .failed
            .iter()
            .map(|seen| seen.2)
            .filter(|time| (from..=to).contains(time))
            .collect();
        times.sort_unstable();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let inside = |seen: &&Seen| (from..=to).contains(&seen.2);
        let good = entry.good.iter().filter(inside).count();
        let slow = number(times.len()) >= parameters.get(Parameter::SpraySlowUsers)
            && good * SLOW_SPRAY_FAILURES_PER_SUCCESS <= times.len();
        let mut best = times.last().filter(|_| slow).map(|last| Spray {
            users: times.len(),
            last: second(*last),
        });
        for (i, last) in times.iter().enumerate() {
            let first = times.partition_point(|time| *time < last - window);
            let users = i + 1 - first;
            if i64::try_from(users).is_ok_and(|users| users > more_than) {
                best = Some(Spray {
                    users,
                    last: second(*last),
                });
            }
        }
        best
    }

    /// What the address tried besides, where it looks like probing.
    pub fn probes_before(
        &self,
        address: IpAddr,
        at: Timestamp,
        parameters: &Parameters,
    ) -> Option<Probes> {
        let entry = self.address(address)?;
        let from = at.as_second() - parameters.get(Parameter::ProbeWindow);
        let within = |list: &[Seen]| {
            let inside = |seen: &&Seen| seen.2 >= from && seen.1 <= at.as_second();
            list.iter().filter(inside).count()
        };
        let (disabled, good) = (within(&entry.disabled), within(&entry.good));
        let as_number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let tried = as_number(disabled + good);
        let probing = disabled > 0
            && as_number(good) < parameters.get(Parameter::ProbeGoodUsers)
            && as_number(disabled) * 100 >= tried * parameters.get(Parameter::ProbeRatio);
        probing.then_some(Probes { disabled, good })
    }

    fn address(&self, address: IpAddr) -> Option<&Entry> {
        if self.addresses == 0 {
            return None;
        }
        self.entries.get(&Thing::address(address))
    }

    /// Takes a user into one of a thing's lists. Most sign-ins say nothing new,
    /// and then nothing is copied.
    fn saw(
        &mut self,
        thing: Thing,
        list: fn(&mut Entry) -> &mut Vec<Seen>,
        user: &UserId,
        at: Timestamp,
    ) {
        let terms = Terms::of(&thing);
        let user = hash_of(user);
        let at = at.as_second();
        match self.entries.get_mut(&thing) {
            Some(entry) => {
                if !terms.are_news(list(entry), user, at) {
                    return;
                }
                let before = self.before.entry(thing);
                before.or_insert_with(|| Some(entry.clone()));
                terms.take_in(list(entry), user, at);
            }
            None => {
                self.make_room(&thing);
                self.addresses += usize::from(is_address(&thing));
                self.before.entry(thing).or_insert(None);
                terms.take_in(list(self.entries.entry(thing).or_default()), user, at);
            }
        }
    }

    /// Where the table is full, the least lately used go.
    fn make_room(&mut self, thing: &Thing) {
        let addresses = is_address(thing);
        let (held, max) = if addresses {
            (self.addresses, ADDRESSES_MAX)
        } else {
            (self.entries.len() - self.addresses, COMMON_MAX)
        };
        if held < max {
            return;
        }
        let mut by_age: Vec<(i64, Thing)> = self
            .entries
            .iter()
            .filter(|(thing, _)| is_address(thing) == addresses)
            .map(|(thing, entry)| (entry.latest(), *thing))
            .collect();
        let dropped = max / DROPPED_AT_ONCE;
        by_age.select_nth_unstable_by_key(dropped, |(latest, _)| *latest);
        for (_, thing) in by_age.into_iter().take(dropped) {
            let before = self.entries.remove(&thing);
            self.addresses -= usize::from(addresses);
            self.before.entry(thing).or_insert(before);
        }
    }

    /// What changed since it last settled: the entry, or `None` where it is
    /// forgotten.
    pub fn changes(&self) -> impl Iterator<Item = (Thing, Option<&Entry>)> {
        self.before
            .keys()
            .map(|thing| (*thing, self.entries.get(thing)))
    }

    /// What changed is written.
    pub fn settle(&mut self) {
        self.before.clear();
    }

    /// What changed was not written: as if it had not been.
    pub fn roll_back(&mut self) {
        // The common case, with every batch: what was counted stays counted.
        if self.before.is_empty() {
            return;
        }
        for (thing, before) in std::mem::take(&mut self.before) {
            match before {
                Some(entry) => self.entries.insert(thing, entry),
                None => self.entries.remove(&thing),
            };
        }
        self.addresses = self
            .entries
            .keys()
            .filter(|thing| is_address(thing))
            .count();
    }

    /// How many things, and how many addresses, are remembered.
    pub fn len(&self) -> (usize, usize) {
        (self.entries.len() - self.addresses, self.addresses)
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn is_address(thing: &Thing) -> bool {
    matches!(thing, Thing::Address(_))
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MIN)
}

/// How finely, and of how many users, a list is kept.
struct Terms {
    users_max: usize,
    /// Times closer than this say the same.
    grain_seconds: i64,
}

impl Terms {
    /// Of common things only the day matters, so that most sign-ins write
    /// nothing.
    fn of(thing: &Thing) -> Self {
        if is_address(thing) {
            Self {
                users_max: ADDRESS_USERS_MAX,
                grain_seconds: 1,
            }
        } else {
            Self {
                users_max: COMMON_USERS_MAX,
                grain_seconds: DAY_SECONDS,
            }
        }
    }

    /// Whether a user at that time changes the list.
    fn are_news(&self, list: &[Seen], user: u32, at: i64) -> bool {
        let grain = |second: i64| second.div_euclid(self.grain_seconds);
        match list.iter().find(|seen| seen.0 == user) {
            Some(seen) => !(grain(seen.1)..=grain(seen.2)).contains(&grain(at)),
            None if list.len() < self.users_max => true,
            None => list.iter().any(|seen| seen.2 < at),
        }
    }

    /// Takes in what [`Self::are_news`] said is news.
    fn take_in(&self, list: &mut Vec<Seen>, user: u32, at: i64) {
        if let Some(seen) = list.iter_mut().find(|seen| seen.0 == user) {
            seen.1 = seen.1.min(at);
            seen.2 = seen.2.max(at);
            return;
        }
        let oldest = (0..list.len()).min_by_key(|&i| (list[i].2, list[i].0));
        if let (true, Some(oldest)) = (list.len() >= self.users_max, oldest) {
            list.swap_remove(oldest);
        }
        list.push(Seen(user, at, at));
    }
}

/// The lower half of a user's hash is as good as the whole.
fn hash_of(user: &UserId) -> u32 {
    (memory::hash_of(user.as_str()) & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_507_200 + seconds).unwrap()
    }

    fn user(n: usize) -> UserId {
        UserId::new(format!("user-{n}"))
    }

    const DAY: i64 = 24 * 3600;

    #[test]
    fn what_five_users_did_on_days_before_is_common() {
        let parameters = Parameters::default();
        let mut around = Surroundings::default();
        let thing = Thing::Asn(3215);
        for n in 0..5 {
            assert!(!around.is_common(thing, at(2 * DAY), &parameters));
            around.used(thing, &user(n), at(0));
        }
        assert!(!around.is_common(thing, at(3600), &parameters), "today");
        assert!(around.is_common(thing, at(2 * DAY), &parameters));
        assert!(
            !around.is_common(thing, at(62 * DAY), &parameters),
            "forgotten"
        );
        assert!(!around.is_common(Thing::Asn(1), at(2 * DAY), &parameters));
    }

    #[test]
    fn one_user_however_often_is_one() {
        let parameters = Parameters::default();
        let mut around = Surroundings::default();
        for second in 0..100 {
            around.used(Thing::Asn(1), &user(1), at(second));
        }
        assert!(!around.is_common(Thing::Asn(1), at(2 * DAY), &parameters));
    }

    #[test]
    fn a_spray_is_more_than_thirty_users_within_five_minutes() {
        let mut parameters = Parameters::default();
        parameters.set(Parameter::SpraySlowUsers, 60);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for (users, spacing, found) in [
            (30, 1, false),
            (31, 1, true),
            (31, 10, true),
            (31, 11, false),
        ] {
            let mut around = Surroundings::default();
            for n in 0..users {
                around.failed(address, &user(n), at(n as i64 * spacing), false);
            }
            let spray = around.spray_before(address, at(3600), &parameters);
            assert_eq!(spray.is_some(), found, "{users} every {spacing} s");
            // Not before it happened, not from elsewhere, not days after.
            assert_eq!(around.spray_before(address, at(1), &parameters), None);
            let other = "192.0.2.2".parse().unwrap();
            assert_eq!(around.spray_before(other, at(3600), &parameters), None);
            assert_eq!(around.spray_before(address, at(3 * DAY), &parameters), None);
        }
    }

    #[test]
    fn a_slow_spray_is_ten_users_a_day_of_whom_hardly_anybody_gets_in() {
        let parameters = Parameters::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        for (failed, good, found) in [(9, 0, false), (10, 0, true), (12, 3, true), (12, 4, false)] {
            let mut around = Surroundings::default();
            for n in 0..failed {
                around.failed(address, &user(n), at(n as i64 * 3600), false);
            }
            for n in 0..good {
                around.signed_in(address, &user(100 + n), at(3600));
            }
            let spray = around.spray_before(address, at(12 * 3600), &parameters);
            assert_eq!(spray.is_some(), found, "{failed} failed, {good} got in");
        }
    }

    #[test]
    fn probing_is_mostly_disabled_accounts_and_few_good_users() {
        let parameters = Parameters::default();
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        for (disabled, good, found) in [(1, 1, true), (1, 2, false), (0, 0, false), (60, 50, false)]
        {
            let mut around = Surroundings::default();
            for n in 0..disabled {
                around.failed(address, &user(n), at(0), true);
            }
            for n in 0..good {
                around.signed_in(address, &user(1_000 + n), at(1));
            }
            // The same /64.
            let near = "2001:db8::2".parse().unwrap();
            let probes = around.probes_before(near, at(3600), &parameters);
            assert_eq!(probes.is_some(), found, "{disabled} disabled, {good} good");
        }
    }

    #[test]
    fn nothing_is_remembered_of_an_address_that_never_failed() {
        let mut around = Surroundings::default();
        around.signed_in("192.0.2.1".parse().unwrap(), &user(1), at(0));
        assert!(around.is_empty());
    }

    #[test]
    fn what_was_not_written_is_undone_and_what_was_is_kept() {
        let mut around = Surroundings::default();
        around.used(Thing::Asn(1), &user(1), at(0));
        assert_eq!(around.changes().count(), 1);
        around.settle();
        assert_eq!(around.changes().count(), 0);
        around.used(Thing::Asn(1), &user(2), at(0));
        around.failed("192.0.2.1".parse().unwrap(), &user(1), at(0), false);
        assert_eq!(around.changes().count(), 2);
        around.roll_back();
        assert_eq!(around.len(), (1, 0));
        let (_, entry) = Surroundings::load([(Thing::Asn(1), Entry::default())])
            .entries
            .into_iter()
            .next()
            .unwrap();
        assert_eq!(entry, Entry::default());
        assert_eq!(around.entries[&Thing::Asn(1)].good.len(), 1);
    }

    #[test]
    fn addresses_are_bounded_and_the_least_lately_seen_go() {
        let mut around = Surroundings::default();
        let address = |n: usize| IpAddr::from(std::net::Ipv4Addr::from_bits(n as u32));
        for n in 0..ADDRESSES_MAX {
            around.failed(address(n), &user(1), at(n as i64), false);
        }
        around.used(Thing::Asn(1), &user(1), at(0));
        around.settle();
        around.failed(
            address(ADDRESSES_MAX),
            &user(1),
            at(ADDRESSES_MAX as i64),
            false,
        );
        assert_eq!(
            around.len(),
            (1, ADDRESSES_MAX - ADDRESSES_MAX / DROPPED_AT_ONCE + 1)
        );
        assert!(around.address(address(0)).is_none());
        assert!(around.address(address(ADDRESSES_MAX)).is_some());
        let forgotten = around
            .changes()
            .filter(|(_, entry)| entry.is_none())
            .count();
        assert_eq!(forgotten, ADDRESSES_MAX / DROPPED_AT_ONCE);
    }
}
