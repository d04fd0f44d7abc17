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
use super::deed::{Act, Deed};
use super::events::Recorder;
use super::expectation::Expectation;
use super::parse::{DAY_SECONDS, Moment, Story, Suite, time};
use super::seen::{Aside, Seen};
use super::sentence::What;
use crate::detect::{Look, intel::Intel};
use crate::engine::{self, Given};
use crate::ingest::entra;
use crate::model::{
    Admission, Decision, Effect, Event, PolicyVerdict, Signal, Surroundings, UserId, UserMemory,
    UserRef,
};
use crate::policy::{self, PolicySet, Situation, Subject};

/// Days on which people worked before a story: one more than
/// `learning.period` asks for, so that everybody is known.
const DAYS_BEFORE: i64 = 15;
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
    for moment in &story.moments {
        if let Moment::Expected { expectation, .. } = moment {
            teller.coverage.expected(expectation);
        }
    }
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
    /// Whether the story has begun: nobody checks what the fortnight reaches.
    begun: bool,
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
            begun: false,
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
                let at = time(story.first, second);
                self.happens(&What::Deed(deed), at, at);
                second += 60;
            }
            for what in &story.given {
                second += 15 * 60;
                let at = time(story.first, second);
                self.happens(what, at, at);
            }
        }
        self.since = Since::default();
        self.acts.clear();
        self.begun = true;
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
        if self.begun {
            let subject = Subject {
                event,
                class: Look::at(event, &self.intel).class(&self.intel),
                signal: None,
            };
            for signal in &step.signals {
                self.coverage.raised(signal, &subject, self.policies);
            }
        }
        for signal in &step.signals {
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
        for verdict in decision.verdicts.iter().filter(|_| self.begun) {
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
            asides: self.asides(&signals),
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

    /// What policies that are about the user have against signals.
    fn asides<'s>(&self, signals: &[&'s (UserId, Signal)]) -> Vec<Aside<'s>> {
        let mut asides = Vec::new();
        for (user, signal) in signals {
            for reservation in &signal.reservations {
                let policies = self.policies.policies.iter();
                let mut policies = policies.filter(|policy| policy.name == reservation.policy);
                let about = |user| policies.any(|policy| policy.scope.takes_in(user));
                if self.users.get(user).is_some_and(about) {
                    asides.push(Aside {
                        signal: &signal.name,
                        reservation,
                    });
                }
            }
        }
        asides
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
        lines.extend(seen.asides.iter().map(ToString::to_string));
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
            What::Risk(risk) => Some(risk.who.clone()),
            What::RiskDismissed { who } | What::Revoked { who } => Some(who.clone()),
            What::Others { .. } | What::Paused => None,
        })
        .collect()
}
