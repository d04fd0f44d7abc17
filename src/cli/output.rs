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
use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Admission, CaseStatus, Effect, SignalName, UserRef};
use crate::policy::obeyed;

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

/// Prints one JSON document, indented. What a terminal would obey is written
/// as JSON's own `\u….`, which reads back as the same text.
///
/// # Errors
/// When it cannot be made or written.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    tolerate(writeln!(io::stdout().lock(), "{}", escape_json(&text)))
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

/// A signal with its evidence, on a line.
///
/// # Errors
/// When it cannot be written.
pub fn signal(
    out: &mut dyn Write,
    indent: &str,
    name: &SignalName,
    evidence: &str,
) -> io::Result<()> {
    let name = escape(name.as_str());
    writeln!(out, "{indent}{name:<24} {}", escape(evidence))
}

/// The guard's word, where it has one.
pub fn guard(admission: Admission) -> Option<String> {
    match admission {
        Admission::Admitted => None,
        Admission::Demoted(reason) => Some(format!("guard: a human is asked first ({reason})")),
        Admission::Refused(reason) => Some(format!("guard: refused ({reason})")),
    }
}

/// A user by name. What it is comes first: whoever names an application could
/// have the rest cut off.
pub fn who(user: &UserRef) -> Cow<'_, str> {
    match user.workload {
        true => format!("service principal {}", name(user)).into(),
        false => name(user).into(),
    }
}

/// The name, or where there is none or it is masked the id.
pub fn name(user: &UserRef) -> &str {
    if user.principal_name.is_empty() {
        user.id.as_str()
    } else {
        &user.principal_name
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

/// The same JSON without what a terminal would obey. Between its strings JSON
/// has printable ASCII and line breaks only, so whatever else is found is in a
/// string.
fn escape_json(json: &str) -> Cow<'_, str> {
    let escaped = |c: char| c != '\n' && obeyed(c);
    if !json.chars().any(escaped) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if escaped(c) {
            let units = &mut [0; 2];
            out.extend(
                c.encode_utf16(units)
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// The text escaped, and cut to `columns` characters with `…` at the end.
pub fn fit(text: &str, columns: usize) -> String {
    let text = escape(text);
    match text.char_indices().nth(columns) {
        None => text.into_owned(),
        Some(_) => text
            .chars()
            .take(columns.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
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

/// A case's status, padded to `columns` and coloured by how much it needs a
/// human.
pub fn status(status: CaseStatus, columns: usize) -> String {
    let style = match status {
        CaseStatus::Evaded | CaseStatus::Failed | CaseStatus::Protected => {
            AnsiColor::Red.on_default().bold()
        }
        CaseStatus::AwaitingApproval => AnsiColor::Yellow.on_default().bold(),
        CaseStatus::Contained => AnsiColor::Green.on_default(),
        CaseStatus::Responding => AnsiColor::Cyan.on_default(),
        CaseStatus::Denied | CaseStatus::Expired | CaseStatus::Withdrawn | CaseStatus::Shadow => {
            Style::new().dimmed()
        }
    };
    format!("{style}{:<columns$}{style:#}", status.as_str())
}

/// A time to the second, in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    at.strftime("%F %T Z").to_string()
}

/// `14 s`, `38 min`, `5 h`, `3 d`.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    match now.duration_since(since).as_secs().max(0) {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
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
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("\u{2066}a\u{2069}\u{61c}", "\\u{2066}a\\u{2069}\\u{61c}"),
            ("two\u{2028}lines", "two\\u{2028}lines"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("田中 👩‍", "田中 👩\\u{200d}"),
        ];
        for (text, expected) in table {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn json_is_as_harmless_and_still_the_same() {
        let hostile = "a\u{1b}[2J \u{9b}2J \u{202e}x \u{e0041} \u{7f} São \"\\ \n";
        let json = serde_json::to_string_pretty(&[hostile]).unwrap();
        let printed = escape_json(&json);
        assert!(
            !printed.chars().any(|c| c != '\n' && obeyed(c)),
            "{printed:?}"
        );
        assert!(
            printed.contains("\\u009b") && printed.contains("\\udb40\\udc41"),
            "{printed}"
        );
        let back: [String; 1] = serde_json::from_str(&printed).unwrap();
        assert_eq!(back, [hostile]);
    }

    #[test]
    fn what_is_too_long_is_cut_visibly() {
        assert_eq!(fit("ana@contoso", 11), "ana@contoso");
        assert_eq!(fit("ana@contoso", 10), "ana@conto…");
        assert_eq!(fit("\u{1b}", 6), "\\u{1b}");
        assert_eq!(fit("\u{1b}x", 6), "\\u{1b…");
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is() {
        assert!(tolerate(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(tolerate(Err(ErrorKind::StorageFull.into())).is_err());
    }
}
