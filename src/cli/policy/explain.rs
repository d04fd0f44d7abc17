//! `evictd policy explain`: why, and why not.
//!
//! A case of the running daemon is explained from the trace that was kept with
//! it; a record is judged again, with all that came before it, by the engine.

mod as_test;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use jiff::Timestamp;
use serde::Serialize;

use super::backtest::{self, Since};
use crate::cli::client::{Client, ClientError};
use crate::cli::output::{self, Format};
use crate::cli::records::{self, Judge};
use crate::config::{Config, IntelConfig};
use crate::detect::intel::Intel;
use crate::engine::Step;
use crate::explain::{Explained, explain};
use crate::ingest::recorded;
use crate::model::{CaseView, Event};
use crate::policy::{self, PolicySet, Why};
use crate::ruleset;

/// Events that are explained at most in one run.
const EXPLAINED_MAX: usize = 100;

/// Arguments of `evictd policy explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd policy explain 3f2a91c0                       # a case of the running daemon
  evictd policy explain sign-ins.ndjson                # every event that raised something
  evictd policy explain sign-ins.ndjson --record 8e3… --policies ./policies
  evictd policy explain 8e3b1f60-… --config /etc/evictd/evictd.toml --since 7d
  evictd policy explain sign-ins.ndjson --record 8e3… --as-test > policies/new.test.yaml

For each policy: what it weighs of what was seen, what it left aside and by
which condition, the score's arithmetic, what each rung lacks, and what would
have changed the outcome. Nothing is done, asked or written.

Exit codes: 0 explained, 1 failed or nothing of that id, 2 the command line is
wrong, 3 no daemon answers.")]
pub struct ExplainArgs {
    /// A case's id or its first digits, a record's id (with --config), or a file
    /// of records in any shape that `evictd replay` reads; `-` is standard input.
    #[arg(value_name = "CASE|RECORD|FILE", value_hint = ValueHint::FilePath)]
    what: String,
    /// Explain this record of the file alone.
    #[arg(long, value_name = "ID")]
    record: Option<String>,
    /// Directory of policies; without it those of --config, else the shipped ones.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    policies: Option<PathBuf>,
    /// The daemon's configuration: its policies, lists and kept records.
    #[arg(long, value_name = "FILE", env = "EVICTD_CONFIG", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// How far back kept records are read, to know what was usual.
    #[arg(long, value_name = "TIME", default_value = "14d")]
    since: Since,
    #[command(flatten)]
    intel: IntelConfig,
    /// Print the event, and what led to it, as a ready test for `policy test`.
    #[arg(long)]
    as_test: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t, conflicts_with = "as_test")]
    format: Format,
}

/// A decision of a case, explained from the trace that was kept with it.
#[derive(Debug, Serialize)]
struct Kept<'a> {
    decision: &'a crate::model::Decision,
    /// Whether the policies at hand are those that decided; else weights and
    /// rungs may differ from what is said.
    same_policies: bool,
    policies: Vec<Why>,
}

/// Runs it.
///
/// # Errors
/// When there is no such case, record or file, or it cannot be read.
pub async fn run(args: &ExplainArgs, client: &Client) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let from_config = config
        .as_ref()
        .and_then(|config| config.policies.as_deref());
    let policies = ruleset::load(args.policies.as_deref().or(from_config))?;
    let path = Path::new(&args.what);
    if path == Path::new("-") || path.exists() {
        let intel = backtest::intel(&args.intel, config.as_ref())?;
        let files = [path.to_owned()];
        return of_records(args, &files, args.record.as_deref(), &policies, &intel);
    }
    if args.what.contains(['/', '.']) {
        bail!("{}: there is no such file", args.what);
    }
    match client.case(&args.what).await {
        Ok(case) if !args.as_test => of_case(args, &case, &policies),
        Ok(_) => bail!("a case holds no records: name a file, or a record with --config"),
        Err(error) => {
            let Some(config) = &config else {
                let nothing_running =
                    matches!(error, ClientError::NoDaemon(_) | ClientError::NotAllowed(_));
                let error = anyhow::Error::from(error);
                return Err(if nothing_running {
                    error
                } else {
                    error.context(format!(
                        "{} is no file and no case; a record is looked for with --config FILE",
                        args.what
                    ))
                });
            };
            let since = args.since.before(Timestamp::now())?;
            let files = backtest::segments_since(&config.state, since)?;
            let intel = backtest::intel(&args.intel, Some(config))?;
            of_records(args, &files, Some(&args.what), &policies, &intel)
        }
    }
}

