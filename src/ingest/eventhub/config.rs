//! The `event_hubs` section of the configuration.
//!
//! Invariant: a value that parsed can be used: names are put into URLs as they
//! are, a token never leaves the machine in plain text, and every number is
//! within the bounds that the constants state. So nothing is checked again
//! when a connection is opened.

use std::time::Duration;

use azure_core::http::Url;
use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Messages asked for ahead of use, per partition, unless configured. Event
/// Hubs' own clients take 300 too.
const PREFETCH_DEFAULT: u32 = 300;
/// More gains nothing measurable and costs memory: prefetch counts messages,
/// not bytes.
const PREFETCH_MAX: u32 = 10_000;
/// The largest message of the Standard and Premium tiers, in bytes.
const MESSAGE_BYTES_DEFAULT: usize = 1 << 20;
/// The largest message of a Dedicated cluster, in bytes.
const MESSAGE_BYTES_MAX: usize = 20 << 20;
const SILENCE_DEFAULT: Duration = Duration::from_secs(60);
const SILENCE_MIN: Duration = Duration::from_millis(100);
const SILENCE_MAX: Duration = Duration::from_secs(3600);
/// The consumer group that every hub has and any tool may be reading with.
pub(super) const SHARED_GROUP: &str = "$Default";

/// Where sign-ins are read from.
///
/// Memory: up to `prefetch` messages wait in the client of each partition, so
/// a daemon holds at most `partitions × prefetch × message size` of them: 300
/// messages of 256 KB are 77 MB per partition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventHubsConfig {
    /// The fully qualified namespace, e.g. `contoso.servicebus.windows.net`.
    #[serde(deserialize_with = "namespace")]
    pub namespace: String,
    /// The event hubs to read, at least one, e.g. `insights-logs-signinlogs`.
    #[serde(deserialize_with = "hubs")]
    pub hubs: Vec<String>,
    /// The consumer group. It should be evictd's own: in a shared one another
    /// reader can take the partitions away.
    #[serde(default = "shared_group", deserialize_with = "consumer_group")]
    pub consumer_group: String,
    /// Where to start in a partition that has no stored position.
    #[serde(default)]
    pub start: Start,
    /// Another address than the namespace's, for a private link or a test:
    /// `amqps://host:port`, or `amqp://` on loopback only, because a token
    /// crosses the connection.
    #[serde(default, deserialize_with = "endpoint")]
    pub endpoint: Option<String>,
    /// How long a link may be silent before it is checked, and reopened unless
    /// the partition proves to be idle: `60s` unless configured.
    #[serde(default = "silence_default", deserialize_with = "silence")]
    pub silence: Duration,
    /// How many messages may wait in the client, per partition: 1 to 10,000.
    #[serde(default = "prefetch_default", deserialize_with = "prefetch")]
    pub prefetch: u32,
    /// The epoch that readers attach with, 0 or more. The broker lets only the
    /// highest epoch read, so of two daemons the later one reads and the other
    /// is told so.
    #[serde(default, deserialize_with = "owner_level")]
    pub owner_level: i64,
    /// Larger messages, in bytes, are put in quarantine undecoded and cut to
    /// this size: 1 MiB unless configured, 20 MiB at most.
    #[serde(default = "message_bytes_default", deserialize_with = "message_bytes")]
    pub max_message_bytes: usize,
}

/// Where to start in a partition that has no stored position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With what arrives from now on.
    #[default]
    Latest,
    /// With the oldest message that retention has kept.
    Earliest,
}

impl EventHubsConfig {
    /// The host that is dialled, for messages to the user.
    pub(super) fn host(&self) -> String {
        let endpoint = self.endpoint.as_deref().and_then(|e| Url::parse(e).ok());
        let Some(endpoint) = endpoint else {
            return self.namespace.clone();
        };
        let host = endpoint.host_str().unwrap_or(&self.namespace);
        match endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

fn shared_group() -> String {
    SHARED_GROUP.to_owned()
}

fn silence_default() -> Duration {
    SILENCE_DEFAULT
}

fn prefetch_default() -> u32 {
    PREFETCH_DEFAULT
}

fn message_bytes_default() -> usize {
    MESSAGE_BYTES_DEFAULT
}

fn namespace<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    if name.contains("://") || name.contains('/') {
        return Err(D::Error::custom(format!(
            "{name:?} is a URL; give the host name alone, e.g. contoso.servicebus.windows.net"
        )));
    }
    if !name.contains('.') {
        return Err(D::Error::custom(format!(
            "{name:?} is not fully qualified; did you mean \"{name}.servicebus.windows.net\"?"
        )));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if !name.chars().all(allowed) || name.starts_with('.') || name.ends_with('.') {
        return Err(D::Error::custom(format!("{name:?} is not a host name")));
    }
    Ok(name)
}

fn hubs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let hubs = Vec::<String>::deserialize(from)?;
    if hubs.is_empty() {
        return Err(D::Error::custom("name at least one event hub"));
    }
    for (i, hub) in hubs.iter().enumerate() {
        if !is_entity_name(hub, 256) {
            return Err(D::Error::custom(format!(
                "{hub:?} is not the name of an event hub: letters, digits, '.', '-' and '_'"
            )));
        }
        if hubs[..i].iter().any(|h| h.eq_ignore_ascii_case(hub)) {
            return Err(D::Error::custom(format!("{hub:?} is named twice")));
        }
    }
    Ok(hubs)
}

fn consumer_group<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let group = String::deserialize(from)?;
    if group == SHARED_GROUP || is_entity_name(&group, 50) {
        return Ok(group);
    }
    Err(D::Error::custom(format!(
        "{group:?} is not the name of a consumer group: up to 50 letters, digits, '.', '-' and '_', or $Default"
    )))
}

