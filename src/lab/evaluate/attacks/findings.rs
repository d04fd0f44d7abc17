//! What Identity Protection says of a sign-in, and when.
//!
//! Invariant: a detection names its sign-in by `requestId` and tells the time
//! of the activity; a real-time one is also written into the sign-in itself
//! and comes 5–10 minutes later, an offline one comes hours to a day later and
//! leaves the sign-in as it was. A tenant without the licence has none, so
//! every attack also has variations without.

use jiff::SignedDuration;

use super::Stage;
use crate::lab::evaluate::people::uuid_of;
use crate::model::{
    Event, RecordId, RiskDetection, RiskLevel, RiskState, RiskType, RiskyUser, SignIn,
};

/// One kind of detection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finding {
    kind: &'static str,
    level: RiskLevel,
    timing: Timing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timing {
    RealTime,
    Offline,
}

const fn real_time(kind: &'static str, level: RiskLevel) -> Finding {
    Finding {
        kind,
        level,
        timing: Timing::RealTime,
    }
}

const fn offline(kind: &'static str, level: RiskLevel) -> Finding {
    Finding {
        kind,
        level,
        timing: Timing::Offline,
    }
}

pub(super) const ANONYMOUS_ADDRESS: Finding = real_time("anonymizedIPAddress", RiskLevel::Medium);
pub(super) const UNFAMILIAR: Finding = real_time("unfamiliarFeatures", RiskLevel::Low);
pub(super) const UNFAMILIAR_HIGH: Finding = real_time("unfamiliarFeatures", RiskLevel::High);
pub(super) const ANOMALOUS_TOKEN: Finding = real_time("anomalousToken", RiskLevel::Medium);
pub(super) const ANOMALOUS_TOKEN_HIGH: Finding = real_time("anomalousToken", RiskLevel::High);
pub(super) const NATION_STATE: Finding = real_time("nationStateIP", RiskLevel::High);
/// What a tenant without the licence gets instead of any of them.
pub(super) const GENERIC: Finding = real_time("generic", RiskLevel::Unknown);
pub(super) const ATTACKER_IN_THE_MIDDLE: Finding = offline("attackerinTheMiddle", RiskLevel::High);
pub(super) const PASSWORD_SPRAY: Finding = offline("passwordSpray", RiskLevel::High);
pub(super) const LEAKED_CREDENTIALS: Finding = offline("leakedCredentials", RiskLevel::High);
pub(super) const ATTEMPTED_PRT_ACCESS: Finding = offline("attemptedPrtAccess", RiskLevel::High);
pub(super) const TOKEN_ISSUER: Finding = offline("tokenIssuerAnomaly", RiskLevel::High);
pub(super) const MALICIOUS_ADDRESS: Finding = offline("maliciousIPAddress", RiskLevel::High);
pub(super) const THREAT_INTELLIGENCE: Finding =
    offline("investigationsThreatIntelligence", RiskLevel::High);
pub(super) const UNLIKELY_TRAVEL: Finding = offline("unlikelyTravel", RiskLevel::Medium);
pub(super) const NEW_COUNTRY: Finding = offline("newCountry", RiskLevel::Low);
pub(super) const SUSPICIOUS_RULE: Finding =
    offline("mcasSuspiciousInboxManipulationRules", RiskLevel::Medium);

impl Stage<'_> {
    /// Tells of a sign-in and of what Microsoft found in it, if anything.
    pub(super) fn tell_found(&mut self, mut event: SignIn, finding: Option<Finding>) {
        let Some(finding) = finding else {
            self.tell(event);
            return;
        };
        if finding.timing == Timing::RealTime {
            event.risk_types = vec![RiskType(finding.kind.into())];
            event.risk_level = finding.level;
        }
        self.tell(event.clone());
        self.detection(&event, finding);
    }

    /// Microsoft's detection about a sign-in that was told of already.
    pub(super) fn detection(&mut self, of: &SignIn, finding: Finding) {
        let delay = match finding.timing {
            Timing::RealTime => self.between(300, 600),
            Timing::Offline => self.between(3 * 3600, 26 * 3600),
        };
        self.detection_after(of, finding, delay);
    }

    /// The same, so many seconds after the sign-in.
    pub(super) fn detection_after(&mut self, of: &SignIn, finding: Finding, delay: i64) {
        let detected = of.at + SignedDuration::from_secs(delay);
        let id = uuid_of(&format!("detection {} {}", finding.kind, of.record));
        self.emit_late(
            Event::RiskDetection(Box::new(RiskDetection {
                record: RecordId::new(format!("{id} {detected}")),
                detection: id,
                at: of.at,
                user: of.user.clone(),
                request: Some(of.record.clone()),
                risk_type: RiskType(finding.kind.into()),
                level: finding.level,
                state: RiskState::AtRisk,
                network: of.network.clone(),
            })),
            SignedDuration::from_secs(delay),
        );
        if finding.level == RiskLevel::High {
            self.risky_user(of, RiskState::AtRisk, delay);
        }
    }

    /// The user's aggregate risk rises to high.
    fn risky_user(&mut self, of: &SignIn, state: RiskState, delay: i64) {
        let updated = of.at + SignedDuration::from_secs(delay);
        self.emit(Event::RiskyUser(Box::new(RiskyUser {
            record: RecordId::new(format!("{} {updated}", of.user.id)),
            at: updated,
            user: of.user.clone(),
            level: RiskLevel::High,
            state,
        })));
    }

    /// An administrator says "compromised": a detection that names no sign-in.
    pub(super) fn confirmed_by_administrator(&mut self, seconds: i64) {
        let at = self.at(seconds);
        let user = self.victim.user.clone();
        let id = uuid_of(&format!("confirmed {} {at}", user.id));
        self.emit(Event::RiskDetection(Box::new(RiskDetection {
            record: RecordId::new(format!("{id} {at}")),
            detection: id,
            at,
            user: user.clone(),
            request: None,
            risk_type: RiskType(RiskType::ADMIN_CONFIRMED.into()),
            level: RiskLevel::High,
            state: RiskState::ConfirmedCompromised,
            network: crate::model::Network::default(),
        })));
        self.emit(Event::RiskyUser(Box::new(RiskyUser {
            record: RecordId::new(format!("{} {at}", user.id)),
            at,
            user,
            level: RiskLevel::High,
            state: RiskState::ConfirmedCompromised,
        })));
    }
}
