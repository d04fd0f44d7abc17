//! A stand-in for Microsoft Graph v1.0: one tenant, kept and really throttled.
//!
//! Invariant: a request is judged in one step under one lock (token, quota,
//! permission, body, effect, log), so what a client saw, what the tenant holds
//! and what the log says never disagree. Only faults asked for by a test come
//! between the judgement and the wire.
//!
//! Order of judgement: fault rules, token, route, quota, permission, body,
//! target. A fault that is not `after_applying` stands for something in front
//! of Graph: the request reaches neither token nor quota.

mod answer;
mod calls;
mod faults;
mod odata;
mod routes;
mod tenant;
#[cfg(test)]
mod tests;
mod throttle;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::routing::{any, get};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

pub use self::calls::Call;
pub use self::faults::{Fault, FaultRule};
pub use self::tenant::{RiskLevel, RiskState, RiskyUser, Tenant, TenantFault, User, UserType};
pub use self::throttle::{Quota, Quotas, TenantSize};

use self::answer::{Answer, RequestIds};
use self::calls::CallLog;
use self::faults::Faults;
use self::routes::{Request, Route};
use self::throttle::{Throttle, Verdict};
use super::entra::{Claims, Entra, GRAPH_AUDIENCE};
use super::wire::{Serving, Wire};

/// The longest header value kept in the log, bytes.
const LOGGED_HEADER_BYTES_MAX: usize = 128;

/// How Graph is set up before it starts.
#[derive(Debug)]
pub struct GraphOptions {
    /// What it lets through.
    pub quotas: Quotas,
    /// Serve TLS with this; plain HTTP without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Default for GraphOptions {
    /// The documented quotas of a large tenant, plain HTTP.
    fn default() -> Self {
        Self {
            quotas: Quotas::documented(TenantSize::Large),
            tls: None,
        }
    }
}

/// The running stand-in. Dropping it closes its ports and every connection.
#[derive(Debug)]
pub struct Graph {
    api: Serving,
    lab: Serving,
    shared: Arc<Shared>,
}

impl Graph {
    /// Starts the API and the lab's own listener on free ports of 127.0.0.1.
    /// Tokens are judged by `entra`, whose tenant is Graph's.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(
        options: GraphOptions,
        entra: Arc<Entra>,
        tenant: Tenant,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            entra,
            state: Mutex::new(GraphState {
                tenant,
                throttle: Throttle::new(options.quotas),
                faults: Faults::default(),
                calls: CallLog::default(),
                base_url: String::new(),
            }),
            changes: watch::Sender::new(0),
        });
        let api = Router::new()
            .route("/v1.0/{*path}", any(serve))
            .with_state(Arc::clone(&shared));
        let lab = Router::new()
            .route("/lab/tenant", get(show_tenant))
            .route("/lab/calls", get(show_calls))
            .with_state(Arc::clone(&shared));
        let api = Serving::start(api, options.tls).await?;
        let lab = Serving::start(lab, None).await?;
        shared.lock().base_url = format!("{}/v1.0", api.origin());
        Ok(Self { api, lab, shared })
    }

    /// `http://127.0.0.1:port/v1.0` (`https` with TLS).
    pub fn base_url(&self) -> String {
        format!("{}/v1.0", self.api.origin())
    }

    /// Where `GET /lab/tenant` and `GET /lab/calls` are: `http://127.0.0.1:port`.
    pub fn lab_url(&self) -> String {
        self.lab.origin()
    }

    /// Reads or changes the tenant, between two requests.
    pub fn with_tenant<T>(&self, act: impl FnOnce(&mut Tenant) -> T) -> T {
        let mut state = self.shared.lock();
        state.tenant.settle(Timestamp::now());
        let outcome = act(&mut state.tenant);
        drop(state);
        self.shared.tell();
        outcome
    }

    /// The tenant as it is now.
    pub fn snapshot(&self) -> Tenant {
        self.shared.snapshot()
    }

    /// The user as it is now.
    pub fn user(&self, id: Uuid) -> Option<User> {
        let mut state = self.shared.lock();
        state.tenant.settle(Timestamp::now());
        state.tenant.user(id).cloned()
    }

    /// Every request so far (the newest 100,000), oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.all()
    }

    /// Makes requests fail. Rules are tried in the order they were added.
    pub fn inject(&self, rule: FaultRule) {
        self.shared.lock().faults.add(rule);
    }

    /// Ends every fault rule.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Spends, as another app would, some of what all the tenant's apps share:
    /// `writes` of the tenant's writes and `protection` requests of identity
    /// protection.
    pub fn spend_elsewhere(&self, writes: u32, protection: u32) {
        let mut state = self.shared.lock();
        let now = Timestamp::now();
        state.throttle.spend_elsewhere(writes, protection, now);
    }

    /// Changes after every request judged and every [`Graph::with_tenant`].
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Waits until `holds` of the tenant and the calls, asked after each
    /// change. `false` when it does not within the time.
    pub async fn wait_until(
        &self,
        within: Duration,
        mut holds: impl FnMut(&Graph) -> bool,
    ) -> bool {
        let mut changed = self.changed();
        let wait = async {
            // The sender lives as long as `self`, so this ends by `holds` only.
            while !holds(self) && changed.changed().await.is_ok() {}
        };
        tokio::time::timeout(within, wait).await.is_ok()
    }
}

