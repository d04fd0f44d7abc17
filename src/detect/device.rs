//! A primary refresh token in two places (#5).
//!
//! Whoever has taken a device's own token shows the device's id with it, so
//! nothing here believes that the id proves anything. What gives the thief
//! away is that the device itself stays where it was: it cannot be on a new
//! network and at home at once, nor get there faster than an airliner.

use super::{Ground, Pair, Seen, catalogue, raise, travel};
use crate::model::{Footprint, NetworkClass, Parameter, Signal, Traits};

/// Nearer than this a speed says nothing, in km.
const DISTANCE_KM_MIN: f64 = 100.0;
/// A device that is back where it was within this time was never away. Two
/// thirds of an hour are a short way there and back.
const BACK_SECONDS: i64 = 2400;

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    if seen.device.is_none() {
        return;
    }
    let of_device = || {
        let same = |f: &&Footprint| f.device == seen.device;
        ground.memory.footprints.iter().filter(same)
    };
    if seen.traits.has(Traits::PRT) && !seen.class.is_neutral() {
        for footprint in of_device().filter(|other| are_apart(seen, other)) {
            for pair in Pair::of(seen, footprint) {
                let replayed = is_away(&pair, ground)
                    && (is_too_fast(&pair, ground) || is_back(&pair, of_device()));
                if replayed {
                    raise(signals, replay(&pair, seen));
                }
            }
        }
    }
    // The event is the owner's, who never left.
    let at = seen.sign_in.at;
    let soon = |f: &Footprint| at.duration_since(f.last).as_secs() <= BACK_SECONDS;
    let away =
        |f: &&Footprint| f.traits.has(Traits::PRT) && soon(f) && f.last <= at && are_apart(seen, f);
    for visit in of_device().filter(away) {
        for home in of_device().filter(|home| home.prefix == seen.prefix) {
            let pair = Pair::between(home, visit);
            if home.last <= visit.first && soon(home) && is_away(&pair, ground) {
                raise(signals, replay(&pair, seen));
            }
        }
    }
}

/// Whether the footprint is on another network that says where its user is.
fn are_apart(seen: &Seen<'_>, footprint: &Footprint) -> bool {
    seen.network.asn != footprint.asn && !footprint.class.is_neutral()
}

fn replay(pair: &Pair<'_>, seen: &Seen<'_>) -> Signal {
    let session = seen.sign_in.session.as_ref();
    let evidence = pair.moved("a primary refresh token used in two places", session);
    pair.signal(&catalogue::PRT_REPLAY, evidence)
}

/// From a network of the user's to one that they were never on.
fn is_away(pair: &Pair<'_>, ground: &Ground<'_>) -> bool {
    pair.later.traits.has(Traits::PRT)
        && pair.asns_differ()
        && !pair.neutral()
        && !pair.same_network()
        && ground.knows(&pair.earlier.sighting)
        && ground.is_new_network(&pair.later.sighting)
}

fn is_too_fast(pair: &Pair<'_>, ground: &Ground<'_>) -> bool {
    let limit = ground.get(Parameter::TravelSpeed) as f64;
    match pair.later.sighting.class {
        NetworkClass::Ordinary => travel::motion(pair, ground)
            .is_some_and(|(km, kmh)| km >= DISTANCE_KM_MIN && kmh > limit),
        // A device does not move into a data centre between two renewals.
        NetworkClass::Hosting | NetworkClass::Tor => pair.seconds() <= BACK_SECONDS,
        _ => false,
    }
}

/// Whether the device is on the earlier network again, too soon after the later
/// one.
fn is_back<'f>(pair: &Pair<'_>, mut footprints: impl Iterator<Item = &'f Footprint>) -> bool {
    let (from, to) = (&pair.earlier.sighting, &pair.later.sighting);
    footprints.any(|home| {
        let again = home.first.max(to.at);
        home.prefix == from.prefix
            && home.last > to.at
            && again.duration_since(from.at).as_secs() <= BACK_SECONDS
    })
}
