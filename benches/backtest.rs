//! A backtest of two sets of policies, against plain decoding of the same
//! bytes in the same run: records a second, on one thread and on all.
//!
//! A month of Contoso's sign-ins, one a line, of the real shape and size, in
//! one file. Decoding is most of the work, so on one thread a backtest with two
//! sets should keep 70 % of decoding's speed, and on more threads it should be
//! faster than on one.
//!
//! `cargo bench --features lab --bench backtest`

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use evictd::backtest::{Backtest, Rules};
use evictd::detect::intel::Intel;
use evictd::ingest::recorded;
use evictd::lab::records::{SignInRecord, access_results, record_id};
use evictd::lab::scenario;
use evictd::ruleset;
use jiff::{SignedDuration, Timestamp};

/// Some 220 MB.
const RECORDS: usize = 30_000;
const ROUNDS: usize = 5;

fn main() {
    let Ok(dir) = tempfile::tempdir() else {
        panic!("no room for a file");
    };
    let path = dir.path().join("month.ndjson");
    let text = corpus();
    assert!(
        fs::write(&path, &text).is_ok(),
        "the file cannot be written"
    );
    println!(
        "{RECORDS} records, {} B each on average",
        text.len() / RECORDS
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut decoded, mut one, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        decoded.push(time(|| decode(&text)));
        one.push(time(|| backtest(&path, 1)));
        all.push(time(|| backtest(&path, threads)));
    }
    let (decoded, one, all) = (median(decoded), median(one), median(all));
    let row = |name: &str, seconds: f64| {
        println!("{name:<32} {:>9.0} records/s", RECORDS as f64 / seconds);
    };
    row("decoding alone, one thread", decoded);
    row("backtest of two sets, one thread", one);
    row(&format!("backtest, {threads} threads"), all);
    println!("one thread at {:.0} % of decoding", 100.0 * decoded / one);
    println!(
        "{threads} threads at {:.0} % of decoding",
        100.0 * decoded / all
    );
}

fn decode(text: &str) {
    let mut events = 0;
    let read = recorded::read(text.as_bytes(), |located| {
        events += black_box(located.content.events).len();
    });
    assert!(read.is_ok() && events == RECORDS);
}

fn backtest(path: &PathBuf, threads: usize) {
    let rules = |from: &str| match ruleset::load(None) {
        Ok(set) => Rules {
            from: from.to_owned(),
            set,
        },
        Err(errors) => panic!("{errors}"),
    };
    let backtest = Backtest {
        files: std::slice::from_ref(path),
        intel: &Intel::default(),
        old: &rules("old"),
        new: &rules("new"),
        threads,
    };
    match backtest.run(&|_, _| {}) {
        Ok(report) => assert_eq!(report.input.events, RECORDS as u64),
        Err(error) => panic!("{error:#}"),
    }
}

fn time(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Everybody signs in from home again and again, over thirty days.
fn corpus() -> String {
    let staff = scenario::staff();
    let start = Timestamp::now() - SignedDuration::from_hours(24 * 31);
    let apart = 30 * 24 * 3_600 / RECORDS;
    let mut text = String::new();
    for n in 0..RECORDS {
        let at = start + SignedDuration::from_secs((n * apart) as i64);
        let person = &staff[n % staff.len()];
        let mut sign_in = SignInRecord::at_home(person, at);
        sign_in.id = record_id(&[&sign_in.id, &n.to_string()]);
        let mut record = sign_in.to_json();
        if n % 100 < 39 {
            record["properties"]["appliedConditionalAccessPolicies"] = access_results(20 + n % 15);
        }
        // A `String` takes whatever is written.
        let _ = writeln!(text, "{record}");
    }
    text
}
