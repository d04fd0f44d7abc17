//! Telling a story: its records through the decoder and the engine, and what
//! came of them against what was expected.
//!
//! Architecture invariant: this is the daemon's way from a record to a
//! decision (decode, `engine::step`, `engine::admit`) with nothing of its own
//! in between. Each story begins with an empty memory, so no story depends on
//! another, and with the fortnight in which its people became known.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::cast::Cast;
use super::coverage::Coverage;
use super::events::Recorder;
use super::expectation::{Claim, Clause, Expectation, Outcome};
use super::parse::{Moment, Story, Suite, time};
use super::sentence::{Act, Deed, What};
use crate::detect::intel::Intel;
use crate::engine::{self, Given};
use crate::ingest::entra;
use crate::model::{
    ActionKind, Admission, Decision, Effect, Event, PolicyVerdict, Signal, Surroundings, UserId,
    UserMemory, UserRef,
};
use crate::policy::{self, PolicySet, Situation};

/// Days on which people worked before a story: one more than
/// `learning.period` asks for, so that everybody is known.
const DAYS_BEFORE: i64 = 15;
const DAY_SECONDS: i64 = 86_400;
/// When people begin to work on those days: eight o'clock.
const MORNING_SECOND: i64 = 8 * 3_600;
/// For how long an unattended act counts in the guard's budget.
const BUDGET: SignedDuration = SignedDuration::from_hours(1);

/// How a story went.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// Its file.
    pub path: String,
    /// The line on which it begins.
    pub line: u32,
    /// Its name.
    pub story: String,
    /// Expectations in it.
    pub expectations: usize,
    /// Those that did not hold.
    pub failures: Vec<Failure>,
}

impl Told {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// An expectation that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The line it stands on.
    pub line: u32,
    /// The expectation, as written.
    pub expected: String,
    /// Each clause that did not hold, with what was instead.
    pub differences: Vec<Difference>,
    /// What was seen since the expectation before: signals with their
    /// evidence, the arithmetic of each policy, the guard's word.
    pub trace: Vec<String>,
}

/// What was expected and what was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The clause.
    pub expected: String,
    /// What was instead, in the same words.
    pub actual: String,
}

/// Tells the story with that index in its suite; `None` where there is none.
pub fn tell(
    suite: &Suite,
    index: usize,
    policies: &PolicySet,
    coverage: &mut Coverage,
) -> Option<Told> {
    let story = suite.stories.get(index)?;
    let mut teller = Teller::new(&suite.cast, policies, coverage);
    teller.fortnight(story);
    let mut told = Told {
        path: suite.path.clone(),
        line: story.line,
        story: story.name.clone(),
        expectations: 0,
        failures: Vec::new(),
    };
    let mut before_was_expected = false;
    for moment in &story.moments {
        let expected = matches!(moment, Moment::Expected { .. });
        if before_was_expected && !expected {
            teller.since = Since::default();
        }
        before_was_expected = expected;
        match moment {
            Moment::Happens { at, what, arrives } => teller.happens(what, *at, *arrives),
            Moment::Recorded(events) => {
                for event in events {
                    teller.take(event, event.at());
                }
            }
            Moment::Expected {
                line,
                words,
                expectation,
            } => {
                told.expectations += 1;
                let differences = teller.differences(expectation);
                if !differences.is_empty() {
                    told.failures.push(Failure {
                        line: *line,
                        expected: words.clone(),
                        differences,
                        trace: teller.trace(expectation),
                    });
                }
            }
        }
    }
    Some(told)
}

/// What happened since the expectation before.
#[derive(Debug, Default)]
struct Since {
    decisions: Vec<Decision>,
    signals: Vec<(UserId, Signal)>,
    withdrawn: BTreeSet<UserId>,
}

struct Teller<'a> {
    cast: &'a Cast,
    policies: &'a PolicySet,
    coverage: &'a mut Coverage,
    intel: Intel,
    recorder: Recorder<'a>,
    memories: BTreeMap<UserId, UserMemory>,
    users: BTreeMap<UserId, UserRef>,
    around: Surroundings,
    revoked: BTreeMap<UserId, Timestamp>,
    acts: Vec<(Timestamp, UserId)>,
    paused: bool,
    since: Since,
}

