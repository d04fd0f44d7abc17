//! One connection to one event hub: the only file that names the SDK's clients.
//!
//! The SDK's own recovery replays or loses messages, so it is switched off: a
//! link that fails in any way is closed whole, and whoever holds it opens a
//! new one at a place of its own choosing. Every step has a time limit, because
//! the SDK has none: a network that swallows packets stops it for good.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core_amqp::AmqpValue;
use azure_core_amqp::message::AmqpMessageBody;
use azure_messaging_eventhubs::models::ReceivedEventData;
use azure_messaging_eventhubs::{
    ConsumerClient, EventReceiver, OpenReceiverOptions, RetryOptions, StartLocation, StartPosition,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;

use super::config::EventHubsConfig;
use super::error::{Attempt, EventHubsError, name};
use super::start::Extent;

/// How long connecting and authorising may take, a token request included.
pub(super) const OPEN_MAX: Duration = Duration::from_secs(30);
/// How long closing may take. A peer that does not answer is left to the
/// operating system.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// What the broker's logs call us.
const APPLICATION: &str = concat!("evictd/", env!("CARGO_PKG_VERSION"));

/// An open connection.
pub(super) struct Link {
    client: ConsumerClient,
    config: Arc<EventHubsConfig>,
    hub: Arc<str>,
}

/// A partition's receiver; it attaches when its messages are first polled.
pub(super) struct Receiver<'a> {
    receiver: EventReceiver,
    link: &'a Link,
}

/// A message as it came.
pub(super) struct Raw(ReceivedEventData);

/// The messages of a partition. After an error there are no more.
pub(super) type Messages<'a> = Pin<Box<dyn Stream<Item = Result<Raw, EventHubsError>> + Send + 'a>>;

impl Link {
    /// Connects. Nothing is authorised yet.
    pub(super) async fn open(
        config: &Arc<EventHubsConfig>,
        hub: &Arc<str>,
        credential: &Arc<dyn TokenCredential>,
    ) -> Result<Self, EventHubsError> {
        let mut builder = ConsumerClient::builder()
            .with_application_id(APPLICATION.to_owned())
            .with_consumer_group(config.consumer_group.clone())
            .with_retry_options(RetryOptions {
                max_retries: 0,
                ..RetryOptions::default()
            });
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_custom_endpoint(endpoint.clone());
        }
        let opening = builder.open(&config.namespace, hub.to_string(), Arc::clone(credential));
        let client = within(OPEN_MAX, "connecting", config, opening)
            .await?
            .map_err(|error| name(&error, Attempt::Hub, config, hub))?;
        Ok(Self {
            client,
            config: Arc::clone(config),
            hub: Arc::clone(hub),
        })
    }

    /// The hub's partition ids.
    pub(super) async fn partitions(&self) -> Result<Vec<String>, EventHubsError> {
        let asking = self.client.get_eventhub_properties();
        let properties = within(OPEN_MAX, "asking for the partitions", &self.config, asking)
            .await?
            .map_err(|error| self.name(&error, Attempt::Hub))?;
        Ok(properties.partition_ids)
    }

    /// What a partition holds now.
    pub(super) async fn extent(
        &self,
        partition: &str,
        limit: Duration,
    ) -> Result<Extent, EventHubsError> {
        let asking = self.client.get_partition_properties(partition);
        let properties = within(
            limit,
            "asking for a partition's extent",
            &self.config,
            asking,
        )
        .await?
        .map_err(|error| self.name(&error, Attempt::Hub))?;
        Ok(Extent {
            begin: properties.beginning_sequence_number,
            last: properties.last_enqueued_sequence_number,
            empty: properties.is_empty,
        })
    }

    /// A receiver of what comes after sequence number `after`, or of all there
    /// is where that is `None`.
    pub(super) async fn receiver(
        &self,
        partition: &str,
        after: Option<i64>,
    ) -> Result<Receiver<'_>, EventHubsError> {
        let location = after.map_or(StartLocation::Earliest, StartLocation::SequenceNumber);
        let options = OpenReceiverOptions {
            owner_level: Some(self.config.owner_level),
            prefetch: Some(self.config.prefetch),
            start_position: Some(StartPosition {
                location,
                inclusive: false,
            }),
            // Its expiry would end the stream; the reader keeps its own time.
            receive_timeout: None,
        };
        let receiver = self
            .client
            .open_receiver_on_partition(partition.to_owned(), Some(options))
            .await
            .map_err(|error| self.name(&error, Attempt::Read))?;
        Ok(Receiver {
            receiver,
            link: self,
        })
    }

    /// Says goodbye, for two seconds at most; then the socket is dropped.
    pub(super) async fn close(self) {
        match tokio::time::timeout(CLOSE_MAX, self.client.close()).await {
            Ok(Ok(())) => {}
            // The connection is gone already, which is what was wanted.
            Ok(Err(error)) => {
                let error = name(&error, Attempt::Hub, &self.config, &self.hub);
                tracing::debug!(eventhub.name = %self.hub, %error, "closing a link");
            }
            Err(_) => tracing::debug!(eventhub.name = %self.hub, "closing a link took too long"),
        }
    }

    fn name(
        &self,
        error: &azure_messaging_eventhubs::EventHubsError,
        attempt: Attempt,
    ) -> EventHubsError {
        name(error, attempt, &self.config, &self.hub)
    }
}

