//! What can go wrong with Event Hubs, named so that a person knows what to do.
//!
//! Invariant: the SDK's errors are taken apart here once and nowhere else; past
//! this file nobody looks into a text. Each message says what was tried, what
//! came of it and what to do, and holds no token.

use std::error::Error;
use std::io;

use azure_core_amqp::error::{AmqpErrorCondition, AmqpErrorKind};
use azure_core_amqp::{AmqpDescribedError, AmqpError};
use azure_messaging_eventhubs::EventHubsError as SdkError;
use azure_messaging_eventhubs::error::ErrorKind as SdkErrorKind;

use super::config::EventHubsConfig;
use super::lag::LinkState;

/// How deep a chain of sources is followed.
const CHAIN_MAX: usize = 16;
/// How much of a peer's own words is kept, in characters.
const DETAIL_MAX: usize = 300;

/// Why a hub or a partition could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventHubsError {
    /// DNS knows no such host.
    #[error(
        "the name {host} does not resolve ({detail}): check event_hubs.namespace and this machine's DNS"
    )]
    NameNotResolved {
        /// What was looked up.
        host: String,
        /// The resolver's words.
        detail: String,
    },
    /// Nobody listens there.
    #[error(
        "{host} refuses connections: check the address, and that a firewall lets AMQP (port 5671) through"
    )]
    ConnectionRefused {
        /// What was dialled.
        host: String,
    },
    /// TLS could not be established.
    #[error(
        "TLS with {host} failed ({detail}): its certificate must be issued for that name by a CA this machine trusts; \
         add a private CA to the system's store, or point SSL_CERT_FILE at it"
    )]
    Tls {
        /// What was dialled.
        host: String,
        /// The TLS library's words.
        detail: String,
    },
    /// No token was had for Event Hubs.
    #[error("no token for Event Hubs ({detail}): check the configured Entra ID credential")]
    Credential {
        /// The credential's words.
        detail: String,
    },
    /// The token was had, but it does not let us read.
    #[error(
        "not authorized to read {hub} ({detail}): assign evictd's identity the role \"Azure Event Hubs Data Receiver\" \
         on the event hub or its namespace; an assignment takes some minutes to work"
    )]
    Unauthorized {
        /// The event hub.
        hub: String,
        /// The broker's words.
        detail: String,
    },
    /// The namespace has no such hub.
    #[error("{namespace} has no event hub {hub}: check event_hubs.hubs")]
    HubNotFound {
        /// The namespace.
        namespace: String,
        /// The event hub.
        hub: String,
    },
    /// The hub has no such consumer group.
    #[error(
        "event hub {hub} has no consumer group {group}: create it, or correct event_hubs.consumer_group"
    )]
    ConsumerGroupNotFound {
        /// The event hub.
        hub: String,
        /// The consumer group.
        group: String,
    },
    /// Another reader attached with our epoch or a higher one.
    #[error(
        "another reader took over {hub} in consumer group {group}: is a second evictd running? \
         Stop one, or give each a consumer group of its own"
    )]
    Stolen {
        /// The event hub.
        hub: String,
        /// The consumer group.
        group: String,
    },
    /// The partition holds less than we have read of it.
    #[error(
        "evictd has read partition {partition} of {hub} up to {position}, but it ends at {newest}: \
         was the hub deleted and made anew? Then remove the stored position and restart evictd"
    )]
    PositionAhead {
        /// The event hub.
        hub: String,
        /// The partition id.
        partition: String,
        /// The last sequence number we took.
        position: i64,
        /// The newest sequence number of the partition.
        newest: i64,
    },
    /// The other side did not answer.
    #[error("{host} did not answer within {seconds} s ({step})")]
    TimedOut {
        /// What was dialled.
        host: String,
        /// What was being done.
        step: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// Anything else: the connection or the link is gone, the broker is busy.
    #[error("reading {hub} failed: {detail}")]
    Lost {
        /// The event hub.
        hub: String,
        /// What the library or the broker says.
        detail: String,
    },
}

impl EventHubsError {
    /// The label `reason` of `evictd_ingest_reopened_total`.
    pub fn reason(&self) -> &'static str {
        match self.state() {
            LinkState::Stolen => "stolen",
            LinkState::Unauthorized => "unauthorized",
            _ => "error",
        }
    }

    /// What a reader does about it.
    pub(super) fn state(&self) -> LinkState {
        match self {
            Self::Stolen { .. } => LinkState::Stolen,
            Self::Unauthorized { .. } | Self::Credential { .. } => LinkState::Unauthorized,
            _ => LinkState::Waiting,
        }
    }

    /// Whether the configuration names something that is not there, which no
    /// retry mends.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::HubNotFound { .. } | Self::ConsumerGroupNotFound { .. }
        )
    }
}

