//! The signals that evictd can raise: family, MITRE ATT&CK technique, the
//! weight a policy would start from, and one line for its author.
//!
//! Weights and definitions follow the public rule sets as collected in
//! docs/signals.md; the numbers (#1–#40) are the rows of that list.

use jiff::Timestamp;

use crate::model::{Attempt, Evidence, Family, RecordId, Signal, SignalName};

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
    /// The row of the list of signals it comes from; `own` where there is none.
    pub row: &'static str,
}

impl SignalSpec {
    /// Raises it, dated by what it is about.
    pub(super) fn raised(&self, at: Timestamp, record: &RecordId, evidence: Evidence) -> Signal {
        Signal {
            name: SignalName::new(self.name),
            family: self.family,
            at,
            record: record.clone(),
            evidence,
            reservations: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Raises it about a login of several records.
    pub(super) fn of_login(&self, success: &Attempt, what: &str) -> Signal {
        let evidence = Evidence::Method {
            what: what.into(),
            app: None,
            resource: None,
            sighting: success.sighting.clone(),
        };
        self.raised(success.at, &success.record, evidence)
    }
}

const fn signal(
    row: &'static str,
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
        row,
    }
}

pub(super) const IMPOSSIBLE_TRAVEL: SignalSpec = signal(
    "#29",
    "impossible_travel",
    Family::Network,
    "T1078.004",
    55,
    "Two places at least 500 km apart, faster than 900 km/h",
);
pub(super) const TRAVEL_THERE_AND_BACK: SignalSpec = signal(
    "#29",
    "travel_there_and_back",
    Family::Network,
    "T1078.004",
    60,
    "Impossible travel to somewhere and back again: both are in use",
);
pub(super) const TOR_EXIT: SignalSpec = signal(
    "#31",
    "tor_exit",
    Family::Network,
    "T1090.003",
    70,
    "A successful sign-in from a Tor exit",
);
pub(super) const TOR_EXIT_FAILED: SignalSpec = signal(
    "#31",
    "tor_exit_failed",
    Family::Network,
    "T1090.003",
    15,
    "A failed sign-in from a Tor exit",
);
pub(super) const NEW_HOSTING_NETWORK: SignalSpec = signal(
    "#32",
    "new_hosting_network",
    Family::Network,
    "T1583.003",
    35,
    "A hosting network that neither the user nor colleagues were ever on",
);
pub(super) const NEW_VPN_NETWORK: SignalSpec = signal(
    "#32",
    "new_vpn_network",
    Family::Network,
    "T1090.003",
    20,
    "A commercial VPN that the user was never on",
);
pub(super) const ADDRESS_PROBES_DISABLED: SignalSpec = signal(
    "#33",
    "address_probes_disabled",
    Family::Network,
    "T1110.004",
    50,
    "A success from an address that mostly tried disabled accounts",
);
pub(super) const SESSION_TWO_ASNS: SignalSpec = signal(
    "#1",
    "session_two_asns",
    Family::Session,
    "T1550.004",
    55,
    "One session on the user's network and on one that the user was never on",
);
pub(super) const SESSION_HOSTING: SignalSpec = signal(
    "#2",
    "session_hosting",
    Family::Session,
    "T1550.004",
    85,
    "A session that continues on a hosting network or through Tor",
);
pub(super) const SESSION_VPN: SignalSpec = signal(
    "#2",
    "session_vpn",
    Family::Session,
    "T1550.004",
    50,
    "A session that continues on a commercial VPN",
);
pub(super) const SESSION_CLIENT_CHANGE: SignalSpec = signal(
    "#3",
    "session_client_change",
    Family::Session,
    "T1550.004",
    60,
    "One session used by another browser or operating system",
);
pub(super) const SESSION_TWO_COUNTRIES: SignalSpec = signal(
    "#4",
    "session_two_countries",
    Family::Session,
    "T1550.004",
    70,
    "One session in two countries within 60 min, without the user present",
);
pub(super) const PRT_REPLAY: SignalSpec = signal(
    "#5",
    "prt_replay",
    Family::Session,
    "T1550.001",
    70,
    "A primary refresh token in two places: its device cannot be on both networks",
);
pub(super) const TOKEN_UNBOUND: SignalSpec = signal(
    "#7",
    "token_unbound",
    Family::Session,
    "T1550.001",
    75,
    "A session that was tied to a device is not any more, on another network",
);
pub(super) const TOKEN_REPLAYED: SignalSpec = signal(
    "#9",
    "token_replayed",
    Family::Session,
    "T1550.001",
    65,
    "Microsoft Graph called in a session from a network it was never on",
);
pub(super) const BIRTH_ELSEWHERE: SignalSpec = signal(
    "#15",
    "birth_elsewhere",
    Family::Session,
    "T1557",
    65,
    "A session begins unmanaged on a new network while the user works elsewhere",
);
pub(super) const BIRTH_NEARBY: SignalSpec = signal(
    "#15",
    "birth_nearby",
    Family::Session,
    "T1557",
    40,
    "A session begins unmanaged at a new address of a known network while the user works elsewhere",
);
pub(super) const DEVICE_LOST: SignalSpec = signal(
    "#6",
    "device_lost",
    Family::Device,
    "T1550.004",
    50,
    "A session of a managed device goes on without it, on another network",
);
pub(super) const UNMANAGED_FIRST: SignalSpec = signal(
    "own",
    "unmanaged_first",
    Family::Device,
    "T1078.004",
    45,
    "The first unmanaged sign-in of a user who only ever used managed devices, or one in a new country",
);
pub(super) const SYSTEM_MISMATCH: SignalSpec = signal(
    "#37",
    "system_mismatch",
    Family::Device,
    "T1036",
    25,
    "The user agent names another operating system than the device",
);
pub(super) const KIT_USER_AGENT: SignalSpec = signal(
    "#11",
    "kit_user_agent",
    Family::Aitm,
    "T1557",
    80,
    "The portal, or mail through the broker, by an HTTP library that phishing kits use",
);
pub(super) const SCRIPT_USER_AGENT: SignalSpec = signal(
    "#12",
    "script_user_agent",
    Family::Aitm,
    "T1557",
    45,
    "A user's sign-in by an HTTP library, to an application the user never scripted",
);
pub(super) const PORTAL_FROM_HOSTING: SignalSpec = signal(
    "#13",
    "portal_from_hosting",
    Family::Aitm,
    "T1557",
    65,
    "The portal from a hosting network new to the user, without a device",
);
pub(super) const LOGIN_RELAYED: SignalSpec = signal(
    "#14",
    "login_relayed",
    Family::Aitm,
    "T1557",
    60,
    "A login with every interrupt of a relayed one, from a network new to the user",
);
pub(super) const NO_PRT: SignalSpec = signal(
    "#8",
    "compliant_without_prt",
    Family::AuthMethod,
    "T1550.001",
    60,
    "A bound, compliant success with nothing shown, in a session that never used a primary refresh token",
);
pub(super) const MFA_BY_CLAIM: SignalSpec = signal(
    "#10",
    "mfa_by_claim_new_network",
    Family::AuthMethod,
    "T1550.004",
    35,
    "The second factor was taken from the token, on a network new to the user, without a device",
);
pub(super) const MFA_FATIGUE: SignalSpec = signal(
    "#35",
    "mfa_fatigue",
    Family::AuthMethod,
    "T1621",
    70,
    "The second factor was denied, denied again, and then granted",
);
pub(super) const CREDENTIALS_STOLEN: SignalSpec = signal(
    "insight 5",
    "credentials_stolen",
    Family::AuthMethod,
    "T1078.004",
    70,
    "Correct credentials from a new country or a rented network, stopped by Conditional Access",
);
pub(super) const SPRAY_SUCCESS: SignalSpec = signal(
    "#34",
    "password_spray_success",
    Family::Behaviour,
    "T1110.003",
    75,
    "A success from an address that sprayed passwords",
);
pub(super) const NEW_COUNTRY: SignalSpec = signal(
    "#30",
    "new_country",
    Family::Behaviour,
    "T1078.004",
    30,
    "A country new to the user and rare in the tenant",
);
pub(super) const DEVICE_CODE: SignalSpec = signal(
    "#22",
    "device_code",
    Family::Protocol,
    "T1528",
    45,
    "A sign-in, or a session begun, by device code, new for the user",
);
pub(super) const DEVICE_CODE_BROKER: SignalSpec = signal(
    "#23",
    "device_code_broker",
    Family::Protocol,
    "T1528",
    80,
    "A device code through the authentication broker to mail, files or Graph",
);
pub(super) const DEVICE_CODE_TWO_PLACES: SignalSpec = signal(
    "#24",
    "device_code_two_places",
    Family::Protocol,
    "T1528",
    70,
    "A device code session on two networks",
);
pub(super) const CODE_CONFIRMED: SignalSpec = signal(
    "#25",
    "code_confirmed",
    Family::Protocol,
    "T1528",
    30,
    "A login that asked whether it is really wanted (50199), then a success",
);
pub(super) const CLI_REDEEMED_ELSEWHERE: SignalSpec = signal(
    "#27",
    "cli_redeemed_elsewhere",
    Family::Protocol,
    "T1528",
    75,
    "A command line session redeemed again on another network within minutes",
);
pub(super) const ROPC: SignalSpec = signal(
    "#36",
    "ropc",
    Family::Protocol,
    "T1078.004",
    55,
    "A user name and password sent by the client, without a second factor, new for the user",
);
pub(super) const SECURITY_INFO_CHANGED: SignalSpec = signal(
    "#16",
    "security_info_changed",
    Family::Persistence,
    "T1098.005",
    60,
    "A method of authentication changed around a sign-in from a new network",
);
pub(super) const DEVICE_AFTER_RISK: SignalSpec = signal(
    "#17",
    "device_after_risk",
    Family::Persistence,
    "T1098.005",
    75,
    "A device registered within minutes of a detection of Identity Protection",
);
pub(super) const DEVICE_FROM_HOSTING: SignalSpec = signal(
    "#18",
    "device_registration_hosting",
    Family::Persistence,
    "T1098.005",
    80,
    "The device registration service reached from a rented network",
);
pub(super) const PRT_BY_DEVICE_CODE: SignalSpec = signal(
    "#19",
    "prt_by_device_code",
    Family::Persistence,
    "T1098.005",
    95,
    "A device registered, and its primary refresh token taken, by device code",
);
pub(super) const DEVICE_AFTER_CODE: SignalSpec = signal(
    "#26",
    "device_after_code",
    Family::Persistence,
    "T1098.005",
    85,
    "A device registered after a device code sign-in",
);
pub(super) const CONSENT_TO_MAIL: SignalSpec = signal(
    "own",
    "consent_to_mail",
    Family::Persistence,
    "T1528",
    65,
    "Mail or files opened to an application nobody in the tenant knew",
);
pub(super) const INBOX_RULE: SignalSpec = signal(
    "own",
    "inbox_rule_new_network",
    Family::Persistence,
    "T1564.008",
    60,
    "A rule of the mailbox made around a sign-in from a new network",
);
pub(super) const EVADED: SignalSpec = signal(
    "#40",
    "containment_evaded",
    Family::Persistence,
    "T1550",
    90,
    "A success from the attacker's network after the sessions were revoked",
);

const fn risk(
    name: &'static str,
    technique: &'static str,
    default_weight: u8,
    summary: &'static str,
) -> SignalSpec {
    signal(
        "#38",
        name,
        Family::MicrosoftRisk,
        technique,
        default_weight,
        summary,
    )
}

/// Two of Microsoft's types agree.
pub(super) const RISK_TYPES_AGREE: SignalSpec = signal(
    "#39",
    "risk_types_agree",
    Family::MicrosoftRisk,
    "T1078.004",
    80,
    "Two of Microsoft's stronger types of risk within 10 min",
);

/// Every signal with a name of its own. Risk types that Microsoft adds later
/// are raised as `risk.<type>` all the same.
pub const CATALOGUE: &[SignalSpec] = &[
    IMPOSSIBLE_TRAVEL,
    TRAVEL_THERE_AND_BACK,
    TOR_EXIT,
    TOR_EXIT_FAILED,
    NEW_HOSTING_NETWORK,
    NEW_VPN_NETWORK,
    ADDRESS_PROBES_DISABLED,
    SESSION_TWO_ASNS,
    SESSION_HOSTING,
    SESSION_VPN,
    SESSION_CLIENT_CHANGE,
    SESSION_TWO_COUNTRIES,
    PRT_REPLAY,
    TOKEN_UNBOUND,
    TOKEN_REPLAYED,
    BIRTH_ELSEWHERE,
    BIRTH_NEARBY,
    DEVICE_LOST,
    UNMANAGED_FIRST,
    SYSTEM_MISMATCH,
    KIT_USER_AGENT,
    SCRIPT_USER_AGENT,
    PORTAL_FROM_HOSTING,
    LOGIN_RELAYED,
    NO_PRT,
    MFA_BY_CLAIM,
    MFA_FATIGUE,
    CREDENTIALS_STOLEN,
    SPRAY_SUCCESS,
    NEW_COUNTRY,
    DEVICE_CODE,
    DEVICE_CODE_BROKER,
    DEVICE_CODE_TWO_PLACES,
    CODE_CONFIRMED,
    CLI_REDEEMED_ELSEWHERE,
    ROPC,
    SECURITY_INFO_CHANGED,
    DEVICE_AFTER_RISK,
    DEVICE_FROM_HOSTING,
    PRT_BY_DEVICE_CODE,
    DEVICE_AFTER_CODE,
    CONSENT_TO_MAIL,
    INBOX_RULE,
    EVADED,
    RISK_TYPES_AGREE,
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
        "The user's password, or an application's secret, was found in a leak",
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
    // #38, of service principals: the values of Graph's
    // `riskServicePrincipalActivity`, less those above.
    risk(
        "risk.adminConfirmedServicePrincipalCompromised",
        "T1078.004",
        100,
        "An administrator confirmed the service principal compromised",
    ),
    risk(
        "risk.maliciousApplication",
        "T1078.004",
        85,
        "Microsoft disabled the application for breaking its terms",
    ),
    risk(
        "risk.anomalousServicePrincipalActivity",
        "T1078.004",
        60,
        "The service principal changed the directory as it never does",
    ),
    risk(
        "risk.suspiciousApplication",
        "T1078.004",
        60,
        "The application may break Microsoft's terms",
    ),
    risk(
        "risk.suspiciousSignins",
        "T1078.004",
        60,
        "The service principal's sign-ins are unlike its own",
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