struct Shared {
    entra: Arc<Entra>,
    state: Mutex<GraphState>,
    changes: watch::Sender<u64>,
}

struct GraphState {
    tenant: Tenant,
    throttle: Throttle,
    faults: Faults,
    calls: CallLog,
    base_url: String,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// A request as it came.
struct Incoming {
    method: Method,
    uri: Uri,
    /// The decoded path after `/v1.0/`.
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Incoming {
    fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        (value.len() <= LOGGED_HEADER_BYTES_MAX).then(|| value.to_owned())
    }

    fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ")
    }
}

/// How one request ends.
struct Judgement {
    answer: Answer,
    fault: Option<Fault>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, GraphState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    fn snapshot(&self) -> Tenant {
        let mut state = self.lock();
        state.tenant.settle(Timestamp::now());
        state.tenant.clone()
    }

    fn judge(&self, incoming: &Incoming, received: Timestamp) -> Judgement {
        let segments: Vec<String> = incoming.path.split('/').map(str::to_owned).collect();
        let route = Route::parse(&incoming.method, &segments);
        let claims = incoming
            .bearer()
            .ok_or(None)
            .and_then(|token| self.entra.verify(token, GRAPH_AUDIENCE).map_err(Some));

        let mut state = self.lock();
        let users = route
            .as_ref()
            .map(|route| route.users(&state.tenant, &incoming.body))
            .unwrap_or_default();
        let met = state
            .faults
            .meet(&incoming.method, incoming.uri.path(), &users);
        let carried_out = match &met {
            Some(met) if !met.applied => None,
            _ => Some(match &claims {
                Err(fault) => Answer::unauthorized(*fault),
                Ok(claims) => state.admit(incoming, route.as_ref(), claims, received),
            }),
        };
        let applied = carried_out
            .as_ref()
            .is_some_and(|answer| answer.status.is_success());
        let fault = met.map(|met| met.fault);
        let answer = fault
            .as_ref()
            .and_then(Fault::replacement)
            .or(carried_out)
            // Nothing of it will be sent: the fault is a hang or a reset.
            .unwrap_or_else(Answer::no_content);
        let lost = matches!(fault, Some(Fault::Hang | Fault::Reset));
        state.calls.push(Call {
            number: 0,
            received,
            method: incoming.method.to_string(),
            path: incoming.uri.path().to_owned(),
            users,
            app: claims.ok().map(|claims| claims.app_id),
            status: (!lost).then_some(answer.status.as_u16()),
            applied,
            fault: fault.as_ref().map(Fault::name),
            client_request_id: incoming.header("client-request-id"),
            throttle_priority: incoming.header("x-ms-throttle-priority"),
        });
        drop(state);
        self.tell();
        Judgement { answer, fault }
    }
}

impl GraphState {
    /// A request with a good token: its route, its quota, its effect.
    fn admit(
        &mut self,
        incoming: &Incoming,
        route: Option<&Route>,
        claims: &Claims,
        now: Timestamp,
    ) -> Answer {
        let Some(route) = route else {
            let message = format!("Resource not found for the segment '{}'.", incoming.path);
            return Answer::error(StatusCode::BAD_REQUEST, "BadRequest", message);
        };
        let Ok(Query(query)) = Query::<Vec<(String, String)>>::try_from_uri(&incoming.uri) else {
            return Answer::bad_request("The query string is malformed.");
        };
        let verdict = self.throttle.charge(claims.app_id, route.lane(&query), now);
        let (resource_units, pressure) = match verdict {
            Verdict::Refused(refused) => {
                return Answer::throttled(refused, claims.app_id, claims.tenant_id);
            }
            Verdict::Admitted {
                resource_units,
                pressure,
            } => (resource_units, pressure),
        };
        let request = Request {
            claims,
            base_url: &self.base_url,
            query: &query,
            body: &incoming.body,
            now,
        };
        let answer = routes::carry_out(&mut self.tenant, route, &request);
        routes::with_quota_headers(answer, resource_units, pressure)
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path(path): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    // At most axum's default of 2 MB; past it axum answers 413 by itself.
    body: Bytes,
) -> Response<Body> {
    let received = Timestamp::now();
    let incoming = Incoming {
        method,
        uri,
        path,
        headers,
        body,
    };
    let request = Uuid::new_v4();
    let ids = RequestIds {
        request,
        client: incoming
            .header("client-request-id")
            .unwrap_or_else(|| request.to_string()),
    };
    let judgement = shared.judge(&incoming, received);
    let http = judgement.answer.into_http(&ids, received);
    faults::send(http, judgement.fault, &wire).await
}

async fn show_tenant(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let tenant = shared.snapshot();
    let users: Vec<Value> = tenant
        .users()
        .map(|user| json!({"user": user, "risk": tenant.risk(user.id)}))
        .collect();
    Json(json!({"tenantId": shared.entra.tenant_id(), "users": users}))
}

async fn show_calls(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let calls = shared.lock().calls.all();
    Json(json!({"calls": calls}))
}
