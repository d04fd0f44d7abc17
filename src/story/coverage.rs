//! Coverage: which parts of the policies no story reached.
//!
//! Invariant: a part counts as reached when a decision's verdict shows it,
//! not when a test names it; so the list can only be too long.
//!
//! What else a policy is made of (exceptions, conditions) becomes a
//! [`Part`] of its own: list it in [`parts_of`], note it in [`Coverage::saw`].

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::model::{Intent, PolicyVerdict, Signal};
use crate::policy::{Policy, PolicySet};

/// A part of a policy that a story can reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Part {
    /// A rung was the highest that was reached.
    Rung {
        /// Its place in the policy, from 0, highest first.
        index: u8,
        /// The score it asks for.
        at: u8,
        /// Whether it asks a human.
        asks: bool,
    },
    /// A signal that the policy weighs was raised.
    Signal {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rung { at, asks, .. } => {
                let what = if *asks { "asks" } else { "does" };
                write!(f, "the rung at {at} ({what})")
            }
            Self::Signal { name } => f.write_str(name),
        }
    }
}

/// What the stories reached so far.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    rungs: BTreeSet<(String, u8)>,
    signals: BTreeSet<String>,
}

/// What was reached of a set, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoverageReport {
    /// Rungs in the set.
    pub rungs: usize,
    /// Of those, reached.
    pub rungs_reached: usize,
    /// Signals weighed, each once for each policy.
    pub signals: usize,
    /// Of those, raised.
    pub signals_raised: usize,
    /// What no story reached, by policy.
    pub missed: Vec<Missed>,
}

/// The parts of one policy that no story reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// The policy.
    pub policy: String,
    /// At least one.
    pub parts: Vec<Part>,
}

impl CoverageReport {
    /// The share of the rungs that stories reached, in whole percent, rounded
    /// down: 100 means all.
    pub fn percent(&self) -> u8 {
        let percent = (self.rungs_reached * 100).checked_div(self.rungs);
        u8::try_from(percent.unwrap_or(100)).unwrap_or(100)
    }
}

impl Coverage {
    /// Takes in what one policy said.
    pub(super) fn saw(&mut self, verdict: &PolicyVerdict) {
        if let Some(rung) = &verdict.rung {
            let policy = verdict.policy.as_str().to_owned();
            self.rungs.insert((policy, rung.index));
        }
    }

    /// Takes in a signal that was raised.
    pub(super) fn raised(&mut self, signal: &Signal) {
        self.signals.insert(signal.name.as_str().to_owned());
    }

    /// What is left of that set.
    pub fn report(&self, policies: &PolicySet) -> CoverageReport {
        let mut report = CoverageReport {
            rungs: 0,
            rungs_reached: 0,
            signals: 0,
            signals_raised: 0,
            missed: Vec::new(),
        };
        for policy in &policies.policies {
            let name = policy.name.as_str();
            let mut missed = Vec::new();
            for part in parts_of(policy) {
                let reached = match &part {
                    Part::Rung { index, .. } => {
                        let reached = self.rungs.contains(&(name.to_owned(), *index));
                        report.rungs += 1;
                        report.rungs_reached += usize::from(reached);
                        reached
                    }
                    Part::Signal { name } => {
                        let raised = self.signals.contains(name);
                        report.signals += 1;
                        report.signals_raised += usize::from(raised);
                        raised
                    }
                };
                if !reached {
                    missed.push(part);
                }
            }
            if !missed.is_empty() {
                report.missed.push(Missed {
                    policy: name.to_owned(),
                    parts: missed,
                });
            }
        }
        report
    }
}

/// Everything of a policy that a story can reach.
fn parts_of(policy: &Policy) -> Vec<Part> {
    let rungs = (0..).zip(&policy.rungs).map(|(index, rung)| Part::Rung {
        index,
        at: rung.at,
        asks: matches!(rung.intent, Intent::Ask { .. }),
    });
    let signals = policy.weights.keys().map(|name| Part::Signal {
        name: name.as_str().to_owned(),
    });
    rungs.chain(signals).collect()
}
