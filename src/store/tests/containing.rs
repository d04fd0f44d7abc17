//! What became of evictions, withdrawn questions, and rounds in one case.

use super::*;
use crate::model::{ProofOutcome, Stage};
use ActionKind::ResetPassword;
use ProofOutcome::{Evaded, Proven};

fn proof(decided: &Decided, second: i64, outcome: ProofOutcome) -> Proof {
    Proof {
        case: decided.decision.case,
        at: at(second),
        record: RecordId::new(format!("shown-{second}")),
        outcome,
    }
}

fn dismissed(decided: &Decided) -> Withdrawn {
    Withdrawn {
        case: decided.decision.case,
        reason: "dismissed in Entra".into(),
    }
}

impl Fixture {
    async fn prove(&self, proofs: Vec<Proof>, now: Timestamp) -> Committed {
        let commit = Commit {
            proofs,
            ..Commit::default()
        };
        self.store.commit(commit, now).await.unwrap()
    }

    async fn withdraw(&self, withdrawn: Withdrawn, now: Timestamp) -> Committed {
        let commit = Commit {
            withdrawn: vec![withdrawn],
            ..Commit::default()
        };
        self.store.commit(commit, now).await.unwrap()
    }

    /// Claims and acknowledges all that is due.
    async fn acknowledge_all(&self, now: Timestamp) {
        for claimed in self.claim(9, now).await {
            self.settle(&claimed, ActionState::Acknowledged, now).await;
        }
    }

    async fn revoked_at(&self, decided: &Decided) -> Option<Timestamp> {
        let asked = vec![decided.decision.case];
        self.store.revoked_at(asked).await.unwrap()[0]
    }
}

#[tokio::test]
async fn the_last_acknowledged_revoke_of_each_case_is_known() {
    let fixture = Fixture::new().await;
    let confirm_only = decided(
        "u3",
        "r1",
        "r1",
        vec![order(ConfirmCompromised, Effect::Act)],
    );
    let (done, asked) = (act("u1"), ask("u2"));
    fixture.decide([&done, &asked, &confirm_only], at(0)).await;
    assert_eq!(fixture.revoked_at(&done).await, None);
    fixture.acknowledge_all(at(7)).await;
    let unknown = act("u9").decision.case;
    let cases = [&asked, &done, &confirm_only].map(|d| d.decision.case);
    let cases = cases.into_iter().chain([unknown]).collect();
    assert_eq!(
        fixture.store.revoked_at(cases).await.unwrap(),
        [None, Some(at(7)), None, None]
    );
    let again = decided("u1", "r1", "r5", vec![order(RevokeSessions, Effect::Act)]);
    fixture.decide([&round(again, "r5")], at(20)).await;
    fixture.acknowledge_all(at(21)).await;
    assert_eq!(fixture.revoked_at(&done).await, Some(at(21)));
}

#[tokio::test]
async fn a_case_goes_from_none_to_proven_and_nothing_is_stored_twice() {
    let fixture = Fixture::new().await;
    let decision = ask("u1");
    let stage = async || fixture.case(&decision).await.containment.stage;
    fixture.decide([&decision], at(0)).await;
    assert_eq!(stage().await, Stage::None);
    let id = decision.decision.case.to_string();
    for by in ["alice", "bob"] {
        let yes = fixture.store.judge(&id, Judgement::Approve, by, at(1));
        yes.await.unwrap();
    }
    assert_eq!(stage().await, Stage::Requested);
    fixture.acknowledge_all(at(2)).await;
    let case = fixture.case(&decision).await;
    assert_eq!(case.containment.stage, Stage::Acknowledged);
    assert_eq!(case.containment.acknowledged_at, Some(at(2)));

    let shown = vec![proof(&decision, 9, Proven)];
    let committed = fixture.prove(shown.clone(), at(10)).await;
    assert_eq!((committed.proven, committed.evaded), (1, 0));
    let case = fixture.case(&decision).await;
    assert_eq!(
        (case.status, case.updated_at),
        (CaseStatus::Contained, at(10))
    );
    assert_eq!(case.containment.stage, Stage::Proven);
    assert_eq!(case.containment.shown_at, Some(at(9)));
    assert_eq!(case.containment.shown_by, Some(RecordId::new("shown-9")));
    // A redelivered record, and another refusal, are no news.
    let more = [shown, vec![proof(&decision, 30, Proven)]].concat();
    assert_eq!(fixture.prove(more, at(31)).await, Committed::default());
    assert_eq!(fixture.case(&decision).await.updated_at, at(10));
}

