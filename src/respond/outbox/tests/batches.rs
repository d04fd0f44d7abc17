//! Confirming: many users in a request, one bad user in a batch.

use super::*;

#[tokio::test]
async fn confirms_go_sixty_to_a_request_and_meet_no_429() {
    let bench = Bench::new(130).await;
    bench
        .order(ConfirmCompromised, Effect::Act, &all(&bench.users))
        .await;
    let running = bench.start();
    for user in &bench.users {
        bench.settled(*user, ActionState::Acknowledged).await;
    }
    let calls = bench.calls(CONFIRM);
    let sizes: Vec<usize> = calls.iter().map(|call| call.users.len()).collect();
    assert_eq!(sizes, [60, 60, 10]);
    assert!(calls.iter().all(|call| call.status == Some(204)));
    running.stopped().await;
}

#[tokio::test]
async fn a_batch_is_halved_until_the_bad_user_stands_alone() {
    let bench = Bench::new(7).await;
    let stranger = Uuid::from_u128(0xbad);
    let mut everybody = bench.users.clone();
    everybody.insert(3, stranger);
    bench
        .order(ConfirmCompromised, Effect::Act, &all(&everybody))
        .await;
    let running = bench.start();
    for user in &bench.users {
        bench.settled(*user, ActionState::Acknowledged).await;
    }
    let failed = bench.settled(stranger, ActionState::Failed).await;
    assert_eq!(failed.last_outcome.as_deref(), Some("404 no such user"));
    let calls = bench.calls(CONFIRM);
    // 8 and 4 and 2 and 1 refused, and what was left of each let through.
    assert_eq!(calls.len(), 7);
    assert_eq!(calls.iter().filter(|call| call.applied).count(), 3);
    running.stopped().await;
}

#[tokio::test]
async fn a_429_among_the_halves_holds_the_other_halves_too() {
    let bench = Bench::new(3).await;
    let mut everybody = vec![Uuid::from_u128(0xbad)];
    everybody.extend(&bench.users);
    let throttled = Fault::Status {
        status: 429,
        retry_after: Some("0.5".to_owned()),
    };
    bench
        .order(ConfirmCompromised, Effect::Act, &all(&everybody))
        .await;
    let refused = Fault::status(400);
    bench
        .graph
        .inject(FaultRule::once(refused).on_path(CONFIRM));
    bench
        .graph
        .inject(FaultRule::once(throttled).on_path(CONFIRM));
    let running = bench.start();
    bench.wait_for_calls(CONFIRM, 3).await;
    let calls = bench.calls(CONFIRM);
    let statuses = [calls[0].status, calls[1].status];
    assert_eq!(statuses, [Some(400), Some(429)]);
    let waited = calls[2].received.duration_since(calls[1].received);
    assert!(waited >= SignedDuration::from_millis(490), "{waited}");
    running.stopped().await;
}

#[tokio::test]
async fn a_refusal_of_them_all_fails_them_all_at_once() {
    let bench = Bench::new(5).await;
    bench
        .graph
        .inject(FaultRule::once(Fault::status(403)).on_path(CONFIRM));
    bench
        .order(ConfirmCompromised, Effect::Act, &all(&bench.users))
        .await;
    let running = bench.start();
    for user in &bench.users {
        bench.settled(*user, ActionState::Failed).await;
    }
    assert_eq!(bench.calls(CONFIRM).len(), 1);
    running.stopped().await;
}

#[tokio::test]
async fn a_quota_spent_by_others_delays_a_confirm_and_loses_none() {
    let bench = Bench::new(3).await;
    bench
        .order(ConfirmCompromised, Effect::Act, &all(&bench.users))
        .await;
    bench.graph.inject(
        FaultRule::once(Fault::status(429))
            .on_path(CONFIRM)
            .times(2),
    );
    let running = bench.start();
    for user in &bench.users {
        let action = bench.settled(*user, ActionState::Acknowledged).await;
        assert_eq!(action.attempts, 3);
    }
    assert_eq!(bench.calls(CONFIRM).len(), 3, "the batch stayed together");
    running.stopped().await;
}
