//! Memory under an hour's traffic of a large tenant.
//!
//! 200,000 users who are known (ten days of three sign-ins each), and then
//! 7,200,000 records (an hour at 2,000 a second) go through the decoder and the
//! pipeline into a real store, as fast as they will; event times advance as
//! they would. Prints records a second and the
//! process's resident memory, which must stay under 512 MiB. The first
//! argument scales it down: `-- 0.01` is a hundredth. With the word `history`
//! every message is kept too, and what that takes is printed.
//!
//! `cargo bench --features lab --bench soak`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints"
)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use evictd::config::IntelConfig;
use evictd::console::health::Health;
use evictd::history::{History, HistoryConfig, Keeper};
use evictd::ingest::{Message, Source, entra};
use evictd::lab::records::{OFFICES, Person, SignInRecord, envelope, record_id};
use evictd::pipeline::Pipeline;
use evictd::ruleset;
use evictd::store::Store;
use evictd::telemetry::Metrics;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, mpsc, watch};

const USERS: usize = 200_000;
const RECORDS: usize = 7_200_000;
const HISTORY_DAYS: usize = 10;
const RECORDS_PER_DAY: usize = 3;
const RECORDS_PER_SECOND: usize = 2_000;
const RECORDS_PER_MESSAGE: usize = 40;
const PARTITIONS: usize = 4;
const MEBIBYTES_MAX: f64 = 512.0;

fn main() {
    let scale: f64 = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1.0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(scale));
}

async fn run(scale: f64) {
    let users = (USERS as f64 * scale) as usize;
    let history = users * HISTORY_DAYS * RECORDS_PER_DAY;
    let records = history + (RECORDS as f64 * scale) as usize;
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let (out, inbox) = mpsc::channel(512);
    let (_ask, requests) = mpsc::channel(1);
    let metrics = Metrics::new().unwrap();
    let keep = std::env::args().any(|argument| argument == "history");
    let kept = keep.then(|| {
        let config = HistoryConfig::default();
        let started = History::start(directory.path(), config, Arc::clone(&metrics));
        started.unwrap().unwrap()
    });
    let (keeper, history) = kept.unzip();
    let pipeline = Pipeline {
        history: keeper.unwrap_or(Keeper::off()),
        store,
        policies: watch::Sender::new(Arc::new(ruleset::load(None).unwrap())).subscribe(),
        intel: watch::Sender::new(Arc::new(IntelConfig::default().load().unwrap())).subscribe(),
        inbox,
        requests,
        wake: Arc::new(Notify::new()),
        paused: Arc::new(AtomicBool::new(false)),
        health: Arc::new(Health::new(Timestamp::now())),
        metrics,
    };
    let pipeline = tokio::spawn(pipeline.run());
    let began = Instant::now();
    let start = Timestamp::now() - SignedDuration::from_hours(1);
    let mut worst = 0.0_f64;
    let mut sent = 0;
    let mut sequence = 0;
    let mut received = 0;
    while sent < records {
        let batch: Vec<_> = (sent..(sent + RECORDS_PER_MESSAGE).min(records))
            .map(|n| record(n, users, start))
            .collect();
        sent += batch.len();
        sequence += 1;
        let body = envelope(&batch);
        received += body.len();
        let now = Timestamp::now();
        let message = Message {
            source: Source {
                hub: "soak".into(),
                partition: (sequence % PARTITIONS).to_string().into(),
                sequence: sequence as i64,
            },
            enqueued_at: now,
            received_at: now,
            content: entra::decode(&body),
            body: keep.then(|| bytes::Bytes::from(body).into()),
        };
        out.send(message).await.unwrap();
        if sequence % 5_000 == 0 {
            worst = worst.max(resident_mebibytes());
            println!(
                "{sent:>9} records, {:>6.0}/s, {worst:>5.0} MiB",
                rate(sent, began)
            );
        }
    }
    drop(out);
    pipeline.await.unwrap().unwrap();
    worst = worst.max(resident_mebibytes());
    if let Some(history) = history {
        let standing = history.watch();
        history.finished().await.unwrap();
        let standing = standing();
        println!(
            "history: {received} bytes kept in {}, {:.0} a record; failing: {:?}",
            standing.bytes,
            standing.bytes as f64 / records as f64,
            standing.failing
        );
    }
    let size = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum::<u64>();
    println!(
        "{users} users, {records} records: {:.0} records/s (2,000 needed), {worst:.0} MiB resident at most ({MEBIBYTES_MAX:.0} allowed), {} MiB on disk",
        rate(records, began),
        size >> 20
    );
    assert!(worst < MEBIBYTES_MAX, "{worst:.0} MiB");
}

fn rate(records: usize, began: Instant) -> f64 {
    records as f64 / began.elapsed().as_secs_f64()
}

/// Every user signs in from home in turn, with renewals between: on the days
/// before, and then all through the hour.
fn record(n: usize, users: usize, start: Timestamp) -> serde_json::Value {
    // A stride that is coprime to the number of users visits them all, in an
    // order that no cache likes.
    let user = n.wrapping_mul(7_919) % users;
    let person = Person::new(
        &format!("User {user}"),
        OFFICES[user % OFFICES.len()],
        (user % 250) as u8,
    );
    let round = n / users;
    let (at, interactive) = if round < HISTORY_DAYS * RECORDS_PER_DAY {
        let (day, of_day) = (round / RECORDS_PER_DAY, round % RECORDS_PER_DAY);
        let hours = 24 * (HISTORY_DAYS + 1 - day) - 3 * of_day;
        let at = start - SignedDuration::from_hours(hours as i64);
        (at, of_day == 0)
    } else {
        let n = n - users * HISTORY_DAYS * RECORDS_PER_DAY;
        let at = start + SignedDuration::from_secs((n / RECORDS_PER_SECOND) as i64);
        (at, n < users)
    };
    let id = record_id(&[&person.id, &n.to_string()]);
    SignInRecord {
        id,
        interactive,
        ..SignInRecord::at_home(&person, at)
    }
    .to_json()
}

fn resident_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        / 1024.0
}