#[tokio::test]
async fn the_latest_proof_counts_whatever_the_order_of_arrival() {
    // Proofs in the order they arrive, and what then counts.
    let table = [
        (vec![(9, Evaded)], Evaded, 9),
        (vec![(9, Evaded), (8, Proven)], Evaded, 9),
        (vec![(9, Evaded), (9, Proven)], Evaded, 9),
        (vec![(9, Proven), (9, Evaded)], Evaded, 9),
        (vec![(9, Evaded), (12, Proven)], Proven, 12),
        (vec![(12, Proven), (9, Evaded)], Proven, 12),
    ];
    for together in [false, true] {
        let fixture = Fixture::new().await;
        for (n, (proofs, outcome, second)) in table.iter().enumerate() {
            let decision = act(&format!("u{n}"));
            fixture.decide([&decision], at(0)).await;
            let proofs: Vec<Proof> = proofs
                .iter()
                .map(|(second, outcome)| proof(&decision, *second, *outcome))
                .collect();
            if together {
                fixture.prove(proofs, at(20)).await;
            } else {
                for proof in proofs {
                    fixture.prove(vec![proof], at(20)).await;
                }
            }
            let case = fixture.case(&decision).await;
            let evaded = case.containment.stage == Stage::Evaded;
            assert_eq!(evaded, *outcome == Evaded, "{n}");
            assert_eq!(case.containment.shown_at, Some(at(*second)), "{n}");
            assert_eq!(case.status == CaseStatus::Evaded, evaded, "{n}");
        }
    }
}

#[tokio::test]
async fn a_proof_of_a_case_that_is_not_there_fails_no_commit() {
    let fixture = Fixture::new().await;
    let commit = Commit {
        positions: vec![position(5, 0)],
        proofs: vec![proof(&act("u1"), 9, Evaded)],
        withdrawn: vec![dismissed(&act("u1"))],
        ..Commit::default()
    };
    let committed = fixture.store.commit(commit, at(10)).await.unwrap();
    assert_eq!(committed, Committed::default());
    assert_eq!(
        fixture.store.positions().await.unwrap(),
        [position(5, 0)],
        "the rest of the batch is written"
    );
}

#[tokio::test]
async fn a_proof_survives_a_restart() {
    let fixture = Fixture::new().await;
    fixture.decide(&[act("u1")], at(0)).await;
    fixture
        .prove(vec![proof(&act("u1"), 9, Evaded)], at(10))
        .await;
    let fixture = fixture.reopened().await;
    let case = fixture.case(&act("u1")).await;
    assert_eq!(case.status, CaseStatus::Evaded);
    let listed = fixture.store.cases(9).await.unwrap();
    assert_eq!(listed[0].containment, case.containment);
}

/// The decision as the engine makes it when it opens another round: new ids of
/// actions in the same case.
fn round(decided: Decided, opened_by: &str) -> Decided {
    Decided {
        decision: Decision {
            opened_by: RecordId::new(opened_by),
            ..decided.decision
        },
        ..decided
    }
}

