//! Decoding: megabytes of envelopes a second on one thread.
//!
//! Records of the real shape and size, 39 % of them with 20–34 conditional
//! access results (performance.md's corpus), in messages of 40. The baseline in
//! the same run is what one would write first: `serde_json` into a `Value`.
//! Rounds alternate, and medians are printed with their ratio.
//!
//! `cargo bench --features lab --bench decode`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;
use std::time::Instant;

use evictd::ingest::entra;
use evictd::lab::records::{SignInRecord, envelope};
use evictd::lab::scenario;
use jiff::Timestamp;
use serde_json::{Value, json};

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
    println!("ratio {:.2}", baseline / typed);
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
        let mut record = SignInRecord::at_home(&staff[n % staff.len()], now).to_json();
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

fn access_results(count: usize) -> Value {
    (0..count)
        .map(|n| {
            json!({
                "id": format!("5f3a8d10-52b6-4e0f-9a41-c0117050{n:04}"),
                "displayName": format!("CA{n:03}: require multifactor authentication for all users"),
                "enforcedGrantControls": ["Mfa", "RequireCompliantDevice"],
                "enforcedSessionControls": ["SignInFrequency"],
                "result": if n % 3 == 0 { "success" } else { "notApplied" },
                "conditionsSatisfied": 3,
                "conditionsNotSatisfied": 0,
                "includeRulesSatisfied": [{ "conditionalAccessCondition": "application", "ruleSatisfied": "allApps" }],
                "excludeRulesSatisfied": [],
            })
        })
        .collect()
}
