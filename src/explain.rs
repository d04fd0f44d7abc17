//! Why an event led to what it led to, and why not to more.
//!
//! Invariant: an explanation is read off the same step that decides: the same
//! signals, verdicts, conditions and guard. Nothing is judged here.

use jiff::Timestamp;
use serde::Serialize;

use crate::engine::{self, Given, Step};
use crate::model::{
    ActionKind, Admission, CaseId, Decision, Effect, Event, RecordId, Signal, SignalName,
    UserMemory, UserRef,
};
use crate::policy::{self, Condition, PolicySet, Situation, Subject, Undecided, Why};

/// One event, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The record.
    pub record: RecordId,
    /// What kind of event it is.
    pub kind: &'static str,
    /// When it happened.
    pub at: Timestamp,
    /// Whose.
    pub user: UserRef,
    /// The hash of the policy set.
    pub policy_set: Box<str>,
    /// The signals that it raised.
    pub raised: Vec<Raised>,
    /// What conditions said of it, where one was asked.
    pub conditions: Vec<Asked>,
    /// Every policy tried.
    pub policies: Vec<Why>,
    /// What was newly called for.
    pub decision: Option<Box<Decision>>,
    /// Why nothing was newly called for although a policy reached a rung: the
    /// open case, and what it had called for before.
    pub called_for_before: Option<CalledFor>,
    /// The guard's word, where something was called for.
    pub guard: Option<Admission>,
}

/// A signal with its evidence as a sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Raised {
    /// The signal.
    pub signal: SignalName,
    /// Why it was raised.
    pub evidence: String,
}

/// A condition that was asked of the event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// The policy, or the signal of an author's.
    pub of: String,
    /// `when`, or the exception's name.
    pub condition: String,
    /// The signal it was asked for; none for a signal of an author's.
    pub signal: Option<SignalName>,
    /// Whether it holds; absent where it cannot be decided.
    pub holds: Option<bool>,
    /// Its parts, up to the first that settled it.
    pub parts: Vec<AskedPart>,
}

/// A part of a condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AskedPart {
    /// As written.
    pub text: Box<str>,
    /// Whether it holds; absent where it cannot be decided.
    pub holds: Option<bool>,
    /// Whether the event is of another kind than the part asks for.
    pub other_kind: bool,
    /// The fields it asks for, with what the record says.
    pub seen: Vec<(&'static str, Option<String>)>,
}

/// What a case had called for before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalledFor {
    /// The case.
    pub case: CaseId,
    /// Each kind of action with its strongest effect.
    pub actions: Vec<(ActionKind, Effect)>,
}

/// Explains a step that was just taken: `memory` is as it left it.
pub fn explain(event: &Event, step: &Step, memory: &UserMemory, given: &Given<'_>) -> Explained {
    let policies = given.policies;
    let (signals, verdicts) = engine::standing(memory, event, &step.signals, policies);
    let verdicts = match &step.decision {
        Some(decision) => decision.verdicts.clone(),
        None => verdicts,
    };
    let decision = step.decision.clone().map(|mut decision| {
        let situation = Situation::as_recorded(decision.at);
        engine::admit(&mut decision, policies, &situation);
        Box::new(decision)
    });
    let reached = verdicts.iter().any(|verdict| verdict.effect.is_some());
    Explained {
        record: event.record().clone(),
        kind: event.kind(),
        at: event.at(),
        user: event.user().clone(),
        policy_set: policies.hash.clone(),
        raised: step.signals.iter().map(raised).collect(),
        conditions: asked(policies, &engine::subject_of(event, given), &step.signals),
        policies: policies
            .policies
            .iter()
            .zip(&verdicts)
            .map(|(policy, verdict)| policy::why(policy, event.user(), &signals, verdict))
            .collect(),
        called_for_before: memory
            .incident
            .as_ref()
            .filter(|_| reached && decision.is_none())
            .map(|incident| CalledFor {
                case: incident.case,
                actions: incident.called_for.clone(),
            }),
        guard: decision.as_ref().map(|decision| decision.admission),
        decision,
    }
}

fn raised(signal: &Signal) -> Raised {
    Raised {
        signal: signal.name.clone(),
        evidence: signal.evidence.to_string(),
    }
}

/// What every condition says that the event was asked: of each signal of an
/// author's, and of each policy for each raised signal that it weighs.
fn asked(policies: &PolicySet, subject: &Subject<'_>, raised: &[Signal]) -> Vec<Asked> {
    let mut asked: Vec<Asked> = policies
        .signals
        .iter()
        .map(|own| ask(own.name.to_string(), "when".to_owned(), &own.when, subject))
        .collect();
    for signal in raised {
        let subject = Subject {
            signal: Some((signal.name.as_str(), signal.family)),
            ..*subject
        };
        let weighing = policies
            .policies
            .iter()
            .filter(|policy| policy.weights.contains_key(&signal.name));
        for policy in weighing {
            let of = policy.name.to_string();
            let when = policy.when.iter().map(|when| ("when".to_owned(), when));
            let exceptions = policy
                .exceptions
                .iter()
                .filter(|exception| exception.serves_at(subject.event.at()))
                .map(|exception| (exception.name.to_string(), &exception.when));
            asked.extend(when.chain(exceptions).map(|(name, condition)| Asked {
                signal: Some(signal.name.clone()),
                ..ask(of.clone(), name, condition, &subject)
            }));
        }
    }
    asked
}

fn ask(of: String, name: String, condition: &Condition, subject: &Subject<'_>) -> Asked {
    let mut parts = Vec::new();
    for part in condition.parts(subject) {
        let settles = part.answer == Ok(false);
        parts.push(AskedPart {
            text: part.text,
            holds: part.answer.ok(),
            other_kind: part.answer == Err(Undecided::OtherKind),
            seen: part.seen,
        });
        if settles {
            break;
        }
    }
    Asked {
        of,
        condition: name,
        signal: None,
        holds: condition.ask(subject).ok(),
        parts,
    }
}
