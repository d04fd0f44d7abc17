//! What policies called for, and what became known of it.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Finding, Truth};
use Effect::{Act, Ask, Shadow};

/// A decision to ask about a user, by what each policy called for.
fn called(user: &str, effects: &[(&str, Effect)]) -> Decided {
    let mut decided = ask(user);
    let verdicts = effects.iter().map(|(name, e)| verdict(name, Some(*e)));
    decided.decision.verdicts = verdicts.collect();
    // A policy that saw nothing in it.
    decided.decision.verdicts.push(verdict("silent", None));
    decided
}

fn said(truth: Truth, by: &str, second: i64) -> Finding {
    Finding {
        truth,
        by: Some(by.to_owned()),
        note: None,
        at: at(second),
    }
}

impl Fixture {
    async fn judge(&self, decided: &Decided, judgement: Judgement, second: i64) {
        let id = decided.decision.case.to_string();
        let judged = self.store.judge(&id, judgement, "alice", at(second));
        judged.await.unwrap();
    }

    async fn find(&self, decided: &Decided, finding: Finding) {
        let id = decided.decision.case.to_string();
        self.store.find(&id, finding).await.unwrap();
    }

    async fn in_entra(&self, decided: &Decided, truth: Truth, second: i64) {
        let commit = Commit {
            findings: vec![(decided.decision.case, truth)],
            ..Commit::default()
        };
        self.store.commit(commit, at(second)).await.unwrap();
    }

    /// `policy effect judged` → cases.
    async fn record(&self, since: i64) -> BTreeMap<String, u64> {
        let record = self.store.track_record(at(since)).await.unwrap();
        assert!(!record.cut_off);
        let line = |t: &Tally| format!("{} {} {}", t.policy.as_str(), t.effect, t.judged.as_str());
        record.tallies.iter().map(|t| (line(t), t.cases)).collect()
    }
}

fn expected(lines: &[(&str, u64)]) -> BTreeMap<String, u64> {
    lines.iter().map(|(l, n)| ((*l).to_owned(), *n)).collect()
}

#[tokio::test]
async fn a_case_is_what_the_most_telling_word_says_and_silence_says_nothing() {
    let fixture = Fixture::new().await;
    // Each case is called for in shadow by one policy, asked by another.
    let cases: Vec<Decided> = (0..9)
        .map(|n| called(&format!("u{n}"), &[("s", Shadow), ("a", Ask)]))
        .collect();
    fixture.decide(&cases, at(0)).await;
    let [
        approved,
        denied,
        overruled,
        confirmed,
        dismissed,
        dealt_with,
        shadow,
        _,
        open,
    ] = cases.as_slice()
    else {
        panic!("nine");
    };
    fixture.judge(approved, Judgement::Approve, 1).await;
    fixture.judge(denied, Judgement::Deny, 1).await;
    // Done on a yes that was wrong: a finding counts more, and the latest.
    fixture.judge(overruled, Judgement::Approve, 1).await;
    fixture.find(overruled, said(Truth::Theft, "bob", 2)).await;
    fixture
        .find(overruled, said(Truth::Benign, "alice", 3))
        .await;
    fixture.in_entra(confirmed, Truth::Theft, 2).await;
    fixture.in_entra(dismissed, Truth::Theft, 2).await;
    fixture.in_entra(dismissed, Truth::Benign, 3).await;
    // Risk is dismissed once a theft was dealt with.
    fixture.judge(dealt_with, Judgement::Approve, 1).await;
    fixture.in_entra(dealt_with, Truth::Benign, 9).await;
    fixture.find(shadow, said(Truth::Theft, "alice", 5)).await;
    let commit = Commit {
        findings: vec![(
            CaseId::derive(&UserId::new("x"), &RecordId::new("x")),
            Truth::Theft,
        )],
        ..Commit::default()
    };
    let unknown = fixture.store.commit(commit, at(5)).await;
    assert!(unknown.is_ok(), "a word about no case is passed over");
    let ways = [
        ("approved", 2),
        ("denied", 1),
        ("benign", 1),
        ("confirmed_in_entra", 1),
        ("dismissed_in_entra", 1),
        ("theft", 1),
    ];
    let lines = |silent| {
        let mut lines = BTreeMap::new();
        for policy in ["s shadow", "a ask"] {
            for (judged, cases) in ways.into_iter().chain([(silent, 2)]) {
                lines.insert(format!("{policy} {judged}"), cases);
            }
        }
        lines
    };
    assert_eq!(fixture.record(0).await, lines("unjudged"));
    fixture.store.expire(at(600)).await.unwrap();
    assert_eq!(fixture.record(0).await, lines("expired"));
    assert_eq!(fixture.case(open).await.status, CaseStatus::Expired);
    assert!(
        fixture.record(1).await.is_empty(),
        "first called for before"
    );

    let found = fixture.case(overruled).await.findings;
    let words: Vec<_> = found.iter().map(|f| (f.truth, f.by.as_deref())).collect();
    assert_eq!(
        words,
        [(Truth::Theft, Some("bob")), (Truth::Benign, Some("alice"))]
    );
    let found = fixture.case(dismissed).await.findings;
    assert_eq!((found.len(), found[0].by.as_deref()), (1, None));
}

#[tokio::test]
async fn an_act_that_was_wrong_counts_against_its_policy_though_the_case_is_contained() {
    let fixture = Fixture::new().await;
    let mut decided = act("u1");
    decided.decision.verdicts = vec![verdict("a", Some(Act))];
    fixture.decide([&decided], at(0)).await;
    for claimed in fixture.claim(9, at(1)).await {
        let state = ActionState::Acknowledged;
        fixture.settle(&claimed, state, at(2)).await;
    }
    fixture
        .find(&decided, said(Truth::Benign, "alice", 3))
        .await;
    let case = fixture.case(&decided).await;
    assert_eq!(case.status, CaseStatus::Contained, "nothing moves by it");
    assert_eq!(fixture.record(0).await, expected(&[("a act benign", 1)]));
    // Again by the same person, in other letters: one word.
    fixture.find(&decided, said(Truth::Theft, "ALICE", 4)).await;
    assert_eq!(fixture.case(&decided).await.findings.len(), 1);
    assert_eq!(fixture.record(0).await, expected(&[("a act theft", 1)]));
}

#[tokio::test]
async fn a_policy_is_counted_once_a_case_by_the_most_it_called_for_after_the_guard() {
    let fixture = Fixture::new().await;
    let again = |record: &str, effect, admission| {
        let mut decided = decided("u1", "r1", record, Vec::new());
        decided.decision.verdicts = vec![verdict("a", Some(effect))];
        decided.decision.admission = admission;
        decided
    };
    let reason = GuardReason::StaleEvent;
    let steps = [
        (Act, Admission::Refused(reason), "a shadow unjudged"),
        (Act, Admission::Demoted(reason), "a ask unjudged"),
        (Shadow, Admission::Admitted, "a ask unjudged"),
        (Shadow, Admission::Demoted(reason), "a ask unjudged"),
        (Act, Admission::Admitted, "a act unjudged"),
        (Ask, Admission::Admitted, "a act unjudged"),
    ];
    for (n, (effect, admission, line)) in (1_i64..).zip(steps) {
        let decided = again(&format!("r{n}"), effect, admission);
        fixture.decide([&decided], at(n)).await;
        assert_eq!(fixture.record(0).await, expected(&[(line, 1)]), "{n}");
    }
    assert_eq!(fixture.record(1).await.len(), 1, "since it first did");
    assert!(fixture.record(2).await.is_empty());
}
