//! The stand-in, driven by the SDK the product is built on.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use azure_messaging_eventhubs::models::ReceivedEventData;
use azure_messaging_eventhubs::{
    ConsumerClient, EventDataBatchOptions, EventHubsError, EventReceiver, OpenReceiverOptions,
    ProducerClient, RetryOptions, SendEventOptions, StartLocation, StartPosition,
};
use futures::StreamExt as _;

use super::{Counts, EventHubs, EventHubsOptions, SasKey};
use crate::lab::pki::Pki;

const HUB: &str = "signins";
const NAMESPACE: &str = "lab.servicebus.windows.net";
const GOOD_TOKEN: &str = "good";

/// Far longer than anything here takes, also on a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a reader that should get nothing is given to get something.
const SILENCE: Duration = Duration::from_millis(300);

#[derive(Debug)]
struct Token(&'static str);

#[async_trait::async_trait]
impl TokenCredential for Token {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let expires_on = OffsetDateTime::now_utc() + Duration::from_secs(3600);
        Ok(AccessToken::new(Secret::new(self.0), expires_on))
    }
}

fn options(partitions: usize) -> EventHubsOptions {
    let check = |token: &str, audience: &str| {
        token == GOOD_TOKEN && audience.starts_with(&format!("amqps://{NAMESPACE}/{HUB}"))
    };
    EventHubsOptions::new([(HUB, partitions)], Arc::new(check))
}

async fn start(partitions: usize) -> EventHubs {
    EventHubs::start(options(partitions)).await.unwrap()
}

fn no_retries() -> RetryOptions {
    RetryOptions {
        max_retries: 0,
        ..RetryOptions::default()
    }
}

async fn connect(
    hubs: &EventHubs,
    token: &'static str,
    group: &str,
) -> Result<ConsumerClient, EventHubsError> {
    ConsumerClient::builder()
        .with_retry_options(no_retries())
        .with_consumer_group(group.to_owned())
        .with_custom_endpoint(format!("amqp://{}", hubs.address()))
        .open(NAMESPACE, HUB.to_owned(), Arc::new(Token(token)))
        .await
}

async fn consumer_with(hubs: &EventHubs, token: &'static str, group: &str) -> ConsumerClient {
    connect(hubs, token, group).await.unwrap()
}

async fn consumer(hubs: &EventHubs) -> ConsumerClient {
    consumer_with(hubs, GOOD_TOKEN, "$Default").await
}

async fn producer(hubs: &EventHubs) -> ProducerClient {
    ProducerClient::builder()
        .with_retry_options(no_retries())
        .with_custom_endpoint(format!("amqp://{}", hubs.address()))
        .open(NAMESPACE, HUB, Arc::new(Token(GOOD_TOKEN)))
        .await
        .unwrap()
}

fn at(location: StartLocation, inclusive: bool) -> OpenReceiverOptions {
    OpenReceiverOptions {
        start_position: Some(StartPosition {
            location,
            inclusive,
        }),
        ..OpenReceiverOptions::default()
    }
}

fn earliest() -> OpenReceiverOptions {
    at(StartLocation::Earliest, false)
}

fn owned(level: i64) -> OpenReceiverOptions {
    OpenReceiverOptions {
        owner_level: Some(level),
        ..earliest()
    }
}

async fn open(client: &ConsumerClient, id: usize, options: OpenReceiverOptions) -> EventReceiver {
    client
        .open_receiver_on_partition(id.to_string(), Some(options))
        .await
        .unwrap()
}

/// The next `count` events' sequence numbers and bodies, or the first error in words.
async fn take(receiver: &EventReceiver, count: usize) -> Result<Vec<(i64, String)>, String> {
    let mut events = Box::pin(receiver.stream_events());
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = tokio::time::timeout(PATIENCE, events.next()).await;
        let event = next.map_err(|_| "nothing came".to_owned())?;
        let event = event.ok_or("the stream ended")?;
        let event = event.map_err(|error| format!("{error:?}"))?;
        taken.push((event.sequence_number().unwrap(), body(&event)));
    }
    Ok(taken)
}

fn body(event: &ReceivedEventData) -> String {
    String::from_utf8(event.event_data().body().unwrap().to_vec()).unwrap()
}

