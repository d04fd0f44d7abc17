//! What serves decides: a batch by one set, and in shadow nothing is done.

use super::*;
use crate::model::{CaseStatus, CaseView, Effect};

fn compiled(text: &str) -> Result<Arc<PolicySet>, policy::PolicyErrors> {
    let source = policy::Source {
        path: "p.yaml".to_owned(),
        text: text.to_owned(),
    };
    PolicySet::compile(vec![source], &known_signals()).map(Arc::new)
}

/// Judges messages by one policy, and returns the case that they make with all
/// that the outbox holds.
async fn judged(set: Arc<PolicySet>, messages: Vec<Message>) -> (CaseView, usize) {
    let (_directory, store) = store().await;
    let (pipeline, out, _ask) = serving(&store, watch::Sender::new(set).subscribe());
    for (sequence, mut message) in (0..).zip(messages) {
        message.source.sequence = sequence;
        out.send(message).await.unwrap();
    }
    drop(out);
    pipeline.run().await.unwrap();
    let cases = store.cases(10).await.unwrap();
    let [case] = cases.as_slice() else {
        panic!("{cases:?}");
    };
    let case = store.case(&case.id.to_string()).await.unwrap();
    let held = store.stats().await.unwrap().by_state;
    let held = held
        .iter()
        .map(|(_, actions)| usize::try_from(*actions).unwrap());
    let held = held.sum();
    let now = Timestamp::now();
    assert_eq!(store.expire(Timestamp::MAX).await.unwrap() > 0, {
        let asked = |a: &crate::model::ActionView| a.state == ActionState::AwaitingApproval;
        case.actions.iter().any(asked)
    });
    if case.status == CaseStatus::Shadow {
        let claimed = store.claim(&ActionKind::ALL, 10, now).await.unwrap();
        assert!(claimed.is_empty(), "{claimed:?}");
        let id = case.id.to_string();
        let word = crate::store::Judgement::Approve;
        let yes = store.judge(&id, word, "alice", now).await;
        assert!(yes.is_err(), "there is nothing to approve");
    }
    (case, held)
}

/// Two detections of a user or of a service principal, and a third that
/// is only filed.
fn detections(workload: bool) -> Vec<Message> {
    let now = Timestamp::now();
    let kinds = ["leakedCredentials", "suspiciousSignins", "brandNew"];
    let mut messages: Vec<Message> = kinds.iter().map(|kind| risk("ana", kind, now)).collect();
    for message in &mut messages {
        for (_, event) in &mut message.content.events {
            if let Event::RiskDetection(detection) = event {
                detection.user.workload = workload;
            }
        }
    }
    messages
}

#[tokio::test]
async fn shadow_does_and_asks_nothing_whatever_the_action_and_for_whomever() {
    let policy = |mode: &str, rung: &str, workload: bool, kind: ActionKind| {
        let scope = if workload {
            "scope: { workloads: true }\n"
        } else {
            ""
        };
        format!(
            "policy: p\n{mode}window: 60m\n{scope}\
             signals: {{ risk.leakedCredentials: 60, risk.suspiciousSignins: 100 }}\n\
             rungs:\n  - {{ at: 90, {rung} do: [{kind}] }}\n  - {{ at: 60, {rung} do: [{kind}] }}\n"
        )
    };
    let mut tried = 0;
    for (kind, workload) in ActionKind::ALL
        .into_iter()
        .flat_map(|k| [(k, false), (k, true)])
    {
        // The mode that acts or asks shows that the same evidence would.
        let asks = "ask: {},";
        let awake = compiled(&policy("mode: approve\n", asks, workload, kind));
        if workload && !kind.fits_workloads() {
            assert!(awake.is_err(), "{kind} of a service principal");
            continue;
        }
        let (case, held) = judged(awake.unwrap(), detections(workload)).await;
        assert_eq!((case.actions.len(), held), (1, 1), "{kind} {workload}");

        for (mode, rung) in ["mode: shadow\n", ""]
            .into_iter()
            .flat_map(|m| [(m, ""), (m, asks)])
        {
            let Ok(set) = compiled(&policy(mode, rung, workload, kind)) else {
                assert!(
                    rung.is_empty(),
                    "{kind} {workload}: a question compiles in shadow"
                );
                continue;
            };
            let (case, held) = judged(set, detections(workload)).await;
            let what = format!("{kind} {workload} {mode:?} {rung:?}: {case:?}");
            assert_eq!(case.status, CaseStatus::Shadow, "{what}");
            assert_eq!(case.effect(), Some(Effect::Shadow), "{what}");
            assert!(case.actions.is_empty() && held == 0, "{what}");
            assert_eq!(case.decisions.len(), 2, "it is recorded: {what}");
            tried += 1;
        }
    }
    assert!(tried >= 14, "{tried}: too little was tried");
}

