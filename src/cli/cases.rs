//! `evictd cases`: what was decided and why, and a human's word on it.

use clap::Subcommand;
use jiff::Timestamp;

use super::client::Client;
use super::output::{self, Format};
use crate::console::control::Said;
use crate::model::Truth;
use crate::store::Judgement;

mod text;

/// What the daemon lists at most.
const LIST_MAX: u32 = 10_000;

/// `evictd cases …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  evictd cases list
  evictd cases show 3f2a91c0
  evictd cases approve 3f2a91c0
  evictd cases judge 3f2a91c0 --benign --note 'the new VPN'
  evictd cases list --format json | jq '.[] | select(.status == \"failed\")'

An ID is a case's id or its first digits, at least four.")]
pub enum CasesCommand {
    /// List cases: what needs a human first, then the newest.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(LIST_MAX)))]
        limit: u32,
        /// All that the daemon lists: the 10,000 that need a human most.
        #[arg(long, conflicts_with = "limit")]
        all: bool,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show one case whole: signals, scores, actions, approvals.
    Show {
        /// The case.
        id: String,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Do what the case asks.
    Approve {
        /// The case.
        id: String,
    },
    /// Do not do what the case asks.
    Deny {
        /// The case.
        id: String,
    },
    /// Say what a case was, whatever its status: policies are measured by it.
    #[command(group = clap::ArgGroup::new("truth").required(true).args(["theft", "benign"]))]
    Judge {
        /// The case.
        id: String,
        /// Somebody else had the session or the credentials.
        #[arg(long)]
        theft: bool,
        /// Nobody had: the policies were wrong.
        #[arg(long)]
        benign: bool,
        /// Why, for whoever reads the case later.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Stop every effect within a second; what is decided meanwhile asks.
    Pause,
    /// Let effects go on.
    Resume,
}

/// Runs it.
///
/// # Errors
/// When the daemon does not answer, or refuses.
pub async fn run(command: CasesCommand, client: &Client) -> anyhow::Result<()> {
    match command {
        CasesCommand::List { limit, all, format } => {
            list(client, if all { LIST_MAX } else { limit }, format).await
        }
        CasesCommand::Show { id, format } => {
            let case = client.case(&id).await?;
            match format {
                Format::Json => output::json(&case),
                Format::Text => output::print(|out| text::case(out, &case, Timestamp::now())),
            }
        }
        CasesCommand::Approve { id } => {
            let case = client.approve(&id).await?;
            output::print(|out| text::judged(out, &case, Judgement::Approve))
        }
        CasesCommand::Deny { id } => {
            let case = client.deny(&id).await?;
            output::print(|out| text::judged(out, &case, Judgement::Deny))
        }
        CasesCommand::Judge {
            id, theft, note, ..
        } => {
            let truth = if theft { Truth::Theft } else { Truth::Benign };
            let case = client.find(&id, &Said { truth, note }).await?;
            output::print(|out| text::found(out, &case, truth))
        }
        CasesCommand::Pause => pause(client, true).await,
        CasesCommand::Resume => pause(client, false).await,
    }
}

/// `evictd pause` and `evictd resume`.
///
/// # Errors
/// When the daemon does not answer.
pub async fn pause(client: &Client, pause: bool) -> anyhow::Result<()> {
    client.pause(pause).await?;
    output::print(|out| {
        writeln!(
            out,
            "{}",
            if pause {
                "Paused: nothing is done until `evictd resume`; what is decided meanwhile asks."
            } else {
                "Resumed: what is queued is done now."
            }
        )
    })
}

/// `evictd status`.
///
/// # Errors
/// When the daemon does not answer.
pub async fn status(client: &Client, format: Format) -> anyhow::Result<()> {
    let status = client.status().await?;
    match format {
        Format::Json => output::json(&status),
        Format::Text => output::print(|out| text::status(out, &status, Timestamp::now())),
    }
}

/// `evictd reload`.
///
/// # Errors
/// When the daemon does not answer, or the policies do not compile: with every
/// problem.
pub async fn reload(client: &Client) -> anyhow::Result<()> {
    let reloaded = client.reload().await?;
    output::print(|out| text::reloaded(out, &reloaded))
}

async fn list(client: &Client, limit: u32, format: Format) -> anyhow::Result<()> {
    let cases = client.cases(limit as usize).await?;
    match format {
        Format::Json => output::json(&cases),
        Format::Text => output::print(|out| text::list(out, &cases, Timestamp::now())),
    }
}
