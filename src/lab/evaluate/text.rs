//! The tables: what an analyst reads.
//!
//! Invariant: at most 100 columns; what came from records is escaped. What
//! falls short stands out: of every scenario the worst variation is named, and
//! every cause of a false alarm comes with the evidence of one.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::ablate::{Ablations, Counts, Part};
use super::report::{AlarmView, Attack, Evaluation, HabitView};
use crate::cli::output::{escape, fit};

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

/// Columns of a line.
const WIDTH: usize = 100;

/// Everything, targets last.
pub(super) fn print(out: &mut dyn Write, result: &Evaluation, explain: usize) -> io::Result<()> {
    attacks(out, &result.attacks)?;
    habits(out, result)?;
    causes(out, &result.alarms, explain)?;
    if let Some(parts) = &result.ablations {
        ablations(out, parts)?;
    }
    for warning in &result.warnings {
        paragraph(out, "warning: ", warning)?;
    }
    remarks(out, &result.attacks)?;
    targets(out, result)
}

/// One line a scenario: its worst variation, and what all of them came to.
fn attacks(out: &mut dyn Write, attacks: &[Attack]) -> io::Result<()> {
    if attacks.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{:<31}{:<31}{:>6}{:>8}{:>4}{:>4}{:>5}  TECHNIQUE",
        "ATTACK", "WORST VARIATION", "EVENTS", "SECONDS", "ACT", "ASK", "NONE"
    )?;
    for group in attacks.chunk_by(|a, b| a.scenario == b.scenario) {
        scenario(out, group)?;
    }
    writeln!(
        out,
        "Events and seconds: of the worst variation, until evictd first asked or acted."
    )?;
    if attacks.iter().any(|attack| attack.microsoft_high) {
        writeln!(out, "* Microsoft itself rates it high.")?;
    }
    writeln!(out)
}

fn scenario(out: &mut dyn Write, group: &[Attack]) -> io::Result<()> {
    // The lowest rung first, then the slowest.
    let rank = |attack: &&Attack| (rung_order(attack.rung), Reverse(attack.seconds));
    let Some(worst) = group.iter().min_by_key(rank) else {
        return Ok(());
    };
    let style = match worst.rung {
        "act" => GREEN,
        "ask" => YELLOW,
        _ => RED,
    };
    let star = if worst.microsoft_high { "*" } else { "" };
    let count = |rung: &str| group.iter().filter(|attack| attack.rung == rung).count();
    writeln!(
        out,
        "{:<31}{style}{:<5}{style:#}{:<26}{:>6}{:>8}{:>4}{:>4}{:>5}  {}",
        fit(&format!("{}{star}", worst.scenario), 30),
        worst.rung,
        fit(&worst.variation, 25),
        or_dash(worst.events),
        or_dash(worst.seconds),
        count("act"),
        count("ask"),
        count("none"),
        fit(worst.technique, 9),
    )
}

fn rung_order(rung: &str) -> u8 {
    match rung {
        "act" => 2,
        "ask" => 1,
        _ => 0,
    }
}

fn or_dash(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| number.to_string())
}

