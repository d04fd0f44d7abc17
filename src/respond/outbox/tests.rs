//! The responder against a real store and the stand-ins for Graph and Entra.
//!
//! Graph's quotas and our lanes run on the same faster clock where a test
//! would otherwise take minutes. Nothing here sleeps to be right: tests wait
//! until something holds, with a bound.

mod answers;
mod batches;
mod lifecycle;
mod resets;
mod tokens;
mod workloads;

use std::num::NonZeroU32;

use jiff::SignedDuration;
use reqwest::Url;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::super::credential::{Authority, Credential, CredentialConfig};
use super::super::graph::http_client_with;
use super::super::lanes::{
    DIRECTORY_WRITE_BURST, DIRECTORY_WRITE_PERIOD, IDENTITY_PROTECTION_PERIOD,
};
use super::*;
use crate::lab::entra::{App, DirectoryRole, Entra, EntraOptions};
use crate::lab::graph::{
    Call, Fault, FaultRule, Graph, GraphOptions, Quota, Quotas, Tenant, TenantSize, User, UserType,
};
use crate::lab::pki::Pki;
use crate::model::{
    ActionView, CaseId, Decision, DecisionId, Effect, GuardReason, Order, PolicyName, RecordId,
};
use crate::store::{Commit, Decided, Judgement};
use ActionKind::{ConfirmCompromised, RevokeSessions};

const CLIENT: Uuid = Uuid::from_u128(0xc11e47);
const TENANT: Uuid = Uuid::from_u128(0x7e4a47);
const SECRET: &str = "made-up";

/// How much faster than Graph's documented quotas time runs in most tests.
const FAST: f64 = 50.0;

/// Long enough for a loaded machine; only a failing test waits it out.
const SOON: Duration = Duration::from_secs(30);

/// A tenant, its outbox and what the responder needs.
struct Bench {
    graph: Graph,
    /// Where the client looks for Graph.
    endpoint: Url,
    entra: Arc<Entra>,
    store: Store,
    metrics: Arc<Metrics>,
    paused: Arc<AtomicBool>,
    guard: GuardCheck,
    wake: Arc<Notify>,
    users: Vec<Uuid>,
    request_timeout: Duration,
    directory: TempDir,
}

/// A responder at work.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stopped(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.task)
            .await
            .expect("it stops")
            .expect("it does not panic");
    }
}

impl Bench {
    /// A tenant of so many users.
    async fn new(users: usize) -> Self {
        let quotas = Quotas::documented(TenantSize::Large).time_scale(FAST);
        Self::with_quotas(users, quotas).await
    }

    async fn with_quotas(users: usize, quotas: Quotas) -> Self {
        let pki = Pki::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        pki.write_to(directory.path()).unwrap();
        let roles = [
            "User.RevokeSessions.All",
            "IdentityRiskyUser.ReadWrite.All",
            "User-PasswordProfile.ReadWrite.All",
            "IdentityRiskyServicePrincipal.ReadWrite.All",
        ];
        let app = App::new(CLIENT, SECRET, &roles);
        let entra = Arc::new(
            Entra::start(EntraOptions {
                apps: vec![app.with_directory_role(DirectoryRole::UserAdministrator)],
                tls: Some(pki.server_config().unwrap()),
                ..EntraOptions::new(TENANT)
            })
            .await
            .unwrap(),
        );
        let mut tenant = Tenant::default();
        let users = (0..users)
            .map(|n| {
                let user = User::member(&format!("user{n}@contoso.example"));
                tenant.add_user(user).unwrap()
            })
            .collect();
        let options = GraphOptions { quotas, tls: None };
        let graph = Graph::start(options, Arc::clone(&entra), tenant)
            .await
            .unwrap();
        Self {
            endpoint: Url::parse(&graph.base_url()).unwrap(),
            graph,
            entra,
            store: Store::open(directory.path()).await.unwrap(),
            metrics: Metrics::new().unwrap(),
            paused: Arc::default(),
            guard: Arc::new(|_| Admission::Admitted),
            wake: Arc::default(),
            users,
            request_timeout: Duration::from_secs(10),
            directory,
        }
    }

    fn start(&self) -> Running {
        let period = DIRECTORY_WRITE_PERIOD.div_f64(FAST);
        let directory = Lane::new("directory_writes", period, DIRECTORY_WRITE_BURST);
        self.start_in(lanes(directory))
    }

    fn start_in(&self, lanes: Lanes) -> Running {
        let responder = self.responder();
        let stop = CancellationToken::new();
        let (token, wake) = (stop.clone(), Arc::clone(&self.wake));
        let task = tokio::spawn(async move { responder.run_in(lanes, token, &wake).await });
        Running { stop, task }
    }

    fn responder(&self) -> Responder {
        Responder {
            store: self.store.clone(),
            graph: self.client(),
            guard: Arc::clone(&self.guard),
            metrics: Arc::clone(&self.metrics),
            paused: Arc::clone(&self.paused),
        }
    }

