//! Speaks to a running daemon over its control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::config::DEFAULT_SOCKET;
use crate::console::control::{Refusal, Retried, Status};
use crate::model::CaseView;
use crate::store::QuarantineRow;

/// Longer than the daemon's own limit, so that its answer arrives.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Which daemon.
#[derive(Debug, Clone, Args)]
pub struct SocketArgs {
    /// The daemon's control socket.
    #[arg(long, value_name = "PATH", env = "EVICTD_SOCKET", default_value = DEFAULT_SOCKET, global = true)]
    pub socket: PathBuf,
}

/// Why the daemon did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon listens at {}; is evictd running? --socket or EVICTD_SOCKET names another one", .0.display())]
    NoDaemon(PathBuf),
    /// The socket is not ours to open.
    #[error("{} may be opened by evictd's user and group only; ask to be made a member, or use sudo", .0.display())]
    NotAllowed(PathBuf),
    /// The daemon said no, and why.
    #[error("{0}")]
    Refused(String),
    /// Anything else.
    #[error("the daemon at {} did not answer as expected: {reason}", socket.display())]
    Unexpected {
        /// The socket.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
}

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Names the daemon; nothing is opened yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// See [`ClientError`]; so for all below.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/v1/status").await
    }

    /// The newest cases, without decisions and signals.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cases(&self, limit: usize) -> Result<Vec<CaseView>, ClientError> {
        self.ask(Method::GET, &format!("/v1/cases?limit={limit}"))
            .await
    }

    /// One case whole, by its id or a prefix of it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn case(&self, prefix: &str) -> Result<CaseView, ClientError> {
        self.ask(Method::GET, &format!("/v1/cases/{}", segment(prefix)))
            .await
    }

    /// Approves what a case asks.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn approve(&self, prefix: &str) -> Result<CaseView, ClientError> {
        self.ask(
            Method::POST,
            &format!("/v1/cases/{}/approve", segment(prefix)),
        )
        .await
    }

    /// Denies what a case asks.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn deny(&self, prefix: &str) -> Result<CaseView, ClientError> {
        self.ask(Method::POST, &format!("/v1/cases/{}/deny", segment(prefix)))
            .await
    }

    /// Stops every effect (`true`) or lets them go on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn pause(&self, pause: bool) -> Result<(), ClientError> {
        let path = if pause { "/v1/pause" } else { "/v1/resume" };
        self.send(Method::POST, path).await.map(|_| ())
    }

    /// Reads policies and lists again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reload(&self) -> Result<(), ClientError> {
        self.send(Method::POST, "/v1/reload").await.map(|_| ())
    }

    /// Quarantined records with an id above `after`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn quarantine(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<QuarantineRow>, ClientError> {
        self.ask(
            Method::GET,
            &format!("/v1/quarantine?after={after}&limit={limit}"),
        )
        .await
    }

    /// Decodes a quarantined record again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn retry(&self, id: i64) -> Result<Retried, ClientError> {
        self.ask(Method::POST, &format!("/v1/quarantine/{id}/retry"))
            .await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        let body = self.send(method, path).await?;
        serde_json::from_slice(&body).map_err(|error| self.unexpected(&error))
    }

    async fn send(&self, method: Method, path: &str) -> Result<Vec<u8>, ClientError> {
        let http = reqwest::Client::builder()
            .unix_socket(self.socket.as_path())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| self.unexpected(&error))?;
        let answer = http
            .request(method, format!("http://evictd{path}"))
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer
            .bytes()
            .await
            .map_err(|error| self.unexpected(&error))?;
        if status.is_success() {
            return Ok(body.into());
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(ClientError::Refused(refusal.error)),
            Err(_) => Err(self.unexpected(&status)),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<std::io::Error>() {
                return match io.kind() {
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                        ClientError::NoDaemon(self.socket.clone())
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        ClientError::NotAllowed(self.socket.clone())
                    }
                    _ => self.unexpected(io),
                };
            }
            source = cause.source();
        }
        self.unexpected(error)
    }

    fn unexpected(&self, reason: &dyn std::fmt::Display) -> ClientError {
        ClientError::Unexpected {
            socket: self.socket.clone(),
            reason: reason.to_string(),
        }
    }

    /// The socket it speaks to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// A prefix as a path segment: what is no hex digit or dash cannot name a case
/// and is left out of the URL's grammar.
fn segment(prefix: &str) -> String {
    prefix
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}