impl<'a> Teller<'a> {
    fn new(cast: &'a Cast, policies: &'a PolicySet, coverage: &'a mut Coverage) -> Self {
        Self {
            cast,
            policies,
            coverage,
            intel: cast.intel(),
            recorder: Recorder::new(cast),
            memories: BTreeMap::new(),
            users: BTreeMap::new(),
            around: Surroundings::default(),
            revoked: BTreeMap::new(),
            acts: Vec::new(),
            paused: false,
            since: Since::default(),
        }
    }

    /// Everybody who is named works from home on their own machine, and does
    /// what is `given` besides.
    fn fortnight(&mut self, story: &Story) {
        let people = people_of(story);
        for day in -DAYS_BEFORE..0 {
            let mut second = day * DAY_SECONDS + MORNING_SECOND;
            for key in &people {
                let person = &self.cast.people[key];
                if person.new || person.service {
                    continue;
                }
                let mut deed = Deed::new(Act::SignIn { code: 0 });
                deed.who.clone_from(key);
                self.happens(&What::Deed(deed), time(second), time(second));
                second += 60;
            }
            for what in &story.given {
                second += 15 * 60;
                self.happens(what, time(second), time(second));
            }
        }
        self.since = Since::default();
        self.acts.clear();
    }

    fn happens(&mut self, what: &What, at: Timestamp, arrives: Timestamp) {
        match what {
            What::Revoked { who } => {
                let user = UserId::new(self.cast.people[who].id.as_str());
                self.revoked.insert(user, at);
            }
            What::Paused => self.paused = true,
            _ => {}
        }
        for record in self.recorder.records(what, at) {
            let decoded = entra::decode(record.to_string().as_bytes());
            for (_, event) in decoded.events {
                self.take(&event, arrives);
            }
        }
    }

    /// One event, as the pipeline takes it.
    fn take(&mut self, event: &Event, arrives: Timestamp) {
        let user = event.user();
        self.users.insert(user.id.clone(), user.clone());
        let given = Given {
            intel: &self.intel,
            policies: self.policies,
            revoked_at: self.revoked.get(&user.id).copied(),
        };
        let memory = self.memories.entry(user.id.clone()).or_default();
        let step = engine::step(memory, &mut self.around, event, &given);
        self.around.settle();
        for signal in &step.signals {
            self.coverage.raised(signal);
            self.since.signals.push((user.id.clone(), signal.clone()));
        }
        if step.withdrawn.is_some() {
            self.since.withdrawn.insert(user.id.clone());
        }
        let Some(mut decision) = step.decision else {
            return;
        };
        let now = arrives.max(event.at());
        let situation = Situation {
            now,
            paused: self.paused,
            acts_last_hour: self.acts_before(now, &user.id),
        };
        engine::admit(&mut decision, self.policies, &situation);
        if decision.effect == Effect::Act {
            self.acts.push((now, user.id.clone()));
        }
        for verdict in &decision.verdicts {
            self.coverage.saw(verdict);
        }
        self.since.decisions.push(decision);
    }

    fn acts_before(&self, now: Timestamp, user: &UserId) -> u32 {
        let recent = |act: &&(Timestamp, UserId)| now.duration_since(act.0) <= BUDGET;
        let users: BTreeSet<&UserId> = self
            .acts
            .iter()
            .filter(recent)
            .map(|(_, acted_on)| acted_on)
            .filter(|acted_on| *acted_on != user)
            .collect();
        u32::try_from(users.len()).unwrap_or(u32::MAX)
    }

