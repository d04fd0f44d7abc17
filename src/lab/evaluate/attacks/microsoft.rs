//! Microsoft says so, and the stream shows nothing else: the sign-in that a
//! detection names is the victim's own, at home or on the road.
//!
//! Invariant: no address, machine or session of a thief appears. A policy
//! must decide on Microsoft's word alone.

use super::findings::{
    ATTACKER_IN_THE_MIDDLE, ATTEMPTED_PRT_ACCESS, Finding, PASSWORD_SPRAY, TOKEN_ISSUER,
};
use super::{Scenario, Stage};
use crate::lab::evaluate::people::{OFFICE_HOME, OUTLOOK};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "only_attacker_in_the_middle",
        "T1557",
        "Microsoft finds a proxy in a sign-in that looks like the victim's",
        &["within_hours", "next_day"],
        |stage, variation| alone(stage, variation, ATTACKER_IN_THE_MIDDLE),
    )
    .rated_high(),
    Scenario::new(
        "only_admin_confirmed",
        "T1078.004",
        "An administrator confirms that the user is compromised",
        &["no_sign_in", "at_work"],
        admin_confirmed,
    )
    .rated_high(),
    Scenario::new(
        "only_prt_attempted",
        "T1003",
        "Defender saw the laptop's primary refresh token being reached for",
        &["within_hours", "next_day"],
        |stage, variation| alone(stage, variation, ATTEMPTED_PRT_ACCESS),
    )
    .rated_high(),
    Scenario::new(
        "only_token_issuer",
        "T1606.002",
        "Microsoft finds an assertion that its issuer may not have made",
        &["within_hours", "next_day"],
        |stage, variation| alone(stage, variation, TOKEN_ISSUER),
    )
    .rated_high(),
    Scenario::new(
        "only_password_spray",
        "T1110.003",
        "Microsoft finds that a spray knew the victim's password",
        &["within_hours", "next_day"],
        |stage, variation| alone(stage, variation, PASSWORD_SPRAY),
    )
    .rated_high(),
];

fn alone(stage: &mut Stage<'_>, variation: &'static str, finding: Finding) {
    let at = stage.between(5, 600);
    let event = stage.laptop().by_cookie(stage, at, OFFICE_HOME);
    stage.tell(event.clone());
    let delay = match variation {
        "next_day" => stage.between(20 * 3600, 28 * 3600),
        _ => stage.between(2 * 3600, 8 * 3600),
    };
    stage.detection_after(&event, finding, delay);
}

fn admin_confirmed(stage: &mut Stage<'_>, variation: &'static str) {
    let at = stage.between(60, 600);
    if variation == "at_work" {
        let own = stage.laptop().by_cookie(stage, at - 50, OUTLOOK);
        stage.tell(own);
    }
    stage.confirmed_by_administrator(at);
}
