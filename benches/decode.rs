//! Decoding, and judging what was decoded: megabytes of envelopes a second on
//! one thread.
//!
//! Records of the real shape and size, 39 % of them with 20–34 conditional
//! access results (performance.md's corpus), in messages of 40. The baseline in
//! the same run is what one would write first: `serde_json` into a `Value`.
//! Rounds alternate, and medians are printed with their ratio.
//!
//! The third row takes every event through the engine with all detectors and
//! the shipped policies, against users whose last ten days are remembered; the
//! records raise nothing. Decoding and judging must run at 85 % of the speed of
//! decoding alone.
//!
//! `cargo bench --features lab --bench decode`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use evictd::detect::intel::Intel;
use evictd::engine::{self, Given};
use evictd::ingest::entra;
use evictd::lab::records::{Person, SignInRecord, access_results, envelope, record_id};
use evictd::lab::scenario;
use evictd::model::{Surroundings, UserId, UserMemory};
use evictd::policy::PolicySet;
use evictd::ruleset;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

const MESSAGES: usize = 200;
const RECORDS_PER_MESSAGE: usize = 40;
const ROUNDS: usize = 11;

fn main() {
    let corpus = corpus();
    let bytes: usize = corpus.iter().map(Vec::len).sum();
    let records = MESSAGES * RECORDS_PER_MESSAGE;
    println!("{records} records, {} B each on average", bytes / records);
    let (mut typed, mut baseline) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        typed.push(time(&corpus, |body| {
            let decoded = entra::decode(body);
            assert_eq!(decoded.events.len(), RECORDS_PER_MESSAGE);
            black_box(decoded);
        }));
        baseline.push(time(&corpus, |body| {
            black_box(serde_json::from_slice::<Value>(body).ok());
        }));
    }
    let judged = judged(&corpus);
    let (typed, baseline) = (median(typed), median(baseline));
    let row = |name: &str, seconds: f64| {
        println!(
            "{name:<24} {:>7.0} MB/s {:>9.0} records/s",
            bytes as f64 / seconds / 1e6,
            records as f64 / seconds
        );
    };
    row("evictd, to events", typed);
    row("serde_json, to Value", baseline);
    row("evictd, judged as well", judged);
    println!("ratio to Value {:.2}", baseline / typed);
    println!(
        "decoding and judging at {:.0} % of decoding",
        100.0 * typed / judged
    );
}

/// Decodes and judges, in the median.
fn judged(corpus: &[Vec<u8>]) -> f64 {
    let policies: PolicySet = match ruleset::load(None) {
        Ok(policies) => policies,
        Err(errors) => panic!("{errors}"),
    };
    let intel = Intel::default();
    let given = Given {
        intel: &intel,
        policies: &policies,
        revoked_at: None,
    };
    let mut known: HashMap<UserId, UserMemory> = HashMap::new();
    let mut around = Surroundings::default();
    let mut judge = |body: &[u8], memories: &mut HashMap<UserId, UserMemory>| {
        let mut signals = 0;
        for (_, event) in entra::decode(body).events {
            let Some(memory) = memories.get_mut(&event.user().id) else {
                panic!("a user without a history");
            };
            let step = engine::step(memory, &mut around, &event, &given);
            assert!(!step.duplicate, "a record came twice");
            signals += step.signals.len();
        }
        around.settle();
        signals
    };
    for person in scenario::staff() {
        known.insert(UserId::new(person.id), UserMemory::default());
    }
    for body in history() {
        judge(&body, &mut known);
    }
    let remembered: usize = known.values().map(|memory| memory.footprints.len()).sum();
    println!(
        "{} users, {} footprints each on average",
        known.len(),
        remembered / known.len()
    );
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut memories = known.clone();
        times.push(time(corpus, |body| {
            assert_eq!(judge(body, &mut memories), 0, "these records raise nothing");
        }));
    }
    median(times)
}

/// Ten days of everybody's work: a sign-in every two hours, nine to five.
fn history() -> Vec<Vec<u8>> {
    let staff = scenario::staff();
    let midnight = Timestamp::now() - SignedDuration::from_hours(24 * 11);
    let mut bodies = Vec::new();
    for day in 0..10 {
        for hour in [9, 11, 13, 15, 17] {
            let at = midnight + SignedDuration::from_hours(24 * day + hour);
            let records: Vec<Value> = staff.iter().map(|person| at_home(person, at)).collect();
            bodies.push(envelope(&records));
        }
    }
    bodies
}

fn at_home(person: &Person, at: Timestamp) -> Value {
    let mut record = SignInRecord::at_home(person, at);
    record.id = record_id(&[&record.id, &at.to_string()]);
    record.to_json()
}

fn time(corpus: &[Vec<u8>], mut each: impl FnMut(&[u8])) -> f64 {
    let start = Instant::now();
    for body in corpus {
        each(body);
    }
    start.elapsed().as_secs_f64()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn corpus() -> Vec<Vec<u8>> {
    let staff = scenario::staff();
    let now = Timestamp::now();
    let record = |n: usize| {
        let at = now - SignedDuration::from_secs((MESSAGES * RECORDS_PER_MESSAGE - n) as i64);
        let mut record = at_home(&staff[n % staff.len()], at);
        // Sign-ins without a user present are five to ten times as many
        // (entra-records.md).
        if !n.is_multiple_of(8) {
            record["category"] = "NonInteractiveUserSignInLogs".into();
            record["properties"]["isInteractive"] = false.into();
        }
        if n % 100 < 39 {
            record["properties"]["appliedConditionalAccessPolicies"] = access_results(20 + n % 15);
        }
        record
    };
    (0..MESSAGES)
        .map(|message| {
            let first = message * RECORDS_PER_MESSAGE;
            let records: Vec<Value> = (first..first + RECORDS_PER_MESSAGE).map(record).collect();
            envelope(&records)
        })
        .collect()
}