/// The characters Azure allows in names of hubs and consumer groups. None of
/// them means anything in a URL.
fn is_entity_name(name: &str, length_max: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty()
        && name.len() <= length_max
        && name.chars().all(allowed)
        && name.chars().any(|c| c.is_ascii_alphanumeric())
}

fn endpoint<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let Some(endpoint) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let url = Url::parse(&endpoint)
        .map_err(|error| D::Error::custom(format!("{endpoint:?} is not a URL: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err(D::Error::custom(format!("{endpoint:?} names no host")));
    }
    match url.scheme() {
        "amqps" => Ok(Some(endpoint)),
        "amqp" if is_loopback(host) => Ok(Some(endpoint)),
        "amqp" => Err(D::Error::custom(format!(
            "{endpoint:?} would send tokens in plain text; use amqps://"
        ))),
        other => Err(D::Error::custom(format!(
            "{endpoint:?}: scheme {other:?} is neither amqps nor amqp"
        ))),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|a| a.is_loopback())
}

fn silence<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let parsed: Result<SignedDuration, _> = text.parse();
    let duration = parsed
        .ok()
        .and_then(|d| Duration::try_from(d).ok())
        .ok_or_else(|| D::Error::custom(format!("{text:?} is not a duration such as \"60s\"")))?;
    if !(SILENCE_MIN..=SILENCE_MAX).contains(&duration) {
        return Err(D::Error::custom(format!(
            "{text:?} is not between 100ms and 1h"
        )));
    }
    Ok(duration)
}

fn prefetch<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        n @ 1..=PREFETCH_MAX => Ok(n),
        n => Err(D::Error::custom(format!(
            "{n} is not between 1 and {PREFETCH_MAX}"
        ))),
    }
}

fn owner_level<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    match i64::deserialize(from)? {
        level @ 0.. => Ok(level),
        level => Err(D::Error::custom(format!("{level} is below 0"))),
    }
}

fn message_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    match usize::deserialize(from)? {
        n @ 1..=MESSAGE_BYTES_MAX => Ok(n),
        n => Err(D::Error::custom(format!(
            "{n} is not between 1 and {MESSAGE_BYTES_MAX}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(changes: Value) -> Result<EventHubsConfig, String> {
        let mut config = json!({
            "namespace": "contoso.servicebus.windows.net",
            "hubs": ["insights-logs-signinlogs"],
        });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        serde_json::from_value(config).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_configured_has_its_default() {
        let config = parse(json!({})).unwrap();
        assert_eq!(
            config,
            EventHubsConfig {
                namespace: "contoso.servicebus.windows.net".into(),
                hubs: vec!["insights-logs-signinlogs".into()],
                consumer_group: "$Default".into(),
                start: Start::Latest,
                endpoint: None,
                silence: Duration::from_secs(60),
                prefetch: 300,
                owner_level: 0,
                max_message_bytes: 1_048_576,
            }
        );
    }

    #[test]
    fn what_is_configured_is_taken() {
        let config = parse(json!({
            "consumer_group": "evictd", "start": "earliest", "silence": "2m",
            "endpoint": "amqps://hub.internal:5671", "prefetch": 50,
            "owner_level": 3, "max_message_bytes": 262_144,
        }))
        .unwrap();
        assert_eq!(config.consumer_group, "evictd");
        assert_eq!(config.start, Start::Earliest);
        assert_eq!(config.silence, Duration::from_secs(120));
        assert_eq!(config.host(), "hub.internal:5671");
        assert_eq!(config.prefetch, 50);
        assert_eq!(config.owner_level, 3);
        assert_eq!(config.max_message_bytes, 262_144);
    }

    #[test]
    fn what_cannot_work_is_refused_with_a_reason() {
        let table = [
            (
                json!({"namespace": "contoso"}),
                "did you mean \"contoso.servicebus.windows.net\"?",
            ),
            (
                json!({"namespace": "sb://contoso.servicebus.windows.net/"}),
                "is a URL",
            ),
            (json!({"namespace": "con toso.net"}), "not a host name"),
            (json!({"hubs": []}), "at least one"),
            (json!({"hubs": ["a/../b"]}), "not the name of an event hub"),
            (json!({"hubs": ["a", "A"]}), "named twice"),
            (
                json!({"consumer_group": "a b"}),
                "not the name of a consumer group",
            ),
            (json!({"endpoint": "amqp://10.0.0.4:5672"}), "plain text"),
            (
                json!({"endpoint": "https://hub.internal"}),
                "neither amqps nor amqp",
            ),
            (json!({"endpoint": "nonsense"}), "not a URL"),
            (json!({"silence": "soon"}), "not a duration"),
            (json!({"silence": "-5s"}), "not a duration"),
            (json!({"silence": "10ms"}), "between 100ms and 1h"),
            (json!({"prefetch": 0}), "between 1 and 10000"),
            (json!({"owner_level": -1}), "below 0"),
            (
                json!({"max_message_bytes": 99_999_999}),
                "between 1 and 20971520",
            ),
            (json!({"start": "yesterday"}), "unknown variant"),
            (json!({"consumergroup": "x"}), "unknown field"),
        ];
        for (changes, expected) in table {
            let error = parse(changes.clone()).unwrap_err();
            assert!(error.contains(expected), "{changes}: {error}");
        }
    }

    #[test]
    fn a_plain_endpoint_is_taken_on_loopback_only() {
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            let endpoint = format!("amqp://{host}:5672");
            parse(json!({"endpoint": endpoint})).unwrap();
        }
    }
}
