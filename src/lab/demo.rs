//! `evictd demo`: a morning at Contoso, played against the daemon itself.
//!
//! The daemon is a process of its own, `evictd run` as an operator would start
//! it, told nothing but its configuration file. What the demo claims it reads
//! back: decisions and times from the daemon's control socket, counts from its
//! `/metrics`, and what was really done from the stand-in's tenant.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use uuid::Uuid;

use super::narrator::Narrator;
use super::records::Person;
use super::scenario::{self, Act, Outcome};
use super::{Lab, Transport};
use crate::cli::client::Client;
use crate::cli::output::{self, Format};
use crate::model::{ActionState, CaseStatus, CaseView, Signal};
use crate::ruleset;

/// How long the daemon may take to be ready, an act to end, and the morning to
/// be judged.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than an act takes, and shorter than what was before it is ago.
const ACT: SignedDuration = SignedDuration::from_mins(10);
/// How often the daemon is asked.
const POLL: Duration = Duration::from_millis(20);
/// Records in a message of the ordinary morning.
const RECORDS_PER_MESSAGE: usize = 20;
/// Partitions of the lab's hub.
const PARTITIONS: usize = 4;

/// Arguments of `evictd demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd demo
  evictd demo --policies ./policies --headless
  evictd demo --headless --format json | jq .contained")]
pub struct DemoArgs {
    /// Play to the end and exit: 0 if every scripted outcome came true; with
    /// policies of your own nothing is scripted but that all is judged.
    #[arg(long)]
    headless: bool,
    /// Judge by the policies of this folder, not by those that ship.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where the lab and the daemon keep their files; a temporary directory otherwise.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// The end of the demo in one object; `--format json` prints it.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    counts: Counts,
    /// Users whose sessions were revoked.
    pub(super) contained: Vec<String>,
    /// Users about whom a human is asked.
    pub(super) queued: Vec<String>,
    /// Protected users on whom the guard refused to act.
    pub(super) protected: Vec<String>,
    /// Users about whom only shadow policies spoke.
    pub(super) shadowed: Vec<String>,
    /// Users in the acts about whom no policy called for anything.
    pub(super) quiet: Vec<String>,
    /// The policies that called for what was done, asked or recorded, by user.
    by: BTreeMap<String, Vec<String>>,
    /// What Graph saw.
    graph: GraphSummary,
    /// Users in the acts whose sessions the tenant says are revoked.
    #[serde(skip)]
    revoked: usize,
    /// Seconds from the event to the acknowledgement, by contained user.
    seconds: BTreeMap<String, f64>,
    /// Whether every scripted outcome came true.
    passed: bool,
    /// What did not.
    pub(super) failures: Vec<String>,
}

/// What Graph saw.
#[derive(Debug, Default, Serialize)]
pub struct GraphSummary {
    requests: u64,
    throttled: u64,
}

/// Plays it; the result says whether every scripted outcome came true.
///
/// # Errors
/// When the lab or the daemon cannot be started.
pub async fn run(args: &DemoArgs) -> anyhow::Result<bool> {
    if let Err(errors) = ruleset::load(args.policies.as_deref()) {
        output::print(|out| writeln!(out, "{errors}"))?;
        return Ok(false);
    }
    // The daemon is told of it in a file that lies elsewhere.
    let own = args.policies.as_deref().map(Path::canonicalize);
    let own = own.transpose().context("the folder of policies")?;
    let temporary;
    let directory = match &args.directory {
        Some(directory) => {
            std::fs::create_dir_all(directory)?;
            directory.as_path()
        }
        None => {
            temporary = tempfile::tempdir().context("a temporary directory")?;
            temporary.path()
        }
    };
    let narrator = Narrator::new(args.format == Format::Text);
    let people = scenario::tenant();
    let lab = Lab::start(directory, &people, PARTITIONS)
        .await
        .context("starting the lab")?;
    narrator.opening(&lab, people.len());
    let mut daemon = Daemon::start(&lab, directory, own.as_deref()).await?;
    narrator.daemon_is_up(&daemon.log, own.as_deref());
    let scripted = own.is_none();
    let summary = play(&lab, &mut daemon, &narrator, scripted).await?;
    narrator.closing(&summary);
    if args.format == Format::Json {
        output::json(&summary)?;
    }
    if !args.headless {
        narrator.invitation(&lab, &daemon.http);
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            status = daemon.child.wait() => bail!("the daemon ended early: {}", status?),
        }
    }
    daemon.stop().await?;
    Ok(summary.passed)
}

