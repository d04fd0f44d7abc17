//! The policies on the control API.

use super::*;

#[tokio::test]
async fn a_reload_that_fails_says_what_is_wrong_and_what_serves() {
    let served = Served::start().await;
    let (status, body) = served.send("POST", "/v1/reload").await;
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_value::<Reloaded>(body).unwrap(),
        reloaded()
    );
    let (status, error, hint) = served.refusal("POST", "/v1/reload").await;
    assert_eq!(
        (status, error.as_str()),
        (422, "fine.yaml:2:7: no such mode")
    );
    assert_eq!(hint, "What served before goes on serving.");
    assert_eq!(served.reloads.load(Ordering::Relaxed), 2);
    served.stop().await;
}

/// A decision that a policy `p` called for in shadow.
fn called_for(user: &str) -> Decided {
    let mut decided = decided(user, 1);
    decided.decision.verdicts = vec![PolicyVerdict {
        policy: PolicyName::new("p"),
        mode: Mode::Shadow,
        window_start: at(0),
        window_end: at(0),
        score: 90,
        families: Vec::new(),
        rung: None,
        effect: Some(Effect::Shadow),
        out_of_scope: false,
        set_aside: Vec::new(),
    }];
    decided
}

#[tokio::test]
async fn a_finding_is_kept_with_who_gave_it_and_measures_the_policy() {
    let served = Served::start().await;
    let now = Timestamp::now();
    served.decide(vec![called_for("ana")], now).await;
    let short = case_of("ana").short();
    let client = Client::new(served.socket());
    let said = |truth| Said {
        truth,
        note: Some("the new VPN".to_owned()),
    };
    let case = client.find(&short, &said(Truth::Benign)).await.unwrap();
    let finding = &case.findings[0];
    assert_eq!(finding.note.as_deref(), Some("the new VPN"));
    assert!(!finding.by.as_ref().unwrap().is_empty());
    assert!(finding.at >= now);
    // The question stands as it was.
    assert_eq!(case.status, CaseStatus::AwaitingApproval);
    let stands = |report: &PolicyReport| {
        let standing = &report.policies[0];
        (standing.theft, standing.benign, standing.meets_bar)
    };
    let report = client.policy_report(at(0)).await.unwrap();
    assert_eq!(stands(&report), (0, 1, Some(false)));
    // They think again.
    let case = client.find(&short, &said(Truth::Theft)).await.unwrap();
    assert_eq!(case.findings.len(), 1);
    let report = client.policy_report(at(0)).await.unwrap();
    assert_eq!(stands(&report), (1, 0, Some(true)));
    let later = client.policy_report(now + jiff::SignedDuration::from_hours(1));
    assert_eq!(stands(&later.await.unwrap()), (0, 0, Some(false)));
    let status = client.policies().await.unwrap();
    assert_eq!(status.calls["p"].shadow, 1);
    let unknown = client.find("ffffffff", &said(Truth::Theft)).await;
    assert!(unknown.unwrap_err().to_string().contains("no case"));
    served.stop().await;
}
