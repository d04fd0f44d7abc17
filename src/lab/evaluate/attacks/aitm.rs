//! Adversary in the middle: the victim signs in through the thief's proxy.
//!
//! Invariant: the proxy's address is the interactive sign-in's, and the
//! session is a new one that only the thief holds; the victim's own sessions
//! go on untouched at home. After Storm-1167 (Microsoft, 2023), Evilginx,
//! EvilProxy, Mamba and Tycoon 2FA as their reports describe them.

use super::client::{
    Client, MY_SIGN_INS, OUTLOOK_WEB, SHAREPOINT_WEB, disguised_as, linux_firefox, mac_safari,
    script, windows_chrome,
};
use super::findings::{
    ANOMALOUS_TOKEN, ANOMALOUS_TOKEN_HIGH, ATTACKER_IN_THE_MIDDLE, Finding, GENERIC,
    THREAT_INTELLIGENCE, UNFAMILIAR,
};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{
    BROKER_TO_EXCHANGE, BROKER_TO_GRAPH, OFFICE_HOME, OUTLOOK, failed, uuid_of,
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "aitm_hosting",
        "T1557",
        "A phishing proxy on a rented machine signs in as the victim",
        &["quiet", "victim_active", "anomalous_token", "unlicensed"],
        hosting,
    ),
    Scenario::new(
        "aitm_own_country",
        "T1557",
        "A phishing proxy behind somebody's line in the victim's country",
        &["other_city", "other_provider", "unfamiliar"],
        own_country,
    ),
    Scenario::new(
        "aitm_own_network",
        "T1557",
        "A phishing proxy behind a line of the victim's city and provider",
        &["kit_browser", "victim_agent", "victim_active"],
        own_network,
    ),
    Scenario::new(
        "aitm_abroad",
        "T1557",
        "A phishing proxy behind somebody's line in a country new to the tenant",
        &["quiet", "victim_active", "victim_agent"],
        abroad,
    ),
    Scenario::new(
        "aitm_vpn",
        "T1557",
        "A phishing proxy behind a commercial VPN",
        &["quiet", "victim_active"],
        vpn,
    ),
    Scenario::new(
        "aitm_script_kit",
        "T1557",
        "A kit whose server speaks for itself signs in to OfficeHome (as Tycoon 2FA)",
        &["node", "axios", "undici", "axios_own_country", "broker"],
        script_kit,
    ),
    Scenario::new(
        "aitm_victim_agent",
        "T1557",
        "A phishing proxy that passes the victim's user agent on",
        &["hosting", "vpn", "phone", "other_city"],
        victim_agent,
    ),
    Scenario::new(
        "aitm_cookie_moved",
        "T1539",
        "A phishing proxy takes the cookie; it is used from another network",
        &["hosting", "vpn", "abroad", "next_morning"],
        cookie_moved,
    ),
    Scenario::new(
        "aitm_interrupts",
        "T1557",
        "A proxied sign-in with the interrupts that Entra logs on the way",
        &["hosting", "abroad", "other_provider"],
        interrupts,
    ),
    Scenario::new(
        "aitm_blocked",
        "T1557",
        "A proxied sign-in that Conditional Access stops: the password is stolen",
        &[
            "by_policy",
            "device_required",
            "both",
            "again_from_elsewhere",
        ],
        blocked,
    ),
    Scenario::new(
        "aitm_mail_fraud",
        "T1557",
        "A proxied session adds a method and a rule of the mailbox (as Storm-1167)",
        &["hosting", "moved", "other_provider"],
        mail_fraud,
    ),
    Scenario::new(
        "aitm_rated_high",
        "T1557",
        "A phishing proxy that Microsoft recognises",
        &["hosting", "anomalous_token", "own_network", "known_kit"],
        rated_high,
    )
    .rated_high(),
];

/// The proxy signs in and opens the mailbox.
fn proxied(stage: &mut Stage<'_>, proxy: &Client, finding: Option<Finding>) {
    let start = stage.between(5, 120);
    let pause = stage.between(20, 90);
    stage.tell_found(proxy.interactive(stage, start, OFFICE_HOME), finding);
    stage.tell(proxy.by_cookie(stage, start + pause, OUTLOOK_WEB));
    let later = stage.between(300, 900);
    stage.tell(proxy.by_cookie(stage, start + later, SHAREPOINT_WEB));
}

fn hosting(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.hosting();
    let proxy = stage.thief(spot, windows_chrome());
    if variation == "victim_active" {
        stage.victim_works(-300);
    }
    let finding = match variation {
        "anomalous_token" => Some(ANOMALOUS_TOKEN),
        "unlicensed" => Some(GENERIC),
        _ => None,
    };
    proxied(stage, &proxy, finding);
    if variation == "victim_active" {
        stage.victim_works(400);
    }
}

fn own_country(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "other_city" => stage.other_city(),
        _ => stage.other_provider(),
    };
    let proxy = stage.thief(spot, windows_chrome());
    let finding = (variation == "unfamiliar").then_some(UNFAMILIAR);
    stage.victim_works(-200);
    proxied(stage, &proxy, finding);
}

fn own_network(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.same_provider();
    let machine = match variation {
        "victim_agent" => disguised_as(&stage.victim.laptop),
        _ => windows_chrome(),
    };
    let proxy = stage.thief(spot, machine);
    // The lure is read on the laptop, which renews its tokens every hour.
    stage.victim_works(-240);
    proxied(stage, &proxy, None);
    if variation == "victim_active" {
        stage.victim_works(600);
    }
}

