//! One event against one user's memory: signals, then a decision.
//!
//! Architecture invariant: [`step`] is pure, synchronous and infallible, and
//! knows no clock; time comes from the event. `replay`, the tests and the
//! daemon all call it, so they cannot drift. It is also the only place where
//! detect and policy meet.
//!
//! An incident remembers what was already called for, so the tenth event of
//! one theft calls for nothing the first did not; only stronger evidence does.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use crate::detect::{self, Ground, Look, intel::Intel};
use crate::model::{
    ActionKind, Admission, CaseId, Decision, DecisionId, Effect, Event, Family, Habit, Incident,
    Order, Parameter, Parameters, PolicyName, PolicyVerdict, Prefix, Proof, ProofOutcome, RecordId,
    SignIn, Signal, Surroundings, Thing, UserMemory, limits,
};
use crate::policy::{self, Ask, PolicySet, Score, Situation, Subject};

/// The user's sessions were revoked and the token shown is from before
/// (graph.md: 50173, 50132).
const REVOKED: [i64; 2] = [50173, 50132];
/// Failures that mean somebody tries passwords: wrong, locked, expired, no such
/// user; and the account is disabled.
const WRONG_CREDENTIALS: [i64; 4] = [50126, 50053, 50055, 50034];
const ACCOUNT_DISABLED: i64 = 50057;

/// What an event is judged by, besides what is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// What is known of networks.
    pub intel: &'a Intel,
    /// What decides.
    pub policies: &'a PolicySet,
    /// When Graph last acknowledged that the sessions of the user's open
    /// incident are revoked; `None` where it did not, and in a replay.
    pub revoked_at: Option<Timestamp>,
}

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
    /// What the event shows of an earlier containment.
    pub proof: Option<Proof>,
    /// The case whose evidence is withdrawn: nothing calls for asking any more.
    pub withdrawn: Option<CaseId>,
}

/// Judges one event and takes it into memory.
pub fn step(
    memory: &mut UserMemory,
    around: &mut Surroundings,
    event: &Event,
    given: &Given<'_>,
) -> Step {
    if memory.has_judged(event.record()) {
        return Step {
            duplicate: true,
            ..Step::default()
        };
    }
    let event = &*named(event, memory);
    let ground = Ground {
        memory,
        around,
        intel: given.intel,
        parameters: &given.policies.parameters,
    };
    let look = Look::at(event, given.intel);
    let mut raised = look.signals(&ground);
    let proof = proof(event, &ground, given.revoked_at);
    if is_evaded(proof.as_ref()) {
        raised.extend(look.evaded());
    }
    ask_conditions(memory, event, &look, given, &mut raised);
    let withdrawn = withdraw(memory, event, &look, given.policies);
    remember(memory, event, &look);
    let signals: Vec<Signal> = raised
        .into_iter()
        .filter(|signal| memory.remember_signal(signal.clone()))
        .collect();
    let mut step = Step {
        proof,
        withdrawn,
        ..Step::default()
    };
    if !signals.is_empty() {
        if is_evaded(step.proof.as_ref()) {
            begin_again(memory, event, given.revoked_at, None);
        } else if let Some(answered) = another_theft(memory, event, &signals, given) {
            begin_again(memory, event, given.revoked_at, Some(answered));
        }
        step.decision = decide(memory, around, event, &signals, given);
        step.case = memory
            .incident
            .as_ref()
            .filter(|incident| signals.iter().any(|s| incident.takes_in(s.at)))
            .map(|incident| incident.case);
        step.signals = signals;
    }
    learn(memory, around, event, &look);
    step
}

/// The event with its user's name, where the record says the object id alone,
/// as those of Graph activity do: whom scopes, exceptions and the guard know by
/// name must not be acted on for that.
fn named<'e>(event: &'e Event, memory: &UserMemory) -> Cow<'e, Event> {
    let user = event.user();
    let unnamed = user.principal_name.is_empty() && !user.workload;
    if unnamed && !memory.principal_name.is_empty() {
        Cow::Owned(event.clone().named(&memory.principal_name))
    } else {
        Cow::Borrowed(event)
    }
}

/// Adds the signals that authors define, and what policies' conditions say of
/// each. What somebody settled raises none of them either.
fn ask_conditions(
    memory: &UserMemory,
    event: &Event,
    look: &Look<'_>,
    given: &Given<'_>,
    raised: &mut Vec<Signal>,
) {
    let policies = given.policies;
    if !policies.asks_conditions(raised.is_empty()) {
        return;
    }
    let subject = subject(event, look, given);
    if look.is_evidence(memory) {
        raised.extend(policy::observed(policies, &subject).map(|own| {
            look.observed(&own.name, own.family, own.description.trim_end_matches('.'))
        }));
    }
    for signal in raised {
        policy::ask(policies, &subject, signal);
    }
}