/// What was being done when an error came, which decides what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Connecting, or asking the hub for its properties.
    Hub,
    /// Reading as a member of the consumer group.
    Read,
}

/// Names the SDK's error.
pub(super) fn name(
    error: &SdkError,
    attempt: Attempt,
    config: &EventHubsConfig,
    hub: &str,
) -> EventHubsError {
    let hub = hub.to_owned();
    let group = config.consumer_group.clone();
    match cause(error) {
        Cause::Stolen => EventHubsError::Stolen { hub, group },
        Cause::Unauthorized(detail) => EventHubsError::Unauthorized { hub, detail },
        Cause::Credential(detail) => EventHubsError::Credential { detail },
        Cause::NotFound if attempt == Attempt::Read => {
            EventHubsError::ConsumerGroupNotFound { hub, group }
        }
        Cause::NotFound => EventHubsError::HubNotFound {
            namespace: config.namespace.clone(),
            hub,
        },
        Cause::Dns(detail) => EventHubsError::NameNotResolved {
            host: config.host(),
            detail,
        },
        Cause::Refused => EventHubsError::ConnectionRefused {
            host: config.host(),
        },
        Cause::Tls(detail) => EventHubsError::Tls {
            host: config.host(),
            detail,
        },
        Cause::Other(detail) => EventHubsError::Lost { hub, detail },
    }
}

enum Cause {
    Stolen,
    Unauthorized(String),
    Credential(String),
    NotFound,
    Dns(String),
    Refused,
    Tls(String),
    Other(String),
}

/// The first error of the chain that means something, outermost first.
fn cause(error: &SdkError) -> Cause {
    if let SdkErrorKind::ConsumerDisconnected(_) = error.kind {
        return Cause::Stolen;
    }
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    for _ in 0..CHAIN_MAX {
        let Some(error) = next else { break };
        let found = if let Some(amqp) = error.downcast_ref::<AmqpError>() {
            of_amqp(amqp)
        } else if let Some(io) = error.downcast_ref::<io::Error>() {
            of_io(io)
        } else if let Some(azure) = error.downcast_ref::<azure_core::Error>() {
            of_azure(azure)
        } else {
            None
        };
        if let Some(cause) = found {
            return cause;
        }
        next = error.source();
    }
    Cause::Other(brief(error))
}

fn of_amqp(error: &AmqpError) -> Option<Cause> {
    match error.kind() {
        AmqpErrorKind::AmqpDescribedError(described) => Some(of_condition(described)),
        AmqpErrorKind::ManagementStatusCode(status, description) => {
            let status = u16::from(*status);
            let description = description.as_deref().unwrap_or("no description");
            Some(match status {
                401 | 403 => Cause::Unauthorized(brief(&format!("{status}, {description}"))),
                404 => Cause::NotFound,
                _ => Cause::Other(brief(&format!("status {status}, {description}"))),
            })
        }
        _ => None,
    }
}

fn of_condition(described: &AmqpDescribedError) -> Cause {
    let condition: &str = (&described.condition).into();
    let description = described.description.as_deref().unwrap_or("no description");
    match described.condition {
        AmqpErrorCondition::LinkStolen => Cause::Stolen,
        AmqpErrorCondition::UnauthorizedAccess => Cause::Unauthorized(brief(description)),
        AmqpErrorCondition::NotFound => Cause::NotFound,
        _ => Cause::Other(brief(&format!("{condition}, {description}"))),
    }
}

fn of_azure(error: &azure_core::Error) -> Option<Cause> {
    // A token request fails with the kind Credential, or with Entra's answer.
    match error.kind() {
        azure_core::error::ErrorKind::Credential
        | azure_core::error::ErrorKind::HttpResponse { .. } => {
            Some(Cause::Credential(brief(error)))
        }
        _ => None,
    }
}

/// The standard library has no kind for a name that does not resolve, and TLS
/// errors come as "invalid data": the words tell them apart.
fn of_io(error: &io::Error) -> Option<Cause> {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(Cause::Refused),
        io::ErrorKind::InvalidData => Some(Cause::Tls(brief(&text))),
        _ if text.contains("lookup address") => Some(Cause::Dns(brief(&text))),
        _ if text.contains("certificate") => Some(Cause::Tls(brief(&text))),
        _ => None,
    }
}

