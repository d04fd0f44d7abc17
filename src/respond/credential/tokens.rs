//! The token that requests to one audience carry.
//!
//! Invariant: however many requests need a token, one at a time asks for it,
//! and of many requests refused together the first drops it. A token that
//! still lives is used when no other can be had: Entra's bad minutes must not
//! become ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenCredential as _};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::{Credential, reason};

/// A token with less than this left is replaced; `azure_identity` draws the
/// line at the same place.
const REFRESH_BEFORE: SignedDuration = SignedDuration::from_mins(5);

/// A token with less than this left is not used even when no other can be had:
/// a request may take 30 s to reach Graph.
const USABLE_BEFORE: SignedDuration = SignedDuration::from_secs(30);

/// How long one attempt to get a token may take, `azure_identity`'s own
/// retries included.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);

/// After a failed refresh the token at hand serves this long before the next.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// A token as a request carries it.
#[derive(Clone)]
pub(in crate::respond) struct Bearer {
    secret: Secret,
    generation: u64,
}

impl Bearer {
    pub(in crate::respond) fn secret(&self) -> &str {
        self.secret.secret()
    }
}

/// The token of one audience: kept until five minutes before its end.
pub(in crate::respond) struct Tokens {
    credential: Arc<Credential>,
    scope: &'static str,
    held: Mutex<Held>,
    /// The newest generation that the audience accepted; 0 is none.
    accepted: AtomicU64,
}

#[derive(Default)]
struct Held {
    token: Option<AccessToken>,
    /// Counts the tokens received.
    generation: u64,
    refresh_not_before: Option<Instant>,
}

impl Tokens {
    pub(in crate::respond) fn new(credential: Arc<Credential>, scope: &'static str) -> Self {
        Self {
            credential,
            scope,
            held: Mutex::default(),
            accepted: AtomicU64::new(0),
        }
    }

    /// A token that lives long enough for a request. Whoever asks while one is
    /// being fetched waits for that one.
    ///
    /// # Errors
    /// Why there is none, for a human.
    pub(in crate::respond) async fn get(&self) -> Result<Bearer, String> {
        let mut held = self.held.lock().await;
        let life = held.life(Timestamp::now());
        let waiting = held
            .refresh_not_before
            .is_some_and(|at| Instant::now() < at);
        if life == Life::Fresh || (life == Life::Ageing && waiting) {
            return held.bearer().ok_or_else(|| "no token".to_owned());
        }
        match self.fetch().await {
            Ok(token) => {
                held.generation += 1;
                held.token = Some(token);
                held.refresh_not_before = None;
            }
            Err(reason) if life == Life::Ageing => {
                warn!(reason, "token not refreshed; the one at hand still serves");
                held.refresh_not_before = Some(Instant::now() + REFRESH_PAUSE);
            }
            Err(reason) => {
                // Next time with what the files then hold: the secret may have
                // been rotated.
                return Err(match self.credential.renew() {
                    Ok(()) => reason,
                    Err(error) => format!("{reason}; {error}"),
                });
            }
        }
        held.bearer().ok_or_else(|| "no token".to_owned())
    }

    async fn fetch(&self) -> Result<AccessToken, String> {
        let scopes = [self.scope];
        let asked = self.credential.get_token(&scopes, None);
        match tokio::time::timeout(TOKEN_TIMEOUT, asked).await {
            Ok(answer) => answer.map_err(|error| reason(&error)),
            Err(_) => Err(format!(
                "no answer from Entra within {} s",
                TOKEN_TIMEOUT.as_secs()
            )),
        }
    }

    /// The audience took this token.
    pub(in crate::respond) fn accept(&self, bearer: &Bearer) {
        self.accepted
            .fetch_max(bearer.generation, Ordering::Relaxed);
    }

    /// The audience refused this token: the next request gets another. Returns
    /// whether it had been accepted before, so that another may well be.
    pub(in crate::respond) async fn reject(&self, bearer: &Bearer) -> bool {
        let mut held = self.held.lock().await;
        // Of many requests refused together, the first drops the token; the
        // others must not drop its successor.
        if held.generation == bearer.generation
            && held.token.take().is_some()
            && let Err(error) = self.credential.renew()
        {
            warn!(%error, "credential not renewed after a refused token");
        }
        self.accepted.load(Ordering::Relaxed) >= bearer.generation
    }
}

impl Held {
    fn bearer(&self) -> Option<Bearer> {
        self.token.as_ref().map(|token| Bearer {
            secret: token.token.clone(),
            generation: self.generation,
        })
    }

    fn life(&self, now: Timestamp) -> Life {
        self.token
            .as_ref()
            .and_then(|token| Timestamp::from_second(token.expires_on.unix_timestamp()).ok())
            .map_or(Life::Over, |end| Life::of(end.duration_since(now)))
    }
}

/// What may be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Fresh,
    /// To be replaced; usable if that fails.
    Ageing,
    Over,
}

impl Life {
    fn of(left: SignedDuration) -> Self {
        if left > REFRESH_BEFORE {
            Self::Fresh
        } else if left > USABLE_BEFORE {
            Self::Ageing
        } else {
            Self::Over
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_early_and_used_late_but_not_too_late() {
        for (seconds, life) in [
            (3_600, Life::Fresh),
            (301, Life::Fresh),
            (300, Life::Ageing),
            (31, Life::Ageing),
            (30, Life::Over),
            (-1, Life::Over),
        ] {
            let left = SignedDuration::from_secs(seconds);
            assert_eq!(Life::of(left), life, "{seconds} s");
        }
    }
}
