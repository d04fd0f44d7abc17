//! What is shown and what a restart must not forget.

use super::*;

#[tokio::test]
async fn a_list_is_newest_first_bounded_and_without_decisions() {
    let fixture = Fixture::new().await;
    for (i, user) in ["a", "b", "c"].into_iter().enumerate() {
        fixture.decide(&[act(user)], at(i as i64)).await;
    }
    let cases = fixture.store.cases(2).await.unwrap();
    let users: Vec<_> = cases.iter().map(|case| case.user.id.as_str()).collect();
    assert_eq!(users, ["c", "b"]);
    assert_eq!(cases[0].status, CaseStatus::Responding);
    assert!(
        cases
            .iter()
            .all(|c| c.decisions.is_empty() && c.signals.is_empty())
    );
}

#[tokio::test]
async fn a_case_gives_back_its_decisions_and_signals_as_they_were() {
    let fixture = Fixture::new().await;
    let decision = act("u1");
    fixture.decide([&decision], at(7)).await;
    let case = fixture.case(&decision).await;
    assert_eq!(case.user, decision.decision.user);
    assert_eq!(case.decisions[0].decision, decision.decision);
    assert_eq!(case.decisions[0].decided_at, at(7));
    assert_eq!(case.signals[0].signal, decision.decision.signals[0]);
    assert!(case.signals[0].text.contains("Tor"));
}

#[tokio::test]
async fn a_pause_survives_a_restart_until_it_is_lifted() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.store.paused().await.unwrap(), None);
    let mut pause = None;
    for by in ["alice", "bob"] {
        pause = Some(Pause {
            by: by.to_owned(),
            since: at(1),
        });
        fixture.store.set_pause(pause.clone()).await.unwrap();
    }
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.paused().await.unwrap(), pause);
    fixture.store.set_pause(None).await.unwrap();
    assert_eq!(fixture.store.paused().await.unwrap(), None);
}

#[tokio::test]
async fn a_long_list_delays_no_commit_and_sees_one_moment() {
    let fixture = Fixture::new().await;
    fixture.decide(&[act("u1")], at(0)).await;
    let (listing, started) = tokio::sync::oneshot::channel();
    let (committed, wait) = std::sync::mpsc::channel();
    let list = fixture.store.database.read(move |db| {
        let snapshot = db.transaction()?;
        let before = cases::list(&snapshot, 9)?.len();
        listing.send(()).unwrap();
        wait.recv_timeout(std::time::Duration::from_secs(30))
            .expect("the commit does not wait for the list");
        Ok::<_, StoreError>((before, cases::list(&snapshot, 9)?.len()))
    });
    let commit = async {
        started.await.unwrap();
        fixture.decide(&[act("u2")], at(1)).await;
        committed.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(list, commit);
    assert_eq!(seen.unwrap(), (1, 1));
    assert_eq!(fixture.store.cases(9).await.unwrap().len(), 2);
}
