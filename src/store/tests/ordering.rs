//! What orders make of the outbox.

use super::*;

#[tokio::test]
async fn the_guard_decides_where_an_order_begins() {
    let reason = GuardReason::BudgetSpent;
    let table = [
        (
            Effect::Act,
            Admission::Admitted,
            ActionState::Queued,
            0,
            None,
        ),
        (
            Effect::Act,
            Admission::Demoted(reason),
            ActionState::AwaitingApproval,
            1,
            Some(at(1_800)),
        ),
        (
            Effect::Ask,
            Admission::Admitted,
            ActionState::AwaitingApproval,
            2,
            Some(at(600)),
        ),
        (
            Effect::Ask,
            Admission::Demoted(reason),
            ActionState::AwaitingApproval,
            2,
            Some(at(600)),
        ),
        (
            Effect::Act,
            Admission::Refused(reason),
            ActionState::Refused,
            0,
            None,
        ),
    ];
    let fixture = Fixture::new().await;
    for (i, (effect, admission, state, approvers, expires_at)) in table.into_iter().enumerate() {
        let user = format!("u{i}");
        let mut decision = decided(&user, "r1", "r1", vec![order(RevokeSessions, effect)]);
        decision.decision.admission = admission;
        let committed = fixture.decide([&decision], at(0)).await;
        assert_eq!(committed.queued, u32::from(state == ActionState::Queued));
        let action = fixture.case(&decision).await.actions.remove(0);
        assert_eq!(action.state, state, "{effect} {admission:?}");
        assert_eq!(action.approvers_needed, approvers, "{effect} {admission:?}");
        assert_eq!(action.expires_at, expires_at, "{effect} {admission:?}");
    }
}

#[tokio::test]
async fn a_shadow_decision_opens_a_case_and_orders_nothing() {
    let fixture = Fixture::new().await;
    let shadow = decided(
        "u1",
        "r1",
        "r1",
        vec![order(RevokeSessions, Effect::Shadow)],
    );
    fixture.decide([&shadow], at(0)).await;
    let case = fixture.case(&shadow).await;
    assert_eq!((case.status, case.actions.len()), (CaseStatus::Shadow, 0));
    assert_eq!(case.decisions.len(), 1);
}

#[tokio::test]
async fn a_further_decision_queues_what_waited_and_raises_the_score() {
    let fixture = Fixture::new().await;
    fixture.decide(&[ask("u1")], at(0)).await;
    let mut stronger = order(RevokeSessions, Effect::Act);
    stronger.score = 97;
    let further = decided("u1", "r1", "r2", vec![stronger]);
    assert_eq!(fixture.decide([&further], at(5)).await.queued, 1);

    let case = fixture.case(&further).await;
    assert_eq!((case.score, case.actions.len()), (97, 1));
    assert_eq!((case.opened_at, case.updated_at), (at(0), at(5)));
    assert_eq!((case.decisions.len(), case.signals.len()), (2, 2));
    let claimed = fixture.claim(9, at(5)).await;
    assert_eq!((claimed[0].score, claimed[0].approved), (97, false));
    assert_eq!(claimed[0].queued_at, at(5));
}

#[tokio::test]
async fn after_a_no_an_order_to_act_asks_again_and_old_answers_do_not_count() {
    let fixture = Fixture::new().await;
    let first = ask("u1");
    let id = first.decision.case.to_string();
    fixture.decide([&first], at(0)).await;
    let approve = |by, now| fixture.store.judge(&id, Judgement::Approve, by, now);
    approve("alice", at(1)).await.unwrap();
    let deny = fixture.store.judge(&id, Judgement::Deny, "bob", at(2));
    assert_eq!(deny.await.unwrap().status, CaseStatus::Denied);

    let further = decided("u1", "r1", "r2", vec![order(RevokeSessions, Effect::Act)]);
    assert_eq!(fixture.decide([&further], at(3)).await.queued, 0);
    let action = fixture.case(&first).await.actions.remove(0);
    assert_eq!(action.state, ActionState::AwaitingApproval);
    assert_eq!((action.approved_by.len(), action.denied_by), (0, None));
    assert_eq!(action.expires_at, Some(at(3 + 1_800)));
    let case = approve("alice", at(4)).await.unwrap();
    assert_eq!(case.actions[0].state, ActionState::Queued);
    assert_eq!(case.actions[0].approved_by, ["alice"]);
}

#[tokio::test]
async fn what_failed_is_tried_once_more_and_what_was_done_is_not() {
    let fixture = Fixture::new().await;
    for (user, end, queued) in [
        ("u1", ActionState::Failed, 1),
        ("u2", ActionState::Acknowledged, 0),
        ("u3", ActionState::Refused, 0),
    ] {
        fixture.decide(&[act(user)], at(0)).await;
        let claimed = fixture.claim(1, at(1)).await.remove(0);
        fixture.settle(&claimed, end, at(2)).await;
        let further = decided(user, "r1", "r2", vec![order(RevokeSessions, Effect::Act)]);
        let committed = fixture.decide([&further], at(3)).await;
        assert_eq!(committed.queued, queued, "{end}");
        for retried in fixture.claim(1, at(3)).await {
            assert_eq!(retried.attempts, 0);
            fixture
                .settle(&retried, ActionState::Acknowledged, at(4))
                .await;
        }
    }
}

#[tokio::test]
async fn a_case_keeps_a_bounded_number_of_signals_and_says_what_it_left_out() {
    let fixture = Fixture::new().await;
    let case = act("u1").decision.case;
    let many = cases::SIGNALS_MAX + 9;
    let signals = (0..many).map(|i| (case, signal("tor_exit", &format!("s{i}"))));
    let nowhere = (act("u9").decision.case, signal("tor_exit", "s"));
    let commit = Commit {
        decisions: vec![act("u1")],
        signals: signals.chain([nowhere]).collect(),
        ..Commit::default()
    };
    let committed = fixture.store.commit(commit, at(0)).await.unwrap();
    // One comes with the decision; one belongs to no case.
    assert_eq!(committed.signals_dropped, 9 + 1 + 1);
    let filed = fixture.case(&act("u1")).await.signals.len();
    assert_eq!(filed, cases::SIGNALS_MAX as usize);
}
