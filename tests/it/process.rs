//! The process's contract with systemd, with its operator and with a shell.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use evictd::lab::graph::{Fault, FaultRule};
use evictd::lab::{Lab, Transport, scenario};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::support::{self, PATIENCE, theft, victims, wait_until_up, write_policies};

/// SIGTERM to the end; the unit allows 15 s.
const STOP_WITHIN: Duration = Duration::from_secs(12);

struct Process {
    lab: Lab,
    directory: TempDir,
}

impl Process {
    async fn new(policies: Option<&[(&str, &str)]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = Lab::start(directory.path(), &scenario::staff(), 2)
            .await
            .unwrap();
        let folder = policies.map(|files| write_policies(directory.path(), files));
        lab.write_config(Transport::Tls, folder.as_deref()).unwrap();
        Self { lab, directory }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Command {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("evictd.log"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_evictd"));
        command
            .args(["run", "--config"])
            .arg(self.path("evictd.toml"))
            .env("SSL_CERT_FILE", self.lab.authority_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("evictd.log")).unwrap_or_default()
    }

    /// Runs it to its early end.
    async fn fails(&self) -> String {
        let run = self.command().stderr(Stdio::piped()).output();
        let Output { status, stderr, .. } =
            tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        said.lines()
            .filter(|line| line.starts_with("evictd: "))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().expect("the daemon runs")).unwrap();
    kill(Pid::from_raw(id), signal).unwrap();
}

/// The test in systemd's place.
struct Systemd(UnixDatagram);

impl Systemd {
    fn listen(path: &Path) -> Self {
        Self(UnixDatagram::bind(path).unwrap())
    }

    /// The next message that holds `wanted`; others (pings) may come between.
    async fn hears(&self, wanted: &str, process: &Process) -> String {
        let mut buffer = [0; 4096];
        let wait = async {
            loop {
                let length = self.0.recv(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.lines().any(|line| line.starts_with(wanted)) {
                    return text;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(text) => text,
            Err(_) => panic!(
                "systemd was never told {wanted}; the log:\n{}",
                process.log()
            ),
        }
    }
}

const FINE: &str = "policy: fine\nmode: enforce\nwindow: 1h\nsignals: { session_hosting: 90 }\n\
                    rungs: [{ at: 90, do: [revoke_sessions] }]\n";

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_the_start_each_reload_the_heartbeat_and_the_stop() {
    let process = Process::new(Some(&[("fine.yaml", FINE)])).await;
    let systemd = Systemd::listen(&process.path("notify.sock"));
    let mut daemon = process
        .command()
        .env("NOTIFY_SOCKET", process.path("notify.sock"))
        .env("WATCHDOG_USEC", "400000")
        .spawn()
        .unwrap();
    let ready = systemd.hears("READY=1", &process).await;
    assert!(ready.contains("STATUS=tenant "), "{ready}");
    systemd.hears("WATCHDOG=1", &process).await;
    systemd.hears("STATUS=reading and judging", &process).await;
    systemd.hears("WATCHDOG=1", &process).await;

    signal(&daemon, Signal::SIGHUP);
    let reloading = systemd.hears("RELOADING=1", &process).await;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    systemd.hears("READY=1", &process).await;

    write_policies(
        process.directory.path(),
        &[("fine.yaml", "policy: [broken")],
    );
    signal(&daemon, Signal::SIGHUP);
    systemd.hears("RELOADING=1", &process).await;
    let ready = systemd.hears("READY=1", &process).await;
    assert!(ready.contains("the last reload failed"), "{ready}");
    assert!(
        process.log().contains("the last good policies"),
        "{}",
        process.log()
    );

    signal(&daemon, Signal::SIGTERM);
    systemd.hears("STOPPING=1", &process).await;
    let status = tokio::time::timeout(STOP_WITHIN, daemon.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_drains_within_its_time_even_when_graph_hangs_and_the_next_run_finishes() {
    let process = Process::new(None).await;
    let people = victims(3);
    let hang = FaultRule::once(Fault::Hang)
        .on_path("revokeSignInSessions")
        .always();
    process.lab.graph.inject(hang);
    let mut daemon = process.command().spawn().unwrap();
    wait_until_up(&process.lab).await;
    for person in &people {
        process.lab.publish(&theft(person, Timestamp::now()));
    }
    let asked = process
        .lab
        .graph
        .wait_until(PATIENCE, |graph| {
            graph
                .calls()
                .iter()
                .any(|call| call.path.ends_with("revokeSignInSessions"))
        })
        .await;
    assert!(asked, "{}", process.log());
    let began = tokio::time::Instant::now();
    signal(&daemon, Signal::SIGINT);
    tokio::time::timeout(STOP_WITHIN, daemon.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(11),
        "{:?}",
        began.elapsed()
    );

    process.lab.graph.clear_faults();
    let mut daemon = process.command().spawn().unwrap();
    for person in &people {
        let lab = &process.lab.graph;
        let done = lab
            .wait_until(PATIENCE, |graph| support::is_revoked(graph, person))
            .await;
        assert!(done, "{}: {}", person.principal_name, process.log());
    }
    support::terminate(&mut daemon, || process.log()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_one_line_that_names_it() {
    let process = Process::new(None).await;
    let config = process.path("evictd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let here = process.directory.path().display().to_string();
    let table = [
        (
            text.replace("[intel]", "[intelligence]"),
            "DIR/evictd.toml: unknown field `intelligence`",
        ),
        (text.replace("secret = ", "# secret = "), "secret"),
        (
            text.replace("\"contoso.servicebus.windows.net\"", "\"contoso\""),
            "contoso.servicebus.windows.net",
        ),
        (
            text.replace("hubs = [\"insights-logs-signin\"]", "hubs = []"),
            "hubs",
        ),
        (
            text.replace("[\"insights-logs-signin\"]", "[\"no-such-hub\"]"),
            "receivers failed: contoso.servicebus.windows.net has no event hub no-such-hub",
        ),
        (
            text.replace("https://127.0.0.1", "http://192.0.2.1"),
            "expected an https URL",
        ),
        (
            text.replace(
                "[http]\nlisten = \"127.0.0.1:0\"",
                "[http]\nlisten = \"localhost\"",
            ),
            "listen",
        ),
    ];
    for (text, expected) in table {
        std::fs::write(&config, &text).unwrap();
        let said = process.fails().await.replace(&here, "DIR");
        assert!(said.contains(expected), "expected {expected}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_wins_and_no_secret_name_or_address_reaches_the_log() {
    let process = Process::new(None).await;
    let config = process.path("evictd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("secret = \"lab-only-secret\"\n", "")).unwrap();
    let mut daemon = process
        .command()
        .env("EVICTD_CREDENTIAL__SECRET", "lab-only-secret")
        .env("EVICTD_LOG__FORMAT", "json")
        .spawn()
        .unwrap();
    let victim = &victims(1)[0];
    process.lab.publish(&theft(victim, Timestamp::now()));
    let graph = &process.lab.graph;
    assert!(
        graph
            .wait_until(PATIENCE, |graph| support::is_revoked(graph, victim))
            .await,
        "{}",
        process.log()
    );
    support::terminate(&mut daemon, || process.log()).await;
    let log = process.log();
    assert!(
        log.lines().any(|line| line.contains("\"decided\"")),
        "{log}"
    );
    for line in log.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "not JSON: {line}"
        );
    }
    for secret in [
        "lab-only-secret",
        "eyJ",
        &victim.principal_name,
        &victim.id,
        "198.19.",
        "198.18.",
    ] {
        assert!(!log.contains(secret), "the log holds {secret}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_error() {
    let process = Process::new(None).await;
    let victim = &victims(1)[0];
    let records: String = (0..2_000)
        .flat_map(|_| theft(victim, Timestamp::now()))
        .map(|record| format!("{record}\n"))
        .collect();
    std::fs::write(process.path("records.ndjson"), records).unwrap();
    let shell = format!(
        "set -o pipefail; '{}' replay --format json '{}' | head -n 1",
        env!("CARGO_BIN_EXE_evictd"),
        process.path("records.ndjson").display()
    );
    let output = Command::new("bash")
        .args(["-c", &shell])
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
