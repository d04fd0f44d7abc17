//! Order, pause, guard, stop and restart.

use super::*;

#[tokio::test]
async fn the_highest_score_goes_first() {
    let bench = Bench::new(5).await;
    let scores = [70, 90, 75, 95, 80];
    let queued: Vec<(Uuid, u8)> = bench.users.iter().copied().zip(scores).collect();
    bench.order(RevokeSessions, Effect::Act, &queued).await;
    let running = bench.start_in(lanes(slow_lane(Duration::from_millis(100))));
    bench.wait_for_calls(REVOKE, 5).await;
    let calls = bench.calls(REVOKE);
    let order: Vec<Uuid> = calls.iter().map(|call| call.users[0]).collect();
    assert_eq!(order, [3, 1, 4, 2, 0].map(|n: usize| bench.users[n]));
    running.stopped().await;
}

#[tokio::test]
async fn a_more_dangerous_user_overtakes_whoever_waits_for_the_lane() {
    let bench = Bench::new(3).await;
    let [first, second, late] = bench.users[..] else {
        panic!("three users")
    };
    bench
        .order(RevokeSessions, Effect::Act, &[(first, 95), (second, 70)])
        .await;
    let running = bench.start_in(lanes(slow_lane(Duration::from_secs(2))));
    bench.wait_for_calls(REVOKE, 1).await;
    bench
        .order(RevokeSessions, Effect::Act, &[(late, 99)])
        .await;
    bench.wait_for_calls(REVOKE, 2).await;
    let calls = bench.calls(REVOKE);
    assert_eq!([calls[0].users[0], calls[1].users[0]], [first, late]);
    running.stopped().await;
}

#[tokio::test]
async fn a_pause_stops_claims_and_a_resume_lets_them_go() {
    for by_store in [false, true] {
        let bench = Bench::new(2).await;
        let pause = |on: bool| {
            let (store, paused) = (bench.store.clone(), Arc::clone(&bench.paused));
            async move {
                if by_store {
                    let pause = on.then(|| crate::store::Pause {
                        by: "alice".to_owned(),
                        since: Timestamp::now(),
                    });
                    store.set_pause(pause).await.unwrap();
                } else {
                    paused.store(on, Ordering::Relaxed);
                }
            }
        };
        pause(true).await;
        let running = bench.start();
        let [revoked, confirmed] = [bench.users[0], bench.users[1]];
        bench
            .order(RevokeSessions, Effect::Act, &all(&[revoked]))
            .await;
        bench
            .order(ConfirmCompromised, Effect::Act, &all(&[confirmed]))
            .await;
        // Two rounds of its upkeep, a second apart: it has had its turns.
        for n in 0..2 {
            bench.expired_question(Uuid::from_u128(n)).await;
        }
        assert!(bench.graph.calls().is_empty());
        assert_eq!(bench.action(revoked).await.state, ActionState::Queued);

        pause(false).await;
        bench.wake.notify_one();
        bench.settled(revoked, ActionState::Acknowledged).await;
        bench.settled(confirmed, ActionState::Acknowledged).await;
        running.stopped().await;
    }
}

#[tokio::test]
async fn the_guard_is_asked_again_and_a_protected_user_is_left_alone() {
    let mut bench = Bench::new(3).await;
    let protected = bench.users[1].to_string();
    bench.guard = Arc::new(move |user| {
        if user.id.as_str() == protected {
            Admission::Refused(GuardReason::ProtectedAccount)
        } else {
            Admission::Admitted
        }
    });
    bench
        .order(ConfirmCompromised, Effect::Act, &all(&bench.users))
        .await;
    let running = bench.start();
    bench
        .settled(bench.users[0], ActionState::Acknowledged)
        .await;
    bench
        .settled(bench.users[2], ActionState::Acknowledged)
        .await;
    let refused = bench.settled(bench.users[1], ActionState::Refused).await;
    assert_eq!(refused.attempts, 0);
    assert_eq!(
        refused.last_outcome.as_deref(),
        Some("stopped by the guard: protected_account")
    );
    let calls = bench.calls(CONFIRM);
    assert_eq!(calls.len(), 1);
    assert!(!calls[0].users.contains(&bench.users[1]));
    running.stopped().await;
}