/// One line of bounded length.
fn brief(words: &(impl ToString + ?Sized)) -> String {
    let words = words.to_string();
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(DETAIL_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> EventHubsConfig {
        serde_json::from_value(serde_json::json!({
            "namespace": "contoso.servicebus.windows.net", "hubs": ["signins"], "consumer_group": "evictd",
        }))
        .unwrap()
    }

    fn described(condition: AmqpErrorCondition) -> AmqpError {
        let error =
            AmqpDescribedError::new(condition, Some("TrackingId:1".into()), Default::default());
        AmqpErrorKind::AmqpDescribedError(error).into()
    }

    /// As the SDK wraps what comes from an attach.
    fn wrapped(inner: impl Into<Box<dyn Error + Send + Sync>>) -> AmqpError {
        azure_core::Error::with_error(
            azure_core::error::ErrorKind::Other,
            inner,
            "Failed to ensure receiver",
        )
        .into()
    }

    #[test]
    fn an_error_is_named_however_deep_it_is_wrapped() {
        let io =
            |kind, text: &str| AmqpError::from(azure_core::Error::from(io::Error::new(kind, text)));
        let credential = azure_core::Error::with_message(
            azure_core::error::ErrorKind::Credential,
            "AADSTS7000215",
        );
        let hub = || "signins".to_owned();
        let host = || "contoso.servicebus.windows.net".to_owned();
        let group = || "evictd".to_owned();
        let tracking = || "TrackingId:1".to_owned();
        let table: Vec<(AmqpError, Attempt, EventHubsError)> = vec![
            (
                wrapped(described(AmqpErrorCondition::LinkStolen)),
                Attempt::Read,
                EventHubsError::Stolen {
                    hub: hub(),
                    group: group(),
                },
            ),
            (
                wrapped(wrapped(described(AmqpErrorCondition::UnauthorizedAccess))),
                Attempt::Read,
                EventHubsError::Unauthorized {
                    hub: hub(),
                    detail: tracking(),
                },
            ),
            (
                AmqpErrorKind::ManagementStatusCode(401.into(), Some("expired".into())).into(),
                Attempt::Hub,
                EventHubsError::Unauthorized {
                    hub: hub(),
                    detail: "401, expired".into(),
                },
            ),
            (
                AmqpErrorKind::ManagementStatusCode(404.into(), None).into(),
                Attempt::Hub,
                EventHubsError::HubNotFound {
                    namespace: host(),
                    hub: hub(),
                },
            ),
            (
                described(AmqpErrorCondition::NotFound),
                Attempt::Read,
                EventHubsError::ConsumerGroupNotFound {
                    hub: hub(),
                    group: group(),
                },
            ),
            (
                described(AmqpErrorCondition::ServerBusyError),
                Attempt::Read,
                EventHubsError::Lost {
                    hub: hub(),
                    detail: "com.microsoft:server-busy, TrackingId:1".into(),
                },
            ),
            (
                credential.into(),
                Attempt::Read,
                EventHubsError::Credential {
                    detail: "AADSTS7000215".into(),
                },
            ),
            (
                io(
                    io::ErrorKind::ConnectionRefused,
                    "Connection refused (os error 111)",
                ),
                Attempt::Hub,
                EventHubsError::ConnectionRefused { host: host() },
            ),
            (
                io(
                    io::ErrorKind::Other,
                    "failed to lookup address information: Name or service not known",
                ),
                Attempt::Hub,
                EventHubsError::NameNotResolved {
                    host: host(),
                    detail: "failed to lookup address information: Name or service not known"
                        .into(),
                },
            ),
            (
                wrapped(io(
                    io::ErrorKind::InvalidData,
                    "invalid peer certificate: UnknownIssuer",
                )),
                Attempt::Hub,
                EventHubsError::Tls {
                    host: host(),
                    detail: "invalid peer certificate: UnknownIssuer".into(),
                },
            ),
        ];
        for (error, attempt, expected) in table {
            let error = SdkError::from(error);
            assert_eq!(
                name(&error, attempt, &config(), "signins"),
                expected,
                "{error}"
            );
        }
    }

    #[test]
    fn a_reader_displaced_while_reading_was_robbed() {
        let error = SdkError::from(SdkErrorKind::ConsumerDisconnected(None));
        let named = name(&error, Attempt::Read, &config(), "signins");
        assert_eq!(named.reason(), "stolen");
        assert!(named.to_string().contains("second evictd"), "{named}");
    }

    #[test]
    fn only_what_is_not_there_is_beyond_a_retry() {
        let error = SdkError::from(AmqpError::with_message("x".repeat(1000)));
        let named = name(&error, Attempt::Read, &config(), "signins");
        assert!(!named.is_not_found());
        assert_eq!(named.reason(), "error");
        assert!(named.to_string().chars().count() < 400);
        let error = SdkError::from(described(AmqpErrorCondition::NotFound));
        assert!(name(&error, Attempt::Hub, &config(), "signins").is_not_found());
    }
}
