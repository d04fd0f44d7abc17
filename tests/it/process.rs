//! The process's contract with systemd, with its operator and with a shell.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use evictd::cli::client::Client;
use evictd::console::control::Status;
use evictd::lab::graph::{Fault, FaultRule};
use evictd::lab::records::Person;
use evictd::lab::{Lab, Transport, scenario};
use evictd::model::CaseStatus;
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::support::{self, PATIENCE, theft, victims, wait_until_up, write_policies};

/// SIGTERM to the end: the daemon's own 10 s, and some for a loaded machine.
/// The unit allows 15 s.
const STOP_WITHIN: Duration = Duration::from_secs(12);
/// How often a state is asked for that has no notification.
const POLL: Duration = Duration::from_millis(10);

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

    /// Runs it to its early end; what it said last, after its log.
    async fn fails(&self) -> String {
        let run = self.command().stderr(Stdio::piped()).output();
        let Output { status, stderr, .. } =
            tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        let last: Vec<&str> = said
            .lines()
            .skip_while(|line| !line.starts_with("evictd: "))
            .collect();
        last.join("\n")
            .replace(&self.directory.path().display().to_string(), "DIR")
    }

    /// Runs it, with its log, until it answers at its control socket.
    async fn up(&self) -> Child {
        let daemon = self.command().spawn().unwrap();
        wait_until_up(&self.lab).await;
        daemon
    }

    async fn wait_until_revoked(&self, person: &Person) {
        let graph = &self.lab.graph;
        let done = graph
            .wait_until(PATIENCE, |graph| support::is_revoked(graph, person))
            .await;
        assert!(done, "{}: {}", person.principal_name, self.log());
    }

    /// Waits until the daemon's status is as wanted.
    async fn wait_for(&self, what: &str, holds: impl Fn(&Status) -> bool) {
        let client = Client::new(self.lab.socket());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = client.status().await;
            if status.as_ref().is_ok_and(&holds) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: {status:?}; the log:\n{}",
                self.log()
            );
            tokio::time::sleep(POLL).await;
        }
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
async fn a_stop_ends_well_within_its_time_even_when_graph_hangs_and_the_next_run_finishes() {
    tokio::join!(
        stopped_while_graph_hangs(Signal::SIGTERM),
        stopped_while_graph_hangs(Signal::SIGINT)
    );
}

