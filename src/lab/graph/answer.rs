//! What Graph answers: status, headers, JSON body, and its error shape.
//!
//! Invariant: every error is `{"error":{"code","message","innerError"}}` with
//! the request ids inside, and every answer carries `request-id`. Codes and
//! messages are Graph's own, since a client may match on the codes.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::throttle::Refused;
use crate::lab::entra::TokenFault;

/// The ids one request is known by.
#[derive(Clone, Debug)]
pub(super) struct RequestIds {
    pub(super) request: Uuid,
    /// The client's own, or the request's where it sent none.
    pub(super) client: String,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    pub(super) body: Payload,
}

#[derive(Clone, Debug)]
pub(super) enum Payload {
    Empty,
    Json(Value),
    /// `code` and `message`; the rest is filled in when it is sent.
    Error(&'static str, String),
    Html(&'static str),
}

impl Answer {
    fn new(status: StatusCode, body: Payload) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, Payload::Empty)
    }

    pub(super) fn json(body: Value) -> Self {
        Self::new(StatusCode::OK, Payload::Json(body))
    }

    pub(super) fn html(status: StatusCode) -> Self {
        let page = "<html><head><title>Service Unavailable</title></head>\
                    <body><h1>Our services aren't available right now</h1></body></html>";
        Self::new(status, Payload::Html(page))
    }

    pub(super) fn error(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(status, Payload::Error(code, message.into()))
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    pub(super) fn not_found(reference: &str) -> Self {
        let message = format!(
            "Resource '{reference}' does not exist or one of its queried reference-property \
             objects are not present."
        );
        Self::error(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
    }

    pub(super) fn forbidden() -> Self {
        Self::error(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    }

    /// 401. `None`: no bearer token came at all.
    pub(super) fn unauthorized(fault: Option<TokenFault>) -> Self {
        let message = match fault {
            None => "Access token is empty.",
            Some(TokenFault::Expired) => "Lifetime validation failed, the token is expired.",
            Some(TokenFault::WrongAudience) => "Access token validation failure. Invalid audience.",
            Some(TokenFault::Unknown) => {
                "Access token validation failure. Invalid token signature."
            }
        };
        // Graph's own application id, in every tenant.
        let challenge = "Bearer realm=\"\", \
            authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
            client_id=\"00000003-0000-0000-c000-000000000000\"";
        Self::error(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            message,
        )
        .with(header::WWW_AUTHENTICATE, challenge)
    }

    pub(super) fn throttled(refused: Refused, app: Uuid, tenant: Uuid) -> Self {
        let answer = Self::error(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            "Too many requests.",
        );
        match refused {
            Refused::Protection => answer,
            Refused::Directory {
                scope,
                information,
                retry_after,
            } => answer
                .with(header::RETRY_AFTER, &decimal_seconds(retry_after))
                .with(
                    HeaderName::from_static("x-ms-throttle-scope"),
                    &format!("{scope}/{app}/{tenant}"),
                )
                .with(
                    HeaderName::from_static("x-ms-throttle-information"),
                    information,
                ),
        }
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The whole answer as HTTP: head, and the bytes of its body.
    pub(super) fn into_http(self, ids: &RequestIds, now: Timestamp) -> (Response<Body>, Vec<u8>) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            // A value that no header can hold (it came from the client) is left out.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(
            HeaderName::from_static("request-id"),
            &ids.request.to_string(),
        );
        set(HeaderName::from_static("client-request-id"), &ids.client);
        let (content_type, bytes) = self.body.render(ids, now);
        if let Some(content_type) = content_type {
            set(header::CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.headers {
            set(name.clone(), value);
        }
        (response, bytes)
    }
}

impl Payload {
    fn render(self, ids: &RequestIds, now: Timestamp) -> (Option<&'static str>, Vec<u8>) {
        const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
        match self {
            Self::Empty => (None, Vec::new()),
            Self::Html(page) => (Some("text/html"), page.as_bytes().to_vec()),
            Self::Json(value) => (Some(JSON), value.to_string().into_bytes()),
            Self::Error(code, message) => {
                let body = json!({"error": {
                    "code": code,
                    "message": message,
                    "innerError": {
                        "date": now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                        "request-id": ids.request,
                        "client-request-id": ids.client,
                    },
                }});
                (Some("application/json"), body.to_string().into_bytes())
            }
        }
    }
}

/// Seconds with three decimals, rounded up: a client that waits exactly so
/// long must get through.
fn decimal_seconds(wait: SignedDuration) -> String {
    let millis = (wait.as_nanos().max(0) + 999_999) / 1_000_000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_written_in_decimal_and_never_too_short() {
        for (nanos, written) in [
            (0, "0.000"),
            (1, "0.001"),
            (2_128_000_000, "2.128"),
            (149_000_000_001, "149.001"),
        ] {
            assert_eq!(decimal_seconds(SignedDuration::from_nanos(nanos)), written);
        }
    }
}
