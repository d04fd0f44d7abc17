//! Session birth (#15): a session that begins where its owner would not be.
//!
//! A phishing proxy signs in for its victim: the session is new, and starts
//! where the proxy stands. What gives it away is the owner, who goes on
//! working on a managed device somewhere else. The owner's record may come
//! before the thief's or after it.

use super::{Ground, Seen, catalogue, raise};
use crate::model::{Client, Evidence, Footprint, Habit, NetworkClass, Parameter, Signal, Traits};

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    if seen.traits.has(Traits::MANAGED) {
        // The owner's record may be the later one.
        for birth in ground.memory.footprints.iter().filter(|f| is_birth(f)) {
            born(birth, &seen.footprint(), ground, signals);
        }
        return;
    }
    let this = seen.footprint();
    if is_birth(&this) {
        born(&this, &this, ground, signals);
        first_unmanaged(seen, ground, signals);
    }
}

/// Whether a person may have begun a session there: scripts and command lines
/// show themselves as interactive too.
fn is_birth(footprint: &Footprint) -> bool {
    footprint.interactive
        && !footprint.traits.has(Traits::MANAGED)
        && !footprint.traits.has(Traits::CLI)
}

/// Judges the birth of a session; `this` is the event, which may be the birth
/// itself or the owner's.
fn born(birth: &Footprint, this: &Footprint, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    if birth.class.is_neutral() || birth.prefix.is_none() || is_known(birth, ground) {
        return;
    }
    let window = ground.get(Parameter::BirthWindow);
    let owner = ground
        .memory
        .footprints
        .iter()
        .chain([this])
        .filter(|other| {
            other.traits.has(Traits::MANAGED)
                && other.session != birth.session
                && other.prefix != birth.prefix
        })
        .filter_map(|other| Some((gap(birth, other, window)?, other)))
        .min_by_key(|(gap, other)| (*gap, other.first));
    let Some((_, owner)) = owner else { return };
    let at = birth.last;
    let (from, to) = (owner.sighting(owner.last), birth.sighting(at));
    // A phone changes its address all day on its carrier's network.
    let phone = birth.client.is_some_and(Client::is_mobile);
    let spec = if !ground.is_learned(at) {
        return;
    } else if ground.is_new_network(&to) {
        &catalogue::BIRTH_ELSEWHERE
    } else if !phone {
        &catalogue::BIRTH_NEARBY
    } else {
        return;
    };
    let evidence = Evidence::Moved {
        what: "a session began unmanaged while the user worked elsewhere".into(),
        session: birth.session.clone(),
        from,
        to,
    };
    raise(signals, spec.raised(at, &birth.last_record, evidence));
}

/// Whether the device is the user's, or the address was theirs before.
fn is_known(birth: &Footprint, ground: &Ground<'_>) -> bool {
    let device = birth
        .device
        .is_some_and(|device| ground.is_habit(Habit::Device(device), birth.first));
    device || ground.was_at(&birth.sighting(birth.first))
}

/// How far apart in seconds the two are, if within the window.
fn gap(a: &Footprint, b: &Footprint, window: i64) -> Option<i64> {
    let apart = if a.last < b.first {
        b.first.duration_since(a.last)
    } else if b.last < a.first {
        a.first.duration_since(b.last)
    } else {
        return Some(0);
    };
    Some(apart.as_secs()).filter(|seconds| *seconds <= window)
}

/// A user who only ever worked on managed devices does not any more, or one who
/// did not is abroad.
fn first_unmanaged(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let at = seen.sign_in.at;
    let device_known = seen
        .device
        .is_some_and(|device| ground.is_habit(Habit::Device(device), at));
    if seen.class.is_neutral()
        || device_known
        || !ground.is_learned(at)
        || is_known(&seen.footprint(), ground)
    {
        return;
    }
    // Whoever has an old computer at home does not take it to a new country.
    let country = seen.network.place.country;
    let abroad = country.is_some_and(|country| ground.is_new_country(country, at));
    let what = if !ground.is_habit(Habit::Unmanaged, at) {
        "the first sign-in of this user on an unmanaged device, from a new address"
    } else if abroad && seen.class == NetworkClass::Ordinary {
        "an unmanaged device in a new country"
    } else {
        return;
    };
    signals.push(seen.method(&catalogue::UNMANAGED_FIRST, what));
}