#[tokio::test]
async fn after_an_evasion_a_second_round_is_done_and_both_are_shown() {
    let fixture = Fixture::new().await;
    let both = || {
        vec![
            order(RevokeSessions, Effect::Act),
            order(ConfirmCompromised, Effect::Act),
        ]
    };
    let first = decided("u1", "r1", "r1", both());
    let second = round(decided("u1", "r1", "r5", both()), "r5");
    assert_eq!(first.decision.case, second.decision.case);
    fixture.decide([&first], at(0)).await;
    fixture.acknowledge_all(at(2)).await;

    let evaded = Commit {
        decisions: vec![second.clone()],
        proofs: vec![proof(&first, 9, Evaded)],
        ..Commit::default()
    };
    let committed = fixture.store.commit(evaded.clone(), at(10)).await.unwrap();
    assert_eq!((committed.queued, committed.evaded), (2, 1));
    let again = fixture.store.commit(evaded, at(11)).await.unwrap();
    assert_eq!(again, Committed::default(), "redelivery does nothing");

    let case = fixture.case(&first).await;
    let rounds: Vec<_> = case.actions.iter().map(|a| (a.kind, a.state)).collect();
    assert_eq!(
        rounds,
        [
            (RevokeSessions, ActionState::Acknowledged),
            (RevokeSessions, ActionState::Queued),
            (ConfirmCompromised, ActionState::Acknowledged),
            (ConfirmCompromised, ActionState::Queued),
        ]
    );
    assert!(case.latest().all(|a| a.state == ActionState::Queued));
    assert_eq!(case.status, CaseStatus::Evaded);

    // Acknowledged again: only what the thief does next can tell.
    fixture.acknowledge_all(at(12)).await;
    assert_eq!(fixture.case(&first).await.status, CaseStatus::Evaded);
    let committed = fixture.prove(vec![proof(&first, 15, Evaded)], at(16)).await;
    assert_eq!(committed.evaded, 1, "evaded again after another revoke");
    let committed = fixture.prove(vec![proof(&first, 20, Proven)], at(21)).await;
    assert_eq!(committed.proven, 1);
    assert_eq!(fixture.case(&first).await.status, CaseStatus::Contained);
}

#[tokio::test]
async fn the_latest_round_of_each_kind_says_where_a_case_stands() {
    let fixture = Fixture::new().await;
    let first = act("u1");
    fixture.decide([&first], at(0)).await;
    let claimed = fixture.claim(9, at(1)).await.remove(0);
    fixture.settle(&claimed, ActionState::Failed, at(2)).await;
    assert_eq!(fixture.case(&first).await.status, CaseStatus::Failed);
    let again = decided("u1", "r1", "r5", vec![order(RevokeSessions, Effect::Act)]);
    fixture.decide([&round(again, "r5")], at(3)).await;
    assert_eq!(fixture.case(&first).await.status, CaseStatus::Responding);
    fixture.acknowledge_all(at(4)).await;
    assert_eq!(fixture.case(&first).await.status, CaseStatus::Contained);
}

#[tokio::test]
async fn a_new_round_takes_the_place_of_the_question_before_it() {
    let fixture = Fixture::new().await;
    let mixed = vec![
        order(RevokeSessions, Effect::Ask),
        order(ResetPassword, Effect::Ask),
    ];
    let first = decided("u1", "r1", "r1", mixed);
    let again = decided("u1", "r1", "r5", vec![order(RevokeSessions, Effect::Ask)]);
    fixture.decide([&first], at(0)).await;
    fixture.decide([&round(again, "r5")], at(5)).await;
    let case = fixture.case(&first).await;
    let states: Vec<_> = case.actions.iter().map(|a| (a.kind, a.state)).collect();
    assert_eq!(
        states,
        [
            (RevokeSessions, ActionState::Withdrawn),
            (RevokeSessions, ActionState::AwaitingApproval),
            (ResetPassword, ActionState::AwaitingApproval),
        ]
    );
    // What expires is asked again, but only the latest round of it.
    assert_eq!(fixture.store.expire(at(605)).await.unwrap(), 2);
    let goes_on = Commit {
        signals: vec![(first.decision.case, signal("tor_exit", "r7"))],
        ..Commit::default()
    };
    fixture.store.commit(goes_on, at(700)).await.unwrap();
    let case = fixture.case(&first).await;
    let states: Vec<_> = case.actions.iter().map(|a| a.state).collect();
    assert_eq!(
        states,
        [
            ActionState::Withdrawn,
            ActionState::AwaitingApproval,
            ActionState::AwaitingApproval,
        ]
    );
}

