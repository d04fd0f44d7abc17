//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde_json::json;

use super::health::Health;
use crate::telemetry::Metrics;

#[derive(Clone)]
struct Shown {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

/// The router for the TCP listener. It takes no body and knows no secret.
pub fn router(health: Arc<Health>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .with_state(Shown { health, metrics })
}

async fn healthz(State(shown): State<Shown>) -> Response {
    if shown.health.is_alive(Timestamp::now()) {
        (StatusCode::OK, "alive\n").into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the pipeline's heart has stopped\n",
        )
            .into_response()
    }
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

    async fn get(router: Router, path: &str) -> (u16, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let answer = reqwest::get(format!("http://{address}{path}"))
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        server.abort();
        (status, text)
    }

    #[tokio::test]
    async fn pages_say_what_holds() {
        let health = Arc::new(Health::new(Timestamp::now()));
        let metrics = Metrics::new().unwrap();
        let router = || router(Arc::clone(&health), Arc::clone(&metrics));
        assert_eq!(get(router(), "/healthz").await, (200, "alive\n".to_owned()));
        health.beat(Timestamp::UNIX_EPOCH);
        assert_eq!(get(router(), "/healthz").await.0, 503);
        health.set_ready(Component::Store, true, "");
        health.set_ready(Component::Policies, true, "");
        health.set_ready(Component::Receivers, false, "insights/0 is not attached");
        let (status, text) = get(router(), "/readyz").await;
        assert_eq!(status, 503);
        assert!(text.contains("insights/0 is not attached"), "{text}");
        health.set_ready(Component::Receivers, true, "");
        assert_eq!(
            get(router(), "/readyz").await,
            (200, r#"{"ready":true,"unready":[]}"#.to_owned())
        );
        let (status, text) = get(router(), "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("evictd_build_info{version="), "{text}");
        assert_eq!(get(router(), "/cases").await.0, 404);
    }
}
