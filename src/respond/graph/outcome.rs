//! What can become of a request, and what to do then.
//!
//! Invariant: pure tables. An outcome that leaves doubt whether the request
//! was carried out ends in a retry, because every action is safe to repeat;
//! one that no retry can mend ends with a human.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// The first backoff, doubled with each attempt.
const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// The longest backoff.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The longest `Retry-After` obeyed. Graph's longest window is 5 min
/// (service-specific throttling limits); a larger value is a fault of the
/// answer and must not silence a lane for hours.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Graph did it, or will: any 2xx.
    Acknowledged {
        /// E.g. 200 for a revoke, 204 for a confirm.
        status: u16,
    },
    /// 429: the lane has to wait.
    Throttled {
        /// How long, where Graph said so. Identity protection never does.
        retry_after: Option<Duration>,
        /// `x-ms-throttle-scope`: whose limit it was.
        scope: Option<Box<str>>,
    },
    /// 401: the token has been dropped.
    Unauthorized {
        /// Whether Graph had taken this token before. Then a fresh one will
        /// most likely do; else a fresh one would be no better.
        stale: bool,
    },
    /// 403: a permission or role is missing, or the target outranks us.
    Forbidden {
        /// Graph's code, e.g. `Authorization_RequestDenied`.
        code: Box<str>,
        /// Graph's message.
        message: Box<str>,
    },
    /// 404: no such user (of a batch: at least one of them).
    NotFound,
    /// 400 and other refusals of the request itself.
    BadRequest {
        /// Graph's code.
        code: Box<str>,
        /// Graph's message.
        message: Box<str>,
    },
    /// 409, 412, 423: somebody else is changing it.
    Conflict,
    /// 5xx or 408.
    ServerError {
        /// The status.
        status: u16,
        /// How long to wait, where the answer says so.
        retry_after: Option<Duration>,
    },
    /// No whole answer in time; it may have been carried out.
    TimedOut,
    /// The connection failed or broke.
    ConnectionLost {
        /// Whether there had been one; if not, nothing was carried out.
        connected: bool,
    },
    /// An answer that is not Graph's: HTML, a redirect, a body broken off.
    Unreadable {
        /// The status.
        status: u16,
    },
    /// A reset that Graph refused because the password is not Entra's to set:
    /// the account is synchronised or federated.
    ManagedElsewhere {
        /// Graph's message.
        message: Box<str>,
    },
    /// What needs a human's yes and has none; nothing was sent.
    Unapproved,
    /// What cannot be done to a service principal; nothing was sent.
    Workload,
    /// A reset of a guest, whose password is the home tenant's. Nothing was
    /// sent.
    Guest,
    /// The operating system gave no random bytes for a password; nothing was
    /// sent.
    NoPassword,
    /// Entra gave no token; nothing was sent.
    NoToken {
        /// Why, for a human.
        reason: String,
    },
}

/// What to do after an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is done.
    Done,
    /// Try again after this time.
    Retry {
        /// How long to wait.
        after: Duration,
    },
    /// Trying again is no use: a human must act.
    Final,
}

