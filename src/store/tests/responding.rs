//! The responder's verbs: claim, settle, release; and the guard's budget.

use super::*;

#[tokio::test]
async fn claims_come_by_score_then_age_and_only_when_due() {
    let fixture = Fixture::new().await;
    for (user, score, now) in [("a", 80, 0), ("b", 95, 3), ("c", 95, 1), ("d", 99, 50)] {
        let mut decision = act(user);
        decision.decision.orders[0].score = score;
        fixture.decide(&[decision], at(now)).await;
    }
    let first = fixture.claim(2, at(10)).await;
    let users = |claimed: &[Claimed]| {
        let ids = claimed.iter().map(|c| c.user.id.as_str().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(users(&first), ["c", "b"]);
    assert_eq!(users(&fixture.claim(9, at(10)).await), ["a"]);
    assert_eq!(users(&fixture.claim(9, at(10)).await), [""; 0]);
    assert_eq!(users(&fixture.claim(9, at(50)).await), ["d"]);
}

#[tokio::test]
async fn a_claim_takes_the_kinds_asked_for_and_carries_all_the_responder_needs() {
    let fixture = Fixture::new().await;
    let both = vec![
        order(RevokeSessions, Effect::Act),
        order(ConfirmCompromised, Effect::Act),
    ];
    let mut decision = decided("u1", "r1", "r1", both);
    decision.decision.user.guest = true;
    fixture.decide([&decision], at(5)).await;
    let claimed = fixture.store.claim(&[ConfirmCompromised], 9, at(5)).await;
    let case = decision.decision.case;
    assert_eq!(
        claimed.unwrap(),
        [Claimed {
            id: ActionId::derive(&case, ConfirmCompromised, &RecordId::new("r1")),
            case,
            kind: ConfirmCompromised,
            user: decision.decision.user.clone(),
            score: 90,
            approved: false,
            attempts: 0,
            event_at: at(0),
            enqueued_at: at(1),
            queued_at: at(5),
        }]
    );
    assert_eq!(
        fixture.state(&decision, RevokeSessions).await,
        ActionState::Queued
    );
    assert_eq!(fixture.store.claim(&[], 9, at(5)).await.unwrap(), []);
}

#[tokio::test]
async fn an_approved_claim_of_a_service_principal_says_that_it_is_one() {
    let fixture = Fixture::new().await;
    let mut decision = decided(
        "app",
        "r1",
        "r1",
        vec![order(ConfirmCompromised, Effect::Act)],
    );
    decision.decision.user.workload = true;
    fixture.decide([&decision], at(0)).await;
    // Whatever was ordered, a human is asked.
    assert_eq!(fixture.claim(9, at(0)).await, []);
    let case = decision.decision.case.to_string();
    let judged = fixture.store.judge(&case, Judgement::Approve, "kim", at(1));
    assert!(judged.await.unwrap().user.workload);
    let claimed = fixture
        .store
        .claim(&[ConfirmCompromised], 9, at(1))
        .await
        .unwrap();
    assert_eq!(claimed[0].user, decision.decision.user);
    assert!(claimed[0].approved);
}

#[tokio::test]
async fn a_settlement_is_kept_and_only_what_was_sent_counts_as_an_attempt() {
    let fixture = Fixture::new().await;
    fixture.decide(&[act("u1")], at(0)).await;
    let id = fixture.claim(9, at(1)).await[0].id;
    let later = Settlement {
        not_before: Some(at(30)),
        outcome: "paused".to_owned(),
        sent: false,
        ..settlement(id, ActionState::Queued)
    };
    fixture.store.settle(vec![later], at(2)).await.unwrap();
    assert_eq!(fixture.claim(9, at(29)).await, []);
    let again = fixture.claim(9, at(30)).await;
    assert_eq!((again[0].id, again[0].attempts), (id, 0));
    let retry = settlement(id, ActionState::Queued);
    fixture.store.settle(vec![retry], at(31)).await.unwrap();
    assert_eq!(fixture.claim(9, at(31)).await[0].attempts, 1);
    let done = Settlement {
        outcome: "é".repeat(9_999),
        ..settlement(id, ActionState::Acknowledged)
    };
    fixture.store.settle(vec![done], at(32)).await.unwrap();

    let case = fixture.case(&act("u1")).await;
    assert_eq!(
        (case.status, case.updated_at),
        (CaseStatus::Contained, at(32))
    );
    let action = &case.actions[0];
    assert_eq!(action.attempts, 2);
    assert_eq!(action.acknowledged_at, Some(at(32)));
    assert_eq!(action.event_to_acknowledged_seconds, Some(32.0));
    assert_eq!(action.last_outcome.as_deref(), Some(&*"é".repeat(500)));
}

#[tokio::test]
async fn a_settlement_that_makes_no_sense_settles_none() {
    let fixture = Fixture::new().await;
    fixture.decide(&[act("u1"), ask("u2")], at(0)).await;
    let claimed = fixture.claim(9, at(1)).await[0].id;
    let awaiting = fixture.case(&ask("u2")).await.actions[0].id;
    let unknown = ActionId::derive(
        &act("u9").decision.case,
        RevokeSessions,
        &RecordId::new("r"),
    );
    let settle = |bad| {
        let good = settlement(claimed, ActionState::Acknowledged);
        fixture.store.settle(vec![good, bad], at(2))
    };
    let bad = settlement(awaiting, ActionState::Acknowledged);
    assert!(
        matches!(settle(bad).await, Err(StoreError::Illegal { action, .. }) if action == awaiting)
    );
    let bad = settlement(claimed, ActionState::Denied);
    assert!(matches!(
        settle(bad).await,
        Err(StoreError::NoSettlement { .. })
    ));
    let bad = settlement(unknown, ActionState::Failed);
    assert!(matches!(
        settle(bad).await,
        Err(StoreError::NoSuchAction { .. })
    ));
    let state = fixture.state(&act("u1"), RevokeSessions).await;
    assert_eq!(state, ActionState::Sending);
}

#[tokio::test]
async fn what_a_dead_process_was_sending_is_queued_again() {
    let fixture = Fixture::new().await;
    fixture
        .decide(&[act("u1"), act("u2"), ask("u3")], at(0))
        .await;
    fixture.claim(1, at(1)).await;
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.release_claims(at(2)).await.unwrap(), 1);
    assert_eq!(fixture.store.release_claims(at(2)).await.unwrap(), 0);
    assert_eq!(fixture.claim(9, at(2)).await.len(), 2);
}

#[tokio::test]
async fn the_budget_counts_each_user_acted_on_unattended_once() {
    let fixture = Fixture::new().await;
    let both = vec![
        order(RevokeSessions, Effect::Act),
        order(ConfirmCompromised, Effect::Act),
    ];
    fixture
        .decide(&[decided("u1", "r1", "r1", both)], at(10))
        .await;
    fixture
        .decide(
            &[decided(
                "u1",
                "r7",
                "r7",
                vec![order(RevokeSessions, Effect::Act)],
            )],
            at(20),
        )
        .await;
    let mut demoted = act("u2");
    demoted.decision.admission = Admission::Demoted(GuardReason::BudgetSpent);
    fixture
        .decide(&[act("u4"), ask("u3"), demoted], at(15))
        .await;
    let id = ask("u3").decision.case.to_string();
    for by in ["alice", "bob"] {
        let judged = fixture.store.judge(&id, Judgement::Approve, by, at(30));
        judged.await.unwrap();
    }
    let since = |second| fixture.store.acted_since(at(second));
    let user = UserId::new;
    assert_eq!(
        since(0).await.unwrap(),
        [(user("u4"), at(15)), (user("u1"), at(20))]
    );
    assert_eq!(since(20).await.unwrap(), [(user("u1"), at(20))]);
    assert_eq!(since(21).await.unwrap(), []);
}
