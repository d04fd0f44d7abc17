//! Explanations for people: one event, then policy by policy.

use std::io::{self, Write};

use super::Kept;
use crate::cli::output::{self, escape};
use crate::explain::{Asked, AskedPart, Explained};
use crate::model::{ActionKind, Admission, CaseView, Effect};
use crate::policy::{Flip, Role, RungWhy, WeighedSignal, Why};

/// One event of a file.
pub(super) fn event(out: &mut dyn Write, explained: &Explained) -> io::Result<()> {
    writeln!(
        out,
        "{}  {}  {}",
        explained.at,
        explained.kind.replace('_', " "),
        escape(&output::who(&explained.user))
    )?;
    writeln!(out, "  record {}", escape(explained.record.as_str()))?;
    if explained.raised.is_empty() {
        writeln!(out, "  it raised no signal")?;
    }
    for raised in &explained.raised {
        output::signal(out, "  ", &raised.signal, &raised.evidence)?;
    }
    for asked in &explained.conditions {
        condition(out, asked)?;
    }
    for why in &explained.policies {
        policy(out, why)?;
    }
    if let Some(before) = &explained.called_for_before {
        let actions: Vec<String> = before
            .actions
            .iter()
            .map(|(kind, effect)| format!("{kind} ({effect})"))
            .collect();
        let actions = match actions.is_empty() {
            true => "this in shadow".to_owned(),
            false => actions.join(", "),
        };
        writeln!(
            out,
            "  nothing new: case {} had called for {actions} before",
            &before.case.to_string()[..8]
        )?;
    }
    if let Some(admission) = explained.guard {
        guard(out, admission)?;
    }
    writeln!(out)
}

/// A case of the running daemon.
pub(super) fn case(out: &mut dyn Write, case: &CaseView, kept: &[Kept<'_>]) -> io::Result<()> {
    writeln!(
        out,
        "case {}  {}  {} decisions",
        &case.id.to_string()[..8],
        output::status(case.status, 0),
        kept.len()
    )?;
    for kept in kept {
        let decision = kept.decision;
        writeln!(
            out,
            "\n{}  {}  {}",
            decision.at,
            output::effect(decision.effect),
            escape(&output::who(&decision.user))
        )?;
        writeln!(
            out,
            "  record {}, policy set {}{}",
            escape(decision.record.as_str()),
            decision.policy_set,
            if kept.same_policies {
                ""
            } else {
                "; the policies at hand are others: rungs and flips are theirs"
            }
        )?;
        for signal in &decision.signals {
            output::signal(out, "  ", &signal.name, &signal.evidence.to_string())?;
        }
        for why in &kept.policies {
            policy(out, why)?;
        }
        guard(out, decision.admission)?;
    }
    Ok(())
}

fn guard(out: &mut dyn Write, admission: Admission) -> io::Result<()> {
    let word = output::guard(admission);
    writeln!(out, "  {}", word.as_deref().unwrap_or("guard: admitted"))
}

fn condition(out: &mut dyn Write, asked: &Asked) -> io::Result<()> {
    let signal = match &asked.signal {
        Some(signal) => format!(" of {}", escape(signal.as_str())),
        None => String::new(),
    };
    writeln!(
        out,
        "  {} {}{signal}: {}",
        escape(&asked.of),
        if asked.condition == "when" {
            "asks".to_owned()
        } else {
            format!("excepts `{}`", escape(&asked.condition))
        },
        answer(asked.holds)
    )?;
    for part in &asked.parts {
        let seen: Vec<String> = part
            .seen
            .iter()
            .map(|(path, value)| match value {
                Some(value) => format!("{path} is {}", escape(value)),
                None if part.other_kind => format!("{path}: another kind of event"),
                None => format!("{path} is not said"),
            })
            .collect();
        let seen = match seen.is_empty() {
            true => String::new(),
            false => format!("   ({})", seen.join(", ")),
        };
        writeln!(out, "      {} {}{seen}", mark(part), escape(&part.text))?;
    }
    Ok(())
}

fn answer(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "yes",
        Some(false) => "no",
        None => "cannot be decided",
    }
}

fn mark(part: &AskedPart) -> char {
    match part.holds {
        Some(true) => '✓',
        Some(false) => '✗',
        None => '?',
    }
}