#[tokio::test]
async fn dismissed_evidence_takes_back_the_question_and_nothing_else() {
    let fixture = Fixture::new().await;
    let (asked, under_way) = (ask("u1"), act("u2"));
    let mixed = vec![
        order(RevokeSessions, Effect::Act),
        order(ConfirmCompromised, Effect::Ask),
    ];
    let mixed = decided("u3", "r1", "r1", mixed);
    fixture.decide([&asked, &under_way, &mixed], at(0)).await;
    for (decision, questions) in [(&asked, 1), (&under_way, 0), (&mixed, 1)] {
        let committed = fixture.withdraw(dismissed(decision), at(5)).await;
        assert_eq!(committed.withdrawn, questions);
    }
    let case = fixture.case(&asked).await;
    assert_eq!(
        (case.status, case.updated_at),
        (CaseStatus::Withdrawn, at(5))
    );
    assert_eq!(case.actions[0].state, ActionState::Withdrawn);
    assert_eq!(
        case.actions[0].last_outcome.as_deref(),
        Some("dismissed in Entra")
    );
    assert_eq!(
        fixture.state(&under_way, RevokeSessions).await,
        ActionState::Queued
    );
    assert_eq!(
        fixture.state(&mixed, RevokeSessions).await,
        ActionState::Queued
    );
    assert_eq!(
        fixture.state(&mixed, ConfirmCompromised).await,
        ActionState::Withdrawn
    );
    // Nobody can answer what is asked no longer, and silence does not end it.
    let id = asked.decision.case.to_string();
    let late = fixture.store.judge(&id, Judgement::Approve, "alice", at(6));
    assert!(matches!(
        late.await,
        Err(JudgeError::NothingToJudge {
            status: "withdrawn",
            ..
        })
    ));
    assert_eq!(fixture.store.expire(at(9_999)).await.unwrap(), 0);
    let repeated = fixture.withdraw(dismissed(&asked), at(10)).await;
    assert_eq!(repeated.withdrawn, 0);
}

#[tokio::test]
async fn evidence_after_a_dismissal_asks_again_and_earlier_answers_do_not_count() {
    let more = |decision: &Decided| Commit {
        signals: vec![(decision.decision.case, signal("tor_exit", "r7"))],
        ..Commit::default()
    };
    let ordered = |decision: &Decided| Commit {
        decisions: vec![decided(
            decision.decision.user.id.as_str(),
            "r1",
            "r7",
            vec![order(RevokeSessions, Effect::Ask)],
        )],
        ..Commit::default()
    };
    for evidence in [more(&ask("u1")), ordered(&ask("u1"))] {
        let fixture = Fixture::new().await;
        let decision = ask("u1");
        let id = decision.decision.case.to_string();
        fixture.decide([&decision], at(0)).await;
        let yes = fixture.store.judge(&id, Judgement::Approve, "alice", at(1));
        yes.await.unwrap();
        fixture.withdraw(dismissed(&decision), at(2)).await;
        fixture.store.commit(evidence, at(9)).await.unwrap();
        let action = fixture.case(&decision).await.actions.remove(0);
        assert_eq!(action.state, ActionState::AwaitingApproval);
        assert_eq!((action.approvers_needed, action.approved_by.len()), (2, 0));
        assert_eq!(action.last_outcome, None, "the reason is past");
    }
}

#[tokio::test]
async fn a_dismissal_in_the_batch_that_asks_comes_last() {
    let fixture = Fixture::new().await;
    let commit = Commit {
        decisions: vec![ask("u1")],
        signals: vec![(ask("u1").decision.case, signal("tor_exit", "r7"))],
        withdrawn: vec![dismissed(&ask("u1"))],
        ..Commit::default()
    };
    let committed = fixture.store.commit(commit, at(0)).await.unwrap();
    assert_eq!(committed.withdrawn, 1);
    let state = fixture.state(&ask("u1"), RevokeSessions).await;
    assert_eq!(state, ActionState::Withdrawn);
}

#[tokio::test]
async fn a_password_is_not_even_queued_before_a_human_has_said_yes() {
    let fixture = Fixture::new().await;
    let decision = decided("u1", "r1", "r1", vec![order(ResetPassword, Effect::Act)]);
    let committed = fixture.decide([&decision], at(0)).await;
    assert_eq!(committed.queued, 0);
    assert_eq!(fixture.claim(9, at(1)).await, []);
    let id = decision.decision.case.to_string();
    let yes = fixture.store.judge(&id, Judgement::Approve, "alice", at(2));
    yes.await.unwrap();
    let claimed = fixture.claim(9, at(2)).await;
    assert_eq!(
        (claimed[0].kind, claimed[0].approved),
        (ResetPassword, true)
    );
}
