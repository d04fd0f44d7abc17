//! `evictd policy backtest`: whom a change of policies would have hit.
//!
//! Invariant: reads and prints, nothing else. Everything found is in the
//! report; the formats leave out for length only, and say how much.

mod markdown;
mod since;
mod text;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

pub(super) use self::since::Since;
use crate::backtest::{self, Backtest, Report, Rules};
use crate::cli::output;
use crate::config::{Config, IntelConfig};
use crate::detect::intel::Intel;
use crate::history;
use crate::{intel_files, ruleset};

/// How often the progress is drawn.
const DRAW: Duration = Duration::from_millis(200);

/// Arguments of `evictd policy backtest`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd policy backtest --policies ./policies sign-ins/*.ndjson
  evictd policy backtest --policies ./new --against ./old --format json export.json
  evictd policy backtest --policies ./policies --config /etc/evictd/evictd.toml --since 90d
  evictd policy backtest --policies ./policies --against ./base --format markdown sample.ndjson

Each file keeps its own order; of several, the one whose next record is the
oldest goes first. A file that runs newest first is turned round.
Nothing is done, asked or written.

Exit codes: 0 done (there may be records that did not decode), 1 failed, or
with --strict a record did not decode, 2 the command line is wrong.")]
pub struct BacktestArgs {
    /// The changed policies: a directory.
    #[arg(long, value_name = "DIR")]
    policies: PathBuf,
    /// What to compare them with: a directory; without it the policies that
    /// --config names, else the shipped ones.
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// The daemon's configuration: its policies, lists and kept records.
    #[arg(long, value_name = "FILE", env = "EVICTD_CONFIG")]
    config: Option<PathBuf>,
    /// The daemon's kept records since then: 90d, 24h, 2026-08-01 or a time.
    /// They are kept by the UTC day of arrival, and that day is read whole.
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "files",
        requires = "config"
    )]
    since: Option<Since>,
    #[command(flatten)]
    intel: IntelConfig,
    /// How to print; markdown is made for a pull request.
    #[arg(long, value_enum, default_value_t)]
    format: BacktestFormat,
    /// Name users by a short form of their object ids; markdown does anyway.
    #[arg(long, conflicts_with = "names")]
    mask: bool,
    /// Name users in markdown too.
    #[arg(long)]
    names: bool,
    /// Fail where a record does not decode.
    #[arg(long)]
    strict: bool,
    /// Threads that decode; without it one for each core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// The records, in any shape that `evictd replay` reads; `-` is standard input.
    #[arg(value_name = "FILE|-", required_unless_present = "since")]
    files: Vec<PathBuf>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum BacktestFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// For a pull request: a summary, and details to unfold.
    Markdown,
}

/// Runs it.
///
/// # Errors
/// When policies do not compile, lists or files cannot be read, or standard
/// output cannot be written.
pub fn run(args: &BacktestArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let (old, new) = both(args, config.as_ref())?;
    let intel = intel(&args.intel, config.as_ref())?;
    let files = match (args.since, &config) {
        (Some(since), Some(config)) => {
            segments_since(&config.state, since.before(Timestamp::now())?)?
        }
        _ => args.files.clone(),
    };
    let mut report = compare(args, &files, &intel, &old, &new)?;
    let undecodable = report.input.undecodable;
    if args.mask || (args.format == BacktestFormat::Markdown && !args.names) {
        report.mask();
    }
    match args.format {
        BacktestFormat::Json => output::json(&report)?,
        BacktestFormat::Text => output::print(|out| text::print(out, &report))?,
        BacktestFormat::Markdown => {
            output::print(|out| out.write_all(markdown::page(&report).as_bytes()))?;
        }
    }
    Ok(match args.strict && undecodable > 0 {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn both(args: &BacktestArgs, config: Option<&Config>) -> anyhow::Result<(Rules, Rules)> {
    let load = |directory: Option<&Path>| -> anyhow::Result<Rules> {
        Ok(Rules {
            from: match directory {
                Some(directory) => directory.display().to_string(),
                None => "the shipped policies".to_owned(),
            },
            set: ruleset::load(directory)?,
        })
    };
    let today = config.and_then(|config| config.policies.as_deref());
    Ok((
        load(args.against.as_deref().or(today))?,
        load(Some(&args.policies))?,
    ))
}

/// The lists that the flags name, else those of the configuration.
pub(super) fn intel(flags: &IntelConfig, config: Option<&Config>) -> anyhow::Result<Intel> {
    match config {
        Some(config) if flags.is_empty() => {
            let at_hand = intel_files::at_hand(&config.intel, &config.state, Timestamp::now())?;
            Ok(at_hand.intel)
        }
        _ => flags.load(),
    }
}

/// The daemon's records since then, oldest first.
pub(super) fn segments_since(state: &Path, since: Timestamp) -> anyhow::Result<Vec<PathBuf>> {
    let kept = history::segments(state, since)
        .with_context(|| format!("{}: reading the kept records", state.display()))?;
    if kept.is_empty() {
        bail!(
            "{}: no records are kept since {since}; `[history]` in the configuration says how long \
             they are, and files can be named instead of --since",
            state.display()
        );
    }
    Ok(kept)
}

fn compare(
    args: &BacktestArgs,
    files: &[PathBuf],
    intel: &Intel,
    old: &Rules,
    new: &Rules,
) -> anyhow::Result<Report> {
    let bar = bar(backtest::bytes_of(files)?);
    let records = Cell::new(0_u64);
    let progress = |bytes: u64, more: u64| {
        records.set(records.get() + more);
        bar.inc(bytes);
        let seconds = bar.elapsed().as_secs_f64().max(0.001);
        let per_second = records.get() as f64 / seconds;
        bar.set_message(format!(
            "{} records, {per_second:.0} records/s",
            records.get()
        ));
    };
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => thread::available_parallelism().map_or(1, Into::into),
    };
    let backtest = Backtest {
        files,
        intel,
        old,
        new,
        threads,
    };
    let report = backtest.run(&progress);
    bar.finish_and_clear();
    report.context("reading the records")
}

/// On standard error, where that is a terminal.
fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    bar.enable_steady_tick(DRAW);
    match ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What is said of the input before anything else, one line each.
fn input_lines(report: &Report) -> Vec<String> {
    let input = &report.input;
    let day = |at: Option<Timestamp>| match at {
        Some(at) => at.strftime("%Y-%m-%d %H:%MZ").to_string(),
        None => "never".to_owned(),
    };
    let passed_over: u64 = input.passed_over.values().sum();
    let mut lines = vec![format!(
        "{} records in {}: {} events from {} to {} of {} users ({} delivered again), {} of other categories, {} not decoded",
        input.records,
        match input.files {
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        },
        input.events,
        day(input.first),
        day(input.last),
        report.new.users,
        report.new.duplicates,
        passed_over,
        input.undecodable
    )];
    if !input.newest_first.is_empty() {
        let names = input.newest_first.join(", ");
        lines.push(format!("newest first, and so sorted by time: {names}"));
    }
    if report.left_out > 0 {
        lines.push(format!(
            "{} decisions are beyond the bound of cases and are not compared",
            report.left_out
        ));
    }
    lines
}

#[cfg(test)]
mod tests;
