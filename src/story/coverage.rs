//! Coverage: which parts of the policies no story reached.
//!
//! Invariant: a part counts as reached when the engine shows it (a verdict, a
//! signal, what a condition said of one), not when a test names it; so the
//! list can only be too long. What the fortnight before a story reaches does
//! not count: no expectation speaks of it.
//!
//! What else a policy is made of becomes a [`Part`] of its own: list it in
//! [`Coverage::parts_of`], note it in [`Coverage::raised`] or [`Coverage::saw`].

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::expectation::Expectation;
use crate::model::{Intent, PolicyVerdict, ReservationGround, Signal};
use crate::policy::{Policy, PolicySet, Subject};

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
    /// An exception left out a signal that the policy weighs.
    Exception {
        /// Its name.
        name: String,
    },
    /// `when` held of one weighed signal and not of another.
    Condition {
        /// Whether it was seen to hold.
        held: bool,
        /// Whether it was seen not to hold.
        failed: bool,
    },
    /// A signal that the policy weighs was raised.
    Signal {
        /// Its name.
        name: String,
        /// Whether the set's author defined it.
        own: bool,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rung { at, asks, .. } => {
                let what = if *asks { "asks" } else { "does" };
                write!(f, "no story reaches the rung at {at} ({what})")
            }
            Self::Exception { name } => write!(f, "no story meets the exception {name}"),
            Self::Condition { held, failed } => f.write_str(match (held, failed) {
                (true, _) => "in no story `when` does not hold",
                (false, true) => "in no story `when` holds",
                (false, false) => "no story asks `when`",
            }),
            Self::Signal { name, .. } => write!(f, "no story raises {name}"),
        }
    }
}

/// What the stories reached so far.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    rungs: BTreeSet<(String, u8)>,
    exceptions: BTreeSet<(String, String)>,
    /// The policies whose `when` was seen to hold, and not to.
    held: BTreeSet<String>,
    failed: BTreeSet<String>,
    signals: BTreeSet<String>,
    /// The policies that expectations name.
    expected: BTreeSet<String>,
}

/// What of a policy is to be reached.
#[derive(Debug, Clone, Copy)]
pub enum Extent<'a> {
    /// All of it.
    Whole,
    /// What it has beyond this one, of which it is an override: the rest is
    /// tested where that one is.
    Beyond(&'a Policy),
    /// Nothing.
    Nothing,
}

/// How many of a kind of parts there are, and how many stories reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// In the policies.
    pub of: usize,
    /// Of those, reached.
    pub reached: usize,
}