fn subject<'e>(event: &'e Event, look: &Look<'_>, given: &Given<'_>) -> Subject<'e> {
    Subject {
        event,
        class: look.class(given.intel),
        signal: None,
    }
}

/// What conditions are asked of, for an event: to explain their answers.
pub fn subject_of<'e>(event: &'e Event, given: &Given<'_>) -> Subject<'e> {
    subject(event, &Look::at(event, given.intel), given)
}

/// What the event leaves behind.
fn remember(memory: &mut UserMemory, event: &Event, look: &Look<'_>) {
    let code = match event {
        Event::SignIn(sign_in) => sign_in.error_code,
        _ => 0,
    };
    memory.mark_judged(event.record(), event.at(), code);
    let name = &event.user().principal_name;
    if !name.is_empty() && *name != memory.principal_name {
        memory.principal_name = name.clone();
    }
    let traces = look.traces();
    if let Some(footprint) = traces.footprint {
        memory.remember_footprint(footprint);
    }
    if let Some(session) = traces.session {
        memory.remember_session(session);
    }
    if let Some(attempt) = traces.attempt {
        memory.remember_attempt(attempt);
    }
    if let Some(change) = traces.change {
        memory.remember_change(change);
    }
}

/// What the event teaches, of the user and of the tenant. Where it is part of
/// an incident it teaches nothing: the day is tainted.
fn learn(memory: &mut UserMemory, around: &mut Surroundings, event: &Event, look: &Look<'_>) {
    match event {
        Event::SignIn(sign_in) if sign_in.succeeded() => {
            let at = sign_in.at;
            memory.habits.was_active(at);
            let teaches = !memory.habits.tainted().contains(crate::model::day_of(at));
            let user = &sign_in.user.id;
            for habit in look.habits() {
                let new = memory.habits.learn(habit, at);
                let thing = match habit {
                    Habit::Asn(asn) => Thing::Asn(asn),
                    Habit::Country(country) => Thing::Country(country),
                    _ => continue,
                };
                if new && teaches {
                    around.used(thing, user, at);
                }
            }
            if let Some(prefix) = look.rented_prefix().filter(|_| teaches) {
                around.used(Thing::Prefix(prefix), user, at);
            }
            if let Some(address) = sign_in.network.address {
                around.signed_in(address, user, at);
            }
        }
        Event::SignIn(sign_in) => failed(around, sign_in),
        _ => {
            if let Some(app) = look.consented() {
                around.used(Thing::Consented(app), &event.user().id, event.at());
            }
        }
    }
}

fn failed(around: &mut Surroundings, sign_in: &SignIn) {
    let disabled = sign_in.error_code == ACCOUNT_DISABLED;
    if let Some(address) = sign_in.network.address
        && (disabled || WRONG_CREDENTIALS.contains(&sign_in.error_code))
    {
        around.failed(address, &sign_in.user.id, sign_in.at, disabled);
    }
}

/// #40: a sign-in from the attacker's network after the sessions were revoked.
/// A refusal proves the containment; a success, once Graph's delay is over,
/// says that it was evaded.
fn proof(event: &Event, ground: &Ground<'_>, revoked_at: Option<Timestamp>) -> Option<Proof> {
    let (incident, revoked_at) = (ground.memory.incident.as_ref()?, revoked_at?);
    let Event::SignIn(sign_in) = event else {
        return None;
    };
    let prefix = Prefix::of(sign_in.network.address?);
    if !incident.attacker.contains(&prefix) || sign_in.at < revoked_at {
        return None;
    }
    let evaded = sign_in.succeeded() && sign_in.at >= in_force(revoked_at, ground.parameters);
    if !evaded && !REVOKED.contains(&sign_in.error_code) {
        return None;
    }
    Some(Proof {
        case: incident.case,
        at: sign_in.at,
        record: sign_in.record.clone(),
        outcome: if evaded {
            ProofOutcome::Evaded
        } else {
            ProofOutcome::Proven
        },
    })
}

/// When a revoke that Graph acknowledged then is in force.
fn in_force(revoked_at: Timestamp, parameters: &Parameters) -> Timestamp {
    let grace = SignedDuration::from_secs(parameters.get(Parameter::EvasionGrace));
    revoked_at.saturating_add(grace).unwrap_or(Timestamp::MAX)
}

