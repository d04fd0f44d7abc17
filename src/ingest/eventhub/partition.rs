//! The reader of one partition: open, read, and on any trouble start afresh.
//!
//! Invariant: the channel gets every message once and in order, whatever
//! happens to the network. The position is the sequence number last put into
//! the channel; each link is opened just after it, and what comes at or below
//! it is dropped. Nothing else remembers where we are.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Inlet;
use super::backoff::Backoff;
use super::config::Start;
use super::error::EventHubsError;
use super::lag::{LinkState, Slot};
use super::link::{Link, OPEN_MAX, Raw};
use super::start::Extent;
use crate::ingest::{Body, Decoded, Message, Source, Undecodable};

/// The longest time the check of a silent link may take, and the longest wait
/// for a message that is known to be there.
const CHECK_MAX: Duration = Duration::from_secs(10);
/// How long we wait before we try to take a partition back, so that two
/// daemons do not throw each other out in a tight loop.
const STOLEN_WAIT: Duration = Duration::from_secs(30);
/// How long a partition must seem to hold less than we have read before we
/// believe it: its properties may lag behind its messages.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// How long a step in flight may go on once we are told to stop. A link
/// dropped while it attaches would leave its half on the connection.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Reads one partition.
pub(super) struct Reader {
    inlet: Arc<Inlet>,
    hub: Arc<str>,
    partition: Arc<str>,
    slot: Arc<Slot>,
    /// The last sequence number put into the channel, or where to begin.
    position: Option<i64>,
    /// Where to begin without a position.
    start: Start,
    /// Since when we have been beyond the end of the partition.
    ahead_since: Option<Instant>,
    /// Whether a link ever worked. Until then a missing consumer group is a
    /// mistake in the configuration.
    proven: bool,
    backoff: Backoff,
    /// Failures since a link last worked.
    failures: u32,
}

/// How a link ended.
enum Ended {
    /// We were told to stop, or nobody takes messages any more.
    Stopped,
    /// The link worked, but can no longer be checked: the SDK keeps the token
    /// that its management client began with, and that one ran out.
    Expired,
    /// Nothing came, and the partition does not prove to be idle.
    Silent,
    /// Something failed.
    Failed(EventHubsError),
}

impl From<EventHubsError> for Ended {
    fn from(error: EventHubsError) -> Self {
        Self::Failed(error)
    }
}

impl Reader {
    /// A reader that begins after `position`, or without one as `start` says.
    pub(super) fn new(
        inlet: Arc<Inlet>,
        hub: Arc<str>,
        partition: Arc<str>,
        position: Option<i64>,
        start: Start,
    ) -> Self {
        let silence = inlet.config.silence;
        let contact_due = silence + 2 * check_max(silence);
        let slot = inlet
            .board
            .slot(&hub, &partition, contact_due, Timestamp::now());
        Self {
            inlet,
            hub,
            partition,
            slot,
            position,
            start,
            ahead_since: None,
            proven: false,
            backoff: Backoff::new(),
            failures: 0,
        }
    }

    /// Reads until `stop`, or until nobody takes messages; it obeys within a
    /// few seconds.
    ///
    /// # Errors
    /// When the consumer group does not exist and never did.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), EventHubsError> {
        loop {
            let opened = Instant::now();
            let mut proven_at = opened;
            let ended = self.one_link(&stop, &mut proven_at).await;
            let mut wait = self.backoff.after(proven_at.duration_since(opened));
            match ended {
                Ended::Stopped => return Ok(()),
                Ended::Expired => continue,
                Ended::Silent => {
                    let problem = "nothing came, and the partition is not known to be idle";
                    self.reopening("silent", LinkState::Waiting, problem, wait);
                }
                Ended::Failed(error) if error.is_not_found() && !self.proven => return Err(error),
                Ended::Failed(error) => {
                    let state = error.state();
                    if state == LinkState::Stolen {
                        wait += STOLEN_WAIT;
                    }
                    self.reopening(error.reason(), state, &error.to_string(), wait);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(wait) => self.slot.set_state(LinkState::Opening),
            }
        }
    }

    /// Opens a link, reads from it until it ends, and closes it. `proven_at`
    /// becomes the time of the last proof that the link works.
    async fn one_link(&mut self, stop: &CancellationToken, proven_at: &mut Instant) -> Ended {
        let opening = Link::open(&self.inlet.config, &self.hub, &self.inlet.credential);
        let link = match or_stop(stop, opening).await {
            Some(Ok(link)) => link,
            Some(Err(error)) => return error.into(),
            None => return Ended::Stopped,
        };
        let Err(ended) = self.read(&link, stop, proven_at).await;
        link.close().await;
        ended
    }

