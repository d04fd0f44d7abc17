//! What is remembered besides cases: the surroundings, and whom a human asks
//! for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;
use crate::model::{CountryCode, Parameters, Prefix};

const DAY: i64 = 24 * 3600;

fn address() -> IpAddr {
    "2001:db8::7".parse().unwrap()
}

/// One of each kind of thing, and what is asked of them: five users in a
/// country, and an address that tried twelve users and a disabled one.
fn busy() -> Surroundings {
    let mut around = Surroundings::default();
    for n in 0..5 {
        let user = UserId::new(format!("u{n}"));
        for thing in things() {
            around.used(thing, &user, at(0));
        }
    }
    for n in 0..12 {
        let user = UserId::new(format!("v{n}"));
        around.failed(address(), &user, at(n), n == 0);
    }
    around
}

fn things() -> [Thing; 5] {
    [
        Thing::Country(CountryCode::parse("FR").unwrap()),
        Thing::Asn(3215),
        Thing::Prefix(Prefix::of("192.0.2.1".parse().unwrap())),
        Thing::Prefix(Prefix::of(address())),
        Thing::Consented(u64::MAX),
    ]
}

/// Everything that is ever asked of them.
fn answers(around: &Surroundings) -> (Vec<bool>, Option<usize>, Option<usize>) {
    let parameters = Parameters::default();
    let common = things().map(|thing| around.is_common(thing, at(2 * DAY), &parameters));
    let spray = around.spray_before(address(), at(3600), &parameters);
    let probes = around.probes_before(address(), at(3600), &parameters);
    (
        common.to_vec(),
        spray.map(|spray| spray.users),
        probes.map(|probes| probes.disabled),
    )
}

fn changes(around: &Surroundings) -> Vec<(Thing, Option<Entry>)> {
    let changed = around.changes();
    changed
        .map(|(thing, entry)| (thing, entry.cloned()))
        .collect()
}

fn rows(around: &Surroundings) -> BTreeMap<String, String> {
    // As if everything had just changed: there is no other way to list it.
    let mut all = around.clone();
    for thing in things() {
        all.used(thing, &UserId::new("probe"), at(400 * DAY));
    }
    changes(&all)
        .into_iter()
        .map(|(thing, entry)| (format!("{thing:?}"), format!("{entry:?}")))
        .collect()
}

#[tokio::test]
async fn surroundings_answer_the_same_after_a_restart() {
    let fixture = Fixture::new().await;
    let around = busy();
    assert_eq!(answers(&around), (vec![true; 5], Some(11), Some(1)));
    let commit = Commit {
        surroundings: changes(&around),
        ..Commit::default()
    };
    fixture.store.commit(commit, at(1)).await.unwrap();
    let fixture = fixture.reopened().await;
    let read = fixture.store.surroundings().await.unwrap();
    assert_eq!(answers(&read), answers(&around));
    assert_eq!(read.len(), around.len());
    assert_eq!(
        rows(&read),
        rows(&{
            let mut settled = around.clone();
            settled.settle();
            settled
        })
    );
    assert_eq!(read.changes().count(), 0, "nothing to write again");
}

#[tokio::test]
async fn what_is_forgotten_of_the_surroundings_stays_forgotten() {
    let fixture = Fixture::new().await;
    let forgotten = Thing::Asn(3215);
    for surroundings in [changes(&busy()), vec![(forgotten, None)]] {
        let commit = Commit {
            surroundings,
            ..Commit::default()
        };
        fixture.store.commit(commit, at(1)).await.unwrap();
    }
    let fixture = fixture.reopened().await;
    let read = fixture.store.surroundings().await.unwrap();
    assert!(!read.is_common(forgotten, at(2 * DAY), &Parameters::default()));
    assert_eq!(read.len(), (things().len() - 1, 1));
}

#[tokio::test]
async fn a_commit_that_fails_writes_no_surroundings() {
    let fixture = Fixture::new().await;
    let refused = Commit {
        surroundings: changes(&busy()),
        memories: vec![(UserId::new("u1"), remembered(&["r1"], 7))],
        ..Commit::default()
    };
    let refused = fixture.store.commit(refused, at(1)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    assert!(fixture.store.surroundings().await.unwrap().is_empty());
    let fixture = fixture.reopened().await;
    assert!(fixture.store.surroundings().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_of_the_surroundings_that_does_not_decode_is_an_error() {
    let fixture = Fixture::new().await;
    let commit = Commit {
        surroundings: changes(&busy()),
        ..Commit::default()
    };
    fixture.store.commit(commit, at(1)).await.unwrap();
    let spoil = fixture.store.database.write(|db| {
        db.execute("UPDATE surroundings SET body = '[]x'", ())?;
        Ok::<_, StoreError>(())
    });
    spoil.await.unwrap();
    assert!(matches!(
        fixture.store.surroundings().await,
        Err(StoreError::Corrupt { .. })
    ));
}

/// Two users; one changed her name, one has none.
async fn known_users(fixture: &Fixture) {
    let named = |name: &str, version| {
        let mut remembered = remembered(&["r1"], version);
        remembered.memory.principal_name = name.into();
        remembered
    };
    let ana = UserId::new("0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11");
    let commits = [
        (ana.clone(), named("Ana.Maiden@Contoso.example", 0)),
        (ana, named("Ana@Contoso.example", 1)),
        (UserId::new("nameless"), named("", 0)),
    ];
    for memory in commits {
        let commit = Commit {
            memories: vec![memory],
            ..Commit::default()
        };
        fixture.store.commit(commit, at(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_memory_is_found_by_id_and_by_the_latest_name_in_any_case() {
    let fixture = Fixture::new().await;
    known_users(&fixture).await;
    for (asked, found) in [
        (
            "0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11",
            Some("0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11"),
        ),
        (
            "0F7C2B9E-3B1D-4C55-9F0A-5A5F4C1E2D11",
            Some("0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11"),
        ),
        (
            "Ana@Contoso.example",
            Some("0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11"),
        ),
        (
            "ana@contoso.example",
            Some("0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11"),
        ),
        (
            "ANA@CONTOSO.EXAMPLE",
            Some("0f7c2b9e-3b1d-4c55-9f0a-5a5f4c1e2d11"),
        ),
        ("nameless", Some("nameless")),
        // The name she had, half a name, a pattern, nothing.
        ("ana.maiden@contoso.example", None),
        ("ana", None),
        ("%", None),
        ("ana@contoso.exampl_", None),
        ("", None),
        (" ", None),
    ] {
        let known = fixture.store.memory_of(asked.to_owned()).await.unwrap();
        let id = known.as_ref().map(|known| known.user.as_str());
        assert_eq!(id, found, "{asked:?}");
        if let Some(known) = known {
            assert_eq!(known.memory.signals.len(), 1, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn somebody_whose_name_is_anothers_id_is_not_shown_for_them() {
    let fixture = Fixture::new().await;
    let mut other = remembered(&["r2"], 0);
    other.memory.principal_name = "u1".into();
    let commit = Commit {
        memories: vec![
            (UserId::new("a-first"), other),
            (UserId::new("u1"), remembered(&["r1"], 0)),
        ],
        ..Commit::default()
    };
    fixture.store.commit(commit, at(1)).await.unwrap();
    let known = fixture.store.memory_of("U1".to_owned()).await.unwrap();
    assert_eq!(known.unwrap().user.as_str(), "u1");
}