async fn stopped_while_graph_hangs(stop: Signal) {
    let process = Process::new(None).await;
    let people = victims(3);
    let hang = FaultRule::once(Fault::Hang)
        .on_path("revokeSignInSessions")
        .always();
    process.lab.graph.inject(hang);
    let mut daemon = process.up().await;
    let now = Timestamp::now();
    for person in &people {
        process.lab.publish(&theft(person, now));
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
    // More than is read before the signal: a stop waits for no backlog.
    for message in scenario::ordinary_morning(&scenario::staff(), now).chunks(2) {
        process.lab.publish(message);
    }
    signal(&daemon, stop);
    let status = tokio::time::timeout(STOP_WITHIN, daemon.wait())
        .await
        .unwrap_or_else(|_| panic!("{stop} was not obeyed; the log:\n{}", process.log()))
        .unwrap();
    assert!(status.success(), "{stop}: {status}: {}", process.log());
    assert!(
        !people
            .iter()
            .any(|p| support::is_revoked(&process.lab.graph, p))
    );

    process.lab.graph.clear_faults();
    let mut daemon = process.up().await;
    for person in &people {
        process.wait_until_revoked(person).await;
    }
    support::terminate(&mut daemon, || process.log()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_one_line_that_names_it() {
    let process = Process::new(None).await;
    let config = process.path("evictd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let listen = "[http]\nlisten = ";
    let table = [
        ("an unknown section", "[intel]", "[intelligence]"),
        ("no secret", "secret = ", "# secret = "),
        (
            "half a namespace",
            "\"contoso.servicebus.windows.net\"",
            "\"contoso\"",
        ),
        ("no hub", "[\"insights-logs-signin\"]", "[]"),
        (
            "another hub",
            "[\"insights-logs-signin\"]",
            "[\"no-such-hub\"]",
        ),
        ("http", "https://127.0.0.1", "http://192.0.2.1"),
        (
            "a name for an address",
            &format!("{listen}\"127.0.0.1:0\""),
            &format!("{listen}\"localhost\""),
        ),
        ("a missing list", "tor-exits.txt", "no-such-list.txt"),
        (
            "no such policies",
            "[event_hubs]",
            "policies = \"/none\"\n[event_hubs]",
        ),
    ];
    let mut told = String::new();
    for (what, from, to) in table {
        let broken = text.replace(from, to);
        assert_ne!(broken, text, "{what} changes nothing");
        std::fs::write(&config, broken).unwrap();
        let said = process.fails().await;
        let port = process.lab.graph.base_url();
        let port = port.split([':', '/']).nth(4).unwrap();
        told += &format!("{what}: {}\n", said.replace(port, "PORT"));
    }
    insta::assert_snapshot!(told, @r#"
    an unknown section: evictd: DIR/evictd.toml: unknown field `intelligence`, expected one of `tenant`, `state`, `policies`, `event_hubs`, `credential`, `graph`, `intel`, `history`, `http`, `control`, `log`
    no secret: evictd: cannot start: credential client_secret: secret or secret_file is missing
    half a namespace: evictd: DIR/evictd.toml: "contoso" is not fully qualified; did you mean "contoso.servicebus.windows.net"? for key `event_hubs.namespace`
    no hub: evictd: DIR/evictd.toml: name at least one event hub for key `event_hubs.hubs`
    another hub: evictd: receivers failed: contoso.servicebus.windows.net has no event hub no-such-hub: check event_hubs.hubs
    http: evictd: DIR/evictd.toml: graph.endpoint: saw "http://192.0.2.1:PORT/v1.0", expected an https URL: a token must not cross a network in the clear
    a name for an address: evictd: DIR/evictd.toml: invalid socket address syntax for key `http.listen`
    a missing list: evictd: cannot start: intel.tor_exits: DIR/no-such-list.txt cannot be read: No such file or directory (os error 2)
    no such policies: evictd: cannot start: /none: cannot be read: No such file or directory (os error 2)
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_policy_stops_the_start_and_its_place_is_shown() {
    let broken = FINE.replace("mode: enforce", "mode: enforced");
    let process = Process::new(Some(&[("broken.yaml", &broken)])).await;
    insta::assert_snapshot!(process.fails().await, @r#"
    evictd: cannot start: DIR/policies/broken.yaml:2:7: `mode` is `enforced`
      2 | mode: enforced
        |       ^^^^^^^^
        = did you mean `enforce`?
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_does_not_compile_exits_1_with_every_problem_and_so_does_the_status() {
    let process = Process::new(Some(&[("fine.yaml", FINE)])).await;
    let mut daemon = process.up().await;
    let asked = async |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evictd"));
        command.args(args).arg("--socket").arg(process.lab.socket());
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().await.unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        (status.code(), said)
    };
    let (code, said) = asked(&["reload"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing changed in it"), "{said}");
    let (code, said) = asked(&["policy", "status"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("On disk: the same set"), "{said}");

    let broken = FINE.replace("enforce", "enforced");
    write_policies(
        process.directory.path(),
        &[("fine.yaml", &broken), ("other.yaml", "policy: other\n")],
    );
    for args in [&["reload"] as &[&str], &["policy", "status"]] {
        let (code, said) = asked(args).await;
        assert_eq!(code, Some(1), "{said}");
        for problem in ["fine.yaml:2:7: ", "^^^^^^^^", "other.yaml:"] {
            assert!(said.contains(problem), "{args:?}: {said}");
        }
    }
    let (_, said) = asked(&["status"]).await;
    assert!(said.contains("POLICIES STALE"), "{said}");
    let (code, said) = asked(&["policy", "report", "--since", "7d"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("fine  enforce"), "{said}");
    support::terminate(&mut daemon, || process.log()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused_at_the_state_and_at_the_socket_and_the_first_lives_on() {
    let process = Process::new(None).await;
    let mut first = process.up().await;
    insta::assert_snapshot!(process.fails().await, @r#"evictd: cannot start: state: DIR/state: DIR/state/evictd.lock is in use by another evictd; two daemons must not share a state directory"#);
    let config = process.path("evictd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("/state\"", "/state-2\"")).unwrap();
    insta::assert_snapshot!(process.fails().await, @r#"evictd: cannot start: control.socket: cannot listen at DIR/control.sock: another daemon listens there"#);

    let victim = &victims(1)[0];
    process.lab.publish(&theft(victim, Timestamp::now()));
    process.wait_until_revoked(victim).await;
    wait_until_up(&process.lab).await;
    support::terminate(&mut first, || process.log()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_socket_is_for_owner_and_group_and_a_killed_daemon_leaves_no_obstacle() {
    let process = Process::new(None).await;
    let socket = process.lab.socket();
    let mut killed = process.up().await;
    let metadata = std::fs::symlink_metadata(&socket).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);

    killed.kill().await.unwrap();
    let stale = std::fs::symlink_metadata(&socket).unwrap();
    assert!(stale.file_type().is_socket(), "kill -9 cleans nothing up");
    let mut daemon = process.up().await;
    let mode = std::fs::symlink_metadata(&socket).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    support::terminate(&mut daemon, || process.log()).await;
}

/// A disk that takes no more, without root: the file size limit of the process
/// is lowered to what its write-ahead log has, then lifted again. A shell sets
/// SIGXFSZ aside, so that a write beyond the limit fails as on a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_writes_is_not_ready_loses_nothing_and_recovers() {
    let process = Process::new(None).await;
    let victim = &victims(1)[0];
    let command = process.command();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.as_std().get_program())
        .args(command.as_std().get_args())
        .env("SSL_CERT_FILE", process.lab.authority_file())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(process.path("evictd.log")).unwrap())
        .kill_on_drop(true);
    let mut daemon = shell.spawn().unwrap();
    process.wait_for("ready", |status| status.ready).await;

    let log = process.lab.state_directory().join("evictd.db-wal");
    let written = std::fs::metadata(log).unwrap().len();
    limit_file_size(&daemon, &written.to_string()).await;
    process.lab.publish(&theft(victim, Timestamp::now()));
    process
        .wait_for("not ready for the store", |status| {
            !status.ready && status.unready.iter().any(|why| why.starts_with("Store: "))
        })
        .await;
    let graph = &process.lab.graph;
    assert!(!support::is_revoked(graph, victim), "{}", process.log());
    let client = Client::new(process.lab.socket());
    assert!(client.cases(10).await.unwrap().is_empty());

    limit_file_size(&daemon, "unlimited").await;
    process.wait_until_revoked(victim).await;
    process.wait_for("ready again", |status| status.ready).await;
    let cases = client.cases(10).await.unwrap();
    assert_eq!(cases.len(), 1, "{cases:?}");
    assert!(
        matches!(
            cases[0].status,
            CaseStatus::Contained | CaseStatus::Responding
        ),
        "{cases:?}"
    );
    support::terminate(&mut daemon, || process.log()).await;
}

/// Sets the daemon's soft limit; the hard one stays, so no right is needed.
async fn limit_file_size(daemon: &Child, bytes: &str) {
    let status = Command::new("prlimit")
        .arg(format!("--pid={}", daemon.id().expect("the daemon runs")))
        .arg(format!("--fsize={bytes}:"))
        .status()
        .await
        .expect("prlimit is part of util-linux");
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_wins_and_no_secret_name_or_address_reaches_the_log() {
    let process = Process::new(None).await;
    let victim = &victims(1)[0];
    let log = logged_while_contained(&process, victim, "info").await;
    assert!(log.contains("\"decided\""), "{log}");
    for line in log.lines() {
        let parsed = serde_json::from_str::<serde_json::Value>(line);
        assert!(parsed.is_ok(), "not JSON: {line}");
    }
    let told_apart = [&victim.principal_name, &victim.id, "198.19.", "198.18."];
    for word in [SECRET, TOKEN].into_iter().chain(told_apart) {
        assert!(!log.contains(word), "the log holds {word}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_token_reaches_the_log_at_any_level() {
    let process = Process::new(None).await;
    let log = logged_while_contained(&process, &victims(1)[0], "trace").await;
    assert!(log.contains("\"DEBUG\""), "the level was not obeyed: {log}");
    for word in [SECRET, TOKEN] {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "the log holds {word}");
    }
}

/// The lab's client secret, here given by the environment alone.
const SECRET: &str = "lab-only-secret";
/// How every token begins: a JSON object in Base64.
const TOKEN: &str = "eyJ";

async fn logged_while_contained(process: &Process, victim: &Person, level: &str) -> String {
    let config = process.path("evictd.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let without = text.replace(&format!("secret = \"{SECRET}\"\n"), "");
    assert_ne!(without, text);
    std::fs::write(&config, without + "\n[log]\nlevel = \"error\"\n").unwrap();
    let mut daemon = process
        .command()
        .env("EVICTD_CREDENTIAL__SECRET", SECRET)
        .env("EVICTD_LOG__FORMAT", "json")
        .env("EVICTD_LOG__LEVEL", level)
        .spawn()
        .unwrap();
    wait_until_up(&process.lab).await;
    process.lab.publish(&theft(victim, Timestamp::now()));
    process.wait_until_revoked(victim).await;
    support::terminate(&mut daemon, || process.log()).await;
    process.log()
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
