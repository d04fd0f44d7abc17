//! Lists that change while the daemon runs.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use evictd::lab::Transport;
use evictd::lab::records::{Person, SignInRecord, TOR_EXIT, record_id};
use evictd::model::CaseStatus;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::support::{House, victims};

const TOR: &str = "policy: tor\nmode: enforce\nwindow: 1h\nsignals: { tor_exit: 90 }\n\
                   rungs: [{ at: 90, do: [revoke_sessions] }]\n";

/// A publisher of a list: its text, or an answer 500 while there is none.
#[derive(Clone, Default)]
struct Publisher(Arc<Mutex<Option<String>>>);

impl Publisher {
    /// Where it serves.
    async fn start(&self) -> String {
        let text = Arc::clone(&self.0);
        let answer = move || async move {
            let text = text.lock().unwrap().clone();
            text.ok_or(StatusCode::INTERNAL_SERVER_ERROR)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/exits", listener.local_addr().unwrap());
        let router = Router::new().route("/exits", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn publish(&self, text: Option<&str>) {
        *self.0.lock().unwrap() = text.map(str::to_owned);
    }
}

fn through_tor(victim: &Person) -> Value {
    SignInRecord {
        spot: TOR_EXIT,
        host: 7,
        laptop: false,
        id: record_id(&[&victim.id, "through tor"]),
        ..SignInRecord::at_home(victim, Timestamp::now())
    }
    .to_json()
}

/// Rewrites the configuration so that the Tor list comes from there.
fn take_exits_from(house: &House, url: &str) {
    let policies = house.directory.path().join("policies");
    let text = house.lab.config_text(Transport::Plain, Some(&policies));
    let text: String = text
        .lines()
        .map(|line| match line.starts_with("tor_exits") {
            true => format!("tor_exits = \"{url}\"\nrefresh.tor_exits.every = \"1s\"\n"),
            false => format!("{line}\n"),
        })
        .collect();
    std::fs::write(house.directory.path().join("evictd.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_published_while_the_daemon_runs_is_known_at_the_next_sign_in() {
    let publisher = Publisher::default();
    let url = publisher.start().await;
    let house = House::with_policies(Some(&[("tor.yaml", TOR)])).await;
    take_exits_from(&house, &url);
    // Nothing is published and nothing was ever fetched: the daemon starts.
    let house = house.restart().await;
    let stale = "evictd_intel_stale{list=\"tor_exits\"} 1";
    assert!(house.metrics().await.contains(stale));
    let people = victims(3);
    house.publish(&[through_tor(&people[0])]);
    house.wait_for_records(1).await;
    assert_eq!(
        house.case_of(&people[0]).await,
        None,
        "unknown raises nothing"
    );

    publisher.publish(Some(&format!("{}\n", TOR_EXIT.address(7))));
    house.client.reload().await.unwrap();
    house
        .wait_for_metric("evictd_intel_entries{list=\"tor_exits\"}", 1)
        .await;
    house.publish(&[through_tor(&people[1])]);
    house.wait_for_case(&people[1], CaseStatus::Contained).await;
    assert!(!house.metrics().await.contains(stale));

    // By its schedule, without a nudge.
    publisher.publish(Some("192.0.2.200\n192.0.2.201\n192.0.2.202\n"));
    house
        .wait_for_metric("evictd_intel_entries{list=\"tor_exits\"}", 3)
        .await;
    publisher.publish(Some(&format!("{}\n192.0.2.201\n", TOR_EXIT.address(7))));
    house
        .wait_for_metric("evictd_intel_entries{list=\"tor_exits\"}", 2)
        .await;

    // The publisher breaks, and so does a restart's first attempt.
    publisher.publish(None);
    let house = house.restart().await;
    house.publish(&[through_tor(&people[2])]);
    house.wait_for_case(&people[2], CaseStatus::Contained).await;
    house.daemon.stop().await.unwrap();

    // Without daemon, network or publisher: what was kept.
    let shown = Command::new(env!("CARGO_BIN_EXE_evictd"))
        .args([
            "intel",
            "show",
            &TOR_EXIT.address(7).to_string(),
            "--config",
        ])
        .arg(house.directory.path().join("evictd.toml"))
        .output()
        .await
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = shown
        .lines()
        .find(|line| line.contains("tor_exits"))
        .unwrap();
    assert!(line.contains("listed  (2 entries, as of "), "{shown}");
    assert!(line.contains(&url), "{shown}");
}
