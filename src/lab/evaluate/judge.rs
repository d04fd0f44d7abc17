//! Judges deliveries by the daemon's own engine, and counts what comes of it.
//!
//! Invariant: the engine is called in one place, as the daemon calls it: in
//! the order of arrival, one memory a user, one state of the tenant. What is
//! known in truth is looked at only afterwards.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::people::{Delivery, Label};
use super::population::Truth;
use crate::detect::intel::Intel;
use crate::engine::{self, Given, Step};
use crate::model::{
    Decision, Effect, Event, Habits, Signal, Surroundings, UserId, UserMemory, hash_of,
};
use crate::policy::{PolicySet, Situation};

/// How many benign asks and acts are kept with their reasons.
const EXPLAINED_MAX: usize = 1_000;
/// Records of a generation of [`Origins`]: more than a day's.
const ORIGINS_MAX: usize = 400_000;

/// The engine with what it remembers.
pub(super) struct Engine<'a> {
    pub(super) intel: &'a Intel,
    pub(super) policies: &'a PolicySet,
    /// Whether habits are learned; without, nothing is ever "new".
    pub(super) learning: bool,
    memories: HashMap<UserId, UserMemory>,
    around: Surroundings,
}

impl<'a> Engine<'a> {
    pub(super) fn new(intel: &'a Intel, policies: &'a PolicySet, learning: bool) -> Self {
        Self {
            intel,
            policies,
            learning,
            memories: HashMap::new(),
            around: Surroundings::default(),
        }
    }

    /// One event, as the daemon judges it. Recorded evidence is judged as if
    /// it had just happened, so that the guard's word on its age is no part of
    /// the detection; [`Engine::is_stale`] says it separately.
    pub(super) fn judge(&mut self, event: &Event) -> Step {
        let given = Given {
            intel: self.intel,
            policies: self.policies,
            // Nothing is revoked here.
            revoked_at: None,
        };
        let user = &event.user().id;
        let memory = match self.memories.get_mut(user) {
            Some(memory) => memory,
            None => self.memories.entry(user.clone()).or_default(),
        };
        let mut step = engine::step(memory, &mut self.around, event, &given);
        self.around.settle();
        if !self.learning {
            memory.habits = Habits::default();
        }
        if let Some(decision) = &mut step.decision {
            let situation = Situation {
                now: decision.at,
                paused: false,
                acts_last_hour: 0,
            };
            engine::admit(decision, self.policies, &situation);
        }
        step
    }

    /// Whether the daemon would have asked instead, since the evidence came so
    /// late.
    fn is_stale(&self, decision: &Decision, arrives: Timestamp) -> bool {
        arrives.duration_since(decision.at) > self.policies.guard.stale_after
    }
}

/// What a habit came to.
#[derive(Debug, Default, Clone)]
pub(super) struct HabitTally {
    pub(super) events: u64,
    pub(super) asks: u64,
    pub(super) acts: u64,
    pub(super) signals: BTreeMap<Box<str>, u64>,
}

impl HabitTally {
    fn decided(&mut self, effect: Option<Effect>) {
        match effect {
            Some(Effect::Act) => self.acts += 1,
            Some(Effect::Ask) => self.asks += 1,
            Some(Effect::Shadow) | None => {}
        }
    }
}

/// What a run of an attack came to.
#[derive(Debug, Default, Clone)]
pub(super) struct RunTally {
    first: Option<Timestamp>,
    events: u64,
    /// The strongest so far.
    pub(super) effect: Option<Effect>,
    /// Events and seconds until the first ask or act.
    pub(super) reached: Option<(u64, i64)>,
    pub(super) score: u8,
    pub(super) signals: Vec<Box<str>>,
    pub(super) stale: bool,
    /// Asks and acts about the victim before the attack: their case may still
    /// have been open, and calls for nothing twice.
    pub(super) asked_before: u64,
}

/// A benign user who was asked about or acted on.
#[derive(Debug, Clone)]
pub(super) struct Alarm {
    pub(super) habit: &'static str,
    pub(super) decision: Decision,
}

/// Which habit a record belongs to: the evidence of one habit is often
/// completed by a record of another. Two generations are kept, since signals
/// reach back a day.
#[derive(Debug, Default)]
struct Origins {
    newer: HashMap<u64, &'static str>,
    older: HashMap<u64, &'static str>,
}

impl Origins {
    fn insert(&mut self, event: &Event, habit: &'static str) {
        if self.newer.len() >= ORIGINS_MAX {
            self.older = std::mem::take(&mut self.newer);
        }
        // A record that comes again keeps the habit it first came with.
        self.newer
            .entry(hash_of(event.record().as_str()))
            .or_insert(habit);
    }

    fn of(&self, signal: &Signal) -> Option<&'static str> {
        let record = hash_of(signal.record.as_str());
        let known = self.newer.get(&record).or_else(|| self.older.get(&record));
        known.copied()
    }
}

