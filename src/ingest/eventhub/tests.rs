//! The receiver against the lab's Event Hubs, with everything that a network
//! and a broker do to it.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::ingest::Undecodable;
use crate::lab::hub::{EventHubs, EventHubsOptions};
use crate::lab::pki::Pki;

const HUB: &str = "signins";
/// Far longer than anything here takes, also on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a stop may take: the grace, the goodbye, and a loaded machine.
const STOP_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Token;

#[async_trait::async_trait]
impl TokenCredential for Token {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let expires_on = OffsetDateTime::now_utc() + Duration::from_secs(3600);
        Ok(AccessToken::new(Secret::new("good"), expires_on))
    }
}

fn credential() -> Arc<dyn TokenCredential> {
    Arc::new(Token)
}

/// Keeps the bytes where a test can see them.
fn keep(bytes: &[u8], _: Timestamp) -> Decoded {
    let record = Undecodable {
        bytes: bytes.to_vec(),
        index: None,
        reason: "kept".into(),
    };
    Decoded {
        quarantined: vec![record],
        ..Decoded::default()
    }
}

fn options(partitions: usize) -> EventHubsOptions {
    EventHubsOptions::new([(HUB, partitions)], Arc::new(|token, _| token == "good"))
}

async fn hub(partitions: usize) -> EventHubs {
    EventHubs::start(options(partitions)).await.unwrap()
}

fn body(sequence: i64) -> Vec<u8> {
    format!("event {sequence}").into_bytes()
}

fn publish(hub: &EventHubs, partition: usize, count: usize) {
    for _ in 0..count {
        let next = i64::try_from(hub.len(HUB, partition)).unwrap();
        let published = hub.publish(HUB, partition, body(next));
        assert_eq!(published.sequence_number, next);
    }
}

