//! Impossible travel (#29).
//!
//! Every pair of sightings within a day is compared, not only neighbours, so
//! that a late event finds what an event in order would have found. The
//! earlier end must be a place where a user can be: Tor, VPN, hosting and
//! neutral egress (Microsoft's, a relay's, the tenant's own) are never where
//! somebody travels from.

use super::{Pair, Seen, catalogue, raise};
use crate::model::{Evidence, GeoPoint, NetworkClass, Signal, UserMemory};

/// Nearer than this is a commute or a wrong database (signals.md, #29).
const DISTANCE_KM_MIN: f64 = 500.0;
/// Faster than an airliner (signals.md, #29).
const SPEED_KMH_MAX: f64 = 900.0;
/// How wrong a city's coordinates may be (signals.md, "Impossible travel,
/// done well": 50 km for a city).
const ERROR_RADIUS_KM: f64 = 50.0;
/// The window of comparison (signals.md, #29: 24 h).
const WINDOW_SECONDS: i64 = 24 * 3600;
/// The least time that a speed is computed over (signals.md: max(Δt, 60 s)).
const SECONDS_MIN: f64 = 60.0;
/// The mean radius of the Earth, IUGG 1980.
const EARTH_RADIUS_KM: f64 = 6371.0;

pub(super) fn detect(seen: &Seen<'_>, memory: &UserMemory, signals: &mut Vec<Signal>) {
    if usable_point(&seen.network.place).is_none() {
        return;
    }
    let mut found: Vec<(i64, Signal)> = memory
        .footprints
        .iter()
        .filter(|footprint| !seen.is_like(footprint))
        .flat_map(|footprint| Pair::of(seen, footprint))
        .filter_map(|pair| judge(&pair))
        .collect();
    // Of several earlier ends the fastest journey is the clearest evidence;
    // `raise` keeps the first of an identity.
    found.sort_by_key(|(kmh, _)| -kmh);
    for (_, signal) in found {
        raise(signals, signal);
    }
}

fn judge(pair: &Pair<'_>) -> Option<(i64, Signal)> {
    let (from, to) = (&pair.earlier.sighting, &pair.later.sighting);
    let seconds = pair.seconds();
    let departs_from_a_user = from.class == NetworkClass::Ordinary;
    let arrives_as_a_user = !to.class.is_neutral();
    if !departs_from_a_user || !arrives_as_a_user || seconds > WINDOW_SECONDS || pair.same_network()
    {
        return None;
    }
    let km = great_circle_km(usable_point(&from.place)?, usable_point(&to.place)?);
    let travelled_km = (km - 2.0 * ERROR_RADIUS_KM).max(0.0);
    let kmh = travelled_km / ((seconds as f64).max(SECONDS_MIN) / 3600.0);
    if km < DISTANCE_KM_MIN || kmh <= SPEED_KMH_MAX {
        return None;
    }
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
