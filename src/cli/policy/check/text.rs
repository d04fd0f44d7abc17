//! For people: problems with their lines, then what it comes to.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::{Findings, counted, permissions};
use crate::cli::output::escape;
use crate::model::{ActionKind, Mode};
use crate::policy::{Level, Policy, Problem};

/// Everything that was found, with a summary in the last line.
pub(super) fn write(out: &mut dyn Write, findings: &Findings) -> io::Result<()> {
    for (level, problem) in findings.all() {
        write_problem(out, level, problem)?;
        writeln!(out)?;
    }
    if findings.errors.is_empty() && findings.files > 0 {
        write_policies(out, &findings.policies)?;
    }
    if findings.elsewhere > 0 {
        let elsewhere = counted(findings.elsewhere, "problem");
        writeln!(out, "{elsewhere} in other files of the folder: not shown")?;
    }
    let (red, yellow, green) = (
        AnsiColor::Red.on_default().bold(),
        AnsiColor::Yellow.on_default().bold(),
        AnsiColor::Green.on_default().bold(),
    );
    let style = match (findings.errors.len(), findings.warnings.len()) {
        (0, 0) => green,
        (0, _) => yellow,
        _ => red,
    };
    write!(out, "{style}{}{style:#}", findings.summary())?;
    match &findings.set {
        Some(set) => writeln!(out, "; set {set}"),
        None => writeln!(out),
    }
}

/// As a problem prints itself, with the place and the carets in colour.
fn write_problem(out: &mut dyn Write, level: Level, problem: &Problem) -> io::Result<()> {
    let bold = Style::new().bold();
    let (style, prefix) = match level {
        Level::Error => (AnsiColor::Red.on_default().bold(), ""),
        Level::Warning => (AnsiColor::Yellow.on_default().bold(), "warning: "),
    };
    let text = problem.to_string();
    for (index, line) in text.lines().enumerate() {
        let line = escape(line);
        match index {
            0 => writeln!(out, "{style}{prefix}{style:#}{bold}{line}{bold:#}")?,
            2 if problem.place.is_some() => writeln!(out, "{style}{line}{style:#}")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// A line a policy: its mode, what it may do and what that needs of Graph.
fn write_policies(out: &mut dyn Write, policies: &[Policy]) -> io::Result<()> {
    let width = policies.iter().map(|p| p.name.as_str().len()).max();
    let width = width.unwrap_or_default();
    for policy in policies {
        let needs = permissions::of(policy);
        let needs = match needs.is_empty() {
            true => "needs nothing".to_owned(),
            false => format!("needs {}", needs.join(", ")),
        };
        let resets = |rung: &crate::policy::Rung| rung.actions.contains(&ActionKind::ResetPassword);
        let role = match policy.mode != Mode::Shadow && policy.rungs.iter().any(resets) {
            true => " and a directory role",
            false => "",
        };
        let (name, mode) = (policy.name.as_str(), policy.mode.as_str());
        writeln!(out, "  {name:<width$}  {mode:<7}  {needs}{role}")?;
    }
    if !policies.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}
