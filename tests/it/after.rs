//! What happens after an eviction, in process: it is proven, or evaded and
//! done again; and a question whose reason is gone is taken back.

use evictd::lab::records::{CHROME_LINUX, HOSTING, Person, SignInRecord, record_id, risk_event};
use evictd::model::{ActionKind, ActionState, CaseStatus, CaseView};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{House, PATIENCE, theft, victims};

/// One sign is enough.
const POLICY: &str = "policy: theft\nmode: enforce\nwindow: 1h\n\
    signals: { session_hosting: 90, containment_evaded: 95 }\n\
    rungs: [{ at: 90, do: [revoke_sessions] }]\n";
/// A success counts as soon as the revoke is known.
const NO_GRACE: &str = "parameters: { containment_evaded: { grace: 0s } }\n";

/// From where `support::theft` comes, with what came of it.
fn back_again(victim: &Person, at: Timestamp, error_code: u32) -> Value {
    SignInRecord {
        spot: HOSTING,
        host: 7,
        agent: CHROME_LINUX,
        interactive: false,
        error_code,
        id: record_id(&[&victim.id, &at.to_string(), "back again"]),
        ..SignInRecord::at_home(victim, at)
    }
    .to_json()
}

/// A case as `cases show --format json` writes it.
async fn shown(house: &House, case: &CaseView) -> Value {
    let case = house.client.case(&case.id.to_string()).await.unwrap();
    serde_json::to_value(case).unwrap()
}

/// How often Graph carried out a revoke.
fn revokes(house: &House) -> usize {
    let calls = house.lab.graph.calls();
    let revoke = |path: &str| path.to_lowercase().ends_with("/revokesigninsessions");
    calls
        .iter()
        .filter(|c| c.applied && revoke(&c.path))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_thief_proves_the_containment() {
    let house = House::with_policies(Some(&[("theft.yaml", POLICY)])).await;
    let victim = &victims(1)[0];
    house.publish(&theft(victim, Timestamp::now()));
    let case = house.wait_for_case(victim, CaseStatus::Contained).await;
    assert_eq!(
        shown(&house, &case).await["containment"]["stage"],
        "acknowledged"
    );
    let calls = house.lab.graph.calls().len();

    let refused = back_again(victim, Timestamp::now(), 50173);
    house.publish(std::slice::from_ref(&refused));
    house
        .wait_for_metric("evictd_containments_total{outcome=\"proven\"}", 1)
        .await;
    let proven = shown(&house, &case).await;
    assert_eq!(proven["containment"]["stage"], "proven", "{proven}");
    assert_eq!(
        proven["containment"]["shown_by"],
        refused["properties"]["id"]
    );
    assert_eq!(proven["status"], "contained");

    // The same again is no news, and neither is the owner's own relogin.
    let owner = SignInRecord {
        error_code: 50173,
        ..SignInRecord::at_home(victim, Timestamp::now())
    };
    house.publish(&[refused, owner.to_json()]);
    house.wait_for_records(5).await;
    house.daemon.stop().await.unwrap();
    assert_eq!(
        house.lab.graph.calls().len(),
        calls,
        "a proof calls for nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_who_is_back_is_evicted_again_in_the_same_case() {
    let files = [("theft.yaml", POLICY), ("signals.yaml", NO_GRACE)];
    let house = House::with_policies(Some(&files)).await;
    let victim = &victims(1)[0];
    house.publish(&theft(victim, Timestamp::now()));
    let case = house.wait_for_case(victim, CaseStatus::Contained).await;
    assert_eq!(revokes(&house), 1);

    house.publish(&[back_again(victim, Timestamp::now(), 0)]);
    let again = house.wait_for_case(victim, CaseStatus::Evaded).await;
    assert_eq!(again.id, case.id, "the same case");
    let done = house
        .lab
        .graph
        .wait_until(PATIENCE, |_| revokes(&house) == 2)
        .await;
    assert!(done, "{:?}", house.lab.graph.calls());
    house
        .wait_for_metric("evictd_containments_total{outcome=\"evaded\"}", 1)
        .await;
    house
        .wait_for_status("both revokes are settled", |status| {
            let open = |state: &str| state == "queued" || state == "sending";
            status
                .outbox
                .iter()
                .all(|(state, n)| *n == 0 || !open(state))
        })
        .await;
    let evaded = house.client.case(&case.id.to_string()).await.unwrap();
    assert_eq!(
        evaded.status,
        CaseStatus::Evaded,
        "until a refusal proves it"
    );
    assert_eq!(evaded.decisions.len(), 2);
    let acknowledged = |kind| {
        let done = evaded.actions.iter();
        done.filter(|a| a.kind == kind && a.state == ActionState::Acknowledged)
            .count()
    };
    assert_eq!(acknowledged(ActionKind::RevokeSessions), 2, "{evaded:?}");

    // Then the thief is refused, and the case is contained after all.
    house.publish(&[back_again(victim, Timestamp::now(), 50132)]);
    house.wait_for_case(victim, CaseStatus::Contained).await;
    assert_eq!(shown(&house, &case).await["containment"]["stage"], "proven");
    assert_eq!(revokes(&house), 2, "a refusal calls for nothing");
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissed_detection_closes_its_question_and_a_new_one_asks_again() {
    let house = House::start().await;
    let victim = &victims(1)[0];
    let now = Timestamp::now();
    let at_home = SignInRecord::at_home(victim, now);
    let leaked = risk_event(&at_home, "leakedCredentials", "medium");
    house.publish(std::slice::from_ref(&leaked));
    let asked = house
        .wait_for_case(victim, CaseStatus::AwaitingApproval)
        .await;

    let mut dismissed = leaked;
    dismissed["properties"]["riskState"] = "dismissed".into();
    dismissed["properties"]["lastUpdatedDateTime"] =
        (now + SignedDuration::from_secs(30)).to_string().into();
    house.publish(&[dismissed]);
    let closed = house.wait_for_case(victim, CaseStatus::Withdrawn).await;
    assert_eq!(closed.id, asked.id);
    let shown = shown(&house, &closed).await;
    let outcome = shown["actions"][0]["last_outcome"].as_str().unwrap();
    assert!(outcome.contains("dismissed"), "{shown}");
    let approved = house.client.approve(&closed.id.to_string()).await;
    assert!(approved.is_err(), "there is nothing left to approve");

    let spray = risk_event(&at_home, "passwordSpray", "high");
    house.publish(&[spray]);
    let again = house
        .wait_for_case(victim, CaseStatus::AwaitingApproval)
        .await;
    assert_eq!(again.id, asked.id, "the same case");
    house.daemon.stop().await.unwrap();
    assert_eq!(json!(house.lab.graph.calls()), json!([]));
}
