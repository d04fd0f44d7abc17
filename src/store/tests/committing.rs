//! The one commit: all of it or nothing, once.

use super::*;

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let fixture = Fixture::new().await;
    let user = UserId::new("u1");
    let commit = Commit {
        positions: vec![position(41, 0)],
        memories: vec![(user.clone(), remembered(&["r1"], 0))],
        decisions: vec![act("u1")],
        quarantine: vec![quarantined(40, 3)],
        ..Commit::default()
    };
    let committed = fixture.store.commit(commit, at(3)).await.unwrap();
    assert_eq!(
        committed,
        Committed {
            queued: 1,
            ..Committed::default()
        }
    );

    let fixture = fixture.reopened().await;
    let store = &fixture.store;
    assert_eq!(store.positions().await.unwrap(), [position(41, 0)]);
    let unknown = UserId::new("u2");
    assert_eq!(
        store.memories(vec![unknown, user]).await.unwrap(),
        [Remembered::default(), remembered(&["r1"], 1)]
    );
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.by_state, [(ActionState::Queued, 1)]);
    assert_eq!(stats.quarantined, 1);
    assert_eq!(stats.next_due, Some(at(3)));
}

#[tokio::test]
async fn a_commit_delivered_again_changes_nothing_but_versions() {
    let fixture = Fixture::new().await;
    let user = UserId::new("u1");
    let mut commit = Commit {
        positions: vec![position(41, 0)],
        memories: vec![(user.clone(), remembered(&["r1"], 0))],
        decisions: vec![act("u1"), ask("u2")],
        signals: vec![(act("u1").decision.case, signal("tor_exit", "r9"))],
        quarantine: vec![quarantined(40, 3)],
        ..Commit::default()
    };
    fixture.store.commit(commit.clone(), at(3)).await.unwrap();
    let denied = ask("u2").decision.case.to_string();
    let verdict = fixture
        .store
        .judge(&denied, Judgement::Deny, "alice", at(4));
    verdict.await.unwrap();
    let before = (
        fixture.case(&act("u1")).await,
        fixture.case(&ask("u2")).await,
        fixture.store.stats().await.unwrap(),
    );

    commit.memories[0].1.version = 1;
    let again = fixture.store.commit(commit, at(60)).await.unwrap();
    assert_eq!(again, Committed::default());
    let after = (
        fixture.case(&act("u1")).await,
        fixture.case(&ask("u2")).await,
        fixture.store.stats().await.unwrap(),
    );
    assert_eq!(before, after);
    let memories = fixture.store.memories(vec![user]).await.unwrap();
    assert_eq!(memories, [remembered(&["r1"], 2)]);
}

#[tokio::test]
async fn a_memory_of_another_version_refuses_the_whole_commit() {
    let fixture = Fixture::new().await;
    let user = UserId::new("u1");
    let first = Commit {
        memories: vec![(user.clone(), remembered(&["r1"], 0))],
        ..Commit::default()
    };
    fixture.store.commit(first, at(0)).await.unwrap();
    for (version, known) in [(0, true), (2, true), (7, false)] {
        let name = if known {
            user.clone()
        } else {
            UserId::new("new")
        };
        let refused = fixture
            .store
            .commit(
                Commit {
                    positions: vec![position(1, 0)],
                    memories: vec![
                        (UserId::new("other"), remembered(&["r2"], 0)),
                        (name, remembered(&["r2"], version)),
                    ],
                    decisions: vec![act("u1")],
                    ..Commit::default()
                },
                at(1),
            )
            .await;
        assert!(matches!(
            refused,
            Err(StoreError::Conflict { expected, found })
                if expected == version && found == u64::from(known)
        ));
    }
    assert_eq!(fixture.store.positions().await.unwrap(), []);
    assert_eq!(fixture.store.cases(10).await.unwrap(), []);
    let memories = fixture
        .store
        .memories(vec![UserId::new("other"), user])
        .await;
    assert_eq!(
        memories.unwrap(),
        [Remembered::default(), remembered(&["r1"], 1)]
    );
}

#[tokio::test]
async fn positions_move_forward_only_and_never_to_a_lower_epoch() {
    let fixture = Fixture::new().await;
    let at_position = |sequence, epoch| Commit {
        positions: vec![position(sequence, epoch)],
        ..Commit::default()
    };
    for ((sequence, epoch), stored) in [
        ((10, 1), (10, 1)),
        ((9, 1), (10, 1)),
        ((8, 2), (10, 2)),
        ((11, 2), (11, 2)),
    ] {
        let commit = at_position(sequence, epoch);
        fixture.store.commit(commit, at(0)).await.unwrap();
        assert_eq!(
            fixture.store.positions().await.unwrap(),
            [position(stored.0, stored.1)]
        );
    }
    assert!(matches!(
        fixture.store.commit(at_position(12, 1), at(0)).await,
        Err(StoreError::Fenced {
            epoch: 1,
            found: 2,
            ..
        })
    ));
    assert_eq!(fixture.store.positions().await.unwrap(), [position(11, 2)]);
}

