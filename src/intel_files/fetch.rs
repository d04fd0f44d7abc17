//! One version of a list from a URL.
//!
//! Invariant: a body is taken whole or not at all: within the bound, within
//! the time, as long as it was said to be. Whatever else came is an error,
//! and the list that serves goes on serving.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use super::config::is_safe;

/// The largest body in bytes. A free City database has some 130 MB.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The whole of a fetch.
const WITHIN: Duration = Duration::from_secs(60);
/// Until a connection stands.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Publishers send their databases from elsewhere; more hops are a loop.
const REDIRECTS_MAX: usize = 5;
/// A validator longer than this, in bytes, is not worth keeping.
const VALIDATOR_MAX: usize = 512;

/// Fetches lists.
#[derive(Debug, Clone)]
pub struct Fetcher {
    http: Client,
    /// The largest body in bytes; tests use a small one.
    pub(super) bytes_max: u64,
}

/// What a publisher knows a version by, to be asked whether it is still the one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
}

/// What a publisher answered.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The version known is still the one.
    Unchanged,
    /// A version.
    Body(Vec<u8>, Validators),
}

impl Fetcher {
    /// A client that also trusts the authorities in `ca_file` (PEM).
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate, or TLS cannot start.
    pub fn new(ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let redirect = Policy::custom(|attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error("too many redirects")
            } else if is_safe(attempt.url()) {
                attempt.follow()
            } else {
                attempt.error("a redirect to plain http")
            }
        });
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(WITHIN)
            .redirect(redirect)
            .user_agent(concat!("evictd/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = ca_file {
            let pem = std::fs::read(path)
                .with_context(|| format!("ca_file {} cannot be read", path.display()))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("ca_file {} is not PEM", path.display()))?;
            builder = builder.tls_certs_merge(authorities);
        }
        Ok(Self {
            http: builder.build().context("HTTP client for lists")?,
            bytes_max: BYTES_MAX,
        })
    }

    /// Asks for the list; `known` are the validators of the version at hand,
    /// where there is one.
    ///
    /// # Errors
    /// Whatever is not a whole answer. No message holds the URL, which may
    /// hold a key.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        known: Option<&Validators>,
    ) -> anyhow::Result<Fetched> {
        let conditions = known.map(Validators::conditions).unwrap_or_default();
        let conditional = !conditions.is_empty();
        let response = self
            .http
            .get(url.clone())
            .headers(conditions)
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        match response.status() {
            StatusCode::NOT_MODIFIED if conditional => Ok(Fetched::Unchanged),
            StatusCode::OK => {
                let validators = Validators::of(response.headers());
                Ok(Fetched::Body(self.body(response).await?, validators))
            }
            other => bail!("the answer is {other}"),
        }
    }

    async fn body(&self, mut response: Response) -> anyhow::Result<Vec<u8>> {
        let within = |length: u64| {
            ensure!(
                length <= self.bytes_max,
                "the body is larger than {} bytes",
                self.bytes_max
            );
            Ok(())
        };
        within(response.content_length().unwrap_or(0))?;
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)?
        {
            within(body.len() as u64 + chunk.len() as u64)?;
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let kept = |name: HeaderName| {
            let text = headers.get(name)?.to_str().ok()?;
            (text.len() <= VALIDATOR_MAX).then(|| text.to_owned())
        };
        Self {
            etag: kept(header::ETAG),
            last_modified: kept(header::LAST_MODIFIED),
        }
    }

    /// The headers that ask for the list only if it is another.
    fn conditions(&self) -> HeaderMap {
        [
            (header::IF_NONE_MATCH, &self.etag),
            (header::IF_MODIFIED_SINCE, &self.last_modified),
        ]
        .into_iter()
        .filter_map(|(name, text)| {
            let value = HeaderValue::from_str(text.as_deref()?).ok()?;
            Some((name, value))
        })
        .collect()
    }
}
