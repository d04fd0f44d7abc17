//! Microsoft Graph: one request, one typed outcome.
//!
//! Invariant: a request is sent once. Retrying is the responder's, through the
//! lane, so that every attempt is counted against the quota. A verdict that
//! ends an action for good is taken from Graph's own error body only; a page
//! of some proxy's is never Graph's word.

mod outcome;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::credential::{Bearer, Credential, Tokens};
use super::reset::{Approved, Password};
use super::workload;
use crate::model::UserId;

pub use outcome::{End, Outcome, backoff};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take, connection and body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that is read of an answer. Graph's errors have under 2 KiB.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The longest of Graph's error messages kept, characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// The audience of a cloud's Graph, by its host ("National cloud deployments"
/// in the Graph documentation). Any other host, such as the lab's, is asked
/// with tokens for the public cloud.
const SCOPES: [(&str, &str); 3] = [
    ("graph.microsoft.us", "https://graph.microsoft.us/.default"),
    (
        "dod-graph.microsoft.us",
        "https://dod-graph.microsoft.us/.default",
    ),
    (
        "microsoftgraph.chinacloudapi.cn",
        "https://microsoftgraph.chinacloudapi.cn/.default",
    ),
];

/// The audience of the public cloud's Graph.
const PUBLIC_SCOPE: &str = "https://graph.microsoft.com/.default";

/// The client for Graph and Entra: bounded in time, follows no redirect (a
/// token must not travel on), and also trusts the authorities in `ca_file`
/// (PEM) where one is given.
///
/// # Errors
/// When the file cannot be read or holds no certificate, or TLS cannot start.
pub fn http_client(ca_file: Option<&Path>) -> anyhow::Result<reqwest::Client> {
    http_client_with(ca_file, REQUEST_TIMEOUT)
}

pub(super) fn http_client_with(
    ca_file: Option<&Path>,
    request_timeout: Duration,
) -> anyhow::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(request_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("evictd/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca_file {
        let pem = std::fs::read(path)
            .with_context(|| format!("ca_file {} cannot be read", path.display()))?;
        let authorities = reqwest::Certificate::from_pem_bundle(&pem)
            .with_context(|| format!("ca_file {} is not PEM", path.display()))?;
        anyhow::ensure!(
            !authorities.is_empty(),
            "ca_file {} holds no certificate",
            path.display()
        );
        builder = builder.tls_certs_merge(authorities);
    }
    builder.build().context("HTTP client")
}

/// Who is throttled first when the tenant is near a limit
/// (`x-ms-throttle-priority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A human asked for it; Graph means this for human-initiated requests.
    High,
    /// Everything else.
    Normal,
}

impl Priority {
    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
        }
    }
}

/// What a request carries besides its target.
#[derive(Debug, Clone, Copy)]
pub struct Tag {
    /// `client-request-id`: the action's id, so that Microsoft's logs and ours
    /// can be laid side by side.
    pub request_id: Uuid,
    /// `x-ms-throttle-priority`.
    pub priority: Priority,
}

/// Microsoft Graph v1.0.
pub struct GraphClient {
    endpoint: Url,
    http: reqwest::Client,
    tokens: Tokens,
}

impl std::fmt::Debug for GraphClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphClient")
            .field("endpoint", &self.endpoint.as_str())
            .finish_non_exhaustive()
    }
}