#[tokio::test]
async fn what_a_crash_left_between_send_and_settle_is_sent_again() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    bench
        .order(RevokeSessions, Effect::Act, &all(&[user]))
        .await;
    // A process that claimed, sent, and died.
    let claimed = bench
        .store
        .claim(&[RevokeSessions], 1, Timestamp::now())
        .await
        .unwrap();
    let outcome = bench
        .client()
        .revoke_sessions(&claimed[0].user.id, tag(&claimed))
        .await;
    assert_eq!(outcome.name(), "acknowledged");
    assert_eq!(bench.action(user).await.state, ActionState::Sending);

    let running = bench.start();
    bench.settled(user, ActionState::Acknowledged).await;
    let calls = bench.calls(REVOKE);
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].client_request_id, calls[1].client_request_id);
    running.stopped().await;
}

#[tokio::test]
async fn at_a_stop_requests_in_flight_are_finished_and_settled() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    let late = Fault::Latency(Duration::from_millis(500));
    bench.graph.inject(FaultRule::once(late));
    let running = bench.start();
    bench
        .order(RevokeSessions, Effect::Act, &all(&[user]))
        .await;
    bench.wait_for_calls(REVOKE, 1).await;
    running.stopped().await;
    assert_eq!(bench.action(user).await.state, ActionState::Acknowledged);
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_the_stop() {
    let mut bench = Bench::new(1).await;
    bench.request_timeout = SOON;
    let user = bench.users[0];
    bench.graph.inject(FaultRule::once(Fault::Hang));
    let running = bench.start();
    bench
        .order(RevokeSessions, Effect::Act, &all(&[user]))
        .await;
    bench.wait_for_calls(REVOKE, 1).await;
    // The request would time out 30 s from now; the stop waits for 8 s.
    running.stopped().await;
    assert_eq!(bench.action(user).await.state, ActionState::Sending);
}

#[tokio::test]
async fn after_a_stop_nothing_more_is_claimed() {
    let bench = Bench::new(1).await;
    let running = bench.start();
    running.stopped().await;
    let user = bench.users[0];
    bench
        .order(RevokeSessions, Effect::Act, &all(&[user]))
        .await;
    assert_eq!(bench.action(user).await.state, ActionState::Queued);
    assert!(bench.graph.calls().is_empty());
}

#[tokio::test]
async fn a_question_that_nobody_answers_expires() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    let running = bench.start();
    bench.expired_question(user).await;
    assert!(bench.graph.calls().is_empty());
    running.stopped().await;
}

#[tokio::test]
async fn a_lost_wake_up_costs_a_poll_and_no_action() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    let running = bench.start();
    let now = Timestamp::now();
    let commit = Commit {
        decisions: vec![decided(user, RevokeSessions, Effect::Act, 90, now)],
        ..Commit::default()
    };
    bench.store.commit(commit, now).await.unwrap();
    bench.settled(user, ActionState::Acknowledged).await;
    running.stopped().await;
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_loses_no_answer() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    // Every settlement fails, as on a disk that is full, and nothing else does.
    let path = bench.directory.path().join("evictd.db");
    let other = rusqlite::Connection::open(path).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE OF acknowledged_at ON actions
                  BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    other.execute_batch(refuse).unwrap();
    let running = bench.start();
    bench
        .order(RevokeSessions, Effect::Act, &all(&[user]))
        .await;
    bench.metric("evictd_commit_failures_total 2").await;
    assert_eq!(bench.action(user).await.state, ActionState::Sending);
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    let action = bench.settled(user, ActionState::Acknowledged).await;
    assert_eq!(action.attempts, 1, "sent once");
    assert_eq!(bench.calls(REVOKE).len(), 1);
    running.stopped().await;
}

#[tokio::test]
async fn what_was_held_up_for_a_day_is_left_to_a_human_and_not_done_unasked() {
    let bench = Bench::new(2).await;
    let [held, fresh] = bench.users[..] else {
        panic!("two users")
    };
    let then = Timestamp::now() - SignedDuration::from_hours(25);
    let commit = Commit {
        decisions: vec![decided(held, RevokeSessions, Effect::Act, 95, then)],
        ..Commit::default()
    };
    bench.store.commit(commit, then).await.unwrap();
    bench
        .order(RevokeSessions, Effect::Act, &all(&[fresh]))
        .await;
    let running = bench.start();
    let action = bench.settled(held, ActionState::Failed).await;
    assert_eq!(
        action.last_outcome.as_deref(),
        Some("stopped by the guard: stale_event")
    );
    bench.settled(fresh, ActionState::Acknowledged).await;
    let users: Vec<Uuid> = bench.calls(REVOKE).iter().map(|c| c.users[0]).collect();
    assert_eq!(users, [fresh]);
    running.stopped().await;
}
