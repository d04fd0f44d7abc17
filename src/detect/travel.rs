//! Impossible travel (#29).
//!
//! Every pair of sightings within the window is compared, not only
//! neighbours, so that a late event finds what an event in order would have
//! found. The earlier end must be a place where the user can be trusted to
//! have been; neither end may be a network that says nothing of where its user
//! is; and one registered device at both ends means that a database is wrong,
//! not that somebody flew.

use super::{End, Ground, Pair, Seen, catalogue, raise};
use crate::model::{Client, Evidence, Footprint, GeoPoint, NetworkClass, Parameter, Signal};

/// The least time that a speed is computed over (signals.md: max(Δt, 60 s)).
const SECONDS_MIN: f64 = 60.0;
/// The mean radius of the Earth, IUGG 1980.
const EARTH_RADIUS_KM: f64 = 6371.0;

/// A journey that cannot have been.
struct Journey<'a> {
    kmh: i64,
    /// The other end, where the event is one.
    other: &'a Footprint,
    /// Whether the event is where it ends.
    arrives: bool,
    signal: Signal,
}

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    if usable_point(&seen.network.place).is_none() || seen.class != NetworkClass::Ordinary {
        return;
    }
    let mut found: Vec<Journey<'_>> = Vec::new();
    for footprint in &ground.memory.footprints {
        if is_near(seen, footprint) {
            continue;
        }
        for pair in Pair::of(seen, footprint) {
            if let Some((kmh, signal)) = judge(&pair, ground) {
                found.push(Journey {
                    kmh,
                    other: footprint,
                    arrives: signal.record == seen.sign_in.record,
                    signal,
                });
            }
        }
    }
    // Of several earlier ends the fastest journey is the clearest evidence;
    // `raise` keeps the first of an identity.
    found.sort_by_key(|journey| -journey.kmh);
    there_and_back(seen, &found, ground, signals);
    for journey in found {
        raise(signals, journey.signal);
    }
}

/// Whether there is nothing to compare, at a glance: most footprints are of one
/// place, one network or one device.
fn is_near(seen: &Seen<'_>, footprint: &Footprint) -> bool {
    let same_device = seen.device.is_some() && seen.device == footprint.device;
    let same_city = seen.network.place.city == footprint.place.city
        && seen.network.place.country == footprint.place.country;
    footprint.class != NetworkClass::Ordinary
        || footprint.place.point.is_none()
        || same_device
        || same_city
        || seen.prefix.is_some() && seen.prefix == footprint.prefix
}