fn of_case(args: &ExplainArgs, case: &CaseView, policies: &PolicySet) -> anyhow::Result<ExitCode> {
    let kept: Vec<Kept<'_>> = case
        .decisions
        .iter()
        .map(|view| {
            let decision = &view.decision;
            let find = |name| policies.policies.iter().find(|policy| policy.name == name);
            Kept {
                decision,
                same_policies: decision.policy_set == policies.hash,
                policies: decision
                    .verdicts
                    .iter()
                    .filter_map(|verdict| {
                        let policy = find(verdict.policy.clone())?;
                        let signals = &decision.signals;
                        Some(policy::why(policy, &decision.user, signals, verdict))
                    })
                    .collect(),
            }
        })
        .collect();
    match args.format {
        Format::Json => output::json(&kept)?,
        Format::Text => output::print(|out| text::case(out, case, &kept))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn of_records(
    args: &ExplainArgs,
    files: &[PathBuf],
    record: Option<&str>,
    policies: &PolicySet,
    intel: &Intel,
) -> anyhow::Result<ExitCode> {
    let mut judging = Judging {
        judge: Judge::new(policies, intel),
        record,
        explained: Vec::new(),
        untold: 0,
        last: None,
    };
    for file in files {
        records::read(file, |located| judging.read(located))
            .with_context(|| file.display().to_string())?;
    }
    let untold = judging.untold;
    let explained = judging.told();
    if explained.is_empty() {
        match record {
            Some(record) => bail!("no record {record} that evictd judges is there"),
            None => bail!("no record that evictd judges is there"),
        }
    }
    if args.as_test {
        let text = as_test::text(files, &explained)?;
        output::print(|out| out.write_all(text.as_bytes()))?;
        return Ok(ExitCode::SUCCESS);
    }
    match args.format {
        Format::Json => output::json(&explained)?,
        Format::Text => output::print(|out| {
            for explained in &explained {
                text::event(out, explained)?;
            }
            match untold {
                0 => Ok(()),
                more => writeln!(
                    out,
                    "{more} more events raised something; name one with --record"
                ),
            }
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Records being judged one after the other, in the order of the files.
struct Judging<'a> {
    judge: Judge<'a>,
    /// The only one to explain.
    record: Option<&'a str>,
    explained: Vec<Explained>,
    /// Events that raised something beyond the bound.
    untold: u64,
    /// The last event and what it led to, as long as nothing raised anything.
    last: Option<(Event, Step)>,
}

impl Judging<'_> {
    fn read(&mut self, located: recorded::Located) {
        for (_, event) in &located.content.events {
            self.take(event);
        }
    }

    fn take(&mut self, event: &Event) {
        let given = self.judge.given();
        let (step, memory) = self.judge.step(event);
        let wanted = match self.record {
            Some(record) => event.record().as_str() == record && !step.duplicate,
            None => !step.signals.is_empty(),
        };
        if wanted && self.explained.len() < EXPLAINED_MAX {
            self.explained.push(explain(event, &step, memory, &given));
        } else if wanted {
            self.untold += 1;
        } else if self.record.is_none() && self.explained.is_empty() && !step.duplicate {
            self.last = Some((event.clone(), step));
        }
    }

    /// What is told: what was asked for, else what raised something, else the
    /// last event.
    fn told(self) -> Vec<Explained> {
        let Some((event, step)) = self.last.filter(|_| self.explained.is_empty()) else {
            return self.explained;
        };
        // Nobody's memory has changed since.
        let memory = self.judge.memory(&event.user().id);
        let told = memory.map(|memory| explain(&event, &step, memory, &self.judge.given()));
        told.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
