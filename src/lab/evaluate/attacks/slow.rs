//! Thieves with time: days between steps, or days of ordinary use before the
//! first step.
//!
//! Invariant: no two steps that a window of an hour or a day could join, and
//! a network that is used often enough to become familiar. These are the
//! plays in which `start` is the beginning and not the whole.

use super::client::{
    Client, MY_SIGN_INS, OFFICE_TO_GRAPH, OUTLOOK_WEB, disguised_as, linux_firefox, windows_chrome,
};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{OFFICE_HOME, OUTLOOK, OUTLOOK_MOBILE, TEAMS};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "slow_steps",
        "T1078.004",
        "A sign-in, days of silence, a method, days of silence, the mailbox",
        &["hosting", "abroad", "own_country"],
        steps,
    ),
    Scenario::new(
        "slow_warm_up",
        "T1078.004",
        "Three days of ordinary use from one ordinary network before anything is done",
        &["other_provider", "other_city", "victim_agent"],
        warm_up,
    ),
    Scenario::new(
        "slow_refresh",
        "T1550.001",
        "A stolen refresh token redeemed once a day for a week",
        &["hosting", "abroad", "vpn"],
        refresh,
    ),
    Scenario::new(
        "slow_cookie",
        "T1550.004",
        "A cookie taken by a proxy is kept for days before it is used",
        &["hosting", "other_city"],
        cookie,
    ),
];

/// Seconds in a day.
const DAY: i64 = 24 * 3600;

fn steps(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "own_country" => stage.other_city(),
        _ => stage.hosting(),
    };
    let thief = stage.thief(spot, windows_chrome());
    let first = stage.between(5, 600);
    stage.tell(thief.interactive(stage, first, OFFICE_HOME));
    let second = first + 2 * DAY + stage.between(0, 3 * 3600);
    stage.tell(thief.by_cookie(stage, second, MY_SIGN_INS));
    stage.registers_method(second + 200, spot);
    let third = second + 3 * DAY + stage.between(0, 3 * 3600);
    stage.tell(thief.by_cookie(stage, third, OUTLOOK_WEB));
    stage.makes_inbox_rule(third + 300, spot);
}

fn warm_up(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "other_city" => stage.other_city(),
        _ => stage.other_provider(),
    };
    let machine = match variation {
        "victim_agent" => disguised_as(&stage.victim.laptop),
        _ => windows_chrome(),
    };
    let thief = stage.thief(spot, machine);
    for day in 0..3 {
        let mut at = day * DAY + stage.between(5, 1800);
        for app in [OFFICE_HOME, OUTLOOK_WEB, OUTLOOK] {
            let event = match (day, app.id == OFFICE_HOME.id) {
                (0, true) => thief.interactive(stage, at, app),
                _ => thief.by_cookie(stage, at, app),
            };
            stage.tell(event);
            at += stage.between(600, 4000);
        }
    }
    // Now it is used.
    let acts = 3 * DAY + stage.between(600, 6000);
    stage.tell(thief.by_cookie(stage, acts, MY_SIGN_INS));
    stage.registers_method(acts + 120, spot);
    stage.makes_inbox_rule(acts + 700, spot);
}

fn refresh(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "vpn" => stage.vpn(),
        _ => stage.hosting(),
    };
    let session = stage.victim.session("phone", 0);
    let thief = Client::new(spot, disguised_as(&stage.victim.phone), session);
    for (day, app) in (0..).zip([
        OUTLOOK_MOBILE,
        OUTLOOK_MOBILE,
        TEAMS,
        OUTLOOK_MOBILE,
        OFFICE_TO_GRAPH,
        OUTLOOK_MOBILE,
        OUTLOOK_MOBILE,
    ]) {
        let at = day * DAY + stage.between(5, 3000);
        stage.tell(thief.refresh(stage, at, app));
    }
}

fn cookie(stage: &mut Stage<'_>, variation: &'static str) {
    let proxy_spot = stage.hosting();
    let spot = match variation {
        "other_city" => stage.other_city(),
        _ => stage.hosting_other_than(proxy_spot),
    };
    let proxy = stage.thief(proxy_spot, disguised_as(&stage.victim.laptop));
    let first = stage.between(5, 600);
    stage.tell(proxy.interactive(stage, first, OFFICE_HOME));
    let buyer = Client {
        spot,
        machine: linux_firefox(),
        ..proxy
    };
    let later = 4 * DAY + stage.between(0, 6 * 3600);
    stage.tell(buyer.by_cookie(stage, later, OUTLOOK_WEB));
    stage.tell(buyer.by_cookie(stage, later + 400, OFFICE_HOME));
}