impl Receiver<'_> {
    /// The messages in order. A poll may be given up and begun again without
    /// loss as long as the stream is kept.
    pub(super) fn messages(&self) -> Messages<'_> {
        let named = |item: azure_messaging_eventhubs::Result<ReceivedEventData>| {
            item.map(Raw)
                .map_err(|error| self.link.name(&error, Attempt::Read))
        };
        Box::pin(self.receiver.stream_events().map(named))
    }
}

impl Raw {
    /// The sequence number that every message of Event Hubs has.
    pub(super) fn sequence(&self) -> Option<i64> {
        self.0.sequence_number()
    }

    /// When the broker took it in.
    pub(super) fn enqueued_at(&self) -> Option<Timestamp> {
        self.0.enqueued_time().and_then(|t| t.try_into().ok())
    }

    /// The bytes, without copying them; `None` as for [`Raw::body`].
    pub(super) fn into_body(self) -> Option<Bytes> {
        match self.body()? {
            Cow::Owned(bytes) => Some(bytes.into()),
            Cow::Borrowed(_) => Some(Bytes::from_owner(self)),
        }
    }

    /// The bytes; `None` where the body is something else than bytes or text.
    pub(super) fn body(&self) -> Option<Cow<'_, [u8]>> {
        match &self.0.raw_amqp_message().body {
            AmqpMessageBody::Binary(sections) => match sections.as_slice() {
                [section] => Some(Cow::Borrowed(section)),
                sections => Some(Cow::Owned(sections.concat())),
            },
            AmqpMessageBody::Value(AmqpValue::Binary(bytes)) => Some(Cow::Borrowed(bytes)),
            AmqpMessageBody::Value(AmqpValue::String(text)) => Some(Cow::Borrowed(text.as_bytes())),
            AmqpMessageBody::Empty => Some(Cow::Borrowed(&[])),
            AmqpMessageBody::Value(_) | AmqpMessageBody::Sequence(_) => None,
        }
    }
}

impl AsRef<[u8]> for Raw {
    /// The bytes that stand in one piece.
    fn as_ref(&self) -> &[u8] {
        match self.body() {
            Some(Cow::Borrowed(bytes)) => bytes,
            Some(Cow::Owned(_)) | None => &[],
        }
    }
}

/// Bounds a step that has no limit of its own.
async fn within<T>(
    limit: Duration,
    step: &'static str,
    config: &EventHubsConfig,
    future: impl Future<Output = T>,
) -> Result<T, EventHubsError> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| EventHubsError::TimedOut {
            host: config.host(),
            step,
            seconds: limit.as_secs(),
        })
}
