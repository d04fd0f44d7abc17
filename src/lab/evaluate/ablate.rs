//! What each part buys: the signals of one pass, scored again without it.
//!
//! Invariant: no second pass but for learning. A user's signals are grouped
//! into incidents as the engine does, by a day without any; each is scored by
//! the policies, changed. Counts are incidents, and a signal that Microsoft
//! withdrew later still counts here, so the first row is the one to compare
//! with.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::judge::Tally;
use super::population::Truth;
use crate::model::{Effect, Intent, Mode, Signal, SignalName, UserId, UserRef, limits};
use crate::policy::{self, Policy, PolicySet};

/// What the policies come to, changed in some way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Incidents of benign users.
    pub(super) asks: u64,
    pub(super) acts: u64,
    /// Runs of attacks that were at least asked about.
    pub(super) detected: u64,
    /// Runs that were acted on.
    pub(super) acted: u64,
}

/// One signal: the policies without it, and with nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    pub(super) signal: Box<str>,
    pub(super) without: Counts,
    pub(super) alone: Counts,
}

/// The whole beside its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Ablations {
    pub(super) everything: Counts,
    /// Every signal a kind of evidence of its own.
    pub(super) without_families: Counts,
    /// Of a second pass in which no habit is learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) without_learning: Option<Counts>,
    /// Every signal that was raised, by name.
    pub(super) signals: Vec<Part>,
}

/// A change of the policies.
enum Change<'a> {
    Nothing,
    NoFamilies,
    Only(&'a SignalName),
    Without(&'a SignalName),
}

/// Scores what was kept in every way; `None` where nothing was.
pub(super) fn ablations(tally: &Tally, policies: &PolicySet) -> Option<Ablations> {
    let kept = tally.kept.as_ref()?;
    let names: BTreeSet<&SignalName> = kept.values().flatten().map(|s| &s.name).collect();
    let counts = |change: Change<'_>| score(tally, kept, policies, &change);
    let part = |name: &SignalName| Part {
        signal: name.as_str().into(),
        without: counts(Change::Without(name)),
        alone: counts(Change::Only(name)),
    };
    Some(Ablations {
        everything: counts(Change::Nothing),
        without_families: counts(Change::NoFamilies),
        without_learning: None,
        signals: names.into_iter().map(part).collect(),
    })
}

/// Scores what was kept as it is: of another pass.
pub(super) fn whole(tally: &Tally, policies: &PolicySet) -> Option<Counts> {
    let kept = tally.kept.as_ref()?;
    Some(score(tally, kept, policies, &Change::Nothing))
}

fn score(
    tally: &Tally,
    kept: &HashMap<UserId, Vec<Signal>>,
    policies: &PolicySet,
    change: &Change<'_>,
) -> Counts {
    let mut row = Counts::default();
    let mut runs: BTreeMap<usize, Effect> = BTreeMap::new();
    for (user, signals) in kept {
        let truth = tally.truth(user);
        for effect in effects(user, signals, policies, change, truth, tally) {
            match (truth, effect) {
                (Truth::Benign, Effect::Act) => row.acts += 1,
                (Truth::Benign, Effect::Ask) => row.asks += 1,
                (Truth::Victim(run), effect) => {
                    let best = runs.entry(run).or_insert(effect);
                    *best = effect.max(*best);
                }
                (Truth::Benign | Truth::RedTeam, _) => {}
            }
        }
    }
    row.detected = runs.values().filter(|e| **e >= Effect::Ask).count() as u64;
    row.acted = runs.values().filter(|e| **e == Effect::Act).count() as u64;
    row
}

/// The strongest effect of each incident of a user.
fn effects(
    user: &UserId,
    signals: &[Signal],
    policies: &PolicySet,
    change: &Change<'_>,
    truth: Truth,
    tally: &Tally,
) -> Vec<Effect> {
    let from = match truth {
        Truth::Victim(run) => tally.first_of(run),
        Truth::Benign | Truth::RedTeam => None,
    };
    let mut counted: Vec<Signal> = signals
        .iter()
        .filter(|signal| from.is_none_or(|from| signal.at >= from))
        .filter(|signal| match change {
            Change::Nothing | Change::NoFamilies => true,
            Change::Only(name) => signal.name == **name,
            Change::Without(name) => signal.name != **name,
        })
        .cloned()
        .collect();
    counted.sort_by_key(|signal| signal.at);
    let who = UserRef {
        id: user.clone(),
        principal_name: "".into(),
        guest: false,
    };
    let reach = SignedDuration::from_hours(limits::INCIDENT_HOURS);
    counted
        .chunk_by(|a, b| b.at.duration_since(a.at) <= reach)
        .filter_map(|incident| {
            let ends: Vec<Timestamp> = incident.iter().map(|signal| signal.at).collect();
            let effect_of = |policy: &Policy| match change {
                Change::NoFamilies => without_families(policy, incident),
                _ => policy::evaluate(policy, &who, incident, &ends).effect,
            };
            policies.policies.iter().filter_map(effect_of).max()
        })
        .filter(|effect| *effect > Effect::Shadow)
        .collect()
}

/// Every signal by name as a kind of evidence of its own.
fn without_families(policy: &Policy, incident: &[Signal]) -> Option<Effect> {
    let best = incident.iter().filter_map(|last| {
        let weights: BTreeMap<&SignalName, u8> = incident
            .iter()
            .filter(|s| s.at <= last.at && last.at.duration_since(s.at) < policy.window)
            .filter_map(|s| Some((&s.name, policy.weights.get(&s.name)?.weight)))
            .collect();
        let missing: f64 = weights
            .values()
            .map(|weight| 1.0 - f64::from(*weight) / 100.0)
            .product();
        let score = ((1.0 - missing) * 100.0).round();
        policy
            .rungs
            .iter()
            .find(|rung| f64::from(rung.at) <= score && usize::from(rung.families) <= weights.len())
    });
    best.map(|rung| match (policy.mode, &rung.intent) {
        (Mode::Shadow, _) => Effect::Shadow,
        (Mode::Approve, _) | (Mode::Enforce, Intent::Ask { .. }) => Effect::Ask,
        (Mode::Enforce, Intent::Do) => Effect::Act,
    })
    .max()
}
