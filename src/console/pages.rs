//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Invariant: read-only, and nothing in it is worth stealing: no user, no
//! address, no token. It may stand open to a whole network, so connections are
//! bounded and a request that brings a body is refused unread.

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Router, middleware};
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::listen::Bounded;
use crate::telemetry::Metrics;

/// Connections at once: some probes and scrapers.
const CONNECTIONS_MAX: usize = 64;

#[derive(Clone)]
struct Shown {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// Serves the pages until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = Bounded::new(listener, CONNECTIONS_MAX);
    axum::serve(listener, router(health, metrics))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn router(health: Arc<Health>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .layer(middleware::from_fn(without_body))
        .with_state(Shown { health, metrics })
}

async fn without_body(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        next.run(request).await
    } else {
        (StatusCode::PAYLOAD_TOO_LARGE, "no page takes a body\n").into_response()
    }
}

async fn healthz(State(shown): State<Shown>) -> Response {
    let now = Timestamp::now();
    if shown.health.is_alive(now) {
        return (StatusCode::OK, "alive\n").into_response();
    }
    let seconds = shown.health.silent_for(now).as_secs();
    let reason = format!("the pipeline has been silent for {seconds} s\n");
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let unready = shown.health.unready();
    let status = if unready.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let unready: Vec<_> = unready
        .into_iter()
        .map(|(component, reason)| json!({ "component": component, "reason": reason }))
        .collect();
    (
        status,
        Json(json!({ "ready": unready.is_empty(), "unready": unready })),
    )
        .into_response()
}

async fn exposition(State(shown): State<Shown>) -> Response {
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, shown.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::health::Component;
    use super::*;

    /// Sends one request to pages served as the daemon serves them.
    async fn ask(
        health: &Arc<Health>,
        request: impl FnOnce(&reqwest::Client, &str) -> reqwest::RequestBuilder,
    ) -> (u16, String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let metrics = Metrics::new().unwrap();
        let server = tokio::spawn(serve(listener, Arc::clone(health), metrics, stop.clone()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = request(&client, &base).send().await.unwrap();
        let status = answer.status().as_u16();
        let kind = answer.headers().get(CONTENT_TYPE);
        let kind = kind
            .map(|v| v.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let text = answer.text().await.unwrap();
        stop.cancel();
        server.await.unwrap().unwrap();
        (status, kind, text)
    }

    async fn get(health: &Arc<Health>, path: &str) -> (u16, String) {
        let (status, _, text) = ask(health, |c, base| c.get(format!("{base}{path}"))).await;
        (status, text)
    }

    #[tokio::test]
    async fn alive_while_the_heart_beats() {
        let health = Arc::new(Health::new(Timestamp::now()));
        assert_eq!(get(&health, "/healthz").await, (200, "alive\n".to_owned()));
        health.beat(Timestamp::UNIX_EPOCH);
        let (status, text) = get(&health, "/healthz").await;
        assert_eq!(status, 503);
        assert!(
            text.starts_with("the pipeline has been silent for "),
            "{text}"
        );
    }

    #[tokio::test]
    async fn ready_when_everything_is_and_what_is_not_is_named() {
        let health = Arc::new(Health::new(Timestamp::now()));
        health.set_ready(Component::Store, true, "");
        health.set_ready(Component::Policies, true, "");
        health.set_ready(Component::Receivers, false, "insights/0 is not attached");
        let unready = r#"{"ready":false,"unready":[{"component":"receivers","reason":"insights/0 is not attached"}]}"#;
        assert_eq!(get(&health, "/readyz").await, (503, unready.to_owned()));
        health.set_ready(Component::Receivers, true, "");
        let ready = r#"{"ready":true,"unready":[]}"#;
        assert_eq!(get(&health, "/readyz").await, (200, ready.to_owned()));
    }

    #[tokio::test]
    async fn metrics_come_as_prometheus_reads_them() {
        let health = Arc::new(Health::new(Timestamp::now()));
        let (status, kind, text) = ask(&health, |c, base| c.get(format!("{base}/metrics"))).await;
        assert_eq!(status, 200);
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        assert!(text.contains("evictd_build_info{version="), "{text}");
    }

    #[tokio::test]
    async fn nothing_else_is_answered_and_nothing_is_taken_in() {
        let health = Arc::new(Health::new(Timestamp::now()));
        assert_eq!(
            get(&health, "/v1/cases").await,
            (404, "not found\n".to_owned())
        );
        let (status, ..) = ask(&health, |c, base| c.post(format!("{base}/metrics"))).await;
        assert_eq!(status, 405);
        let (status, ..) = ask(&health, |c, base| {
            c.get(format!("{base}/metrics")).body("x")
        })
        .await;
        assert_eq!(status, 413);
    }
}
