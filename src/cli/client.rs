//! Speaks to a running daemon over its control socket.
//!
//! Invariant: every way in which the daemon cannot be asked, or says no, is an
//! error of its own, so that a person knows what to do next and a script can
//! tell "it said no" from "it could not".

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use nix::unistd::{Gid, Group, Uid, User};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::DEFAULT_SOCKET;
use crate::console::control::{Refusal, Reloaded, Retried, Said, Status};
use crate::console::policies::{PolicyReport, PolicyStatus};
use crate::model::CaseView;
use crate::store::{KnownUser, QuarantineRow};

/// Longer than the daemon's own limit, so that its answer arrives.
const TIMEOUT: Duration = Duration::from_secs(25);
/// An answer that is longer is none: 10,000 cases take some 10 MiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

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
    #[error("{} may not be opened: {}", .0.display(), Owners(.0))]
    NotAllowed(PathBuf),
    /// The daemon said no, and why: no such case, nothing to judge.
    #[error("{0}")]
    Refused(Refusal),
    /// The daemon could not do it, and why.
    #[error("{0}")]
    Failed(Refusal),
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

    /// What is remembered of a user, by principal name or object id.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn memory(&self, user: &str) -> Result<KnownUser, ClientError> {
        self.ask(Method::GET, &format!("/v1/memory/{}", encoded(user)))
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

    /// Says what a case was, whatever its status.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn find(&self, prefix: &str, said: &Said) -> Result<CaseView, ClientError> {
        let path = format!("/v1/cases/{}/verdict", segment(prefix));
        let body = self.request(Method::POST, &path, Some(said)).await?;
        serde_json::from_slice(&body).map_err(|error| self.unexpected(&error))
    }

    /// Reads policies again, waits for what comes of it, and has the lists
    /// refreshed.
    ///
    /// # Errors
    /// See [`ClientError`]; `Failed` with every problem when they do not
    /// compile.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.ask(Method::POST, "/v1/reload").await
    }

    /// Which policies serve.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn policies(&self) -> Result<PolicyStatus, ClientError> {
        self.ask(Method::GET, "/v1/policies").await
    }

    /// How right each policy was since then.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn policy_report(&self, since: Timestamp) -> Result<PolicyReport, ClientError> {
        let since = encoded(&since.to_string());
        self.ask(Method::GET, &format!("/v1/policies/report?since={since}"))
            .await
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
        self.request::<()>(method, path, None).await
    }

    async fn request<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&T>,
    ) -> Result<Vec<u8>, ClientError> {
        let http = reqwest::Client::builder()
            .unix_socket(self.socket.as_path())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| self.unexpected(&error))?;
        let mut request = http.request(method, format!("http://evictd{path}"));
        if let Some(body) = body {
            let body = serde_json::to_vec(body).map_err(|error| self.unexpected(&error))?;
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = self.read(answer).await?;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(match status {
                StatusCode::NOT_FOUND | StatusCode::CONFLICT => ClientError::Refused(refusal),
                _ => ClientError::Failed(refusal),
            }),
            Err(_) => Err(self.unexpected(&status)),
        }
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, ClientError> {
        let too_long = || self.unexpected(&"the answer is too long");
        let promised = answer.content_length().unwrap_or_default();
        if promised > ANSWER_BYTES_MAX as u64 {
            return Err(too_long());
        }
        let mut body = Vec::new();
        loop {
            let chunk = answer.chunk().await.map_err(|e| self.unexpected(&e))?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<std::io::Error>() {
                return match io.kind() {
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                        ClientError::NoDaemon(self.socket.clone())
                    }
                    ErrorKind::PermissionDenied => ClientError::NotAllowed(self.socket.clone()),
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

/// Says who may open a socket that we may not.
struct Owners<'a>(&'a Path);

impl fmt::Display for Owners<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(found) = self.0.symlink_metadata() else {
            return f.write_str(
                "its directory may be entered by evictd's user and group only; use sudo",
            );
        };
        let user = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
        let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten();
        let user = user.map_or_else(|| found.uid().to_string(), |user| user.name);
        let group = group.map_or_else(|| found.gid().to_string(), |group| group.name);
        write!(
            f,
            "it is for user {user} and group {group} (mode {:04o}); become a member of {group}, or use sudo",
            found.permissions().mode() & 0o7777
        )
    }
}

/// Any text as one segment of a path: principal names have an `@` in them, and
/// those of guests a `#`.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn a_principal_name_is_one_segment_of_a_path() {
        let guest = "ana_fabrikam.example#EXT#@contoso.example";
        let expected = "ana%5Ffabrikam%2Eexample%23EXT%23%40contoso%2Eexample";
        assert_eq!(encoded(guest), expected);
        assert_eq!(encoded("é/.."), "%C3%A9%2F%2E%2E");
    }

    /// What a client says when a daemon answers so, and promises `promised`
    /// bytes of a body.
    async fn answered(status: &str, body: &str, promised: usize) -> ClientError {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let answer = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {promised}\r\n\r\n{body}"
        );
        let daemon = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = Client::new(path).pause(true).await.unwrap_err();
        daemon.await.unwrap();
        error
    }

    async fn says(status: &str, body: &str) -> ClientError {
        answered(status, body, body.len()).await
    }

    #[tokio::test]
    async fn without_a_daemon_it_says_where_it_looked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let missing = Client::new(path.clone()).status().await.unwrap_err();
        assert!(matches!(missing, ClientError::NoDaemon(_)), "{missing:?}");
        let expected = format!("no daemon listens at {}", path.display());
        assert!(missing.to_string().starts_with(&expected), "{missing}");
        // A daemon that died leaves its socket.
        drop(UnixListener::bind(&path).unwrap());
        let dead = Client::new(path).status().await.unwrap_err();
        assert!(matches!(dead, ClientError::NoDaemon(_)), "{dead:?}");
    }

    #[tokio::test]
    async fn a_no_is_told_from_a_failure() {
        let body = r#"{"error":"nothing","hint":"look"}"#;
        for status in ["404 Not Found", "409 Conflict"] {
            let no = says(status, body).await;
            assert!(matches!(no, ClientError::Refused(_)), "{no:?}");
            assert_eq!(no.to_string(), "nothing\nlook");
        }
        for status in ["422 Unprocessable Entity", "503 Service Unavailable"] {
            let failed = says(status, r#"{"error":"full"}"#).await;
            assert!(matches!(failed, ClientError::Failed(_)), "{failed:?}");
            assert_eq!(failed.to_string(), "full");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_the_daemons_is_named() {
        let other = says("404 Not Found", "<html>").await;
        assert!(other.to_string().contains("404 Not Found"), "{other}");
        let cut = answered("200 OK", "{", 99).await;
        assert!(matches!(cut, ClientError::Unexpected { .. }), "{cut:?}");
        let endless = answered("200 OK", "{", ANSWER_BYTES_MAX + 1).await;
        assert!(
            matches!(endless, ClientError::Unexpected { .. }),
            "{endless:?}"
        );
    }

    #[test]
    fn who_may_open_a_socket_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
        let text = ClientError::NotAllowed(path).to_string();
        assert!(text.contains("(mode 0660); become a member of"), "{text}");
        let text = ClientError::NotAllowed(directory.path().join("x")).to_string();
        assert!(text.ends_with("use sudo"), "{text}");
    }

    #[test]
    fn an_id_cannot_lead_to_another_page() {
        for (id, expected) in [
            ("3F2a-91", "3F2a-91"),
            ("../pause?x#y", "___pause_x_y"),
            ("ä%2f", "__2f"),
        ] {
            assert_eq!(segment(id), expected);
        }
    }
}