impl GraphClient {
    /// A client of `endpoint`, e.g. `https://graph.microsoft.com/v1.0`. The
    /// timeouts are those of `http`: see [`http_client`].
    ///
    /// # Errors
    /// When the endpoint cannot have a path, such as `mailto:x`.
    pub fn new(
        endpoint: Url,
        http: reqwest::Client,
        credential: Arc<Credential>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !endpoint.cannot_be_a_base(),
            "the Graph endpoint {endpoint} is not an http URL"
        );
        let scope = scope_of(&endpoint);
        Ok(Self {
            endpoint,
            http,
            tokens: Tokens::new(credential, scope),
        })
    }

    /// Whether requests could be sent now: a token is at hand or can be had.
    /// Sends nothing to Graph, and seldom anything to Entra.
    ///
    /// # Errors
    /// Why there is no token, for a human.
    pub async fn probe(&self) -> Result<(), String> {
        self.tokens.get().await.map(drop)
    }

    /// `POST /users/{id}/revokeSignInSessions`. Safe to repeat.
    pub async fn revoke_sessions(&self, user: &UserId, tag: Tag) -> Outcome {
        if !is_path_segment(user.as_str()) {
            return no_such_path();
        }
        let url = self.url(&["users", user.as_str(), "revokeSignInSessions"]);
        // No body: without a length some front doors answer 411.
        let request = self.http.post(url).header(CONTENT_LENGTH, 0);
        self.send(request, tag).await
    }

    /// `POST /identityProtection/riskyUsers/confirmCompromised`, for at most
    /// 60 users (`outbox`'s bound). Safe to repeat.
    pub async fn confirm_compromised(&self, users: &[UserId], tag: Tag) -> Outcome {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            user_ids: &'a [UserId],
        }
        let url = self.url(&["identityProtection", "riskyUsers", "confirmCompromised"]);
        let request = self.http.post(url).json(&Body { user_ids: users });
        self.send(request, tag).await
    }

    /// `POST /identityProtection/riskyServicePrincipals/confirmCompromised`, for
    /// at most 60 service principals (`outbox`'s bound). Safe to repeat.
    pub async fn confirm_workloads(
        &self,
        workloads: &[workload::Approved<'_>],
        tag: Tag,
    ) -> Outcome {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            service_principal_ids: Vec<&'a UserId>,
        }
        let url = self.url(&[
            "identityProtection",
            "riskyServicePrincipals",
            "confirmCompromised",
        ]);
        let body = Body {
            service_principal_ids: workloads.iter().map(workload::Approved::id).collect(),
        };
        self.send(self.http.post(url).json(&body), tag).await
    }

    /// `PATCH /users/{id}` with a new password that is forgotten at once; the
    /// next sign-in must change it. Safe to repeat: another password is set.
    pub async fn reset_password(&self, approved: &Approved<'_>, tag: Tag) -> Outcome {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            password_profile: PasswordProfile<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct PasswordProfile<'a> {
            force_change_password_next_sign_in: bool,
            password: &'a str,
        }
        let user = approved.user();
        if user.guest {
            return Outcome::Guest;
        }
        if !is_path_segment(user.id.as_str()) {
            return no_such_path();
        }
        let Ok(password) = Password::generate() else {
            return Outcome::NoPassword;
        };
        let body = Body {
            password_profile: PasswordProfile {
                force_change_password_next_sign_in: true,
                password: password.secret(),
            },
        };
        let url = self.url(&["users", user.id.as_str()]);
        let outcome = self.send(self.http.patch(url).json(&body), tag).await;
        of_reset(outcome, &password)
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        // `new` has seen to it that the endpoint has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn send(&self, request: RequestBuilder, tag: Tag) -> Outcome {
        let bearer = match self.tokens.get().await {
            Ok(bearer) => bearer,
            Err(reason) => return Outcome::NoToken { reason },
        };
        let sent = request
            .header(AUTHORIZATION, format!("Bearer {}", bearer.secret()))
            .header("client-request-id", tag.request_id.to_string())
            .header("x-ms-throttle-priority", tag.priority.as_str())
            .send()
            .await;
        match sent {
            Ok(response) => self.judge(response, &bearer).await,
            Err(error) => lost(&error),
        }
    }

    async fn judge(&self, response: Response, bearer: &Bearer) -> Outcome {
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            let stale = self.tokens.reject(bearer).await;
            return Outcome::Unauthorized { stale };
        }
        let head = Head::of(&response, Timestamp::now());
        let body = match read_bounded(response).await {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let outcome = head.outcome(&body);
        if matches!(
            outcome,
            Outcome::Acknowledged { .. } | Outcome::Throttled { .. }
        ) {
            self.tokens.accept(bearer);
        }
        outcome
    }
}

fn scope_of(endpoint: &Url) -> &'static str {
    let host = endpoint.host_str().unwrap_or_default();
    SCOPES
        .iter()
        .find(|(cloud, _)| *cloud == host)
        .map_or(PUBLIC_SCOPE, |(_, scope)| scope)
}

/// Whether the text survives as one segment of a path: `url` drops these.
fn is_path_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
}

fn no_such_path() -> Outcome {
    Outcome::BadRequest {
        code: "InvalidUserId".into(),
        message: "the id cannot stand in a path; nothing was sent".into(),
    }
}