    fn seen<'s>(&'s self, expectation: &Expectation) -> Seen<'s> {
        let only = expectation
            .person
            .as_ref()
            .map(|key| UserId::new(self.cast.people[key].id.as_str()));
        let counts = |user: &UserId| only.as_ref().is_none_or(|only| only == user);
        let decisions: Vec<&Decision> = self
            .since
            .decisions
            .iter()
            .filter(|decision| counts(&decision.user.id))
            .collect();
        let signals: Vec<&(UserId, Signal)> = self
            .since
            .signals
            .iter()
            .filter(|(user, _)| counts(user))
            .collect();
        let verdicts = if decisions.is_empty() {
            self.verdicts(&signals)
        } else {
            let all = decisions.iter().flat_map(|d| &d.verdicts);
            all.cloned().collect()
        };
        Seen {
            decisions,
            signals,
            verdicts,
            withdrawn: self.since.withdrawn.iter().any(counts),
        }
    }

    /// What the policies say though nothing was decided: how near it was.
    fn verdicts(&self, signals: &[&(UserId, Signal)]) -> Vec<PolicyVerdict> {
        let mut verdicts = Vec::new();
        let users: BTreeSet<&UserId> = signals.iter().map(|(user, _)| user).collect();
        for user in users {
            let ends: Vec<Timestamp> = signals
                .iter()
                .filter(|(of, _)| of == user)
                .map(|(_, signal)| signal.at)
                .collect();
            let (Some(memory), Some(user)) = (self.memories.get(user), self.users.get(user)) else {
                continue;
            };
            let policies = self.policies.policies.iter();
            verdicts.extend(policies.map(|p| policy::evaluate(p, user, &memory.signals, &ends)));
        }
        verdicts
    }

    fn differences(&self, expectation: &Expectation) -> Vec<Difference> {
        let seen = self.seen(expectation);
        let clauses = expectation.clauses.iter();
        clauses
            .filter_map(|clause| {
                Some(Difference {
                    expected: clause.words.clone(),
                    actual: seen.against(clause)?,
                })
            })
            .collect()
    }

    fn trace(&self, expectation: &Expectation) -> Vec<String> {
        let seen = self.seen(expectation);
        let mut lines: Vec<String> = seen
            .signals
            .iter()
            .map(|(_, signal)| format!("{:<24} {}", signal.name.as_str(), signal.evidence))
            .collect();
        if lines.is_empty() {
            lines.push("no signal was raised".to_owned());
        }
        let weighed = seen.verdicts.iter().filter(|v| !v.families.is_empty());
        lines.extend(weighed.map(policy::explain));
        for decision in &seen.decisions {
            match decision.admission {
                Admission::Admitted => {}
                Admission::Demoted(reason) => {
                    lines.push(format!("guard: a human is asked first ({reason})"));
                }
                Admission::Refused(reason) => lines.push(format!("guard: refused ({reason})")),
            }
        }
        lines
    }
}

/// What an expectation is held against.
struct Seen<'s> {
    decisions: Vec<&'s Decision>,
    signals: Vec<&'s (UserId, Signal)>,
    verdicts: Vec<PolicyVerdict>,
    withdrawn: bool,
}

