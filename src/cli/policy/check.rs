//! `evictd policy check`: every problem of every file, in one run.
//!
//! Invariant: what is told is what the daemon's own compiler says, and all of
//! it: warnings too where there are errors. The formats differ in dress only.
//! A file is checked within its folder, since it means nothing without the
//! lists, signals and policies that it stands with, but only what is wrong with
//! the file itself is told: an editor or a commit hook asks about one file.

mod github;
mod json;
mod permissions;
mod sarif;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum, ValueHint};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::cli::output;
use crate::config::Config;
use crate::policy::{self, Level, Place, Policy, Problem};
use crate::ruleset::{self, Examined};

/// Nothing is wrong.
const FINE: u8 = 0;
/// There are errors, or with `--deny-warnings` warnings.
const WRONG: u8 = 1;
/// There was nothing to check. clap uses it too, for a wrong command line.
const NOTHING_READ: u8 = 2;

/// Arguments of `evictd policy check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd policy check ./policies
  evictd policy check ./policies/stolen-session.yaml
  evictd policy check            # the shipped ones
  evictd policy check --format sarif ./policies > evictd.sarif
  evictd policy check --permissions User.RevokeSessions.All ./policies

Exit codes:
  0  nothing is wrong; there may be warnings
  1  there are errors, or warnings and --deny-warnings
  2  the command line is wrong, or there is nothing to read

docs/policy-reference.md explains each rule and the JSON.")]
pub struct CheckArgs {
    /// A folder of policies, or one file of it; without it the policies of
    /// --config, else the shipped ones.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    path: Option<PathBuf>,
    /// Check the policies that a daemon with this configuration would use.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "path")]
    config: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: CheckFormat,
    /// Exit with 1 where there are warnings only.
    #[arg(long)]
    deny_warnings: bool,
    /// The Graph application permissions that evictd was granted; an action
    /// that needs another is an error. Without it permissions are not checked.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    permissions: Option<Vec<String>>,
}

/// How to print what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum CheckFormat {
    /// For people; colours on a terminal only (and not with NO_COLOR).
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands of GitHub Actions: notes beside the lines.
    Github,
}

/// What was found.
struct Findings {
    /// How many files were read.
    files: usize,
    /// By file and place.
    errors: Vec<Problem>,
    /// By file and place.
    warnings: Vec<Problem>,
    /// How many problems other files of the folder have, which are not told.
    elsewhere: usize,
    /// The policies that nothing is wrong with.
    policies: Vec<Policy>,
    /// The set's hash, where it compiles.
    set: Option<Box<str>>,
}

impl Findings {
    /// Errors first, each with how bad it is.
    fn all(&self) -> impl Iterator<Item = (Level, &Problem)> {
        let errors = self.errors.iter().map(|problem| (Level::Error, problem));
        let warnings = self
            .warnings
            .iter()
            .map(|problem| (Level::Warning, problem));
        errors.chain(warnings)
    }

    fn exit_code(&self, deny_warnings: bool) -> u8 {
        if self.files == 0 {
            NOTHING_READ
        } else if !self.errors.is_empty() || deny_warnings && !self.warnings.is_empty() {
            WRONG
        } else {
            FINE
        }
    }

    /// `1 error, 2 warnings in 3 files`.
    fn summary(&self) -> String {
        format!(
            "{}, {} in {}",
            counted(self.errors.len(), "error"),
            counted(self.warnings.len(), "warning"),
            counted(self.files, "file")
        )
    }

    /// Leaves what is about one file.
    fn about_only(&mut self, path: &str) {
        let before = self.errors.len() + self.warnings.len();
        self.errors.retain(|problem| problem.path == path);
        self.warnings.retain(|problem| problem.path == path);
        self.elsewhere = before - self.errors.len() - self.warnings.len();
        self.policies.retain(|policy| {
            let mut placed = policy.rungs.iter().flat_map(policy::Rung::placed);
            placed.any(|(_, at)| at.path == path)
        });
        self.files = 1;
    }
}

/// Runs it.
///
/// # Errors
/// When the configuration cannot be read or standard output cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let path = match &args.config {
        Some(file) => Config::load(file)?.policies,
        None => args.path.clone(),
    };
    let today = Offset::UTC.to_datetime(Timestamp::now()).date();
    for line in permissions::misspelt(args.permissions.as_deref().unwrap_or_default()) {
        // Standard error that is gone cannot be told about.
        let _ = writeln!(io::stderr(), "evictd: {line}");
    }
    let findings = find(path.as_deref(), args.permissions.as_deref(), today);
    let working = std::env::current_dir().unwrap_or_default();
    match args.format {
        CheckFormat::Text => output::print(|out| text::write(out, &findings))?,
        CheckFormat::Json => output::json(&json::report(&findings))?,
        CheckFormat::Sarif => output::json(&sarif::report(&findings, &working))?,
        CheckFormat::Github => output::print(|out| github::write(out, &findings, &working))?,
    }
    Ok(ExitCode::from(findings.exit_code(args.deny_warnings)))
}

/// Compiles and looks for everything; `today` is the day in UTC.
fn find(path: Option<&Path>, permissions: Option<&[String]>, today: Date) -> Findings {
    let Examined {
        files,
        only,
        compiled,
    } = ruleset::examine(path);
    let (mut errors, mut warnings, policies, set) = match compiled {
        Ok(set) => (Vec::new(), set.warnings, set.policies, Some(set.hash)),
        Err(errors) => (errors.problems, errors.warnings, errors.sound, None),
    };
    let (ended, ending) = policy::expiring(&policies, today);
    errors.extend(ended);
    warnings.extend(ending);
    if let Some(granted) = permissions {
        errors.extend(permissions::missing(&policies, granted));
    }
    errors.sort();
    warnings.sort();
    let mut findings = Findings {
        files,
        errors,
        warnings,
        elsewhere: 0,
        policies,
        set,
    };
    if let Some(only) = only.filter(|_| files > 0) {
        findings.about_only(&only);
    }
    findings
}

/// A path as a repository knows it: relative to the working directory where it
/// lies within it, `/` between its parts.
fn relative(path: &str, working: &Path) -> String {
    let path = Path::new(path);
    let path = path.strip_prefix(working).unwrap_or(path);
    let parts: Vec<_> = path
        .components()
        .filter(|part| *part != std::path::Component::CurDir)
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/").replacen("//", "/", 1)
}

/// The first column behind a place.
fn end_column(place: Place) -> u32 {
    place.column + place.width.max(1)
}

/// `3 errors`.
fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