/// The words of Graph's 400 for a password that another directory keeps, lower
/// case. Graph has no code of its own for it; a wording not listed here ends
/// the same way, in Graph's words.
const MANAGED_ELSEWHERE: [&str; 3] = ["on-premises mastered", "directory sync", "federated"];

/// The outcome of a reset: it says why where the account is not Entra's, and
/// never holds the password, whatever an answer quotes.
fn of_reset(outcome: Outcome, password: &Password) -> Outcome {
    let unquoted = |message: Box<str>| match password.is_in(&message) {
        true => "(left out: the answer quotes the password)".into(),
        false => message,
    };
    match outcome {
        Outcome::BadRequest { code, message } => {
            let message = unquoted(message);
            let words = message.to_lowercase();
            if MANAGED_ELSEWHERE.iter().any(|sign| words.contains(sign)) {
                Outcome::ManagedElsewhere { message }
            } else {
                Outcome::BadRequest {
                    code: unquoted(code),
                    message,
                }
            }
        }
        Outcome::Forbidden { code, message } => Outcome::Forbidden {
            code: unquoted(code),
            message: unquoted(message),
        },
        Outcome::Throttled { retry_after, scope } => Outcome::Throttled {
            retry_after,
            scope: scope.map(unquoted),
        },
        other => other,
    }
}

/// What the answer's head says, before its body is read.
#[derive(Debug, Clone)]
struct Head {
    status: StatusCode,
    html: bool,
    retry_after: Option<Duration>,
    throttle_scope: Option<Box<str>>,
}

impl Head {
    fn of(response: &Response, now: Timestamp) -> Self {
        let headers = response.headers();
        let retry_after = header(headers, RETRY_AFTER.as_str());
        Self {
            status: response.status(),
            html: header(headers, CONTENT_TYPE.as_str())
                .is_some_and(|kind| kind.trim_start().starts_with("text/html")),
            retry_after: retry_after.and_then(|text| outcome::retry_after(text, now)),
            throttle_scope: header(headers, "x-ms-throttle-scope").map(bounded),
        }
    }

    fn outcome(self, body: &[u8]) -> Outcome {
        let status = self.status.as_u16();
        let error = serde_json::from_slice::<ErrorBody>(body).map(|body| body.error);
        match (status, error) {
            (200..300, _) if !self.html => Outcome::Acknowledged { status },
            (429, _) => Outcome::Throttled {
                retry_after: self.retry_after,
                scope: self.throttle_scope,
            },
            (408 | 500.., _) => Outcome::ServerError {
                status,
                retry_after: self.retry_after,
            },
            (400.., Ok(error)) => error.outcome(status),
            _ => Outcome::Unreadable { status },
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn bounded(text: &str) -> Box<str> {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Graph's error body, e.g.
/// `{"error":{"code":"Request_ResourceNotFound","message":"…","innerError":{…}}}`.
#[derive(Deserialize)]
struct ErrorBody {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    code: String,
    #[serde(default)]
    message: String,
}

impl GraphError {
    fn outcome(self, status: u16) -> Outcome {
        let code = bounded(&self.code);
        let message = bounded(&self.message);
        match status {
            403 => Outcome::Forbidden { code, message },
            404 => Outcome::NotFound,
            // 412 and 423: somebody else holds or has changed it.
            409 | 412 | 423 => Outcome::Conflict,
            _ => Outcome::BadRequest { code, message },
        }
    }
}

/// The body up to its bound. The rest of a larger one is left on the wire,
/// which costs the connection and nothing else.
async fn read_bounded(mut response: Response) -> Result<Vec<u8>, Outcome> {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = BODY_BYTES_MAX - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() == BODY_BYTES_MAX {
                    return Ok(body);
                }
            }
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(Outcome::TimedOut),
            // Whatever the head said: what cannot be read to its end may not
            // have been Graph's, and asking again is safe.
            Err(_) => return Err(Outcome::Unreadable { status }),
        }
    }
}

fn lost(error: &reqwest::Error) -> Outcome {
    if error.is_timeout() {
        Outcome::TimedOut
    } else {
        Outcome::ConnectionLost {
            connected: !error.is_connect(),
        }
    }
}

#[cfg(test)]
mod tests;
