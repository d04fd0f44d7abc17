//! Who we are to Entra ID, and the tokens that prove it.
//!
//! `azure_identity` makes the tokens. What it lacks is here: configuration with
//! errors that name the field or file, and a way to drop its cache after Graph
//! has refused a token. It has none, so the credential is built anew, which
//! also reads a rotated secret file. Keeping tokens is what `tokens` does.
//!
//! Invariant: secrets and tokens are in no `Debug` output, error or log line.

mod tokens;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport, Url};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use serde::Deserialize;
use tracing::warn;

pub(super) use tokens::{Bearer, Tokens};

/// The largest secret file read. Entra's secrets have 40 characters.
const SECRET_BYTES_MAX: u64 = 4 * 1024;

/// The largest service account token read; they are JWTs of about 1 KiB.
const TOKEN_FILE_BYTES_MAX: u64 = 16 * 1024;

/// The longest reason kept, characters.
const REASON_CHARS_MAX: usize = 300;

/// How evictd proves who it is. In the configuration, `kind` chooses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CredentialConfig {
    /// The identity Azure gave this machine (virtual machine, Arc, App Service).
    ManagedIdentity {
        /// The client id of a user-assigned identity; without it, the machine's own.
        client_id: Option<String>,
    },
    /// A Kubernetes service account trusted by Entra. What is left out is
    /// taken from the environment that AKS sets.
    WorkloadIdentity {
        /// The application; else `AZURE_CLIENT_ID`.
        client_id: Option<String>,
        /// The tenant; else the daemon's, else `AZURE_TENANT_ID`.
        tenant_id: Option<String>,
        /// The service account's token; else `AZURE_FEDERATED_TOKEN_FILE`.
        token_file: Option<PathBuf>,
    },
    /// An application's secret. Exactly one of `secret` and `secret_file`.
    ClientSecret {
        /// The application.
        client_id: String,
        /// The tenant; else the daemon's.
        tenant_id: Option<String>,
        /// The secret itself.
        secret: Option<Secret>,
        /// A file that holds the secret and nothing else.
        secret_file: Option<PathBuf>,
    },
    /// Whoever is signed in to the `az` command: for trying things out.
    AzureCli {},
}