    /// Never returns but with the way it ended.
    async fn read(
        &mut self,
        link: &Link,
        stop: &CancellationToken,
        proven_at: &mut Instant,
    ) -> Result<Infallible, Ended> {
        let extent = self.extent(link, OPEN_MAX, stop).await?;
        self.begin(&extent, stop).await?;
        // Before the oldest message there is no message to name.
        let after = self.position.filter(|&p| p >= extent.begin.max(0));
        let receiver = link.receiver(&self.partition, after).await?;
        let mut messages = receiver.messages();
        let silence = self.inlet.config.silence;
        let mut overdue = false;
        loop {
            let patience = if overdue { check_max(silence) } else { silence };
            // Only the poll is given up, never the stream: see `messages`.
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Ended::Stopped),
                polled = timeout(patience, messages.next()) => polled,
            };
            match polled {
                Ok(Some(Ok(raw))) => {
                    *proven_at = Instant::now();
                    overdue = false;
                    self.take(raw, stop).await?;
                }
                Ok(Some(Err(error))) => return Err(error.into()),
                Ok(None) => return Err(self.lost("the messages ended").into()),
                // There is more, we were told, and still nothing came.
                Err(_) if overdue => return Err(Ended::Silent),
                Err(_) => {
                    let newest = self.check(link, stop).await?;
                    *proven_at = Instant::now();
                    overdue = self.position != Some(newest);
                }
            }
            self.works();
        }
    }

    /// Settles where to begin, and says what that means.
    async fn begin(&mut self, extent: &Extent, stop: &CancellationToken) -> Result<(), Ended> {
        let beginning = extent.beginning(self.position, self.start);
        if beginning.lost > 0 {
            self.count_lost(
                beginning.lost,
                "retention dropped messages before they were read",
            );
        }
        if !beginning.ahead {
            self.ahead_since = None;
        } else if self.ahead_since.get_or_insert_with(Instant::now).elapsed() >= AHEAD_MAX {
            return Err(Ended::Failed(EventHubsError::PositionAhead {
                hub: self.hub.to_string(),
                partition: self.partition.to_string(),
                position: beginning.after,
                newest: extent.last,
            }));
        }
        if self.position.is_none() && self.start == Start::Latest {
            self.mark(beginning.after, stop).await?;
        }
        self.position = Some(beginning.after);
        self.slot.set_state(LinkState::Reading);
        self.slot
            .properties(beginning.after, extent.last, Timestamp::now());
        tracing::debug!(
            eventhub.name = %self.hub, eventhub.partition = %self.partition,
            after = beginning.after, behind = extent.last.saturating_sub(beginning.after),
            "reading"
        );
        Ok(())
    }

    /// Sends the place where "latest" was when we first came, with no record,
    /// so that it is stored: a restart before the first message then begins
    /// here and not at a later "latest".
    async fn mark(&self, sequence: i64, stop: &CancellationToken) -> Result<(), Ended> {
        let now = Timestamp::now();
        let message = Message {
            source: self.source(sequence),
            enqueued_at: now,
            received_at: now,
            content: Decoded::default(),
            body: None,
        };
        self.send(message, stop).await
    }

    fn source(&self, sequence: i64) -> Source {
        Source {
            hub: Arc::clone(&self.hub),
            partition: Arc::clone(&self.partition),
            sequence,
        }
    }

    /// Decodes a message and hands it on, unless it was handed on before.
    async fn take(&mut self, raw: Raw, stop: &CancellationToken) -> Result<(), Ended> {
        let received_at = Timestamp::now();
        let (Some(sequence), Some(enqueued_at)) = (raw.sequence(), raw.enqueued_at()) else {
            return Err(self
                .lost("a message has no sequence number or no enqueued time")
                .into());
        };
        let expected = self.position.map_or(sequence, |p| p.saturating_add(1));
        if sequence < expected {
            return Ok(());
        }
        if sequence > expected {
            self.count_lost(
                sequence.abs_diff(expected),
                "messages are missing from the partition",
            );
        }
        let message = tracing::debug_span!(
            "message",
            eventhub.name = %self.hub,
            eventhub.partition = %self.partition,
            eventhub.sequence = sequence
        );
        let content = message.in_scope(|| {
            let content = self.decode(&raw, enqueued_at);
            tracing::debug!(
                events = content.events.len(),
                passed_over = content.passed_over.len(),
                quarantined = content.quarantined.len(),
                "decoded"
            );
            content
        });
        let body = match content.events.is_empty() {
            true => None,
            false => self.body(raw, stop).await?,
        };
        let message = Message {
            source: self.source(sequence),
            enqueued_at,
            received_at,
            content,
            body,
        };
        self.send(message, stop).await?;
        self.position = Some(sequence);
        self.slot.message(sequence, enqueued_at, received_at);
        Ok(())
    }

    fn decode(&self, raw: &Raw, enqueued_at: Timestamp) -> Decoded {
        let bytes_max = self.inlet.config.max_message_bytes;
        let quarantined = |bytes: &[u8], reason| Decoded {
            quarantined: vec![Undecodable {
                bytes: bytes[..bytes.len().min(bytes_max)].to_vec(),
                index: None,
                reason,
            }],
            ..Decoded::default()
        };
        match raw.body() {
            Some(body) if body.len() <= bytes_max => (self.inlet.decode)(&body, enqueued_at),
            Some(body) => {
                let reason = format!(
                    "message: {} bytes, expected at most {bytes_max} (event_hubs.max_message_bytes)",
                    body.len()
                );
                quarantined(&body, reason)
            }
            None => quarantined(&[], "message: an AMQP value, expected bytes".into()),
        }
    }

    /// The bytes to keep, once there is room for them.
    async fn body(&self, raw: Raw, stop: &CancellationToken) -> Result<Option<Body>, Ended> {
        let Some(room) = &self.inlet.bodies else {
            return Ok(None);
        };
        let Some(bytes) = raw.into_body() else {
            return Ok(None);
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Ended::Stopped),
            body = room.take(bytes) => Ok(Some(body)),
        }
    }

    /// Waits for room: the link's credit then stops the broker.
    async fn send(&self, message: Message, stop: &CancellationToken) -> Result<(), Ended> {
        let permit = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            permit = self.inlet.out.reserve() => permit.map_err(|_| Ended::Stopped)?,
        };
        permit.send(message);
        Ok(())
    }

    /// Asks, on the silent link's own connection, what the partition holds,
    /// and returns its newest sequence number.
    async fn check(&self, link: &Link, stop: &CancellationToken) -> Result<i64, Ended> {
        let limit = check_max(self.inlet.config.silence);
        match self.extent(link, limit, stop).await {
            Ok(extent) => {
                let position = self.position.unwrap_or(extent.last);
                self.slot
                    .properties(position, extent.last, Timestamp::now());
                Ok(extent.last)
            }
            Err(Ended::Failed(EventHubsError::Unauthorized { .. })) => Err(Ended::Expired),
            // Whatever the reason, a new link shows what is the matter.
            Err(Ended::Failed(error)) => {
                tracing::debug!(
                    eventhub.name = %self.hub, eventhub.partition = %self.partition, %error,
                    "a silent link cannot be checked"
                );
                Err(Ended::Silent)
            }
            Err(ended) => Err(ended),
        }
    }

    async fn extent(
        &self,
        link: &Link,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Result<Extent, Ended> {
        let asked = or_stop(stop, link.extent(&self.partition, limit)).await;
        Ok(asked.ok_or(Ended::Stopped)??)
    }

    /// The link proved to work.
    fn works(&mut self) {
        if self.failures > 0 {
            tracing::info!(
                eventhub.name = %self.hub, eventhub.partition = %self.partition,
                failures = self.failures, "reading again"
            );
        }
        self.failures = 0;
        self.proven = true;
    }

    /// Says that the link is opened again, loudly once per outage.
    fn reopening(&mut self, reason: &'static str, state: LinkState, problem: &str, wait: Duration) {
        self.slot.set_state(state);
        self.inlet
            .metrics
            .ingest_reopened(&self.hub, reason)
            .increment(1);
        self.failures = self.failures.saturating_add(1);
        let retry_ms = wait.as_millis();
        let (hub, partition) = (&self.hub, &self.partition);
        if self.failures.is_power_of_two() && state != LinkState::Waiting {
            tracing::error!(eventhub.name = %hub, eventhub.partition = %partition, reason, retry_ms, "{problem}");
        } else if self.failures.is_power_of_two() {
            tracing::warn!(eventhub.name = %hub, eventhub.partition = %partition, reason, retry_ms, "{problem}");
        } else {
            tracing::debug!(eventhub.name = %hub, eventhub.partition = %partition, reason, retry_ms, "{problem}");
        }
    }

    fn count_lost(&self, messages: u64, problem: &str) {
        self.inlet
            .metrics
            .ingest_lost(&self.hub)
            .increment(messages);
        tracing::error!(
            eventhub.name = %self.hub, eventhub.partition = %self.partition,
            position = self.position, messages, "{problem}"
        );
    }

    fn lost(&self, detail: &str) -> EventHubsError {
        EventHubsError::Lost {
            hub: self.hub.to_string(),
            detail: detail.to_owned(),
        }
    }
}