    fn client(&self) -> GraphClient {
        let ca = self.directory.path().join("ca.pem");
        let http = http_client_with(Some(&ca), self.request_timeout).unwrap();
        let authority = Authority {
            tenant_id: Some(TENANT.to_string()),
            host: Some(Url::parse(&self.entra.authority()).unwrap()),
        };
        let config = CredentialConfig::ClientSecret {
            client_id: CLIENT.to_string(),
            tenant_id: None,
            secret: None,
            secret_file: Some(self.secret_file()),
        };
        if !self.secret_file().exists() {
            std::fs::write(self.secret_file(), SECRET).unwrap();
        }
        let credential = Credential::new(config, authority, http.clone()).unwrap();
        GraphClient::new(self.endpoint.clone(), http, credential).unwrap()
    }

    fn secret_file(&self) -> std::path::PathBuf {
        self.directory.path().join("secret")
    }

    /// Orders one action for each of these users and wakes the responder.
    async fn order(&self, kind: ActionKind, effect: Effect, users: &[(Uuid, u8)]) {
        let now = Timestamp::now();
        let decisions = users
            .iter()
            .map(|(user, score)| decided(*user, kind, effect, *score, now))
            .collect();
        let commit = Commit {
            decisions,
            ..Commit::default()
        };
        self.store.commit(commit, now).await.unwrap();
        self.wake.notify_one();
    }

    /// The one action of this user's case.
    async fn action(&self, user: Uuid) -> ActionView {
        let case = self.store.case(&case_of(user).to_string()).await.unwrap();
        case.actions[0].clone()
    }

    /// Waits until the user's action is in this state and returns it.
    async fn settled(&self, user: Uuid, state: ActionState) -> ActionView {
        let wait = async {
            loop {
                let action = self.action(user).await;
                if action.state == state {
                    return action;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(SOON, wait).await {
            Ok(action) => action,
            Err(_) => panic!("not {state}: {:?}", self.action(user).await),
        }
    }

    /// Asks a question whose 600 s are over and waits until it has expired.
    async fn expired_question(&self, user: Uuid) {
        let then = Timestamp::now() - SignedDuration::from_secs(601);
        let commit = Commit {
            decisions: vec![decided(user, RevokeSessions, Effect::Ask, 90, then)],
            ..Commit::default()
        };
        self.store.commit(commit, then).await.unwrap();
        self.settled(user, ActionState::Expired).await;
    }

    /// Waits until the metrics hold this line.
    async fn metric(&self, line: &str) {
        let wait = async {
            while !self.metrics.render().contains(line) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(SOON, wait).await;
        assert!(found.is_ok(), "{line} in\n{}", self.metrics.render());
    }

    /// The requests Graph saw to paths with this in them.
    fn calls(&self, part: &str) -> Vec<Call> {
        let mut calls = self.graph.calls();
        calls.retain(|call| call.path.contains(part));
        calls
    }

    async fn wait_for_calls(&self, part: &str, count: usize) {
        let seen = |graph: &Graph| {
            let calls = graph.calls();
            calls.iter().filter(|call| call.path.contains(part)).count() >= count
        };
        assert!(self.graph.wait_until(SOON, seen).await, "{count} calls");
    }
}

const REVOKE: &str = "revokeSignInSessions";
const CONFIRM: &str = "confirmCompromised";

fn all(users: &[Uuid]) -> Vec<(Uuid, u8)> {
    users.iter().map(|user| (*user, 90)).collect()
}

fn record() -> RecordId {
    RecordId::new("r1")
}

fn case_of(user: Uuid) -> CaseId {
    CaseId::derive(&UserId::new(user.to_string()), &record())
}

fn decided(user: Uuid, kind: ActionKind, effect: Effect, score: u8, now: Timestamp) -> Decided {
    let id = UserId::new(user.to_string());
    Decided {
        enqueued_at: now,
        received_at: now,
        decision: Decision {
            id: DecisionId::derive(&id, &record()),
            case: case_of(user),
            opened_by: record(),
            record: record(),
            at: now - SignedDuration::from_secs(5),
            effect,
            score,
            signals: Vec::new(),
            user: UserRef {
                id,
                principal_name: "".into(),
                guest: false,
                workload: false,
            },
            verdicts: Vec::new(),
            orders: vec![Order {
                kind,
                effect,
                policy: PolicyName::new("stolen-session"),
                score,
                approvers: 1,
                expires_seconds: if effect == Effect::Ask { 600 } else { 1_800 },
            }],
            admission: Admission::Admitted,
            policy_set: "0011".into(),
        },
    }
}

/// A directory lane that lets one request through each `period`.
fn slow_lane(period: Duration) -> Lane {
    Lane::new("directory_writes", period, NonZeroU32::MIN)
}

fn lanes(directory: Lane) -> Lanes {
    let period = IDENTITY_PROTECTION_PERIOD.div_f64(FAST);
    Lanes {
        directory,
        protection: Lane::new("identity_protection", period, NonZeroU32::MIN),
    }
}
