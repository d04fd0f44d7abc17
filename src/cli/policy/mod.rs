//! `evictd policy …`: what a policy author works with.
//!
//! Invariant: every command compiles and evaluates by the daemon's own code;
//! nothing here decides.

pub mod backtest;
pub mod check;
pub mod explain;
pub mod schema;
pub mod report;
pub mod status;
pub mod test;

use std::process::ExitCode;

use clap::Subcommand;

use super::client::Client;

/// What is done with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say everything that is wrong with policy files, and what may not be meant.
    Check(check::CheckArgs),
    /// Print the JSON Schema of policy files, for editors.
    Schema(schema::SchemaArgs),
    /// Replay history under today's and changed policies: whom does the change hit?
    Backtest(Box<backtest::BacktestArgs>),
    /// Explain a case, a record or a file: why, and why not.
    Explain(Box<explain::ExplainArgs>),
    /// Show which policies serve, and whether they are those on the disk.
    Status(status::StatusArgs),
    /// Show how right each policy was, by the judgement of humans.
    Report(report::ReportArgs),
    /// Tell the stories beside the policies, and what they did not expect.
    Test(test::TestArgs),
}

/// Runs it.
///
/// # Errors
/// When a file cannot be read, or the daemon is asked and does not answer.
pub async fn run(command: PolicyCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Check(args) => check::run(&args),
        PolicyCommand::Schema(args) => schema::run(&args).map(|()| ExitCode::SUCCESS),
        PolicyCommand::Backtest(args) => backtest::run(&args),
        PolicyCommand::Explain(args) => explain::run(&args, client).await,
        PolicyCommand::Status(args) => status::run(&args, client).await,
        PolicyCommand::Report(args) => {
            report::run(&args, client).await?;
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Test(args) => test::run(&args),
    }
}
