//! Protocols that know no second factor, and the search for a door that asks
//! for none.
//!
//! Invariant: a success here is a password alone, and the client says what it
//! is: `ropc`, `BAV2ROPC`, or a legacy client's name. After MFASweep,
//! TeamFiltration and the IMAP sprays of 2024–25.

use super::client::{
    Client, DIRECTORY_POWERSHELL, EXCHANGE_ITSELF, OFFICE_TO_GRAPH, OUTLOOK_WEB, script,
    windows_chrome,
};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{AZURE_CLI, App, OFFICE_HOME};
use crate::model::{ClientApp, Device, Protocol, SignIn};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "ropc_hosting",
        "T1078.004",
        "A password alone is traded for a token on a rented machine",
        &["python", "powershell", "http_client"],
        ropc_hosting,
    ),
    Scenario::new(
        "ropc_elsewhere",
        "T1078.004",
        "A password alone is traded for a token on somebody's line",
        &["abroad", "other_city", "vpn"],
        ropc_elsewhere,
    ),
    Scenario::new(
        "legacy_mail",
        "T1078.004",
        "The mailbox is read by a protocol that knows no second factor",
        &["imap_hosting", "imap_abroad", "smtp_abroad", "bav2ropc"],
        mail,
    ),
    Scenario::new(
        "door_search",
        "T1078.004",
        "A password is tried at one client after another until none asks for more",
        &["hosting", "abroad"],
        door_search,
    ),
];

fn ropc(stage: &Stage<'_>, thief: &Client, at: i64, app: App) -> SignIn {
    let mut event = thief.interactive(stage, at, app);
    event.client_app = ClientApp::Modern;
    event.protocol = Protocol::Ropc;
    event
}

fn ropc_hosting(stage: &mut Stage<'_>, variation: &'static str) {
    let agent = match variation {
        "powershell" => {
            "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4648"
        }
        "http_client" => "Go-http-client/2.0",
        _ => "python-requests/2.32.3",
    };
    let app = match variation {
        "powershell" => DIRECTORY_POWERSHELL,
        _ => OFFICE_TO_GRAPH,
    };
    let spot = stage.hosting();
    let thief = stage.thief(spot, script(agent)).single_factor();
    let at = stage.between(5, 300);
    stage.tell(ropc(stage, &thief, at, app));
    let later = stage.between(5, 120);
    stage.tell(ropc(stage, &thief, at + later, AZURE_CLI));
}

fn ropc_elsewhere(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "other_city" => stage.other_city(),
        "vpn" => stage.vpn(),
        _ => stage.abroad(),
    };
    let thief = stage.thief(spot, windows_chrome()).single_factor();
    let at = stage.between(5, 300);
    stage.tell(ropc(stage, &thief, at, OFFICE_TO_GRAPH));
    let later = stage.between(60, 900);
    stage.tell(thief.refresh(stage, at + later, OFFICE_TO_GRAPH));
}

fn mail(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "imap_abroad" | "smtp_abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let client = match variation {
        "smtp_abroad" => "Authenticated SMTP",
        "bav2ropc" => "Other clients",
        _ => "IMAP4",
    };
    let thief = stage.thief(spot, script("BAV2ROPC")).single_factor();
    let mut at = stage.between(5, 300);
    for _ in 0..3 {
        let mut event = thief.interactive(stage, at, EXCHANGE_ITSELF);
        event.client_app = ClientApp::from(client);
        event.device = Device::default();
        match variation {
            "bav2ropc" => event.protocol = Protocol::Ropc,
            _ => event.user_agent = None,
        }
        stage.tell(event);
        at += stage.between(120, 900);
    }
}

fn door_search(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let thief = stage.thief(spot, windows_chrome()).single_factor();
    let mut at = stage.between(5, 60);
    for (app, code) in [
        (OFFICE_TO_GRAPH, 50_076),
        (AZURE_CLI, 50_076),
        (OUTLOOK_WEB, 50_074),
        (DIRECTORY_POWERSHELL, 53_003),
    ] {
        stage.tell(thief.failure(stage, at, app, code));
        at += stage.between(3, 20);
    }
    // One policy forgot one client.
    stage.tell(ropc(stage, &thief, at, EXCHANGE_ITSELF));
    let later = stage.between(60, 600);
    stage.tell(thief.interactive(stage, at + later, OFFICE_HOME));
}
