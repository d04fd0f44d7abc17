//! What is kept, how it ends, and what a failure costs.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;

use jiff::ToSpan as _;
use tempfile::TempDir;

use super::*;
use crate::ingest::{Decoded, Source, entra, recorded};

const CONFIG: HistoryConfig = HistoryConfig {
    days: 90,
    max_bytes: 1 << 30,
};

fn record(id: &str) -> String {
    format!(
        r#"{{"category":"SignInLogs","properties":{{"id":"{id}","userId":"u","createdDateTime":"2026-11-24T08:00:00Z","status":{{"errorCode":0}}}}}}"#
    )
}

fn envelope(id: &str) -> String {
    format!("{{\"records\":[{}]}}", record(id))
}

fn message(body: &str, received_at: Timestamp) -> Message {
    Message {
        source: Source {
            hub: "signins".into(),
            partition: "0".into(),
            sequence: 0,
        },
        enqueued_at: received_at,
        received_at,
        content: entra::decode(body.as_bytes()),
        body: Some(Bytes::copy_from_slice(body.as_bytes()).into()),
    }
}

/// The ids of what a file holds, and how much of it did not decode.
fn held(bytes: &[u8]) -> (Vec<String>, usize) {
    let (mut ids, mut bad) = (Vec::new(), 0);
    recorded::read(Cursor::new(bytes), |located| {
        let Decoded {
            events,
            quarantined,
            ..
        } = located.content;
        ids.extend(
            events
                .iter()
                .map(|(_, event)| event.record().as_str().to_owned()),
        );
        bad += quarantined.len();
    })
    .unwrap();
    (ids, bad)
}

/// Keeps the messages and stops; what was said in the end.
async fn keep(
    state: &TempDir,
    config: HistoryConfig,
    batches: &[Vec<Message>],
) -> (Standing, String) {
    let metrics = Metrics::new().unwrap();
    let started = History::start(state.path(), config, Arc::clone(&metrics));
    let (keeper, history) = started.unwrap().unwrap();
    for batch in batches {
        keeper.keep(batch).written().await;
    }
    drop(keeper);
    let standing = history.watch();
    history.finished().await.unwrap();
    (standing(), metrics.render())
}

fn all(state: &TempDir) -> Vec<String> {
    let paths = segments(state.path(), Timestamp::UNIX_EPOCH).unwrap();
    paths
        .iter()
        .flat_map(|path| {
            let (ids, bad) = held(&fs::read(path).unwrap());
            assert_eq!(bad, 0, "{}", path.display());
            ids
        })
        .collect()
}

