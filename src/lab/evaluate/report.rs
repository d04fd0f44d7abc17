//! What the evaluation found, as JSON holds it and tables show it.
//!
//! Invariant: nothing here depends on the machine or its speed, so the same
//! seed gives the same document byte for byte.

use std::collections::BTreeMap;

use serde::Serialize;

use super::habits::{HABITS, REDELIVERED};
use super::judge::{HabitTally, RunTally, Tally};
use crate::model::{Decision, Effect};

/// Asks per 10,000 user-days that a team can answer.
const ASKS_PER_10K_MAX: f64 = 1.0;
/// The share of what Microsoft rates high that must be acted on, in percent.
const ACTED_PERCENT_MIN: f64 = 80.0;

/// The whole result.
#[derive(Debug, Serialize)]
pub(super) struct Evaluation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) days: Option<u32>,
    /// The hash of the policies that decided.
    pub(super) policy_set: Box<str>,
    /// All events judged, redeliveries too.
    pub(super) events: u64,
    pub(super) benign: Benign,
    pub(super) red_team: RedTeam,
    pub(super) attacks: Vec<Attack>,
    pub(super) targets: Vec<Target>,
    /// The first benign asks and acts with their reasons.
    pub(super) alarms: Vec<AlarmView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ablations: Option<super::ablate::Ablations>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
}

/// What became of ordinary people.
#[derive(Debug, Default, Serialize)]
pub(super) struct Benign {
    pub(super) users: u64,
    /// Days on which a user did anything.
    pub(super) user_days: u64,
    pub(super) events: u64,
    pub(super) asks: u64,
    pub(super) acts: u64,
    pub(super) by_habit: BTreeMap<&'static str, HabitView>,
}

/// What became of one habit.
#[derive(Debug, Default, Serialize)]
pub(super) struct HabitView {
    /// Days on which it showed in a user's life.
    pub(super) user_days: u64,
    pub(super) events: u64,
    pub(super) asks: u64,
    pub(super) acts: u64,
    pub(super) signals: BTreeMap<Box<str>, u64>,
}

/// The tester, counted nowhere else.
#[derive(Debug, Default, Serialize)]
pub(super) struct RedTeam {
    pub(super) events: u64,
    pub(super) asks: u64,
    pub(super) acts: u64,
}

/// One variation of one scenario.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Attack {
    pub(super) scenario: String,
    pub(super) summary: &'static str,
    pub(super) technique: &'static str,
    pub(super) variation: String,
    pub(super) microsoft_high: bool,
    /// `act`, `ask` or `none`.
    pub(super) rung: &'static str,
    /// Events of the attack until the first ask or act.
    pub(super) events: Option<u64>,
    /// Event time from its first event to that decision.
    pub(super) seconds: Option<i64>,
    pub(super) score: u8,
    pub(super) signals: Vec<Box<str>>,
    /// Whether the evidence came so late that the daemon's guard would have
    /// turned the act into an ask.
    pub(super) stale: bool,
    /// Asks and acts about the victim before the attack: a case that is still
    /// open takes the attack in and calls for nothing twice.
    pub(super) asked_before: u64,
}

/// What was promised, and what is.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) want: String,
    pub(super) got: String,
    pub(super) met: bool,
}

/// A benign ask or act.
#[derive(Debug, Serialize)]
pub(super) struct AlarmView {
    pub(super) habit: &'static str,
    pub(super) user: Box<str>,
    pub(super) effect: &'static str,
    pub(super) score: u8,
    /// Name and evidence of each signal.
    pub(super) signals: Vec<(Box<str>, String)>,
}

impl Attack {
    pub(super) fn new(
        name: String,
        about: (&'static str, &'static str, bool),
        variation: String,
        tally: &RunTally,
    ) -> Self {
        let (summary, technique, microsoft_high) = about;
        Self {
            scenario: name,
            summary,
            technique,
            variation,
            microsoft_high,
            rung: tally.effect.map_or("none", Effect::as_str),
            events: tally.reached.map(|(events, _)| events),
            seconds: tally.reached.map(|(_, seconds)| seconds),
            score: tally.score,
            signals: tally.signals.clone(),
            stale: tally.stale,
            asked_before: tally.asked_before,
        }
    }

