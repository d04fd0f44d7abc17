//! Policies: how much each signal weighs, and what to do at which score.
//!
//! ```text
//! *.yaml ─► yaml (tree with places) ─► compile (all problems at once) ─► PolicySet
//! PolicySet ─► score (signals → verdict) ─► guard (admit, demote, refuse)
//! ```
//!
//! Architecture invariant: a [`PolicySet`] is immutable and complete. It is
//! compiled whole or not at all, so a daemon that reloads keeps the last good
//! set; and nothing here knows a detector, reads a clock or does I/O.

pub mod condition;
pub mod guard;
pub mod score;

mod acted;
mod asides;
mod compile;
mod expiry;
mod explain;
pub(crate) mod fields;
mod lists;
pub(crate) mod problem;
mod rules;
mod schema;
mod scope;
mod shipped;
mod tuning;
mod why;
pub(crate) mod yaml;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::model::{ActionKind, Family, Intent, Mode, Parameters, PolicyName, SignalName};

pub use acted::{Acted, BUDGET_WINDOW};
pub use asides::{ask, observed};
pub use compile::{Include, Included, includes};
pub use condition::{Condition, Part, Subject, Undecided};
pub use expiry::expiring;
pub use explain::explain;
pub use guard::{Guard, Situation};
pub(crate) use problem::nearest;
pub use problem::{Place, PolicyErrors, Problem, Rule, obeyed};
pub use rules::{Level, RULES, RuleSpec};
pub use schema::{SignalDoc, schema};
pub use scope::{Scope, UserList};
pub use score::{Score, evaluate, scores};
pub(crate) use shipped::built_in;
pub use shipped::shipped;
pub use tuning::written;
pub use why::{Flip, Role, RungWhy, WeighedSignal, Why, why};

/// A policy file that was read: the input of [`PolicySet::compile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How messages name it, e.g. `policies/stolen-session.yaml`.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// A signal that some detector can raise. The caller knows the detectors;
/// policies are checked against this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSignal {
    /// Its name.
    pub name: &'static str,
    /// The kind of evidence it is.
    pub family: Family,
}

/// Everything that decides, compiled from one set of files.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySet {
    /// The policies by file name; at least one.
    pub policies: Vec<Policy>,
    /// What stands between a decision and an action.
    pub guard: Guard,
    /// The detectors' parameters.
    pub parameters: Parameters,
    /// The signals that authors define, by name.
    pub signals: Vec<CustomSignal>,
    /// Twelve hex digits, the same for the same texts wherever they lie.
    pub hash: Box<str>,
    /// What compiles but may not be meant.
    pub warnings: Vec<Problem>,
    /// Follows from the policies' weights.
    weighers: score::Weighers,
}

/// A signal that an author defines: a condition on one event.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomSignal {
    /// `custom.` and a name.
    pub name: SignalName,
    /// What it means, for a human.
    pub description: Box<str>,
    /// The kind of evidence that it is.
    pub family: Family,
    /// What it weighs where a policy says `default`, 1–100.
    pub weight: u8,
    /// When it is raised.
    pub when: Condition,
}

/// Whom or what a policy leaves out, for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// Unique in its policy.
    pub name: Box<str>,
    /// What must hold of the record of a signal for the policy not to count it.
    pub when: Condition,
    /// Who answers for it.
    pub owner: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// The last day on which it counts, in UTC, by the event's time.
    pub until: Date,
    /// The end of that day.
    ends: Timestamp,
    /// Where it stands, for messages.
    at: Problem,
}

/// One policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Unique in its set.
    pub name: PolicyName,
    /// For a human; may be empty.
    pub description: Box<str>,
    /// Whom to ask about it; may be empty.
    pub owner: Box<str>,
    /// What it may do at most.
    pub mode: Mode,
    /// How far apart signals may be to count together, 1 m to 72 h.
    pub window: SignedDuration,
    /// Whom it is about.
    pub scope: Scope,
    /// What must hold of the record of a signal for the policy to count it.
    pub when: Option<Condition>,
    /// What it leaves out although it would count it.
    pub exceptions: Vec<Exception>,
    /// A hash of its name, `when` and exceptions; `None` where it has neither.
    conditions: Option<u64>,
    /// The signals it weighs; at least one.
    pub weights: BTreeMap<SignalName, Weight>,
    /// Highest `at` first, each `at` once; at least one.
    pub rungs: Vec<Rung>,
    /// When its author would let it do more; `None` where none is set.
    pub promote: Option<Promotion>,
}

/// The bar that an author sets for a policy in shadow: how right it must have
/// been, by the judgement of humans. Nothing is promoted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promotion {
    /// The least share of its judged cases that were theft, in percent, 1–100.
    pub precision: u8,
    /// The least number of judged cases, 1–10,000.
    pub cases: u32,
}

/// What a signal counts in one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// The kind of evidence. Taken from the catalogue when the policy is
    /// compiled, so that what was checked then holds when it scores.
    pub family: Family,
    /// 1–100: the probability, in percent, that the signal alone means theft.
    pub weight: u8,
}

/// At this score, do this.
#[derive(Debug, Clone)]
pub struct Rung {
    /// The score it asks for, 1–100.
    pub at: u8,
    /// How many families must have contributed, from 1.
    pub families: u8,
    /// Do or ask.
    pub intent: Intent,
    /// What, in the order written; at least one, each once.
    pub actions: Vec<ActionKind>,
    /// Where each action stands, for messages.
    at_actions: Vec<Problem>,
}

impl PartialEq for Rung {
    /// By what it says, wherever it stands.
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.families, &self.intent, &self.actions)
            == (other.at, other.families, &other.intent, &other.actions)
    }
}

impl Rung {
    /// Its actions, each with the place where it stands and nothing said yet.
    pub fn placed(&self) -> impl Iterator<Item = (ActionKind, &Problem)> {
        self.actions.iter().copied().zip(&self.at_actions)
    }
}

/// The terms of a question to a human.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// How many different people must say yes, 1–5.
    pub approvers: u8,
    /// How long the question stands, in seconds; silence is a no.
    pub expires_seconds: u32,
}

impl Default for Ask {
    /// One person within half an hour.
    fn default() -> Self {
        Self {
            approvers: 1,
            expires_seconds: 30 * 60,
        }
    }
}

impl Ask {
    /// The terms on which a human is asked about a rung: its own, or the
    /// default for a rung that would act but for its policy's mode or the
    /// guard.
    pub fn of(intent: &Intent) -> Self {
        match *intent {
            Intent::Do => Self::default(),
            Intent::Ask {
                approvers,
                expires_seconds,
            } => Self {
                approvers,
                expires_seconds,
            },
        }
    }
}

#[cfg(test)]
mod bad_files;
#[cfg(test)]
mod compile_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile_tests;
