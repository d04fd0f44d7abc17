//! `evictd replay`: the daemon's engine over recorded records, doing nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::output::{self, Format, escape};
use super::records::{self, Judge};
use crate::backtest::Unread;
use crate::config::IntelConfig;
use crate::engine::{self};
use crate::ingest::recorded;
use crate::model::{Admission, Decision, Effect};
use crate::policy::{self, Situation};
use crate::ruleset;

/// Arguments of `evictd replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd replay sign-ins.ndjson
  evictd replay --policies ./policies --format json sign-ins.ndjson | jq .decisions
  evictd replay --format json SigninLogs.csv.gz capture.avro
  evictd replay /var/lib/evictd/history/2026-11-24.ndjson.zst

Reads what the daemon kept; NDJSON and JSON arrays of records, of Event Hubs
envelopes ({\"records\":[…]}) or of test cases that hold a record under \"log\";
exports of Log Analytics as CSV or JSON; Avro of Event Hubs Capture; any of these
in gzip or zstd. What a file is is told by its content. It is judged in its own
order: one that runs newest first is named.")]
pub struct ReplayArgs {
    /// Directory of policies; without it the shipped ones.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    intel: IntelConfig,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The records; `-` reads standard input.
    #[arg(value_name = "FILE|-", required = true)]
    files: Vec<PathBuf>,
}

/// What a replay found; `--format json` prints it.
#[derive(Debug, Default, Serialize)]
struct Report {
    records: u64,
    events: u64,
    duplicates: u64,
    passed_over: BTreeMap<&'static str, u64>,
    quarantined: Vec<Unread>,
    /// Files that run newest first; they were judged as they run.
    newest_first: Vec<String>,
    signals: BTreeMap<String, u64>,
    effects: BTreeMap<&'static str, u64>,
    protected: u64,
    decisions: Vec<Decision>,
}

/// Runs it.
///
/// # Errors
/// When a file cannot be read or a policy does not compile. Records that do
/// not decode are reported, not errors.
pub fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let policies = ruleset::load(args.policies.as_deref())?;
    let intel = args.intel.load()?;
    let mut judge = Judge::new(&policies, &intel);
    let mut report = Report::default();
    for file in &args.files {
        report
            .read(file, &mut judge)
            .with_context(|| file.display().to_string())?;
    }
    match args.format {
        Format::Json => output::json(&report),
        Format::Text => output::print(|out| print_report(out, &report)),
    }
}

impl Report {
    fn read(&mut self, path: &Path, judge: &mut Judge<'_>) -> anyhow::Result<()> {
        let name = match path == Path::new("-") {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let mut course = recorded::Course::default();
        records::read(path, |located| {
            let events = located.content.events.iter();
            events.for_each(|(_, event)| course.see(event.at()));
            self.take(located, &name, judge);
        })?;
        if course.is_newest_first() {
            self.newest_first.push(name);
        }
        Ok(())
    }

    fn take(&mut self, located: recorded::Located, name: &str, judge: &mut Judge<'_>) {
        let content = located.content;
        self.records +=
            (content.events.len() + content.passed_over.len() + content.quarantined.len()) as u64;
        for category in content.passed_over {
            *self.passed_over.entry(category.0).or_default() += 1;
        }
        self.quarantined
            .extend(content.quarantined.into_iter().map(|record| Unread {
                file: name.to_owned(),
                line: located.line,
                reason: record.reason,
            }));
        for (_, event) in content.events {
            self.events += 1;
            let (step, _) = judge.step(&event);
            self.duplicates += u64::from(step.duplicate);
            for signal in &step.signals {
                *self.signals.entry(signal.name.to_string()).or_default() += 1;
            }
            let Some(mut decision) = step.decision else {
                continue;
            };
            let situation = Situation::as_recorded(decision.at);
            engine::admit(&mut decision, judge.given().policies, &situation);
            *self.effects.entry(decision.effect.as_str()).or_default() += 1;
            self.protected += u64::from(matches!(decision.admission, Admission::Refused(_)));
            self.decisions.push(decision);
        }
    }
}

fn print_report(out: &mut dyn Write, report: &Report) -> std::io::Result<()> {
    for decision in &report.decisions {
        print_decision(out, decision)?;
    }
    for unread in &report.quarantined {
        writeln!(
            out,
            "{}:{}: not decoded: {}",
            escape(&unread.file),
            unread.line,
            escape(&unread.reason)
        )?;
    }
    for file in &report.newest_first {
        writeln!(
            out,
            "{}: runs newest first and was judged so; turn it round, or see `evictd policy backtest`",
            escape(file)
        )?;
    }
    let passed_over: u64 = report.passed_over.values().sum();
    writeln!(
        out,
        "{} records: {} events ({} delivered again), {} of other categories, {} not decoded",
        report.records,
        report.events,
        report.duplicates,
        passed_over,
        report.quarantined.len()
    )?;
    let count = |effect: Effect| report.effects.get(effect.as_str()).copied().unwrap_or(0);
    writeln!(
        out,
        "{} decisions: {} act, {} ask, {} shadow ({} on protected accounts); nothing was done",
        report.decisions.len(),
        count(Effect::Act),
        count(Effect::Ask),
        count(Effect::Shadow),
        report.protected
    )
}

/// One decision with its reasons.
pub(super) fn print_decision(out: &mut dyn Write, decision: &Decision) -> std::io::Result<()> {
    writeln!(
        out,
        "{}  {}  {:>3}  {}",
        decision.at,
        output::effect(decision.effect),
        decision.score,
        escape(&output::who(&decision.user))
    )?;
    for signal in &decision.signals {
        output::signal(out, "    ", &signal.name, &signal.evidence.to_string())?;
    }
    for verdict in decision.verdicts.iter().filter(|v| v.rung.is_some()) {
        writeln!(out, "    {}", escape(&policy::explain(verdict)))?;
    }
    match output::guard(decision.admission) {
        Some(word) => writeln!(out, "    {word}"),
        None => Ok(()),
    }
}
