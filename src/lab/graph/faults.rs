//! Faults on demand: which requests fail, how, and before or after applying.
//!
//! Invariant: a fault is what the client would meet on the wire, and whether
//! the call was carried out is said by the rule and not left to chance. That
//! is the case retries are about: the answer is lost, the act is done.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use futures::{StreamExt, stream};
use uuid::Uuid;

use super::answer::Answer;
use crate::lab::wire::Wire;

/// Rules kept at once; past it the oldest goes.
const RULES_MAX: usize = 256;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An answer with this status and Graph's error body for it.
    Status {
        /// 4xx or 5xx.
        status: u16,
        /// `Retry-After`, as written on the wire.
        retry_after: Option<String>,
    },
    /// This status with a proxy's HTML page for a body.
    Html {
        /// 2xx to 5xx.
        status: u16,
    },
    /// The true answer, its body broken off half way. An answer without a
    /// body is lost whole.
    Truncated,
    /// The true answer, its body one byte at a time with this pause before each.
    Drip(Duration),
    /// No answer, the connection open.
    Hang,
    /// No answer, the connection reset.
    Reset,
    /// The true answer, this much later.
    Latency(Duration),
}

impl Fault {
    /// A status without `Retry-After`.
    pub fn status(status: u16) -> Self {
        Self::Status {
            status,
            retry_after: None,
        }
    }

    /// Its name in the call log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Html { .. } => "html",
            Self::Truncated => "truncated",
            Self::Drip(_) => "drip",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::Latency(_) => "latency",
        }
    }

    /// Whether the client gets the call's own answer, if badly.
    fn carries_the_answer(&self) -> bool {
        matches!(self, Self::Truncated | Self::Drip(_) | Self::Latency(_))
    }

    /// The answer sent in place of the call's own.
    pub(super) fn replacement(&self) -> Option<Answer> {
        match self {
            Self::Status {
                status,
                retry_after,
            } => {
                let answer = status_answer(status_code(*status));
                Some(match retry_after {
                    Some(wait) => answer.with(header::RETRY_AFTER, wait),
                    None => answer,
                })
            }
            Self::Html { status } => Some(Answer::html(status_code(*status))),
            _ => None,
        }
    }
}

/// A fault, the requests it meets, and how often. Without a match on method,
/// path or user it meets every request.
#[derive(Clone, Debug)]
pub struct FaultRule {
    fault: Fault,
    method: Option<Method>,
    path: Option<String>,
    user: Option<Uuid>,
    applied: bool,
    left: Option<u32>,
}

impl FaultRule {
    /// Meets the next request, which is not carried out (unless the fault
    /// carries its true answer: truncated, drip, latency).
    pub fn once(fault: Fault) -> Self {
        Self {
            applied: fault.carries_the_answer(),
            fault,
            method: None,
            path: None,
            user: None,
            left: Some(1),
        }
    }

    /// The call is carried out first; only its answer is lost.
    #[must_use]
    pub fn after_applying(mut self) -> Self {
        self.applied = true;
        self
    }

    /// Only requests with this method, such as `PATCH`.
    #[must_use]
    pub fn on_method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Only requests whose path holds this text.
    #[must_use]
    pub fn on_path(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// Only requests about this user, in the path or among `userIds`.
    #[must_use]
    pub fn on_user(mut self, user: Uuid) -> Self {
        self.user = Some(user);
        self
    }

    /// Meets so many requests.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.left = Some(count);
        self
    }

    /// Meets every request until the rules are cleared.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.left = None;
        self
    }

    fn meets(&self, method: &Method, path: &str, users: &[Uuid]) -> bool {
        self.left != Some(0)
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.as_ref().is_none_or(|part| path.contains(part))
            && self.user.is_none_or(|user| users.contains(&user))
    }
}

/// The rules in force, oldest first; the first that meets a request has it.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
}

/// The fault a request has met.
#[derive(Clone, Debug)]
pub(super) struct Met {
    pub(super) fault: Fault,
    pub(super) applied: bool,
}

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) {
        if self.rules.len() == RULES_MAX {
            self.rules.remove(0);
        }
        self.rules.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn meet(&mut self, method: &Method, path: &str, users: &[Uuid]) -> Option<Met> {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.meets(method, path, users))?;
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        let met = Met {
            fault: rule.fault.clone(),
            applied: rule.applied,
        };
        self.rules.retain(|rule| rule.left != Some(0));
        Some(met)
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn status_answer(status: StatusCode) -> Answer {
    let (code, message) = match status.as_u16() {
        401 => return Answer::unauthorized(Some(crate::lab::entra::TokenFault::Expired)),
        403 => return Answer::forbidden(),
        404 => return Answer::not_found("lab"),
        409 => ("Conflict", "The resource was changed by another request."),
        429 => ("TooManyRequests", "Too many requests."),
        502 => ("BadGateway", "Bad gateway."),
        503 => ("ServiceUnavailable", "The service is unavailable."),
        504 => ("GatewayTimeout", "The upstream did not answer in time."),
        500.. => ("InternalServerError", "An error occurred."),
        _ => ("Request_BadRequest", "Bad request."),
    };
    Answer::error(status, code, message)
}

/// Sends an answer with its fault, if it met one.
pub(super) async fn send(
    (mut response, bytes): (Response<Body>, Vec<u8>),
    fault: Option<Fault>,
    wire: &Wire,
) -> Response<Body> {
    let length = HeaderValue::from(bytes.len());
    match fault {
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Reset) => wire.cut(),
        Some(Fault::Truncated) if bytes.is_empty() => wire.cut(),
        Some(Fault::Truncated) => {
            let half = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
            let broken = io::Error::from(io::ErrorKind::BrokenPipe);
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            // A body that is not ready makes hyper flush: the half leaves
            // before the error ends the connection.
            let parts = stream::iter([Ok(half)]).chain(stream::once(async {
                tokio::task::yield_now().await;
                Err(broken)
            }));
            *response.body_mut() = Body::from_stream(parts);
        }
        Some(Fault::Drip(pause)) => {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            let drops = stream::iter(bytes).then(move |byte| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, Infallible>(Bytes::from(vec![byte]))
            });
            *response.body_mut() = Body::from_stream(drops);
        }
        Some(Fault::Latency(delay)) => {
            tokio::time::sleep(delay).await;
            *response.body_mut() = Body::from(bytes);
        }
        Some(Fault::Status { .. } | Fault::Html { .. }) | None => {
            *response.body_mut() = Body::from(bytes);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_meets_only_what_it_names_and_only_so_often() {
        let user = Uuid::from_u128(7);
        let mut faults = Faults::default();
        faults.add(
            FaultRule::once(Fault::Hang)
                .on_method(Method::POST)
                .on_path("revoke")
                .on_user(user)
                .times(2),
        );
        let path = "/v1.0/users/x/revokeSignInSessions";
        assert!(faults.meet(&Method::GET, path, &[user]).is_none());
        assert!(faults.meet(&Method::POST, "/v1.0/users", &[user]).is_none());
        assert!(faults.meet(&Method::POST, path, &[]).is_none());
        assert!(faults.meet(&Method::POST, path, &[user]).is_some());
        assert!(faults.meet(&Method::POST, path, &[user]).is_some());
        assert!(faults.meet(&Method::POST, path, &[user]).is_none());
    }

    #[test]
    fn rules_are_bounded() {
        let mut faults = Faults::default();
        for _ in 0..RULES_MAX + 10 {
            faults.add(FaultRule::once(Fault::Hang).always());
        }
        assert_eq!(faults.rules.len(), RULES_MAX);
    }
}
