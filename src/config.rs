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

use crate::detect::intel::{self, Corporate, Dated, ExitHistory, GeoDatabase, Intel, ListName};
use crate::ingest::eventhub::EventHubsConfig;
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
    /// Further certificate authorities (PEM) to trust for Graph and the token
    /// endpoint, e.g. of a proxy that inspects TLS.
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

/// Files of intelligence; a list that is not named is unknown, and its
/// detectors stay silent.
#[derive(Debug, Clone, Default, Deserialize, Serialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct IntelConfig {
    /// Addresses of Tor exits, one a line or a CSV column.
    #[arg(long, value_name = "FILE")]
    pub tor_exits: Option<PathBuf>,
    /// Autonomous systems of hosting providers, one a line or the first CSV column.
    #[arg(long, value_name = "FILE")]
    pub hosting_asns: Option<PathBuf>,
    /// Autonomous systems of commercial VPNs.
    #[arg(long, value_name = "FILE")]
    pub vpn_asns: Option<PathBuf>,
    /// Egress ranges of relays such as iCloud Private Relay, one a line or the
    /// first CSV column.
    #[arg(long, value_name = "FILE")]
    pub relay_ranges: Option<PathBuf>,
    /// Egress ranges of clouds.
    #[arg(long, value_name = "FILE")]
    pub cloud_ranges: Option<PathBuf>,
    /// A City database in MMDB format.
    #[arg(long, value_name = "FILE")]
    pub geo_city: Option<PathBuf>,
    /// An ASN database in MMDB format.
    #[arg(long, value_name = "FILE")]
    pub geo_asn: Option<PathBuf>,
    /// The tenant's own egress, such as 192.0.2.0/24; may be repeated.
    #[arg(long = "corporate-range", value_name = "RANGE")]
    pub corporate_ranges: Vec<String>,
    /// The tenant's own autonomous system; may be repeated.
    #[arg(long = "corporate-asn", value_name = "ASN")]
    pub corporate_asns: Vec<u32>,
}

impl IntelConfig {
    /// Reads the lists that are named.
    ///
    /// # Errors
    /// A file that cannot be read, a line that does not read, a database that
    /// is unsound, or a list with nothing in it: an empty list would mean
    /// "nobody", which is never true.
    pub fn load(&self) -> anyhow::Result<Intel> {
        let exits = read_list(self.tor_exits.as_deref(), |bytes| {
            Ok(intel::parse_addresses(&text(bytes)?)?)
        })?;
        let asns = |path: &Option<PathBuf>| {
            read_list(path.as_deref(), |bytes| {
                Ok(intel::parse_asns(&text(bytes)?)?)
            })
        };
        let ranges = |path: &Option<PathBuf>| {
            read_list(path.as_deref(), |bytes| {
                Ok(intel::parse_ranges(&text(bytes)?)?)
            })
        };
        let geo = |path: &Option<PathBuf>| {
            read_list(path.as_deref(), |bytes| Ok(GeoDatabase::read(bytes)?))
        };
        let intel = Intel {
            tor_exits: exits.map(|exits| ExitHistory::timeless(&exits)),
            hosting_asns: asns(&self.hosting_asns)?.map(Dated::timeless),
            vpn_asns: asns(&self.vpn_asns)?.map(Dated::timeless),
            relay_ranges: ranges(&self.relay_ranges)?.map(Dated::timeless),
            cloud_ranges: ranges(&self.cloud_ranges)?.map(Dated::timeless),
            corporate: self.corporate()?,
            geo_city: geo(&self.geo_city)?.map(Dated::timeless),
            geo_asn: geo(&self.geo_asn)?.map(Dated::timeless),
        };
        for name in ListName::ALL {
            if intel.status(name).is_some_and(|list| list.entries == 0) {
                bail!("intel.{name}: the list holds nothing");
            }
        }
        Ok(intel)
    }

