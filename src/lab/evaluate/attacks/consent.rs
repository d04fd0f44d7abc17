//! Consent phishing, and codes that the victim hands over.
//!
//! Invariant: the person does everything at their own place, in their own
//! session, on Microsoft's own pages; only the tokens that follow are fetched
//! from the thief's address. ConsentFix (Push Security, December 2025) needs
//! no foreign application at all.

use super::client::{CLI_TO_LEGACY_DIRECTORY, Client, OFFICE_TO_GRAPH, script, windows_chrome};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{AZURE_CLI, App, VS_CODE};
use crate::lab::evaluate::world::Spot;
use crate::model::{AuditKind, SignIn, Target};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "consent_phishing",
        "T1528",
        "The victim consents to a stranger's application, which reads their mail",
        &["hosting", "abroad", "next_day"],
        consent,
    ),
    Scenario::new(
        "consent_then_moved",
        "T1528",
        "A stranger's application is given consent and works from two networks",
        &["two_hostings", "hosting_and_vpn"],
        consent_moved,
    ),
    Scenario::new(
        "consent_fix",
        "T1528",
        "The victim hands over the address of a finished Azure CLI sign-in (ConsentFix)",
        &["at_once", "minutes_later", "abroad", "own_country"],
        consent_fix,
    ),
    Scenario::new(
        "consent_fix_quiet",
        "T1528",
        "The same for Visual Studio Code, or for the directory's retired API",
        &["code_hosting", "legacy_hosting", "legacy_vpn"],
        consent_fix_quiet,
    ),
];

/// An application that nobody in the tenant has used.
const STRANGER: App = App {
    id: "5b1c2f0e-93d4-4a57-8f3e-6a0d1be2c7f4",
    name: "Document Viewer Pro",
    resource_id: "00000003-0000-0000-c000-000000000000",
    resource: "Microsoft Graph",
};

/// The victim presses "accept" on the laptop; answers when.
fn consents(stage: &mut Stage<'_>) -> i64 {
    let at = stage.between(5, 300);
    let laptop = stage.laptop();
    stage.tell(laptop.by_cookie(stage, at, STRANGER));
    let application = Target {
        kind: Some("ServicePrincipal".into()),
        id: Some(STRANGER.id.into()),
        name: Some(STRANGER.name.into()),
        principal_name: None,
    };
    stage.own_change(
        at + 4,
        AuditKind::ConsentGranted,
        "Consent to application",
        laptop.spot,
        vec![application],
    );
    at + 4
}

/// The application's server, which redeems the code and then its refresh
/// tokens in the session that consented.
fn server(stage: &Stage<'_>, spot: Spot) -> Client {
    stage.thief_in_laptop_session(spot, script("python-requests/2.32.3"))
}

fn consent(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let at = consents(stage);
    let server = server(stage, spot);
    stage.tell(server.redeem_code(stage, at + 3, STRANGER));
    let later = match variation {
        "next_day" => stage.between(20 * 3600, 30 * 3600),
        _ => stage.between(3600, 5000),
    };
    stage.tell(server.refresh(stage, at + later, STRANGER));
}

fn consent_moved(stage: &mut Stage<'_>, variation: &'static str) {
    let first = stage.hosting();
    let second = match variation {
        "hosting_and_vpn" => stage.vpn(),
        _ => stage.hosting_other_than(first),
    };
    let at = consents(stage);
    let server = server(stage, first);
    stage.tell(server.redeem_code(stage, at + 3, STRANGER));
    let moved = Client {
        spot: second,
        ..server
    };
    let later = stage.between(600, 3600);
    stage.tell(moved.refresh(stage, at + later, STRANGER));
    stage.tell(moved.refresh(stage, at + later + 3600, STRANGER));
}

/// The victim's own sign-in to a tool they never use.
fn prompted(stage: &mut Stage<'_>, at: i64, app: App) -> SignIn {
    let laptop = stage.laptop();
    let event = laptop.by_cookie(stage, at, app);
    stage.tell(event.clone());
    event
}

fn consent_fix(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "own_country" => stage.other_city(),
        _ => stage.hosting(),
    };
    let at = stage.between(5, 300);
    prompted(stage, at, AZURE_CLI);
    // A code lives for ten minutes; the page takes it over by script or by a
    // person at the other end.
    let pause = match variation {
        "at_once" => stage.between(5, 20),
        _ => stage.between(60, 590),
    };
    let thief = stage.thief_in_laptop_session(spot, script("python-requests/2.32.3"));
    stage.tell(thief.redeem_code(stage, at + pause, AZURE_CLI));
    let later = stage.between(120, 900);
    stage.tell(thief.refresh(stage, at + pause + later, OFFICE_TO_GRAPH));
}

fn consent_fix_quiet(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "legacy_vpn" => stage.vpn(),
        _ => stage.hosting(),
    };
    let app = match variation {
        "code_hosting" => VS_CODE,
        _ => CLI_TO_LEGACY_DIRECTORY,
    };
    let at = stage.between(5, 300);
    prompted(stage, at, app);
    let pause = stage.between(20, 400);
    let thief = stage.thief_in_laptop_session(spot, windows_chrome());
    stage.tell(thief.redeem_code(stage, at + pause, app));
    let later = stage.between(300, 1800);
    stage.tell(thief.refresh(stage, at + pause + later, app));
}