impl Outcome {
    /// The name used in metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Acknowledged { .. } => "acknowledged",
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound => "not_found",
            Self::BadRequest { .. } => "bad_request",
            Self::Conflict => "conflict",
            Self::ServerError { .. } => "server_error",
            Self::TimedOut => "timed_out",
            Self::ConnectionLost { .. } => "connection_lost",
            Self::Unreadable { .. } => "unreadable",
            Self::ManagedElsewhere { .. } => "managed_elsewhere",
            Self::Unapproved => "unapproved",
            Self::Workload => "workload",
            Self::Guest => "guest",
            Self::NoPassword => "no_password",
            Self::NoToken { .. } => "no_token",
        }
    }

    /// What to do after this outcome of an action that was sent `attempts`
    /// times before. `roll` is random, 0 to 1.
    pub fn end(&self, attempts: u32, roll: f64) -> End {
        let after = match self {
            Self::Acknowledged { .. } => return End::Done,
            Self::Forbidden { .. }
            | Self::NotFound
            | Self::BadRequest { .. }
            | Self::ManagedElsewhere { .. }
            | Self::Unapproved
            | Self::Workload
            | Self::Guest => return End::Final,
            Self::Unauthorized { stale: true } => Duration::ZERO,
            Self::Throttled { retry_after, .. } | Self::ServerError { retry_after, .. } => {
                retry_after.unwrap_or_else(|| backoff(attempts, roll))
            }
            Self::Unauthorized { stale: false }
            | Self::Conflict
            | Self::TimedOut
            | Self::ConnectionLost { .. }
            | Self::Unreadable { .. }
            | Self::NoPassword
            | Self::NoToken { .. } => backoff(attempts, roll),
        };
        End::Retry { after }
    }

    /// Whether no other request would fare better now: the lane pauses, for
    /// the time named or with a backoff.
    pub fn pauses_lane(&self) -> Option<Option<Duration>> {
        match self {
            Self::Throttled { retry_after, .. } => Some(*retry_after),
            Self::Unauthorized { stale: false } | Self::NoToken { .. } => Some(None),
            _ => None,
        }
    }

    /// Whether one bad user may be what fails a whole batch: then the batch is
    /// halved to find it.
    pub fn may_be_one_of_many(&self) -> bool {
        matches!(self, Self::BadRequest { .. } | Self::NotFound)
    }

    /// Whether the request left us.
    pub fn was_sent(&self) -> bool {
        !matches!(
            self,
            Self::NoToken { .. }
                | Self::NoPassword
                | Self::Unapproved
                | Self::Workload
                | Self::Guest
                | Self::ConnectionLost { connected: false }
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledged { status } => write!(f, "{status}"),
            Self::Throttled { scope: None, .. } => f.write_str("429 TooManyRequests"),
            Self::Throttled {
                scope: Some(scope), ..
            } => write!(f, "429 TooManyRequests ({scope})"),
            Self::Unauthorized { .. } => f.write_str("401 the token was refused"),
            Self::Forbidden { code, message } => write!(f, "403 {code}: {message}"),
            Self::NotFound => f.write_str("404 no such user"),
            Self::BadRequest { code, message } => write!(f, "refused, {code}: {message}"),
            Self::Conflict => f.write_str("409 Conflict"),
            Self::ServerError { status, .. } => write!(f, "{status} from Graph"),
            Self::TimedOut => f.write_str("timed out"),
            Self::ConnectionLost { connected: true } => f.write_str("the connection broke"),
            Self::ConnectionLost { connected: false } => f.write_str("no connection"),
            Self::Unreadable { status } => write!(f, "{status} with an unreadable answer"),
            Self::ManagedElsewhere { message } => write!(
                f,
                "refused, the password is kept elsewhere (synchronised or federated); \
                 reset it there: {message}"
            ),
            Self::Unapproved => f.write_str("not sent: no human has approved it"),
            Self::Workload => f.write_str("not sent: it cannot be done to a service principal"),
            Self::Guest => f.write_str("not sent: a guest's password is the home tenant's"),
            Self::NoPassword => f.write_str("not sent: no random bytes for a password"),
            Self::NoToken { reason } => write!(f, "no token: {reason}"),
        }
    }
}

/// How long to wait after the attempt before which there were `attempts`:
/// from 1 s, doubled to 60 s, of which `roll` (random, 0 to 1) takes off up to
/// half, so that what failed together does not return together.
pub fn backoff(attempts: u32, roll: f64) -> Duration {
    let doubled = 2_u32
        .checked_pow(attempts)
        .and_then(|factor| BACKOFF_MIN.checked_mul(factor))
        .map_or(BACKOFF_MAX, |wait| wait.min(BACKOFF_MAX));
    doubled.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
}

/// `Retry-After`: seconds, which Graph also writes with decimals, or an HTTP
/// date. `None` for anything else.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(text)
                .ok()?;
            // A date in the past asks for no wait.
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}
