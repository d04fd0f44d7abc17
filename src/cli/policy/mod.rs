//! `evictd policy …`: what a policy author works with.
//!
//! Invariant: every command compiles and evaluates by the daemon's own code;
//! nothing here decides.

pub mod check;
pub mod schema;

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
}

/// Runs it.
///
/// # Errors
/// When a file cannot be read, or the daemon is asked and does not answer.
#[expect(
    clippy::unused_async,
    reason = "commands that ask the daemon wait for it"
)]
pub async fn run(command: PolicyCommand, _client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Check(args) => check::run(&args),
        PolicyCommand::Schema(args) => schema::run(&args).map(|()| ExitCode::SUCCESS),
    }
}
