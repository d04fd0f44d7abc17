//! The control API over a real socket and a real store.

mod policies;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use futures::FutureExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::cli::client::Client;
use crate::console::policies::{Bar, PolicyReport, ServingPolicy};
use crate::ingest::{Source, Undecodable};
use crate::model::{
    ActionKind, Admission, CaseId, Decision, DecisionId, Effect, Mode, Order, PolicyName,
    PolicyVerdict, Proof, ProofOutcome, RecordId, Truth, UserId, UserRef,
};
use crate::store::{Commit, Decided, Quarantined};

/// A desk that is served.
struct Served {
    directory: TempDir,
    store: Store,
    wake: Arc<Notify>,
    paused: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    reloads: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Served {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("state")).await.unwrap();
        let wake = Arc::new(Notify::new());
        let paused = Arc::new(AtomicBool::new(false));
        let metrics = Metrics::new().unwrap();
        let reloads = Arc::new(AtomicUsize::new(0));
        let desk = Desk {
            store: store.clone(),
            wake: Arc::clone(&wake),
            paused: Arc::clone(&paused),
            health: Arc::new(Health::new(at(0))),
            metrics: Arc::clone(&metrics),
            about: Box::new(about),
            retry: Box::new(|id| retried(id).boxed()),
            reload: {
                let reloads = Arc::clone(&reloads);
                Box::new(move || match reloads.fetch_add(1, Ordering::Relaxed) {
                    0 => Ok(reloaded()),
                    _ => Err("fine.yaml:2:7: no such mode".to_owned()),
                })
            },
            policies: Box::new(told),
        };
        let path = directory.path().join("control.sock");
        let control = Control::bind(&path, None).await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(control.serve(desk, stop.clone()));
        Self {
            directory,
            store,
            wake,
            paused,
            metrics,
            reloads,
            stop,
            task,
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    async fn send(&self, method: &str, path: &str) -> (u16, Value) {
        let client = reqwest::Client::builder()
            .unix_socket(self.socket().as_path())
            .build()
            .unwrap();
        let method = method.parse().unwrap();
        let request = client.request(method, format!("http://evictd{path}"));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap()
        };
        (status, body)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.send("GET", path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_value(body).unwrap()
    }

    /// A refusal with its status, as (status, error, hint).
    async fn refusal(&self, method: &str, path: &str) -> (u16, String, String) {
        let (status, body) = self.send(method, path).await;
        let Refusal { error, hint } = serde_json::from_value(body).unwrap();
        (status, error, hint.unwrap_or_default())
    }

    async fn decide(&self, decided: Vec<Decided>, now: Timestamp) {
        let commit = Commit {
            decisions: decided,
            ..Commit::default()
        };
        self.store.commit(commit, now).await.unwrap();
    }

    fn woken(&self) -> bool {
        self.wake.notified().now_or_never().is_some()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn about() -> About {
    About {
        version: "1.2.3".to_owned(),
        since: at(0),
        http: "127.0.0.1:9464".to_owned(),
        policy_set: "0011".to_owned(),
        policies_stale: false,
        partitions: Vec::new(),
        history: None,
    }
}

async fn retried(id: i64) -> Result<Retried, RetryError> {
    match id {
        1 => Ok(Retried {
            released: true,
            events: 2,
            reason: None,
        }),
        id => Err(RetryError::NotThere(id)),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn me() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
    user.map_or_else(
        || format!("uid:{}", nix::unistd::geteuid()),
        |user| user.name,
    )
}

fn case_of(user: &str) -> CaseId {
    CaseId::derive(&UserId::new(user), &RecordId::new("r1"))
}

/// A decision that asks `approvers` people, or acts when that is none.
fn decided(user: &str, approvers: u8) -> Decided {
    let (id, record) = (UserId::new(user), RecordId::new("r1"));
    let effect = if approvers == 0 {
        Effect::Act
    } else {
        Effect::Ask
    };
    Decided {
        enqueued_at: at(1),
        received_at: at(2),
        decision: Decision {
            id: DecisionId::derive(&id, &record),
            case: case_of(user),
            opened_by: record.clone(),
            record,
            user: UserRef {
                id,
                principal_name: format!("{user}@contoso.example").into(),
                guest: false,
                workload: false,
            },
            at: at(0),
            effect,
            score: 90,
            signals: Vec::new(),
            verdicts: Vec::new(),
            orders: vec![Order {
                kind: ActionKind::RevokeSessions,
                effect,
                policy: PolicyName::new("stolen-session"),
                score: 90,
                approvers,
                expires_seconds: 1_800,
            }],
            admission: Admission::Admitted,
            policy_set: "0011".into(),
        },
    }
}

fn quarantined(sequence: i64, bytes: usize) -> Quarantined {
    Quarantined {
        source: Source {
            hub: "insights".into(),
            partition: "0".into(),
            sequence,
        },
        enqueued_at: at(1),
        record: Undecodable {
            bytes: vec![b'x'; bytes],
            index: Some(0),
            reason: "not JSON".to_owned(),
        },
    }
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_stops_with_the_daemon() {
    let served = Served::start().await;
    let mode = std::fs::metadata(served.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    served.get::<Status>("/v1/status").await;
    served.stop().await;
}

#[tokio::test]
async fn an_approval_is_taken_down_under_the_peers_name_and_wakes_the_responder() {
    let served = Served::start().await;
    served
        .decide(vec![decided("ana", 1), decided("ben", 1)], Timestamp::now())
        .await;
    assert!(!served.woken());
    let short = case_of("ana").short();
    let (status, body) = served
        .send("POST", &format!("/v1/cases/{short}/approve"))
        .await;
    let case: CaseView = serde_json::from_value(body).unwrap();
    assert_eq!((status, case.status), (200, CaseStatus::Responding));
    assert_eq!(case.actions[0].approved_by, [me()]);
    assert!(served.woken());
    let (_, body) = served
        .send("POST", &format!("/v1/cases/{}/deny", case_of("ben")))
        .await;
    let case: CaseView = serde_json::from_value(body).unwrap();
    assert_eq!(case.status, CaseStatus::Denied);
    assert_eq!(case.actions[0].denied_by, Some(me()));
    let shown: CaseView = served.get(&format!("/v1/cases/{}", case_of("ben"))).await;
    assert_eq!(shown, case, "what is shown is what was answered");
    served.stop().await;
}

#[tokio::test]
async fn a_judgement_that_cannot_be_taken_says_why_and_what_may_help() {
    let served = Served::start().await;
    served
        .decide(vec![decided("ana", 2), decided("ben", 0)], Timestamp::now())
        .await;
    let (ana, ben) = (case_of("ana").short(), case_of("ben").short());
    let approve = |case: &str| format!("/v1/cases/{case}/approve");
    let (status, error, hint) = served.refusal("POST", &approve("00000000")).await;
    assert_eq!((status, error.as_str()), (404, "no case 00000000"));
    assert!(hint.contains("evictd cases list"), "{hint}");
    let (status, error, hint) = served.refusal("POST", &approve(&ben)).await;
    assert_eq!(status, 409);
    assert!(error.contains("nothing to approve"), "{error}");
    assert!(hint.contains(&format!("evictd cases show {ben}")), "{hint}");
    // One of two: taken down, not enough. The same person again is refused.
    let (status, _) = served.send("POST", &approve(&ana)).await;
    assert_eq!(status, 200);
    let (status, error, hint) = served.refusal("POST", &approve(&ana)).await;
    assert_eq!(status, 409);
    assert!(
        error.contains(&me()) && error.contains("2 different people"),
        "{error}"
    );
    assert!(hint.contains("Another person"), "{hint}");
    served.stop().await;
}

#[tokio::test]
async fn a_pause_holds_is_kept_under_the_first_name_and_ends_with_a_resume() {
    let served = Served::start().await;
    let first = Pause {
        by: "night-shift".to_owned(),
        since: at(7),
    };
    served.store.set_pause(Some(first.clone())).await.unwrap();
    assert_eq!(served.send("POST", "/v1/pause").await, (204, Value::Null));
    assert!(served.paused.load(Ordering::Relaxed));
    assert!(served.metrics.render().contains("evictd_paused 1"));
    let status: Status = served.get("/v1/status").await;
    assert_eq!(status.paused, Some(first));
    assert!(!served.woken());
    assert_eq!(served.send("POST", "/v1/resume").await, (204, Value::Null));
    assert!(!served.paused.load(Ordering::Relaxed));
    assert!(served.metrics.render().contains("evictd_paused 0"));
    assert_eq!(served.store.paused().await.unwrap(), None);
    assert!(served.woken(), "what is queued is done now");
    // And anew, under the peer's name.
    served.send("POST", "/v1/pause").await;
    assert_eq!(served.store.paused().await.unwrap().unwrap().by, me());
    served.stop().await;
}

#[tokio::test]
async fn a_list_shows_what_needs_a_human_first_however_old_it_is() {
    let served = Served::start().await;
    served
        .decide(vec![decided("old-question", 1)], at(10))
        .await;
    served.decide(vec![decided("older", 0)], at(20)).await;
    served.decide(vec![decided("newer", 0)], at(30)).await;
    let ids = |cases: Vec<CaseView>| cases.iter().map(|case| case.id).collect::<Vec<_>>();
    let two = ids(served.get("/v1/cases?limit=2").await);
    assert_eq!(two, [case_of("old-question"), case_of("newer")]);
    let all = ids(served.get("/v1/cases").await);
    assert_eq!(
        all,
        [case_of("old-question"), case_of("newer"), case_of("older")]
    );
    let commit = Commit {
        proofs: vec![Proof {
            case: case_of("older"),
            at: at(40),
            record: RecordId::new("r9"),
            outcome: ProofOutcome::Evaded,
        }],
        ..Commit::default()
    };
    served.store.commit(commit, at(41)).await.unwrap();
    let (_, first) = served.send("GET", "/v1/cases?limit=1").await;
    assert_eq!(first[0]["id"], json!(case_of("older")));
    assert_eq!(first[0]["status"], "evaded");
    assert_eq!(
        first[0]["containment"],
        json!({
            "stage": "evaded",
            "acknowledged_at": null,
            "shown_at": at(40),
            "shown_by": "r9",
        })
    );
    served.stop().await;
}

#[tokio::test]
async fn status_tells_what_the_daemon_and_the_store_know() {
    let served = Served::start().await;
    served
        .decide(vec![decided("ana", 1)], Timestamp::now())
        .await;
    let (_, mut status) = served.send("GET", "/v1/status").await;
    let outbox = status["outbox"].take();
    assert!(
        outbox
            .as_array()
            .unwrap()
            .contains(&json!(["awaiting_approval", 1])),
        "{outbox}"
    );
    let waiting = "not started yet";
    assert_eq!(
        status,
        json!({
            "version": "1.2.3",
            "since": "2026-09-21T14:13:20Z",
            "http": "127.0.0.1:9464",
            "policies_stale": false,
            "policy_set": "0011",
            "partitions": [],
            "ready": false,
            "unready": [
                format!("Receivers: {waiting}"),
                format!("Store: {waiting}"),
                format!("Policies: {waiting}"),
            ],
            "paused": null,
            "outbox": null,
            "quarantined": 0,
        })
    );
    served.stop().await;
}

#[tokio::test]
async fn quarantine_comes_in_pages_of_a_bounded_size_that_leave_nothing_out() {
    let served = Served::start().await;
    let third = QUARANTINE_BYTES_MAX / 3;
    let half = 1024 * 1024;
    let commit = Commit {
        quarantine: [third, third, half, half, 10]
            .into_iter()
            .zip(0..)
            .map(|(bytes, sequence)| quarantined(sequence, bytes))
            .collect(),
        ..Commit::default()
    };
    served.store.commit(commit, at(5)).await.unwrap();
    let (mut after, mut pages) = (0, Vec::new());
    loop {
        let path = format!("/v1/quarantine?after={after}&limit=1000");
        let page: Vec<QuarantineRow> = served.get(&path).await;
        let Some(last) = page.last() else { break };
        after = last.id;
        pages.push(page.iter().map(|row| row.sequence).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![0, 1], vec![2, 3], vec![4]]);
    served.stop().await;
}

#[tokio::test]
async fn a_retry_is_handed_on_and_what_is_not_there_is_named() {
    let served = Served::start().await;
    let retried: (u16, Value) = served.send("POST", "/v1/quarantine/1/retry").await;
    assert_eq!(
        retried,
        (
            200,
            json!({ "released": true, "events": 2, "reason": null })
        )
    );
    for id in [2, 0, i64::MIN] {
        let (status, error, hint) = served
            .refusal("POST", &format!("/v1/quarantine/{id}/retry"))
            .await;
        assert_eq!(
            (status, error),
            (404, format!("no quarantined record {id}"))
        );
        assert!(hint.contains("quarantine list"), "{hint}");
    }
    served.stop().await;
}

fn reloaded() -> Reloaded {
    Reloaded {
        hash: "0011".to_owned(),
        changed: true,
        policies: 1,
        warnings: Vec::new(),
    }
}

/// One policy in shadow serves, whose author asks for 1 % of one case.
fn told() -> (ServingSet, Attempt, Option<OnDisk>) {
    let serving = ServingSet {
        hash: "0011".to_owned(),
        since: at(0),
        directory: None,
        policies: vec![ServingPolicy {
            name: "p".to_owned(),
            mode: Mode::Shadow,
            owner: String::new(),
            bar: Some(Bar {
                precision: 1,
                cases: 1,
            }),
            mode_at: None,
        }],
    };
    let attempt = Attempt {
        at: at(0),
        problems: Vec::new(),
    };
    (serving, attempt, None)
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_json_and_a_look_changes_nothing() {
    let served = Served::start().await;
    let (status, _, hint) = served.refusal("GET", "/v1/secrets").await;
    assert_eq!(status, 404);
    assert!(hint.contains("version"), "{hint}");
    served
        .decide(vec![decided("ana", 1)], Timestamp::now())
        .await;
    let short = case_of("ana").short();
    let (status, _) = served
        .send("GET", &format!("/v1/cases/{short}/approve"))
        .await;
    assert_eq!(status, 405);
    let case: CaseView = served.get(&format!("/v1/cases/{short}")).await;
    assert_eq!(case.status, CaseStatus::AwaitingApproval);
    served.stop().await;
}

#[tokio::test]
async fn a_change_goes_on_when_whoever_asked_for_it_has_gone() {
    let desk = Served::start().await;
    let served = super::Served {
        desk: Desk {
            store: desk.store.clone(),
            wake: Arc::clone(&desk.wake),
            paused: Arc::clone(&desk.paused),
            health: Arc::new(Health::new(at(0))),
            metrics: Arc::clone(&desk.metrics),
            about: Box::new(about),
            retry: Box::new(|id| retried(id).boxed()),
            reload: Box::new(|| Ok(reloaded())),
            policies: Box::new(told),
        },
        pausing: Mutex::new(()),
        changes: Arc::new(Semaphore::new(1)),
    };
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let done = Arc::new(Notify::new());
    let work = {
        let (begun, go_on, done) = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&done));
        async move {
            begun.notify_one();
            go_on.notified().await;
            done.notify_one();
            Ok(())
        }
    };
    tokio::select! {
        _ = change(&served, work) => panic!("it ended before it was let go on"),
        () = begun.notified() => {}
    }
    // It still holds its place, so one more is turned away rather than kept.
    let Fault(status, _) = change(&served, async { Ok(()) }).await.unwrap_err();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    go_on.notify_one();
    done.notified().await;
    desk.stop().await;
}
