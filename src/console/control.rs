//! The control API: JSON over HTTP over a Unix socket.
//!
//! Whoever can open the socket may judge; who they are is the peer's user as
//! the kernel tells it, never what a request claims.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Router, middleware};
use futures::future::BoxFuture;
use jiff::Timestamp;
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::socket;
use crate::model::CaseView;
use crate::store::{JudgeError, Judgement, OutboxStats, Pause, QuarantineRow, Store, StoreError};
use crate::telemetry::Metrics;

/// A judgement needs no body; nothing here takes one.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// A request that takes longer is answered 503; the store may be held up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Cases listed at most.
const CASES_MAX: usize = 10_000;
/// Quarantined records listed at most.
const QUARANTINE_MAX: usize = 1_000;

/// What the daemon lends to the console.
pub struct Desk {
    /// Cases, judgements, quarantine.
    pub store: Store,
    /// Woken by an approval and by a resume.
    pub wake: Arc<Notify>,
    /// Seen by the pipeline and the responder at once; the store keeps it.
    pub paused: Arc<AtomicBool>,
    /// Shown.
    pub health: Arc<Health>,
    /// `evictd_paused`.
    pub metrics: Arc<Metrics>,
    /// What only the daemon knows of itself.
    pub about: Box<dyn Fn() -> About + Send + Sync>,
    /// Decodes a quarantined record again.
    pub retry: Box<dyn Fn(i64) -> BoxFuture<'static, Result<Retried, String>> + Send + Sync>,
    /// Reads policies and lists again.
    pub reload: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// What only the daemon knows of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    /// The version.
    pub version: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// Where health and metrics are served.
    pub http: String,
    /// The hash of the policy set that serves.
    pub policy_set: String,
    /// How far each partition is.
    pub partitions: Vec<Partition>,
}

/// How far a partition is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Partition {
    /// The event hub.
    pub hub: String,
    /// The partition id.
    pub partition: String,
    /// `attached`, `reopening`, …
    pub state: String,
    /// The last sequence number handed on.
    pub sequence: Option<i64>,
    /// How old the oldest unread message may be.
    pub lag_seconds: f64,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The daemon of itself.
    #[serde(flatten)]
    pub about: About,
    /// Whether everything is ready.
    pub ready: bool,
    /// What is not, and why.
    pub unready: Vec<String>,
    /// Who paused effects, if anybody did.
    pub paused: Option<Pause>,
    /// Actions by state.
    pub outbox: Vec<(String, u64)>,
    /// Records in quarantine.
    pub quarantined: u64,
}

/// What came of a quarantined record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// Whether it was decoded and left the quarantine.
    pub released: bool,
    /// Events it held.
    pub events: usize,
    /// Why it still does not decode.
    pub reason: Option<String>,
}

/// Why a request was not answered as hoped.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
}

/// Who is at the other end.
#[derive(Debug, Clone)]
struct Peer(String);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(match stream.io().peer_cred() {
            Ok(credentials) => name_of(credentials.uid()),
            Err(_) => "unknown".to_owned(),
        })
    }
}

fn name_of(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid:{uid}"),
    }
}

/// A bound control socket, not yet served: what fails at start fails early.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
}

impl Control {
    /// Listens at `path`, for the daemon's owner and group (or `group`).
    ///
    /// # Errors
    /// When another daemon listens there, or the file system refuses.
    pub fn bind(path: &Path, group: Option<&str>) -> anyhow::Result<Self> {
        Ok(Self {
            listener: socket::listen(path, group)?,
        })
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, desk: Desk, stop: CancellationToken) -> anyhow::Result<()> {
        let app = router(desk).into_make_service_with_connect_info::<Peer>();
        axum::serve(self.listener, app)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await?;
        Ok(())
    }
}

type Shared = State<Arc<Desk>>;

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/cases", get(cases))
        .route("/v1/cases/{prefix}", get(case))
        .route("/v1/cases/{prefix}/approve", post(approve))
        .route("/v1/cases/{prefix}/deny", post(deny))
        .route("/v1/pause", post(pause))
        .route("/v1/resume", post(resume))
        .route("/v1/reload", post(reload))
        .route("/v1/quarantine", get(quarantine))
        .route("/v1/quarantine/{id}/retry", post(retry))
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(desk))
}

