//! One set of policies over the whole stream: what it remembers, and what it
//! would have done.
//!
//! Invariant: the engine and the guard are the daemon's, called as the daemon
//! calls them, and what an order comes to is the responder's own word
//! ([`Call::of`]). The clock is the evidence: every decision is judged as if
//! its events had just happened, so nothing is stale, and the guard's hourly
//! budget is counted in the time of the records.
//!
//! The tenant's memory is shared by all users, so users cannot be judged
//! apart: a side is one thread. It holds a memory for every user it meets.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::load::Questions;
use super::report::{CaseOutcome, Counts, DayRow, Input, PolicyRow, SideReport};
use super::waits;
use crate::detect::intel::Intel;
use crate::engine::{self, Given};
use crate::model::{
    Admission, CaseId, Decision, Effect, Event, GuardReason, PolicyName, Surroundings, UserId,
    UserMemory, UserRef, day_of,
};
use crate::policy::{self, Acted, BUDGET_WINDOW, PolicySet, Situation};
use crate::respond::forecast::Queued;
use crate::respond::lifecycle::Call;

/// Cases held with their reasons; about half a KiB each.
const CASES_MAX: usize = 100_000;
/// Actions held for the forecast; 24 bytes each.
const ACTIONS_MAX: usize = 2_000_000;

/// A set of policies, and how it is named.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where it is from: a folder, or "the shipped policies".
    pub from: String,
    /// The set.
    pub set: PolicySet,
}

/// An incident.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) user: UserRef,
    /// When anything was first called for.
    pub(super) first: Timestamp,
    pub(super) outcome: CaseOutcome,
    /// What each policy called for.
    policies: Vec<(PolicyName, Effect)>,
    /// Its question that is still open.
    question: Option<usize>,
    protected: bool,
}

#[derive(Debug, Default)]
struct Day {
    counts: Counts,
    policies: BTreeMap<PolicyName, Counts>,
}

/// What an order or a rung came to.
struct Called<'a> {
    effect: Effect,
    policy: &'a PolicyName,
    score: u8,
}

/// One set of policies with all it remembers.
pub(super) struct Side<'a> {
    rules: &'a Rules,
    intel: &'a Intel,
    memories: HashMap<UserId, UserMemory, ahash::RandomState>,
    around: Surroundings,
    acted: Acted,
    index: HashMap<CaseId, usize>,
    pub(super) cases: Vec<Case>,
    /// By day, as [`day_of`] counts.
    days: BTreeMap<i32, Day>,
    demoted: BTreeMap<&'static str, u64>,
    questions: Questions,
    unattended: Vec<Queued>,
    approved: Vec<Queued>,
    duplicates: u64,
    pub(super) left_out: u64,
}

impl<'a> Side<'a> {
    pub(super) fn new(rules: &'a Rules, intel: &'a Intel) -> Self {
        Self {
            rules,
            intel,
            memories: HashMap::default(),
            around: Surroundings::default(),
            acted: Acted::default(),
            index: HashMap::new(),
            cases: Vec::new(),
            days: BTreeMap::new(),
            demoted: BTreeMap::new(),
            questions: Questions::default(),
            unattended: Vec::new(),
            approved: Vec::new(),
            duplicates: 0,
            left_out: 0,
        }
    }

    /// Judges one event.
    pub(super) fn take(&mut self, event: &Event) {
        let user = &event.user().id;
        let memory = match self.memories.get_mut(user) {
            Some(memory) => memory,
            None => self.memories.entry(user.clone()).or_default(),
        };
        let given = Given {
            intel: self.intel,
            policies: &self.rules.set,
            // Nothing was revoked.
            revoked_at: None,
        };
        let step = engine::step(memory, &mut self.around, event, &given);
        self.around.settle();
        self.duplicates += u64::from(step.duplicate);
        if let Some(case) = step.withdrawn {
            self.withdraw(&case, event.at());
        }
        if let Some(mut decision) = step.decision {
            self.admit(&mut decision);
            self.decided(&decision);
        }
    }

