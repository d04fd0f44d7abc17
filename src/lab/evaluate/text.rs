//! The tables: what an analyst reads.
//!
//! Invariant: at most 100 columns; what came from records is escaped.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::report::{AlarmView, Attack, Evaluation};
use crate::cli::output::fit;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

/// Everything, targets last.
pub(super) fn print(out: &mut dyn Write, result: &Evaluation, explain: usize) -> io::Result<()> {
    attacks(out, &result.attacks)?;
    habits(out, result)?;
    alarms(out, &result.alarms, explain)?;
    ablations(out, result)?;
    for warning in &result.warnings {
        writeln!(out, "warning: {}", fit(warning, 91))?;
    }
    targets(out, result)
}

/// One line a scenario: its worst variation, and how many came to what.
fn attacks(out: &mut dyn Write, attacks: &[Attack]) -> io::Result<()> {
    if attacks.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<29}{:<11}{:<6}{:>4}{:>5}{:>5}{:>8}{:>9}  not seen",
        "ATTACK", "TECHNIQUE", "worst", "act", "ask", "none", "events", "seconds"
    )?;
    for group in attacks.chunk_by(|a, b| a.scenario == b.scenario) {
        scenario(out, group)?;
    }
    writeln!(
        out,
        "* Microsoft rates it high. events, seconds: until the first ask or act, the slowest.\n"
    )
}

fn scenario(out: &mut dyn Write, group: &[Attack]) -> io::Result<()> {
    let Some(first) = group.first() else {
        return Ok(());
    };
    let count = |rung: &str| group.iter().filter(|attack| attack.rung == rung).count();
    let (acts, asks, none) = (count("act"), count("ask"), count("none"));
    let worst = match (none, asks) {
        (0, 0) => "act",
        (0, _) => "ask",
        _ => "none",
    };
    let style = match worst {
        "act" => GREEN,
        "ask" => YELLOW,
        _ => RED,
    };
    let star = if first.microsoft_high { "*" } else { "" };
    let name = format!("{}{star}", first.scenario);
    let largest = |of: Option<String>| of.unwrap_or_else(|| "–".to_owned());
    let events = largest(
        group
            .iter()
            .filter_map(|a| a.events)
            .max()
            .map(|n| n.to_string()),
    );
    let seconds = largest(
        group
            .iter()
            .filter_map(|a| a.seconds)
            .max()
            .map(|n| n.to_string()),
    );
    let missed: Vec<&str> = group
        .iter()
        .filter(|attack| !attack.detected())
        .map(|attack| attack.variation.as_str())
        .collect();
    writeln!(
        out,
        "{:<29}{:<11}{style}{worst:<6}{style:#}{acts:>4}{asks:>5}{none:>5}{events:>8}{seconds:>9}  {}",
        fit(&name, 28),
        fit(first.technique, 10),
        fit(&missed.join(" "), 20),
    )
}

fn habits(out: &mut dyn Write, result: &Evaluation) -> io::Result<()> {
    let benign = &result.benign;
    writeln!(
        out,
        "{:<23}{:>10}{:>10}{:>6}{:>6}  signals",
        "BENIGN HABIT", "user-days", "events", "asks", "acts"
    )?;
    for (name, habit) in &benign.by_habit {
        let mut signals: Vec<(&str, u64)> = habit
            .signals
            .iter()
            .map(|(name, n)| (&**name, *n))
            .collect();
        signals.sort_by_key(|(name, n)| (Reverse(*n), *name));
        let signals: Vec<String> = signals
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect();
        let style = match (habit.acts, habit.asks) {
            (0, 0) => Style::new(),
            (0, _) => YELLOW,
            _ => RED,
        };
        writeln!(
            out,
            "{name:<23}{:>10}{:>10}{style}{:>6}{:>6}{style:#}  {}",
            habit.user_days,
            habit.events,
            habit.asks,
            habit.acts,
            fit(&signals.join(", "), 43),
        )?;
    }
    writeln!(
        out,
        "{:<23}{:>10}{:>10}{:>6}{:>6}  {} users",
        "together", benign.user_days, benign.events, benign.asks, benign.acts, benign.users
    )?;
    let tester = &result.red_team;
    writeln!(
        out,
        "{:<23}{:>10}{:>10}{:>6}{:>6}  the tester, counted nowhere\n",
        "red_team", "", tester.events, tester.asks, tester.acts
    )
}