/// What was reached of some policies, and what was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoverageReport {
    /// The policies it is about, by name in the set's order.
    pub policies: Vec<String>,
    /// Their rungs.
    pub rungs: Reached,
    /// Their exceptions.
    pub exceptions: Reached,
    /// Their `when`: reached where stories saw it hold and not hold.
    pub conditions: Reached,
    /// Signals that an author defined and they weigh, each once.
    pub own_signals: Reached,
    /// Signals that detectors raise and they weigh, each once for each policy.
    pub signals: Reached,
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
    /// The share of what the author wrote that stories reached: rungs,
    /// exceptions, conditions and own signals; in whole percent, rounded down,
    /// so that 100 means all. Detectors' signals do not count: they are
    /// tested where they are written.
    pub fn percent(&self) -> u8 {
        let kinds = [
            self.rungs,
            self.exceptions,
            self.conditions,
            self.own_signals,
        ];
        let reached: usize = kinds.iter().map(|kind| kind.reached).sum();
        let of: usize = kinds.iter().map(|kind| kind.of).sum();
        let percent = (reached * 100).checked_div(of);
        u8::try_from(percent.unwrap_or(100)).unwrap_or(100)
    }

    fn count(&mut self, part: &Part, reached: bool, first: bool) {
        let kind = match part {
            Part::Rung { .. } => &mut self.rungs,
            Part::Exception { .. } => &mut self.exceptions,
            Part::Condition { .. } => &mut self.conditions,
            Part::Signal { own: false, .. } => &mut self.signals,
            Part::Signal { own: true, .. } if first => &mut self.own_signals,
            Part::Signal { own: true, .. } => return,
        };
        kind.of += 1;
        kind.reached += usize::from(reached);
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

    /// Takes in an expectation: of which policies it speaks.
    pub(super) fn expected(&mut self, expectation: &Expectation) {
        self.expected
            .extend(expectation.policies().map(str::to_owned));
    }

    /// Takes in a signal that was raised by the subject, and what policies'
    /// conditions said of it.
    pub(super) fn raised(&mut self, signal: &Signal, subject: &Subject<'_>, set: &PolicySet) {
        self.signals.insert(signal.name.as_str().to_owned());
        let subject = Subject {
            signal: Some((signal.name.as_str(), signal.family)),
            ..*subject
        };
        for policy in &set.policies {
            let about = policy.scope.takes_in(subject.event.user());
            if !about || !policy.weights.contains_key(&signal.name) {
                continue;
            }
            let name = || policy.name.as_str().to_owned();
            let said = signal.reservation(&policy.name);
            if let Some(ReservationGround::Exception { name: exception }) = said {
                let exception = exception.to_string();
                self.exceptions.insert((name(), exception));
            }
            match said {
                Some(ReservationGround::When) => {
                    self.failed.insert(name());
                }
                // Also where the record behind the signal was not at hand.
                Some(ReservationGround::Undecided) => {}
                // A condition on sign-ins lets a detection of Microsoft's
                // through without having held of it.
                Some(ReservationGround::Exception { .. }) | None => {
                    let when = policy.when.as_ref();
                    if when.is_some_and(|when| when.ask(&subject) == Ok(true)) {
                        self.held.insert(name());
                    }
                }
            }
        }
    }

    /// Whether an expectation named the policy.
    pub fn names(&self, policy: &Policy) -> bool {
        self.expected.contains(policy.name.as_str())
    }

    /// What is left of a set, of each policy to that extent; `None` where no
    /// part is asked for.
    pub fn report<'b>(
        &self,
        set: &PolicySet,
        extent: impl Fn(&Policy) -> Extent<'b>,
    ) -> Option<CoverageReport> {
        let mut report = CoverageReport {
            policies: Vec::new(),
            rungs: Reached::default(),
            exceptions: Reached::default(),
            conditions: Reached::default(),
            own_signals: Reached::default(),
            signals: Reached::default(),
            missed: Vec::new(),
        };
        let mut own = BTreeSet::new();
        for policy in &set.policies {
            let parts = match extent(policy) {
                Extent::Whole => self.parts_of(policy, None, set),
                Extent::Beyond(base) => self.parts_of(policy, Some(base), set),
                Extent::Nothing => Vec::new(),
            };
            if parts.is_empty() {
                continue;
            }
            let name = policy.name.as_str().to_owned();
            report.policies.push(name.clone());
            let mut missed = Vec::new();
            for part in parts {
                let reached = self.reached(&name, &part);
                let first = match &part {
                    Part::Signal { name, own: true } => own.insert(name.clone()),
                    _ => true,
                };
                report.count(&part, reached, first);
                if !reached {
                    missed.push(part);
                }
            }
            if !missed.is_empty() {
                report.missed.push(Missed {
                    policy: name,
                    parts: missed,
                });
            }
        }
        (!report.policies.is_empty()).then_some(report)
    }

    fn reached(&self, policy: &str, part: &Part) -> bool {
        match part {
            Part::Rung { index, .. } => self.rungs.contains(&(policy.to_owned(), *index)),
            Part::Exception { name } => {
                let key = (policy.to_owned(), name.clone());
                self.exceptions.contains(&key)
            }
            Part::Condition { held, failed } => *held && *failed,
            Part::Signal { name, .. } => self.signals.contains(name),
        }
    }

    /// Everything of a policy that a story can reach, but what `base` has too.
    fn parts_of(&self, policy: &Policy, base: Option<&Policy>, set: &PolicySet) -> Vec<Part> {
        let new_rung = |rung| base.is_none_or(|base| !base.rungs.contains(rung));
        let rungs = (0..).zip(&policy.rungs);
        let rungs = rungs.filter(|(_, rung)| new_rung(*rung));
        let rungs = rungs.map(|(index, rung)| Part::Rung {
            index,
            at: rung.at,
            asks: matches!(rung.intent, Intent::Ask { .. }),
        });
        let exceptions = policy.exceptions.iter();
        let exceptions =
            exceptions.filter(|e| base.is_none_or(|base| !base.exceptions.contains(e)));
        let exceptions = exceptions.map(|exception| Part::Exception {
            name: exception.name.to_string(),
        });
        let when = policy.when.as_ref();
        let when = when.filter(|when| base.is_none_or(|base| base.when.as_ref() != Some(*when)));
        let condition = when.map(|_| Part::Condition {
            held: self.held.contains(policy.name.as_str()),
            failed: self.failed.contains(policy.name.as_str()),
        });
        let new_signal = |name| base.is_none_or(|base| !base.weights.contains_key(name));
        let signals = policy.weights.keys().filter(|name| new_signal(name));
        let signals = signals.map(|name| Part::Signal {
            name: name.as_str().to_owned(),
            own: set.signals.iter().any(|signal| signal.name == *name),
        });
        let before = rungs.chain(exceptions).chain(condition);
        before.chain(signals).collect()
    }
}
