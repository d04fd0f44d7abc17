//! Device-code phishing: the victim types a thief's code at Microsoft's own
//! page.
//!
//! Invariant: the code is entered at the victim's address, in the victim's
//! browser; the redemption comes from the thief's, in the same session, and
//! says `deviceCodeFlow` in `originalTransferMethod` alone: its protocol is
//! `none`. After Storm-2372 (Microsoft, February 2025).

use super::client::{Client, OFFICE_TO_GRAPH, linux_firefox, script, windows_chrome};
use super::findings::{ANOMALOUS_TOKEN_HIGH, Finding, THREAT_INTELLIGENCE};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{
    AZURE_CLI, App, BROKER_TO_DEVICE_REGISTRATION, BROKER_TO_EXCHANGE, BROKER_TO_GRAPH, Machine,
    OUTLOOK, TEAMS, VS_CODE, failed, uuid_of,
};
use crate::lab::evaluate::world::Spot;
use crate::model::{Protocol, SignIn, TransferMethod};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "device_code_broker",
        "T1528",
        "A code for the broker is phished, then a device is registered (as Storm-2372)",
        &["hosting", "vpn", "other_city", "no_audit_log"],
        broker,
    ),
    Scenario::new(
        "device_code_mail",
        "T1528",
        "A code for the broker is phished to read mail and files",
        &["hosting", "abroad", "own_country"],
        mail,
    ),
    Scenario::new(
        "device_code_cli",
        "T1528",
        "A code for Azure CLI or Visual Studio Code is phished",
        &["cli_hosting", "cli_abroad", "code_hosting"],
        cli,
    ),
    Scenario::new(
        "device_code_silent",
        "T1528",
        "Only the redemption of a phished code is logged: protocol none",
        &["hosting", "abroad", "own_country", "office_client"],
        silent,
    ),
    Scenario::new(
        "device_code_two_addresses",
        "T1528",
        "A phished code's session goes on from two addresses of the thief's",
        &["hosting_twice", "hosting_and_vpn", "abroad_and_hosting"],
        two_addresses,
    ),
    Scenario::new(
        "device_code_interrupted",
        "T1528",
        "The page that asks whether the user means it, the consent, the redemption",
        &["hosting", "abroad", "own_country"],
        interrupted,
    ),
    Scenario::new(
        "device_code_rated_high",
        "T1528",
        "A phished code that Microsoft rates high",
        &["known_actor", "anomalous_token"],
        rated_high,
    )
    .rated_high(),
];

/// The victim types the code on the laptop.
fn code_entered(stage: &Stage<'_>, seconds: i64, app: App) -> SignIn {
    let mut event = stage.laptop().by_cookie(stage, seconds, app);
    event.protocol = Protocol::DeviceCode;
    event.transfer_method = TransferMethod::DeviceCodeFlow;
    event
}

/// The thief's client in the session that the code carried over.
fn receiver(stage: &Stage<'_>, spot: Spot, machine: Machine) -> Client {
    Client {
        transfer: TransferMethod::DeviceCodeFlow,
        ..stage.thief_in_laptop_session(spot, machine)
    }
}

fn spot_of(stage: &mut Stage<'_>, variation: &str) -> Spot {
    match variation {
        "vpn" => stage.vpn(),
        "abroad" | "cli_abroad" => stage.abroad(),
        "own_country" | "other_city" => stage.other_city(),
        _ => stage.hosting(),
    }
}

/// A code is entered and redeemed within seconds; answers when.
fn phished(stage: &mut Stage<'_>, thief: &Client, app: App, finding: Option<Finding>) -> i64 {
    let at = stage.between(5, 300);
    stage.tell(code_entered(stage, at, app));
    let redeemed = at + stage.between(2, 12);
    stage.tell_found(thief.redeem_code(stage, redeemed, app), finding);
    redeemed
}

