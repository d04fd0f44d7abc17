//! The population: ordinary people, victims, the tester; and the stream of
//! their records, a day at a time, in the order of arrival.
//!
//! Invariant: everything follows from users, days and seed. A day is handed
//! on only up to the time before which nothing can arrive any more, so the
//! whole stream is ordered although only a day of it is held.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use super::attacks::{Scenario, Stage, scenarios};
use super::habits::{self, Calendar, Life, REDELIVERED};
use super::people::{Delivery, Label};
use super::world::{Dice, World, day_of, utc_offset};
use crate::model::{Event, UserId};

/// The first day: Monday 2026-09-07, midnight UTC.
const START_SECOND: i64 = 1_788_739_200;
/// Clocks are at most this far ahead of UTC, with an hour to spare: a day is
/// handed on up to this long before its end.
const AHEAD_OF_UTC: SignedDuration = SignedDuration::from_hours(13);
/// How many of a thousand records are delivered again (entra-records.md: 3–4 %).
const REDELIVERED_PER_MILLE: u32 = 35;
/// How often again at most (entra-records.md).
const REDELIVERIES_MAX: u32 = 4;
/// Purposes of dice beside the days of a person.
const PURPOSE_ATTACK: u64 = u64::MAX - 1;
const PURPOSE_STREAM: u64 = u64::MAX - 2;

/// One play of an attack on one victim.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) scenario: Scenario,
    pub(super) variation: &'static str,
    day: u32,
}

/// What is known in truth of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// Ordinary.
    Benign,
    /// The victim of that run.
    Victim(usize),
    /// Tests with an attacker's tools; counted nowhere.
    RedTeam,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Population {
    pub(super) world: World,
    pub(super) calendar: Calendar,
    pub(super) runs: Vec<Run>,
    lives: Vec<(Life, Truth)>,
}

/// A day of the stream.
#[derive(Debug, Default)]
pub(super) struct Day {
    /// In the order of arrival.
    pub(super) deliveries: Vec<Delivery>,
    /// On how many benign users' days each habit showed.
    pub(super) user_days_by_habit: BTreeMap<&'static str, u64>,
    /// How many benign users did anything on that day.
    pub(super) user_days: u64,
}

impl Population {
    pub(super) fn new(users: u32, days: u32, seed: u64) -> Self {
        Self::attacked_by(users, days, seed, &scenarios())
    }

    /// So many ordinary users, and a victim for every variation.
    pub(super) fn attacked_by(users: u32, days: u32, seed: u64, scenarios: &[Scenario]) -> Self {
        let calendar = Calendar {
            seed,
            start: Timestamp::from_second(START_SECOND).unwrap_or(Timestamp::UNIX_EPOCH),
            days,
        };
        let mut lives: Vec<(Life, Truth)> = (0..users)
            .map(|number| (Life::new(&calendar, number), Truth::Benign))
            .collect();
        let mut runs = Vec::new();
        let all = scenarios.iter().flat_map(|scenario| {
            let variations = scenario.variations.iter();
            variations.map(move |variation| (*scenario, *variation))
        });
        for (number, (scenario, variation)) in (users..).zip(all) {
            let dice = &mut calendar.dice(number, PURPOSE_ATTACK);
            let (day, start, life) = victim(&calendar, number, dice);
            lives.push((life.into_victim(day, start), Truth::Victim(runs.len())));
            runs.push(Run {
                scenario,
                variation,
                day,
            });
        }
        let tester = u32::try_from(lives.len()).unwrap_or(u32::MAX);
        lives.push((Life::new(&calendar, tester).into_red_team(), Truth::RedTeam));
        Self {
            world: World::new(),
            calendar,
            runs,
            lives,
        }
    }

    /// What each user is in truth.
    pub(super) fn truths(&self) -> HashMap<UserId, Truth> {
        let truth = |(life, truth): &(Life, Truth)| (life.person.user.id.clone(), *truth);
        self.lives.iter().map(truth).collect()
    }