async fn play(
    lab: &Lab,
    daemon: &mut Daemon,
    narrator: &Narrator,
    scripted: bool,
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let staff = &scenario::staff();
    let started = Instant::now();
    let now = Timestamp::now();
    let mut morning = scenario::fortnight(staff, now);
    morning.extend(scenario::ordinary_morning(staff, now));
    for records in morning.chunks(RECORDS_PER_MESSAGE) {
        lab.publish(records);
    }
    let broken = scenario::with_a_broken_record(staff, Timestamp::now());
    lab.publish(&broken);
    let published = (morning.len() + broken.len()) as u64;
    daemon
        .wait_for("the morning's records", |counts| {
            counts.records >= published
        })
        .await?;
    narrator.morning(morning.len(), started.elapsed());
    let mut sent = published;
    for act in scenario::acts(staff, Timestamp::now()) {
        // Made anew, so that the event's time is now and the seconds are true.
        let act = fresh(staff, &act);
        narrator.act(&act);
        // One after the other, so that every demo tells the same: what a late
        // record completes may ask where it would have acted.
        for record in &act.records {
            lab.publish(std::slice::from_ref(record));
            sent += 1;
            daemon
                .wait_for(act.title, |counts| counts.records >= sent)
                .await?;
        }
        let case = daemon.outcome_of(&act, scripted).await?;
        file(lab, &act, case.as_ref(), &mut summary);
        if scripted {
            judge(lab, &act, case.as_ref(), &mut summary);
        }
        match &case {
            Some(case) => narrator.case(lab, case),
            None => narrator.nothing(&daemon.lately_raised(&act).await?),
        }
    }
    let counts = daemon
        .wait_for("the acts' records", |counts| counts.records >= sent)
        .await?;
    summary.counts = counts;
    let calls = lab.graph.calls();
    summary.graph.requests = calls.len() as u64;
    summary.graph.throttled = calls.iter().filter(|call| call.status == Some(429)).count() as u64;
    expect(&mut summary, published, sent, &calls);
    Ok(summary)
}

fn fresh(staff: &[Person], act: &Act) -> Act {
    scenario::acts(staff, Timestamp::now())
        .into_iter()
        .find(|fresh| fresh.title == act.title)
        .unwrap_or_else(|| act.clone())
}

/// Files the person under what became of them.
fn file(lab: &Lab, act: &Act, case: Option<&CaseView>, summary: &mut Summary) {
    let who = act.person.principal_name.clone();
    let revoked = is_revoked(lab, &act.person);
    if revoked {
        summary.revoked += 1;
    }
    let Some(case) = case else {
        summary.quiet.push(who);
        return;
    };
    match case.status {
        // Something else may be asked besides.
        CaseStatus::AwaitingApproval if revoked => summary.contained.push(who.clone()),
        CaseStatus::Contained => summary.contained.push(who.clone()),
        CaseStatus::AwaitingApproval => summary.queued.push(who.clone()),
        CaseStatus::Protected => summary.protected.push(who.clone()),
        CaseStatus::Shadow => summary.shadowed.push(who.clone()),
        _ => {}
    }
    let seconds = case.actions.iter();
    let seconds = seconds.filter_map(|action| action.event_to_acknowledged_seconds);
    if let Some(seconds) = seconds.reduce(f64::min) {
        summary.seconds.insert(who.clone(), seconds);
    }
    let policies = policies_of(case).into_iter().map(str::to_owned);
    summary.by.insert(who, policies.collect());
}

