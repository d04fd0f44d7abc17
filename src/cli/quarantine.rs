//! `evictd quarantine`: what could not be decoded, and once more.

use anyhow::bail;
use clap::Subcommand;

use super::client::{Client, ClientError};
use super::output::{self, Format, escape};

/// Rows asked for at a time.
const PAGE: usize = 1_000;
/// Characters of a record that a list shows.
const PREVIEW_CHARS: usize = 100;

/// `evictd quarantine …`
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List what could not be decoded, with its place and the reason.
    List {
        /// How to print; JSON holds the bytes.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Decode again, as after an upgrade; what reads now is judged and leaves.
    Retry {
        /// The record's id, or all of them.
        #[arg(value_name = "ID", required_unless_present = "all")]
        id: Option<i64>,
        /// Every record in quarantine.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

/// Runs it.
///
/// # Errors
/// When the daemon does not answer or a record still does not decode.
pub async fn run(command: QuarantineCommand, client: &Client) -> anyhow::Result<()> {
    match command {
        QuarantineCommand::List { format } => list(client, format).await,
        QuarantineCommand::Retry { id: Some(id), .. } => retry(client, &[id]).await,
        QuarantineCommand::Retry { id: None, .. } => {
            let ids: Vec<i64> = rows(client).await?.into_iter().map(|row| row.id).collect();
            retry(client, &ids).await
        }
    }
}

async fn rows(client: &Client) -> anyhow::Result<Vec<crate::store::QuarantineRow>> {
    let mut rows = Vec::new();
    loop {
        let after = rows
            .last()
            .map_or(0, |row: &crate::store::QuarantineRow| row.id);
        let page = client.quarantine(after, PAGE).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let rows = rows(client).await?;
    if format == Format::Json {
        return output::json(&rows);
    }
    output::print(|out| {
        if rows.is_empty() {
            return writeln!(out, "Nothing is in quarantine.");
        }
        for row in &rows {
            let place = match row.record.index {
                Some(index) => format!("record {index}"),
                None => "the whole message".to_owned(),
            };
            writeln!(
                out,
                "{:>5}  {}/{} message {} {place}, {}",
                row.id,
                escape(&row.hub),
                escape(&row.partition),
                row.sequence,
                row.quarantined_at.strftime("%F %T")
            )?;
            writeln!(out, "       {}", escape(&row.record.reason))?;
            let text = String::from_utf8_lossy(&row.record.bytes);
            let preview: String = text.chars().take(PREVIEW_CHARS).collect();
            writeln!(out, "       {}", escape(&preview))?;
        }
        writeln!(
            out,
            "{} in quarantine. `evictd quarantine retry --all` decodes again.",
            rows.len()
        )
    })
}

async fn retry(client: &Client, ids: &[i64]) -> anyhow::Result<()> {
    let mut still_bad = 0_usize;
    for id in ids {
        let outcome = match client.retry(*id).await {
            Ok(outcome) => outcome,
            // Of many one may have been dropped at the bound since they were
            // listed, or released by somebody else.
            Err(ClientError::Refused(_)) if ids.len() > 1 => {
                output::print(|out| writeln!(out, "{id}: no longer in quarantine"))?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        output::print(|out| match &outcome.reason {
            None => writeln!(out, "{id}: {} event(s), released", outcome.events),
            Some(reason) => writeln!(out, "{id}: still does not decode: {}", escape(reason)),
        })?;
        still_bad += usize::from(!outcome.released);
    }
    if still_bad > 0 {
        bail!("{still_bad} of {} still do not decode", ids.len());
    }
    Ok(())
}
