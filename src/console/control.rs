//! The control API: JSON over HTTP over a Unix socket.
//!
//! Whoever can open the socket may judge; who they are is the peer's user as
//! the kernel tells it, never what a request claims.

mod policies;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::listen::Bounded;
use super::peer::{Peer, Unknown};
use super::policies::{Attempt, OnDisk, ServingSet};
use super::socket;
use crate::model::{CaseStatus, CaseView};
use crate::store::{
    JudgeError, Judgement, KnownUser, OutboxStats, Pause, QuarantineRow, Store, StoreError,
};
use crate::telemetry::Metrics;

pub use self::policies::Said;

/// A finding with its note; nothing else here takes a body.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// A request that takes longer is answered 503; the store may be held up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections at once: a handful of people and their scripts.
const CONNECTIONS_MAX: usize = 32;
/// Changes under way at once, those whose caller has gone among them.
const CHANGES_MAX: usize = 64;
/// Cases looked at and listed at most: what [`Store::cases`] gives.
const CASES_MAX: usize = 10_000;
/// Cases listed unless asked otherwise.
const CASES_DEFAULT: usize = 100;
/// Quarantined records read for one page. Each may have 1 MiB.
const QUARANTINE_MAX: usize = 100;
/// Bytes of quarantined records in one page, unless the first alone has more.
/// JSON makes up to four of each.
const QUARANTINE_BYTES_MAX: usize = 2 * 1024 * 1024;

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
    pub retry: Box<dyn Fn(i64) -> BoxFuture<'static, Result<Retried, RetryError>> + Send + Sync>,
    /// Reads the policies again, and has the lists refreshed. Blocks.
    pub reload: Box<dyn Fn() -> Result<Reloaded, String> + Send + Sync>,
    /// What serves, the last attempt, and what lies on the disk. Blocks.
    pub policies: Box<dyn Fn() -> (ServingSet, Attempt, Option<OnDisk>) + Send + Sync>,
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
    /// Whether that is only the last good one: the files do not compile.
    #[serde(default)]
    pub policies_stale: bool,
    /// How far each partition is.
    pub partitions: Vec<Partition>,
    /// What is kept of what was received; nothing where that is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Kept>,
}

/// What is kept of what was received.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// For how many days.
    pub days: u32,
    /// Bytes on disk.
    pub bytes: u64,
    /// The oldest day of which anything is kept.
    pub since: Option<jiff::civil::Date>,
    /// Why what is received now is not kept, where it is not.
    pub failing: Option<String>,
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

/// What came of a reload that went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The hash of the set that serves.
    pub hash: String,
    /// Whether another served before.
    pub changed: bool,
    /// How many policies it has.
    pub policies: usize,
    /// What compiles but may not be meant, each whole.
    pub warnings: Vec<String>,
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

/// Why a quarantined record was not decoded again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// It is not in quarantine.
    #[error("no quarantined record {0}")]
    NotThere(i64),
    /// The daemon could not do it now.
    #[error("{0}")]
    Failed(String),
}

/// Why a request was not answered as hoped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
    /// What may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error)?;
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
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
    pub async fn bind(path: &Path, group: Option<&str>) -> anyhow::Result<Self> {
        Ok(Self {
            listener: socket::listen(path, group).await?,
        })
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, desk: Desk, stop: CancellationToken) -> anyhow::Result<()> {
        let app = router(desk).into_make_service_with_connect_info::<Peer>();
        axum::serve(Bounded::new(self.listener, CONNECTIONS_MAX), app)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await?;
        Ok(())
    }
}

/// The desk and what keeps its requests apart.
struct Served {
    desk: Desk,
    /// Held while the store and the flag are brought to say the same.
    pausing: Mutex<()>,
    changes: Arc<Semaphore>,
}

type Shared = State<Arc<Served>>;

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/cases", get(cases))
        .route("/v1/cases/{prefix}", get(case))
        .route("/v1/cases/{prefix}/approve", post(approve))
        .route("/v1/cases/{prefix}/deny", post(deny))
        .route("/v1/memory/{user}", get(memory))
        .route("/v1/pause", post(pause))
        .route("/v1/resume", post(resume))
        .route("/v1/cases/{prefix}/verdict", post(policies::verdict))
        .route("/v1/policies", get(policies::status))
        .route("/v1/policies/report", get(policies::report))
        .route("/v1/reload", post(policies::reload))
        .route("/v1/quarantine", get(quarantine))
        .route("/v1/quarantine/{id}/retry", post(retry))
        .fallback(nothing_here)
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Served {
            desk,
            pausing: Mutex::new(()),
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
        }))
}

