//! Stolen primary refresh tokens: a device's own key to everything.
//!
//! Invariant: the record names the victim's device, since the token is bound
//! to it; the network or the program is not the device's. After AADInternals,
//! ROADtools and `mimikatz`'s CloudAP module.

use super::client::{Client, disguised_as, linux_firefox, script, windows_chrome};
use super::findings::{ATTEMPTED_PRT_ACCESS, TOKEN_ISSUER};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{
    BROKER_TO_EXCHANGE, BROKER_TO_GRAPH, Machine, OFFICE_HOME, OUTLOOK, TEAMS,
};
use crate::model::IncomingToken;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "prt_replay",
        "T1550.001",
        "A primary refresh token taken from the laptop plays broker elsewhere",
        &["hosting", "abroad", "other_provider", "own_session"],
        replay,
    ),
    Scenario::new(
        "prt_cookie",
        "T1550.004",
        "A cookie signed with the laptop's session key signs a browser in",
        &["hosting", "abroad", "own_country"],
        cookie,
    ),
    Scenario::new(
        "prt_tool",
        "T1550.001",
        "A public tool redeems the laptop's primary refresh token",
        &["python", "aiohttp", "powershell"],
        tool,
    ),
    Scenario::new(
        "prt_attempted",
        "T1003",
        "The laptop's primary refresh token is reached for, then used elsewhere",
        &["used_on_hosting", "used_in_own_country"],
        attempted,
    )
    .rated_high(),
    Scenario::new(
        "token_forged",
        "T1606.002",
        "An assertion of the federation's own making signs the thief in",
        &["hosting", "abroad"],
        forged,
    )
    .rated_high(),
];

/// A program that holds the device's key: the device is named, the agent is
/// its own.
fn holds_key(stage: &Stage<'_>, agent: &str) -> Machine {
    Machine {
        agent: agent.into(),
        ..stage.victim.laptop.clone()
    }
}

fn replay(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "other_provider" => stage.other_provider(),
        _ => stage.hosting(),
    };
    let session = match variation {
        // A renewed token starts a session of its own.
        "own_session" => stage.new_session("renewed"),
        _ => stage.laptop_session.clone(),
    };
    let laptop = stage.laptop();
    let before = stage.between(300, 1500);
    stage.tell(laptop.primary(stage, -before, TEAMS));
    let thief = Client::new(spot, stage.victim.laptop.clone(), session);
    let at = stage.between(10, 200);
    stage.tell(thief.primary(stage, at, BROKER_TO_GRAPH));
    stage.tell(thief.primary(stage, at + 60, BROKER_TO_EXCHANGE));
    // The laptop is where it was, and its owner goes on working.
    let working = at + stage.between(200, 600);
    stage.tell(laptop.primary(stage, working, TEAMS));
    let later = stage.between(600, 3000);
    stage.tell(thief.primary(stage, at + later, OUTLOOK));
}

fn cookie(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "own_country" => stage.other_city(),
        _ => stage.hosting(),
    };
    stage.victim_works(-900);
    let machine = Machine {
        id: stage.victim.laptop.id.clone(),
        managed: stage.victim.laptop.managed,
        ..windows_chrome()
    };
    let thief = Client::new(spot, machine, stage.new_session("signed cookie"));
    let at = stage.between(10, 200);
    for (after, app) in [(0, OFFICE_HOME), (90, OUTLOOK), (400, TEAMS)] {
        let mut event = thief.by_cookie(stage, at + after, app);
        event.incoming_token = IncomingToken::PrimaryRefreshToken;
        stage.tell(event);
    }
}

fn tool(stage: &mut Stage<'_>, variation: &'static str) {
    let agent = match variation {
        "aiohttp" => "Python/3.12 aiohttp/3.10.5",
        "powershell" => {
            "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.4648"
        }
        _ => "python-requests/2.32.3",
    };
    let spot = stage.hosting();
    stage.victim_works(-1200);
    let machine = holds_key(stage, agent);
    let thief = stage.thief_in_laptop_session(spot, machine);
    let at = stage.between(10, 200);
    stage.tell(thief.primary(stage, at, BROKER_TO_GRAPH));
    let family = stage.thief_in_laptop_session(spot, script(agent));
    let later = stage.between(30, 600);
    stage.tell(family.refresh(stage, at + later, TEAMS));
}

/// Defender sees the laptop's memory being read; the sign-in it names is the
/// laptop's own.
fn attempted(stage: &mut Stage<'_>, variation: &'static str) {
    let laptop = stage.laptop();
    let at = stage.between(0, 120);
    let own = laptop.primary(stage, at, TEAMS);
    stage.tell_found(own, Some(ATTEMPTED_PRT_ACCESS));
    let spot = match variation {
        "used_in_own_country" => stage.other_city(),
        _ => stage.hosting(),
    };
    let machine = stage.victim.laptop.clone();
    let thief = stage.thief_in_laptop_session(spot, machine);
    let later = stage.between(900, 5400);
    stage.tell(thief.primary(stage, at + later, BROKER_TO_GRAPH));
    stage.tell(thief.primary(stage, at + later + 80, OUTLOOK));
}

fn forged(stage: &mut Stage<'_>, variation: &'static str) {
    let (spot, machine) = match variation {
        "abroad" => (stage.abroad(), disguised_as(&stage.victim.laptop)),
        _ => (stage.hosting(), linux_firefox()),
    };
    let thief = stage.thief(spot, machine);
    let at = stage.between(5, 120);
    let mut event = thief.by_cookie(stage, at, OFFICE_HOME);
    event.incoming_token = IncomingToken::Saml20;
    stage.tell_found(event, Some(TOKEN_ISSUER));
    stage.tell(thief.by_cookie(stage, at + 200, OUTLOOK));
}