async fn numbers(receiver: &EventReceiver, count: usize) -> Vec<i64> {
    let taken = take(receiver, count).await.unwrap();
    taken.into_iter().map(|(number, _)| number).collect()
}

async fn is_silent(receiver: &EventReceiver) -> bool {
    tokio::time::timeout(SILENCE, take(receiver, 1))
        .await
        .is_err()
}

/// Waits, within bounds, for what another task brings about.
async fn eventually(mut holds: impl FnMut() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .expect("it never held");
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("too slow")
}

fn publish(hubs: &EventHubs, partition: usize, count: usize) {
    for _ in 0..count {
        let next = hubs.len(HUB, partition);
        hubs.publish(HUB, partition, format!("p{partition} e{next}").into());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_starts_where_it_asks_on_each_partition() {
    let hubs = start(3).await;
    for partition in 0..3 {
        publish(&hubs, partition, 5);
    }
    let client = consumer(&hubs).await;
    for partition in 0..3 {
        let receiver = open(&client, partition, earliest()).await;
        let taken = take(&receiver, 5).await.unwrap();
        assert_eq!(taken[4], (4, format!("p{partition} e4")));
        receiver.close().await.unwrap();
    }
    let third = hubs.partition(HUB, 0).at(2).unwrap().published.clone();
    for (location, inclusive, first) in [
        (StartLocation::SequenceNumber(2), false, 3),
        (StartLocation::SequenceNumber(2), true, 2),
        (StartLocation::Offset(third.offset.clone()), false, 3),
        (StartLocation::Offset(third.offset), true, 2),
        (StartLocation::EnqueuedTime(std::time::UNIX_EPOCH), true, 0),
    ] {
        let case = format!("{location:?} {inclusive}");
        let client = consumer(&hubs).await;
        let receiver = open(&client, 0, at(location, inclusive)).await;
        assert_eq!(numbers(&receiver, 1).await, [first], "{case}");
        receiver.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_at_the_end_gets_only_what_comes_and_at_once() {
    let hubs = start(1).await;
    publish(&hubs, 0, 3);
    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, at(StartLocation::Latest, false)).await;
    let feed = async {
        eventually(|| hubs.receiver_attaches(HUB, 0) == 1).await;
        publish(&hubs, 0, 1);
    };
    let (taken, ()) = tokio::join!(numbers(&receiver, 1), feed);
    assert_eq!(taken, [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn annotations_carry_what_publish_returned() {
    let hubs = start(1).await;
    hubs.publish(HUB, 0, b"first".to_vec());
    let published = hubs.publish(HUB, 0, b"second".to_vec());
    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, at(StartLocation::SequenceNumber(0), false)).await;
    let mut events = Box::pin(receiver.stream_events());
    let event = in_time(events.next()).await.unwrap().unwrap();
    assert_eq!(event.sequence_number(), Some(published.sequence_number));
    assert_eq!(event.offset().as_deref(), Some(published.offset.as_str()));
    let enqueued = event.enqueued_time().unwrap();
    assert_eq!(
        jiff::Timestamp::try_from(enqueued).unwrap(),
        published.enqueued_at
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sent_event_and_a_batch_arrive_where_they_were_sent() {
    let hubs = start(3).await;
    let producer = producer(&hubs).await;
    let to_one = SendEventOptions {
        partition_id: Some("1".to_owned()),
    };
    producer.send_event("single", Some(to_one)).await.unwrap();
    send_batch(&producer, Some("0"), None, &["a", "b", "c"]).await;
    assert_eq!((hubs.len(HUB, 0), hubs.len(HUB, 1)), (3, 1));

    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, earliest()).await;
    let taken = take(&receiver, 3).await.unwrap();
    assert_eq!(taken[2], (2, "c".to_owned()));
    let receiver = open(&client, 1, earliest()).await;
    assert_eq!(
        take(&receiver, 1).await.unwrap(),
        [(0, "single".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_keeps_to_one_partition_and_no_key_goes_around() {
    let hubs = start(3).await;
    let producer = producer(&hubs).await;
    for _ in 0..2 {
        send_batch(&producer, None, Some("alice"), &["keyed"]).await;
    }
    let lengths = |hubs: &EventHubs| [0, 1, 2].map(|partition| hubs.len(HUB, partition));
    let keyed = lengths(&hubs);
    assert!(keyed.contains(&2), "{keyed:?}");
    for _ in 0..3 {
        send_batch(&producer, None, None, &["any"]).await;
    }
    assert_eq!(lengths(&hubs), keyed.map(|length| length + 1));
}

async fn send_batch(
    producer: &ProducerClient,
    partition: Option<&str>,
    key: Option<&str>,
    bodies: &[&str],
) {
    let options = EventDataBatchOptions {
        partition_id: partition.map(str::to_owned),
        partition_key: key.map(str::to_owned),
        ..EventDataBatchOptions::default()
    };
    let batch = producer.create_batch(Some(options)).await.unwrap();
    for body in bodies {
        assert!(batch.try_add_event_data(*body, None).unwrap());
    }
    producer.send_batch(batch, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn management_describes_the_hub_and_its_partitions() {
    let hubs = start(2).await;
    publish(&hubs, 1, 3);
    let client = consumer(&hubs).await;
    let hub = client.get_eventhub_properties().await.unwrap();
    assert_eq!(
        (hub.name.as_str(), hub.partition_ids),
        (HUB, vec!["0".to_owned(), "1".to_owned()])
    );
    let empty = client.get_partition_properties("0").await.unwrap();
    assert!(empty.is_empty && empty.last_enqueued_sequence_number == -1);
    let full = client.get_partition_properties("1").await.unwrap();
    assert_eq!(
        (
            full.beginning_sequence_number,
            full.last_enqueued_sequence_number
        ),
        (0, 2)
    );
    let last = hubs
        .partition(HUB, 1)
        .at(2)
        .unwrap()
        .published
        .offset
        .clone();
    assert_eq!(full.last_enqueued_offset, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_higher_epoch_steals_and_a_lower_one_is_refused() {
    let hubs = start(1).await;
    publish(&hubs, 0, 1);
    let (first, second) = (consumer(&hubs).await, consumer(&hubs).await);
    let old = open(&first, 0, owned(1)).await;
    assert_eq!(numbers(&old, 1).await, [0]);
    let new = open(&second, 0, owned(2)).await;
    assert_eq!(numbers(&new, 1).await, [0]);
    let error = take(&old, 1).await.unwrap_err();
    assert!(
        error.contains("amqp:link:stolen") || error.contains("LinkStolen"),
        "{error}"
    );

    for late in [owned(1), earliest()] {
        let third = consumer(&hubs).await;
        let late = open(&third, 0, late).await;
        let error = take(&late, 1).await.unwrap_err();
        assert!(error.contains("epoch"), "{error}");
    }
    publish(&hubs, 0, 1);
    assert_eq!(numbers(&new, 1).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_groups_read_side_by_side_and_an_unknown_one_is_refused() {
    let mut options = options(1);
    options.consumer_groups.insert("evictd".to_owned());
    let hubs = EventHubs::start(options).await.unwrap();
    publish(&hubs, 0, 2);
    let one = consumer(&hubs).await;
    let other = consumer_with(&hubs, GOOD_TOKEN, "evictd").await;
    let (one, other) = (
        open(&one, 0, owned(1)).await,
        open(&other, 0, owned(1)).await,
    );
    assert_eq!(numbers(&one, 1).await, [0]);
    assert_eq!(numbers(&other, 2).await, [0, 1]);
    assert_eq!(numbers(&one, 1).await, [1]);

    let stranger = consumer_with(&hubs, GOOD_TOKEN, "unknown").await;
    let stranger = open(&stranger, 0, earliest()).await;
    assert!(take(&stranger, 1).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_and_denied_tokens_keep_readers_out() {
    let hubs = start(1).await;
    publish(&hubs, 0, 1);
    let bad = consumer_with(&hubs, "bad", "$Default").await;
    assert!(take(&open(&bad, 0, earliest()).await, 1).await.is_err());

    hubs.deny_tokens(true);
    let good = consumer(&hubs).await;
    assert!(take(&open(&good, 0, earliest()).await, 1).await.is_err());
    let counts = hubs.counts();
    assert_eq!(counts.tokens_granted, 0);
    assert!(counts.tokens_refused >= 2, "{counts:?}");
    assert_eq!(hubs.receiver_attaches(HUB, 0), 0);

    hubs.deny_tokens(false);
    let good = consumer(&hubs).await;
    assert_eq!(numbers(&open(&good, 0, earliest()).await, 1).await, [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_strings_key_opens_the_hub_and_a_wrong_one_does_not() {
    let mut options = options(1);
    options.sas_key = Some(SasKey {
        name: "root".to_owned(),
        key: "c2VjcmV0".to_owned(),
    });
    let hubs = EventHubs::start(options).await.unwrap();
    publish(&hubs, 0, 1);
    for (key, opens) in [("c2VjcmV0", true), ("Z3Vlc3M=", false)] {
        let string = format!(
            "Endpoint=sb://{NAMESPACE}/;SharedAccessKeyName=root;SharedAccessKey={key};EntityPath={HUB}"
        );
        let client = ConsumerClient::builder()
            .with_retry_options(no_retries())
            .with_custom_endpoint(format!("amqp://{}", hubs.address()))
            .open_with_connection_string(&string, None)
            .await
            .unwrap();
        let receiver = open(&client, 0, earliest()).await;
        assert_eq!(take(&receiver, 1).await.is_ok(), opens, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_gets_no_more_than_its_credit() {
    let hubs = start(1).await;
    publish(&hubs, 0, 500);
    let client = consumer(&hubs).await;
    let mut options = earliest();
    options.prefetch = Some(10);
    let receiver = open(&client, 0, options).await;
    assert_eq!(numbers(&receiver, 1).await, [0]);
    assert!(hubs.counts().messages_delivered >= 1);
    // The one event taken may have been replaced; no credit covers a third ten.
    tokio::time::sleep(SILENCE).await;
    let delivered = hubs.counts().messages_delivered;
    assert!(delivered <= 20, "{delivered}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_end_the_stream_and_a_new_client_goes_on() {
    let hubs = start(1).await;
    publish(&hubs, 0, 1);
    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, earliest()).await;
    assert_eq!(numbers(&receiver, 1).await, [0]);
    hubs.kill_connections();
    assert!(take(&receiver, 1).await.is_err());

    publish(&hubs, 0, 1);
    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, at(StartLocation::SequenceNumber(0), false)).await;
    assert_eq!(numbers(&receiver, 1).await, [1]);
    assert_eq!(hubs.counts().connections_opened, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_detach_reaches_the_partitions_readers_with_its_condition() {
    let hubs = start(2).await;
    for condition in [
        "com.microsoft:server-busy",
        "amqp:link:detach-forced",
        "amqp:internal-error",
    ] {
        let client = consumer(&hubs).await;
        let receiver = open(&client, 0, at(StartLocation::Latest, false)).await;
        let attaches = hubs.receiver_attaches(HUB, 0);
        let fault = async {
            eventually(|| hubs.receiver_attaches(HUB, 0) > attaches).await;
            assert_eq!(hubs.detach(HUB, 1, condition), 0);
            eventually(|| hubs.detach(HUB, 0, condition) == 1).await;
        };
        let (taken, ()) = tokio::join!(take(&receiver, 1), fault);
        let error = taken.unwrap_err();
        assert!(
            error.contains("The lab detached this link."),
            "{condition}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_receivers_are_told_why() {
    let hubs = start(1).await;
    publish(&hubs, 0, 1);
    hubs.refuse_receivers(Some("com.microsoft:server-busy"));
    let client = consumer(&hubs).await;
    let error = take(&open(&client, 0, earliest()).await, 1)
        .await
        .unwrap_err();
    assert!(error.contains("The lab refuses receivers."), "{error}");
    hubs.refuse_receivers(None);
    let client = consumer(&hubs).await;
    assert_eq!(numbers(&open(&client, 0, earliest()).await, 1).await, [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_passes_nothing_and_loses_nothing() {
    let hubs = start(1).await;
    publish(&hubs, 0, 1);
    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, earliest()).await;
    assert_eq!(numbers(&receiver, 1).await, [0]);
    hubs.stall(true);
    publish(&hubs, 0, 1);
    assert!(is_silent(&receiver).await);
    // A newcomer is let in by TCP and hears nothing.
    let opened = hubs.counts().connections_opened;
    let stranger = connect(&hubs, GOOD_TOKEN, "$Default");
    assert!(tokio::time::timeout(SILENCE, stranger).await.is_err());
    assert_eq!(hubs.counts().connections_opened, opened + 1);
    hubs.stall(false);
    assert_eq!(numbers(&receiver, 1).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_ends_connections_and_lets_none_in_until_it_is_over() {
    let hubs = start(1).await;
    publish(&hubs, 0, 1);
    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, earliest()).await;
    assert_eq!(numbers(&receiver, 1).await, [0]);
    hubs.outage(true);
    assert!(take(&receiver, 1).await.is_err());
    let opened = hubs.counts().connections_opened;
    assert!(
        in_time(connect(&hubs, GOOD_TOKEN, "$Default"))
            .await
            .is_err()
    );
    assert_eq!(hubs.counts().connections_opened, opened);
    hubs.outage(false);
    let client = consumer(&hubs).await;
    assert_eq!(numbers(&open(&client, 0, earliest()).await, 1).await, [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reopening_at_ones_own_position_gets_each_event_once_across_kills() {
    const EVENTS: usize = 600;
    let hubs = start(1).await;
    publish(&hubs, 0, EVENTS);
    let mut seen: Vec<i64> = Vec::new();
    while seen.len() < EVENTS {
        let client = consumer(&hubs).await;
        let after = seen.last().copied().unwrap_or(-1);
        let receiver = open(&client, 0, at(StartLocation::SequenceNumber(after), false)).await;
        seen.extend(numbers(&receiver, 100).await);
        hubs.kill_connections();
    }
    assert_eq!(seen, (0..EVENTS as i64).collect::<Vec<_>>());
}

/// The SDK takes its authorities from `SSL_CERT_FILE`, which a process can only
/// be started with: so this test runs itself once more, as the reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_hub_serves_who_trusts_its_ca() {
    const READER: &str = "EVICTD_TEST_TLS_READER_OF_PORT";
    if let Ok(port) = std::env::var(READER) {
        let client = ConsumerClient::builder()
            .with_retry_options(no_retries())
            .with_custom_endpoint(format!("amqps://localhost:{port}"))
            .open(NAMESPACE, HUB.to_owned(), Arc::new(Token(GOOD_TOKEN)))
            .await
            .unwrap();
        assert_eq!(numbers(&open(&client, 0, earliest()).await, 1).await, [0]);
        return;
    }
    let pki = Pki::generate().unwrap();
    let stranger = Pki::generate().unwrap();
    let mut options = options(1);
    options.tls = Some(pki.server_config().unwrap());
    let hubs = EventHubs::start(options).await.unwrap();
    publish(&hubs, 0, 1);
    for (trusted, served) in [(&pki, true), (&stranger, false)] {
        let directory = tempfile::tempdir().unwrap();
        let authority = trusted.write_to(directory.path()).unwrap().authority;
        let mut reader = tokio::process::Command::new(std::env::current_exe().unwrap());
        reader
            .args([
                "--exact",
                "lab::hub::tests::over_tls_the_hub_serves_who_trusts_its_ca",
            ])
            .env(READER, hubs.tls_address().unwrap().port().to_string())
            .env("SSL_CERT_FILE", authority)
            .env_remove("SSL_CERT_DIR")
            .kill_on_drop(true);
        let output = in_time(reader.output()).await.unwrap();
        assert_eq!(output.status.success(), served, "{output:?}");
    }
    assert_eq!(hubs.counts().messages_delivered, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_shutdown_nothing_listens_and_readers_are_gone() {
    let hubs = start(1).await;
    publish(&hubs, 0, 1);
    let client = consumer(&hubs).await;
    let receiver = open(&client, 0, earliest()).await;
    assert_eq!(numbers(&receiver, 1).await, [0]);
    let address = hubs.address();
    in_time(hubs.shutdown()).await;
    assert!(take(&receiver, 1).await.is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_hub_without_partitions_is_not_started() {
    let error = EventHubs::start(options(0)).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn nothing_is_counted_before_anybody_came() {
    assert_eq!(start(1).await.counts(), Counts::default());
}