async fn in_time(request: axum::extract::Request, next: middleware::Next) -> Response {
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let error = "the daemon is held up and has not answered in time";
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, error)
            .hint("What was asked may still be done: look before asking again.")
            .into_response()
    })
}

async fn nothing_here() -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "there is no such page")
        .hint("The daemon may be of another version than this command.")
}

/// Makes a change to its end, whether or not whoever asked for it waits.
async fn change<T: Send + 'static>(
    served: &Served,
    work: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    let busy = |_| {
        Fault::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many changes are under way",
        )
    };
    let place = Arc::clone(&served.changes)
        .try_acquire_owned()
        .map_err(busy)?;
    let task = tokio::spawn(async move {
        let _place = place;
        work.await
    });
    task.await.unwrap_or_else(|_| {
        let error = "the daemon could not do it; its log says why";
        Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, error))
    })
}

/// A refusal with its status.
#[derive(Debug)]
struct Fault(StatusCode, Refusal);

impl Fault {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let error = error.into();
        Self(status, Refusal { error, hint: None })
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.1.hint = Some(hint.into());
        self
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the console could not use the store");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            .hint("Nothing was changed. `evictd status` says whether the daemon is ready.")
    }
}

impl From<JudgeError> for Fault {
    fn from(error: JudgeError) -> Self {
        let text = error.to_string();
        let conflict = |hint: String| Self::new(StatusCode::CONFLICT, text.clone()).hint(hint);
        match error {
            JudgeError::NoSuchCase(_) => Self::new(StatusCode::NOT_FOUND, text.clone()).hint(
                "`evictd cases list` shows the cases; an id needs at least four of its digits.",
            ),
            JudgeError::Ambiguous { .. } => Self::new(StatusCode::CONFLICT, text.clone()),
            JudgeError::NothingToJudge { case, .. } => conflict(format!(
                "`evictd cases show {case}` says what became of it."
            )),
            JudgeError::SamePerson { .. } => conflict(
                "Another person must approve. Under sudo everybody is root: use an own account."
                    .to_owned(),
            ),
            JudgeError::Store(error) => error.into(),
        }
    }
}

impl From<Unknown> for Fault {
    fn from(unknown: Unknown) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, unknown.to_string())
            .hint("Nothing was changed: it is always kept who asked.")
    }
}

async fn memory(
    State(served): Shared,
    Segment(user): Segment<String>,
) -> Result<Json<KnownUser>, Fault> {
    let found = served.desk.store.memory_of(user).await?;
    found.map(Json).ok_or_else(|| {
        Fault::new(StatusCode::NOT_FOUND, "nothing is remembered of that user").hint(
            "Ask by principal name or object id; a user is known from their first sign-in on.",
        )
    })
}

