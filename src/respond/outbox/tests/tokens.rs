//! Tokens that end early, and an Entra that gives none.

use super::*;

#[tokio::test]
async fn a_token_ended_early_is_replaced_once_and_every_action_is_done() {
    let bench = Bench::new(20).await;
    let running = bench.start();
    let (first, rest) = bench.users.split_at(1);
    bench.order(RevokeSessions, Effect::Act, &all(first)).await;
    bench.settled(first[0], ActionState::Acknowledged).await;
    assert_eq!(bench.entra.counters().issued, 1);

    bench.entra.expire_all_tokens();
    bench.order(RevokeSessions, Effect::Act, &all(rest)).await;
    for user in rest {
        bench.settled(*user, ActionState::Acknowledged).await;
    }
    assert_eq!(bench.entra.counters().issued, 2, "one refresh for them all");
    running.stopped().await;
}

#[tokio::test]
async fn while_entra_gives_no_token_actions_wait_in_the_outbox() {
    let bench = Bench::new(2).await;
    bench.entra.outage(true);
    bench
        .order(RevokeSessions, Effect::Act, &all(&bench.users))
        .await;
    let running = bench.start();
    let refused = async {
        while bench.entra.counters().unavailable == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, refused)
        .await
        .expect("Entra is asked");
    for user in &bench.users {
        let action = bench.action(*user).await;
        assert_eq!(action.state, ActionState::Queued, "not claimed");
    }
    bench.entra.outage(false);
    for user in &bench.users {
        let action = bench.settled(*user, ActionState::Acknowledged).await;
        assert_eq!(action.attempts, 1, "an outage of Entra is no attempt");
    }
    running.stopped().await;
}

#[tokio::test]
async fn a_wrong_secret_is_named_and_a_rotated_one_is_picked_up() {
    let bench = Bench::new(1).await;
    std::fs::write(bench.secret_file(), "outdated").unwrap();
    let client = bench.client();
    let reason = client.probe().await.unwrap_err();
    assert!(reason.contains("AADSTS7000215"), "{reason}");
    assert!(!reason.contains("outdated"), "{reason}");
    std::fs::write(bench.secret_file(), SECRET).unwrap();
    // The file is read again after each failure.
    let mut probes = vec![client.probe().await];
    probes.push(client.probe().await);
    assert!(probes.iter().any(Result::is_ok), "{probes:?}");
}

#[tokio::test]
async fn a_token_that_was_never_taken_is_not_blamed_for_being_old() {
    let bench = Bench::new(1).await;
    let client = bench.client();
    client.probe().await.unwrap();
    bench.entra.expire_all_tokens();
    let user = UserId::new(bench.users[0].to_string());
    let tag = Tag {
        request_id: Uuid::from_u128(1),
        priority: Priority::Normal,
    };
    let revoke = || client.revoke_sessions(&user, tag);
    assert_eq!(revoke().await, Outcome::Unauthorized { stale: false });
    assert_eq!(revoke().await.name(), "acknowledged");
    bench.entra.expire_all_tokens();
    assert_eq!(revoke().await, Outcome::Unauthorized { stale: true });
    assert_eq!(revoke().await.name(), "acknowledged");
}

#[tokio::test]
async fn a_late_refusal_of_an_old_token_does_not_drop_its_successor() {
    let bench = Bench::new(2).await;
    let client = bench.client();
    let [quick, slow] = [0, 1].map(|n: usize| bench.users[n]);
    let late = Fault::Latency(Duration::from_millis(500));
    bench.graph.inject(FaultRule::once(late).on_user(slow));
    client.probe().await.unwrap();
    bench.entra.expire_all_tokens();
    let tag = Tag {
        request_id: Uuid::from_u128(1),
        priority: Priority::Normal,
    };
    let revoke = |user: Uuid| {
        let client = &client;
        async move {
            let user = UserId::new(user.to_string());
            client.revoke_sessions(&user, tag).await.name()
        }
    };
    // Refused, then done with a fresh token, while the other's refusal of the
    // old one is still on its way.
    let twice = async { [revoke(quick).await, revoke(quick).await] };
    let (late, twice) = tokio::join!(revoke(slow), twice);
    assert_eq!(twice, ["unauthorized", "acknowledged"]);
    assert_eq!(late, "unauthorized");
    assert_eq!(revoke(slow).await, "acknowledged");
    assert_eq!(bench.entra.counters().issued, 2);
}

#[tokio::test]
async fn many_that_ask_together_cause_one_request_for_a_token() {
    let bench = Bench::new(1).await;
    let client = bench.client();
    let probes = (0..50).map(|_| client.probe());
    for probed in futures::future::join_all(probes).await {
        probed.unwrap();
    }
    assert_eq!(bench.entra.counters().issued, 1);
}
