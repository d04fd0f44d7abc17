//! Stolen cookies of a browser, replayed.
//!
//! Invariant: the session is the victim's own and so is every factor in it;
//! the address, the browser or the device is another. Infostealers take the
//! cookie jar with the browser's fingerprint, and markets sell both with a
//! line in the victim's town.

use super::client::{
    Client, OUTLOOK_WEB, SHAREPOINT_WEB, disguised_as, linux_firefox, mac_safari, windows_chrome,
};
use super::findings::{
    ANOMALOUS_TOKEN, ANOMALOUS_TOKEN_HIGH, ANONYMOUS_ADDRESS, Finding, MALICIOUS_ADDRESS,
    NATION_STATE, UNLIKELY_TRAVEL,
};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{Machine, OFFICE_HOME, OUTLOOK};
use crate::model::SessionId;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "cookie_hosting_victim_agent",
        "T1550.004",
        "A stolen cookie on a rented machine, under the victim's user agent",
        &["quiet", "victim_active", "anomalous_token"],
        hosting_victim_agent,
    ),
    Scenario::new(
        "cookie_hosting_other_system",
        "T1550.004",
        "A stolen cookie on a rented machine with another system",
        &["linux", "mac", "linux_victim_active"],
        hosting_other_system,
    ),
    Scenario::new(
        "cookie_abroad",
        "T1550.004",
        "A stolen cookie on somebody's line in another country",
        &["victim_agent", "other_browser", "unlikely_travel"],
        abroad,
    ),
    Scenario::new(
        "cookie_tor",
        "T1090.003",
        "A stolen cookie through Tor",
        &["victim_agent", "other_system", "anonymous_address"],
        tor,
    ),
    Scenario::new(
        "cookie_vpn",
        "T1550.004",
        "A stolen cookie behind a commercial VPN",
        &["victim_agent", "other_browser"],
        vpn,
    ),
    Scenario::new(
        "cookie_own_country",
        "T1550.004",
        "A stolen cookie behind a rented line in the victim's own country",
        &["same_city", "other_city", "victim_agent", "hours_later"],
        own_country,
    ),
    Scenario::new(
        "cookie_own_network",
        "T1550.004",
        "A stolen cookie behind a rented line of the victim's own provider",
        &["victim_agent", "other_system"],
        own_network,
    ),
    Scenario::new(
        "cookie_weeks_later",
        "T1550.004",
        "A cookie of a private computer, replayed weeks after the theft",
        &["hosting", "abroad", "own_country"],
        weeks_later,
    ),
    Scenario::new(
        "cookie_rated_high",
        "T1550.004",
        "A stolen cookie whose use Microsoft rates high",
        &["anomalous_token", "malicious_address", "nation_state"],
        rated_high,
    )
    .rated_high(),
];

/// The cookie is shown to three applications.
fn replayed(stage: &mut Stage<'_>, thief: &Client, finding: Option<Finding>) {
    let start = stage.between(5, 300);
    let pause = stage.between(20, 120);
    stage.tell_found(thief.by_cookie(stage, start, OFFICE_HOME), finding);
    stage.tell(thief.by_cookie(stage, start + pause, OUTLOOK_WEB));
    let later = stage.between(200, 1500);
    stage.tell(thief.by_cookie(stage, start + later, SHAREPOINT_WEB));
}

/// The laptop's user agent, where the variation says so, or that machine.
fn machine(stage: &Stage<'_>, variation: &str, other: Machine) -> Machine {
    match variation {
        "victim_agent" => disguised_as(&stage.victim.laptop),
        _ => other,
    }
}

fn hosting_victim_agent(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.hosting();
    let machine = disguised_as(&stage.victim.laptop);
    let thief = stage.thief_in_laptop_session(spot, machine);
    if variation == "victim_active" {
        stage.victim_works(-200);
    }
    let finding = (variation == "anomalous_token").then_some(ANOMALOUS_TOKEN);
    replayed(stage, &thief, finding);
    if variation == "victim_active" {
        stage.victim_works(900);
    }
}

fn hosting_other_system(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.hosting();
    let machine = match variation {
        "mac" => mac_safari(),
        _ => linux_firefox(),
    };
    let thief = stage.thief_in_laptop_session(spot, machine);
    if variation == "linux_victim_active" {
        stage.victim_works(-500);
    }
    replayed(stage, &thief, None);
}

fn abroad(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.abroad();
    let machine = machine(stage, variation, windows_chrome());
    let thief = stage.thief_in_laptop_session(spot, machine);
    stage.victim_works(-900);
    let finding = (variation == "unlikely_travel").then_some(UNLIKELY_TRAVEL);
    replayed(stage, &thief, finding);
}

fn tor(stage: &mut Stage<'_>, variation: &'static str) {
    let machine = machine(stage, variation, linux_firefox());
    let spot = stage.tor();
    let thief = stage.thief_in_laptop_session(spot, machine);
    let finding = (variation == "anonymous_address").then_some(ANONYMOUS_ADDRESS);
    replayed(stage, &thief, finding);
    // Tor's circuits change every ten minutes.
    let spot = stage.tor();
    let next = Client { spot, ..thief };
    let later = stage.between(1600, 3000);
    stage.tell(next.by_cookie(stage, later, OUTLOOK));
}

fn vpn(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.vpn();
    let machine = machine(stage, variation, windows_chrome());
    let thief = stage.thief_in_laptop_session(spot, machine);
    stage.victim_works(-600);
    replayed(stage, &thief, None);
}

fn own_country(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "other_city" => stage.other_city(),
        _ => stage.other_provider(),
    };
    let machine = machine(stage, variation, windows_chrome());
    let thief = stage.thief_in_laptop_session(spot, machine);
    stage.victim_works(-300);
    replayed(stage, &thief, None);
    if variation == "hours_later" {
        let later = stage.between(3 * 3600, 6 * 3600);
        stage.tell(thief.by_cookie(stage, later, OUTLOOK_WEB));
    }
}

fn own_network(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.same_provider();
    let machine = machine(stage, variation, linux_firefox());
    let thief = stage.thief_in_laptop_session(spot, machine);
    stage.victim_works(-300);
    replayed(stage, &thief, None);
}

/// The session began on a computer that no directory knows, longer ago than
/// anything is remembered; the stream has not told of it in this life.
fn weeks_later(stage: &mut Stage<'_>, variation: &'static str) {
    let old: SessionId = stage.victim.session("private computer", 0);
    let spot = match variation {
        "abroad" => stage.abroad(),
        "own_country" => stage.other_city(),
        _ => stage.hosting(),
    };
    let thief = Client::new(spot, windows_chrome(), old);
    stage.victim_works(-1200);
    replayed(stage, &thief, None);
}

fn rated_high(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "nation_state" => stage.abroad(),
        _ => stage.hosting(),
    };
    let thief = stage.thief_in_laptop_session(spot, windows_chrome());
    stage.victim_works(-700);
    let finding = match variation {
        "malicious_address" => MALICIOUS_ADDRESS,
        "nation_state" => NATION_STATE,
        _ => ANOMALOUS_TOKEN_HIGH,
    };
    replayed(stage, &thief, Some(finding));
}
