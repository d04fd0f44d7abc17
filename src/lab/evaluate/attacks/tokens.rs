//! Stolen refresh and access tokens, replayed where nobody sees a page.
//!
//! Invariant: nothing here is interactive. The stream tells of it in the
//! non-interactive category and in Graph's own log alone; the session is the
//! victim's.

use super::client::{Client, OFFICE_TO_GRAPH, disguised_as, script, windows_chrome};
use super::findings::{ANOMALOUS_TOKEN, ANOMALOUS_TOKEN_HIGH};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{OUTLOOK, OUTLOOK_MOBILE, TEAMS};
use crate::model::{Device, TokenProtection};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "refresh_token_hosting",
        "T1550.001",
        "A stolen refresh token redeemed on a rented machine, again and again",
        &["browser_agent", "python", "no_agent", "anomalous_token"],
        refresh_hosting,
    ),
    Scenario::new(
        "refresh_token_family",
        "T1528",
        "One refresh token traded for those of other first-party clients",
        &["abroad", "hosting", "own_country"],
        family,
    ),
    Scenario::new(
        "refresh_token_phone",
        "T1550.001",
        "A refresh token of the victim's phone, redeemed elsewhere",
        &["hosting", "abroad", "victim_active"],
        phone,
    ),
    Scenario::new(
        "token_unbound",
        "T1550.001",
        "A session tied to a device's key goes on without it elsewhere",
        &["hosting", "abroad", "other_provider"],
        unbound,
    ),
    Scenario::new(
        "compliance_lost",
        "T1550.004",
        "A managed device's session goes on without the device",
        &["hosting", "own_country", "device_kept_not_compliant"],
        compliance_lost,
    ),
    Scenario::new(
        "access_token_graph",
        "T1550.001",
        "An access token used against Graph from elsewhere: no sign-in at all",
        &["hosting", "abroad", "tor"],
        graph_calls,
    ),
    Scenario::new(
        "refresh_token_rated_high",
        "T1550.001",
        "A stolen refresh token whose use Microsoft rates high",
        &["hosting", "abroad"],
        rated_high,
    )
    .rated_high(),
];

fn refresh_hosting(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.hosting();
    let machine = match variation {
        "python" => script("python-requests/2.32.3"),
        _ => disguised_as(&stage.victim.laptop),
    };
    let thief = stage.thief_in_laptop_session(spot, machine);
    stage.victim_works(-600);
    let mut at = stage.between(10, 300);
    for app in [OUTLOOK, TEAMS, OUTLOOK] {
        let mut event = thief.refresh(stage, at, app);
        if variation == "no_agent" {
            event.user_agent = None;
            event.device = Device::default();
        }
        let finding = (variation == "anomalous_token").then_some(ANOMALOUS_TOKEN);
        stage.tell_found(event, finding);
        // An access token lasts about an hour.
        at += stage.between(3000, 4000);
    }
}

fn family(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "hosting" => stage.hosting(),
        "own_country" => stage.other_city(),
        _ => stage.abroad(),
    };
    let thief = stage.thief_in_laptop_session(spot, windows_chrome());
    stage.victim_works(-900);
    let mut at = stage.between(10, 200);
    for app in [TEAMS, OFFICE_TO_GRAPH, OUTLOOK, OUTLOOK_MOBILE] {
        stage.tell(thief.refresh(stage, at, app));
        at += stage.between(3, 40);
    }
}

fn phone(stage: &mut Stage<'_>, variation: &'static str) {
    let session = stage.victim.session("phone", 0);
    let spot = stage.carrier();
    let own = Client::new(spot, stage.victim.phone.clone(), session.clone());
    let before = stage.between(600, 3000);
    stage.tell(own.refresh(stage, -before, OUTLOOK_MOBILE));
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let machine = disguised_as(&stage.victim.phone);
    let thief = Client::new(spot, machine, session);
    let at = stage.between(10, 200);
    stage.tell(thief.refresh(stage, at, OUTLOOK_MOBILE));
    stage.tell(thief.refresh(stage, at + 150, TEAMS));
    if variation == "victim_active" {
        stage.tell(own.refresh(stage, at + 400, TEAMS));
        stage.tell(thief.refresh(stage, at + 900, OUTLOOK_MOBILE));
    }
}

fn unbound(stage: &mut Stage<'_>, variation: &'static str) {
    let mut laptop = stage.laptop();
    laptop.protection = TokenProtection::Bound;
    let before = stage.between(300, 1500);
    stage.tell(laptop.primary(stage, -before, OUTLOOK));
    let spot = match variation {
        "abroad" => stage.abroad(),
        "other_provider" => stage.other_provider(),
        _ => stage.hosting(),
    };
    let machine = disguised_as(&stage.victim.laptop);
    let mut thief = stage.thief_in_laptop_session(spot, machine);
    thief.protection = TokenProtection::Unbound;
    let at = stage.between(10, 200);
    stage.tell(thief.refresh(stage, at, OUTLOOK));
    stage.tell(thief.refresh(stage, at + 300, TEAMS));
}

fn compliance_lost(stage: &mut Stage<'_>, variation: &'static str) {
    let laptop = stage.laptop();
    let before = stage.between(120, 900);
    stage.tell(laptop.primary(stage, -before, OUTLOOK));
    let spot = match variation {
        "own_country" => stage.other_provider(),
        _ => stage.hosting(),
    };
    let machine = disguised_as(&stage.victim.laptop);
    let thief = stage.thief_in_laptop_session(spot, machine);
    let at = stage.between(10, 200);
    for (after, app) in [(0, OUTLOOK), (180, TEAMS)] {
        let mut event = thief.refresh(stage, at + after, app);
        if variation == "device_kept_not_compliant" {
            event.device = Device {
                compliant: Some(false),
                managed: Some(false),
                ..stage.victim.laptop.detail()
            };
        }
        stage.tell(event);
    }
}

fn graph_calls(stage: &mut Stage<'_>, variation: &'static str) {
    let laptop = stage.laptop();
    let before = stage.between(300, 1200);
    let token = laptop.refresh(stage, -before, OFFICE_TO_GRAPH);
    stage.tell(token.clone());
    let own = laptop.spot.network();
    stage.calls_graph(-before + 20, &token, own, &laptop.machine.agent, "/v1.0/me");
    let spot = match variation {
        "abroad" => stage.abroad(),
        "tor" => stage.tor(),
        _ => stage.hosting(),
    };
    // Graph's log has the address alone; a deployment's databases add the rest
    // before anything is judged. Without them nothing is raised.
    let from = spot.network();
    let mut at = stage.between(10, 200);
    for path in [
        "/v1.0/me/messages",
        "/v1.0/me/drive/root/children",
        "/v1.0/users",
    ] {
        stage.calls_graph(at, &token, from.clone(), "python-requests/2.32.3", path);
        at += stage.between(5, 90);
    }
}

fn rated_high(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let thief = stage.thief_in_laptop_session(spot, windows_chrome());
    stage.victim_works(-300);
    let at = stage.between(10, 200);
    let first = thief.refresh(stage, at, OUTLOOK);
    stage.tell_found(first, Some(ANOMALOUS_TOKEN_HIGH));
    stage.tell(thief.refresh(stage, at + 100, TEAMS));
}