impl Seen<'_> {
    /// The strongest decision.
    fn strongest(&self) -> Option<&Decision> {
        let decisions = self.decisions.iter().copied();
        decisions.max_by_key(|decision| outcome_of(decision))
    }

    fn outcome(&self) -> Outcome {
        self.strongest().map_or(Outcome::Nothing, outcome_of)
    }

    fn outcome_in_words(&self) -> String {
        let outcome = self.outcome();
        let by: BTreeSet<&str> = self
            .decisions
            .iter()
            .flat_map(|decision| {
                let verdicts = decision.verdicts.iter();
                verdicts.filter(|v| outcome_under(decision, v) == outcome)
            })
            .map(|verdict| verdict.policy.as_str())
            .collect();
        let by: Vec<&str> = by.into_iter().collect();
        match (outcome, by.is_empty()) {
            (Outcome::Nothing, _) | (_, true) => outcome.as_str().to_owned(),
            _ => format!("{} by {}", outcome.as_str(), by.join(", ")),
        }
    }

    /// What one policy came to, by its strongest verdict.
    fn of_policy(&self, policy: &str) -> (Outcome, Option<&PolicyVerdict>) {
        self.decisions
            .iter()
            .flat_map(|decision| decision.verdicts.iter().map(move |v| (*decision, v)))
            .filter(|(_, verdict)| verdict.policy.as_str() == policy)
            .map(|(decision, verdict)| (outcome_under(decision, verdict), Some(verdict)))
            .max_by_key(|(outcome, _)| *outcome)
            .unwrap_or((Outcome::Nothing, None))
    }

    fn score(&self, policy: Option<&String>) -> u8 {
        let of = |verdict: &&PolicyVerdict| {
            policy.is_none_or(|policy| verdict.policy.as_str() == policy)
        };
        let scores = self.verdicts.iter().filter(of).map(|verdict| verdict.score);
        scores.max().unwrap_or(0)
    }

    /// What is instead of a clause; `None` where it holds.
    fn against(&self, clause: &Clause) -> Option<String> {
        match &clause.claim {
            Claim::Outcome {
                outcome,
                policy,
                actions,
                reason,
            } => self.against_outcome(*outcome, policy.as_ref(), actions, *reason),
            Claim::Demoted(reason) => {
                let admissions = || self.decisions.iter().map(|d| d.admission);
                let demoted = admissions().any(|a| a == Admission::Demoted(*reason));
                let told = admissions().find_map(|admission| match admission {
                    Admission::Demoted(other) => Some(format!("demoted ({other})")),
                    Admission::Refused(other) => Some(format!("refused ({other})")),
                    Admission::Admitted => None,
                });
                (!demoted).then(|| told.unwrap_or_else(|| "not demoted".to_owned()))
            }
            Claim::Score {
                comparison,
                value,
                policy,
            } => {
                let actual = self.score(policy.as_ref());
                (!comparison.holds(actual, *value)).then(|| format!("score {actual}"))
            }
            Claim::With(name) => (!self.raised(name)).then(|| format!("without {name}")),
            Claim::Without(name) => self.raised(name).then(|| format!("with {name}")),
            Claim::Withdrawn => (!self.withdrawn).then(|| "not withdrawn".to_owned()),
        }
    }

    fn raised(&self, name: &str) -> bool {
        self.signals.iter().any(|(_, s)| s.name.as_str() == name)
    }

    fn against_outcome(
        &self,
        outcome: Outcome,
        policy: Option<&String>,
        actions: &BTreeSet<ActionKind>,
        reason: Option<crate::model::GuardReason>,
    ) -> Option<String> {
        let mut ordered = BTreeSet::new();
        let actual = match policy {
            Some(policy) => {
                let (actual, verdict) = self.of_policy(policy);
                let rung = verdict.and_then(|verdict| verdict.rung.as_ref());
                ordered.extend(rung.iter().flat_map(|rung| &rung.actions).copied());
                actual
            }
            None => {
                let orders = self.strongest().map(|decision| &decision.orders);
                ordered.extend(orders.into_iter().flatten().map(|order| order.kind));
                self.outcome()
            }
        };
        if actual != outcome {
            return Some(match policy {
                Some(policy) => format!("{} by {policy}", actual.as_str()),
                None => self.outcome_in_words(),
            });
        }
        if !actions.is_empty() && *actions != ordered {
            let names: Vec<&str> = ordered.iter().map(|kind| kind.as_str()).collect();
            return Some(format!("to {}", names.join(" and ")));
        }
        let refused = self.decisions.iter().find_map(|d| match d.admission {
            Admission::Refused(reason) => Some(reason),
            _ => None,
        });
        match (reason, refused) {
            (Some(expected), Some(actual)) if expected != actual => {
                Some(format!("refused ({actual})"))
            }
            (Some(_), None) => Some("not refused".to_owned()),
            _ => None,
        }
    }
}

fn outcome_of(decision: &Decision) -> Outcome {
    match decision.admission {
        Admission::Refused(_) => Outcome::Refused,
        _ => decision.effect.into(),
    }
}

/// What a policy's verdict came to, after the guard's word on the decision.
fn outcome_under(decision: &Decision, verdict: &PolicyVerdict) -> Outcome {
    match (verdict.effect, decision.admission) {
        (None, _) => Outcome::Nothing,
        (Some(Effect::Shadow), _) => Outcome::Shadow,
        (Some(_), Admission::Refused(_)) => Outcome::Refused,
        (Some(_), Admission::Demoted(_)) => Outcome::Ask,
        (Some(effect), Admission::Admitted) => effect.into(),
    }
}

/// Everybody whom a story names, in a fixed order.
fn people_of(story: &Story) -> BTreeSet<String> {
    let happens = story.moments.iter().filter_map(|moment| match moment {
        Moment::Happens { what, .. } => Some(&**what),
        _ => None,
    });
    happens
        .chain(&story.given)
        .filter_map(|what| match what {
            What::Deed(deed) => Some(deed.who.clone()),
            What::Risk { who, .. } | What::RiskDismissed { who } | What::Revoked { who } => {
                Some(who.clone())
            }
            What::Others { .. } | What::Paused => None,
        })
        .collect()
}
