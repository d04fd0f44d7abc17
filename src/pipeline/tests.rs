//! The guard as the pipeline asks it: by its own clock, and by users.

mod hostile;
mod shadow;

use jiff::SignedDuration;

use super::*;
use crate::history::Keeper;
use crate::ingest::{Category, Decoded};
use crate::model::{
    ActionKind, ActionState, Event, Network, RecordId, RiskDetection, RiskLevel, RiskState,
    RiskType, UserRef,
};
use crate::policy;
use crate::ruleset::known_signals;

const RULES: &str = "policy: p
mode: enforce
window: 60m
signals: { risk.anonymizedIPAddress: 60, risk.adminConfirmedUserCompromised: 100 }
rungs:
  - { at: 90, do: [revoke_sessions, confirm_compromised] }
  - { at: 60, do: [revoke_sessions] }
";

/// A pipeline, where its messages come from and where it is asked.
fn pipeline(
    store: &Store,
    guard: &str,
) -> (Pipeline, mpsc::Sender<Message>, mpsc::Sender<Request>) {
    let source = |path: &str, text: &str| policy::Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let sources = vec![source("p.yaml", RULES), source("guard.yaml", guard)];
    let policies = PolicySet::compile(sources, &known_signals()).unwrap();
    serving(store, watch::Sender::new(Arc::new(policies)).subscribe())
}

/// A pipeline that judges by what serves.
fn serving(
    store: &Store,
    policies: watch::Receiver<Arc<PolicySet>>,
) -> (Pipeline, mpsc::Sender<Message>, mpsc::Sender<Request>) {
    let (out, inbox) = mpsc::channel(64);
    let (ask, requests) = mpsc::channel(1);
    let pipeline = Pipeline {
        store: store.clone(),
        policies,
        intel: watch::Sender::new(Arc::new(Intel::default())).subscribe(),
        history: Keeper::off(),
        inbox,
        requests,
        wake: Arc::new(Notify::new()),
        paused: Arc::new(AtomicBool::new(false)),
        health: Arc::new(Health::new(Timestamp::now())),
        metrics: Metrics::new().unwrap(),
    };
    (pipeline, out, ask)
}

/// Runs the pipeline over messages of one event each, to their end.
async fn run(store: &Store, guard: &str, messages: impl IntoIterator<Item = Message>) {
    let (pipeline, out, _ask) = pipeline(store, guard);
    for (sequence, mut message) in (0..).zip(messages) {
        message.source.sequence = sequence;
        out.send(message).await.unwrap();
    }
    drop(out);
    pipeline.run().await.unwrap();
}

async fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    (directory, store)
}

/// Microsoft sees a risk of this kind at `at`, and we hear of it at once.
fn risk(user: &str, risk_type: &str, at: Timestamp) -> Message {
    let detection = RiskDetection {
        record: RecordId::new(format!("{user}-{risk_type}@1")),
        detection: format!("{user}-{risk_type}").into(),
        at,
        user: UserRef {
            id: UserId::new(user),
            principal_name: "".into(),
            guest: false,
            workload: false,
        },
        request: None,
        risk_type: RiskType(risk_type.into()),
        level: RiskLevel::High,
        state: RiskState::AtRisk,
        network: Network::default(),
    };
    let event = Event::RiskDetection(Box::new(detection));
    Message {
        source: Source {
            hub: "risk".into(),
            partition: "0".into(),
            sequence: 0,
        },
        enqueued_at: at,
        received_at: at,
        content: Decoded {
            events: vec![(Category("UserRiskEvents"), event)],
            ..Decoded::default()
        },
        body: None,
    }
}

/// The state of the user's revoke.
async fn revoke_of(store: &Store, user: &str) -> ActionState {
    let cases = store.cases(100).await.unwrap();
    let case = cases.iter().find(|c| c.user.id.as_str() == user).unwrap();
    let revoke = |a: &&crate::model::ActionView| a.kind == ActionKind::RevokeSessions;
    case.actions.iter().find(revoke).unwrap().state
}