    fn withdraw(&mut self, case: &CaseId, at: Timestamp) {
        let Some(case) = self.index.get(case).and_then(|at| self.cases.get_mut(*at)) else {
            return;
        };
        if let Some(question) = case.question.take() {
            self.questions.close(question, at);
        }
    }

    /// Asks the guard, as the daemon does. Records may be late, or dated far
    /// ahead: what is an hour off on either side does not count.
    fn admit(&mut self, decision: &mut Decision) {
        let now = decision.at;
        let within = |at: Timestamp| now.duration_since(at).abs() <= BUDGET_WINDOW;
        let situation = Situation {
            now,
            paused: false,
            acts_last_hour: self.acted.others(&decision.user.id, within),
        };
        engine::admit(decision, &self.rules.set, &situation);
        self.acted.take(decision, now);
    }

    fn decided(&mut self, decision: &Decision) {
        if let Admission::Demoted(reason) = decision.admission {
            *self.demoted.entry(reason.as_str()).or_default() += 1;
        }
        let called = self.called(decision);
        let Some(strongest) = called.iter().max_by_key(|c| (c.effect, c.score)) else {
            return;
        };
        let outcome = outcome(decision, strongest);
        let Some(place) = self.place(decision, &outcome) else {
            self.left_out += 1;
            return;
        };
        let Some(case) = self.cases.get_mut(place) else {
            return;
        };
        let day = day_of(decision.at);
        let tally = self.days.entry(day).or_default();
        for Called { effect, policy, .. } in &called {
            if case.policies.iter().all(|(_, before)| before != effect) {
                tally.counts.add(*effect);
            }
            let known = (PolicyName::clone(policy), *effect);
            if !case.policies.contains(&known) {
                let counts = tally.policies.entry(known.0.clone()).or_default();
                counts.add(*effect);
                case.policies.push(known);
            }
        }
        case.protected |= matches!(decision.admission, Admission::Refused(_));
        if outcome.effect > case.outcome.effect {
            case.outcome = outcome;
        }
        self.ask(decision, place);
    }

    /// The case of a decision; `None` where there is no room for a new one.
    fn place(&mut self, decision: &Decision, outcome: &CaseOutcome) -> Option<usize> {
        if let Some(place) = self.index.get(&decision.case) {
            return Some(*place);
        }
        if self.cases.len() == CASES_MAX {
            return None;
        }
        let place = self.cases.len();
        self.index.insert(decision.case, place);
        self.cases.push(Case {
            user: decision.user.clone(),
            first: decision.at,
            outcome: outcome.clone(),
            policies: Vec::new(),
            question: None,
            protected: false,
        });
        Some(place)
    }

