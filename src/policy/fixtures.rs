//! What the tests of policies share: signals, users and small policies.
//!
//! The known signals are written out here rather than taken from the
//! detectors' catalogue, which `policy` must not import.

use jiff::Timestamp;

use super::{KnownSignal, Policy, PolicySet, Source};
use crate::model::{
    Event, Evidence, Family, RecordId, RiskLevel, RiskType, SignIn, Signal, SignalName,
};
use crate::model::{UserId, UserRef};

/// Signals of three families.
pub(super) fn known() -> Vec<KnownSignal> {
    let of = |family, names: &[&'static str]| -> Vec<KnownSignal> {
        let known = |name: &&'static str| KnownSignal { name, family };
        names.iter().map(known).collect()
    };
    let network = ["impossible_travel", "tor_exit", "tor_exit_failed"];
    let session = [
        "session_two_asns",
        "session_hosting",
        "session_client_change",
        "session_two_countries",
    ];
    let risk = [
        "risk.adminConfirmedUserCompromised",
        "risk.attemptedPrtAccess",
        "risk.attackerinTheMiddle",
        "risk.tokenIssuerAnomaly",
        "risk.investigationsThreatIntelligence",
        "risk.maliciousIPAddress",
        "risk.passwordSpray",
        "risk.leakedCredentials",
        "risk.anonymizedIPAddress",
        "risk.anomalousToken",
        "risk.riskyIPAddress",
        "risk.suspiciousBrowser",
        "risk.mcasImpossibleTravel",
        "risk.unlikelyTravel",
        "risk.unfamiliarFeatures",
        "risk.newCountry",
    ];
    [
        of(Family::Network, &network),
        of(Family::Session, &session),
        of(Family::MicrosoftRisk, &risk),
    ]
    .concat()
}

/// A file named `a.yaml`.
pub(super) fn source(text: &str) -> Source {
    Source {
        path: "a.yaml".to_owned(),
        text: text.to_owned(),
    }
}

/// The smallest policy there is.
pub(super) fn minimal(name: &str) -> String {
    format!(
        "policy: {name}\nwindow: 60m\nsignals: {{ tor_exit: 70 }}\n\
         rungs: [{{ at: 60, do: [revoke_sessions] }}]\n"
    )
}

/// A set of one file.
pub(super) fn set(text: &str) -> PolicySet {
    PolicySet::compile(vec![source(text)], &known()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The only policy of a file.
pub(super) fn policy(text: &str) -> Policy {
    set(text).policies.remove(0)
}

/// A signal at some second. Its family and evidence do not matter here: a
/// policy takes the family from what it was compiled with.
pub(super) fn signal(name: &str, second: i64) -> Signal {
    Signal {
        name: SignalName::new(name),
        family: Family::Behaviour,
        at: Timestamp::from_second(second).unwrap(),
        record: RecordId::new(format!("{name}@{second}")),
        evidence: Evidence::Risk {
            risk_type: RiskType("any".into()),
            level: RiskLevel::High,
            request: None,
            sighting: None,
        },
        reservations: Vec::new(),
        asked: Vec::new(),
    }
}

/// Alice.
pub(super) fn user() -> UserRef {
    UserRef {
        id: UserId::new("6f2a9f0e-0d5c-4f0e-8c39-3f6f3b1f7a11"),
        principal_name: "alice@contoso.example".into(),
        guest: false,
        workload: false,
    }
}

/// Alice signs in with that user agent.
pub(super) fn sign_in_with_agent(agent: &str) -> Event {
    let mut sign_in = SignIn::new(RecordId::new("r"), Timestamp::UNIX_EPOCH, user());
    sign_in.user_agent = Some(agent.into());
    Event::SignIn(Box::new(sign_in))
}