async fn status(State(served): Shared) -> Result<Json<Status>, Fault> {
    let desk = &served.desk;
    let OutboxStats {
        by_state,
        quarantined,
        ..
    } = desk.store.stats().await?;
    let unready: Vec<String> = desk
        .health
        .unready()
        .into_iter()
        .map(|(component, why)| format!("{component:?}: {why}"))
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

/// What needs a human first, then the newest: so a question does not drop off
/// the end of a list because other cases came after it.
async fn cases(
    State(served): Shared,
    Query(query): Query<Limit>,
) -> Result<Json<Vec<CaseView>>, Fault> {
    let mut cases = served.desk.store.cases(CASES_MAX).await?;
    // Stable: the store gives the newest first.
    cases.sort_by_key(|case| need(case.status));
    cases.truncate(query.limit.unwrap_or(CASES_DEFAULT));
    Ok(Json(cases))
}

/// How much a case needs a human; the least comes first in a list.
fn need(status: CaseStatus) -> u8 {
    match status {
        CaseStatus::Evaded => 0,
        CaseStatus::Failed => 1,
        CaseStatus::Protected => 2,
        CaseStatus::AwaitingApproval => 3,
        CaseStatus::Responding => 4,
        CaseStatus::Contained
        | CaseStatus::Denied
        | CaseStatus::Expired
        | CaseStatus::Withdrawn
        | CaseStatus::Shadow => 5,
    }
}

async fn case(
    State(served): Shared,
    Segment(prefix): Segment<String>,
) -> Result<Json<CaseView>, Fault> {
    Ok(Json(served.desk.store.case(&prefix).await?))
}

async fn approve(
    State(served): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(prefix): Segment<String>,
) -> Result<Json<CaseView>, Fault> {
    judge(served, prefix, Judgement::Approve, peer).await
}

async fn deny(
    State(served): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(prefix): Segment<String>,
) -> Result<Json<CaseView>, Fault> {
    judge(served, prefix, Judgement::Deny, peer).await
}

async fn judge(
    served: Arc<Served>,
    prefix: String,
    judgement: Judgement,
    peer: Peer,
) -> Result<Json<CaseView>, Fault> {
    let by = peer.name().await?;
    change(&Arc::clone(&served), async move {
        let desk = &served.desk;
        let now = Timestamp::now();
        let case = desk.store.judge(&prefix, judgement, &by, now).await?;
        tracing::info!(
            case.id = %case.id,
            judgement = judgement.as_str(),
            peer.uid = peer.uid(),
            "judged by a human"
        );
        desk.wake.notify_one();
        Ok(Json(case))
    })
    .await
}

async fn pause(
    State(served): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Result<StatusCode, Fault> {
    // Effects stop before anything that may fail or wait.
    served.desk.paused.store(true, Ordering::Relaxed);
    // A pause is not refused because a directory is down.
    let by = peer.name().await.unwrap_or_else(|_| peer.number());
    change(&Arc::clone(&served), async move {
        let _alone = served.pausing.lock().await;
        let desk = &served.desk;
        // Once more: a resume may have ended in between.
        desk.paused.store(true, Ordering::Relaxed);
        desk.metrics.paused.set(1.0);
        tracing::warn!(
            peer.uid = peer.uid(),
            "paused: nothing is done until a resume"
        );
        // Who paused first is kept.
        if desk.store.paused().await?.is_none() {
            let since = Timestamp::now();
            desk.store.set_pause(Some(Pause { by, since })).await?;
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

async fn resume(
    State(served): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
) -> Result<StatusCode, Fault> {
    change(&Arc::clone(&served), async move {
        let _alone = served.pausing.lock().await;
        let desk = &served.desk;
        desk.store.set_pause(None).await?;
        desk.paused.store(false, Ordering::Relaxed);
        desk.metrics.paused.set(0.0);
        desk.wake.notify_one();
        tracing::warn!(peer.uid = peer.uid(), "resumed");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

#[derive(Deserialize)]
struct After {
    after: Option<i64>,
    limit: Option<usize>,
}

async fn quarantine(
    State(served): Shared,
    Query(query): Query<After>,
) -> Result<Json<Vec<QuarantineRow>>, Fault> {
    let limit = query.limit.unwrap_or(QUARANTINE_MAX).min(QUARANTINE_MAX);
    let after = query.after.unwrap_or(0);
    let rows = served.desk.store.quarantine(after, limit).await?;
    Ok(Json(page(rows)))
}

/// The first rows, as many as fit a page and at least one: whoever asks for
/// what is beyond the last of them misses none.
fn page(rows: Vec<QuarantineRow>) -> Vec<QuarantineRow> {
    let mut bytes = 0_usize;
    rows.into_iter()
        .enumerate()
        .take_while(|(i, row)| {
            bytes += row.record.bytes.len();
            *i == 0 || bytes <= QUARANTINE_BYTES_MAX
        })
        .map(|(_, row)| row)
        .collect()
}

async fn retry(State(served): Shared, Segment(id): Segment<i64>) -> Result<Json<Retried>, Fault> {
    let fault = |error: RetryError| match error {
        RetryError::NotThere(_) => Fault::new(StatusCode::NOT_FOUND, error.to_string())
            .hint("`evictd quarantine list` shows what is there."),
        RetryError::Failed(_) => Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    if id < 1 {
        return Err(fault(RetryError::NotThere(id)));
    }
    let retried = (served.desk.retry)(id);
    change(
        &served,
        async move { retried.await.map(Json).map_err(fault) },
    )
    .await
}

#[cfg(test)]
mod tests;
