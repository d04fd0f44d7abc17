//! What the tests share: a daemon in this process against a lab, victims,
//! waiting with a bound.

use std::path::{Path, PathBuf};
use std::time::Duration;

use evictd::cli::client::Client;
use evictd::config::Config;
use evictd::console::control::Status;
use evictd::daemon::Daemon;
use evictd::lab::graph::Graph;
use evictd::lab::records::{CHROME_LINUX, HOSTING, Person, SignInRecord, record_id};
use evictd::lab::{Lab, Transport, scenario};
use evictd::model::{CaseStatus, CaseView};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::Instant;
use uuid::Uuid;

/// Long enough for a loaded machine and a receiver that has backed off to its
/// 30 s; what holds is seen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How often a state is asked for that has no notification.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// A lab with a daemon of this process.
pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) daemon: Daemon,
    pub(crate) client: Client,
    pub(crate) directory: TempDir,
}

impl House {
    pub(crate) async fn start() -> Self {
        Self::with_policies(None).await
    }

    /// Policies as (file name, text), or the shipped ones.
    pub(crate) async fn with_policies(policies: Option<&[(&str, &str)]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = Lab::start(directory.path(), &scenario::tenant(), 4)
            .await
            .unwrap();
        let folder = policies.map(|files| write_policies(directory.path(), files));
        lab.write_config(Transport::Plain, folder.as_deref())
            .unwrap();
        let daemon = start(directory.path()).await.unwrap();
        let client = Client::new(lab.socket());
        Self {
            lab,
            daemon,
            client,
            directory,
        }
    }

    /// Stops the daemon in order and starts another on the same state.
    pub(crate) async fn restart(self) -> Self {
        self.daemon.stop().await.unwrap();
        let daemon = start(self.directory.path()).await.unwrap();
        Self { daemon, ..self }
    }

    /// Publishes each record in a message of its own.
    pub(crate) fn publish(&self, records: &[Value]) {
        for record in records {
            self.lab.publish(std::slice::from_ref(record));
        }
    }

    pub(crate) async fn case_of(&self, person: &Person) -> Option<CaseView> {
        let cases = self.client.cases(1_000).await.unwrap();
        cases
            .into_iter()
            .find(|case| case.user.id.as_str() == person.id)
    }

    /// Waits for the person's case to stand there.
    pub(crate) async fn wait_for_case(&self, person: &Person, status: CaseStatus) -> CaseView {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let case = self.case_of(person).await;
            match case {
                Some(case) if case.status == status => return case,
                other if Instant::now() > deadline => {
                    panic!(
                        "{}: expected {status:?}, found {other:?}",
                        person.principal_name
                    )
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Waits until the daemon's status is as wanted.
    pub(crate) async fn wait_for_status(
        &self,
        what: &str,
        holds: impl Fn(&Status) -> bool,
    ) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.client.status().await.unwrap();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what}: {status:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until so many records were read and judged.
    pub(crate) async fn wait_for_records(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let read = self.metric("evictd_records_total").await;
            if read >= count {
                // Counted before the commit; the next one has this behind it.
                let committed = self.client.cases(1).await;
                assert!(committed.is_ok());
                if self.metric("evictd_pipeline_queue_depth").await == 0 {
                    return;
                }
            }
            assert!(
                Instant::now() < deadline,
                "{read} of {count} records were read"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// The sum of all series whose name begins so.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.metrics().await;
        text.lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum::<f64>() as u64
    }

    /// Waits until the series that begin so sum up to that.
    pub(crate) async fn wait_for_metric(&self, name: &str, value: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.metric(name).await;
            if shown == value {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{name} is {shown}, expected {value}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.daemon.http());
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    pub(crate) fn revoked(&self, person: &Person) -> bool {
        is_revoked(&self.lab.graph, person)
    }

    pub(crate) async fn wait_until_revoked(&self, person: &Person) {
        let done = self
            .lab
            .graph
            .wait_until(PATIENCE, |graph| is_revoked(graph, person))
            .await;
        assert!(
            done,
            "{} was not revoked: {:?}",
            person.principal_name,
            self.case_of(person).await
        );
    }
}

pub(crate) fn is_revoked(graph: &Graph, person: &Person) -> bool {
    let user = graph.user(Uuid::parse_str(&person.id).unwrap()).unwrap();
    user.sign_in_sessions_valid_from > Timestamp::UNIX_EPOCH
}

/// A daemon from the configuration file in the directory.
pub(crate) async fn start(directory: &Path) -> anyhow::Result<Daemon> {
    let config = Config::load(&directory.join("evictd.toml"))?;
    Daemon::start(config).await
}

pub(crate) fn write_policies(directory: &Path, files: &[(&str, &str)]) -> PathBuf {
    let folder = directory.join("policies");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder
}

/// Every fifth colleague.
pub(crate) fn victims(count: usize) -> Vec<Person> {
    scenario::staff()
        .into_iter()
        .step_by(5)
        .take(count)
        .collect()
}

/// The victim at home, a quarter of an hour before.
pub(crate) fn at_home(victim: &Person, at: Timestamp) -> Value {
    SignInRecord::at_home(victim, at - SignedDuration::from_mins(15)).to_json()
}

/// The victim's session, used from a hosting network.
pub(crate) fn replayed_session(victim: &Person, at: Timestamp) -> Value {
    SignInRecord {
        spot: HOSTING,
        host: 7,
        agent: CHROME_LINUX,
        laptop: false,
        interactive: false,
        id: record_id(&[&victim.id, "replayed"]),
        ..SignInRecord::at_home(victim, at)
    }
    .to_json()
}

/// The whole theft: at home, then replayed.
pub(crate) fn theft(victim: &Person, at: Timestamp) -> [Value; 2] {
    [at_home(victim, at), replayed_session(victim, at)]
}

/// Waits until a daemon process answers at the lab's control socket.
pub(crate) async fn wait_until_up(lab: &Lab) {
    let client = Client::new(lab.socket());
    let deadline = Instant::now() + PATIENCE;
    while client.status().await.is_err() {
        assert!(
            Instant::now() < deadline,
            "no daemon answers at {}",
            lab.socket().display()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// SIGTERM, and a clean end within the unit's time.
pub(crate) async fn terminate(daemon: &mut Child, log: impl Fn() -> String) {
    let id = i32::try_from(daemon.id().expect("the daemon runs")).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(15), daemon.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}; the daemon said:\n{}", log());
}
