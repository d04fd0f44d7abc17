//! The signals that evictd can raise: family, MITRE ATT&CK technique, the
//! weight a policy would start from, and one line for its author.
//!
//! Weights and definitions follow the public rule sets as collected in
//! docs/signals.md; the numbers (#1–#40) are the rows of that list.

use crate::model::Family;

/// What is known of a signal before it is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalSpec {
    /// The name in policies.
    pub name: &'static str,
    /// The kind of evidence.
    pub family: Family,
    /// The MITRE ATT&CK technique it is a trace of.
    pub technique: &'static str,
    /// A first judgement of its weight, 1–100.
    pub default_weight: u8,
    /// One line for the policy author.
    pub summary: &'static str,
}

const fn signal(
    name: &'static str,
    family: Family,
    technique: &'static str,
    default_weight: u8,
    summary: &'static str,
) -> SignalSpec {
    SignalSpec {
        name,
        family,
        technique,
        default_weight,
        summary,
    }
}

/// #29.
pub(super) const IMPOSSIBLE_TRAVEL: SignalSpec = signal(
    "impossible_travel",
    Family::Network,
    "T1078.004",
    55,
    "Two places at least 500 km apart, faster than 900 km/h",
);
/// #31, success.
pub(super) const TOR_EXIT: SignalSpec = signal(
    "tor_exit",
    Family::Network,
    "T1090.003",
    70,
    "A successful sign-in from a Tor exit",
);
/// #31, failure.
pub(super) const TOR_EXIT_FAILED: SignalSpec = signal(
    "tor_exit_failed",
    Family::Network,
    "T1090.003",
    15,
    "A failed sign-in from a Tor exit",
);
/// #1.
pub(super) const SESSION_TWO_ASNS: SignalSpec = signal(
    "session_two_asns",
    Family::Session,
    "T1550.004",
    55,
    "One session used from two autonomous systems within 24 h",
);
/// #2.
pub(super) const SESSION_HOSTING: SignalSpec = signal(
    "session_hosting",
    Family::Session,
    "T1550.004",
    85,
    "A session that continues on a hosting, VPN or Tor network",
);
/// #3.
pub(super) const SESSION_CLIENT_CHANGE: SignalSpec = signal(
    "session_client_change",
    Family::Session,
    "T1550.004",
    60,
    "One session used by another browser or operating system",
);
/// #4.
pub(super) const SESSION_TWO_COUNTRIES: SignalSpec = signal(
    "session_two_countries",
    Family::Session,
    "T1550.004",
    70,
    "One session in two countries within 60 min, without the user present",
);

/// #11.
pub(super) const KIT_USER_AGENT: SignalSpec = signal(
    "kit_user_agent",
    Family::Aitm,
    "T1557",
    80,
    "The portal, or mail through the broker, by an HTTP library that phishing kits use",
);
/// #12.
pub(super) const SCRIPT_USER_AGENT: SignalSpec = signal(
    "script_user_agent",
    Family::Aitm,
    "T1557",
    45,
    "A user's sign-in by an HTTP library",
);
/// #22.
pub(super) const DEVICE_CODE: SignalSpec = signal(
    "device_code",
    Family::Protocol,
    "T1528",
    45,
    "A sign-in, or a session begun, by device code",
);
/// #23.
pub(super) const DEVICE_CODE_BROKER: SignalSpec = signal(
    "device_code_broker",
    Family::Protocol,
    "T1528",
    80,
    "A device code through the authentication broker to mail, files or Graph",
);
/// #36.
pub(super) const ROPC: SignalSpec = signal(
    "ropc",
    Family::Protocol,
    "T1078.004",
    55,
    "A user name and password sent by the client, without a second factor",
);

const fn risk(
    name: &'static str,
    technique: &'static str,
    default_weight: u8,
    summary: &'static str,
) -> SignalSpec {
    signal(
        name,
        Family::MicrosoftRisk,
        technique,
        default_weight,
        summary,
    )
}

/// Every signal with a name of its own. Risk types that Microsoft adds later
/// are raised as `risk.<type>` all the same.
pub const CATALOGUE: &[SignalSpec] = &[
    IMPOSSIBLE_TRAVEL,
    TOR_EXIT,
    TOR_EXIT_FAILED,
    SESSION_TWO_ASNS,
    SESSION_HOSTING,
    SESSION_CLIENT_CHANGE,
    SESSION_TWO_COUNTRIES,
    KIT_USER_AGENT,
    SCRIPT_USER_AGENT,
    DEVICE_CODE,
    DEVICE_CODE_BROKER,
    ROPC,
    // #38.
    risk(
        "risk.adminConfirmedUserCompromised",
        "T1078.004",
        100,
        "An administrator confirmed the user compromised",
    ),
    risk(
        "risk.attemptedPrtAccess",
        "T1528",
        90,
        "Somebody tried to read the primary refresh token",
    ),
    risk(
        "risk.attackerinTheMiddle",
        "T1557",
        85,
        "The session passed through a known phishing proxy",
    ),
    risk(
        "risk.tokenIssuerAnomaly",
        "T1606.002",
        80,
        "The SAML token issuer is likely compromised",
    ),
    risk(
        "risk.investigationsThreatIntelligence",
        "T1078.004",
        75,
        "Microsoft's analysts know the pattern",
    ),
    risk(
        "risk.maliciousIPAddress",
        "T1078.004",
        70,
        "The address is known for attacks",
    ),
    risk(
        "risk.passwordSpray",
        "T1110.003",
        70,
        "A password spray against the user succeeded",
    ),
    risk(
        "risk.leakedCredentials",
        "T1589.001",
        65,
        "The user's password was found in a leak",
    ),
    risk(
        "risk.anonymizedIPAddress",
        "T1090.003",
        60,
        "The address belongs to an anonymiser",
    ),
    risk(
        "risk.anomalousToken",
        "T1550.001",
        55,
        "The token is unusual; noisy by design, never alone",
    ),
    risk(
        "risk.riskyIPAddress",
        "T1090",
        50,
        "Defender for Cloud Apps calls the address risky",
    ),
    risk(
        "risk.suspiciousBrowser",
        "T1078.004",
        50,
        "One browser signed in for several tenants",
    ),
    risk(
        "risk.mcasImpossibleTravel",
        "T1078.004",
        40,
        "Defender for Cloud Apps saw impossible travel",
    ),
    risk(
        "risk.unlikelyTravel",
        "T1078.004",
        30,
        "Identity Protection saw unlikely travel",
    ),
    risk(
        "risk.unfamiliarFeatures",
        "T1078.004",
        25,
        "The sign-in's properties are new for the user",
    ),
    risk(
        "risk.newCountry",
        "T1078.004",
        20,
        "The country is new for the user",
    ),
];

/// The metric label of a signal: its name where the catalogue has it, else
/// `risk.other`, so that the label's values stay a closed set.
pub fn metric_label(name: &str) -> &'static str {
    CATALOGUE
        .iter()
        .find(|spec| spec.name == name)
        .map_or("risk.other", |spec| spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_weights_in_range() {
        for (i, spec) in CATALOGUE.iter().enumerate() {
            assert!((1..=100).contains(&spec.default_weight), "{}", spec.name);
            assert!(
                CATALOGUE[i + 1..]
                    .iter()
                    .all(|other| other.name != spec.name),
                "{}",
                spec.name
            );
            assert_eq!(metric_label(spec.name), spec.name);
        }
        assert_eq!(metric_label("risk.somethingNew"), "risk.other");
    }
}