fn alarms(out: &mut dyn Write, alarms: &[AlarmView], explain: usize) -> io::Result<()> {
    if alarms.is_empty() {
        return Ok(());
    }
    causes(out, alarms, explain)?;
    writeln!(out, "THE FIRST OF THEM")?;
    for alarm in alarms.iter().take(explain) {
        writeln!(
            out,
            "{:<4} {:>3}  {:<22} {}",
            alarm.effect,
            alarm.score,
            alarm.habit,
            fit(&alarm.user, 60)
        )?;
        for (name, evidence) in &alarm.signals {
            writeln!(out, "       {:<26} {}", fit(name, 26), fit(evidence, 65))?;
        }
    }
    if alarms.len() > explain {
        writeln!(
            out,
            "{} more: --explain {} shows them, --format json holds them",
            alarms.len() - explain,
            alarms.len()
        )?;
    }
    writeln!(out)
}

/// The same signals about the same habit, how often; the most frequent first.
fn causes(out: &mut dyn Write, alarms: &[AlarmView], explain: usize) -> io::Result<()> {
    let mut counted: BTreeMap<(&str, &str, BTreeSet<&str>), usize> = BTreeMap::new();
    for alarm in alarms {
        let names = alarm.signals.iter().map(|(name, _)| &**name).collect();
        *counted
            .entry((alarm.effect, alarm.habit, names))
            .or_default() += 1;
    }
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by_key(|(_, times)| Reverse(*times));
    writeln!(out, "WHY ORDINARY PEOPLE WERE ASKED ABOUT")?;
    for ((effect, habit, names), times) in counted.iter().take(explain) {
        let names: Vec<&str> = names.iter().copied().collect();
        writeln!(
            out,
            "{times:>5} × {effect:<4} {habit:<22} {}",
            fit(&names.join(" "), 64)
        )?;
    }
    writeln!(out)
}

fn ablations(out: &mut dyn Write, result: &Evaluation) -> io::Result<()> {
    let Some(rows) = &result.ablations else {
        return Ok(());
    };
    writeln!(
        out,
        "{:<52}{:>8}{:>8}{:>10}{:>8}",
        "WHAT EACH PART BUYS", "asks", "acts", "detected", "acted"
    )?;
    for row in rows {
        writeln!(
            out,
            "{:<52}{:>8}{:>8}{:>10}{:>8}",
            fit(&row.what, 51),
            row.asks,
            row.acts,
            row.detected,
            row.acted
        )?;
    }
    writeln!(out)
}

fn targets(out: &mut dyn Write, result: &Evaluation) -> io::Result<()> {
    let stale = result.attacks.iter().filter(|attack| attack.stale).count();
    if stale > 0 {
        writeln!(
            out,
            "{stale} of the acts rest on evidence so late that the daemon's guard would ask instead."
        )?;
    }
    let hidden = |attack: &&Attack| !attack.detected() && attack.asked_before > 0;
    let hidden = result.attacks.iter().filter(hidden).count();
    if hidden > 0 {
        writeln!(
            out,
            "{hidden} of the attacks not seen hit a user whose earlier, false case may have hidden them."
        )?;
    }
    for target in &result.targets {
        let (style, mark) = if target.met {
            (GREEN, '✓')
        } else {
            (RED, '✗')
        };
        writeln!(
            out,
            "{style}{mark}{style:#} {:<50} want {:<15} got {}",
            target.name, target.want, target.got
        )?;
    }
    Ok(())
}
