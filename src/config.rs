//! The daemon's configuration: defaults, then a TOML file, then `EVICTD_*`.
//!
//! One struct per concern, each beside the code it configures. An unknown key
//! is refused by name, since a misspelt guard is no guard.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use config::{Environment, File, FileFormat};
use serde::{Deserialize, Serialize};

pub use crate::history::HistoryConfig;
use crate::ingest::eventhub::EventHubsConfig;
pub use crate::intel_files::IntelConfig;
use crate::respond::credential::CredentialConfig;
use crate::telemetry::LogFormat;

/// Everything `evictd run` needs to know.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The Entra tenant's id (a GUID) or one of its domain names.
    pub tenant: String,
    /// Where the database lives. One daemon per directory.
    #[serde(default = "default_state")]
    pub state: PathBuf,
    /// The directory of policy files; without it the shipped policies serve.
    #[serde(default)]
    pub policies: Option<PathBuf>,
    /// The stream.
    pub event_hubs: EventHubsConfig,
    /// Who we are to Azure.
    pub credential: CredentialConfig,
    /// Microsoft Graph and the token endpoint.
    #[serde(default)]
    pub graph: GraphConfig,
    /// Lists of addresses and networks.
    #[serde(default)]
    pub intel: IntelConfig,
    /// What is kept of what was received.
    #[serde(default)]
    pub history: HistoryConfig,
    /// Health and metrics.
    #[serde(default)]
    pub http: HttpConfig,
    /// The socket that `evictd cases` speaks to.
    #[serde(default)]
    pub control: ControlConfig,
    /// Log lines.
    #[serde(default)]
    pub log: LogConfig,
}

/// Which Graph, and whom to trust.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphConfig {
    /// The service root with its version.
    pub endpoint: String,
    /// The token endpoint of another cloud, e.g. `https://login.microsoftonline.us`.
    pub authority: Option<String>,
    /// Further certificate authorities (PEM) to trust for Graph, the token
    /// endpoint and lists, e.g. of a proxy that inspects TLS.
    pub ca_file: Option<PathBuf>,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            endpoint: "https://graph.microsoft.com/v1.0".to_owned(),
            authority: None,
            ca_file: None,
        }
    }
}

/// Where health and metrics are served.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        // Loopback: the pages hold no secret, but nobody else need read them.
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9477)),
        }
    }
}

/// The control socket.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    /// Its path; its owner and group alone may open it.
    pub socket: PathBuf,
    /// A group that may open it besides the daemon's own.
    pub group: Option<String>,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            socket: PathBuf::from(DEFAULT_SOCKET),
            group: None,
        }
    }
}

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/evictd/control.sock";

/// Log lines.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A filter: `info`, `debug`, `evictd=debug,warn`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

fn default_state() -> PathBuf {
    PathBuf::from("/var/lib/evictd")
}

impl Config {
    /// Reads `file` and lays `EVICTD_*` over it (`EVICTD_LOG__LEVEL=debug` is
    /// `log.level`), then checks what can be checked without the network.
    ///
    /// # Errors
    /// What is wrong, with the key, the value seen and what was expected.
    pub fn load(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| {
            format!(
                "cannot read {}; --config names the file, deploy/evictd.example.toml shows one",
                file.display()
            )
        })?;
        let environment = Environment::with_prefix("EVICTD")
            .prefix_separator("_")
            .separator("__")
            .ignore_empty(true);
        Self::from_sources(&text, environment).with_context(|| format!("{}", file.display()))
    }

    fn from_sources(text: &str, environment: Environment) -> anyhow::Result<Self> {
        let config: Self = config::Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(environment)
            .build()?
            .try_deserialize()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        self.intel.check()?;
        if self.tenant.trim().is_empty() {
            bail!("tenant is empty; expected the tenant's id (a GUID) or a domain name of it");
        }
        for (key, value) in [
            ("graph.endpoint", Some(&self.graph.endpoint)),
            ("graph.authority", self.graph.authority.as_ref()),
        ] {
            let Some(value) = value else { continue };
            let url = reqwest::Url::parse(value)
                .with_context(|| format!("{key}: saw {value:?}, expected an https URL"))?;
            let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
            if url.scheme() != "https" && !loopback {
                bail!(
                    "{key}: saw {value:?}, expected an https URL: a token must not cross a network in the clear"
                );
            }
        }
        Ok(())
    }
}

/// The version as `--version` and `evictd_build_info` say it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

impl fmt::Display for Config {
    /// One line for the log: what it reads and whom it writes to, no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tenant {}, {} hub(s) at {}, Graph at {}",
            self.tenant,
            self.event_hubs.hubs.len(),
            self.event_hubs.namespace,
            self.graph.endpoint
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        tenant = "contoso.example"
        [event_hubs]
        namespace = "contoso.servicebus.windows.net"
        hubs = ["insights-logs-signinlogs"]
        [credential]
        kind = "managed_identity"
    "#;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let variables = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let environment = Environment::with_prefix("EVICTD")
            .prefix_separator("_")
            .separator("__")
            .source(Some(variables));
        Config::from_sources(text, environment).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn defaults_file_and_environment_are_laid_over_each_other() {
        let config = load(MINIMAL, &[]).unwrap();
        assert_eq!(config.graph.endpoint, "https://graph.microsoft.com/v1.0");
        assert_eq!(config.log.level, "info");
        assert_eq!(config.control.socket, Path::new(DEFAULT_SOCKET));
        let config = load(MINIMAL, &[("EVICTD_HISTORY__DAYS", "30")]).unwrap();
        assert_eq!(config.history.days, 30);
        let text = format!("{MINIMAL}\n[log]\nlevel = \"warn\"\n");
        assert_eq!(load(&text, &[]).unwrap().log.level, "warn");
        let config = load(
            &text,
            &[("EVICTD_LOG__LEVEL", "debug"), ("EVICTD_STATE", "/tmp/e")],
        )
        .unwrap();
        assert_eq!(
            (config.log.level.as_str(), config.state.as_path()),
            ("debug", Path::new("/tmp/e"))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table: &[(&str, &[&str])] = &[
            ("stat = \"/tmp\"\n", &["stat", "state"]),
            ("[guard]\n", &["guard"]),
        ];
        for (line, expected) in table {
            let text = if line.starts_with('[') {
                format!("{MINIMAL}\n{line}")
            } else {
                format!("{line}{MINIMAL}")
            };
            let error = load(&text, &[]).unwrap_err();
            for part in *expected {
                assert!(error.contains(part), "{error}");
            }
        }
        let error = load(&MINIMAL.replace("tenant =", "tennant ="), &[]).unwrap_err();
        assert!(error.contains("tennant"), "{error}");
        let text = format!("{MINIMAL}\n[graph]\nendpoint = \"http://graph.example\"\n");
        let error = load(&text, &[]).unwrap_err();
        assert!(
            error.contains("graph.endpoint") && error.contains("https"),
            "{error}"
        );
        let text = format!("{MINIMAL}\n[history]\nmax_bytes = 10\n");
        let error = load(&text, &[]).unwrap_err();
        assert!(
            error.contains("history.max_bytes") && error.contains("10 GiB"),
            "{error}"
        );
        let error = load(MINIMAL, &[("EVICTD_LOG__LEVLE", "debug")]).unwrap_err();
        assert!(error.contains("levle"), "{error}");
        let error = load("tenant = \n", &[]).unwrap_err();
        assert!(
            error.contains("line 1") || error.contains(":1:") || error.contains("1 |"),
            "{error}"
        );
    }
}
