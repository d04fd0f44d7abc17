//! A service principal at risk: evictd asks, and after a yes confirms it and
//! does nothing else.

use evictd::lab::graph::RiskState;
use evictd::lab::records::{Person, workload_risk_event};
use evictd::lab::scenario;
use evictd::model::{ActionKind, CaseStatus};
use jiff::Timestamp;
use uuid::Uuid;

use crate::support::House;

const APP: Uuid = Uuid::from_u128(0x5e1f_0000_0000_4000_8000_0000_0000_0001);

/// The service principal as the tests' house looks for people.
fn app() -> Person {
    Person {
        id: APP.to_string(),
        ..scenario::break_glass()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_principal_at_risk_is_confirmed_after_a_yes_and_nothing_is_revoked() {
    let house = House::start().await;
    let added = house
        .lab
        .graph
        .with_tenant(|tenant| tenant.add_service_principal(APP));
    added.unwrap();
    let record = |risk_type| {
        workload_risk_event(
            &APP.to_string(),
            "Payroll Export",
            risk_type,
            Timestamp::now(),
        )
    };
    house.publish(&[record("leakedCredentials")]);
    let case = house
        .wait_for_case(&app(), CaseStatus::AwaitingApproval)
        .await;
    assert!(case.user.workload);
    assert_eq!(&*case.user.principal_name, "Payroll Export");
    let kinds: Vec<ActionKind> = case.actions.iter().map(|action| action.kind).collect();
    assert_eq!(kinds, [ActionKind::ConfirmCompromised]);
    assert_eq!(house.lab.graph.calls(), [], "nothing is done unasked");

    house.client.approve(&case.id.to_string()).await.unwrap();
    house.wait_for_case(&app(), CaseStatus::Contained).await;
    let confirmed = house.lab.graph.with_tenant(|tenant| {
        let risk = tenant.workload_risk(APP);
        risk.map(|risk| risk.risk_state)
    });
    assert_eq!(confirmed, Some(RiskState::ConfirmedCompromised));

    // Our own confirmation comes back as a detection, and asks nothing anew.
    house.publish(&[record("adminConfirmedServicePrincipalCompromised")]);
    house.wait_for_records(2).await;
    let after = house.wait_for_case(&app(), CaseStatus::Contained).await;
    assert_eq!(after.actions.len(), 1);
    house.daemon.stop().await.unwrap();
    let calls = house.lab.graph.calls();
    let paths: Vec<(&str, &[Uuid])> = calls
        .iter()
        .map(|call| (call.path.as_str(), call.users.as_slice()))
        .collect();
    let confirm = "/v1.0/identityProtection/riskyServicePrincipals/confirmCompromised";
    assert_eq!(paths, [(confirm, [APP].as_slice())]);
}