async fn in_time(request: axum::extract::Request, next: middleware::Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Fault(
            StatusCode::SERVICE_UNAVAILABLE,
            "the store is held up; try again".to_owned(),
        )
        .into_response(),
    }
}

/// A refusal with its status.
struct Fault(StatusCode, String);

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.0, Json(Refusal { error: self.1 })).into_response()
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<JudgeError> for Fault {
    fn from(error: JudgeError) -> Self {
        let status = match &error {
            JudgeError::NoSuchCase(_) => StatusCode::NOT_FOUND,
            JudgeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        Self(status, error.to_string())
    }
}

async fn status(State(desk): Shared) -> Result<Json<Status>, Fault> {
    let OutboxStats {
        by_state,
        quarantined,
        ..
    } = desk.store.stats().await?;
    let unready: Vec<String> = desk
        .health
        .unready()
        .into_iter()
        .map(|(c, why)| format!("{c:?}: {why}"))
        .collect();
    Ok(Json(Status {
        about: (desk.about)(),
        ready: unready.is_empty(),
        unready,
        paused: desk.store.paused().await?,
        outbox: by_state
            .into_iter()
            .map(|(state, n)| (state.as_str().to_owned(), n))
            .collect(),
        quarantined,
    }))
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

async fn cases(
    State(desk): Shared,
    Query(query): Query<Limit>,
) -> Result<Json<Vec<CaseView>>, Fault> {
    let limit = query.limit.unwrap_or(100).min(CASES_MAX);
    Ok(Json(desk.store.cases(limit).await?))
}

async fn case(
    State(desk): Shared,
    Segment(prefix): Segment<String>,
) -> Result<Json<CaseView>, Fault> {
    Ok(Json(desk.store.case(&prefix).await?))
}

async fn approve(
    State(desk): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(prefix): Segment<String>,
) -> Result<Json<CaseView>, Fault> {
    judge(&desk, &prefix, Judgement::Approve, &peer).await
}

async fn deny(
    State(desk): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(prefix): Segment<String>,
) -> Result<Json<CaseView>, Fault> {
    judge(&desk, &prefix, Judgement::Deny, &peer).await
}

async fn judge(
    desk: &Desk,
    prefix: &str,
    judgement: Judgement,
    peer: &Peer,
) -> Result<Json<CaseView>, Fault> {
    let case = desk
        .store
        .judge(prefix, judgement, &peer.0, Timestamp::now())
        .await?;
    tracing::info!(case.id = %case.id, judgement = judgement.as_str(), "judged by a human");
    desk.wake.notify_one();
    Ok(Json(case))
}

async fn pause(
    State(desk): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Result<StatusCode, Fault> {
    // Effects stop at once; then it is made to last.
    desk.paused.store(true, Ordering::Relaxed);
    desk.metrics.paused.set(1.0);
    let pause = Pause {
        by: peer.0,
        since: Timestamp::now(),
    };
    desk.store.set_pause(Some(pause)).await?;
    tracing::warn!("paused: nothing is done until a resume");
    Ok(StatusCode::NO_CONTENT)
}

async fn resume(State(desk): Shared) -> Result<StatusCode, Fault> {
    desk.store.set_pause(None).await?;
    desk.paused.store(false, Ordering::Relaxed);
    desk.metrics.paused.set(0.0);
    desk.wake.notify_one();
    tracing::warn!("resumed");
    Ok(StatusCode::NO_CONTENT)
}

async fn reload(State(desk): Shared) -> Result<StatusCode, Fault> {
    match (desk.reload)() {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(Fault(StatusCode::UNPROCESSABLE_ENTITY, error)),
    }
}

#[derive(Deserialize)]
struct After {
    after: Option<i64>,
    limit: Option<usize>,
}

async fn quarantine(
    State(desk): Shared,
    Query(query): Query<After>,
) -> Result<Json<Vec<QuarantineRow>>, Fault> {
    let limit = query.limit.unwrap_or(100).min(QUARANTINE_MAX);
    Ok(Json(
        desk.store
            .quarantine(query.after.unwrap_or(0), limit)
            .await?,
    ))
}

async fn retry(State(desk): Shared, Segment(id): Segment<i64>) -> Result<Json<Retried>, Fault> {
    (desk.retry)(id)
        .await
        .map(Json)
        .map_err(|error| Fault(StatusCode::NOT_FOUND, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_and_a_stranger_a_number() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(3_999_999_999), "uid:3999999999");
    }
}
