//! Each answer that Graph can give to a revoke, and how the action ends.

use super::*;

#[tokio::test]
async fn a_revoke_is_acknowledged_and_carries_its_action_and_priority() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    let running = bench.start();
    bench
        .order(RevokeSessions, Effect::Act, &all(&[user]))
        .await;
    let action = bench.settled(user, ActionState::Acknowledged).await;
    assert_eq!(action.attempts, 1);
    assert_eq!(action.last_outcome.as_deref(), Some("200"));
    assert!(action.acknowledged_at.is_some());

    let calls = bench.calls(REVOKE);
    assert_eq!(calls.len(), 1);
    assert!(calls[0].applied);
    assert_eq!(calls[0].users, [user]);
    assert_eq!(calls[0].client_request_id, Some(action.id.to_string()));
    assert_eq!(calls[0].throttle_priority.as_deref(), Some("normal"));
    running.stopped().await;

    let text = bench.metrics.render();
    for line in [
        r#"evictd_actions_total{action="revoke_sessions",outcome="acknowledged"} 1"#,
        r#"evictd_graph_requests_total{lane="directory_writes"} 1"#,
        r#"evictd_response_seconds_count{stage="dispatch"} 1"#,
        r#"evictd_response_seconds_count{stage="graph"} 1"#,
        r#"evictd_response_seconds_count{stage="reaction"} 1"#,
        r#"evictd_response_seconds_count{stage="total"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn what_a_human_approved_goes_first_in_microsofts_eyes() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    let running = bench.start();
    bench
        .order(RevokeSessions, Effect::Ask, &all(&[user]))
        .await;
    let case = case_of(user).to_string();
    let now = Timestamp::now();
    bench
        .store
        .judge(&case, Judgement::Approve, "alice", now)
        .await
        .unwrap();
    bench.wake.notify_one();
    bench.settled(user, ActionState::Acknowledged).await;
    let calls = bench.calls(REVOKE);
    assert_eq!(calls[0].throttle_priority.as_deref(), Some("high"));
    running.stopped().await;
}

#[tokio::test]
async fn every_answer_has_its_end() {
    let throttled = Fault::Status {
        status: 429,
        retry_after: Some("0.05".to_owned()),
    };
    // The fault, whether the call is carried out all the same, how the action
    // ends, and after how many requests.
    let table = [
        (Fault::status(400), false, ActionState::Failed, 1),
        (Fault::status(403), false, ActionState::Failed, 1),
        (Fault::status(404), false, ActionState::Failed, 1),
        (Fault::status(409), false, ActionState::Acknowledged, 2),
        (throttled, false, ActionState::Acknowledged, 2),
        (Fault::status(500), false, ActionState::Acknowledged, 2),
        (Fault::status(503), true, ActionState::Acknowledged, 2),
        (
            Fault::Html { status: 200 },
            false,
            ActionState::Acknowledged,
            2,
        ),
        (
            Fault::Html { status: 403 },
            false,
            ActionState::Acknowledged,
            2,
        ),
        (
            Fault::Html { status: 503 },
            false,
            ActionState::Acknowledged,
            2,
        ),
        (Fault::Truncated, true, ActionState::Acknowledged, 2),
        (Fault::Reset, false, ActionState::Acknowledged, 2),
        (Fault::Reset, true, ActionState::Acknowledged, 2),
        (Fault::Hang, true, ActionState::Acknowledged, 2),
    ];
    let mut bench = Bench::new(table.len()).await;
    bench.request_timeout = Duration::from_millis(700);
    for (user, (fault, applied, ..)) in bench.users.iter().zip(&table) {
        let rule = FaultRule::once(fault.clone()).on_user(*user);
        bench.graph.inject(if *applied {
            rule.after_applying()
        } else {
            rule
        });
    }
    let running = bench.start();
    bench
        .order(RevokeSessions, Effect::Act, &all(&bench.users))
        .await;
    for (user, (fault, applied, state, requests)) in bench.users.iter().zip(&table) {
        let action = bench.settled(*user, *state).await;
        assert_eq!(action.attempts, *requests, "{fault:?} {applied}");
        let calls = bench.calls(&user.to_string());
        assert_eq!(calls.len(), *requests as usize, "{fault:?} {applied}");
    }
    running.stopped().await;
}

#[tokio::test]
async fn a_refusal_reaches_the_human_in_graphs_words() {
    let bench = Bench::new(1).await;
    let user = bench.users[0];
    bench
        .graph
        .inject(FaultRule::once(Fault::status(403)).on_user(user));
    let running = bench.start();
    bench
        .order(RevokeSessions, Effect::Act, &all(&[user]))
        .await;
    let action = bench.settled(user, ActionState::Failed).await;
    assert_eq!(
        action.last_outcome.as_deref(),
        Some(
            "403 Authorization_RequestDenied: \
             Insufficient privileges to complete the operation."
        )
    );
    running.stopped().await;
}

#[tokio::test]
async fn a_429_holds_the_whole_lane_and_costs_few_more_requests() {
    let bench = Bench::new(40).await;
    bench.graph.inject(
        FaultRule::once(Fault::Status {
            status: 429,
            retry_after: Some("0.5".to_owned()),
        })
        .on_path(REVOKE),
    );
    let running = bench.start_in(lanes(slow_lane(Duration::from_millis(5))));
    bench
        .order(RevokeSessions, Effect::Act, &all(&bench.users))
        .await;
    for user in &bench.users {
        bench.settled(*user, ActionState::Acknowledged).await;
    }
    let calls = bench.calls(REVOKE);
    let refused = calls.iter().find(|call| call.status == Some(429)).unwrap();
    let during = calls.iter().filter(|call| {
        let after = call.received.duration_since(refused.received);
        after > SignedDuration::from_millis(100) && after < SignedDuration::from_millis(450)
    });
    assert_eq!(during.count(), 0, "the lane was held");
    assert_eq!(calls.len(), bench.users.len() + 1);
    running.stopped().await;
}

/// A tenth of the documented quota (300 writes in 15 s) and of the lane's
/// burst, five times as fast, so that a thousand are more than three windows.
/// The lane keeps a tenth back here, since a loaded machine may bunch up the
/// 16 requests in flight.
#[tokio::test]
async fn a_thousand_revokes_meet_no_429() {
    const SPEED: f64 = 5.0;
    let quotas = Quotas {
        app_writes: Quota::per_seconds(300, 15),
        ..Quotas::documented(TenantSize::Large)
    };
    let bench = Bench::with_quotas(1_000, quotas.time_scale(SPEED)).await;
    let period = DIRECTORY_WRITE_PERIOD.div_f64(SPEED * 0.9);
    let lane = Lane::new("directory_writes", period, NonZeroU32::new(10).unwrap());
    let running = bench.start_in(lanes(lane));
    bench
        .order(RevokeSessions, Effect::Act, &all(&bench.users))
        .await;
    bench.wait_for_calls(REVOKE, 1_000).await;
    for user in &bench.users {
        bench.settled(*user, ActionState::Acknowledged).await;
    }
    let calls = bench.calls(REVOKE);
    assert_eq!(calls.len(), 1_000);
    assert!(calls.iter().all(|call| call.status == Some(200)));
    running.stopped().await;
}
