//! A broken network, a broken Graph, a broken policy, a broken record.

use evictd::lab::graph::{Fault, FaultRule};
use evictd::lab::records::envelope;
use evictd::lab::{HUB, Transport, scenario};
use evictd::model::CaseStatus;
use jiff::Timestamp;

use crate::support::{House, replayed_session, start, theft, victims, write_policies};

#[tokio::test(flavor = "multi_thread")]
async fn event_hubs_may_break_in_any_way() {
    let house = House::start().await;
    let people = victims(4);
    let now = Timestamp::now();
    for person in &people {
        house.publish(&theft(person, now)[..1]);
    }
    house.wait_for_records(4).await;
    house.lab.hub.kill_connections();
    house.publish(&[replayed_session(&people[0], now)]);
    house.wait_for_case(&people[0], CaseStatus::Contained).await;

    for partition in 0..4 {
        house
            .lab
            .hub
            .detach(HUB, partition, "com.microsoft:server-busy");
    }
    house.publish(&[replayed_session(&people[1], now)]);
    house.wait_for_case(&people[1], CaseStatus::Contained).await;

    house.lab.hub.outage(true);
    house.publish(&[replayed_session(&people[2], now)]);
    house
        .wait_for_status("not ready", |status| !status.ready)
        .await;
    house.lab.hub.outage(false);
    house.wait_for_case(&people[2], CaseStatus::Contained).await;

    house
        .lab
        .hub
        .refuse_receivers(Some("com.microsoft:server-busy"));
    house.lab.hub.kill_connections();
    house.publish(&[replayed_session(&people[3], now)]);
    house.lab.hub.refuse_receivers(None);
    house.wait_for_case(&people[3], CaseStatus::Contained).await;
    assert_eq!(
        house.metric("evictd_records_total").await,
        8,
        "each record once"
    );
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_may_answer_anything_and_the_session_still_ends() {
    let house = House::start().await;
    let people = victims(6);
    let now = Timestamp::now();
    let faults = [
        Fault::status(503),
        Fault::Status {
            status: 429,
            retry_after: Some("0.2".into()),
        },
        Fault::Html { status: 502 },
        Fault::Truncated,
        Fault::Reset,
    ];
    for fault in faults {
        house
            .lab
            .graph
            .inject(FaultRule::once(fault).on_path("revokeSignInSessions"));
    }
    for person in &people {
        house.publish(&theft(person, now));
    }
    for person in &people {
        house.wait_until_revoked(person).await;
        house.wait_for_case(person, CaseStatus::Contained).await;
    }
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_ends_with_a_human() {
    let house = House::start().await;
    let victim = &victims(1)[0];
    house
        .lab
        .graph
        .with_tenant(|tenant| tenant.allow_privileged_revoke(false));
    house.lab.graph.inject(
        FaultRule::once(Fault::status(403))
            .on_path("revokeSignInSessions")
            .always(),
    );
    house.publish(&theft(victim, Timestamp::now()));
    let case = house.wait_for_case(victim, CaseStatus::Failed).await;
    let outcome = case.actions[0].last_outcome.clone().unwrap();
    assert!(outcome.contains("403"), "{outcome}");
    assert_eq!(
        case.actions[0].attempts, 1,
        "a refusal for good is not repeated"
    );
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn entra_may_be_away_and_tokens_may_die() {
    let house = House::start().await;
    let people = victims(2);
    let now = Timestamp::now();
    house.publish(&theft(&people[0], now));
    house.wait_for_case(&people[0], CaseStatus::Contained).await;
    house.lab.entra.expire_all_tokens();
    house.publish(&theft(&people[1], now));
    house.wait_for_case(&people[1], CaseStatus::Contained).await;
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_record_is_kept_and_the_rest_of_its_message_is_judged() {
    let house = House::start().await;
    let victim = &victims(1)[0];
    let staff = scenario::staff();
    let now = Timestamp::now();
    let mut records = scenario::with_a_broken_record(&staff, now);
    records.extend(theft(victim, now));
    house.lab.publish(&records);
    house.lab.publish_bytes(b"\xff\xfe not json".to_vec());
    house.wait_for_case(victim, CaseStatus::Contained).await;
    house
        .wait_for_status("two in quarantine", |status| status.quarantined == 2)
        .await;
    let rows = house.client.quarantine(0, 10).await.unwrap();
    let of_record = rows.iter().find(|row| row.record.index == Some(1)).unwrap();
    let bytes: serde_json::Value = serde_json::from_slice(&of_record.record.bytes).unwrap();
    assert_eq!(bytes, records[1], "the record's own bytes are kept");
    assert!(
        rows.iter()
            .any(|row| row.record.bytes == b"\xff\xfe not json")
    );
    // What still does not decode stays.
    let outcome = house.client.retry(of_record.id).await.unwrap();
    assert!(!outcome.released && outcome.reason.is_some(), "{outcome:?}");
    assert_eq!(house.client.status().await.unwrap().quarantined, 2);
    house.daemon.stop().await.unwrap();
}

const FINE: &str = "policy: fine\nmode: enforce\nwindow: 1h\nsignals: { session_hosting: 90 }\n\
                    rungs: [{ at: 90, do: [revoke_sessions] }]\n";
const BROKEN: &str = "policy: fine\nmode: enforced\nwindow: 1h\nsignals: { session_hosting: 90 }\n\
                      rungs: [{ at: 90, do: [revoke_sessions] }]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_breaks_at_reload_leaves_the_last_good_set() {
    let house = House::with_policies(Some(&[("fine.yaml", FINE)])).await;
    let before = house.client.status().await.unwrap().about.policy_set;
    write_policies(house.directory.path(), &[("fine.yaml", BROKEN)]);
    let error = house.client.reload().await.unwrap_err().to_string();
    assert!(
        error.contains("fine.yaml:2:7") && error.contains("enforced"),
        "{error}"
    );
    assert_eq!(
        house.client.status().await.unwrap().about.policy_set,
        before
    );
    let metrics = house.metrics().await;
    assert!(metrics.contains("evictd_policies_stale 1"), "{metrics}");
    assert!(
        metrics.contains("evictd_policy_reloads_total{result=\"failed\"} 1"),
        "{metrics}"
    );
    // It still acts as before.
    let victim = &victims(1)[0];
    house.publish(&theft(victim, Timestamp::now()));
    house.wait_for_case(victim, CaseStatus::Contained).await;
    // Mended: the new set serves.
    write_policies(
        house.directory.path(),
        &[("fine.yaml", &FINE.replace("90", "91"))],
    );
    house.client.reload().await.unwrap();
    assert_ne!(
        house.client.status().await.unwrap().about.policy_set,
        before
    );
    assert!(house.metrics().await.contains("evictd_policies_stale 0"));
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_at_start_is_named() {
    let house = House::with_policies(Some(&[("fine.yaml", FINE)])).await;
    let directory = house.directory.path();
    // A second daemon on the same state.
    let error = format!("{:#}", start(directory).await.unwrap_err());
    assert!(error.contains("in use by another evictd"), "{error}");
    house.daemon.stop().await.unwrap();
    // A policy that does not compile.
    write_policies(directory, &[("fine.yaml", BROKEN)]);
    let error = format!("{:#}", start(directory).await.unwrap_err());
    assert!(error.contains("fine.yaml:2:7"), "{error}");
    write_policies(directory, &[("fine.yaml", FINE)]);
    // A list that is not there.
    std::fs::remove_file(directory.join("tor-exits.txt")).unwrap();
    let error = format!("{:#}", start(directory).await.unwrap_err());
    assert!(error.contains("tor-exits.txt"), "{error}");
    // A secret that is not there.
    let text = house.lab.config_text(Transport::Plain, None);
    let text = text.replace(
        "secret = \"lab-only-secret\"",
        "secret_file = \"/no/such/file\"",
    );
    std::fs::write(
        directory.join("evictd.toml"),
        text.replace("tor_exits", "# tor_exits"),
    )
    .unwrap();
    let error = format!("{:#}", start(directory).await.unwrap_err());
    assert!(error.contains("/no/such/file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_on_where_it_stopped() {
    let house = House::start().await;
    let people = victims(2);
    let now = Timestamp::now();
    house.publish(&theft(&people[0], now));
    house.wait_for_case(&people[0], CaseStatus::Contained).await;
    let calls = house.lab.graph.calls().len();
    let house = house.restart().await;
    house.lab.publish_bytes(envelope(&theft(&people[1], now)));
    house.wait_for_case(&people[1], CaseStatus::Contained).await;
    assert_eq!(
        house.metric("evictd_records_total").await,
        2,
        "nothing is read again"
    );
    let calls_for_the_first = house
        .lab
        .graph
        .calls()
        .iter()
        .filter(|call| {
            call.users
                .iter()
                .any(|user| user.to_string() == people[0].id)
        })
        .count();
    assert_eq!(calls_for_the_first, calls);
    house.daemon.stop().await.unwrap();
}