fn policy(out: &mut dyn Write, why: &Why) -> io::Result<()> {
    let mode = why.mode.as_str();
    write!(out, "  {} ({mode}): ", why.policy)?;
    if why.out_of_scope {
        return writeln!(out, "nothing; the user is out of its scope");
    }
    if why.weighed.is_empty() {
        return writeln!(out, "nothing; it weighs none of what was seen");
    }
    match why.effect {
        Some(effect) => writeln!(out, "{effect}")?,
        None => writeln!(out, "nothing")?,
    }
    for signal in &why.weighed {
        weighed(out, signal)?;
    }
    let counted: Vec<String> = why
        .weighed
        .iter()
        .filter(|weighed| matches!(weighed.part, Role::Counted | Role::CountedForAsking))
        .map(|weighed| weighed.weight.to_string())
        .collect();
    if !counted.is_empty() {
        writeln!(
            out,
            "      {} = {} of {}",
            counted.join(" ⊕ "),
            why.score,
            families(counted.len())
        )?;
    }
    for rung in &why.rungs {
        of_rung(out, rung)?;
    }
    for flip in &why.flips {
        of_flip(out, flip)?;
    }
    Ok(())
}

fn weighed(out: &mut dyn Write, signal: &WeighedSignal) -> io::Result<()> {
    let part = match &signal.part {
        Role::Counted => String::new(),
        Role::CountedForAsking => {
            "the record does not say what `when` asks: for asking only".into()
        }
        Role::Weaker => "not counted: another of its family is".into(),
        Role::OutsideWindow => "not counted: outside of the window".into(),
        Role::Condition { text } => format!("left aside by `when`{}", quoted(text.as_deref())),
        Role::Exception { name, text, owner } => format!(
            "left aside by `{name}`{}{}",
            match owner {
                Some(owner) => format!(" of {owner}"),
                None => String::new(),
            },
            quoted(text.as_deref())
        ),
    };
    let line = format!(
        "      {:<15} {:>3}  {:<24} {}  {}",
        signal.family.as_str(),
        signal.weight,
        escape(signal.signal.as_str()),
        signal.at.strftime("%Y-%m-%d %H:%MZ"),
        escape(&part)
    );
    writeln!(out, "{}", line.trim_end())
}

fn quoted(text: Option<&str>) -> String {
    text.map(|text| format!(": {text}")).unwrap_or_default()
}

fn families(count: usize) -> String {
    match count {
        1 => "1 family".to_owned(),
        count => format!("{count} families"),
    }
}

fn of_rung(out: &mut dyn Write, rung: &RungWhy) -> io::Result<()> {
    let lacks = match (rung.lacks_score, rung.lacks_families) {
        (0, 0) => "reached".to_owned(),
        (score, 0) => format!("lacks {score}"),
        (0, more) => format!("lacks {}", families(more.into())),
        (score, more) => format!("lacks {score} and {}", families(more.into())),
    };
    let wants = match rung.families {
        0 | 1 => format!("rung {}", rung.at),
        more => format!("rung {}, {more} families", rung.at),
    };
    let actions: Vec<&str> = rung
        .actions
        .iter()
        .map(|kind: &ActionKind| kind.as_str())
        .collect();
    writeln!(
        out,
        "      {wants:<22} {lacks:<24} {} {}",
        rung.effect,
        actions.join(", ")
    )
}

fn of_flip(out: &mut dyn Write, flip: &Flip) -> io::Result<()> {
    let then = |score: u8, effect: Option<Effect>| match effect {
        Some(effect) => format!("{score}, {effect}"),
        None => format!("{score}, nothing"),
    };
    match flip {
        Flip::Without {
            signal,
            score,
            effect,
        } => writeln!(
            out,
            "      without {}: {}",
            escape(signal.as_str()),
            then(*score, *effect)
        ),
        Flip::With {
            signal,
            weight,
            score,
            effect,
        } => writeln!(
            out,
            "      with {} ({weight}) as well: {}",
            escape(signal.as_str()),
            then(*score, *effect)
        ),
        Flip::WithoutConditions { score, effect } => {
            writeln!(
                out,
                "      without its conditions: {}",
                then(*score, *effect)
            )
        }
    }
}