    /// The stream; ends with everything that was still on its way.
    pub(super) fn stream(&self) -> Stream<'_> {
        Stream {
            population: self,
            dice: self.calendar.dice(u32::MAX, PURPOSE_STREAM),
            next: 0,
            waiting: self.attacks(),
        }
    }

    /// Every attack, whole: a play may reach back before its day.
    fn attacks(&self) -> Vec<Delivery> {
        let victims = self.lives.iter().filter_map(|(life, truth)| match truth {
            Truth::Victim(run) => Some((life, *run)),
            Truth::Benign | Truth::RedTeam => None,
        });
        victims
            .flat_map(|(life, run)| self.play(life, run))
            .collect()
    }

    /// Plays a run against its victim.
    fn play(&self, life: &Life, index: usize) -> Vec<Delivery> {
        let (Some(run), Some(start)) = (self.runs.get(index), life.attacked) else {
            return Vec::new();
        };
        let victim = life.equipped(&self.calendar, run.day);
        let dice = &mut self.calendar.dice(victim.number, PURPOSE_STREAM);
        let mut stage = Stage {
            world: &self.world,
            dice,
            laptop_session: victim.session("laptop", run.day),
            victim: &victim,
            start,
            run: index,
            deliveries: Vec::new(),
        };
        (run.scenario.play)(&mut stage, run.variation);
        stage.deliveries
    }
}

/// When the victim is attacked: on a working day of the last third, between
/// half past ten and three by their clock, so that the laptop is in use.
fn victim(calendar: &Calendar, number: u32, dice: &mut Dice) -> (u32, Timestamp, Life) {
    let life = Life::new(calendar, number);
    let third = calendar.days * 2 / 3;
    let latest = calendar.days.saturating_sub(1).max(third + 1);
    let mut day = dice.random_range(third..latest);
    while !calendar.works(day) && day > 0 {
        day -= 1;
    }
    let minutes = dice.random_range(10 * 60 + 30..15 * 60);
    let start = day_of(calendar.start, day) - utc_offset(life.person.city)
        + SignedDuration::from_mins(minutes);
    (day, start, life)
}

/// The stream of records, a day at a time.
pub(super) struct Stream<'a> {
    population: &'a Population,
    dice: Dice,
    next: u32,
    /// What was written and has not arrived.
    waiting: Vec<Delivery>,
}

impl Iterator for Stream<'_> {
    type Item = Day;

    fn next(&mut self) -> Option<Day> {
        let Population { calendar, .. } = self.population;
        if self.next > calendar.days {
            return None;
        }
        let day = self.next;
        self.next += 1;
        let mut done = Day::default();
        if day == calendar.days {
            done.deliveries = std::mem::take(&mut self.waiting);
        } else {
            self.write(day, &mut done);
            let until = day_of(calendar.start, day + 1) - AHEAD_OF_UTC;
            (done.deliveries, self.waiting) = std::mem::take(&mut self.waiting)
                .into_iter()
                .partition(|delivery| delivery.arrives < until);
        }
        done.deliveries
            .sort_by(|a, b| (a.arrives, a.event.record()).cmp(&(b.arrives, b.event.record())));
        Some(done)
    }
}

impl Stream<'_> {
    fn write(&mut self, day: u32, counts: &mut Day) {
        let Population {
            world,
            calendar,
            lives,
            ..
        } = self.population;
        for (life, truth) in lives {
            let deliveries = habits::day(world, calendar, life, day);
            if *truth == Truth::Benign && !deliveries.is_empty() {
                counts.user_days += 1;
                let habits: BTreeSet<&'static str> =
                    deliveries.iter().filter_map(habit_of).collect();
                for habit in habits {
                    *counts.user_days_by_habit.entry(habit).or_default() += 1;
                }
            }
            for delivery in deliveries {
                self.redeliver(&delivery);
                self.waiting.push(delivery);
            }
        }
    }

    /// Some records come again, up to an hour later.
    fn redeliver(&mut self, delivery: &Delivery) {
        if !matches!(delivery.event, Event::SignIn(_))
            || self.dice.random_range(0..1000) >= REDELIVERED_PER_MILLE
        {
            return;
        }
        let mut again = delivery.clone();
        if let Label::Benign(_) = again.label {
            again.label = Label::Benign(REDELIVERED);
        }
        let mut times = 1;
        while times < REDELIVERIES_MAX && self.dice.random_bool(0.25) {
            times += 1;
        }
        for _ in 0..times {
            again.arrives += SignedDuration::from_secs(self.dice.random_range(20..900));
            self.waiting.push(again.clone());
        }
    }
}

fn habit_of(delivery: &Delivery) -> Option<&'static str> {
    match delivery.label {
        Label::Benign(habit) => Some(habit),
        Label::Attack(_) => None,
    }
}