impl CredentialConfig {
    /// The name used in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ManagedIdentity { .. } => "managed_identity",
            Self::WorkloadIdentity { .. } => "workload_identity",
            Self::ClientSecret { .. } => "client_secret",
            Self::AzureCli {} => "azure_cli",
        }
    }
}

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A setting that this kind needs is missing or empty.
    #[error("credential {kind}: {field} is missing{}", or_variable(.variable))]
    MissingField {
        /// The kind of credential.
        kind: &'static str,
        /// The setting.
        field: &'static str,
        /// The environment variable that may hold it instead.
        variable: Option<&'static str>,
    },
    /// Both `secret` and `secret_file` are set.
    #[error("credential client_secret: give secret or secret_file, not both")]
    SecretTwice,
    /// The file is not there.
    #[error("{} {} does not exist", .file, .path.display())]
    FileMissing {
        /// The setting that names it.
        file: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read, is no text, or is too large.
    #[error("{} {} cannot be read: {}", .file, .path.display(), .error)]
    FileUnreadable {
        /// The setting that names it.
        file: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds nothing but white space.
    #[error("{} {} is empty", .file, .path.display())]
    FileEmpty {
        /// The setting that names it.
        file: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Secrets are sent over TLS only.
    #[error("authority {authority} must begin with https://")]
    AuthorityNotHttps {
        /// What was given.
        authority: Box<str>,
    },
    /// `azure_identity` does not take these settings.
    #[error("credential {kind}: {reason}")]
    Refused {
        /// The kind of credential.
        kind: &'static str,
        /// Why.
        reason: String,
    },
}

fn or_variable(variable: &Option<&'static str>) -> String {
    variable.map_or_else(String::new, |name| format!(" (and {name} is not set)"))
}

/// Where tokens come from.
#[derive(Debug, Clone, Default)]
pub struct Authority {
    /// The daemon's tenant: an id or a domain name.
    pub tenant_id: Option<String>,
    /// The login host of another cloud, or the lab's. Without it, the public
    /// cloud's, or what `AZURE_AUTHORITY_HOST` says.
    pub host: Option<Url>,
}

/// A credential that can be told to forget what it has cached.
pub struct Credential {
    config: CredentialConfig,
    authority: Authority,
    http: reqwest::Client,
    current: RwLock<Arc<dyn TokenCredential>>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("kind", &self.config.kind())
            .finish_non_exhaustive()
    }
}

impl Credential {
    /// Checks the settings and reads the files they name. Asks nobody for a
    /// token yet. `http` carries the requests to Entra.
    ///
    /// # Errors
    /// [`CredentialError`] names the setting or the file.
    pub fn new(
        config: CredentialConfig,
        authority: Authority,
        http: reqwest::Client,
    ) -> Result<Arc<Self>, CredentialError> {
        let current = build(&config, &authority, &http, |name| std::env::var(name).ok())?;
        Ok(Arc::new(Self {
            config,
            authority,
            http,
            current: RwLock::new(current),
        }))
    }

    /// Forgets cached tokens and reads the files again. The old credential
    /// stays when that fails.
    ///
    /// # Errors
    /// As [`Credential::new`].
    pub fn renew(&self) -> Result<(), CredentialError> {
        let fresh = build(&self.config, &self.authority, &self.http, |name| {
            std::env::var(name).ok()
        })?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

#[async_trait::async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        current.get_token(scopes, options).await
    }
}

type Built = Result<Arc<dyn TokenCredential>, CredentialError>;

fn build(
    config: &CredentialConfig,
    authority: &Authority,
    http: &reqwest::Client,
    environment: impl Fn(&str) -> Option<String>,
) -> Built {
    let settings = Settings {
        kind: config.kind(),
        environment: &environment,
    };
    let client_options = client_options(authority, http)?;
    let tenant_of = |own: &Option<String>| own.clone().or_else(|| authority.tenant_id.clone());
    match config {
        CredentialConfig::ManagedIdentity { client_id } => {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                client_options,
            };
            settings.built(ManagedIdentityCredential::new(Some(options)))
        }
        CredentialConfig::WorkloadIdentity {
            client_id,
            tenant_id,
            token_file,
        } => {
            let client_id = settings.required("client_id", client_id.clone())?;
            let tenant_id = settings.required("tenant_id", tenant_of(tenant_id))?;
            let token_file = match token_file {
                Some(path) => path.clone(),
                None => settings.required("token_file", None)?.into(),
            };
            // azure_identity reads the file itself; this names what is wrong with it.
            read_text("token_file", &token_file, TOKEN_FILE_BYTES_MAX)?;
            let options = WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                client_id: Some(client_id),
                tenant_id: Some(tenant_id),
                token_file_path: Some(token_file),
                ..WorkloadIdentityCredentialOptions::default()
            };
            settings.built(WorkloadIdentityCredential::new(Some(options)))
        }
        CredentialConfig::ClientSecret {
            client_id,
            tenant_id,
            secret,
            secret_file,
        } => {
            let client_id = settings.required("client_id", Some(client_id.clone()))?;
            let tenant_id = settings.required("tenant_id", tenant_of(tenant_id))?;
            let secret = client_secret(secret.as_ref(), secret_file.as_deref())?;
            let options = Some(ClientSecretCredentialOptions { client_options });
            settings.built(ClientSecretCredential::new(
                &tenant_id, client_id, secret, options,
            ))
        }
        CredentialConfig::AzureCli {} => {
            let options = AzureCliCredentialOptions {
                tenant_id: authority.tenant_id.clone(),
                ..AzureCliCredentialOptions::default()
            };
            settings.built(AzureCliCredential::new(Some(options)))
        }
    }
}

