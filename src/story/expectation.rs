//! Expectations: `act by stolen-session, score >= 85, with session_hosting`.
//!
//! Clauses between commas, each of which must hold of everything that happened
//! since the expectation before. Invariant: what is not said is not asked. So
//! `ask by P` speaks of that policy alone, whatever the others do, and `ask`
//! of the strongest there is: a new policy breaks no test of another.

use std::collections::BTreeSet;

use super::cast::Cast;
use super::risk::misspelt_risk;
use super::words::Fault;
use crate::model::{ActionKind, Effect, GuardReason};
use crate::policy::problem::{nearest, suggestion};
use crate::policy::{Policy, PolicySet};
use crate::ruleset;

/// What an expectation may say of the outcome, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// No policy newly calls for anything.
    Nothing,
    /// Recorded, and that is all.
    Shadow,
    /// The guard let nothing through.
    Refused,
    Ask,
    Act,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Nothing,
        Self::Shadow,
        Self::Refused,
        Self::Ask,
        Self::Act,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Shadow => "shadow",
            Self::Refused => "refused",
            Self::Ask => "ask",
            Self::Act => "act",
        }
    }
}

impl From<Effect> for Outcome {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Shadow => Self::Shadow,
            Effect::Ask => Self::Ask,
            Effect::Act => Self::Act,
        }
    }
}

/// How a score is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    AtLeast,
    AtMost,
    Above,
    Below,
    Exactly,
}

impl Comparison {
    /// The two-letter ones first, so that `>` does not hide `>=`.
    const ALL: [(&'static str, Self); 7] = [
        ("≥", Self::AtLeast),
        ("≤", Self::AtMost),
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::Above),
        ("<", Self::Below),
        ("=", Self::Exactly),
    ];

    pub(super) fn holds(self, actual: u8, expected: u8) -> bool {
        match self {
            Self::AtLeast => actual >= expected,
            Self::AtMost => actual <= expected,
            Self::Above => actual > expected,
            Self::Below => actual < expected,
            Self::Exactly => actual == expected,
        }
    }
}

/// One clause, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    Outcome {
        outcome: Outcome,
        policy: Option<String>,
        /// Exactly these, where they are said.
        actions: BTreeSet<ActionKind>,
        /// Why the guard refused.
        reason: Option<GuardReason>,
    },
    Demoted(GuardReason),
    Score {
        comparison: Comparison,
        value: u8,
        policy: Option<String>,
    },
    With(String),
    Without(String),
    /// The question is taken back.
    Withdrawn,
    /// An exception left a signal out: of that policy, or of any.
    Excepted {
        exception: String,
        policy: Option<String>,
    },
    /// `when` left a signal out: of that policy, or of any.
    LeftAside {
        policy: Option<String>,
    },
}

/// A clause with the words it was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) words: String,
    pub(super) claim: Claim,
}

/// What is expected, of one person or of everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expectation {
    pub(super) person: Option<String>,
    pub(super) clauses: Vec<Clause>,
}

impl Expectation {
    /// The policies that it speaks of.
    pub(super) fn policies(&self) -> impl Iterator<Item = &str> {
        self.clauses
            .iter()
            .filter_map(|clause| match &clause.claim {
                Claim::Outcome { policy, .. } => policy.as_deref(),
                _ => None,
            })
    }
}

/// What the names of an expectation are checked against.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) cast: &'a Cast,
    pub(super) policies: &'a PolicySet,
}

/// Reads an expectation; every clause that is wrong is a fault.
pub(super) fn read(text: &str, names: Names<'_>) -> Result<Expectation, Vec<Fault>> {
    let mut found = Expectation {
        person: None,
        clauses: Vec::new(),
    };
    let mut faults = Vec::new();
    let mut policy = None;
    let mut from = 0;
    for written in text.split(',') {
        let length = written.chars().count();
        let lead = length - written.trim_start().chars().count();
        let reader = Reader {
            from: from + lead,
            words: written.trim(),
            names,
        };
        from += length + 1;
        if let Err(fault) = reader.clause(&mut found, &mut policy) {
            faults.push(fault);
        }
    }
    if faults.is_empty() && found.clauses.is_empty() {
        faults.push(Fault {
            from: 0,
            width: text.chars().count(),
            message: "nothing is expected".to_owned(),
            hint: "expected e.g. `act by stolen-session, score >= 85`, or `nothing`".to_owned(),
        });
    }
    if faults.is_empty() {
        Ok(found)
    } else {
        Err(faults)
    }
}

/// One clause on its way.
struct Reader<'a> {
    from: usize,
    words: &'a str,
    names: Names<'a>,
}

