//! `evictd policy check`: every problem of every file, in one run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::output;
use crate::ruleset;

/// Arguments of `evictd policy check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd policy check ./policies
  evictd policy check            # the shipped ones

Exit codes: 0 nothing is wrong (there may be warnings), 1 something is.")]
pub struct CheckArgs {
    /// Directory of policies; without it the shipped ones.
    #[arg(value_name = "DIR")]
    path: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    match ruleset::load(args.path.as_deref()) {
        Ok(set) => {
            output::print(|out| {
                for warning in &set.warnings {
                    writeln!(out, "warning: {warning}\n")?;
                }
                let (policies, hash) = (set.policies.len(), &set.hash);
                writeln!(out, "{policies} policies are fine; set {hash}")
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            output::print(|out| writeln!(out, "{errors}"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}
