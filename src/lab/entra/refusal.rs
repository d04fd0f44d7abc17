//! Entra's errors: the HTTP status, the OAuth code and the AADSTS number.
//!
//! Invariant: every refusal has the whole documented body, `error_codes`
//! among it, which is the only part a client may branch on. Texts follow the
//! "Microsoft Entra authentication and authorization error codes" page.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    code: u32,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, code: u32, text: String) -> Self {
        Self {
            status,
            error,
            code,
            text,
        }
    }

    fn bad_request(error: &'static str, code: u32, text: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, code, text)
    }

    pub(super) fn missing(field: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{field}'.");
        Self::bad_request("invalid_request", 900_144, text)
    }

    pub(super) fn grant_type(given: &str) -> Self {
        let text = format!("The app requested an unsupported grant type '{given}'.");
        Self::bad_request("unsupported_grant_type", 70_003, text)
    }

    pub(super) fn tenant(given: &str) -> Self {
        let text = format!(
            "Tenant '{given}' not found. Check to make sure you have the correct tenant ID \
             and are signing into the correct cloud."
        );
        Self::bad_request("invalid_request", 90_002, text)
    }

    pub(super) fn app(client_id: &str, tenant: &str) -> Self {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'."
        );
        Self::bad_request("unauthorized_client", 700_016, text)
    }

    pub(super) fn no_secret() -> Self {
        let text = "The request body must contain the following parameter: \
                    'client_assertion' or 'client_secret'.";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            7_000_218,
            text.to_owned(),
        )
    }

    pub(super) fn secret(client_id: Uuid) -> Self {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is \
             the client secret value, not the client secret ID, for a secret added to app \
             '{client_id}'."
        );
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_215, text)
    }

    pub(super) fn scope(given: &str) -> Self {
        let text = format!(
            "The provided request must include a 'scope' input parameter. The provided value \
             for the input parameter 'scope' is not valid. The scope {given} is not valid."
        );
        Self::bad_request("invalid_scope", 70_011, text)
    }

    pub(super) fn outage() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            90_033,
            "A transient error has occurred. Please try again.".to_owned(),
        )
    }

    pub(super) fn answer(self, now: Timestamp) -> Response {
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let trace_id = Uuid::new_v4();
        let correlation_id = Uuid::new_v4();
        let body = RefusalBody {
            error: self.error,
            error_description: format!(
                "AADSTS{}: {} Trace ID: {trace_id} Correlation ID: {correlation_id} \
                 Timestamp: {timestamp}",
                self.code, self.text
            ),
            error_codes: [self.code],
            timestamp,
            trace_id,
            correlation_id,
            error_uri: format!("https://login.microsoftonline.com/error?code={}", self.code),
        };
        (self.status, Json(body)).into_response()
    }
}

#[derive(Serialize)]
struct RefusalBody {
    error: &'static str,
    error_description: String,
    error_codes: [u32; 1],
    timestamp: String,
    trace_id: Uuid,
    correlation_id: Uuid,
    error_uri: String,
}
