//! How fast the store commits on this disk. Run it by hand, optimised:
//! `cargo test --release --features lab --lib store::tests::speed -- --ignored --nocapture`

use std::time::{Duration, Instant};

use super::*;

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let total: Duration = took.iter().sum();
    println!(
        "{what}: {:.0} commits/s, p50 {:?}, p99 {:?}",
        took.len() as f64 / total.as_secs_f64(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
    );
}

/// A memory whose body is about 1 KB.
fn kilobyte(user: usize) -> UserMemory {
    let records: Vec<String> = (0..3).map(|i| format!("{user:08}-record-{i}")).collect();
    memory_of(&records.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
#[ignore = "a measurement, not a check"]
async fn commits_per_second() {
    let fixture = Fixture::new().await;
    let users: Vec<UserId> = (0..1_000)
        .map(|i| UserId::new(format!("user-{i}")))
        .collect();
    let (mut loads, mut commits) = (Vec::new(), Vec::new());
    for round in 0..100 {
        let start = Instant::now();
        let loaded = fixture.store.memories(users.clone()).await.unwrap();
        loads.push(start.elapsed());
        let changed = users.iter().cloned().zip(loaded).enumerate();
        let memories = changed.map(|(i, (user, known))| {
            let memory = kilobyte(i);
            (user, Remembered { memory, ..known })
        });
        let commit = Commit {
            positions: vec![position(round, 0)],
            memories: memories.collect(),
            ..Commit::default()
        };
        let start = Instant::now();
        fixture.store.commit(commit, at(round)).await.unwrap();
        commits.push(start.elapsed());
    }
    report("load 1,000 memories of 1 KB", loads);
    report("commit 1,000 memories of 1 KB", commits);

    let mut took = Vec::new();
    for i in 0..1_000 {
        let commit = Commit {
            positions: vec![position(1_000 + i, 0)],
            decisions: vec![act(&format!("u{i}"))],
            ..Commit::default()
        };
        let start = Instant::now();
        fixture.store.commit(commit, at(i)).await.unwrap();
        took.push(start.elapsed());
    }
    report("commit one decision", took);

    let mut took = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        let claimed = fixture.claim(10, at(5_000)).await;
        assert_eq!(claimed.len(), 10);
        took.push(start.elapsed());
    }
    report("claim 10 of up to 1,000 queued", took);
}