/// Since when the revoke is in force, where what was seen since then calls for
/// something by itself: thieves change their networks, and what was done in an
/// incident does not end what began in it afterwards.
fn another_theft(
    memory: &UserMemory,
    event: &Event,
    new: &[Signal],
    given: &Given<'_>,
) -> Option<Timestamp> {
    let incident = memory.incident.as_ref()?;
    let first = new.iter().map(|signal| signal.at).min()?;
    let in_force = in_force(given.revoked_at?, &given.policies.parameters);
    if first < in_force || !incident.takes_in(first) {
        return None;
    }
    let since = unanswered(&memory.signals, Some(in_force));
    let ends: Vec<Timestamp> = since.iter().map(|signal| signal.at).collect();
    calls_for_something(given.policies, event, &since, &ends).then_some(in_force)
}

/// Whether a policy asks or acts, in any window that ends with one of `ends`.
fn calls_for_something(
    policies: &PolicySet,
    event: &Event,
    signals: &[Signal],
    ends: &[Timestamp],
) -> bool {
    policy::scores(policies, event.user(), signals, ends, Timestamp::MAX)
        .iter()
        .any(|score| score.effect() > Some(Effect::Shadow))
}

/// The signals that still count: those since then.
fn unanswered(signals: &[Signal], answered_until: Option<Timestamp>) -> Cow<'_, [Signal]> {
    match answered_until {
        None => Cow::Borrowed(signals),
        Some(until) => signals.iter().filter(|s| s.at >= until).cloned().collect(),
    }
}

fn is_evaded(proof: Option<&Proof>) -> bool {
    proof.is_some_and(|proof| proof.outcome == ProofOutcome::Evaded)
}

/// An evaded incident, or another theft in it, begins a new round in the same
/// case: everything may be called for again, by the record that shows it. Once
/// for each revoke. What another theft is not about was `answered` by then.
fn begin_again(
    memory: &mut UserMemory,
    event: &Event,
    revoked_at: Option<Timestamp>,
    answered: Option<Timestamp>,
) {
    if let Some(incident) = &mut memory.incident
        && revoked_at > incident.evaded_at
    {
        incident.evaded_at = Some(event.at());
        incident.confirmed |=
            incident.effect_of(ActionKind::ConfirmCompromised) == Some(Effect::Act);
        incident.opened_by = event.record().clone();
        incident.answered_until = answered.or(incident.answered_until);
        incident.called_for.clear();
    }
}

/// Takes back what somebody settled, or what turns out to be about a sign-in
/// that failed. Returns the case that nothing speaks for any more.
fn withdraw(
    memory: &mut UserMemory,
    event: &Event,
    look: &Look<'_>,
    policies: &PolicySet,
) -> Option<CaseId> {
    let withdrew = match event {
        Event::RiskDetection(detection) if detection.state.settled() => {
            memory.settle(&detection.detection)
        }
        Event::RiskyUser(user) if user.state.settled() => {
            memory.withdraw(|signal| signal.family == Family::MicrosoftRisk && signal.at <= user.at)
        }
        Event::SignIn(_) => {
            let mut any = false;
            for record in look.refuted(memory) {
                any |= memory.settle(record.as_str());
            }
            any
        }
        _ => false,
    };
    if !withdrew {
        return None;
    }
    let hollow = detect::no_longer_agreed(memory, &policies.parameters);
    memory.withdraw(|signal| hollow.iter().any(|known| known.same_as(signal)));
    let incident = memory.incident.as_ref()?;
    // What an earlier round answered speaks for nothing that is asked now.
    let signals = unanswered(&memory.signals, incident.answered_until);
    let ends: Vec<Timestamp> = signals
        .iter()
        .map(|signal| signal.at)
        .filter(|at| (incident.first..=incident.last).contains(at))
        .collect();
    if calls_for_something(policies, event, &signals, &ends) {
        return None;
    }
    let incident = memory.incident.as_mut()?;
    // An act may wait for a human too, where the guard made it a question.
    let case = (!incident.called_for.is_empty()).then_some(incident.case);
    // What was done stays done; what was asked may be asked again.
    incident
        .called_for
        .retain(|(_, effect)| *effect == Effect::Act);
    case
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
    around: &Surroundings,
    event: &Event,
    new: &[Signal],
    given: &Given<'_>,
) -> Option<Decision> {
    let policies = given.policies;
    let first = new.iter().map(|s| s.at).min()?;
    let last = new.iter().map(|s| s.at).max()?;
    let current = memory
        .incident
        .as_ref()
        .filter(|incident| incident.takes_in(first));
    let signals = unanswered(
        &memory.signals,
        current.and_then(|incident| incident.answered_until),
    );
    let ends = ends_from(&signals, first);
    let scores = policy::scores(policies, event.user(), &signals, &ends, last);
    let reached = scores.iter().any(|score| score.effect().is_some());
    let mut incident = match (current, reached) {
        (Some(incident), _) => incident.clone(),
        (None, true) => opened_by(event, first),
        // The incident that is over stays known: late records may still
        // belong to it.
        (None, false) => return None,
    };
    // Weak signals are filed under an incident and do not keep it open: it
    // would reach from day to day, and teach nothing for ever.
    if reached {
        incident.first = incident.first.min(first);
        incident.last = incident.last.max(last);
    }
    let ground = Ground {
        memory,
        around,
        intel: given.intel,
        parameters: &policies.parameters,
    };
    find_attacker(&mut incident, &ground);
    memory.habits.taint(incident.first, incident.last);
    let orders = new_orders(&scores, &mut incident);
    let shadowed = new_shadows(&scores, &mut incident);
    let case = incident.case;
    let opened_by = incident.opened_by.clone();
    memory.incident = Some(incident);
    let effect = match orders.iter().map(|order| order.effect).max() {
        Some(effect) => effect,
        None if shadowed => Effect::Shadow,
        None => return None,
    };
    let verdicts = on_record(&scores, &signals);
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
        score: scores
            .iter()
            .filter(|score| score.effect().is_some())
            .map(Score::points)
            .max()
            .unwrap_or(0),
        signals: counted(&signals, &verdicts),
        verdicts,
        orders,
        admission: Admission::Admitted,
        policy_set: policies.hash.clone(),
    })
}

