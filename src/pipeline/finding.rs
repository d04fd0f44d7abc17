//! What an administrator says of an incident by a click in Entra.
//!
//! Invariant: only a person's word about what evictd holds a case of counts,
//! and never our own: "confirm compromised" comes back to us as an
//! administrator's. `remediated` is no word: a user who passed MFA or changed
//! a password has not said whether there was a thief.

use jiff::SignedDuration;

use crate::model::{
    ActionKind, CaseId, Effect, Event, Incident, RiskState, RiskType, Truth, UserMemory,
};

/// How long after an incident a word about the user still is about it. Later
/// it is about something else; a report covers 30 days unless asked otherwise.
const ABOUT_IT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What the event says of the user's latest incident, if it says anything.
/// `memory` is as the event left it.
pub(super) fn said_in_entra(event: &Event, memory: &UserMemory) -> Option<(CaseId, Truth)> {
    let incident = memory.incident.as_ref()?;
    let (state, about) = match event {
        Event::RiskDetection(detection) => {
            let confirmed = &*detection.risk_type.0 == RiskType::ADMIN_CONFIRMED;
            match detection.state {
                // The click itself comes as a detection of its own.
                _ if confirmed && !detection.state.settled() => (
                    RiskState::ConfirmedCompromised,
                    is_after(incident, detection.at),
                ),
                state => (
                    state,
                    (incident.first..=incident.last).contains(&detection.at),
                ),
            }
        }
        Event::RiskyUser(user) => (user.state, is_after(incident, user.at)),
        _ => return None,
    };
    let truth = match state {
        RiskState::Dismissed | RiskState::ConfirmedSafe => Truth::Benign,
        RiskState::ConfirmedCompromised if !we_confirmed(incident) => Truth::Theft,
        _ => return None,
    };
    about.then_some((incident.case, truth))
}

fn is_after(incident: &Incident, at: jiff::Timestamp) -> bool {
    at >= incident.first && at.duration_since(incident.last) <= ABOUT_IT_FOR
}

fn we_confirmed(incident: &Incident) -> bool {
    incident.confirmed || incident.effect_of(ActionKind::ConfirmCompromised) == Some(Effect::Act)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Network, RecordId, RiskDetection, RiskLevel, RiskyUser, UserId, UserRef};

    const HOUR: i64 = 3_600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn user() -> UserRef {
        UserRef {
            id: UserId::new("u"),
            principal_name: "".into(),
            guest: false,
            workload: false,
        }
    }

    fn detection(risk_type: &str, state: RiskState, second: i64) -> Event {
        Event::RiskDetection(Box::new(RiskDetection {
            record: RecordId::new("d@2"),
            detection: "d".into(),
            at: at(second),
            user: user(),
            request: None,
            risk_type: RiskType(risk_type.into()),
            level: RiskLevel::High,
            state,
            network: Network::default(),
        }))
    }

    fn risky(state: RiskState, second: i64) -> Event {
        Event::RiskyUser(Box::new(RiskyUser {
            record: RecordId::new("u@2"),
            at: at(second),
            user: user(),
            level: RiskLevel::None,
            state,
        }))
    }

    #[test]
    fn an_administrators_word_counts_for_the_incident_it_is_about() {
        use RiskState as S;
        let admin = RiskType::ADMIN_CONFIRMED;
        let month = 30 * 24 * HOUR;
        let table = [
            (
                detection("leakedCredentials", S::Dismissed, 60),
                Some(Truth::Benign),
            ),
            (
                detection("leakedCredentials", S::ConfirmedSafe, 0),
                Some(Truth::Benign),
            ),
            (
                detection("leakedCredentials", S::ConfirmedCompromised, 0),
                Some(Truth::Theft),
            ),
            (detection("leakedCredentials", S::Remediated, 60), None),
            (detection("leakedCredentials", S::AtRisk, 60), None),
            // Another thing happened before, or after.
            (detection("leakedCredentials", S::Dismissed, -1), None),
            (detection("leakedCredentials", S::Dismissed, 2 * HOUR), None),
            (detection(admin, S::AtRisk, 2 * HOUR), Some(Truth::Theft)),
            (
                detection(admin, S::ConfirmedCompromised, HOUR),
                Some(Truth::Theft),
            ),
            (detection(admin, S::Dismissed, HOUR), Some(Truth::Benign)),
            (risky(S::Dismissed, 2 * HOUR), Some(Truth::Benign)),
            (risky(S::ConfirmedSafe, month), Some(Truth::Benign)),
            (risky(S::ConfirmedCompromised, 2 * HOUR), Some(Truth::Theft)),
            (risky(S::Remediated, 2 * HOUR), None),
            (risky(S::Dismissed, -1), None),
            (risky(S::Dismissed, month + 2 * HOUR), None),
        ];
        let record = RecordId::new("r");
        let case = CaseId::derive(&user().id, &record);
        let mut memory = UserMemory::default();
        let first = &table[0].0;
        assert_eq!(said_in_entra(first, &memory), None, "there is no incident");
        memory.incident = Some(Incident {
            case,
            opened_by: record,
            first: at(0),
            last: at(HOUR),
            called_for: vec![(ActionKind::ConfirmCompromised, Effect::Ask)],
            shadowed: vec![],
            attacker: vec![],
            evaded_at: None,
            answered_until: None,
            confirmed: false,
        });
        for (event, truth) in &table {
            let expected = truth.map(|truth| (case, truth));
            assert_eq!(said_in_entra(event, &memory), expected, "{event:?}");
        }
        // What we confirmed ourselves comes back and says nothing.
        let incident = memory.incident.as_mut().unwrap();
        incident.called_for[0].1 = Effect::Act;
        for (event, truth) in &table {
            let expected = truth.filter(|t| *t == Truth::Benign).map(|t| (case, t));
            assert_eq!(said_in_entra(event, &memory), expected, "{event:?}");
        }
    }
}
