//! Service principals: confirmed at an address of their own once a human has
//! said yes, and nothing else is ever sent of one.

use super::*;
use ActionKind::ResetPassword;

/// The stand-in's address of service principals.
const WORKLOADS: &str = "riskyServicePrincipals";

impl Bench {
    /// Adds a service principal and files an order for it.
    async fn order_for_workload(&self, n: u128, kind: ActionKind, effect: Effect) -> Uuid {
        let app = Uuid::from_u128(0xa99_0000 + n);
        self.graph
            .with_tenant(|tenant| tenant.add_service_principal(app))
            .unwrap();
        let now = Timestamp::now();
        let mut decided = decided(app, kind, effect, 90, now);
        decided.decision.user.workload = true;
        let commit = Commit {
            decisions: vec![decided],
            ..Commit::default()
        };
        self.store.commit(commit, now).await.unwrap();
        app
    }

    /// The approved action of a service principal as the store hands it over.
    async fn claimed(&self, kinds: &'static [ActionKind]) -> Claimed {
        let claimed = self.store.claim(kinds, 1, Timestamp::now()).await;
        claimed.unwrap().remove(0)
    }

    fn idle_desk(&self) -> Arc<Desk> {
        let lanes = lanes(slow_lane(Duration::from_millis(5)));
        self.responder().desk(lanes, CancellationToken::new())
    }
}

#[tokio::test]
async fn approved_service_principals_are_confirmed_apart_from_users() {
    let bench = Bench::new(2).await;
    let mut apps = Vec::new();
    for n in 0..3 {
        let app = bench
            .order_for_workload(n, ConfirmCompromised, Effect::Ask)
            .await;
        bench.approve(app).await;
        apps.push(app);
    }
    bench
        .order(ConfirmCompromised, Effect::Act, &all(&bench.users))
        .await;
    let running = bench.start();
    for subject in apps.iter().chain(&bench.users) {
        bench.settled(*subject, ActionState::Acknowledged).await;
    }
    running.stopped().await;
    let mut calls: Vec<(bool, usize)> = bench
        .calls(CONFIRM)
        .iter()
        .map(|call| (call.path.contains(WORKLOADS), call.users.len()))
        .collect();
    calls.sort_unstable();
    assert_eq!(calls, [(false, 2), (true, 3)]);
    assert!(apps.iter().all(|app| {
        bench
            .graph
            .with_tenant(|tenant| tenant.workload_risk(*app).is_some())
    }));
}

#[tokio::test]
async fn a_policy_that_would_act_on_a_service_principal_only_asks() {
    let bench = Bench::new(0).await;
    let app = bench
        .order_for_workload(0, ConfirmCompromised, Effect::Act)
        .await;
    let action = bench.action(app).await;
    assert_eq!(action.state, ActionState::AwaitingApproval);
}

/// The store queues no such action; here its approval is taken away, as a
/// store that is wrong would hand it over.
#[tokio::test]
async fn a_confirmation_without_a_yes_is_not_sent_and_takes_no_other_along() {
    let bench = Bench::new(0).await;
    let mut batch = Vec::new();
    let mut apps = Vec::new();
    for n in 0..2 {
        let app = bench
            .order_for_workload(n, ConfirmCompromised, Effect::Ask)
            .await;
        bench.approve(app).await;
        batch.push(bench.claimed(&[ConfirmCompromised]).await);
        apps.push(app);
    }
    batch[0].approved = false;
    bench.idle_desk().confirm_batch(batch).await;
    let refused = bench.settled(apps[0], ActionState::Failed).await;
    assert_eq!(
        refused.last_outcome.as_deref(),
        Some("not sent: no human has approved it")
    );
    assert_eq!(refused.attempts, 0);
    bench.settled(apps[1], ActionState::Acknowledged).await;
    let calls = bench.graph.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].users, [apps[1]]);
}

#[tokio::test]
async fn nothing_but_a_confirmation_is_sent_of_a_service_principal() {
    for kind in [RevokeSessions, ResetPassword] {
        let bench = Bench::new(0).await;
        let app = bench.order_for_workload(0, kind, Effect::Ask).await;
        bench.approve(app).await;
        let claimed = bench.claimed(&[RevokeSessions, ResetPassword]).await;
        bench.idle_desk().write_one(claimed).await;
        let action = bench.settled(app, ActionState::Failed).await;
        assert_eq!(
            action.last_outcome.as_deref(),
            Some("not sent: it cannot be done to a service principal"),
            "{kind}"
        );
        assert_eq!(bench.graph.calls(), [], "{kind}");
    }
}