/// Impossible to somewhere and impossible back to the same network: the user
/// never left. The event may be any of the three.
fn there_and_back(
    seen: &Seen<'_>,
    found: &[Journey<'_>],
    ground: &Ground<'_>,
    signals: &mut Vec<Signal>,
) {
    for journey in found {
        // The event is far away, between two visits of one place.
        let back = found.iter().find(|back| {
            journey.arrives && !back.arrives && back.other.prefix == journey.other.prefix
        });
        if let Some(back) = back {
            return raise(signals, returned(&back.signal));
        }
        // The event is one of the visits, and the other is remembered.
        let far = journey.other;
        for visit in &ground.memory.footprints {
            if visit.prefix != seen.prefix {
                continue;
            }
            let completes = if journey.arrives {
                visit.last < far.first
            } else {
                visit.first > far.last
            };
            let (earlier, later) = if journey.arrives {
                (visit, far)
            } else {
                (far, visit)
            };
            if completes && let Some((_, signal)) = judge(&Pair::between(earlier, later), ground) {
                // Dated by the last of the three.
                let last = if journey.arrives {
                    &journey.signal
                } else {
                    &signal
                };
                return raise(signals, returned(last));
            }
        }
    }
}

fn returned(last: &Signal) -> Signal {
    catalogue::TRAVEL_THERE_AND_BACK.raised(last.at, &last.record, last.evidence.clone())
}

fn judge(pair: &Pair<'_>, ground: &Ground<'_>) -> Option<(i64, Signal)> {
    let (from, to) = (&pair.earlier.sighting, &pair.later.sighting);
    let seconds = pair.seconds();
    let departs_from_a_user = from.class == NetworkClass::Ordinary;
    // Where a rented machine or an exit stands says nothing of its user.
    let arrives_as_a_user = to.class == NetworkClass::Ordinary;
    if !departs_from_a_user
        || !arrives_as_a_user
        || seconds > ground.get(Parameter::TravelWindow)
        || pair.same_network()
        || pair.same_device()
    {
        return None;
    }
    let kmh = speed(pair, ground)?;
    // A carrier's gateway stands anywhere in its country; and of two networks
    // that are both the user's, one is in the wrong place.
    let one_country = from.place.country == to.place.country;
    if one_country && is_mobile(pair) || ground.knows(from) && ground.knows(to) {
        return None;
    }
    let km = great_circle_km(usable_point(&from.place)?, usable_point(&to.place)?);
    let evidence = Evidence::Travel {
        from: from.clone(),
        to: to.clone(),
        km,
        kmh,
    };
    Some((
        kmh as i64,
        pair.signal(&catalogue::IMPOSSIBLE_TRAVEL, evidence),
    ))
}

/// The speed in km/h, after the error radii, where it is an impossible one.
pub(super) fn speed(pair: &Pair<'_>, ground: &Ground<'_>) -> Option<f64> {
    let distance = ground.get(Parameter::TravelDistance);
    let limit = ground.get(Parameter::TravelSpeed);
    let (km, kmh) = motion(pair, ground)?;
    (km >= distance as f64 && kmh > limit as f64).then_some(kmh)
}

/// Distance in km, and the speed in km/h after the error radii.
pub(super) fn motion(pair: &Pair<'_>, ground: &Ground<'_>) -> Option<(f64, f64)> {
    let from = usable_point(&pair.earlier.sighting.place)?;
    let to = usable_point(&pair.later.sighting.place)?;
    let km = great_circle_km(from, to);
    let radii = radius_km(&pair.earlier, ground) + radius_km(&pair.later, ground);
    let hours = (pair.seconds() as f64).max(SECONDS_MIN) / 3600.0;
    Some((km, (km - radii).max(0.0) / hours))
}

/// How far from its city an end may be.
fn radius_km(end: &End, ground: &Ground<'_>) -> f64 {
    let mobile = end.client.is_some_and(Client::is_mobile);
    ground.get(if mobile {
        Parameter::TravelMobileError
    } else {
        Parameter::TravelCityError
    }) as f64
}

fn is_mobile(pair: &Pair<'_>) -> bool {
    let mobile = |end: &End| end.client.is_some_and(Client::is_mobile);
    mobile(&pair.earlier) || mobile(&pair.later)
}

/// A point that stands for a city. Without a city's name the coordinates are
/// a country's middle, which is no place at all.
fn usable_point(place: &crate::model::Place) -> Option<GeoPoint> {
    place.city.as_ref().and(place.point)
}

/// Great-circle distance by the haversine formula, which is stable for small
/// distances.
fn great_circle_km(a: GeoPoint, b: GeoPoint) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.longitude - a.longitude).to_radians() / 2.0;
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::super::intel::Dated;
    use super::super::testing::{EPOCH, HOSTING_ASHBURN, LAGOS, MADRID, PARIS, Story};
    use super::*;

    #[test]
    fn paris_to_lagos_in_38_minutes_is_impossible() {
        let mut story = Story::new();
        story.sign_in(0, PARIS);
        let mut step = story.sign_in(38 * 60, LAGOS);
        assert_eq!(step.names(), ["impossible_travel"]);
        assert_eq!(
            step.texts(),
            ["Paris (FR), AS3215 → Lagos (NG), AS29465, 4,709 km in 38 min, 7,277 km/h"]
        );
    }

    #[test]
    fn nearest_misses() {
        // An airliner's speed: 4,606 km after the radii in 5 h 8 min is 897 km/h.
        let mut story = Story::new();
        story.sign_in(0, PARIS);
        assert!(story.sign_in(5 * 3600 + 8 * 60, LAGOS).names().is_empty());
        // A minute less is too fast.
        let mut story = Story::new();
        story.sign_in(0, PARIS);
        assert_eq!(
            story.sign_in(5 * 3600 + 6 * 60, LAGOS).names(),
            ["impossible_travel"]
        );
        // No city: the middle of a country is no place.
        let mut story = Story::new();
        story.sign_in(0, PARIS);
        assert!(story.sign_in(60, LAGOS).without_city().names().is_empty());
        // One autonomous system in one country: a carrier's gateway.
        let mut story = Story::new();
        story.sign_in(0, PARIS);
        let mut far = PARIS;
        (far.city, far.latitude, far.longitude, far.address) = ("Nice", 43.7, 7.27, "203.0.113.9");
        assert!(story.sign_in(60, far).names().is_empty());
        // A place that nobody lives in is no point of departure.
        let mut story = Story::new();
        story.sign_in(0, HOSTING_ASHBURN);
        assert!(story.sign_in(60, PARIS).names().is_empty());
        // A failed sign-in is not where the user is.
        let mut story = Story::new();
        story.sign_in(0, PARIS);
        assert!(story.sign_in(60, LAGOS).failed(50126).names().is_empty());
    }

    #[test]
    fn neutral_egress_is_no_place_to_travel_from_or_to() {
        let lagos: std::net::IpAddr = LAGOS.address.parse().unwrap();
        for order in [[PARIS, LAGOS], [LAGOS, PARIS]] {
            let mut story = Story::new();
            story.intel.relay_ranges = Some(Dated::timeless([lagos.into()].into_iter().collect()));
            story.sign_in(0, order[0]).done();
            assert!(story.sign_in(60, order[1]).names().is_empty());
            let mut story = Story::new();
            story.intel.corporate.asns = [LAGOS.asn].into_iter().collect();
            story.sign_in(0, order[0]).done();
            assert!(story.sign_in(60, order[1]).names().is_empty());
        }
    }

    #[test]
    fn a_late_event_is_compared_with_what_came_after_it() {
        let mut story = Story::new();
        story.sign_in(3600, LAGOS);
        let mut step = story.sign_in(0, PARIS);
        assert_eq!(step.names(), ["impossible_travel"]);
        // Dated by its later half.
        assert_eq!(step.signals[0].at.as_second(), EPOCH + 3600);
    }

    #[test]
    fn distances_are_great_circles() {
        let point = |latitude, longitude| GeoPoint {
            latitude,
            longitude,
        };
        let km = great_circle_km(point(48.86, 2.35), point(40.42, -3.7));
        assert!((km - 1053.0).abs() < 5.0, "{km}");
        let antipodes = great_circle_km(point(10.0, 20.0), point(-10.0, -160.0));
        assert!((antipodes - 20_015.0).abs() < 1.0, "{antipodes}");
        assert!(great_circle_km(point(1.0, 1.0), point(1.0, 1.0)) < f64::EPSILON);
        let mut story = Story::new();
        story.sign_in(0, PARIS);
        assert!(story.sign_in(2 * 3600, MADRID).names().is_empty());
    }
}