fn config_for(endpoint: String, changes: &Value) -> Arc<EventHubsConfig> {
    let mut config = json!({
        "namespace": "lab.servicebus.windows.net", "hubs": [HUB], "endpoint": endpoint,
        "start": "earliest", "silence": "30s",
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    Arc::new(serde_json::from_value(config).unwrap())
}

fn config(hub: &EventHubs, changes: &Value) -> Arc<EventHubsConfig> {
    config_for(format!("amqp://{}", hub.address()), changes)
}

/// A running receiver and what it is seen by.
struct Running {
    inbox: mpsc::Receiver<Message>,
    board: Arc<LagBoard>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

fn start_with(config: Arc<EventHubsConfig>, positions: Vec<Source>, room: usize) -> Running {
    let metrics = Metrics::new().unwrap();
    let board = LagBoard::new(Arc::clone(&metrics));
    let (out, inbox) = mpsc::channel(room);
    let stop = CancellationToken::new();
    let inlet = Inlet {
        config,
        credential: credential(),
        decode: keep,
        bodies: Some(Room::new(1 << 20)),
        out,
        metrics: Arc::clone(&metrics),
        board: Arc::clone(&board),
    };
    let task = tokio::spawn(receive(inlet, positions, stop.clone()));
    Running {
        inbox,
        board,
        metrics,
        stop,
        task,
    }
}

fn start(hub: &EventHubs, changes: Value) -> Running {
    start_with(config(hub, &changes), Vec::new(), 8)
}

fn position(partition: usize, sequence: i64) -> Source {
    Source {
        hub: HUB.into(),
        partition: partition.to_string().into(),
        sequence,
    }
}

impl Running {
    async fn next(&mut self) -> Message {
        let received = timeout(PATIENCE, self.inbox.recv()).await;
        received.expect("a message in time").expect("a receiver")
    }

    /// The next message must be this one.
    async fn expect(&mut self, partition: usize, sequence: i64) {
        let message = self.next().await;
        assert_eq!(message.source, position(partition, sequence));
        assert_eq!(message.content.quarantined[0].bytes, body(sequence));
        assert!(
            message
                .received_at
                .duration_since(message.enqueued_at)
                .as_secs()
                < 60
        );
    }

    /// A place marked, per partition.
    async fn marks(&mut self, count: usize) -> BTreeMap<Arc<str>, i64> {
        let mut marks = BTreeMap::new();
        for _ in 0..count {
            let message = self.next().await;
            assert!(message.content.quarantined.is_empty(), "{message:?}");
            marks.insert(message.source.partition, message.source.sequence);
        }
        marks
    }

    fn state(&self, partition: usize) -> Option<LinkState> {
        let status = self.board.snapshot(jiff::Timestamp::now());
        status.get(partition).map(|status| status.state)
    }

    /// The value of a metric that ends so, 0 where there is none.
    fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.metrics.render();
        text.lines()
            .filter(|line| line.starts_with(name) && line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    fn reopened(&self, reason: &str) -> f64 {
        let label = format!("reason=\"{reason}\"");
        self.metric("evictd_ingest_reopened_total{", &label)
    }

    /// Stops, and returns what was still in the channel.
    async fn stop(mut self) -> Vec<Message> {
        self.stop.cancel();
        let ended = timeout(STOP_MAX, self.task).await;
        ended.expect("a stop in time").unwrap().unwrap();
        let mut rest = Vec::new();
        while let Ok(message) = self.inbox.try_recv() {
            rest.push(message);
        }
        rest
    }
}

/// Waits until something holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

/// Publishes the same number of messages to each partition.
fn publish_all(hub: &EventHubs, count: usize) {
    (0..hub.partition_count(HUB)).for_each(|partition| publish(hub, partition, count));
}

/// Takes everything as it comes, so that no reader ever waits for a test.
fn pump(running: &mut Running) -> mpsc::UnboundedReceiver<Message> {
    let mut inbox = std::mem::replace(&mut running.inbox, mpsc::channel(1).1);
    let (taken, taken_rx) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = inbox.recv().await {
            taken.send(message).unwrap();
        }
    });
    taken_rx
}

/// All that was published must come, once and in order, and nothing else.
async fn expect_everything(
    hub: &EventHubs,
    running: Running,
    mut taken: mpsc::UnboundedReceiver<Message>,
) {
    let partitions = hub.partition_count(HUB);
    let mut expected = vec![0_i64; partitions];
    let total: u64 = (0..partitions).map(|p| hub.len(HUB, p)).sum();
    for _ in 0..total {
        let message = timeout(PATIENCE, taken.recv()).await;
        let message = message.expect("a message in time").unwrap();
        let partition: usize = message.source.partition.parse().unwrap();
        let next = expected[partition];
        assert_eq!(message.source.sequence, next, "partition {partition}");
        assert_eq!(message.content.quarantined[0].bytes, body(next));
        expected[partition] += 1;
    }
    assert_eq!(running.metric("evictd_ingest_lost_total", ""), 0.0);
    running.stop().await;
    assert!(taken.recv().await.is_none(), "a message too many");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_comes_once_and_in_order_across_kills_and_detaches() {
    let hub = hub(3).await;
    publish_all(&hub, 1);
    let mut running = start(&hub, json!({"prefetch": 7}));
    let taken = pump(&mut running);
    for _ in 0..2 {
        publish_all(&hub, 20);
        hub.kill_connections();
        publish_all(&hub, 20);
    }
    let conditions = [
        "amqp:link:detach-forced",
        "com.microsoft:server-busy",
        "amqp:internal-error",
    ];
    for condition in conditions {
        for partition in 0..hub.partition_count(HUB) {
            let detached = || hub.detach(HUB, partition, condition) > 0;
            eventually("a reader to detach", detached).await;
        }
        publish_all(&hub, 20);
    }
    expect_everything(&hub, running, taken).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_comes_once_and_in_order_across_an_outage_and_a_black_hole() {
    let hub = hub(3).await;
    publish_all(&hub, 20);
    let mut running = start(&hub, json!({"silence": "500ms", "prefetch": 7}));
    let taken = pump(&mut running);
    eventually("reading", || running.board.health().is_ok()).await;
    let before = running.reopened("error");
    hub.outage(true);
    let felt = || running.reopened("error") >= before + 6.0;
    eventually("an outage that is felt twice by each", felt).await;
    publish_all(&hub, 20);
    hub.outage(false);
    publish_all(&hub, 20);
    // A link that is being opened waits longer than one that is silent.
    eventually("reading again", || running.board.health().is_ok()).await;
    let before = running.reopened("silent");
    hub.stall(true);
    publish_all(&hub, 20);
    let noticed = || running.reopened("silent") > before;
    eventually("silence that is noticed", noticed).await;
    hub.stall(false);
    publish_all(&hub, 20);
    expect_everything(&hub, running, taken).await;
}

#[tokio::test]
async fn reading_from_the_latest_loses_nothing_that_comes_after_the_mark() {
    let hub = hub(2).await;
    publish(&hub, 0, 5);
    let mut running = start(&hub, json!({"start": "latest"}));
    let marks = running.marks(2).await;
    assert_eq!(marks, BTreeMap::from([("0".into(), 4), ("1".into(), -1)]));
    // The first links are gone before anything came.
    hub.outage(true);
    publish_all(&hub, 1);
    hub.outage(false);
    let mut got = vec![running.next().await.source, running.next().await.source];
    got.sort_by(|a, b| a.partition.cmp(&b.partition));
    assert_eq!(got, [position(0, 5), position(1, 0)]);
    assert!(running.stop().await.is_empty());

    // Nor does a restart that knows only the marks.
    let positions = vec![position(0, 4), position(1, -1)];
    let mut again = start_with(config(&hub, &json!({"start": "latest"})), positions, 8);
    let mut got = vec![again.next().await.source, again.next().await.source];
    got.sort_by(|a, b| a.partition.cmp(&b.partition));
    assert_eq!(got, [position(0, 5), position(1, 0)]);
    again.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_after_the_stored_position() {
    let hub = hub(1).await;
    publish(&hub, 0, 10);
    let mut running = start_with(config(&hub, &json!({})), vec![position(0, 6)], 8);
    for sequence in 7..10 {
        running.expect(0, sequence).await;
    }
    publish(&hub, 0, 1);
    running.expect(0, 10).await;
    assert!(running.stop().await.is_empty());
}

#[tokio::test]
async fn what_retention_dropped_is_counted_and_the_rest_is_read() {
    let mut options = options(1);
    options.retained_events_max = 4;
    let hub = EventHubs::start(options).await.unwrap();
    publish(&hub, 0, 10);
    let mut running = start_with(config(&hub, &json!({})), vec![position(0, 2)], 8);
    for sequence in 6..10 {
        running.expect(0, sequence).await;
    }
    assert_eq!(running.metric("evictd_ingest_lost_total", HUB), 3.0);
    running.stop().await;
}

#[tokio::test]
async fn a_position_beyond_the_end_of_the_partition_reads_nothing_and_shows_as_lag() {
    let hub = hub(1).await;
    publish(&hub, 0, 3);
    let running = start_with(config(&hub, &json!({})), vec![position(0, 999)], 8);
    eventually("two attempts", || running.reopened("error") >= 2.0).await;
    let status = &running.board.snapshot(jiff::Timestamp::now())[0];
    assert_eq!(status.contact_at, None);
    assert!(status.lag_seconds > 0.0);
    assert!(running.stop().await.is_empty());
}

#[tokio::test]
async fn a_reader_that_was_robbed_says_so_and_stays_away() {
    let hub = hub(1).await;
    publish(&hub, 0, 1);
    let mut first = start(&hub, json!({}));
    first.expect(0, 0).await;
    let later = config(&hub, &json!({"owner_level": 1}));
    let mut second = start_with(later, vec![position(0, 0)], 8);
    eventually("theft", || first.state(0) == Some(LinkState::Stolen)).await;
    assert_eq!(first.reopened("stolen"), 1.0);
    assert!(
        first
            .board
            .health()
            .unwrap_err()
            .contains("signins/0: stolen")
    );
    for sequence in 1..100 {
        publish(&hub, 0, 1);
        second.expect(0, sequence).await;
    }
    assert_eq!(hub.receiver_attaches(HUB, 0), 2);
    assert!(first.stop().await.is_empty());

    // One that comes with a lower epoch is turned away and waits as well.
    let third = start(&hub, json!({}));
    eventually("refusal", || third.state(0) == Some(LinkState::Stolen)).await;
    third.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_refused_token_is_named_and_reading_goes_on_once_it_is_taken() {
    let hub = hub(1).await;
    publish(&hub, 0, 1);
    hub.deny_tokens(true);
    let error = discover(&config(&hub, &json!({})), &credential())
        .await
        .unwrap_err();
    assert!(
        matches!(error, EventHubsError::Unauthorized { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("Azure Event Hubs Data Receiver"),
        "{error}"
    );

    let mut running = start(&hub, json!({}));
    let refused = hub.counts().tokens_refused;
    eventually("two attempts", || {
        hub.counts().tokens_refused >= refused + 2
    })
    .await;
    assert!(running.board.health().is_err());
    hub.deny_tokens(false);
    running.expect(0, 0).await;

    hub.deny_tokens(true);
    hub.kill_connections();
    eventually("refusal", || {
        running.state(0) == Some(LinkState::Unauthorized)
    })
    .await;
    publish(&hub, 0, 1);
    hub.deny_tokens(false);
    running.expect(0, 1).await;
    assert!(running.reopened("unauthorized") >= 1.0);
    running.stop().await;
}

#[tokio::test]
async fn an_idle_partition_is_proven_idle_and_not_reopened() {
    let hub = hub(1).await;
    publish(&hub, 0, 1);
    let mut running = start(&hub, json!({"silence": "2s"}));
    running.expect(0, 0).await;
    let contact = || running.board.snapshot(jiff::Timestamp::now())[0].contact_at;
    for _ in 0..2 {
        let before = contact();
        eventually("a check", || contact() > before).await;
    }
    let status = &running.board.snapshot(jiff::Timestamp::now())[0];
    assert_eq!((status.state, status.behind), (LinkState::Reading, 0));
    assert_eq!(status.lag_seconds, 0.0);
    assert_eq!(hub.receiver_attaches(HUB, 0), 1);
    // The link is still good.
    publish(&hub, 0, 1);
    running.expect(0, 1).await;
    assert_eq!(hub.receiver_attaches(HUB, 0), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_message_too_large_is_kept_in_part_and_reading_goes_on() {
    let hub = hub(1).await;
    hub.publish(HUB, 0, vec![b'x'; 100]);
    publish(&hub, 0, 1);
    let mut running = start(&hub, json!({"max_message_bytes": 10}));
    let quarantined = running.next().await.content.quarantined;
    assert_eq!(quarantined[0].bytes, b"xxxxxxxxxx");
    assert!(
        quarantined[0].reason.contains("100 bytes"),
        "{}",
        quarantined[0].reason
    );
    running.expect(0, 1).await;
    running.stop().await;
}

#[tokio::test]
async fn what_the_configuration_names_and_is_not_there_ends_the_receiver() {
    let hub = hub(1).await;
    let table = [
        (json!({"hubs": ["absent"]}), "has no event hub absent"),
        (
            json!({"consumer_group": "absent"}),
            "has no consumer group absent",
        ),
        (json!({"hubs": [HUB, "absent"]}), "has no event hub absent"),
    ];
    for (changes, expected) in table {
        let running = start(&hub, changes);
        let ended = timeout(PATIENCE, running.task)
            .await
            .expect("an end")
            .unwrap();
        let error = ended.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            error
                .downcast_ref::<EventHubsError>()
                .is_some_and(EventHubsError::is_not_found)
        );
    }
}

#[tokio::test]
async fn a_hub_that_disappears_while_it_is_read_is_waited_for() {
    let hub = hub(1).await;
    publish(&hub, 0, 1);
    let mut running = start(&hub, json!({}));
    running.expect(0, 0).await;
    hub.refuse_receivers(Some("amqp:not-found"));
    hub.kill_connections();
    eventually("two attempts", || running.reopened("error") >= 3.0).await;
    publish(&hub, 0, 1);
    hub.refuse_receivers(None);
    running.expect(0, 1).await;
    running.stop().await;
}

#[tokio::test]
async fn what_keeps_us_from_connecting_is_named() {
    let pki = Pki::generate().unwrap();
    let mut options = options(1);
    options.tls = Some(pki.server_config().unwrap());
    let hub = EventHubs::start(options).await.unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = closed.local_addr().unwrap();
    drop(closed);
    let foreign = format!("amqps://localhost:{}", hub.tls_address().unwrap().port());
    let plain = format!("amqps://localhost:{}", hub.address().port());
    let table = [
        (format!("amqp://{refused}"), "refuses connections"),
        (
            "amqps://nowhere.invalid:5671".to_owned(),
            "does not resolve",
        ),
        (foreign, "SSL_CERT_FILE"),
        (plain, "localhost"),
    ];
    for (endpoint, expected) in table {
        let config = config_for(endpoint.clone(), &json!({}));
        let error = discover(&config, &credential()).await.unwrap_err();
        assert!(
            error.to_string().contains(expected),
            "{endpoint}: {error} {error:?}"
        );
    }
    let found = discover(&config(&hub, &json!({})), &credential())
        .await
        .unwrap();
    assert_eq!(found, [(HUB.to_owned(), vec!["0".to_owned()])]);
}

#[tokio::test]
async fn a_stop_is_obeyed_in_time_wherever_the_receiver_is() {
    // Nobody takes messages, and the channel is full.
    let hub = hub(1).await;
    publish(&hub, 0, 50);
    let full = start_with(config(&hub, &json!({})), Vec::new(), 1);
    eventually("a full channel", || full.inbox.len() == 1).await;
    let rest = full.stop().await;
    assert_eq!(rest.len(), 1);

    // The network swallows everything, before and after the link is up.
    let mut reading = start(&hub, json!({}));
    reading.expect(0, 0).await;
    hub.stall(true);
    let before = hub.counts().connections_opened;
    let opening = start(&hub, json!({}));
    let hangs = || hub.counts().connections_opened > before;
    eventually("a connection that hangs", hangs).await;
    opening.stop().await;
    reading.stop().await;
}

#[tokio::test]
async fn the_receiver_ends_when_nobody_takes_messages_any_more() {
    let hub = hub(2).await;
    publish(&hub, 0, 1);
    let running = start(&hub, json!({}));
    drop(running.inbox);
    let ended = timeout(STOP_MAX, running.task).await;
    ended.expect("an end in time").unwrap().unwrap();
}