/// A set for each of these weights: both ask, and their hashes differ.
fn set_of(weight: u8) -> Arc<PolicySet> {
    compiled(&format!(
        "policy: p\nmode: approve\nwindow: 60m\nsignals: {{ risk.leakedCredentials: {weight} }}\n\
         rungs: [{{ at: 60, do: [revoke_sessions] }}]\n"
    ))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_decided_by_one_set_however_often_another_is_swapped_in() {
    let (_directory, store) = store().await;
    let sets = [set_of(70), set_of(80)];
    assert_ne!(sets[0].hash, sets[1].hash);
    let sender = Arc::new(watch::Sender::new(Arc::clone(&sets[0])));
    let (pipeline, out, _ask) = serving(&store, sender.subscribe());
    drop(out);
    let batch = |n: usize| {
        let now = Timestamp::now();
        let user = |i| risk(&format!("u{n}-{i}"), "leakedCredentials", now);
        Batch {
            messages: (0..200).map(user).collect(),
            ..Batch::default()
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut swapped = sender.subscribe();
    let swapper = std::thread::spawn({
        let (sender, stop) = (Arc::clone(&sender), Arc::clone(&stop));
        move || {
            for n in 1_usize.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                sender.send_replace(Arc::clone(&sets[n % 2]));
            }
        }
    });
    let mut state = pipeline.load().await.unwrap();
    swapped.changed().await.unwrap();
    for n in 0..20 {
        let judged = pipeline.step_all(&mut state, &batch(n)).await.unwrap();
        let decisions = &judged.commit.decisions;
        assert_eq!(decisions.len(), 200);
        let first = &decisions[0].decision.policy_set;
        assert!(decisions.iter().all(|d| d.decision.policy_set == *first));
    }
    stop.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
}

#[tokio::test]
async fn an_administrators_word_about_a_shadow_case_measures_its_policy() {
    let kind = "anonymizedIPAddress";
    let text = "policy: p\nwindow: 60m\nsignals: { risk.anonymizedIPAddress: 60 }\n\
                rungs: [{ at: 60, do: [revoke_sessions] }]\n";
    let now = Timestamp::now();
    let admin = || risk("ana", RiskType::ADMIN_CONFIRMED, now);
    let table = [
        (vec![risk("ana", kind, now)], "unjudged"),
        (
            vec![risk("ana", kind, now), dismissed("ana", kind, now)],
            "dismissed_in_entra",
        ),
        (vec![risk("ana", kind, now), admin()], "confirmed_in_entra"),
        (
            vec![risk("ana", kind, now), dismissed("ana", kind, now), admin()],
            "confirmed_in_entra",
        ),
        // Somebody else's says nothing of her.
        (
            vec![risk("ana", kind, now), dismissed("ben", kind, now)],
            "unjudged",
        ),
    ];
    for (messages, expected) in table {
        let (_directory, store) = store().await;
        let set = watch::Sender::new(compiled(text).unwrap());
        let (pipeline, out, _ask) = serving(&store, set.subscribe());
        for (sequence, mut message) in (0..).zip(messages) {
            message.source.sequence = sequence;
            out.send(message).await.unwrap();
        }
        drop(out);
        pipeline.run().await.unwrap();
        let since = now - SignedDuration::from_hours(1);
        let record = store.track_record(since).await.unwrap();
        let [tally] = record.tallies.as_slice() else {
            panic!("{record:?}");
        };
        let found = (tally.effect, tally.judged.as_str(), tally.cases);
        assert_eq!(found, (Effect::Shadow, expected, 1));
    }
}
