//! Staying in: what a thief changes once inside, so that a new password does
//! not end it.
//!
//! Invariant: a change follows a sign-in of the thief's within the hour, from
//! the same place; the directory's log says who and, where it does, from what
//! address.

use super::client::{Client, MY_SIGN_INS, OUTLOOK_WEB, linux_firefox, script, windows_chrome};
use super::findings::{SUSPICIOUS_RULE, UNFAMILIAR, UNFAMILIAR_HIGH};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{
    BROKER_TO_DEVICE_REGISTRATION, BROKER_TO_EXCHANGE, BROKER_TO_GRAPH, Machine, OFFICE_HOME,
};
use crate::model::TransferMethod;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "method_registered",
        "T1556.006",
        "After a sign-in from elsewhere a method of authentication is added",
        &[
            "hosting",
            "abroad",
            "other_provider",
            "replaced",
            "in_stolen_session",
        ],
        method,
    ),
    Scenario::new(
        "device_registered",
        "T1098.005",
        "A computer is registered from elsewhere and gets a primary refresh token",
        &["hosting", "abroad", "tool_agent"],
        device,
    ),
    Scenario::new(
        "device_after_alert",
        "T1098.005",
        "A device is registered minutes after Microsoft raised an alert",
        &["unfamiliar", "unfamiliar_own_country"],
        device_after_alert,
    ),
    Scenario::new(
        "device_after_alert_rated_high",
        "T1098.005",
        "A device is registered minutes after Microsoft raised an alert at level high",
        &["hosting", "abroad"],
        device_after_high_alert,
    )
    .rated_high(),
    Scenario::new(
        "inbox_rule",
        "T1564.008",
        "After a sign-in from elsewhere a rule hides the victim's mail",
        &["hosting", "abroad", "rule_unseen", "found_by_microsoft"],
        inbox_rule,
    ),
];

fn method(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "other_provider" => stage.other_provider(),
        _ => stage.hosting(),
    };
    let thief = match variation {
        "in_stolen_session" => stage.thief_in_laptop_session(spot, windows_chrome()),
        _ => stage.thief(spot, windows_chrome()),
    };
    let at = stage.between(5, 200);
    let event = match variation {
        "in_stolen_session" => thief.by_cookie(stage, at, OFFICE_HOME),
        _ => thief.interactive(stage, at, OFFICE_HOME),
    };
    stage.tell(event);
    let later = at + stage.between(60, 1500);
    stage.tell(thief.by_cookie(stage, later, MY_SIGN_INS));
    stage.registers_method(later + 75, spot);
    if variation == "replaced" {
        stage.deletes_method(later + 140, spot);
    }
}

/// The registration service's token, the registration, the primary refresh
/// token: a minute or three.
fn registers(stage: &mut Stage<'_>, thief: &Client, at: i64) {
    stage.tell(thief.refresh(stage, at, BROKER_TO_DEVICE_REGISTRATION));
    let device = stage.registers_device(at + 6);
    let registered = Client {
        machine: Machine {
            id: Some(device),
            ..thief.machine.clone()
        },
        ..thief.clone()
    };
    let primary = at + stage.between(20, 150);
    stage.tell(registered.primary(stage, primary, BROKER_TO_GRAPH));
    stage.tell(registered.primary(stage, primary + 60, BROKER_TO_EXCHANGE));
}

fn device(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let machine = match variation {
        "tool_agent" => script("Dsreg/10.0 (Windows 10.0.19044.1826)"),
        _ => windows_chrome(),
    };
    let thief = Client {
        transfer: TransferMethod::DeviceCodeFlow,
        ..stage.thief(spot, machine)
    };
    let at = stage.between(5, 200);
    stage.tell(thief.redeem_code(stage, at, BROKER_TO_GRAPH));
    registers(stage, &thief, at + 40);
}

fn device_after_alert(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "unfamiliar_own_country" => stage.other_city(),
        _ => stage.vpn(),
    };
    let thief = stage.thief(spot, windows_chrome());
    let at = stage.between(5, 60);
    stage.tell_found(thief.interactive(stage, at, OFFICE_HOME), Some(UNFAMILIAR));
    let later = stage.between(60, 280);
    registers(stage, &thief, at + later);
}

fn device_after_high_alert(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let thief = stage.thief(spot, linux_firefox());
    let at = stage.between(5, 60);
    let event = thief.interactive(stage, at, OFFICE_HOME);
    stage.tell_found(event, Some(UNFAMILIAR_HIGH));
    let later = stage.between(60, 280);
    registers(stage, &thief, at + later);
}

fn inbox_rule(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let thief = stage.thief(spot, windows_chrome());
    let at = stage.between(5, 200);
    stage.tell(thief.interactive(stage, at, OFFICE_HOME));
    let mailbox = thief.by_cookie(stage, at + 60, OUTLOOK_WEB);
    stage.tell(mailbox.clone());
    let later = at + stage.between(200, 1200);
    // Exchange's log is not Entra's: most streams do not have it.
    if variation != "rule_unseen" {
        stage.makes_inbox_rule(later, spot);
    }
    if variation == "found_by_microsoft" {
        stage.detection(&mailbox, SUSPICIOUS_RULE);
    }
}