/// One credential's settings, as far as errors are concerned.
struct Settings<'a> {
    kind: &'static str,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Settings<'_> {
    fn required(
        &self,
        field: &'static str,
        value: Option<String>,
    ) -> Result<String, CredentialError> {
        // Only what runs in Kubernetes is configured by its surroundings.
        let variable = match (self.kind, field) {
            ("workload_identity", "client_id") => Some("AZURE_CLIENT_ID"),
            ("workload_identity", "tenant_id") => Some("AZURE_TENANT_ID"),
            ("workload_identity", "token_file") => Some("AZURE_FEDERATED_TOKEN_FILE"),
            _ => None,
        };
        value
            .or_else(|| variable.and_then(self.environment))
            .filter(|value| !value.trim().is_empty())
            .ok_or(CredentialError::MissingField {
                kind: self.kind,
                field,
                variable,
            })
    }

    fn built<C: TokenCredential + 'static>(&self, made: azure_core::Result<Arc<C>>) -> Built {
        match made {
            Ok(credential) => Ok(credential),
            Err(error) => Err(CredentialError::Refused {
                kind: self.kind,
                reason: reason(&error),
            }),
        }
    }
}

fn client_options(
    authority: &Authority,
    http: &reqwest::Client,
) -> Result<ClientOptions, CredentialError> {
    let cloud = match &authority.host {
        None => None,
        Some(host) if host.scheme() != "https" => {
            return Err(CredentialError::AuthorityNotHttps {
                authority: host.as_str().into(),
            });
        }
        Some(host) => {
            let mut custom = CustomConfiguration::default();
            custom.authority_host = host.as_str().to_owned();
            Some(Arc::new(custom.into()))
        }
    };
    // Two quick retries: the responder itself comes back after a pause.
    let retry = RetryOptions::exponential(ExponentialRetryOptions {
        max_retries: 2,
        ..ExponentialRetryOptions::default()
    });
    Ok(ClientOptions {
        transport: Some(Transport::new(Arc::new(http.clone()))),
        retry,
        cloud,
        ..ClientOptions::default()
    })
}

fn client_secret(
    secret: Option<&Secret>,
    secret_file: Option<&Path>,
) -> Result<Secret, CredentialError> {
    match (secret, secret_file) {
        (Some(_), Some(_)) => Err(CredentialError::SecretTwice),
        (None, None) => Err(CredentialError::MissingField {
            kind: "client_secret",
            field: "secret or secret_file",
            variable: None,
        }),
        (Some(secret), None) if secret.secret().trim().is_empty() => {
            Err(CredentialError::MissingField {
                kind: "client_secret",
                field: "secret",
                variable: None,
            })
        }
        (Some(secret), None) => Ok(secret.clone()),
        (None, Some(path)) => {
            let (text, mode) = read_text("secret_file", path, SECRET_BYTES_MAX)?;
            if is_world_readable(mode) {
                warn!(file.path = %path.display(), "every user of this machine can read the secret file; chmod o-rwx it");
            }
            Ok(Secret::new(text))
        }
    }
}

fn is_world_readable(mode: u32) -> bool {
    mode & 0o004 != 0
}

/// The trimmed text of a small file, and its mode. Blocking, but for a small
/// local file and rarely.
fn read_text(
    file: &'static str,
    path: &Path,
    bytes_max: u64,
) -> Result<(String, u32), CredentialError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => CredentialError::FileMissing {
            file,
            path: path.to_owned(),
        },
        _ => CredentialError::FileUnreadable {
            file,
            path: path.to_owned(),
            error,
        },
    };
    let opened = File::open(path).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode();
    let mut text = String::new();
    opened
        .take(bytes_max + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > bytes_max {
        let too_large = io::Error::other(format!("it has more than {bytes_max} bytes"));
        return Err(unreadable(too_large));
    }
    match text.trim() {
        "" => Err(CredentialError::FileEmpty {
            file,
            path: path.to_owned(),
        }),
        trimmed => Ok((trimmed.to_owned(), mode)),
    }
}

/// An error for one line of a log: without `azure_identity`'s footer, with the
/// innermost cause, bounded.
fn reason(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    if let Some(footer) = text.find("To troubleshoot, visit") {
        text.truncate(footer);
    }
    let innermost = std::iter::successors(std::error::Error::source(error), |e| e.source()).last();
    if let Some(cause) = innermost.map(ToString::to_string)
        && !text.contains(&cause)
    {
        text = format!("{text} ({cause})");
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
