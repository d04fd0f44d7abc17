//! Passwords guessed: sprays, probes of disabled accounts, and prompts sent
//! until somebody gives in.
//!
//! Invariant: a spray concerns many users and one address; the others are
//! made up and named `other…`, so that nobody of the population is touched.
//! After TeamFiltration, MSOLSpray and the sprays of Midnight Blizzard.

use super::client::{
    Client, DENIED, DIRECTORY_POWERSHELL, OFFICE_TO_GRAPH, OUTLOOK_WEB, linux_firefox, script,
    windows_chrome,
};
use super::findings::PASSWORD_SPRAY;
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{App, Machine, OFFICE_HOME, OUTLOOK, TEAMS, step, uuid_of};
use crate::model::{ClientApp, Protocol, RecordId, UserId, UserRef};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "spray_then_success",
        "T1110.003",
        "Forty users are tried from one address in minutes; one password fits",
        &["hosting", "abroad", "teams_client"],
        spray,
    ),
    Scenario::new(
        "slow_spray_then_success",
        "T1110.003",
        "A user every few minutes for hours from one address; one password fits",
        &["hosting", "other_city"],
        slow_spray,
    ),
    Scenario::new(
        "disabled_accounts_then_success",
        "T1110.003",
        "An address that tries accounts long disabled gets into a live one",
        &["hosting", "abroad", "vpn"],
        disabled_accounts,
    ),
    Scenario::new(
        "mfa_fatigue",
        "T1621",
        "The second factor is asked for until the victim gives in",
        &[
            "twice_hosting",
            "five_times_abroad",
            "own_country",
            "reported_in_words",
        ],
        fatigue,
    ),
    Scenario::new(
        "spray_rated_high",
        "T1110.003",
        "A password spray that Microsoft recognises",
        &["hosting", "abroad", "victim_alone"],
        rated_high,
    )
    .rated_high(),
];

/// How many others a spray tries.
const SPRAYED: u32 = 40;

/// The Teams client that TeamFiltration says it is.
fn old_teams() -> Machine {
    Machine {
        browser: "Chrome 80.0.3987",
        agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                Teams/1.3.00.30866 Chrome/80.0.3987.165 Electron/8.5.1 Safari/537.36"
            .into(),
        ..windows_chrome()
    }
}

/// An attempt on somebody else from the same place.
fn other_attempt(
    stage: &mut Stage<'_>,
    thief: &Client,
    seconds: i64,
    who: u32,
    app: App,
    code: i64,
) {
    let mut event = thief.failure(stage, seconds, app, code);
    let key = format!("other {} {who} {seconds}", stage.run);
    event.record = RecordId::new(uuid_of(&format!("record {key}")));
    event.correlation = Some(uuid_of(&format!("correlation {key}")));
    event.user = UserRef {
        id: UserId::new(uuid_of(&format!("other {} {who}", stage.run))),
        principal_name: format!("other{who:03}@contoso.example").into(),
        guest: false,
        workload: false,
    };
    stage.tell(event);
}

/// The thief goes on as the victim once the password fits.
fn enters(stage: &mut Stage<'_>, thief: &Client, at: i64) {
    let thief = thief.clone().single_factor();
    stage.tell(thief.interactive(stage, at, OFFICE_HOME));
    let later = stage.between(30, 300);
    stage.tell(thief.by_cookie(stage, at + later, OUTLOOK_WEB));
}

fn spray(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let (machine, app) = match variation {
        "teams_client" => (old_teams(), TEAMS),
        _ => (windows_chrome(), OUTLOOK),
    };
    let thief = stage.thief(spot, machine);
    let mut at = stage.between(0, 30);
    for who in 0..SPRAYED {
        other_attempt(stage, &thief, at, who, app, 50_126);
        // All within five minutes.
        at += stage.between(3, 7);
    }
    enters(stage, &thief, at + 5);
}

fn slow_spray(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "other_city" => stage.other_city(),
        _ => stage.hosting(),
    };
    let thief = stage.thief(spot, windows_chrome());
    let mut at = stage.between(0, 60);
    for who in 0..SPRAYED {
        other_attempt(stage, &thief, at, who, DIRECTORY_POWERSHELL, 50_126);
        at += stage.between(240, 600);
    }
    stage.tell(thief.failure(stage, at, DIRECTORY_POWERSHELL, 50_126));
    let later = stage.between(3000, 9000);
    enters(stage, &thief, at + later);
}

fn disabled_accounts(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        "vpn" => stage.vpn(),
        _ => stage.hosting(),
    };
    let thief = stage.thief(spot, linux_firefox());
    let mut at = stage.between(0, 60);
    for who in 0..8 {
        other_attempt(stage, &thief, at, who, OUTLOOK, 50_057);
        at += stage.between(10, 200);
    }
    enters(stage, &thief, at);
}

fn fatigue(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "five_times_abroad" => stage.abroad(),
        "own_country" => stage.other_city(),
        _ => stage.hosting(),
    };
    let denials = match variation {
        "five_times_abroad" => 5,
        "own_country" => 3,
        _ => 2,
    };
    let thief = stage.thief(spot, windows_chrome());
    let mut at = stage.between(5, 60);
    for _ in 0..denials {
        // 500121: the second factor failed.
        let mut event = thief.failure(stage, at, OFFICE_HOME, 500_121);
        if variation == "reported_in_words" {
            // Where the list of factors came too late for the record.
            event.additional_details = Some(DENIED.into());
        } else {
            event
                .steps
                .push(step("Mobile app notification", false, DENIED));
        }
        event.mfa_denials = 1;
        stage.tell(event);
        at += stage.between(30, 100);
    }
    stage.tell(thief.interactive(stage, at, OFFICE_HOME));
    let later = stage.between(60, 400);
    stage.tell(thief.by_cookie(stage, at + later, OUTLOOK_WEB));
}

fn rated_high(stage: &mut Stage<'_>, variation: &'static str) {
    let spot = match variation {
        "abroad" => stage.abroad(),
        _ => stage.hosting(),
    };
    let thief = stage
        .thief(spot, script("python-requests/2.32.3"))
        .single_factor();
    let mut at = stage.between(0, 30);
    if variation != "victim_alone" {
        for who in 0..SPRAYED {
            other_attempt(stage, &thief, at, who, OFFICE_TO_GRAPH, 50_126);
            at += stage.between(3, 7);
        }
    }
    let mut event = thief.interactive(stage, at, OFFICE_TO_GRAPH);
    event.client_app = ClientApp::Modern;
    event.protocol = Protocol::Ropc;
    stage.tell_found(event, Some(PASSWORD_SPRAY));
}