/// How a clause begins.
const FIRST_WORDS: [&str; 13] = [
    "nothing",
    "shadow",
    "refused",
    "ask",
    "act",
    "demoted",
    "score",
    "with",
    "without",
    "withdrawn",
    "excepted",
    "left",
    "for",
];
const CLAUSES: &str = "expected `act`, `ask`, `shadow`, `refused` or `nothing` (`… by POLICY`, \
     `… to ACTION and ACTION`), `demoted (REASON)`, `score >= 85`, `with SIGNAL`, \
     `without SIGNAL`, `withdrawn`, `excepted by EXCEPTION`, `left aside by when` or \
     `for PERSON`";

impl Reader<'_> {
    fn clause(&self, found: &mut Expectation, policy: &mut Option<String>) -> Result<(), Fault> {
        let (first, rest) = split(self.words);
        let outcome = Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == first);
        if let Some(outcome) = outcome {
            let claim = self.outcome(outcome, rest)?;
            if let Claim::Outcome {
                policy: Some(named),
                ..
            } = &claim
            {
                *policy = Some(named.clone());
            }
            found.clauses.push(self.say(claim));
            return Ok(());
        }
        match first {
            "score" => {
                let claim = self.score(rest, policy.clone())?;
                found.clauses.push(self.say(claim));
            }
            "with" | "without" => {
                for name in rest.split(" and ").map(str::trim) {
                    self.signal(name)?;
                    let claim = match first {
                        "with" => Claim::With(name.to_owned()),
                        _ => Claim::Without(name.to_owned()),
                    };
                    found.clauses.push(Clause {
                        words: format!("{first} {name}"),
                        claim,
                    });
                }
            }
            "demoted" => {
                let reason = self.reason(rest)?.ok_or_else(|| {
                    self.fault(rest, "it is not said why", "expected `(stale_event)`")
                })?;
                found.clauses.push(self.say(Claim::Demoted(reason)));
            }
            "excepted" => {
                let exception = self.exception(rest, policy.as_deref())?;
                found.clauses.push(self.say(Claim::Excepted {
                    exception,
                    policy: policy.clone(),
                }));
            }
            "left" => {
                self.conditional(rest, policy.as_deref())?;
                found.clauses.push(self.say(Claim::LeftAside {
                    policy: policy.clone(),
                }));
            }
            "withdrawn" if rest.is_empty() => found.clauses.push(self.say(Claim::Withdrawn)),
            "for" => {
                let people: Vec<&str> = self.names.cast.people.keys().map(String::as_str).collect();
                if !people.contains(&rest) {
                    let hint = suggestion(rest, &people);
                    return Err(self.fault(rest, format!("`{rest}` is not a person"), hint));
                }
                found.person = Some(rest.to_owned());
            }
            "" => return Err(self.fault(self.words, "a clause is empty", CLAUSES)),
            other => {
                let message = format!("`{other}` is nothing to expect");
                let hint = match nearest(other, FIRST_WORDS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => CLAUSES.to_owned(),
                };
                return Err(self.fault(other, message, hint));
            }
        }
        Ok(())
    }

    fn say(&self, claim: Claim) -> Clause {
        Clause {
            words: self.words.to_owned(),
            claim,
        }
    }

    fn outcome(&self, outcome: Outcome, rest: &str) -> Result<Claim, Fault> {
        let mut rest = rest;
        let reason = if rest.starts_with('(') {
            let end = rest.find(')').map_or(rest.len(), |end| end + 1);
            let reason = self.reason(&rest[..end])?;
            rest = rest[end..].trim_start();
            reason
        } else {
            None
        };
        let mut policy = None;
        if let Some(after) = rest.strip_prefix("by ") {
            let (name, after) = split(after.trim_start());
            let policies = &self.names.policies.policies;
            let known: Vec<&str> = policies.iter().map(|p| p.name.as_str()).collect();
            if !known.contains(&name) {
                let hint = suggestion(name, &known);
                return Err(self.fault(name, format!("`{name}` is not a policy"), hint));
            }
            policy = Some(name.to_owned());
            rest = after;
        }
        let mut actions = BTreeSet::new();
        if let Some(after) = rest.strip_prefix("to ") {
            for name in after.split(" and ").map(str::trim) {
                let action: Result<ActionKind, _> = name.parse();
                let Ok(action) = action else {
                    let known = ActionKind::ALL.map(ActionKind::as_str);
                    let hint = suggestion(name, &known);
                    return Err(self.fault(name, format!("`{name}` is not an action"), hint));
                };
                actions.insert(action);
            }
            rest = "";
        }
        if !rest.is_empty() {
            let hint = "expected `by POLICY`, then `to ACTION and ACTION`";
            return Err(self.fault(rest, format!("`{rest}` does not belong here"), hint));
        }
        Ok(Claim::Outcome {
            outcome,
            policy,
            actions,
            reason,
        })
    }

    fn score(&self, rest: &str, policy: Option<String>) -> Result<Claim, Fault> {
        let found = Comparison::ALL
            .iter()
            .find_map(|(sign, how)| Some((*how, rest.strip_prefix(sign)?.trim_start())));
        let (comparison, number) = found.unwrap_or((Comparison::Exactly, rest));
        match number.parse::<u8>().ok().filter(|value| *value <= 100) {
            Some(value) => Ok(Claim::Score {
                comparison,
                value,
                policy,
            }),
            None => Err(self.fault(
                rest,
                format!("`{rest}` is no score"),
                "expected e.g. `score >= 85`, from 0 to 100",
            )),
        }
    }

    /// A signal that a detector raises, that a policy weighs, or Microsoft's.
    fn signal(&self, name: &str) -> Result<(), Fault> {
        let known = ruleset::known_signals();
        let mut names: Vec<&str> = known.iter().map(|known| known.name).collect();
        for policy in &self.names.policies.policies {
            names.extend(policy.weights.keys().map(crate::model::SignalName::as_str));
        }
        let own = &self.names.policies.signals;
        names.extend(own.iter().map(|signal| signal.name.as_str()));
        if names.contains(&name) {
            return Ok(());
        }
        // Microsoft's types are an open set.
        let kind = name.strip_prefix("risk.").filter(|kind| !kind.is_empty());
        if kind.is_some_and(|kind| misspelt_risk(kind).is_none()) {
            return Ok(());
        }
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "docs/signals.md lists them".to_owned(),
        };
        Err(self.fault(name, format!("`{name}` is not a signal"), hint))
    }

    /// `by NAME`: an exception of the policy that was named, or of any.
    fn exception(&self, rest: &str, policy: Option<&str>) -> Result<String, Fault> {
        let Some(name) = rest.strip_prefix("by ").map(str::trim) else {
            let hint = "expected `excepted by EXCEPTION`, by its name";
            return Err(self.fault(self.words, "it is not said by which exception", hint));
        };
        let exceptions = self.policies(policy).flat_map(|policy| &policy.exceptions);
        let known: Vec<&str> = exceptions.map(|exception| &*exception.name).collect();
        if known.contains(&name) {
            return Ok(name.to_owned());
        }
        let (message, hint) = match policy {
            Some(policy) => (
                format!("`{policy}` has no exception `{name}`"),
                "it has none: write `except:` into it",
            ),
            None => (
                format!("`{name}` is not an exception"),
                "no policy has one: write `except:` into it",
            ),
        };
        let hint = if known.is_empty() {
            hint.to_owned()
        } else {
            suggestion(name, &known)
        };
        Err(self.fault(name, message, hint))
    }

    /// `aside by when`, of a policy that has one.
    fn conditional(&self, rest: &str, policy: Option<&str>) -> Result<(), Fault> {
        if rest.split_whitespace().ne(["aside", "by", "when"]) {
            let hint = "expected `left aside by when`, or `excepted by EXCEPTION`";
            return Err(self.fault(self.words, "it is not said what leaves aside", hint));
        }
        if self.policies(policy).any(|policy| policy.when.is_some()) {
            return Ok(());
        }
        let message = match policy {
            Some(policy) => format!("`{policy}` has no `when`"),
            None => "no policy has a `when`".to_owned(),
        };
        Err(self.fault("when", message, "write `when:` into the policy"))
    }

    /// The policy of that name, or all.
    fn policies(&self, named: Option<&str>) -> impl Iterator<Item = &Policy> {
        let policies = self.names.policies.policies.iter();
        policies.filter(move |policy| named.is_none_or(|named| policy.name.as_str() == named))
    }

    fn reason(&self, text: &str) -> Result<Option<GuardReason>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let inside = text.trim_start_matches('(').trim_end_matches(')');
        let found = GuardReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == inside);
        if found.is_none() {
            let known = GuardReason::ALL.map(GuardReason::as_str);
            let message = format!("`{inside}` is no reason of the guard's");
            return Err(self.fault(text, message, suggestion(inside, &known)));
        }
        Ok(found)
    }

    /// A fault at a part of the clause.
    fn fault(&self, part: &str, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        let before = self.words.find(part).unwrap_or(0);
        Fault {
            from: self.from + self.words[..before].chars().count(),
            width: part.chars().count().max(1),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// The first word, and what follows.
fn split(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((first, rest)) => (first, rest.trim_start()),
        None => (text, ""),
    }
}
