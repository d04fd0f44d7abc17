//! Passwords known: bought, leaked or phished, and used from where the thief
//! is.
//!
//! Invariant: everything but the place and the machine is as the victim would
//! do it: the right password at once, a second factor where one was asked for.

use super::client::{Client, OUTLOOK_WEB, linux_firefox, mac_safari, windows_chrome};
use super::findings::{
    ANONYMOUS_ADDRESS, LEAKED_CREDENTIALS, NEW_COUNTRY, UNFAMILIAR_HIGH, UNLIKELY_TRAVEL,
};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{OFFICE_HOME, OUTLOOK};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "password_tor",
        "T1090.003",
        "A password is used through Tor",
        &["single_factor", "second_factor", "anonymous_address"],
        tor,
    ),
    Scenario::new(
        "password_abroad",
        "T1078.004",
        "A password is used from a country new to the victim and to the tenant",
        &["single_factor", "second_factor", "after_wrong_guesses"],
        abroad,
    ),
    Scenario::new(
        "impossible_travel",
        "T1078.004",
        "The victim works at home; minutes later they sign in a continent away",
        &["minutes", "hour", "there_and_back"],
        travel,
    ),
    Scenario::new(
        "new_country_with_finding",
        "T1078.004",
        "A sign-in from a new country of which Microsoft says something too",
        &["new_country", "unlikely_travel", "both"],
        new_country,
    ),
    Scenario::new(
        "password_hosting",
        "T1078.004",
        "A password is used on a rented machine",
        &["single_factor", "second_factor"],
        hosting,
    ),
    Scenario::new(
        "leaked_credentials",
        "T1078.004",
        "A leaked password is used; Microsoft has found the leak",
        &["abroad", "hosting", "own_country"],
        leaked,
    )
    .rated_high(),
    Scenario::new(
        "unfamiliar_rated_high",
        "T1078.004",
        "A sign-in with everything new, which Microsoft rates high at once",
        &["abroad", "vpn"],
        unfamiliar,
    )
    .rated_high(),
];

/// Where the tenant asks for no second factor, or the thief has talked the
/// victim out of one.
fn with_factors(thief: Client, variation: &str) -> Client {
    match variation {
        "single_factor" | "after_wrong_guesses" => thief.single_factor(),
        _ => thief,
    }
}

fn tor(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.tor();
    let thief = with_factors(stage.thief(spot, linux_firefox()), variation);
    let at = stage.between(5, 300);
    let event = thief.interactive(stage, at, OFFICE_HOME);
    let finding = (variation == "anonymous_address").then_some(ANONYMOUS_ADDRESS);
    stage.tell_found(event, finding);
    stage.tell(thief.by_cookie(stage, at + 120, OUTLOOK_WEB));
}

fn abroad(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.abroad();
    let thief = with_factors(stage.thief(spot, windows_chrome()), variation);
    let mut at = stage.between(5, 300);
    if variation == "after_wrong_guesses" {
        for _ in 0..3 {
            stage.tell(thief.failure(stage, at, OFFICE_HOME, 50_126));
            at += stage.between(15, 60);
        }
    }
    stage.tell(thief.interactive(stage, at, OFFICE_HOME));
    let later = stage.between(60, 600);
    stage.tell(thief.by_cookie(stage, at + later, OUTLOOK_WEB));
}

fn travel(stage: &mut Stage<'_>, variation: &'static str) {
    let gap = match variation {
        "hour" => stage.between(2400, 3500),
        _ => stage.between(240, 1200),
    };
    stage.victim_works(-gap);
    let spot = stage.abroad();
    let thief = stage.thief(spot, mac_safari());
    let at = stage.between(5, 60);
    stage.tell(thief.interactive(stage, at, OFFICE_HOME));
    if variation == "there_and_back" {
        let back = stage.between(200, 900);
        stage.victim_works(at + back);
        stage.tell(thief.by_cookie(stage, at + back + 600, OUTLOOK_WEB));
    }
}

fn new_country(stage: &mut Stage<'_>, variation: &'static str) {
    stage.victim_works(-3000);
    let spot = stage.abroad();
    let thief = stage.thief(spot, windows_chrome());
    let at = stage.between(5, 300);
    let event = thief.interactive(stage, at, OFFICE_HOME);
    stage.tell(event.clone());
    if variation != "unlikely_travel" {
        stage.detection(&event, NEW_COUNTRY);
    }
    if variation != "new_country" {
        stage.detection(&event, UNLIKELY_TRAVEL);
    }
    stage.tell(thief.by_cookie(stage, at + 300, OUTLOOK_WEB));
}

fn hosting(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.hosting();
    let thief = with_factors(stage.thief(spot, windows_chrome()), variation);
    stage.victim_works(-1800);
    let at = stage.between(5, 300);
    stage.tell(thief.interactive(stage, at, OUTLOOK));
    stage.tell(thief.by_cookie(stage, at + 90, OUTLOOK_WEB));
}

fn leaked(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "hosting" => stage.hosting(),
        "own_country" => stage.other_city(),
        _ => stage.abroad(),
    };
    let thief = stage.thief(spot, windows_chrome()).single_factor();
    let at = stage.between(5, 300);
    let event = thief.interactive(stage, at, OFFICE_HOME);
    stage.tell_found(event, Some(LEAKED_CREDENTIALS));
    stage.tell(thief.by_cookie(stage, at + 200, OUTLOOK_WEB));
}

fn unfamiliar(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "vpn" => stage.vpn(),
        _ => stage.abroad(),
    };
    let thief = stage.thief(spot, linux_firefox());
    let at = stage.between(5, 300);
    let event = thief.interactive(stage, at, OFFICE_HOME);
    stage.tell_found(event, Some(UNFAMILIAR_HIGH));
    stage.tell(thief.by_cookie(stage, at + 150, OUTLOOK_WEB));
}
