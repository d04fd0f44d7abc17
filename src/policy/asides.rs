//! What conditions say of an event: the signals that authors define, and the
//! signals that a policy leaves aside.
//!
//! Invariant: a condition is asked once, of the record that raised the signal,
//! and what it said stays with the signal: so a decision of tomorrow, in
//! another window or after a restart, rests on what the record said. Where a
//! record does not say what is asked, the signal counts for asking and never
//! for acting; an exception that cannot be decided excepts nothing.

use jiff::Timestamp;

use super::condition::{Subject, Undecided};
use super::{CustomSignal, Exception, Policy, PolicySet};
use crate::model::{Event, Reservation, ReservationGround, Signal};

impl PolicySet {
    /// Whether there is a condition to ask of an event, or, where no detector
    /// saw anything in it, a signal of an author's to look for.
    pub fn asks_conditions(&self, nothing_raised: bool) -> bool {
        let has_conditions = |policy: &Policy| policy.conditions.is_some();
        !self.signals.is_empty() || !nothing_raised && self.policies.iter().any(has_conditions)
    }
}

/// The signals that authors define and the event raises. One that cannot be
/// decided is not raised.
pub fn observed<'s>(
    set: &'s PolicySet,
    subject: &Subject<'_>,
) -> impl Iterator<Item = &'s CustomSignal> {
    set.signals
        .iter()
        .filter(|signal| signal.when.ask(subject) == Ok(true))
}

/// Asks the policies' conditions of a signal that the event raised, and keeps
/// with the signal what they say against it. Only policies that weigh it are
/// asked.
pub fn ask(set: &PolicySet, subject: &Subject<'_>, signal: &mut Signal) {
    // A late record can complete what an earlier one began; the record that the
    // signal is named after is not at hand then.
    let at_hand = match subject.event {
        // The signal is named after the detection, whatever its update.
        Event::RiskDetection(detection) => signal.record.as_str() == &*detection.detection,
        event => signal.record == *event.record(),
    };
    signal.reservations.clear();
    signal.asked.clear();
    let weighers = set.weighers.of_signal(&signal.name);
    signal.asked.reserve(weighers.len());
    for (index, _) in weighers {
        let policy = &set.policies[*index];
        let Some(conditions) = policy.conditions else {
            continue;
        };
        signal.asked.push(conditions);
        let subject = Subject {
            signal: Some((signal.name.as_str(), signal.family)),
            ..*subject
        };
        let against = if at_hand {
            ground(policy, &subject)
        } else {
            Some(ReservationGround::Undecided)
        };
        signal
            .reservations
            .extend(against.map(|ground| Reservation {
                policy: policy.name.clone(),
                ground,
            }));
    }
}

impl Policy {
    /// What its conditions say against a signal. Where they were not asked, since
    /// they are newer than the signal, that is undecided.
    pub(super) fn against<'s>(&self, signal: &'s Signal) -> Option<&'s ReservationGround> {
        match self.conditions {
            Some(conditions) if !signal.asked.contains(&conditions) => {
                Some(&ReservationGround::Undecided)
            }
            _ => signal.reservation(&self.name),
        }
    }
}

fn ground(policy: &Policy, subject: &Subject<'_>) -> Option<ReservationGround> {
    let excepts = |exception: &&Exception| {
        exception.serves_at(subject.event.at()) && exception.when.ask(subject) == Ok(true)
    };
    let answer = policy.when.as_ref().map(|when| when.ask(subject));
    if answer == Some(Ok(false)) {
        return Some(ReservationGround::When);
    }
    if let Some(exception) = policy.exceptions.iter().find(excepts) {
        return Some(ReservationGround::Exception {
            name: exception.name.clone(),
        });
    }
    // A condition on sign-ins says nothing of a detection of Microsoft's.
    (answer == Some(Err(Undecided::Absent))).then_some(ReservationGround::Undecided)
}

impl Exception {
    /// Whether it counts for an event of that time: until the end of its last
    /// day, in UTC.
    pub fn serves_at(&self, at: Timestamp) -> bool {
        at < self.ends
    }
}