/// A check takes no longer than the silence that calls for it.
fn check_max(silence: Duration) -> Duration {
    silence.min(CHECK_MAX)
}

/// Runs a step to its end, or until `stop` and a little longer: `None`.
pub(super) async fn or_stop<T>(
    stop: &CancellationToken,
    step: impl Future<Output = T>,
) -> Option<T> {
    let stopped = async {
        stop.cancelled().await;
        sleep(STOP_GRACE).await;
    };
    tokio::select! {
        biased;
        done = step => Some(done),
        () = stopped => None,
    }
}

#[cfg(test)]
mod tests {
    use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
    use tokio::sync::mpsc;

    use super::*;
    use crate::ingest::eventhub::{EventHubsConfig, LagBoard};
    use crate::telemetry::Metrics;

    #[derive(Debug)]
    struct Nobody;

    #[async_trait::async_trait]
    impl TokenCredential for Nobody {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            unreachable!("nothing here connects")
        }
    }

    /// A reader, and where its messages go.
    fn reader(position: Option<i64>, start: Start) -> (Reader, mpsc::Receiver<Message>) {
        let config: EventHubsConfig = serde_json::from_value(serde_json::json!({
            "namespace": "contoso.servicebus.windows.net", "hubs": ["signins"],
        }))
        .unwrap();
        let metrics = Metrics::new().unwrap();
        let (out, inbox) = mpsc::channel(8);
        let inlet = Inlet {
            config: Arc::new(config),
            credential: Arc::new(Nobody),
            decode: |_, _| Decoded::default(),
            bodies: None,
            out,
            board: LagBoard::new(Arc::clone(&metrics)),
            metrics,
        };
        let reader = Reader::new(
            Arc::new(inlet),
            "signins".into(),
            "0".into(),
            position,
            start,
        );
        (reader, inbox)
    }

    const EXTENT: Extent = Extent {
        begin: 0,
        last: 9,
        empty: false,
    };

    #[tokio::test]
    async fn being_beyond_the_end_is_believed_only_after_a_minute() {
        let stop = CancellationToken::new();
        let (mut reader, _inbox) = reader(Some(50), Start::Latest);
        assert!(reader.ahead_since.is_none());
        assert!(reader.begin(&EXTENT, &stop).await.is_ok());
        assert!(reader.begin(&EXTENT, &stop).await.is_ok());
        reader.ahead_since = reader.ahead_since.and_then(|t| t.checked_sub(AHEAD_MAX));
        let Err(Ended::Failed(error)) = reader.begin(&EXTENT, &stop).await else {
            panic!("not believed");
        };
        assert!(
            error.to_string().contains("up to 50, but it ends at 9"),
            "{error}"
        );
        // The properties had lagged after all.
        let caught_up = Extent { last: 50, ..EXTENT };
        assert!(reader.begin(&caught_up, &stop).await.is_ok());
        assert!(reader.begin(&EXTENT, &stop).await.is_ok());
    }

    #[tokio::test]
    async fn only_the_first_latest_is_marked() {
        let stop = CancellationToken::new();
        let (mut latest, mut inbox) = reader(None, Start::Latest);
        assert!(latest.begin(&EXTENT, &stop).await.is_ok());
        let grown = Extent { last: 20, ..EXTENT };
        assert!(latest.begin(&grown, &stop).await.is_ok());
        assert_eq!(inbox.try_recv().unwrap().source.sequence, 9);
        assert!(inbox.try_recv().is_err());
        assert_eq!(latest.position, Some(9));

        let (mut earliest, mut inbox) = reader(None, Start::Earliest);
        assert!(earliest.begin(&EXTENT, &stop).await.is_ok());
        assert!(inbox.try_recv().is_err());
        assert_eq!(earliest.position, Some(-1));
    }
}
