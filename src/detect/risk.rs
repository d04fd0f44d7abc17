//! Microsoft's own detections (#38), joined to the sign-in they speak of, and
//! two that agree (#39).
//!
//! A detection that somebody settled is evidence no more, whether the news of
//! it comes before the detection or after. Our own "confirm compromised" comes
//! back as a detection of an administrator's: an echo, never a reason to act
//! again. A detection of a sign-in that failed says that somebody tried.

use super::{Ground, catalogue, persistence, raise};
use crate::model::{
    ActionKind, Effect, Evidence, Family, Footprint, Parameter, Parameters, RecordId,
    RiskDetection, RiskType, Signal, SignalName, UserMemory,
};

/// Types that speak of the user or of the session's token, whatever became of
/// the sign-in they name.
const WHATEVER_THE_OUTCOME: [&str; 6] = [
    RiskType::ADMIN_CONFIRMED,
    "leakedCredentials",
    "attackerinTheMiddle",
    "attemptedPrtAccess",
    "tokenIssuerAnomaly",
    "investigationsThreatIntelligence",
];
/// Types that often come together and mean little together: they see the same
/// new place (signals.md, #38: their weights).
const WEAK: [&str; 5] = [
    "unfamiliarFeatures",
    "newCountry",
    "unlikelyTravel",
    "mcasImpossibleTravel",
    "generic",
];

pub(super) fn detect(detection: &RiskDetection, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let memory = ground.memory;
    if !is_evidence(detection, memory) {
        return;
    }
    let joined = detection.request.as_ref().and_then(|id| memory.join(id));
    if joined.is_some_and(|sign_in| sign_in.code != 0) && !stands_alone(&detection.risk_type) {
        return;
    }
    let sighting = joined.and_then(|sign_in| {
        let covers =
            |f: &&Footprint| (f.first.as_second()..=f.last.as_second()).contains(&sign_in.second);
        let covering = || memory.footprints.iter().filter(covers);
        let address = detection.network.address.map(crate::model::Prefix::of);
        let there = |f: &&Footprint| address.is_some() && f.prefix == address;
        let footprint = covering().find(there).or_else(|| covering().next())?;
        Some(footprint.sighting(footprint.last))
    });
    let signal = Signal {
        name: SignalName::risk(&detection.risk_type),
        family: Family::MicrosoftRisk,
        at: detection.at,
        // The detection, not its update: news of the same one is no new evidence.
        record: RecordId::new(detection.detection.clone()),
        evidence: Evidence::Risk {
            risk_type: detection.risk_type.clone(),
            level: detection.level,
            request: detection.request.clone(),
            sighting,
        },
        reservations: Vec::new(),
        asked: Vec::new(),
    };
    agree(&signal, memory, ground.parameters, signals);
    persistence::of_risk(&signal, ground, signals);
    signals.push(signal);
}

/// Whether nobody settled the detection, and it is not our own word.
pub(super) fn is_evidence(detection: &RiskDetection, memory: &UserMemory) -> bool {
    !detection.state.settled()
        && !memory.is_settled(&detection.detection)
        && !is_echo(detection, memory)
}

/// #39: two types that see different things.
fn agree(signal: &Signal, memory: &UserMemory, parameters: &Parameters, signals: &mut Vec<Signal>) {
    let Evidence::Risk { risk_type, .. } = &signal.evidence else {
        return;
    };
    if is_weak(risk_type) {
        return;
    }
    let window = parameters.get(Parameter::RiskTypesWindow);
    for other in &memory.signals {
        let Evidence::Risk {
            risk_type: other_type,
            ..
        } = &other.evidence
        else {
            continue;
        };
        let apart = signal.at.duration_since(other.at).as_secs().abs();
        if other_type == risk_type || is_weak(other_type) || apart > window {
            continue;
        }
        let later = if (other.at, &other.record) > (signal.at, &signal.record) {
            other
        } else {
            signal
        };
        let mut types = [&*risk_type.0, &*other_type.0];
        types.sort_unstable();
        let what = format!("{} and {} agree", types[0], types[1]);
        let evidence = Evidence::Change {
            what: what.into(),
            subject: None,
            sighting: None,
        };
        let spec = &catalogue::RISK_TYPES_AGREE;
        raise(signals, spec.raised(later.at, &later.record, evidence));
    }
}

/// The remembered agreements of which no two detections are left that agree.
pub(super) fn no_longer_agreed(memory: &UserMemory, parameters: &Parameters) -> Vec<Signal> {
    let mut agreed = Vec::new();
    for signal in &memory.signals {
        agree(signal, memory, parameters, &mut agreed);
    }
    let stands = |signal: &Signal| agreed.iter().any(|known| known.same_as(signal));
    memory
        .signals
        .iter()
        .filter(|signal| signal.name.as_str() == catalogue::RISK_TYPES_AGREE.name)
        .filter(|signal| !stands(signal))
        .cloned()
        .collect()
}

fn is_weak(risk_type: &RiskType) -> bool {
    WEAK.contains(&&*risk_type.0)
}

fn stands_alone(risk_type: &RiskType) -> bool {
    WHATEVER_THE_OUTCOME.contains(&&*risk_type.0)
}

/// The sign-in that a remembered detection spoke of has come: of a failed one
/// the detection says no more than that somebody tried. Returns what is to be
/// withdrawn.
pub(super) fn speaks_of_failure<'m>(
    record: &RecordId,
    memory: &'m UserMemory,
) -> impl Iterator<Item = &'m Signal> {
    let record = record.clone();
    memory.signals.iter().filter(move |signal| {
        matches!(&signal.evidence, Evidence::Risk { request: Some(request), risk_type, .. }
            if *request == record && !stands_alone(risk_type))
    })
}

fn is_echo(detection: &RiskDetection, memory: &UserMemory) -> bool {
    let we_confirmed = memory.incident.as_ref().is_some_and(|incident| {
        incident.confirmed
            || incident.effect_of(ActionKind::ConfirmCompromised) == Some(Effect::Act)
    });
    we_confirmed && &*detection.risk_type.0 == RiskType::ADMIN_CONFIRMED
}

#[cfg(test)]
mod tests {
    use super::super::testing::risk_detection;
    use super::*;
    use crate::detect::intel::Intel;
    use crate::model::{CaseId, Incident, Parameters, RiskState, Surroundings, UserId};

    fn names(detection: &RiskDetection, memory: &UserMemory) -> Vec<String> {
        let mut signals = Vec::new();
        let ground = Ground {
            memory,
            around: &Surroundings::default(),
            intel: &Intel::default(),
            parameters: &Parameters::default(),
        };
        detect(detection, &ground, &mut signals);
        signals.iter().map(|s| s.name.to_string()).collect()
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
            attacker: vec![],
            evaded_at: None,
            answered_until: None,
            confirmed: false,
        });
        assert!(names(&detection, &memory).is_empty());
        memory.incident.as_mut().unwrap().called_for[0].1 = Effect::Ask;
        assert_eq!(names(&detection, &memory).len(), 1);
    }
}