#[tokio::test]
async fn a_message_that_waited_too_long_for_its_judgement_is_asked_about() {
    let (_directory, store) = store().await;
    let waited = Timestamp::now() - SignedDuration::from_hours(2);
    let guard = "guard: { stale_after: 60m }\n";
    let messages = [
        risk("ana", "anonymizedIPAddress", waited),
        risk("ben", "anonymizedIPAddress", Timestamp::now()),
    ];
    run(&store, guard, messages).await;
    assert_eq!(
        revoke_of(&store, "ana").await,
        ActionState::AwaitingApproval
    );
    assert_eq!(revoke_of(&store, "ben").await, ActionState::Queued);
}

#[tokio::test]
async fn the_budget_counts_users_and_not_how_often_one_was_acted_on() {
    let (_directory, store) = store().await;
    let now = Timestamp::now();
    let guard = "guard: { acts_per_hour: 2 }\n";
    let messages = [
        risk("ana", "anonymizedIPAddress", now),
        risk("ana", "adminConfirmedUserCompromised", now),
        risk("ben", "anonymizedIPAddress", now),
        risk("cleo", "anonymizedIPAddress", now),
        // Spent, but these two are in it already.
        risk("ben", "adminConfirmedUserCompromised", now),
    ];
    run(&store, guard, messages).await;
    assert_eq!(revoke_of(&store, "ben").await, ActionState::Queued);
    assert_eq!(
        revoke_of(&store, "cleo").await,
        ActionState::AwaitingApproval
    );
    let cases = store.cases(100).await.unwrap();
    let ben = cases.iter().find(|c| c.user.id.as_str() == "ben").unwrap();
    assert_eq!(ben.actions.len(), 2);
    assert!(ben.actions.iter().all(|a| a.state == ActionState::Queued));

    // A restart counts the same.
    let later = risk("dora", "anonymizedIPAddress", now);
    let message = Message {
        source: Source {
            partition: "1".into(),
            ..later.source.clone()
        },
        ..later
    };
    run(&store, "guard: { acts_per_hour: 3 }\n", [message]).await;
    assert_eq!(revoke_of(&store, "dora").await, ActionState::Queued);
}

/// The detection of [`risk`], dismissed by somebody.
fn dismissed(user: &str, risk_type: &str, at: Timestamp) -> Message {
    let mut message = risk(user, risk_type, at);
    for (_, event) in &mut message.content.events {
        if let Event::RiskDetection(detection) = event {
            detection.record = RecordId::new(format!("{}@2", detection.detection));
            detection.state = RiskState::Dismissed;
        }
    }
    message
}

#[tokio::test]
async fn a_dismissal_closes_an_act_that_the_guard_made_a_question() {
    let now = Timestamp::now();
    let anonymized = "anonymizedIPAddress";
    let told = [
        risk("ana", anonymized, now),
        dismissed("ana", anonymized, now),
    ];
    let (_directory, store) = store().await;
    run(&store, "guard: { acts_per_hour: 0 }\n", told).await;
    assert_eq!(revoke_of(&store, "ana").await, ActionState::Withdrawn);
}

#[tokio::test]
async fn what_is_asked_after_a_dismissal_of_the_same_batch_stays_asked() {
    let now = Timestamp::now();
    let anonymized = "anonymizedIPAddress";
    let told = [
        risk("ana", anonymized, now),
        dismissed("ana", anonymized, now),
        risk("ana", "adminConfirmedUserCompromised", now),
    ];
    let (_directory, store) = store().await;
    run(&store, "guard: { acts_per_hour: 0 }\n", told).await;
    assert_eq!(
        revoke_of(&store, "ana").await,
        ActionState::AwaitingApproval
    );
}

#[tokio::test]
async fn a_record_that_is_not_in_quarantine_is_said_not_to_be_there_whatever_its_number() {
    let (_directory, store) = store().await;
    let (pipeline, out, ask) = pipeline(&store, "guard: {}\n");
    let running = tokio::spawn(pipeline.run());
    for id in [i64::MIN, -1, 0, 1, i64::MAX] {
        let (reply, answer) = oneshot::channel();
        ask.send(Request::Retry { id, reply }).await.unwrap();
        assert_eq!(answer.await.unwrap(), Err(RetryError::NotThere(id)));
    }
    drop(out);
    running.await.unwrap().unwrap();
}