#[tokio::test]
async fn a_commit_that_is_cut_off_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let path = fixture.path();
    drop(fixture.store);
    let mut connection = sqlite::open_writer(&path).unwrap();
    let half = Commit {
        positions: vec![position(5, 0)],
        memories: vec![(UserId::new("u1"), remembered(&["r1"], 0))],
        decisions: vec![act("u1")],
        quarantine: vec![quarantined(1, 10)],
        ..Commit::default()
    };
    let transaction = sqlite::begin(&mut connection).unwrap();
    commit::apply(&transaction, &half, at(0)).unwrap();
    drop(transaction);
    drop(connection);

    let store = Store::open(fixture.directory.path()).await.unwrap();
    assert_eq!(store.positions().await.unwrap(), []);
    assert_eq!(store.cases(10).await.unwrap(), []);
    assert_eq!(store.stats().await.unwrap(), OutboxStats::default());
    let memories = store.memories(vec![UserId::new("u1")]).await.unwrap();
    assert_eq!(memories, [Remembered::default()]);
}

#[tokio::test]
async fn a_full_disk_refuses_the_whole_commit_and_later_ones_succeed() {
    let fixture = Fixture::new().await;
    let limit = |pages: u32| {
        fixture.store.database.write(move |db| {
            let set: u32 =
                db.query_row(&format!("PRAGMA max_page_count = {pages}"), (), |row| {
                    row.get(0)
                })?;
            Ok::<_, StoreError>(set)
        })
    };
    // SQLite takes the size the file has where that is more.
    let pages = limit(1).await.unwrap();
    let big = Commit {
        positions: vec![position(5, 0)],
        decisions: vec![act("u1")],
        quarantine: vec![quarantined(1, 200_000)],
        ..Commit::default()
    };
    assert!(pages > 1);
    let refused = fixture.store.commit(big.clone(), at(0)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full) && refused.may_pass());
    assert_eq!(fixture.store.positions().await.unwrap(), []);
    assert_eq!(fixture.store.cases(10).await.unwrap(), []);

    limit(100_000).await.unwrap();
    assert_eq!(fixture.store.commit(big, at(0)).await.unwrap().queued, 1);
    assert_eq!(fixture.store.positions().await.unwrap(), [position(5, 0)]);
}

#[tokio::test]
async fn a_row_that_does_not_decode_is_an_error_and_never_empty() {
    let fixture = Fixture::new().await;
    let user = UserId::new("u1");
    let commit = Commit {
        memories: vec![(user.clone(), remembered(&["r1"], 0))],
        decisions: vec![act("u1")],
        ..Commit::default()
    };
    fixture.store.commit(commit, at(0)).await.unwrap();
    let pause = Pause {
        by: "alice".to_owned(),
        since: at(0),
    };
    fixture.store.set_pause(Some(pause)).await.unwrap();
    for spoil in [
        "UPDATE user_memory SET body = x'017b'",
        "UPDATE user_memory SET body = x'09'",
        "UPDATE user_memory SET body = x''",
    ] {
        let write = fixture.store.database.write(move |db| {
            db.execute(spoil, ())?;
            Ok::<_, StoreError>(())
        });
        write.await.unwrap();
        assert!(
            matches!(
                fixture.store.memories(vec![user.clone()]).await,
                Err(StoreError::Corrupt { .. })
            ),
            "{spoil}"
        );
    }
    let write = fixture.store.database.write(|db| {
        db.execute("UPDATE decisions SET body = '{}'", ())?;
        db.execute("UPDATE settings SET value = '?'", ())?;
        Ok::<_, StoreError>(())
    });
    write.await.unwrap();
    let case = act("u1").decision.case.to_string();
    assert!(matches!(
        fixture.store.case(&case).await,
        Err(JudgeError::Store(StoreError::Corrupt { .. }))
    ));
    assert!(matches!(
        fixture.store.paused().await,
        Err(StoreError::Corrupt { .. })
    ));
}

#[tokio::test]
async fn a_schema_newer_than_this_evictd_is_refused() {
    let fixture = Fixture::new().await;
    let newer = fixture.store.database.write(|db| {
        db.pragma_update(None, "user_version", 99)?;
        Ok::<_, StoreError>(())
    });
    newer.await.unwrap();
    drop(fixture.store);
    assert!(matches!(
        Store::open(fixture.directory.path()).await,
        Err(StoreError::Migration(_))
    ));
}
