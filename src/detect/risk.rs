//! Microsoft's own detections (#38).
//!
//! A detection that somebody settled is evidence no more. Our own "confirm
//! compromised" comes back as a detection of an administrator's: an echo,
//! never a reason to act again.

use crate::model::{
    ActionKind, Effect, Evidence, Family, RecordId, RiskDetection, RiskType, Signal, SignalName,
    UserMemory,
};

pub(super) fn detect(detection: &RiskDetection, memory: &UserMemory) -> Vec<Signal> {
    if detection.state.settled() || is_echo(detection, memory) {
        return Vec::new();
    }
    vec![Signal {
        name: SignalName::risk(&detection.risk_type),
        family: Family::MicrosoftRisk,
        at: detection.at,
        // The detection, not its update: news of the same one is no new evidence.
        record: RecordId::new(detection.detection.clone()),
        evidence: Evidence::Risk {
            risk_type: detection.risk_type.clone(),
            level: detection.level,
        },
    }]
}

fn is_echo(detection: &RiskDetection, memory: &UserMemory) -> bool {
    let we_confirmed = memory.incident.as_ref().is_some_and(|incident| {
        incident.effect_of(ActionKind::ConfirmCompromised) == Some(Effect::Act)
    });
    we_confirmed && &*detection.risk_type.0 == RiskType::ADMIN_CONFIRMED
}

#[cfg(test)]
mod tests {
    use super::super::testing::risk_detection;
    use super::*;
    use crate::model::{CaseId, Incident, RiskState, UserId};

    fn names(detection: &RiskDetection, memory: &UserMemory) -> Vec<String> {
        detect(detection, memory)
            .iter()
            .map(|s| s.name.to_string())
            .collect()
    }

    #[test]
    fn a_detection_is_raised_under_microsofts_name_even_if_unknown() {
        let memory = UserMemory::default();
        assert_eq!(
            names(&risk_detection(0, "attackerinTheMiddle"), &memory),
            ["risk.attackerinTheMiddle"]
        );
        assert_eq!(
            names(&risk_detection(0, "brandNew"), &memory),
            ["risk.brandNew"]
        );
    }

    #[test]
    fn a_settled_detection_raises_nothing() {
        for state in [
            RiskState::Dismissed,
            RiskState::Remediated,
            RiskState::ConfirmedSafe,
        ] {
            let detection = RiskDetection {
                state,
                ..risk_detection(0, "leakedCredentials")
            };
            assert!(
                names(&detection, &UserMemory::default()).is_empty(),
                "{state:?}"
            );
        }
    }

    #[test]
    fn our_own_confirmation_is_an_echo_and_an_administrators_is_not() {
        let detection = risk_detection(0, RiskType::ADMIN_CONFIRMED);
        assert_eq!(names(&detection, &UserMemory::default()).len(), 1);
        let record = RecordId::new("r");
        let mut memory = UserMemory::default();
        memory.incident = Some(Incident {
            case: CaseId::derive(&UserId::new("u"), &record),
            opened_by: record,
            first: detection.at,
            last: detection.at,
            called_for: vec![(ActionKind::ConfirmCompromised, Effect::Act)],
            shadowed: vec![],
        });
        assert!(names(&detection, &memory).is_empty());
        memory.incident.as_mut().unwrap().called_for[0].1 = Effect::Ask;
        assert_eq!(names(&detection, &memory).len(), 1);
    }
}