    /// Whether nothing at all is named.
    pub fn is_empty(&self) -> bool {
        let Self {
            tor_exits,
            hosting_asns,
            vpn_asns,
            relay_ranges,
            cloud_ranges,
            geo_city,
            geo_asn,
            corporate_ranges,
            corporate_asns,
        } = self;
        let files = [
            tor_exits,
            hosting_asns,
            vpn_asns,
            relay_ranges,
            cloud_ranges,
            geo_city,
            geo_asn,
        ];
        files.iter().all(|file| file.is_none())
            && corporate_ranges.is_empty()
            && corporate_asns.is_empty()
    }

    fn corporate(&self) -> anyhow::Result<Corporate> {
        let ranges = self
            .corporate_ranges
            .iter()
            .map(|text| {
                intel::parse_prefix(text).with_context(|| {
                    format!(
                        "intel.corporate_ranges: saw {text:?}, expected a range such as 192.0.2.0/24"
                    )
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Corporate {
            ranges,
            asns: self.corporate_asns.iter().copied().collect(),
        })
    }
}

fn text(bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).context("it is not UTF-8 text")
}

fn read_list<T>(
    path: Option<&Path>,
    parse: impl Fn(Vec<u8>) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let Some(path) = path else { return Ok(None) };
    let bytes = std::fs::read(path)
        .with_context(|| format!("intelligence list {} cannot be read", path.display()))?;
    let list = parse(bytes).with_context(|| format!("intelligence list {}", path.display()))?;
    Ok(Some(list))
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
    fn an_empty_a_damaged_and_a_missing_list_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let load = |config: IntelConfig| format!("{:#}", config.load().unwrap_err());
        let error = load(IntelConfig {
            relay_ranges: file("empty.csv", "# nothing\n"),
            ..IntelConfig::default()
        });
        assert!(
            error.contains("relay_ranges") && error.contains("nothing"),
            "{error}"
        );
        let error = load(IntelConfig {
            geo_city: file("city.mmdb", "<html>"),
            ..IntelConfig::default()
        });
        assert!(error.contains("city.mmdb"), "{error}");
        let error = load(IntelConfig {
            vpn_asns: Some(directory.path().join("gone.txt")),
            ..IntelConfig::default()
        });
        assert!(error.contains("gone.txt"), "{error}");
        let error = load(IntelConfig {
            corporate_ranges: vec!["192.0.2.0/33".to_owned()],
            ..IntelConfig::default()
        });
        assert!(error.contains("corporate_ranges"), "{error}");
    }

    /// Published lists and MaxMind's test databases, which this repository
    /// does not hold.
    #[test]
    fn published_lists_read_where_they_are_at_hand() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/intel");
        if !folder.is_dir() {
            println!("skipped: no published lists at {}", folder.display());
            return;
        }
        let file = |name: &str| Some(folder.join(name));
        let intel = IntelConfig {
            tor_exits: file("tor/tor-exits-2026-08-22.csv"),
            hosting_asns: file("asn/x4b-datacenter-ASN.txt"),
            vpn_asns: file("asn/x4b-vpn-ASN.txt"),
            geo_city: file("mmdb/GeoLite2-City-Test.mmdb"),
            geo_asn: file("mmdb/GeoLite2-ASN-Test.mmdb"),
            ..IntelConfig::default()
        }
        .load()
        .unwrap();
        let entries = |name| intel.status(name).unwrap().entries;
        assert_eq!(entries(ListName::TorExits), 1_363 + 914);
        assert_eq!(entries(ListName::VpnAsns), 15);
        let at = jiff::Timestamp::UNIX_EPOCH;
        let address = "89.160.20.128".parse().unwrap();
        let place = intel.place_of(address, at).unwrap();
        assert_eq!(place.to_string(), "Linköping (SE)");
        assert_eq!(intel.asn_of(address, at), Some(29_518));
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
        let error = load(MINIMAL, &[("EVICTD_LOG__LEVLE", "debug")]).unwrap_err();
        assert!(error.contains("levle"), "{error}");
        let error = load("tenant = \n", &[]).unwrap_err();
        assert!(
            error.contains("line 1") || error.contains(":1:") || error.contains("1 |"),
            "{error}"
        );
    }
}