fn habits(out: &mut dyn Write, result: &Evaluation) -> io::Result<()> {
    let benign = &result.benign;
    writeln!(
        out,
        "{:<22}{:>10}{:>10}{:>6}{:>6}  SIGNALS RAISED",
        "BENIGN HABIT", "USER-DAYS", "EVENTS", "ASKS", "ACTS"
    )?;
    for (name, habit) in &benign.by_habit {
        let style = match (habit.acts, habit.asks) {
            (0, 0) => Style::new(),
            (0, _) => YELLOW,
            _ => RED,
        };
        let line = format!(
            "{name:<22}{:>10}{:>10}{style}{:>6}{:>6}{style:#}  {}",
            habit.user_days,
            habit.events,
            habit.asks,
            habit.acts,
            signals_of(habit, WIDTH - 56),
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(
        out,
        "{:<22}{:>10}{:>10}{:>6}{:>6}  {} users",
        "all of them", benign.user_days, benign.events, benign.asks, benign.acts, benign.users
    )?;
    let tester = &result.red_team;
    if tester.events > 0 {
        writeln!(
            out,
            "{:<22}{:>10}{:>10}{:>6}{:>6}  the tester, in no sum and no target",
            "red_team", "–", tester.events, tester.asks, tester.acts
        )?;
    }
    writeln!(out)
}

/// The signals of a habit, the most frequent first, as many as fit whole.
fn signals_of(habit: &HabitView, columns: usize) -> String {
    let mut counted: Vec<_> = habit.signals.iter().collect();
    counted.sort_by_key(|(name, times)| (Reverse(**times), *name));
    let mut line = String::new();
    for (shown, (name, times)) in counted.iter().enumerate() {
        let comma = if shown == 0 { "" } else { ", " };
        let next = format!("{comma}{name} {times}");
        let left = counted.len() - shown;
        let more = if left == 1 { 0 } else { ", 99 more".len() };
        if line.chars().count() + next.chars().count() + more > columns {
            line.push_str(&format!("{comma}{left} more"));
            break;
        }
        line.push_str(&next);
    }
    line
}

/// What benign asks and acts have in common: effect, habit, names of signals.
type Cause<'a> = (&'a str, &'a str, BTreeSet<&'a str>);

/// Why ordinary people were asked about or acted on: each cause with one
/// example, acts first, then the most frequent.
fn causes(out: &mut dyn Write, alarms: &[AlarmView], explain: usize) -> io::Result<()> {
    if alarms.is_empty() {
        return Ok(());
    }
    let mut counted: BTreeMap<Cause<'_>, Vec<&AlarmView>> = BTreeMap::new();
    for alarm in alarms {
        let names = alarm.signals.iter().map(|(name, _)| &**name).collect();
        let cause = (alarm.effect, alarm.habit, names);
        counted.entry(cause).or_default().push(alarm);
    }
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by_key(|((effect, ..), alarms)| Reverse((rung_order(effect), alarms.len())));
    writeln!(
        out,
        "WHY ORDINARY PEOPLE WERE ASKED ABOUT, WITH AN EXAMPLE EACH"
    )?;
    for ((effect, habit, _), alarms) in counted.iter().take(explain) {
        let Some(example) = alarms.first() else {
            continue;
        };
        let style = if *effect == "act" { RED } else { YELLOW };
        writeln!(
            out,
            "{:>5} × {style}{effect}{style:#}  {habit}: score {}, {}",
            alarms.len(),
            example.score,
            fit(&example.user, 40)
        )?;
        for (name, evidence) in &example.signals {
            paragraph(out, &format!("          {:<26} ", fit(name, 26)), evidence)?;
        }
    }
    if counted.len() > explain {
        writeln!(
            out,
            "{} more causes: --explain {} shows them",
            counted.len() - explain,
            counted.len()
        )?;
    }
    writeln!(out)
}

/// What the whole and its parts come to; of each signal what is lost without
/// it and what it finds alone, the greatest loss first.
fn ablations(out: &mut dyn Write, parts: &Ablations) -> io::Result<()> {
    let heads = format!("{:>7}{:>7}{:>6}{:>6}", "SEEN", "ACTED", "ASKS", "ACTS");
    writeln!(out, "{:<44}{heads}", "WHAT EACH PART BUYS")?;
    let rows = [
        ("everything", Some(&parts.everything)),
        ("without families", Some(&parts.without_families)),
        ("without learning", parts.without_learning.as_ref()),
    ];
    for (what, counts) in rows {
        if let Some(counts) = counts {
            writeln!(out, "{what:<44}{}", numbers(counts))?;
        }
    }
    let whole = &parts.everything;
    let (mut signals, idle): (Vec<&Part>, Vec<&Part>) = parts
        .signals
        .iter()
        .partition(|part| part.without != *whole || part.alone != Counts::default());
    signals.sort_by_key(|part| (part.without.detected, part.without.acted, &part.signal));
    writeln!(
        out,
        "\n{:<44}{:>26}{:>26}\n{:<44}{heads}{heads}",
        "", "THE CHANGE WITHOUT IT", "ALONE", "SIGNAL"
    )?;
    for part in signals {
        let without = &part.without;
        writeln!(
            out,
            "{:<44}{:>7}{:>7}{:>6}{:>6}{}",
            fit(&part.signal, 43),
            change(without.detected, whole.detected),
            change(without.acted, whole.acted),
            change(without.asks, whole.asks),
            change(without.acts, whole.acts),
            numbers(&part.alone)
        )?;
    }
    if !idle.is_empty() {
        let names: Vec<&str> = idle.iter().map(|part| &*part.signal).collect();
        paragraph(out, "no difference, and nothing alone: ", &names.join(" "))?;
    }
    writeln!(
        out,
        "Seen, acted: variations of attacks. Asks, acts: incidents of ordinary people.\n"
    )
}

fn numbers(counts: &Counts) -> String {
    format!(
        "{:>7}{:>7}{:>6}{:>6}",
        counts.detected, counts.acted, counts.asks, counts.acts
    )
}

/// `−3`, `+2`, or `·` for none.
fn change(now: u64, before: u64) -> String {
    match now.cmp(&before) {
        Ordering::Less => format!("−{}", before - now),
        Ordering::Equal => "·".to_owned(),
        Ordering::Greater => format!("+{}", now - before),
    }
}

/// What to know before one believes the figures.
fn remarks(out: &mut dyn Write, attacks: &[Attack]) -> io::Result<()> {
    let stale = attacks.iter().filter(|attack| attack.stale).count();
    if stale > 0 {
        let remark = format!(
            "{stale} of the variations acted on rest on evidence so late that the daemon's guard \
             (stale_after) would ask instead."
        );
        paragraph(out, "", &remark)?;
    }
    let hidden = |attack: &&Attack| !attack.detected() && attack.asked_before > 0;
    let hidden = attacks.iter().filter(hidden).count();
    if hidden > 0 {
        let remark = format!(
            "{hidden} of the variations not seen hit a user whose earlier, false case may have \
             hidden them."
        );
        paragraph(out, "", &remark)?;
    }
    Ok(())
}

fn targets(out: &mut dyn Write, result: &Evaluation) -> io::Result<()> {
    for target in &result.targets {
        let (style, mark) = if target.met {
            (GREEN, '✓')
        } else {
            (RED, '✗')
        };
        writeln!(
            out,
            "{style}{mark}{style:#} {:<49} want {:<15} got {}",
            target.name, target.want, target.got
        )?;
    }
    Ok(())
}

/// Text after a head, wrapped at words; further lines stand under its first.
fn paragraph(out: &mut dyn Write, head: &str, text: &str) -> io::Result<()> {
    let indent = head.chars().count();
    let columns = WIDTH.saturating_sub(indent).max(20);
    let text = escape(text);
    let mut line = String::new();
    let mut head = head.to_owned();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
            writeln!(out, "{head}{line}")?;
            head = " ".repeat(indent);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        // No word of evidence is longer than a line but a hostile one.
        line.push_str(&fit(word, columns));
    }
    writeln!(out, "{head}{line}")
}
