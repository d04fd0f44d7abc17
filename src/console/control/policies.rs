//! The policies on the control API: which serve, a reload, how right they
//! were, and a human's finding on a case.
//!
//! Invariant: what reads files or compiles does so on a thread that may block;
//! a finding is kept with who gave it, as the kernel names them, and moves no
//! action.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Json as Body, Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::Json;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::policies::{self, Attempt, OnDisk, PolicyReport, PolicyStatus, ServingSet};
use super::{Fault, Reloaded, Served, Shared, change};
use crate::console::peer::Peer;
use crate::model::{CaseView, Finding, Truth};

/// What is counted unless asked otherwise.
const COUNTED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A human's finding as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// What the case was.
    pub truth: Truth,
    /// Why, in their words; 500 characters are kept.
    #[serde(default)]
    pub note: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Since {
    since: Option<Timestamp>,
}

pub(super) async fn status(State(served): Shared) -> Result<Json<PolicyStatus>, Fault> {
    let (serving, attempt, on_disk) = told(&served).await?;
    let counted_since = Timestamp::now() - COUNTED;
    let record = served.desk.store.track_record(counted_since).await?;
    let mut calls = policies::calls(&record);
    calls.retain(|name, _| serving.policies.iter().any(|policy| policy.name == *name));
    Ok(Json(PolicyStatus {
        serving,
        attempt,
        on_disk,
        counted_since,
        calls,
    }))
}

pub(super) async fn report(
    State(served): Shared,
    Query(query): Query<Since>,
) -> Result<Json<PolicyReport>, Fault> {
    let since = query.since.unwrap_or_else(|| Timestamp::now() - COUNTED);
    let (serving, _, _) = told(&served).await?;
    let record = served.desk.store.track_record(since).await?;
    Ok(Json(policies::report(&serving.policies, &record, since)))
}

pub(super) async fn reload(State(served): Shared) -> Result<Json<Reloaded>, Fault> {
    let reloaded = tokio::task::spawn_blocking(move || (served.desk.reload)()).await;
    match reloaded {
        Ok(Ok(reloaded)) => Ok(Json(reloaded)),
        Ok(Err(error)) => Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, error)
            .hint("What served before goes on serving.")),
        Err(_) => Err(broken("the reload")),
    }
}

pub(super) async fn verdict(
    State(served): Shared,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(prefix): Segment<String>,
    Body(said): Body<Said>,
) -> Result<Json<CaseView>, Fault> {
    let by = peer.name().await?;
    change(&Arc::clone(&served), async move {
        let finding = Finding {
            truth: said.truth,
            by: Some(by),
            note: said.note.filter(|note| !note.trim().is_empty()),
            at: Timestamp::now(),
        };
        let case = served.desk.store.find(&prefix, finding).await?;
        tracing::info!(
            case.id = %case.id,
            truth = said.truth.as_str(),
            peer.uid = peer.uid(),
            "a human says what a case was"
        );
        Ok(Json(case))
    })
    .await
}

async fn told(served: &Arc<Served>) -> Result<(ServingSet, Attempt, Option<OnDisk>), Fault> {
    let served = Arc::clone(served);
    tokio::task::spawn_blocking(move || (served.desk.policies)())
        .await
        .map_err(|_| broken("reading the policies"))
}

fn broken(what: &str) -> Fault {
    Fault::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("{what} failed; the daemon's log says why"),
    )
}
