//! What humans say of a case, and what their silence says.

use super::*;

#[tokio::test]
async fn as_many_different_people_as_needed_queue_every_action_of_the_case() {
    let fixture = Fixture::new().await;
    let both = vec![
        order(RevokeSessions, Effect::Ask),
        order(ConfirmCompromised, Effect::Ask),
    ];
    let decision = decided("u1", "r1", "r1", both);
    fixture.decide([&decision], at(0)).await;
    let short = decision.decision.case.short().to_uppercase();
    let approve = |by, now| fixture.store.judge(&short, Judgement::Approve, by, now);

    let case = approve("alice@contoso.example", at(1)).await.unwrap();
    assert_eq!(case.status, CaseStatus::AwaitingApproval);
    let again = approve("Alice@Contoso.example", at(2)).await;
    assert!(matches!(
        again,
        Err(JudgeError::SamePerson { needed: 2, .. })
    ));
    let case = approve("bob@contoso.example", at(3)).await.unwrap();
    assert_eq!(case.status, CaseStatus::Responding);
    for action in &case.actions {
        assert_eq!(
            action.approved_by,
            ["alice@contoso.example", "bob@contoso.example"]
        );
    }
    let claimed = fixture.claim(9, at(3)).await;
    assert_eq!(claimed.len(), 2);
    assert!(claimed.iter().all(|c| c.approved && c.queued_at == at(3)));
    assert!(matches!(
        approve("carol", at(4)).await,
        Err(JudgeError::NothingToJudge {
            status: "responding",
            ..
        })
    ));
}

#[tokio::test]
async fn one_no_denies_what_waits_and_leaves_what_is_done() {
    let fixture = Fixture::new().await;
    let mixed = vec![
        order(RevokeSessions, Effect::Act),
        order(ConfirmCompromised, Effect::Ask),
    ];
    let decision = decided("u1", "r1", "r1", mixed);
    let id = decision.decision.case.to_string();
    fixture.decide(&[decision], at(0)).await;
    let deny = fixture.store.judge(&id, Judgement::Deny, "alice", at(1));
    let case = deny.await.unwrap();
    let states = case.actions.iter().map(|a| (a.kind, a.state));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [
            (RevokeSessions, ActionState::Queued),
            (ConfirmCompromised, ActionState::Denied)
        ]
    );
    assert_eq!(case.actions[1].denied_by.as_deref(), Some("alice"));
}

#[tokio::test]
async fn silence_is_a_no_and_a_late_yes_too() {
    let fixture = Fixture::new().await;
    fixture.decide(&[ask("u1"), ask("u2")], at(0)).await;
    assert_eq!(fixture.store.expire(at(599)).await.unwrap(), 0);
    let id = ask("u1").decision.case.to_string();
    let late = fixture
        .store
        .judge(&id, Judgement::Approve, "alice", at(600));
    assert!(matches!(
        late.await,
        Err(JudgeError::NothingToJudge {
            status: "expired",
            ..
        })
    ));
    assert_eq!(fixture.store.expire(at(600)).await.unwrap(), 1);
    for user in ["u1", "u2"] {
        let case = fixture.case(&ask(user)).await;
        assert_eq!(
            (case.status, case.updated_at),
            (CaseStatus::Expired, at(600))
        );
    }
}

#[tokio::test]
async fn a_prefix_names_one_case_or_says_why_not() {
    let fixture = Fixture::new().await;
    let decisions: Vec<_> = (0..40).map(|i| act(&format!("u{i}"))).collect();
    fixture.decide(&decisions, at(0)).await;
    // A second case that begins like the first, made by hand.
    let id = decisions[0].decision.case.to_string();
    let twin = format!("{}0000-0000-000000000000", &id[..14]);
    let insert = twin.clone();
    let write = fixture.store.database.write(move |db| {
        db.execute(
            "INSERT INTO cases VALUES (?1, 'u', 'n', 0, 1, 0, 0, 0, 0)",
            [insert],
        )?;
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();

    let found = fixture.store.case(&id.replace('-', "")).await.unwrap();
    assert_eq!(found.id, decisions[0].decision.case);
    assert_eq!(
        fixture.store.case(&twin).await.unwrap().id.to_string(),
        twin
    );
    assert!(matches!(
        fixture.store.case(&id[..13]).await,
        Err(JudgeError::Ambiguous { count: 2, .. })
    ));
    for unknown in [
        "",
        "abc",
        &id[..3],
        "not-hex!",
        "ffffffffffffffffffffffffffffffff",
    ] {
        assert!(
            matches!(
                fixture.store.case(unknown).await,
                Err(JudgeError::NoSuchCase(_))
            ),
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn a_question_that_nobody_answered_is_asked_again_while_the_theft_goes_on() {
    let fixture = Fixture::new().await;
    let (silent, refused) = (ask("u1"), ask("u2"));
    fixture.decide([&silent, &refused], at(0)).await;
    let no = refused.decision.case.to_string();
    fixture
        .store
        .judge(&no, Judgement::Deny, "alice", at(1))
        .await
        .unwrap();
    assert_eq!(fixture.store.expire(at(600)).await.unwrap(), 1);
    let goes_on = Commit {
        signals: vec![
            (silent.decision.case, signal("tor_exit", "r7")),
            (refused.decision.case, signal("tor_exit", "r8")),
        ],
        ..Commit::default()
    };
    fixture
        .store
        .commit(goes_on.clone(), at(700))
        .await
        .unwrap();
    let action = fixture.case(&silent).await.actions.remove(0);
    assert_eq!(action.state, ActionState::AwaitingApproval);
    assert_eq!(action.expires_at, Some(at(700 + 1_800)));
    assert_eq!(action.approvers_needed, 2, "on the same terms");
    // A no stands.
    assert_eq!(
        fixture.state(&refused, RevokeSessions).await,
        ActionState::Denied
    );
    // More of the same moves nothing while the question stands.
    fixture.store.commit(goes_on, at(800)).await.unwrap();
    assert_eq!(
        fixture.case(&silent).await.actions[0].expires_at,
        Some(at(700 + 1_800))
    );
}