    pub(super) fn detected(&self) -> bool {
        self.rung != "none"
    }

    pub(super) fn acted(&self) -> bool {
        self.rung == "act"
    }
}

impl Benign {
    /// Counts by habit, with the days on which each showed.
    pub(super) fn new(tally: &Tally, users: u64, days: &UserDays) -> Self {
        let mut by_habit: BTreeMap<&'static str, HabitView> = BTreeMap::new();
        let known = HABITS.into_iter().chain([REDELIVERED]);
        for habit in known.chain(tally.habits.keys().copied()) {
            let empty = HabitTally::default();
            let counted = tally.habits.get(habit).unwrap_or(&empty);
            let user_days = days.by_habit.get(habit).copied().unwrap_or(0);
            if counted.events == 0 && user_days == 0 {
                continue;
            }
            by_habit.insert(
                habit,
                HabitView {
                    user_days,
                    events: counted.events,
                    asks: counted.asks,
                    acts: counted.acts,
                    signals: counted.signals.clone(),
                },
            );
        }
        Self {
            users,
            user_days: days.all,
            events: tally.benign_events,
            asks: by_habit.values().map(|habit| habit.asks).sum(),
            acts: by_habit.values().map(|habit| habit.acts).sum(),
            by_habit,
        }
    }

    fn asks_per_10k(&self) -> f64 {
        self.asks as f64 * 10_000.0 / self.user_days.max(1) as f64
    }
}

/// Days on which benign users did anything, and each habit.
#[derive(Debug, Default)]
pub(super) struct UserDays {
    pub(super) all: u64,
    pub(super) by_habit: BTreeMap<&'static str, u64>,
}

/// The targets, each with what was measured; none of what nobody could miss:
/// somebody else's records may hold no attack, or nothing but attacks.
pub(super) fn targets(benign: &Benign, attacks: &[Attack]) -> Vec<Target> {
    let detected = attacks.iter().filter(|attack| attack.detected()).count();
    let high: Vec<&Attack> = attacks.iter().filter(|a| a.microsoft_high).collect();
    let acted = high.iter().filter(|attack| attack.acted()).count();
    let percent = acted as f64 * 100.0 / high.len().max(1) as f64;
    let mut targets = Vec::new();
    if benign.user_days > 0 {
        targets.push(Target {
            name: "no unattended act on a benign user",
            want: "0".to_owned(),
            got: benign.acts.to_string(),
            met: benign.acts == 0,
        });
        targets.push(Target {
            name: "asks per 10,000 benign user-days",
            want: format!("at most {ASKS_PER_10K_MAX}"),
            got: format!("{:.2}", benign.asks_per_10k()),
            met: benign.asks_per_10k() <= ASKS_PER_10K_MAX,
        });
    }
    if !attacks.is_empty() {
        targets.push(Target {
            name: "every variation of every attack at least asks",
            want: format!("{0} of {0}", attacks.len()),
            got: format!("{detected} of {}", attacks.len()),
            met: detected == attacks.len(),
        });
    }
    if !high.is_empty() {
        targets.push(Target {
            name: "attacks that Microsoft rates high are acted on",
            want: format!("at least {ACTED_PERCENT_MIN} %"),
            got: format!("{percent:.0} % ({acted} of {})", high.len()),
            met: percent >= ACTED_PERCENT_MIN,
        });
    }
    targets
}

/// A benign decision with its reasons.
pub(super) fn alarm(habit: &'static str, decision: &Decision) -> AlarmView {
    let user = &decision.user;
    let name = if user.principal_name.is_empty() {
        user.id.as_str().into()
    } else {
        user.principal_name.clone()
    };
    AlarmView {
        habit,
        user: name,
        effect: decision.effect.as_str(),
        score: decision.score,
        signals: decision
            .signals
            .iter()
            .map(|signal| (signal.name.as_str().into(), signal.evidence.to_string()))
            .collect(),
    }
}