/// What the policies say of what is remembered after a step, whether or not it
/// newly calls for anything: the signals that still count, and a verdict of
/// every policy. `new` are the signals of the step.
pub fn standing<'m>(
    memory: &'m UserMemory,
    event: &Event,
    new: &[Signal],
    policies: &PolicySet,
) -> (Cow<'m, [Signal]>, Vec<PolicyVerdict>) {
    let first = new.iter().map(|signal| signal.at).min();
    let from = first.unwrap_or(event.at());
    let incident = memory
        .incident
        .as_ref()
        .filter(|known| known.takes_in(from));
    let signals = unanswered(
        &memory.signals,
        incident.and_then(|incident| incident.answered_until),
    );
    let mut ends = ends_from(&signals, from);
    if ends.is_empty() {
        ends.push(event.at());
    }
    let last = new.iter().map(|signal| signal.at).max();
    let newest = last.unwrap_or(event.at());
    let scores = policy::scores(policies, event.user(), &signals, &ends, newest);
    let verdicts = on_record(&scores, &signals);
    (signals, verdicts)
}

/// The ends of the windows that a signal of that time can be in.
fn ends_from(signals: &[Signal], first: Timestamp) -> Vec<Timestamp> {
    let ends = signals.iter().map(|signal| signal.at);
    let mut ends: Vec<Timestamp> = ends.filter(|at| *at >= first).collect();
    ends.dedup();
    ends
}

fn on_record(scores: &[Score<'_>], signals: &[Signal]) -> Vec<PolicyVerdict> {
    scores.iter().map(|score| score.verdict(signals)).collect()
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
        attacker: Vec::new(),
        evaded_at: None,
        answered_until: None,
        confirmed: false,
    }
}

/// The networks of the incident's signals that are not the user's own.
fn find_attacker(incident: &mut Incident, ground: &Ground<'_>) {
    let within = |signal: &&Signal| (incident.first..=incident.last).contains(&signal.at);
    let suspects = ground
        .memory
        .signals
        .iter()
        .filter(within)
        .filter_map(|signal| signal.evidence.suspect())
        .filter(|sighting| ground.is_strange(sighting))
        .filter_map(|sighting| sighting.prefix);
    let mut found: Vec<Prefix> = suspects.collect();
    found.extend(&incident.attacker);
    found.sort_unstable();
    found.dedup();
    found.truncate(limits::ATTACKER_PREFIXES_MAX);
    incident.attacker = found;
}

/// The strongest order for each kind of action that is stronger than what the
/// incident has called for so far, and remembers it.
fn new_orders(scores: &[Score<'_>], incident: &mut Incident) -> Vec<Order> {
    let mut orders: Vec<Order> = Vec::new();
    for kind in ActionKind::ALL {
        let strongest = scores
            .iter()
            .filter_map(|score| order_of(score, kind))
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

fn order_of(score: &Score<'_>, kind: ActionKind) -> Option<Order> {
    let (_, rung) = score.rung()?;
    let effect = score.effect().filter(|effect| *effect > Effect::Shadow)?;
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
        policy: score.policy().name.clone(),
        score: score.points(),
        approvers,
        expires_seconds,
    })
}

/// Whether a shadow rung was reached for the first time in the incident.
fn new_shadows(scores: &[Score<'_>], incident: &mut Incident) -> bool {
    let mut found = false;
    for score in scores {
        let (Some(Effect::Shadow), Some((index, _))) = (score.effect(), score.rung()) else {
            continue;
        };
        let key: (PolicyName, u8) = (score.policy().name.clone(), index);
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