/// The policies that called for what a case came to: those of its orders, or
/// those in shadow where nothing was ordered.
pub(super) fn policies_of(case: &CaseView) -> Vec<&str> {
    let decisions = || case.decisions.iter().map(|view| &view.decision);
    let orders = decisions().flat_map(|decision| &decision.orders);
    let mut names: Vec<&str> = orders.map(|order| order.policy.as_str()).collect();
    if names.is_empty() {
        let verdicts = decisions().flat_map(|decision| &decision.verdicts);
        let spoke = verdicts.filter(|verdict| verdict.effect.is_some());
        names = spoke.map(|verdict| verdict.policy.as_str()).collect();
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Notes where the tenant or the case say otherwise than the script.
fn judge(lab: &Lab, act: &Act, case: Option<&CaseView>, summary: &mut Summary) {
    let revoked = is_revoked(lab, &act.person);
    let (listed, revokes) = match act.outcome {
        Outcome::Contained => (&summary.contained, true),
        Outcome::Queued => (&summary.queued, false),
        Outcome::Protected => (&summary.protected, false),
        Outcome::Quiet => (&summary.quiet, false),
    };
    let who = &act.person.principal_name;
    if listed.last() != Some(who) || revoked != revokes {
        let status = case.map_or("no case", |case| case.status.as_str());
        summary.failures.push(format!(
            "{who}: expected {:?}, the case says {status}, sessions {}",
            act.outcome,
            if revoked { "revoked" } else { "not revoked" }
        ));
    }
}

fn is_revoked(lab: &Lab, person: &Person) -> bool {
    Uuid::parse_str(&person.id)
        .ok()
        .and_then(|id| lab.graph.user(id))
        .is_some_and(|user| user.sign_in_sessions_valid_from > Timestamp::UNIX_EPOCH)
}

/// What must hold of the whole, beside each act's outcome.
fn expect(summary: &mut Summary, published: u64, sent: u64, calls: &[super::graph::Call]) {
    let revoked = calls
        .iter()
        .filter(|c| c.path.ends_with("/revokeSignInSessions"))
        .count();
    let checks = [
        (
            summary.counts.records == sent,
            format!("{} records read, {sent} were sent", summary.counts.records),
        ),
        (
            summary.counts.events + summary.counts.quarantined == summary.counts.records,
            "events and quarantine do not add up".to_owned(),
        ),
        (
            summary.counts.quarantined == 1,
            format!(
                "{} records in quarantine, expected 1",
                summary.counts.quarantined
            ),
        ),
        (
            summary.counts.duplicates > published / 40,
            format!(
                "{} duplicates recognised of one in 30",
                summary.counts.duplicates
            ),
        ),
        (
            revoked == summary.revoked,
            format!("{revoked} revokes for {} users", summary.revoked),
        ),
        (
            summary.graph.throttled == 0,
            format!("{} answers 429", summary.graph.throttled),
        ),
    ];
    for (holds, failure) in checks {
        if !holds {
            summary.failures.push(failure);
        }
    }
    summary.passed = summary.failures.is_empty();
}

/// The daemon as a child process.
struct Daemon {
    child: Child,
    client: Client,
    http: String,
    log: PathBuf,
}

/// What `/metrics` says.
#[derive(Debug, Default, Serialize)]
struct Counts {
    /// Records the daemon read.
    records: u64,
    /// Records that became events.
    events: u64,
    /// Records it recognised as delivered before.
    duplicates: u64,
    /// Records in quarantine.
    quarantined: u64,
    /// Signals raised, by name.
    signals: BTreeMap<String, u64>,
    /// Decisions by effect, after the guard.
    decisions: BTreeMap<String, u64>,
}

impl Daemon {
    async fn start(lab: &Lab, directory: &Path, policies: Option<&Path>) -> anyhow::Result<Self> {
        let config = lab.write_config(Transport::Tls, policies)?;
        let log = directory.join("evictd.log");
        let child = Command::new(std::env::current_exe().context("the path of this program")?)
            .args(["run", "--config"])
            .arg(&config)
            .env("SSL_CERT_FILE", lab.authority_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("starting the daemon")?;
        let client = Client::new(lab.socket());
        let mut daemon = Self {
            child,
            client,
            http: String::new(),
            log,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(status) = daemon.client.status().await
                && status.ready
            {
                daemon.http = status.about.http;
                return Ok(daemon);
            }
            if let Some(status) = daemon.child.try_wait()? {
                let said = std::fs::read_to_string(&daemon.log).unwrap_or_default();
                bail!("the daemon ended at its start ({status}):\n{said}");
            }
            if Instant::now() > deadline {
                let said = std::fs::read_to_string(&daemon.log).unwrap_or_default();
                bail!(
                    "the daemon was not ready within {} s; it said:\n{said}",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks `/metrics` until the counts are as wanted.
    async fn wait_for(
        &self,
        what: &str,
        holds: impl Fn(&Counts) -> bool,
    ) -> anyhow::Result<Counts> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let url = format!("http://{}/metrics", self.http);
            let counts = Counts::parse(&reqwest::get(url).await?.text().await?);
            if holds(&counts) {
                return Ok(counts);
            }
            if Instant::now() > deadline {
                bail!(
                    "{what} were not judged within {} s: {counts:?}",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The case of the act's person once it has ended as scripted, or at all;
    /// whatever there is when patience ends. The act was judged before.
    async fn outcome_of(&self, act: &Act, scripted: bool) -> anyhow::Result<Option<CaseView>> {
        let wanted = match act.outcome {
            Outcome::Contained => Some(CaseStatus::Contained),
            Outcome::Queued => Some(CaseStatus::AwaitingApproval),
            Outcome::Protected => Some(CaseStatus::Protected),
            Outcome::Quiet => None,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let cases = self.client.cases(1_000).await?;
            let case = cases
                .into_iter()
                .find(|case| case.user.id.as_str() == act.person.id);
            let ended = if scripted {
                case.as_ref().map(|case| case.status) == wanted
            } else {
                !case.as_ref().is_some_and(is_under_way)
            };
            if ended || Instant::now() > deadline {
                return Ok(match case {
                    Some(case) => Some(self.client.case(&case.id.to_string()).await?),
                    None => None,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the act's person did raise, though no policy called for anything.
    async fn lately_raised(&self, act: &Act) -> anyhow::Result<Vec<Signal>> {
        let known = self.client.memory(&act.person.id).await?;
        let mut signals = known.memory.signals;
        let latest = signals.iter().map(|signal| signal.at).max();
        let since = Timestamp::now() - ACT;
        signals.retain(|signal| Some(signal.at) == latest && signal.at >= since);
        Ok(signals)
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) else {
            return Ok(());
        };
        // After Ctrl-C the daemon has had its signal already; one more is harmless.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGTERM);
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("the daemon did not stop")??;
        if !status.success() {
            bail!("the daemon stopped with {status}");
        }
        Ok(())
    }
}

/// Whether an action is yet to be sent or answered.
fn is_under_way(case: &CaseView) -> bool {
    let mut latest = case.latest();
    latest.any(|action| matches!(action.state, ActionState::Queued | ActionState::Sending))
}

impl Counts {
    fn parse(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let value = value.parse::<f64>().unwrap_or(0.0) as u64;
            let label = |name: &str| {
                series
                    .split_once(&format!("{name}=\""))
                    .and_then(|(_, rest)| rest.split_once('"'))
                    .map(|(label, _)| label.to_owned())
            };
            match series.split('{').next().unwrap_or_default() {
                "evictd_records_total" => {
                    counts.records += value;
                    if label("result").as_deref() == Some("event") {
                        counts.events += value;
                    }
                }
                "evictd_duplicates_total" => counts.duplicates = value,
                "evictd_quarantined_total" => counts.quarantined = value,
                "evictd_signals_total" => {
                    counts
                        .signals
                        .extend(label("signal").map(|signal| (signal, value)));
                }
                "evictd_decisions_total" => {
                    counts
                        .decisions
                        .extend(label("effect").map(|effect| (effect, value)));
                }
                _ => {}
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_does_not_compile_ends_the_demo_before_it_begins() {
        let policies = tempfile::tempdir().unwrap();
        std::fs::write(policies.path().join("a.yaml"), "policy: a\n").unwrap();
        let directory = policies.path().join("lab");
        let args = DemoArgs {
            headless: true,
            policies: Some(policies.path().to_owned()),
            format: Format::Text,
            directory: Some(directory.clone()),
        };
        assert!(!run(&args).await.unwrap());
        assert!(!directory.exists(), "nothing was started");
    }
}
