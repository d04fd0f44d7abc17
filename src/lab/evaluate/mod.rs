//! `evictd lab evaluate`: how good the detection is, measured.
//!
//! A labelled population is generated from a seed and judged by the daemon's
//! own engine and the shipped policies; the table says what every attack came
//! to and whom ordinary life would have locked out. It repeats: everything
//! follows from the seed. Habits and attacks know nothing of the detectors,
//! and what falls short is printed like the rest.
//!
//! ```text
//! habits, attacks ─► population (a day at a time, by arrival) ─► judge ─► report ─► text, JSON
//!                     foreign (FILE + labels) ─────────────────────┘
//! ```

mod ablate;
mod attacks;
mod foreign;
mod habits;
mod judge;
mod people;
mod population;
mod report;
#[cfg(test)]
mod tests;
mod text;
mod world;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use self::ablate::Ablations;
use self::judge::{Engine, Tally};
use self::population::Population;
use self::report::{Attack, Benign, Evaluation, RedTeam, UserDays};
use crate::cli::output::{self, Format};
use crate::config::IntelConfig;
use crate::policy::PolicySet;
use crate::ruleset;

/// Days generated ahead of the engine: memory is bounded by these.
const DAYS_AHEAD: usize = 1;

/// Arguments of `evictd lab evaluate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd lab evaluate
  evictd lab evaluate --users 300 --days 14 --seed 7
  evictd lab evaluate --policies ./policies --format json | jq .targets
  evictd lab evaluate --ablate --users 2000
  evictd lab evaluate capture.ndjson     # labels in capture.ndjson.labels.json

A label file holds {\"record id\": \"benign\" or the name of a scenario}.
Exits 1 where a target is missed, after everything is printed.")]
pub struct EvaluateArgs {
    /// Ordinary users; victims of attacks come on top.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=200_000))]
    users: u32,
    /// Days, the first a Monday. Attacks happen in the last third.
    #[arg(long, value_name = "N", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(7..=365))]
    days: u32,
    /// Everything random follows from it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Directory of policies; without it the shipped ones.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Also score without each part: families, each signal, learning.
    #[arg(long)]
    ablate: bool,
    /// How many causes of benign asks and acts to print, with an example each.
    #[arg(long, value_name = "N", default_value_t = 10)]
    explain: usize,
    /// The lists that FILEs are judged by; the made-up world has its own.
    #[command(flatten)]
    intel: IntelConfig,
    /// Records to score instead of a made-up population, with their labels in
    /// FILE.labels.json.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs it; whether every target is met.
///
/// # Errors
/// When a policy does not compile, or a file cannot be read.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<bool> {
    let policies = ruleset::load(args.policies.as_deref())?;
    let started = Instant::now();
    let result = if args.files.is_empty() {
        evaluate(args.users, args.days, args.seed, &policies, args.ablate)
    } else {
        evaluate_files(args, &policies)?
    };
    let elapsed = started.elapsed();
    match args.format {
        Format::Json => output::json(&result)?,
        Format::Text => output::print(|out| {
            text::print(out, &result, args.explain)?;
            let rate = result.events as f64 / elapsed.as_secs_f64().max(0.001);
            writeln!(
                out,
                "{}{} events in {:.1} s, {rate:.0} a second; policies {}",
                made_up(&result),
                result.events,
                elapsed.as_secs_f64(),
                result.policy_set
            )
        })?,
    }
    Ok(result.targets.iter().all(|target| target.met))
}

/// What makes up the population, where it is made up.
fn made_up(result: &Evaluation) -> String {
    let (Some(days), Some(seed)) = (result.days, result.seed) else {
        return String::new();
    };
    let users = result.benign.users;
    format!("{users} users, {days} days, seed {seed}: ")
}

/// Generates a population and judges it.
fn evaluate(users: u32, days: u32, seed: u64, policies: &PolicySet, ablate: bool) -> Evaluation {
    let population = Population::new(users, days, seed);
    let (tally, user_days) = pass(&population, policies, true, ablate);
    let benign = Benign::new(&tally, u64::from(users), &user_days);
    let attacks: Vec<Attack> = population
        .runs
        .iter()
        .zip(&tally.runs)
        .map(|(run, counted)| {
            let scenario = run.scenario;
            Attack::new(
                scenario.name.to_owned(),
                (
                    scenario.summary,
                    scenario.technique,
                    scenario.microsoft_high,
                ),
                run.variation.to_owned(),
                counted,
            )
        })
        .collect();
    let ablations = ablate::ablations(&tally, policies).map(|parts| {
        let (unlearned, _) = pass(&population, policies, false, true);
        Ablations {
            without_learning: ablate::whole(&unlearned, policies),
            ..parts
        }
    });
    Evaluation {
        seed: Some(seed),
        days: Some(days),
        ablations,
        ..finished(&tally, benign, attacks, policies)
    }
}

fn evaluate_files(args: &EvaluateArgs, policies: &PolicySet) -> anyhow::Result<Evaluation> {
    let intel = args.intel.load()?;
    let engine = Engine::new(&intel, policies, true);
    let scored = foreign::score(&args.files, engine, args.ablate)?;
    let benign = Benign::new(&scored.tally, scored.users, &scored.days);
    Ok(Evaluation {
        warnings: scored.warnings,
        ablations: ablate::ablations(&scored.tally, policies),
        ..finished(&scored.tally, benign, scored.attacks, policies)
    })
}

fn finished(
    tally: &Tally,
    benign: Benign,
    attacks: Vec<Attack>,
    policies: &PolicySet,
) -> Evaluation {
    let tester = &tally.red_team;
    Evaluation {
        seed: None,
        days: None,
        policy_set: policies.hash.clone(),
        events: tally.events,
        red_team: RedTeam {
            events: tester.events,
            asks: tester.asks,
            acts: tester.acts,
        },
        targets: report::targets(&benign, &attacks),
        benign,
        attacks,
        alarms: tally
            .alarms
            .iter()
            .map(|alarm| report::alarm(alarm.habit, &alarm.decision))
            .collect(),
        ablations: None,
        warnings: Vec::new(),
    }
}

/// Judges the whole stream once. The days are written by a thread of their
/// own, ahead of the engine.
fn pass(
    population: &Population,
    policies: &PolicySet,
    learning: bool,
    keep: bool,
) -> (Tally, UserDays) {
    let mut tally = Tally::new(population.truths(), population.runs.len(), keep);
    let mut days = UserDays::default();
    let mut engine = Engine::new(&population.world.intel, policies, learning);
    let bar = progress(population.calendar.days);
    let (sender, receiver) = sync_channel(DAYS_AHEAD);
    thread::scope(|scope| {
        scope.spawn(move || {
            for day in population.stream() {
                // The judge is gone only when it panicked.
                if sender.send(day).is_err() {
                    return;
                }
            }
        });
        for day in receiver {
            days.all += day.user_days;
            for (habit, count) in day.user_days_by_habit {
                *days.by_habit.entry(habit).or_default() += count;
            }
            for delivery in day.deliveries {
                tally.take(&mut engine, delivery);
            }
            bar.set_message(tally.events.to_string());
            bar.inc(1);
        }
    });
    bar.finish_and_clear();
    (tally, days)
}

/// A bar on standard error, on a terminal only.
fn progress(days: u32) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(days) + 1);
    match ProgressStyle::with_template("{bar:40} day {pos} of {len}, {msg} events, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
