//! `evictd policy schema`: the JSON Schema of policy files, for editors.

use clap::Args;

use crate::cli::output;
use crate::ruleset;

/// Arguments of `evictd policy schema`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  evictd policy schema > policies/policy.schema.json

A policy file names it in its first line, for editors with a YAML language server:
  # yaml-language-server: $schema=policy.schema.json")]
pub struct SchemaArgs {}

/// Runs it.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(_: &SchemaArgs) -> anyhow::Result<()> {
    output::json(&ruleset::schema())
}
