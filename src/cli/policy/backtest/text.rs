//! A backtest for the terminal.
//!
//! Invariant: everything that came from a record is escaped, and every list
//! has a bound and says how much it leaves out.

use std::io::{self, Write};

use super::input_lines;
use crate::backtest::{CaseOutcome, Change, ChangeKind, Peak, Report, SideReport, Wait};
use crate::cli::output::{escape, fit, who};

/// Changes shown of each kind; JSON has them all.
const CHANGES_MAX: usize = 50;
/// Days shown, the last ones.
const DAYS_MAX: usize = 31;

/// What is said where the change concerns nobody.
pub(super) const NO_CHANGE: &str =
    "Nobody's case ends otherwise; where a policy's count differs, another called for the same.";

pub(super) fn print(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    for line in input_lines(report) {
        writeln!(out, "{}", escape(&line))?;
    }
    for unread in &report.input.undecodable_first {
        let (file, reason) = (escape(&unread.file), escape(&unread.reason));
        writeln!(out, "  {file}:{}: not decoded: {reason}", unread.line)?;
    }
    let more = report.input.undecodable - report.input.undecodable_first.len() as u64;
    if more > 0 {
        writeln!(out, "  {more} more were not decoded")?;
    }
    writeln!(out)?;
    for (name, side) in [("today", &report.old), ("changed", &report.new)] {
        let (from, set) = (escape(&side.policies_from), &side.policy_set);
        writeln!(out, "{name:<8} {from}, set {set}")?;
    }
    totals(out, report)?;
    policies(out, report)?;
    days(out, report)?;
    changes(out, report)?;
    writeln!(out, "\nNothing was done.")
}

fn totals(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(out, "\n{:<44} {:>12} {:>12}", "", "today", "changed")?;
    for (name, of) in totals_rows() {
        let (old, new) = (of(&report.old), of(&report.new));
        writeln!(out, "{name:<44} {old:>12} {new:>12}")?;
    }
    for (name, of) in peaks_rows() {
        let (old, new) = (of(&report.old), of(&report.new));
        writeln!(out, "{name}\n  today    {old}\n  changed  {new}")?;
    }
    Ok(())
}