/// Everything counted.
#[derive(Debug)]
pub(super) struct Tally {
    truths: HashMap<UserId, Truth>,
    origins: Origins,
    pub(super) events: u64,
    pub(super) benign_events: u64,
    pub(super) habits: BTreeMap<&'static str, HabitTally>,
    pub(super) red_team: HabitTally,
    pub(super) runs: Vec<RunTally>,
    pub(super) alarms: Vec<Alarm>,
    /// Every signal by user, where a later pass re-scores them.
    pub(super) kept: Option<HashMap<UserId, Vec<Signal>>>,
}

impl Tally {
    pub(super) fn new(truths: HashMap<UserId, Truth>, runs: usize, keep: bool) -> Self {
        Self {
            truths,
            origins: Origins::default(),
            events: 0,
            benign_events: 0,
            habits: BTreeMap::new(),
            red_team: HabitTally::default(),
            runs: vec![RunTally::default(); runs],
            alarms: Vec::new(),
            kept: keep.then(HashMap::new),
        }
    }

    pub(super) fn truth(&self, user: &UserId) -> Truth {
        self.truths.get(user).copied().unwrap_or(Truth::Benign)
    }

    /// Forgets what was counted under a habit.
    pub(super) fn disregard(&mut self, habit: &str) {
        if let Some(counted) = self.habits.remove(habit) {
            self.benign_events -= counted.events;
        }
        self.alarms.retain(|alarm| alarm.habit != habit);
    }

    /// When the attack of a run first showed in the stream.
    pub(super) fn first_of(&self, run: usize) -> Option<Timestamp> {
        self.runs.get(run).and_then(|run| run.first)
    }

    /// Judges a delivery and counts it.
    pub(super) fn take(&mut self, engine: &mut Engine<'_>, delivery: Delivery) {
        let Delivery {
            arrives,
            event,
            label,
        } = delivery;
        let step = engine.judge(&event);
        self.events += 1;
        let user = &event.user().id;
        if let Some(kept) = &mut self.kept
            && !step.signals.is_empty()
        {
            let signals = kept.entry(user.clone()).or_default();
            signals.extend(step.signals.iter().cloned());
        }
        match (self.truth(user), label) {
            (Truth::Benign, Label::Benign(habit)) => {
                self.benign_events += 1;
                self.origins.insert(&event, habit);
                self.benign(habit, step);
            }
            (Truth::RedTeam, _) => {
                self.red_team.events += 1;
                let effect = step.decision.as_ref().map(|decision| decision.effect);
                self.red_team.decided(effect);
            }
            (Truth::Victim(run), label) => {
                let stale = step
                    .decision
                    .as_ref()
                    .is_some_and(|decision| engine.is_stale(decision, arrives));
                self.victim(run, label, &event, step, stale);
            }
            // The attacks stay with their victims; whom else a play names is
            // not counted.
            (Truth::Benign, Label::Attack(_)) => {}
        }
    }

    fn benign(&mut self, habit: &'static str, step: Step) {
        self.habits.entry(habit).or_default().events += 1;
        let mut cause = habit;
        for signal in &step.signals {
            cause = self.origins.of(signal).unwrap_or(habit);
            let counted = self.habits.entry(cause).or_default();
            *counted
                .signals
                .entry(signal.name.as_str().into())
                .or_default() += 1;
        }
        let Some(decision) = step.decision else {
            return;
        };
        let counted = self.habits.entry(cause).or_default();
        counted.decided(Some(decision.effect));
        if decision.effect > Effect::Shadow && self.alarms.len() < EXPLAINED_MAX {
            self.alarms.push(Alarm {
                habit: cause,
                decision,
            });
        }
    }

    /// An ordinary life before the attack is not counted; once it has begun,
    /// any decision about the victim counts for it.
    fn victim(&mut self, run: usize, label: Label, event: &Event, step: Step, stale: bool) {
        let Some(tally) = self.runs.get_mut(run) else {
            return;
        };
        if matches!(label, Label::Attack(_)) && !step.duplicate {
            tally.first = Some(
                tally
                    .first
                    .map_or(event.at(), |first| first.min(event.at())),
            );
            tally.events += u64::from(tally.reached.is_none());
        }
        let Some(decision) = step.decision else {
            return;
        };
        if decision.effect == Effect::Shadow {
            return;
        }
        let Some(first) = tally.first else {
            tally.asked_before += 1;
            return;
        };
        if tally.reached.is_none() {
            let seconds = decision.at.duration_since(first).as_secs().max(0);
            tally.reached = Some((tally.events, seconds));
        }
        if tally.effect < Some(decision.effect) {
            tally.effect = Some(decision.effect);
            tally.stale = stale;
            tally.score = decision.score;
            let mut names: Vec<Box<str>> = decision
                .signals
                .iter()
                .map(|signal| signal.name.as_str().into())
                .collect();
            names.sort();
            names.dedup();
            tally.signals = names;
        }
    }
}
