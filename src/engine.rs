//! One event against one user's memory: signals, then a decision.
//!
//! Architecture invariant: [`step`] is pure, synchronous and infallible, and
//! knows no clock; time comes from the event. `replay`, the tests and the
//! daemon all call it, so they cannot drift. It is also the only place where
//! detect and policy meet.
//!
//! An incident remembers what was already called for, so the tenth event of
//! one theft calls for nothing the first did not; only stronger evidence does.

use jiff::Timestamp;

use crate::detect::{self, intel::Intel};
use crate::model::{
    ActionKind, Admission, CaseId, Decision, DecisionId, Effect, Event, Incident, Order,
    PolicyName, PolicyVerdict, RecordId, Signal, UserMemory,
};
use crate::policy::{self, Ask, PolicySet, Situation};

/// What one event led to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// The record was judged before; nothing else happened.
    pub duplicate: bool,
    /// Signals that were not known before.
    pub signals: Vec<Signal>,
    /// The open case the signals belong to, where there is one.
    pub case: Option<CaseId>,
    /// What the policies newly call for, before the guard.
    pub decision: Option<Decision>,
}

/// Judges one event and takes it into memory.
pub fn step(memory: &mut UserMemory, event: &Event, intel: &Intel, policies: &PolicySet) -> Step {
    if memory.has_seen(event.record()) {
        return Step {
            duplicate: true,
            ..Step::default()
        };
    }
    let raised = detect::run(event, memory, intel);
    memory.mark_seen(event.record(), event.at());
    if let Some(footprint) = detect::footprint(event, intel) {
        memory.remember_footprint(footprint);
    }
    let signals: Vec<Signal> = raised
        .into_iter()
        .filter(|signal| memory.remember_signal(signal.clone()))
        .collect();
    if signals.is_empty() {
        return Step::default();
    }
    let decision = decide(memory, event, &signals, policies);
    let case = memory
        .incident
        .as_ref()
        .filter(|incident| signals.iter().any(|s| incident.takes_in(s.at)))
        .map(|incident| incident.case);
    Step {
        duplicate: false,
        signals,
        case,
        decision,
    }
}

/// Asks the guard about a decision and writes its word into it: demoted means
/// a human is asked, refused means it is recorded and nothing is done.
pub fn admit(decision: &mut Decision, policies: &PolicySet, situation: &Situation) {
    decision.admission =
        policies
            .guard
            .at_decision(&decision.user, decision.at, decision.effect, situation);
    match decision.admission {
        Admission::Admitted => {}
        Admission::Demoted(_) => decision.effect = Effect::Ask,
        Admission::Refused(_) => decision.effect = Effect::Shadow,
    }
}

/// Scores every policy at every instant that the new signals can have
/// changed: a late signal counts in windows that end after it.
fn decide(
    memory: &mut UserMemory,
    event: &Event,
    new: &[Signal],
    policies: &PolicySet,
) -> Option<Decision> {
    let first = new.iter().map(|s| s.at).min()?;
    let last = new.iter().map(|s| s.at).max()?;
    let mut ends: Vec<Timestamp> = memory
        .signals
        .iter()
        .map(|s| s.at)
        .filter(|at| *at >= first)
        .collect();
    ends.dedup();
    let verdicts: Vec<PolicyVerdict> = policies
        .policies
        .iter()
        .map(|policy| policy::evaluate(policy, event.user(), &memory.signals, &ends))
        .collect();
    let reached = verdicts.iter().any(|verdict| verdict.effect.is_some());
    let current = memory
        .incident
        .as_ref()
        .filter(|incident| incident.takes_in(first));
    let mut incident = match (current, reached) {
        (Some(incident), _) => incident.clone(),
        (None, true) => opened_by(event, first),
        // The incident that is over stays known: late records may still
        // belong to it.
        (None, false) => return None,
    };
    incident.first = incident.first.min(first);
    incident.last = incident.last.max(last);
    let orders = new_orders(&verdicts, &mut incident);
    let shadowed = new_shadows(&verdicts, &mut incident);
    let case = incident.case;
    let opened_by = incident.opened_by.clone();
    memory.incident = Some(incident);
    let effect = match orders.iter().map(|order| order.effect).max() {
        Some(effect) => effect,
        None if shadowed => Effect::Shadow,
        None => return None,
    };
    Some(Decision {
        id: DecisionId::derive(&event.user().id, event.record()),
        case,
        opened_by,
        record: event.record().clone(),
        user: event.user().clone(),
        // When the theft showed, not when the record that completed it was made:
        // a record may come late.
        at: last,
        effect,
        score: verdicts
            .iter()
            .filter(|v| v.effect.is_some())
            .map(|v| v.score)
            .max()
            .unwrap_or(0),
        signals: counted(&memory.signals, &verdicts),
        verdicts,
        orders,
        admission: Admission::Admitted,
        policy_set: policies.hash.clone(),
    })
}

fn opened_by(event: &Event, first: Timestamp) -> Incident {
    let record: &RecordId = event.record();
    Incident {
        case: CaseId::derive(&event.user().id, record),
        opened_by: record.clone(),
        first,
        last: first,
        called_for: Vec::new(),
        shadowed: Vec::new(),
    }
}

/// The strongest order for each kind of action that is stronger than what the
/// incident has called for so far, and remembers it.
fn new_orders(verdicts: &[PolicyVerdict], incident: &mut Incident) -> Vec<Order> {
    let mut orders: Vec<Order> = Vec::new();
    for kind in ActionKind::ALL {
        let strongest = verdicts
            .iter()
            .filter_map(|verdict| order_of(verdict, kind))
            .max_by_key(|order| (order.effect, order.score));
        let Some(order) = strongest else { continue };
        if incident.effect_of(kind) >= Some(order.effect) {
            continue;
        }
        incident.called_for.retain(|(known, _)| *known != kind);
        incident.called_for.push((kind, order.effect));
        orders.push(order);
    }
    orders
}

fn order_of(verdict: &PolicyVerdict, kind: ActionKind) -> Option<Order> {
    let rung = verdict.rung.as_ref()?;
    let effect = verdict.effect.filter(|effect| *effect > Effect::Shadow)?;
    if !rung.actions.contains(&kind) {
        return None;
    }
    let Ask {
        approvers,
        expires_seconds,
    } = Ask::of(&rung.intent);
    Some(Order {
        kind,
        effect,
        policy: verdict.policy.clone(),
        score: verdict.score,
        approvers,
        expires_seconds,
    })
}

/// Whether a shadow rung was reached for the first time in the incident.
fn new_shadows(verdicts: &[PolicyVerdict], incident: &mut Incident) -> bool {
    let mut found = false;
    for verdict in verdicts {
        let (Some(Effect::Shadow), Some(rung)) = (verdict.effect, &verdict.rung) else {
            continue;
        };
        let key: (PolicyName, u8) = (verdict.policy.clone(), rung.index);
        if !incident.shadowed.contains(&key) {
            incident.shadowed.push(key);
            found = true;
        }
    }
    found
}

/// The remembered signals that the verdicts with a rung counted.
fn counted(signals: &[Signal], verdicts: &[PolicyVerdict]) -> Vec<Signal> {
    let counts = |signal: &Signal| {
        verdicts.iter().filter(|v| v.rung.is_some()).any(|verdict| {
            signal.at <= verdict.window_end
                && signal.at > verdict.window_start
                && verdict.families.iter().any(|f| f.family == signal.family)
        })
    };
    signals
        .iter()
        .filter(|signal| counts(signal))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