#[tokio::test]
async fn what_is_handed_over_is_kept_by_day_and_appended_to_by_the_next_process() {
    let state = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let yesterday = now - 24.hours();
    let pretty = envelope("b").replace(',', ",\r\n");
    let batch = vec![
        message(&envelope("a"), yesterday),
        message(&pretty, now),
        message(&format!("[{}]", record("c")), now),
    ];
    let (standing, metrics) = keep(&state, CONFIG, &[batch]).await;
    assert_eq!(standing.failing, None);
    assert_eq!(standing.since, Some(segment::day_of(yesterday)));
    assert!(metrics.contains(&format!("evictd_history_bytes {}", standing.bytes)));
    keep(&state, CONFIG, &[vec![message(&envelope("d"), now)]]).await;
    assert_eq!(all(&state), ["a", "b", "c", "d"]);
    let paths = segments(state.path(), now).unwrap();
    assert_eq!(paths.len(), 1, "yesterday's cannot hold it: {paths:?}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&paths[0]), 0o600);
    assert_eq!(mode(paths[0].parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_message_without_an_event_or_that_is_no_json_is_not_kept() {
    let state = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let other = r#"{"records":[{"category":"Whatever"}]}"#;
    // One of its records was judged, the rest is cut.
    let cut = format!("{{\"records\":[{},{{\"cat", record("x"));
    let odd = format!(
        "{{\"records\":[{},{{\"category\":\"SignInLogs\"}}]}}",
        record("y")
    );
    let batch = [other, &cut, &odd].map(|body| message(body, now)).to_vec();
    keep(&state, CONFIG, &[batch]).await;
    let path = &segments(state.path(), now).unwrap()[0];
    assert_eq!(held(&fs::read(path).unwrap()), (vec!["y".to_owned()], 1));
}

#[tokio::test]
async fn a_frame_that_was_torn_anywhere_is_cut_off_at_the_next_start() {
    let state = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let batches = ["a", "b"].map(|id| vec![message(&envelope(id), now)]);
    keep(&state, CONFIG, &batches[..1]).await;
    let path = segments(state.path(), now).unwrap().remove(0);
    let first = fs::read(&path).unwrap().len();
    keep(&state, CONFIG, &batches[1..]).await;
    let whole = fs::read(&path).unwrap();
    for end in 0..=whole.len() {
        // Zeros are what a power cut may leave of a file that had grown.
        for tail in [&[][..], &[0; 7]] {
            let state = tempfile::tempdir().unwrap();
            fs::create_dir(state.path().join("history")).unwrap();
            let torn = state.path().join("history").join(path.file_name().unwrap());
            fs::write(&torn, [&whole[..end], tail].concat()).unwrap();
            let mut shelf = Shelf::new(state.path(), CONFIG);
            shelf.append(segment::day_of(now), &whole[..first]).unwrap();
            let expected: &[&str] = match end {
                _ if end < first => &["a"],
                _ if end < whole.len() => &["a", "a"],
                _ => &["a", "b", "a"],
            };
            assert_eq!(all(&state), expected, "torn at {end}");
        }
    }
}

#[tokio::test]
async fn a_directory_that_fails_is_counted_and_said_and_mended_without_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let blocked = state.path().join("history");
    fs::write(&blocked, "in the way").unwrap();
    let metrics = Metrics::new().unwrap();
    let started = History::start(state.path(), CONFIG, Arc::clone(&metrics));
    let (keeper, history) = started.unwrap().unwrap();
    let standing = history.watch();
    keeper.keep(&[message(&envelope("a"), now)]).written().await;
    assert!(standing().failing.is_some());
    assert!(metrics.render().contains("evictd_history_failures_total 1"));
    fs::remove_file(&blocked).unwrap();
    keeper.keep(&[message(&envelope("b"), now)]).written().await;
    assert_eq!(standing().failing, None);
    drop(keeper);
    history.finished().await.unwrap();
    assert_eq!(all(&state), ["b"]);
}

#[tokio::test]
async fn old_days_go_by_age_and_then_the_oldest_by_size() {
    let now = Timestamp::now();
    let day = |ago: i64| segment::day_of(now - (24 * ago).hours());
    let filled = || {
        let state = tempfile::tempdir().unwrap();
        let mut shelf = Shelf::new(state.path(), CONFIG);
        for ago in [5, 3, 1] {
            shelf.append(day(ago), &[0; 1000]).unwrap();
        }
        fs::write(state.path().join("history/notes.txt"), "not ours").unwrap();
        state
    };
    let days = |state: &TempDir| -> Vec<String> {
        let paths = segments(state.path(), Timestamp::UNIX_EPOCH).unwrap();
        let name = |path: &std::path::PathBuf| {
            path.file_name().unwrap().to_str().unwrap()[..10].to_owned()
        };
        paths.iter().map(name).collect()
    };
    let state = filled();
    let mut shelf = Shelf::new(state.path(), HistoryConfig { days: 4, ..CONFIG });
    shelf.sweep(day(0)).unwrap();
    assert_eq!(days(&state), [day(3).to_string(), day(1).to_string()]);

    let state = filled();
    let small = HistoryConfig {
        max_bytes: 2_500,
        ..CONFIG
    };
    let mut shelf = Shelf::new(state.path(), small);
    shelf.sweep(day(0)).unwrap();
    shelf.append(day(0), &[0; 1000]).unwrap();
    assert_eq!(days(&state), [day(1).to_string(), day(0).to_string()]);
    assert_eq!(shelf.bytes(), 2_000);
    let refused = shelf.append(day(0), &[0; 2_000]).unwrap_err();
    assert!(
        refused.to_string().contains("history.max_bytes"),
        "{refused}"
    );
    assert!(state.path().join("history/notes.txt").exists());
}

#[tokio::test]
async fn a_queue_that_is_full_drops_and_counts_and_never_waits() {
    let metrics = Metrics::new().unwrap();
    let shared = Arc::new(Shared {
        standing: Mutex::default(),
        queued_bytes: AtomicUsize::new(0),
        behind: AtomicBool::new(false),
        metrics: Arc::clone(&metrics),
    });
    // Nobody reads.
    let (out, _queue) = sync_channel(1);
    let keeper = Keeper(Some((out, Arc::clone(&shared))));
    let batch = [message(&envelope("a"), Timestamp::now())];
    let first = keeper.keep(&batch);
    first.written().await;
    assert!(
        shared.behind.load(Ordering::Acquire),
        "it was waited for once"
    );
    keeper.keep(&batch).written().await;
    assert!(metrics.render().contains("evictd_history_failures_total 1"));
    assert!(
        shared
            .lock()
            .failing
            .as_deref()
            .unwrap()
            .contains("queue is full")
    );
}

#[test]
fn zero_days_keep_nothing_and_start_no_thread() {
    let state = tempfile::tempdir().unwrap();
    let off = HistoryConfig { days: 0, ..CONFIG };
    let started = History::start(state.path(), off, Metrics::new().unwrap()).unwrap();
    assert!(started.is_none());
    assert_eq!(
        segments(state.path(), Timestamp::UNIX_EPOCH).unwrap(),
        Vec::<std::path::PathBuf>::new()
    );
}
