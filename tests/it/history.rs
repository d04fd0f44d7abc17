//! What was received is kept, and whatever happens to it, judging goes on.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use evictd::history::segments;
use evictd::ingest::recorded;
use evictd::lab::Transport;
use evictd::model::CaseStatus;
use jiff::Timestamp;

use crate::support::{House, PATIENCE, at_home, replayed_session, theft, victims};

/// The records in the history that hold an event.
fn kept(state: &Path) -> usize {
    let mut events = 0;
    for path in segments(state, Timestamp::UNIX_EPOCH).unwrap() {
        let file = BufReader::new(File::open(path).unwrap());
        recorded::read(file, |located| events += located.content.events.len()).unwrap();
    }
    events
}

fn configure(house: &House, line: &str) {
    let text = house.lab.config_text(Transport::Plain, None);
    let text = format!("{text}\n[history]\n{line}\n");
    fs::write(house.directory.path().join("evictd.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_is_kept_and_the_next_daemon_appends() {
    let house = House::start().await;
    let people = victims(2);
    let now = Timestamp::now();
    house.publish(&theft(&people[0], now));
    house.wait_for_case(&people[0], CaseStatus::Contained).await;
    let state = house.lab.state_directory();
    let house = house.restart().await;
    assert_eq!(kept(&state), 2, "a stop flushes");
    let status = house.client.status().await.unwrap();
    let history = status.about.history.unwrap();
    assert_eq!((history.days, history.failing), (90, None));
    // An empty message and one that is no record leave nothing.
    house.lab.publish_bytes(b"hello".to_vec());
    house.publish(&theft(&people[1], now));
    house.wait_for_case(&people[1], CaseStatus::Contained).await;
    house.daemon.stop().await.unwrap();
    assert_eq!(kept(&state), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_days_keep_nothing() {
    let house = House::start().await;
    configure(&house, "days = 0");
    let house = house.restart().await;
    let victim = &victims(1)[0];
    house.publish(&theft(victim, Timestamp::now()));
    house.wait_for_case(victim, CaseStatus::Contained).await;
    assert!(house.client.status().await.unwrap().about.history.is_none());
    let state = house.lab.state_directory();
    house.daemon.stop().await.unwrap();
    assert_eq!(kept(&state), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_cannot_be_written_is_said_and_does_not_stop_judging() {
    let house = House::start().await;
    let people = victims(2);
    let now = Timestamp::now();
    let state = house.lab.state_directory();
    // Whoever runs the tests, nothing is written below a file.
    let _ = fs::remove_dir_all(state.join("history"));
    fs::write(state.join("history"), "in the way").unwrap();
    house.publish(&[at_home(&people[0], now), replayed_session(&people[0], now)]);
    house.wait_for_case(&people[0], CaseStatus::Contained).await;
    house
        .wait_for_status("failing", |status| {
            let history = status.about.history.as_ref();
            history.is_some_and(|history| history.failing.is_some())
        })
        .await;
    assert!(house.metric("evictd_history_failures_total").await >= 1);
    fs::remove_file(state.join("history")).unwrap();
    house.publish(&theft(&people[1], now));
    house.wait_for_case(&people[1], CaseStatus::Contained).await;
    let mended = tokio::time::timeout(
        PATIENCE,
        house.wait_for_status("mended", |status| {
            let history = status.about.history.as_ref();
            history.is_some_and(|history| history.failing.is_none())
        }),
    );
    mended.await.unwrap();
    house.daemon.stop().await.unwrap();
    assert!(kept(&state) >= 1);
}