/// A sign-in by device code through the broker.
fn device_code(user: &str, at: Timestamp) -> Message {
    let Message { source, .. } = risk(user, "any", at);
    let mut event = crate::model::SignIn::new(
        RecordId::new(format!("{user}-code")),
        at,
        UserRef {
            id: UserId::new(user),
            principal_name: format!("{user}@contoso.example").into(),
            guest: false,
            workload: false,
        },
    );
    event.protocol = crate::model::Protocol::DeviceCode;
    event.app.id = Some("29d9ed98-a469-4536-ade2-f981bc1d605e".into());
    event.network.place.country = crate::model::CountryCode::parse("FR");
    Message {
        source,
        enqueued_at: at,
        received_at: at,
        content: Decoded {
            events: vec![(Category("SignInLogs"), Event::SignIn(Box::new(event)))],
            ..Decoded::default()
        },
        body: None,
    }
}

#[tokio::test]
async fn a_kept_case_judged_again_under_the_same_set_has_the_same_trace_byte_for_byte() {
    let (_directory, store) = store().await;
    let mut sources = policy::shipped();
    sources.push(policy::Source {
        path: "conditions.yaml".into(),
        text: "policy: conditions
window: 24h
owner: ana
when: event.network.country == \"FR\" && event.sign_in.device.compliant
signals: { device_code_broker: 80, custom.code: default, risk.anomalousToken: 55 }
except: [{ name: lab, when: signal.name == \"custom.code\", owner: a, reason: b, until: 2099-01-31 }]
rungs: [{ at: 60, do: [revoke_sessions] }]
"
        .into(),
    });
    sources.push(policy::Source {
        path: "own.yaml".into(),
        text: "signals: { custom.code: { description: a code, family: behaviour, weight: 30, when: event.sign_in.succeeded } }\n".into(),
    });
    let set = PolicySet::compile(sources, &known_signals()).unwrap();
    let now = Timestamp::now();
    let messages: Vec<Message> = (0..20)
        .flat_map(|n: i64| {
            let user = format!("user-{}", n % 4);
            let at = now - jiff::SignedDuration::from_secs(600 - n);
            match n {
                0..4 => vec![device_code(&user, at)],
                4..8 => vec![risk(&user, "anomalousToken", at), device_code(&user, at)],
                8..12 => vec![risk(&user, "attackerinTheMiddle", at)],
                _ => vec![risk(&user, "unlikelyTravel", at)],
            }
        })
        .collect();

    let (mut memories, mut around) = (HashMap::new(), Surroundings::default());
    let mut replayed: Vec<Decision> = Vec::new();
    for message in &messages {
        for (_, event) in &message.content.events {
            let given = Given {
                intel: &Intel::default(),
                policies: &set,
                revoked_at: None,
            };
            let memory: &mut crate::model::UserMemory =
                memories.entry(event.user().id.clone()).or_default();
            replayed.extend(engine::step(memory, &mut around, event, &given).decision);
            around.settle();
        }
    }

    let set = watch::Sender::new(Arc::new(set)).subscribe();
    let (pipeline, out, _ask) = serving(&store, set);
    for (sequence, mut message) in (0..).zip(messages) {
        message.source.sequence = sequence;
        out.send(message).await.unwrap();
    }
    drop(out);
    pipeline.run().await.unwrap();

    let mut kept: Vec<Decision> = Vec::new();
    for case in store.cases(100).await.unwrap() {
        let case = store.case(&case.id.to_string()).await.unwrap();
        kept.extend(case.decisions.into_iter().map(|view| view.decision));
    }
    let bytes = |mut decisions: Vec<Decision>| {
        decisions.sort_by_key(|decision| decision.id);
        let texts = decisions.iter().map(|d| serde_json::to_string(d).unwrap());
        texts.collect::<Vec<String>>()
    };
    let (kept, replayed) = (bytes(kept), bytes(replayed));
    assert!(kept.len() >= 4, "{}", kept.len());
    assert!(
        kept.iter().any(|text| text.contains("set_aside")),
        "{kept:?}"
    );
    assert_eq!(kept, replayed);
}