fn abroad(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.abroad();
    let machine = match variation {
        "victim_agent" => disguised_as(&stage.victim.laptop),
        _ => mac_safari(),
    };
    let proxy = stage.thief(spot, machine);
    if variation == "victim_active" {
        stage.victim_works(-120);
    }
    proxied(stage, &proxy, None);
}

fn vpn(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.vpn();
    let proxy = stage.thief(spot, windows_chrome());
    if variation == "victim_active" {
        stage.victim_works(-180);
    }
    proxied(stage, &proxy, None);
}

fn script_kit(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "axios_own_country" => stage.other_provider(),
        _ => stage.hosting(),
    };
    let machine = script(match variation {
        "axios" | "axios_own_country" => "axios/1.7.9",
        "undici" => "undici",
        _ => "node",
    });
    let kit = stage.thief(spot, machine);
    let start = stage.between(5, 90);
    stage.tell(kit.interactive(stage, start, OFFICE_HOME));
    if variation == "broker" {
        stage.tell(kit.refresh(stage, start + 12, BROKER_TO_EXCHANGE));
        stage.tell(kit.refresh(stage, start + 40, BROKER_TO_GRAPH));
        return;
    }
    // The kit's panel hands the cookie to a person with a browser.
    let person = Client {
        machine: windows_chrome(),
        ..kit
    };
    let later = stage.between(120, 1200);
    stage.tell(person.by_cookie(stage, start + later, OUTLOOK_WEB));
}

fn victim_agent(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "vpn" => stage.vpn(),
        "other_city" => stage.other_city(),
        _ => stage.hosting(),
    };
    let machine = match variation {
        // The lure was a code to be scanned.
        "phone" => &stage.victim.phone,
        _ => &stage.victim.laptop,
    };
    let proxy = stage.thief(spot, disguised_as(machine));
    stage.victim_works(-400);
    proxied(stage, &proxy, None);
}

fn cookie_moved(stage: &mut Stage<'_>, variation: &'static str) {
    let first = stage.hosting();
    let proxy = stage.thief(first, disguised_as(&stage.victim.laptop));
    let start = stage.between(5, 90);
    stage.tell(proxy.interactive(stage, start, OFFICE_HOME));
    let spot = match variation {
        "vpn" => stage.vpn(),
        "abroad" => stage.abroad(),
        _ => stage.hosting_other_than(first),
    };
    let moved = Client {
        spot,
        machine: linux_firefox(),
        ..proxy
    };
    let later = match variation {
        "next_morning" => stage.between(14 * 3600, 18 * 3600),
        _ => stage.between(600, 5400),
    };
    stage.tell(moved.by_cookie(stage, start + later, OUTLOOK_WEB));
    stage.tell(moved.by_cookie(stage, start + later + 200, SHAREPOINT_WEB));
}

fn interrupts(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "other_provider" => stage.other_provider(),
        _ => stage.hosting(),
    };
    let proxy = stage.thief(spot, windows_chrome());
    let mut at = stage.between(5, 60);
    let correlation = uuid_of(&format!("login {} {at}", proxy.session));
    // Second factor wanted; "stay signed in?"; in.
    for code in [50_074, 50_140, 0] {
        let mut event = proxy.interactive(stage, at, OFFICE_HOME);
        if code != 0 {
            event = failed(event, code);
        }
        event.correlation = Some(correlation.clone());
        stage.tell(event);
        at += stage.between(8, 60);
    }
    stage.tell(proxy.by_cookie(stage, at + 60, OUTLOOK_WEB));
}

fn blocked(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = stage.hosting();
    let proxy = stage.thief(spot, windows_chrome());
    let at = stage.between(5, 60);
    let correlation = uuid_of(&format!("login {} {at}", proxy.session));
    let codes: &[i64] = match variation {
        "by_policy" => &[53_003],
        "device_required" => &[50_074, 53_000],
        _ => &[50_074, 53_000, 53_003],
    };
    for (after, code) in (0..).step_by(25).zip(codes) {
        let mut event = proxy.failure(stage, at + after, OFFICE_HOME, *code);
        event.correlation = Some(correlation.clone());
        stage.tell(event);
    }
    if variation == "again_from_elsewhere" {
        let spot = stage.hosting_other_than(spot);
        let second = stage.thief(spot, linux_firefox());
        let later = stage.between(600, 3000);
        stage.tell(second.failure(stage, at + later, OUTLOOK, 53_003));
    }
}

fn mail_fraud(stage: &mut Stage<'_>, variation: &'static str) {
    let first = match variation {
        "other_provider" => stage.other_provider(),
        _ => stage.hosting(),
    };
    let proxy = stage.thief(first, windows_chrome());
    let at = stage.between(5, 60);
    stage.tell(proxy.interactive(stage, at, OFFICE_HOME));
    let spot = match variation {
        "moved" => stage.hosting_other_than(first),
        _ => first,
    };
    let hands = Client { spot, ..proxy };
    let later = at + stage.between(300, 1200);
    stage.tell(hands.by_cookie(stage, later, MY_SIGN_INS));
    stage.registers_method(later + 90, spot);
    stage.tell(hands.by_cookie(stage, later + 400, OUTLOOK_WEB));
    stage.makes_inbox_rule(later + 520, spot);
}

fn rated_high(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "own_network" => stage.same_provider(),
        _ => stage.hosting(),
    };
    let proxy = stage.thief(spot, windows_chrome());
    let finding = match variation {
        "anomalous_token" => ANOMALOUS_TOKEN_HIGH,
        "known_kit" => THREAT_INTELLIGENCE,
        _ => ATTACKER_IN_THE_MIDDLE,
    };
    proxied(stage, &proxy, Some(finding));
}