/// A row of figures: its name, and how it is read from a side.
pub(super) type Row = (&'static str, fn(&SideReport) -> String);

pub(super) fn totals_rows() -> [Row; 6] {
    [
        ("cases acted on", |side| side.cases.acted.to_string()),
        ("cases asked about", |side| side.cases.asked.to_string()),
        ("cases in shadow", |side| side.cases.shadow.to_string()),
        ("cases of protected accounts", |side| {
            side.protected.to_string()
        }),
        ("acts that the guard turned into questions", demoted),
        ("questions a day, median", |side| {
            side.approvers.median_day.to_string()
        }),
    ]
}

pub(super) fn peaks_rows() -> [Row; 5] {
    [
        ("Worst day for approvers", |side| {
            peak(side.approvers.worst_day, "%Y-%m-%d")
        }),
        ("Worst hour for approvers", |side| {
            peak(side.approvers.worst_hour, "%Y-%m-%d %H:00Z")
        }),
        ("Open at once, if nobody answers", |side| {
            peak(side.approvers.open_at_once, "%Y-%m-%d %H:%MZ")
        }),
        (
            "Longest wait for Graph, of what is done unattended",
            |side| wait(side.graph.unattended),
        ),
        (
            "Longest wait for Graph, were every question approved at once",
            |side| wait(side.graph.all_approved),
        ),
    ]
}

fn demoted(side: &SideReport) -> String {
    side.demoted.values().sum::<u64>().to_string()
}

fn peak(peak: Option<Peak>, time: &str) -> String {
    match peak {
        Some(Peak { at, count: 1 }) => format!("1 question, {}", at.strftime(time)),
        Some(Peak { at, count }) => format!("{count} questions, {}", at.strftime(time)),
        None => "none".to_owned(),
    }
}

fn wait(wait: Option<Wait>) -> String {
    match wait {
        Some(wait) => format!(
            "{} s, {} (actions in that hour: {})",
            wait.longest_seconds,
            wait.hour.strftime("%Y-%m-%d %H:00Z"),
            wait.actions
        ),
        None => "no action".to_owned(),
    }
}

/// Every policy of either side, with its row of each.
pub(super) fn policy_rows(report: &Report) -> Vec<(String, [String; 2], [[u64; 2]; 3])> {
    let mut names: Vec<&str> = Vec::new();
    for side in [&report.old, &report.new] {
        for row in &side.policies {
            if !names.contains(&row.policy.as_str()) {
                names.push(&row.policy);
            }
        }
    }
    let rows = names.into_iter().map(|name| {
        let of = |side: &SideReport| side.policies.iter().find(|row| row.policy == name).cloned();
        let sides = [of(&report.old), of(&report.new)];
        let mode = |at: usize| match sides.get(at).and_then(Option::as_ref) {
            Some(row) => row.mode.as_str().to_owned(),
            None => "–".to_owned(),
        };
        let counts = |of: fn(&crate::backtest::Counts) -> u64| {
            sides
                .each_ref()
                .map(|row| row.as_ref().map_or(0, |row| of(&row.counts)))
        };
        let figures = [
            counts(|c| c.acted),
            counts(|c| c.asked),
            counts(|c| c.shadow),
        ];
        (name.to_owned(), [mode(0), mode(1)], figures)
    });
    rows.collect()
}

/// `3`, or `3 → 5`.
pub(super) fn arrow([old, new]: [impl ToString; 2]) -> String {
    let (old, new) = (old.to_string(), new.to_string());
    match old == new {
        true => old,
        false => format!("{old} → {new}"),
    }
}

fn policies(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    writeln!(
        out,
        "\n{:<32} {:<20} {:>12} {:>12} {:>12}",
        "policy (cases)", "mode", "acted", "asked", "shadow"
    )?;
    for (name, modes, [acted, asked, shadow]) in policy_rows(report) {
        writeln!(
            out,
            "{:<32} {:<20} {:>12} {:>12} {:>12}",
            fit(&name, 32),
            arrow(modes),
            arrow(acted),
            arrow(asked),
            arrow(shadow)
        )?;
    }
    Ok(())
}

/// Every day of either side: acted, asked and shadow.
pub(super) fn day_rows(report: &Report) -> Vec<(String, [[u64; 2]; 3])> {
    let mut days = std::collections::BTreeMap::<&str, [[u64; 2]; 3]>::new();
    for (at, side) in [&report.old, &report.new].into_iter().enumerate() {
        for row in &side.days {
            let [acted, asked, shadow] = days.entry(&row.day).or_default();
            acted[at] = row.counts.acted;
            asked[at] = row.counts.asked;
            shadow[at] = row.counts.shadow;
        }
    }
    days.into_iter()
        .map(|(day, figures)| (day.to_owned(), figures))
        .collect()
}

fn days(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let rows = day_rows(report);
    let skipped = rows.len().saturating_sub(DAYS_MAX);
    writeln!(
        out,
        "\n{:<12} {:>12} {:>12} {:>12}",
        "day", "acted", "asked", "shadow"
    )?;
    if skipped > 0 {
        writeln!(out, "{skipped} earlier days are in --format json")?;
    }
    for (day, [acted, asked, shadow]) in rows.into_iter().skip(skipped) {
        writeln!(
            out,
            "{day:<12} {:>12} {:>12} {:>12}",
            arrow(acted),
            arrow(asked),
            arrow(shadow)
        )?;
    }
    Ok(())
}

fn changes(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    if report.changes.is_empty() {
        return writeln!(out, "\n{NO_CHANGE}");
    }
    for kind in ChangeKind::ALL {
        let of_kind: Vec<&Change> = report.changes.iter().filter(|c| c.change == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        writeln!(out, "\n{} {}", of_kind.len(), kind.as_str())?;
        for change in of_kind.iter().take(CHANGES_MAX) {
            writeln!(out, "  {}", escape(&who(&change.user)))?;
            for (name, outcome) in [("today", &change.old), ("changed", &change.new)] {
                writeln!(out, "    {name:<8} {}", escape(&told(outcome.as_ref())))?;
            }
        }
        if of_kind.len() > CHANGES_MAX {
            let more = of_kind.len() - CHANGES_MAX;
            writeln!(out, "  {more} more; --format json has them all")?;
        }
    }
    Ok(())
}

/// One side's view of an incident in a line.
pub(super) fn told(outcome: Option<&CaseOutcome>) -> String {
    let Some(outcome) = outcome else {
        return "nothing".to_owned();
    };
    let guard = match outcome.guard {
        Some(reason) => format!("; guard: {reason}"),
        None => String::new(),
    };
    format!(
        "{} at {}, case {}: {}{guard}",
        outcome.effect,
        outcome.at.strftime("%Y-%m-%d %H:%MZ"),
        outcome.case.short(),
        outcome.reason
    )
}
