//! Event enqueued → Graph request on the wire, on an idle daemon.
//!
//! One-record messages, one after the other, each the replay of another
//! colleague's session; the clock runs from the hub's taking the message in to
//! the Graph stand-in's having the request. Beside it, in the same run, the
//! floor that no daemon can go below: a bare AMQP receive by the Azure SDK, and
//! a bare POST.
//!
//! `cargo bench --features lab --bench latency`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and prints"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_messaging_eventhubs::{
    ConsumerClient, OpenReceiverOptions, StartLocation, StartPosition,
};
use evictd::config::Config;
use evictd::daemon::Daemon;
use evictd::lab::entra::GRAPH_AUDIENCE;
use evictd::lab::records::{
    CHROME_LINUX, HOSTING, Person, SignInRecord, TENANT, envelope, record_id,
};
use evictd::lab::{CLIENT_ID, HUB, Lab, Transport, scenario};
use evictd::policy;
use evictd::respond::credential::{Authority, Credential};
use evictd::respond::graph::http_client;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};

const SAMPLES: usize = 200;
/// Below the lane's 19 a second, so that no sample waits for the quota.
const PACE: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run());
}

async fn run() {
    let directory = tempfile::tempdir().unwrap();
    let people: Vec<Person> = scenario::staff().into_iter().take(SAMPLES).collect();
    let lab = Lab::start(directory.path(), &people, 1).await.unwrap();
    let policies = unlimited_policies(directory.path());

    let mut receive = bare_receive(&lab).await;
    let mut post = bare_post(&lab, &people).await;
    let path = lab.write_config(Transport::Plain, Some(&policies)).unwrap();
    let before = lab.graph.calls().len();
    let mut daemon = reaction(&lab, &people, Config::load(&path).unwrap(), before).await;

    println!("{SAMPLES} samples each, ms            p50     p99     max");
    let floor = row("bare AMQP receive (Azure SDK)", &mut receive);
    let floor = floor + row("bare POST to Graph", &mut post);
    let whole = row("evictd: enqueued → Graph has it", &mut daemon);
    println!(
        "p50 above the floor: {:.2} ms (ratio {:.2})",
        whole - floor,
        whole / floor
    );
}

/// The shipped policies without the guard's hourly budget, which would make
/// the fifty-first response ask.
fn unlimited_policies(directory: &Path) -> PathBuf {
    let folder = directory.join("policies");
    std::fs::create_dir(&folder).unwrap();
    for source in policy::shipped() {
        let name = Path::new(&source.path).file_name().unwrap();
        let text = source
            .text
            .replace("acts_per_hour: 50", "acts_per_hour: 1000");
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder
}

/// Prints a row; returns the median.
fn row(name: &str, samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| samples[((samples.len() - 1) as f64 * share).round() as usize];
    println!(
        "{name:<32} {:>7.2} {:>7.2} {:>7.2}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    at(0.5)
}

fn since(start: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(start).as_secs_f64() * 1_000.0
}

async fn bare_receive(lab: &Lab) -> Vec<f64> {
    let http = http_client(Some(lab.authority_file())).unwrap();
    let authority = Authority {
        tenant_id: Some(TENANT.to_owned()),
        host: Some(lab.entra.authority().parse().unwrap()),
    };
    let path = lab.write_config(Transport::Plain, None).unwrap();
    let config = Config::load(&path).unwrap();
    let credential: Arc<dyn TokenCredential> =
        Credential::new(config.credential, authority, http).unwrap();
    let client = ConsumerClient::builder()
        .with_custom_endpoint(lab.hub_endpoint(Transport::Plain))
        .open("contoso.servicebus.windows.net", HUB.to_owned(), credential)
        .await
        .unwrap();
    let options = OpenReceiverOptions {
        start_position: Some(StartPosition {
            location: StartLocation::Earliest,
            ..StartPosition::default()
        }),
        ..OpenReceiverOptions::default()
    };
    let receiver = client
        .open_receiver_on_partition("0".to_owned(), Some(options))
        .await
        .unwrap();
    let mut events = receiver.stream_events();
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        tokio::time::sleep(PACE / 6).await;
        let start = Timestamp::now();
        lab.hub.publish(HUB, 0, envelope(&[]));
        events.next().await.unwrap().unwrap();
        samples.push(since(start, Timestamp::now()));
    }
    samples
}

async fn bare_post(lab: &Lab, people: &[Person]) -> Vec<f64> {
    let http = http_client(Some(lab.authority_file())).unwrap();
    let token = lab.entra.issue(CLIENT_ID, GRAPH_AUDIENCE).unwrap();
    let mut samples = Vec::with_capacity(people.len());
    for person in people {
        tokio::time::sleep(PACE / 6).await;
        let url = format!(
            "{}/users/{}/revokeSignInSessions",
            lab.graph.base_url(),
            person.id
        );
        let start = Timestamp::now();
        let answer = http
            .post(url)
            .bearer_auth(&token)
            .header("content-length", 0)
            .send()
            .await;
        assert!(answer.unwrap().status().is_success());
        let received = lab.graph.calls().last().unwrap().received;
        samples.push(since(start, received));
    }
    samples
}

async fn reaction(lab: &Lab, people: &[Person], config: Config, before: usize) -> Vec<f64> {
    let daemon = Daemon::start(config).await.unwrap();
    let now = Timestamp::now();
    for person in people {
        let home = SignInRecord::at_home(person, now - SignedDuration::from_mins(15));
        lab.publish(&[home.to_json()]);
    }
    // Attached, and everybody known, before the clock runs.
    let warm = &people[0];
    lab.publish(&[replay(warm)]);
    assert!(
        lab.graph
            .wait_until(PATIENCE, |graph| graph.calls().len() > before)
            .await
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut samples = Vec::with_capacity(people.len());
    for person in &people[1..] {
        tokio::time::sleep(PACE).await;
        let body = envelope(&[replay(person)]);
        let start = Timestamp::now();
        lab.hub.publish(HUB, 0, body);
        let path = format!("/v1.0/users/{}/revokeSignInSessions", person.id);
        let mut received = None;
        let done = lab
            .graph
            .wait_until(PATIENCE, |graph| {
                received = graph.calls()[before..]
                    .iter()
                    .rev()
                    .take(8)
                    .find(|call| call.path == path)
                    .map(|call| call.received);
                received.is_some()
            })
            .await;
        assert!(done, "{} was not revoked", person.id);
        samples.push(since(start, received.unwrap()));
    }
    daemon.stop().await.unwrap();
    samples
}

fn replay(person: &Person) -> serde_json::Value {
    SignInRecord {
        spot: HOSTING,
        host: 7,
        agent: CHROME_LINUX,
        laptop: false,
        interactive: false,
        id: record_id(&[&person.id, "replayed"]),
        ..SignInRecord::at_home(person, Timestamp::now())
    }
    .to_json()
}
