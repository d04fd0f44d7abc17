//! What commands print: text for people, JSON for scripts, both to standard
//! output; a reader that goes away is no error.
//!
//! Names in records come from the stream, where an attacker chooses some of
//! them: [`escape`] keeps them from rewriting the terminal.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::model::{CaseStatus, Effect};

/// Files below this are read before a bar would be seen.
const PROGRESS_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people; colours on a terminal only (and not with NO_COLOR).
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Prints text through `write`.
///
/// # Errors
/// When standard output fails for another reason than a closed pipe.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = anstream::AutoStream::auto(io::stdout().lock());
    tolerate(write(&mut out).and_then(|()| out.flush()))
}

/// Prints one JSON document, indented.
///
/// # Errors
/// When it cannot be made or written.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    tolerate(writeln!(io::stdout().lock(), "{text}"))
}

/// A bar on standard error for reading so many bytes: on a terminal only, and
/// only where there is something to wait for.
pub fn progress(bytes: u64) -> ProgressBar {
    if bytes < PROGRESS_BYTES_MIN {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
    );
    match style {
        Ok(style) => ProgressBar::new(bytes).with_style(style),
        Err(_) => ProgressBar::new(bytes),
    }
}

fn tolerate(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// The text without what a terminal would obey: control characters and
/// bidirectional overrides become `\u{…}`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(obeyed) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| {
            if obeyed(c) {
                c.escape_unicode().to_string()
            } else {
                c.to_string()
            }
        })
        .collect::<String>()
        .into()
}

fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `act`, `ask` or `shadow`, three columns wide and coloured.
pub fn effect(effect: Effect) -> String {
    let style = match effect {
        Effect::Act => AnsiColor::Red.on_default().bold(),
        Effect::Ask => AnsiColor::Yellow.on_default().bold(),
        Effect::Shadow => Style::new().dimmed(),
    };
    format!("{style}{effect:<6}{style:#}")
}

/// A case's status, padded and coloured by how much it needs a human.
pub fn status(status: CaseStatus) -> String {
    let style = match status {
        CaseStatus::Failed | CaseStatus::Protected => AnsiColor::Red.on_default().bold(),
        CaseStatus::AwaitingApproval => AnsiColor::Yellow.on_default().bold(),
        CaseStatus::Contained => AnsiColor::Green.on_default(),
        CaseStatus::Responding => AnsiColor::Cyan.on_default(),
        CaseStatus::Denied | CaseStatus::Expired | CaseStatus::Shadow => Style::new().dimmed(),
    };
    format!("{style}{:<17}{style:#}", status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_rewrite_the_terminal() {
        let table = [
            ("ana@contoso.example", "ana@contoso.example"),
            ("São Paulo → Zürich", "São Paulo → Zürich"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\nb\rc", "a\\u{a}b\\u{d}c"),
            ("evil\u{202e}gpj.exe", "evil\\u{202e}gpj.exe"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ];
        for (text, expected) in table {
            assert_eq!(escape(text), expected);
        }
    }
}
