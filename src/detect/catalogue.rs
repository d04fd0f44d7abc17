//! The catalogue: every signal that a detector can raise, with its family.
//!
//! Invariant: a detector raises no signal that is not listed here, with one
//! exception: Microsoft's risk types are an open set, and an unknown one
//! becomes `risk.<its name>` all the same. Policies are checked against this
//! list, so a mistyped signal is an error at load and not a rule that never
//! fires.

use crate::model::Family;

/// What is known of a signal before it is ever seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalSpec {
    /// The name policies use.
    pub name: &'static str,
    /// The kind of evidence.
    pub family: Family,
    /// The technique it speaks of, a MITRE ATT&CK id.
    pub technique: &'static str,
    /// What it weighs unless a policy says otherwise, 1–100: a first
    /// judgement, not calibrated against a tenant.
    pub default_weight: u8,
    /// One line for a human.
    pub summary: &'static str,
}

/// Every signal, by family.
pub const CATALOGUE: &[SignalSpec] = &[
    network(
        "impossible_travel",
        "T1078.004",
        55,
        "Two sign-ins too far apart for the time between them.",
    ),
    network(
        "tor_exit",
        "T1090.003",
        70,
        "A sign-in through a Tor exit succeeded.",
    ),
    network(
        "tor_exit_failed",
        "T1090.003",
        15,
        "A sign-in through a Tor exit failed.",
    ),
    session(
        "session_two_asns",
        55,
        "One session is used from two autonomous systems.",
    ),
    session(
        "session_hosting",
        85,
        "A session moved to a hosting, VPN or Tor network.",
    ),
    session(
        "session_client_change",
        60,
        "One session is used by two kinds of client.",
    ),
    session(
        "session_two_countries",
        70,
        "One session is used in two countries within the hour.",
    ),
    risk(
        "risk.adminConfirmedUserCompromised",
        "T1078.004",
        100,
        "An administrator confirmed the user compromised.",
    ),
    risk(
        "risk.attemptedPrtAccess",
        "T1528",
        90,
        "Something on a device tried to read its primary refresh token.",
    ),
    risk(
        "risk.attackerinTheMiddle",
        "T1557",
        85,
        "The sign-in went through an adversary-in-the-middle proxy.",
    ),
    risk(
        "risk.tokenIssuerAnomaly",
        "T1606.002",
        80,
        "The issuer of a SAML token looks compromised.",
    ),
    risk(
        "risk.investigationsThreatIntelligence",
        "T1078.004",
        75,
        "The activity matches a known attack pattern.",
    ),
    risk(
        "risk.maliciousIPAddress",
        "T1078.004",
        70,
        "The address is known to be malicious.",
    ),
    risk(
        "risk.passwordSpray",
        "T1110.003",
        70,
        "The password was found by spraying.",
    ),
    risk(
        "risk.leakedCredentials",
        "T1589.001",
        65,
        "The user's password was found in a leak.",
    ),
    risk(
        "risk.anonymizedIPAddress",
        "T1090.003",
        60,
        "The address hides its user: Tor or an anonymous VPN.",
    ),
    risk(
        "risk.anomalousToken",
        "T1550.001",
        55,
        "The token looks unusual; noisy by design.",
    ),
    risk(
        "risk.riskyIPAddress",
        "T1090",
        50,
        "The address is listed as risky by Defender for Cloud Apps.",
    ),
    risk(
        "risk.suspiciousBrowser",
        "T1078.004",
        50,
        "One browser signs in to many tenants from different countries.",
    ),
    risk(
        "risk.mcasImpossibleTravel",
        "T1078.004",
        40,
        "Impossible travel as Defender for Cloud Apps sees it.",
    ),
    risk(
        "risk.unlikelyTravel",
        "T1078.004",
        30,
        "Two sign-ins from places that are unusual for the user.",
    ),
    risk(
        "risk.unfamiliarFeatures",
        "T1078.004",
        25,
        "The sign-in's properties are new to the user.",
    ),
    risk(
        "risk.newCountry",
        "T1078.004",
        20,
        "The country is new to the user.",
    ),
];

const fn network(
    name: &'static str,
    technique: &'static str,
    default_weight: u8,
    summary: &'static str,
) -> SignalSpec {
    SignalSpec {
        name,
        family: Family::Network,
        technique,
        default_weight,
        summary,
    }
}

/// Every way a session moves speaks of one technique: a stolen web session
/// cookie (T1550.004).
const fn session(name: &'static str, default_weight: u8, summary: &'static str) -> SignalSpec {
    SignalSpec {
        name,
        family: Family::Session,
        technique: "T1550.004",
        default_weight,
        summary,
    }
}

const fn risk(
    name: &'static str,
    technique: &'static str,
    default_weight: u8,
    summary: &'static str,
) -> SignalSpec {
    SignalSpec {
        name,
        family: Family::MicrosoftRisk,
        technique,
        default_weight,
        summary,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_weights_are_from_1_to_100() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for spec in CATALOGUE {
            assert!((1..=100).contains(&spec.default_weight), "{}", spec.name);
        }
    }

    #[test]
    fn the_risk_prefix_and_the_microsoft_risk_family_go_together() {
        for spec in CATALOGUE {
            assert_eq!(
                spec.name.starts_with("risk."),
                spec.family == Family::MicrosoftRisk,
                "{}",
                spec.name
            );
        }
    }
}
