//! Lists kept fresh, against a publisher on loopback. Time is a parameter.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::detect::intel::ListStatus;
use crate::telemetry::Metrics;

const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_507_200 + seconds).unwrap()
}

fn address(last_octet: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last_octet])
}

/// A list of addresses, one for each octet.
fn exits(octets: impl IntoIterator<Item = u8>) -> String {
    octets
        .into_iter()
        .map(|octet| format!("{}\n", address(octet)))
        .collect()
}

/// Serves raw answers: only so can a body be cut short.
struct Publisher {
    url: String,
    answer: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Publisher {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/list?key=secret", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(String::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, asks) = (Arc::clone(&answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Noted before it is answered: the answer ends the round.
                let head = request(&mut stream).await;
                asks.lock().unwrap().push(head);
                let answer = answers.lock().unwrap().clone();
                // Who finds the body too large hangs up on us.
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self {
            url,
            answer,
            asked,
            task,
        }
    }

    fn answers(&self, head: &str, body: &str) {
        *self.answer.lock().unwrap() =
            format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}");
    }

    fn serves(&self, body: &str) {
        let head = format!(
            "200 OK\r\netag: \"{}\"\r\ncontent-length: {}",
            body.len(),
            body.len()
        );
        self.answers(&head, body);
    }

    /// The head of the last request.
    fn asked(&self) -> String {
        self.asked
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    fn requests(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    async fn goes_away(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

async fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

struct House {
    state: TempDir,
    config: IntelConfig,
    refresher: Refresher,
    metrics: Arc<Metrics>,
}

fn config(text: &str) -> IntelConfig {
    let config = ::config::Config::builder()
        .add_source(::config::File::from_str(text, ::config::FileFormat::Toml));
    config.build().unwrap().try_deserialize().unwrap()
}

fn start(config: &IntelConfig, state: &Path, now: Timestamp) -> (Refresher, Arc<Metrics>) {
    let metrics = Metrics::new().unwrap();
    let mut fetcher = Fetcher::new(None).unwrap();
    fetcher.bytes_max = 4_000;
    let at_hand = at_hand(config, state, now).unwrap();
    (
        Refresher::new(at_hand, fetcher, Arc::clone(&metrics), now),
        metrics,
    )
}

impl House {
    fn new(text: &str, now: Timestamp) -> Self {
        let state = tempfile::tempdir().unwrap();
        let config = config(text);
        let (refresher, metrics) = start(&config, state.path(), now);
        Self {
            state,
            config,
            refresher,
            metrics,
        }
    }

    /// The Tor list at a publisher.
    async fn of_exits(publisher: &Publisher) -> Self {
        let mut house = Self::new(&format!("tor_exits = '{}'", publisher.url), at(0));
        publisher.serves(&exits(1..=6));
        house.refresher.round(at(0)).await;
        house.counts("changed", 1);
        house
    }

    fn restart(&mut self, now: Timestamp) {
        (self.refresher, self.metrics) = start(&self.config, self.state.path(), now);
    }

    fn status(&self, name: ListName) -> Option<ListStatus> {
        self.refresher.intel().borrow().status(name)
    }

    fn was_exit(&self, octet: u8, seconds: i64) -> Option<bool> {
        let intel = self.refresher.intel().borrow().clone();
        intel
            .tor_exits
            .as_ref()?
            .was_exit(address(octet), at(seconds))
    }

    #[track_caller]
    fn counts(&self, outcome: &str, count: u64) {
        let name =
            format!("evictd_intel_refreshes_total{{list=\"tor_exits\",outcome=\"{outcome}\"}}");
        self.shows(&name, count as f64);
    }

    #[track_caller]
    fn shows(&self, name: &str, value: f64) {
        let text = self.metrics.render();
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        assert_eq!(found, Some(value), "{name}\n{text}");
    }
}

#[tokio::test]
async fn a_published_version_serves_and_a_confirmed_one_goes_on() {
    let publisher = Publisher::start().await;
    let mut house = House::of_exits(&publisher).await;
    assert!(!publisher.asked().contains("if-none-match"));
    assert_eq!(house.was_exit(1, 0), Some(true));
    house.refresher.round(at(HOUR - 1)).await;
    assert_eq!(publisher.requests(), 1, "it was not due");
    publisher.answers("304 Not Modified", "");
    house.refresher.round(at(HOUR)).await;
    let asked = publisher.asked();
    assert!(asked.contains("if-none-match: \"60\""), "{asked}");
    house.counts("unchanged", 1);
    let status = house.status(ListName::TorExits).unwrap();
    assert_eq!((status.as_of, status.entries), (at(HOUR), 6));
    publisher.serves(&exits(2..=7));
    house.refresher.round(at(2 * HOUR)).await;
    assert_eq!(house.was_exit(1, 2 * HOUR), Some(false));
    assert_eq!(
        house.was_exit(1, 2 * HOUR - 1),
        Some(true),
        "the past stays"
    );
    assert_eq!(house.was_exit(7, 2 * HOUR), Some(true));
    let as_of = at(2 * HOUR).as_second() as f64;
    house.shows(
        "evictd_intel_as_of_timestamp_seconds{list=\"tor_exits\"}",
        as_of,
    );
}

#[tokio::test]
async fn whatever_else_comes_leaves_what_serves() {
    let publisher = Publisher::start().await;
    let mut house = House::of_exits(&publisher).await;
    let large = "192.0.2.1\n".repeat(1_000);
    let html = "<html>\n<body>come back later</body>\n";
    let table = [
        ("500 Internal Server Error", "", "failed"),
        ("404 Not Found", "192.0.2.1", "failed"),
        ("200 OK\r\ncontent-length: 80", &exits(1..=7), "failed"),
        ("200 OK\r\ncontent-length: 10000", &large, "failed"),
        ("200 OK", &large, "failed"),
        ("200 OK", "", "refused"),
        ("200 OK", html, "refused"),
        ("200 OK", &exits(1..=2), "refused"),
    ];
    let (mut failed, mut refused) = (0, 0);
    for (row, (head, body, outcome)) in table.into_iter().enumerate() {
        publisher.answers(head, body);
        // An attempt is due however often it failed before.
        house.refresher.round(at((row as i64 + 1) * HOUR)).await;
        failed += u64::from(outcome == "failed");
        refused += u64::from(outcome == "refused");
        house.counts("failed", failed);
        house.counts("refused", refused);
        assert_eq!(house.status(ListName::TorExits).unwrap().as_of, at(0));
        assert_eq!(house.was_exit(6, 0), Some(true), "{head}");
    }
    house.counts("changed", 1);
    assert_eq!(publisher.requests(), table.len() + 1, "each was asked once");
    // Nor is it what a restart finds.
    house.restart(at(10 * HOUR));
    assert_eq!(house.status(ListName::TorExits).unwrap().entries, 6);
}

#[tokio::test]
async fn a_redirect_is_followed_only_where_nobody_can_rewrite_the_list() {
    let (asked, other) = (Publisher::start().await, Publisher::start().await);
    other.serves("192.0.2.1\n");
    let fetcher = Fetcher::new(None).unwrap();
    let url = asked.url.parse().unwrap();
    asked.answers(&format!("302 Found\r\nlocation: {}", other.url), "");
    let fetched = fetcher.fetch(&url, None).await.unwrap();
    assert!(matches!(fetched, fetch::Fetched::Body(bytes, _) if bytes == b"192.0.2.1\n"));
    asked.answers("302 Found\r\nlocation: http://192.0.2.1/list", "");
    let error = format!("{:#}", fetcher.fetch(&url, None).await.unwrap_err());
    assert!(error.contains("plain http"), "{error}");
    asked.answers(&format!("302 Found\r\nlocation: {}", asked.url), "");
    let error = format!("{:#}", fetcher.fetch(&url, None).await.unwrap_err());
    assert!(error.contains("too many redirects"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_version_from_after_now_is_passed_over_where_a_clock_was_set_back() {
    let publisher = Publisher::start().await;
    let mut house = House::of_exits(&publisher).await;
    publisher.serves(&exits(2..=7));
    house.refresher.round(at(9 * HOUR)).await;
    house.restart(at(HOUR));
    assert_eq!(house.status(ListName::TorExits).unwrap().as_of, at(0));
    house.refresher.round(at(HOUR)).await;
    assert!(!publisher.asked().contains("if-none-match"));
    assert_eq!(house.was_exit(7, HOUR), Some(true));
    house.restart(at(HOUR));
    assert_eq!(house.was_exit(7, HOUR), Some(true), "and it is kept");
}

#[tokio::test]
async fn half_a_list_is_taken_and_less_only_where_it_is_allowed() {
    let publisher = Publisher::start().await;
    for (allowed, entries, outcome) in [
        (false, 3, "changed"),
        (false, 2, "refused"),
        (true, 2, "changed"),
    ] {
        let text = format!(
            "tor_exits = '{}'\nrefresh.tor_exits.shrink_allowed = {allowed}",
            publisher.url
        );
        let mut house = House::new(&text, at(0));
        publisher.serves(&exits(1..=6));
        house.refresher.round(at(0)).await;
        publisher.serves(&exits(1..=entries));
        house.refresher.round(at(HOUR)).await;
        house.counts(outcome, if outcome == "changed" { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_failure_is_tried_again_soon_then_later_and_a_nudge_at_once() {
    let publisher = Publisher::start().await;
    let mut house = House::of_exits(&publisher).await;
    publisher.answers("503 Service Unavailable", "");
    // Due after an hour, then 1, 2, 4 … minutes after each failure.
    for (seconds, requests) in [
        (HOUR, 2),
        (HOUR + 59, 2),
        (HOUR + 60, 3),
        (HOUR + 179, 3),
        (HOUR + 180, 4),
    ] {
        house.refresher.round(at(seconds)).await;
        assert_eq!(publisher.requests(), requests, "at {seconds} s");
    }
    publisher.serves(&exits(1..=7));
    house.refresher.hasten();
    house.refresher.round(at(HOUR + 181)).await;
    house.counts("changed", 2);
}

#[tokio::test]
async fn a_list_nobody_refreshes_is_stale_and_says_nothing() {
    let publisher = Publisher::start().await;
    let mut house = House::of_exits(&publisher).await;
    let stale = "evictd_intel_stale{list=\"tor_exits\"}";
    house.shows(stale, 0.0);
    publisher.answers("500 Internal Server Error", "");
    house.refresher.round(at(6 * HOUR)).await;
    house.shows(stale, 0.0);
    house.refresher.round(at(6 * HOUR + 1)).await;
    house.shows(stale, 1.0);
    assert_eq!(house.was_exit(1, 6 * HOUR + 1), None, "unknown, not no");
    publisher.serves(&exits(1..=6));
    house.refresher.round(at(8 * HOUR)).await;
    house.shows(stale, 0.0);
}

#[tokio::test]
async fn a_restart_without_a_network_knows_what_was_known() {
    let publisher = Publisher::start().await;
    let mut house = House::of_exits(&publisher).await;
    publisher.serves(&exits(2..=7));
    house.refresher.round(at(HOUR)).await;
    publisher.answers("304 Not Modified", "");
    house.refresher.round(at(2 * HOUR)).await;
    house.restart(at(2 * HOUR + 60));
    // Fresh enough not to be asked for, and asked for as the version it is.
    house.refresher.round(at(2 * HOUR + 60)).await;
    assert_eq!(publisher.requests(), 3);
    house.refresher.round(at(3 * HOUR)).await;
    let asked = publisher.asked();
    assert!(asked.contains("if-none-match: \"60\""), "{asked}");
    publisher.goes_away().await;
    house.restart(at(5 * HOUR));
    house.refresher.round(at(5 * HOUR)).await;
    house.counts("failed", 1);
    let table = [
        (1, 0, Some(true)),
        (1, HOUR, Some(false)),
        (7, HOUR - 1, Some(false)),
        (7, HOUR, Some(true)),
        (7, 9 * HOUR, Some(true)),
        (7, 9 * HOUR + 1, None),
    ];
    for (octet, seconds, expected) in table {
        assert_eq!(
            house.was_exit(octet, seconds),
            expected,
            ".{octet} at {seconds} s"
        );
    }
    let intel = house.refresher.intel().borrow().clone();
    assert_eq!(intel.tor_exits.as_ref().unwrap().versions(), 4);
    // What the URL holds besides the address may be a key.
    let index = house.state.path().join("intel/tor_exits/index.json");
    assert!(!std::fs::read_to_string(index).unwrap().contains("secret"));
}

#[tokio::test]
async fn a_url_that_never_answered_leaves_the_list_unknown_and_the_daemon_running() {
    let publisher = Publisher::start().await;
    let text = format!("vpn_asns = '{}'", publisher.url);
    publisher.goes_away().await;
    let mut house = House::new(&text, at(0));
    house.shows("evictd_intel_stale{list=\"vpn_asns\"}", 1.0);
    house.refresher.round(at(0)).await;
    house.shows(
        "evictd_intel_refreshes_total{list=\"vpn_asns\",outcome=\"failed\"}",
        1.0,
    );
    house.shows("evictd_intel_entries{list=\"vpn_asns\"}", 0.0);
    assert_eq!(house.status(ListName::VpnAsns), None);
}

#[tokio::test]
async fn a_damaged_version_on_disk_is_passed_over_and_fetched_again() {
    let publisher = Publisher::start().await;
    let mut house = House::of_exits(&publisher).await;
    let shelf = house.state.path().join("intel/tor_exits");
    let version = std::fs::read_dir(&shelf)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "list"))
        .unwrap();
    std::fs::write(version, "192.0.2.1\n<html>\n").unwrap();
    let at_hand = at_hand(&house.config, house.state.path(), at(60)).unwrap();
    let trouble = at_hand.trouble(ListName::TorExits).unwrap();
    assert!(trouble.contains("line 2"), "{trouble}");
    house.restart(at(60));
    house.refresher.round(at(60)).await;
    assert!(!publisher.asked().contains("if-none-match"), "we have none");
    house.counts("changed", 1);
}

#[tokio::test]
async fn a_version_that_cannot_be_kept_serves_and_is_had_whole_again() {
    let publisher = Publisher::start().await;
    let text = format!("tor_exits = '{}'", publisher.url);
    let mut house = House::new(&text, at(0));
    // A file where the shelf should be.
    let place = house.state.path().join("intel");
    std::fs::write(&place, "").unwrap();
    publisher.serves(&exits(1..=6));
    house.refresher.round(at(0)).await;
    house.counts("unkept", 1);
    assert_eq!(house.was_exit(1, 0), Some(true));
    std::fs::remove_file(&place).unwrap();
    house.refresher.round(at(60)).await;
    assert!(!publisher.asked().contains("if-none-match"));
    house.counts("changed", 1);
    house.restart(at(61));
    assert_eq!(house.was_exit(1, 0), Some(true));
}

fn write(path: &Path, text: &str, modified: Timestamp) {
    std::fs::write(path, text).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let modified = std::time::SystemTime::UNIX_EPOCH + modified.as_duration().unsigned_abs();
    file.set_modified(modified).unwrap();
}

#[tokio::test]
async fn a_file_is_true_as_of_its_modification_and_its_past_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tor.txt");
    write(&file, &exits(1..=6), at(0));
    let mut house = House::new(&format!("tor_exits = '{}'", file.display()), at(60));
    assert_eq!(house.status(ListName::TorExits).unwrap().as_of, at(0));
    house.refresher.round(at(60)).await;
    house.counts("unchanged", 1);
    write(&file, "", at(HOUR));
    house.refresher.round(at(HOUR + 60)).await;
    house.counts("refused", 1);
    write(&file, &exits(2..=7), at(2 * HOUR));
    house.refresher.round(at(2 * HOUR + 60)).await;
    house.counts("changed", 1);
    for _ in 0..2 {
        assert_eq!(house.was_exit(1, 0), Some(true));
        assert_eq!(house.was_exit(1, 2 * HOUR), Some(false));
        assert_eq!(house.was_exit(7, 2 * HOUR), Some(true));
        assert_eq!(house.was_exit(7, 8 * HOUR + 1), None, "nobody touched it");
        house.restart(at(3 * HOUR));
        house.refresher.round(at(3 * HOUR)).await;
    }
    // A file from the future is believed as of now.
    write(&file, &exits(2..=7), at(900 * HOUR));
    house.restart(at(4 * HOUR));
    assert_eq!(
        house.status(ListName::TorExits).unwrap().as_of,
        at(4 * HOUR)
    );
}

#[test]
fn a_file_that_does_not_serve_is_an_error_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("empty.csv"), "# nothing\n").unwrap();
    std::fs::write(path("city.mmdb"), "<html>").unwrap();
    let table = [
        (
            format!("relay_ranges = '{}'", path("empty.csv")),
            ["relay_ranges", "nothing"],
        ),
        (
            format!("geo_city = '{}'", path("city.mmdb")),
            ["geo_city", "city.mmdb"],
        ),
        (
            format!("vpn_asns = '{}'", path("gone.txt")),
            ["vpn_asns", "gone.txt"],
        ),
        (
            format!("vpn_asns = '{}'", path("")),
            ["vpn_asns", "no file"],
        ),
        (
            "corporate_ranges = ['192.0.2.0/33']".to_owned(),
            ["corporate_ranges", "/33"],
        ),
    ];
    for (text, expected) in table {
        let config = config(&text);
        let daemon = at_hand(&config, directory.path(), at(0)).unwrap_err();
        let replay = config.load().unwrap_err();
        for error in [daemon, replay] {
            let error = format!("{error:#}");
            assert!(expected.iter().all(|part| error.contains(part)), "{error}");
        }
    }
    let config = config("tor_exits = 'https://lists.example/tor?key=secret'");
    let error = config.load().unwrap_err().to_string();
    assert!(
        error.contains("tor_exits") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn a_list_given_by_hand_is_believed_whatever_the_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tor.txt");
    write(&file, &exits(1..=6), at(0));
    let intel = config(&format!("tor_exits = '{}'", file.display()))
        .load()
        .unwrap();
    let history = intel.tor_exits.unwrap();
    for seconds in [-90_000 * HOUR, 0, 90_000 * HOUR] {
        assert_eq!(history.was_exit(address(1), at(seconds)), Some(true));
    }
}

/// Published lists and MaxMind's test databases, which this repository does
/// not hold.
#[test]
fn published_lists_read_where_they_are_at_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/intel");
    if !folder.is_dir() {
        println!("skipped: no published lists at {}", folder.display());
        return;
    }
    let file = |name: &str| Some(ListSource::file(folder.join(name)));
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
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
    let address = "89.160.20.128".parse().unwrap();
    let place = intel.place_of(address, at).unwrap();
    assert_eq!(place.to_string(), "Linköping (SE)");
    assert_eq!(intel.asn_of(address, at), Some(29_518));
}