    /// What a decision comes to: order by order, then by the policies without one.
    fn called<'d>(&mut self, decision: &'d Decision) -> Vec<Called<'d>> {
        let mut called = Vec::new();
        for order in &decision.orders {
            let queued = Queued {
                at: decision.at,
                score: order.score,
                kind: order.kind,
            };
            let call = Call::of(order.kind, &decision.user, order.effect, decision.admission);
            let effect = match call {
                Some(Call::Act) => Effect::Act,
                Some(Call::Ask | Call::ActAfterAsking) => Effect::Ask,
                Some(Call::Refuse) | None => Effect::Shadow,
            };
            if effect > Effect::Shadow && self.approved.len() < ACTIONS_MAX {
                self.approved.push(queued);
                if effect == Effect::Act {
                    self.unattended.push(queued);
                }
            }
            called.push(Called {
                effect,
                policy: &order.policy,
                score: order.score,
            });
        }
        // A policy that agrees with the one whose order stands has called for
        // it too, and one in shadow would have.
        let orders = called.len();
        for verdict in &decision.verdicts {
            let Some(effect) = verdict.effect else {
                continue;
            };
            let policy = &verdict.policy;
            if called[..orders].iter().all(|order| order.policy != policy) {
                called.push(Called {
                    effect: admitted(effect, decision.admission),
                    policy,
                    score: verdict.score,
                });
            }
        }
        called
    }

    /// A question takes the place of the one that its case still has open.
    fn ask(&mut self, decision: &Decision, place: usize) {
        let asked = decision.orders.iter().filter(|order| {
            let (user, admission) = (&decision.user, decision.admission);
            let call = Call::of(order.kind, user, order.effect, admission);
            matches!(call, Some(Call::Ask | Call::ActAfterAsking))
        });
        let Some(expires) = asked.map(|order| order.expires_seconds).max() else {
            return;
        };
        let Some(case) = self.cases.get_mut(place) else {
            return;
        };
        if let Some(open) = case.question.take() {
            self.questions.close(open, decision.at);
        }
        case.question = self.questions.open(decision.at, expires);
    }

    /// What it all came to.
    pub(super) fn report(&self, input: &Input) -> SideReport {
        let mut cases = Counts::default();
        for case in &self.cases {
            cases.add(case.outcome.effect);
        }
        let mut by_policy: BTreeMap<&PolicyName, Counts> = BTreeMap::new();
        for (policy, counts) in self.days.values().flat_map(|day| &day.policies) {
            let sum = by_policy.entry(policy).or_default();
            sum.acted += counts.acted;
            sum.asked += counts.asked;
            sum.shadow += counts.shadow;
        }
        let row = |policy: &policy::Policy| PolicyRow {
            policy: policy.name.to_string(),
            mode: policy.mode,
            counts: by_policy.get(&policy.name).copied().unwrap_or_default(),
        };
        let day_row = |(day, tally): (&i32, &Day)| DayRow {
            day: date(*day),
            counts: tally.counts,
            policies: tally
                .policies
                .iter()
                .map(|(policy, counts)| (policy.to_string(), *counts))
                .collect(),
        };
        SideReport {
            policies_from: self.rules.from.clone(),
            policy_set: self.rules.set.hash.to_string(),
            cases,
            protected: self.cases.iter().filter(|case| case.protected).count() as u64,
            demoted: self.demoted.clone(),
            policies: self.rules.set.policies.iter().map(row).collect(),
            days: self.days.iter().map(day_row).collect(),
            approvers: self.questions.load(input),
            graph: waits::quotas(&self.unattended, &self.approved),
            duplicates: self.duplicates,
            users: self.memories.len() as u64,
        }
    }
}

fn outcome(decision: &Decision, strongest: &Called<'_>) -> CaseOutcome {
    let verdict = decision
        .verdicts
        .iter()
        .find(|verdict| verdict.policy == *strongest.policy);
    CaseOutcome {
        case: decision.case,
        effect: strongest.effect,
        at: decision.at,
        score: strongest.score,
        reason: verdict.map(policy::explain).unwrap_or_default(),
        guard: word(decision.admission),
    }
}

/// `2026-11-24`.
fn date(day: i32) -> String {
    let midnight = Timestamp::from_second(i64::from(day) * 86_400);
    // The first day that can be told has no midnight.
    midnight
        .unwrap_or(Timestamp::MIN)
        .strftime("%Y-%m-%d")
        .to_string()
}

fn word(admission: Admission) -> Option<GuardReason> {
    match admission {
        Admission::Admitted => None,
        Admission::Demoted(reason) | Admission::Refused(reason) => Some(reason),
    }
}

/// What is left of an effect after the guard's word.
fn admitted(effect: Effect, admission: Admission) -> Effect {
    match admission {
        Admission::Admitted => effect,
        Admission::Demoted(_) => effect.min(Effect::Ask),
        Admission::Refused(_) => Effect::Shadow,
    }
}