fn broker(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = spot_of(stage, variation);
    let thief = receiver(stage, spot, windows_chrome());
    let at = phished(stage, &thief, BROKER_TO_GRAPH, None);
    let registers = at + stage.between(20, 60);
    stage.tell(thief.refresh(stage, registers, BROKER_TO_DEVICE_REGISTRATION));
    let device = match variation {
        // The tenant streams sign-ins alone.
        "no_audit_log" => uuid_of(&format!("device of thief {}", stage.run)),
        _ => stage.registers_device(registers + 5),
    };
    let registered = Client {
        machine: Machine {
            id: Some(device),
            ..windows_chrome()
        },
        ..thief
    };
    let primary = registers + stage.between(20, 90);
    stage.tell(registered.primary(stage, primary, BROKER_TO_GRAPH));
    stage.tell(registered.primary(stage, primary + 120, BROKER_TO_EXCHANGE));
}

fn mail(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = spot_of(stage, variation);
    let thief = receiver(stage, spot, windows_chrome());
    let at = phished(stage, &thief, BROKER_TO_EXCHANGE, None);
    let later = stage.between(60, 600);
    stage.tell(thief.refresh(stage, at + later, OUTLOOK));
    stage.tell(thief.refresh(stage, at + later + 30, BROKER_TO_GRAPH));
}

fn cli(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = spot_of(stage, variation);
    let app = match variation {
        "code_hosting" => VS_CODE,
        _ => AZURE_CLI,
    };
    let thief = receiver(stage, spot, script("python-requests/2.32.3"));
    let at = phished(stage, &thief, app, None);
    let later = stage.between(60, 600);
    stage.tell(thief.refresh(stage, at + later, OFFICE_TO_GRAPH));
}

fn silent(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = spot_of(stage, variation);
    let thief = receiver(stage, spot, linux_firefox());
    let app = match variation {
        "office_client" => OFFICE_TO_GRAPH,
        _ => BROKER_TO_GRAPH,
    };
    stage.victim_works(-300);
    let at = stage.between(5, 120);
    stage.tell(thief.redeem_code(stage, at, app));
    let later = stage.between(60, 900);
    stage.tell(thief.refresh(stage, at + later, OUTLOOK));
}

fn two_addresses(stage: &mut Stage<'_>, variation: &'static str) {
    let first = match variation {
        "abroad_and_hosting" => stage.abroad(),
        _ => stage.hosting(),
    };
    let second = match variation {
        "hosting_and_vpn" => stage.vpn(),
        _ => stage.hosting_other_than(first),
    };
    let thief = receiver(stage, first, windows_chrome());
    let at = phished(stage, &thief, OFFICE_TO_GRAPH, None);
    let moved = Client {
        spot: second,
        machine: linux_firefox(),
        ..thief
    };
    let later = stage.between(120, 1800);
    stage.tell(moved.refresh(stage, at + later, OUTLOOK));
    stage.tell(moved.refresh(stage, at + later + 200, TEAMS));
}

fn interrupted(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = spot_of(stage, variation);
    let thief = receiver(stage, spot, windows_chrome());
    let at = stage.between(5, 120);
    let correlation = uuid_of(&format!("code {} {at}", stage.laptop_session));
    // "Are you trying to sign in to …?"
    let mut asked = failed(code_entered(stage, at, BROKER_TO_GRAPH), 50_199);
    asked.correlation = Some(correlation.clone());
    stage.tell(asked);
    let answered = at + stage.between(4, 40);
    let mut entered = code_entered(stage, answered, BROKER_TO_GRAPH);
    entered.correlation = Some(correlation.clone());
    stage.tell(entered);
    let mut redeemed = thief.redeem_code(stage, answered + 4, BROKER_TO_GRAPH);
    redeemed.correlation = Some(correlation);
    stage.tell(redeemed);
    stage.tell(thief.refresh(stage, answered + 300, OUTLOOK));
}

fn rated_high(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.hosting();
    let thief = receiver(stage, spot, windows_chrome());
    let finding = match variation {
        "known_actor" => THREAT_INTELLIGENCE,
        _ => ANOMALOUS_TOKEN_HIGH,
    };
    let at = phished(stage, &thief, BROKER_TO_GRAPH, Some(finding));
    stage.tell(thief.refresh(stage, at + 200, OUTLOOK));
}
