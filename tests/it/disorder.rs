//! Redelivered, reordered and late records change nothing that an in-order
//! run would not have decided.

use std::collections::BTreeMap;

use evictd::lab::scenario;
use evictd::model::CaseStatus;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::support::{House, PATIENCE};

/// By user: where the case stands, and what was ordered.
type Outcomes = BTreeMap<String, (CaseStatus, Vec<String>)>;

async fn play(records: &[Value]) -> Outcomes {
    let house = House::start().await;
    for records in records.chunks(7) {
        house.lab.publish(records);
    }
    house.wait_for_records(records.len() as u64).await;
    let settled = house.wait_for_status("the outbox drains", |status| {
        status
            .outbox
            .iter()
            .all(|(state, n)| *n == 0 || (state != "queued" && state != "sending"))
    });
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
    let cases = house.client.cases(1_000).await.unwrap();
    house.daemon.stop().await.unwrap();
    let mut outcomes = Outcomes::new();
    for case in cases {
        let mut actions: Vec<String> = case
            .actions
            .iter()
            .map(|a| format!("{} {}", a.kind, a.state))
            .collect();
        actions.sort();
        let user = case.user.principal_name.to_string();
        let doubled = outcomes.insert(user.clone(), (case.status, actions));
        assert_eq!(doubled, None, "{user} has two cases");
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_and_any_repetition_end_as_the_orderly_run() {
    let now = Timestamp::now();
    let staff = scenario::staff();
    let mut orderly = scenario::ordinary_morning(&staff[..60], now);
    // The acts' people work in the morning too.
    orderly.extend(scenario::ordinary_morning(&staff[60..], now));
    orderly.sort_by_key(|record| record["properties"]["createdDateTime"].to_string());
    orderly.extend(
        scenario::acts(&staff, now)
            .into_iter()
            .flat_map(|act| act.records),
    );
    let expected = play(&orderly).await;
    assert_eq!(expected.len(), 6, "{expected:?}");

    for seed in [1, 2, 3] {
        let mut random = StdRng::seed_from_u64(seed);
        let mut disorderly = orderly.clone();
        for record in &orderly {
            // Far more redelivery than the real 3–4 %, with a fresh envelope time.
            if random.random_bool(0.2) {
                let mut again = record.clone();
                again["time"] = now.to_string().into();
                disorderly.push(again);
            }
        }
        disorderly.shuffle(&mut random);
        assert_eq!(play(&disorderly).await, expected, "seed {seed}");
    }
}
