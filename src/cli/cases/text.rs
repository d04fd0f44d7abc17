//! Cases and status as text for people.
//!
//! Invariant: the time is a parameter, and whatever came from the stream goes
//! through [`escape`]: an attacker chooses some of these names.

use std::io::{self, Write};

use jiff::Timestamp;

use crate::cli::output::{self, age, clock, escape, name, who};
use crate::console::control::{Kept, Partition, Reloaded, Status};
use crate::model::{ActionState, ActionView, Admission, CaseView, Containment, Stage, Truth};
use crate::policy;
use crate::store::Judgement;

/// Columns of the longest status.
const STATUS_COLUMNS: usize = 17;
/// Columns that a list gives a user; what is longer is cut.
const USER_COLUMNS: usize = 48;
/// Columns that a list gives the reason of a failure; `show` has it whole.
const REASON_COLUMNS: usize = 80;

pub(super) fn list(out: &mut dyn Write, cases: &[CaseView], now: Timestamp) -> io::Result<()> {
    if cases.is_empty() {
        return writeln!(out, "No cases.");
    }
    let user = |case: &CaseView| output::fit(&who(&case.user), USER_COLUMNS);
    let columns = cases.iter().map(|case| user(case).chars().count()).max();
    let columns = columns.unwrap_or_default().max("USER".len());
    writeln!(
        out,
        "{:<9} {:<STATUS_COLUMNS$} {:>5}  {:>8}  {:<columns$}  WHAT",
        "CASE", "STATUS", "SCORE", "AGE", "USER"
    )?;
    for case in cases {
        writeln!(
            out,
            "{:<9} {} {:>5}  {:>8}  {:<columns$}  {}",
            case.id.short(),
            output::status(case.status, STATUS_COLUMNS),
            case.score,
            age(case.opened_at, now),
            user(case),
            what(case, now)
        )?;
    }
    Ok(())
}

/// That the thief came back, what failed and why, and what a case asks; else
/// what was ordered.
fn what(case: &CaseView, now: Timestamp) -> String {
    let parts = [evasion(case, now), failure(case), asks(case, now)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match (parts.is_empty(), case.containment.stage) {
        (true, Stage::Proven) => format!("{} (proven)", kinds(case.latest())),
        (true, _) => kinds(case.latest()),
        (false, _) => parts.join("; "),
    }
}

fn evasion(case: &CaseView, now: Timestamp) -> Option<String> {
    let shown_at = case.containment.shown_at;
    let evaded = shown_at.filter(|_| case.containment.stage == Stage::Evaded)?;
    Some(format!("evaded {} ago", age(evaded, now)))
}

/// `failed: revoke_sessions (403 …)`, with the first reason that is known.
fn failure(case: &CaseView) -> Option<String> {
    let failed = |action: &&ActionView| action.state == ActionState::Failed;
    let failed: Vec<&ActionView> = case.latest().filter(failed).collect();
    let names = kinds(failed.iter().copied());
    let reason = failed.iter().find_map(|a| a.last_outcome.as_deref());
    match (failed.is_empty(), reason) {
        (true, _) => None,
        (false, None) => Some(format!("failed: {names}")),
        (false, Some(reason)) => {
            let reason = output::fit(reason, REASON_COLUMNS);
            Some(format!("failed: {names} ({reason})"))
        }
    }
}

fn asks(case: &CaseView, now: Timestamp) -> Option<String> {
    let asked: Vec<&ActionView> = waiting(case).collect();
    let action = asked.first()?;
    let mut terms = Vec::new();
    if action.approvers_needed > 1 {
        let have = action.approved_by.len();
        terms.push(format!("{have} of {} approved", action.approvers_needed));
    }
    if let Some(expires) = asked.iter().filter_map(|a| a.expires_at).min() {
        terms.push(format!("{} left", age(now, expires)));
    }
    let asks = kinds(asked.iter().copied());
    Some(match terms.is_empty() {
        true => format!("asks: {asks}"),
        false => format!("asks: {asks} ({})", terms.join(", ")),
    })
}

fn waiting(case: &CaseView) -> impl Iterator<Item = &ActionView> {
    let waits = |action: &&ActionView| action.state == ActionState::AwaitingApproval;
    case.actions.iter().filter(waits)
}

fn kinds<'a>(actions: impl Iterator<Item = &'a ActionView>) -> String {
    let names: Vec<&str> = actions.map(|action| action.kind.as_str()).collect();
    names.join(", ")
}

pub(super) fn case(out: &mut dyn Write, case: &CaseView, now: Timestamp) -> io::Result<()> {
    writeln!(
        out,
        "Case {}  {}  score {}",
        case.id,
        output::status(case.status, 0),
        case.score
    )?;
    writeln!(
        out,
        "{} {}  {}{}",
        if case.user.workload {
            "Service principal"
        } else {
            "User"
        },
        escape(name(&case.user)),
        escape(case.user.id.as_str()),
        if case.user.guest {
            "  guest: sessions of the home tenant are not revoked"
        } else {
            ""
        }
    )?;
    writeln!(
        out,
        "Opened {} ago, at {}",
        age(case.opened_at, now),
        clock(case.opened_at)
    )?;
    if let Some(line) = containment(&case.containment) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\nSignals")?;
    for signal in &case.signals {
        writeln!(
            out,
            "  {}  {:<24} {}",
            clock(signal.signal.at),
            escape(signal.signal.name.as_str()),
            escape(&signal.text)
        )?;
    }
    decisions(out, case)?;
    writeln!(out, "\nActions")?;
    if case.actions.is_empty() {
        writeln!(out, "  none")?;
    }
    for rounds in case.actions.chunk_by(|a, b| a.kind == b.kind) {
        for (n, action) in rounds.iter().enumerate() {
            let round = (rounds.len() > 1).then(|| format!("round {}", n + 1));
            action_line(out, action, round, now)?;
        }
    }
    findings(out, case)?;
    if waiting(case).next().is_some() {
        writeln!(
            out,
            "\nevictd cases approve {0}   or   evictd cases deny {0}",
            case.id.short()
        )?;
    }
    Ok(())
}

/// What the case turned out to be; nothing where nobody said.
fn findings(out: &mut dyn Write, case: &CaseView) -> io::Result<()> {
    if case.findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nFindings")?;
    for finding in &case.findings {
        let by = match &finding.by {
            Some(by) => format!("by {by}"),
            None => "in Entra".to_owned(),
        };
        let note = finding.note.as_ref();
        let note = note.map_or_else(String::new, |note| format!(": {note}"));
        writeln!(
            out,
            "  {}  {:<6} {}{}",
            clock(finding.at),
            finding.truth,
            escape(&by),
            escape(&note)
        )?;
    }
    Ok(())
}

pub(super) fn found(out: &mut dyn Write, case: &CaseView, truth: Truth) -> io::Result<()> {
    writeln!(
        out,
        "Noted: case {} of {} was {}. Nothing is done or undone by it.",
        case.id.short(),
        escape(&who(&case.user)),
        match truth {
            Truth::Theft => "a theft",
            Truth::Benign => "no theft",
        }
    )
}

pub(super) fn reloaded(out: &mut dyn Write, reloaded: &Reloaded) -> io::Result<()> {
    for warning in &reloaded.warnings {
        for line in format!("warning: {warning}").lines() {
            writeln!(out, "{}", escape(line))?;
        }
        writeln!(out)?;
    }
    let Reloaded { hash, policies, .. } = reloaded;
    match reloaded.changed {
        true => writeln!(out, "Set {hash} serves now: {policies} policies.")?,
        false => writeln!(out, "Set {hash} goes on serving: nothing changed in it.")?,
    }
    writeln!(
        out,
        "The lists are being refreshed; `evictd intel show` says how old each is."
    )
}

fn decisions(out: &mut dyn Write, case: &CaseView) -> io::Result<()> {
    writeln!(out, "\nDecisions")?;
    for view in &case.decisions {
        let decision = &view.decision;
        writeln!(
            out,
            "  {}  {} policies {}",
            clock(view.decided_at),
            output::effect(decision.effect),
            decision.policy_set
        )?;
        for verdict in decision.verdicts.iter().filter(|v| v.rung.is_some()) {
            writeln!(out, "    {}", escape(&policy::explain(verdict)))?;
        }
        match decision.admission {
            Admission::Admitted => {}
            Admission::Demoted(reason) => {
                writeln!(out, "    guard: a human is asked first ({reason})")?
            }
            Admission::Refused(reason) => {
                writeln!(out, "    guard: refused ({reason}); nothing was done")?
            }
        }
    }
    Ok(())
}

/// How far the eviction has come; `None` where nothing was sent.
fn containment(containment: &Containment) -> Option<String> {
    let Containment {
        stage,
        acknowledged_at,
        shown_at,
        shown_by,
    } = containment;
    let shown = shown_at.map(clock).unwrap_or_default();
    let record = shown_by.as_ref().map_or("", |record| record.as_str());
    let record = escape(record);
    let acknowledged = acknowledged_at.map(|at| format!("Graph acknowledged {}", clock(at)));
    Some(match stage {
        Stage::None => return None,
        Stage::Requested => "Contained: not yet; the revoke is requested".to_owned(),
        Stage::Acknowledged => format!("Contained: {}; not proven yet", acknowledged?),
        Stage::Proven => {
            let acknowledged = acknowledged.map_or(String::new(), |text| format!("{text}; "));
            format!("Contained: {acknowledged}proven {shown} (sign-in refused, record {record})")
        }
        Stage::Evaded => {
            let again = acknowledged_at.filter(|at| Some(*at) > *shown_at);
            let again = again.map_or(String::new(), |at| {
                format!("; Graph acknowledged another revoke {}", clock(at))
            });
            format!(
                "EVADED {shown}: a sign-in from the attacker's address succeeded \
                 (record {record}){again}"
            )
        }
    })
}

fn action_line(
    out: &mut dyn Write,
    action: &ActionView,
    round: Option<String>,
    now: Timestamp,
) -> io::Result<()> {
    let mut terms = Vec::from_iter(round);
    if let Some(outcome) = &action.last_outcome {
        terms.push(escape(outcome).into_owned());
    }
    if action.attempts > 1 {
        terms.push(format!("{} attempts", action.attempts));
    }
    if let Some(seconds) = action.event_to_acknowledged_seconds {
        terms.push(format!("{seconds:.1} s after the event"));
    }
    if action.state == ActionState::AwaitingApproval {
        let have = action.approved_by.len();
        terms.push(format!("{have} of {} approvals", action.approvers_needed));
        if let Some(expires) = action.expires_at {
            terms.push(format!("denied by silence in {}", age(now, expires)));
        }
    }
    if !action.approved_by.is_empty() {
        let by = action.approved_by.join(", ");
        terms.push(format!("approved by {}", escape(&by)));
    }
    if let Some(by) = &action.denied_by {
        terms.push(format!("denied by {}", escape(by)));
    }
    let (kind, state) = (action.kind.as_str(), action.state.as_str());
    let line = format!("  {kind:<20} {state:<18} {}", terms.join(", "));
    writeln!(out, "{}", line.trim_end())
}

pub(super) fn judged(out: &mut dyn Write, case: &CaseView, judgement: Judgement) -> io::Result<()> {
    let name = escape(&who(&case.user)).into_owned();
    let id = case.id.short();
    if judgement == Judgement::Deny {
        let denied = kinds(case.latest().filter(|a| a.state == ActionState::Denied));
        return writeln!(out, "Denied: {denied} for {name}.");
    }
    if let Some(action) = waiting(case).max_by_key(|action| action.approvers_needed) {
        let (have, need) = (action.approved_by.len(), action.approvers_needed);
        return writeln!(
            out,
            "Approved by {have} of {need}; another person must approve {id}."
        );
    }
    let approved = kinds(case.latest().filter(|a| !a.approved_by.is_empty()));
    writeln!(
        out,
        "Approved: {approved} for {name}. `evictd cases show {id}` follows it."
    )
}

pub(super) fn status(out: &mut dyn Write, status: &Status, now: Timestamp) -> io::Result<()> {
    let about = &status.about;
    writeln!(
        out,
        "evictd {} up {}, policies {}, metrics at http://{}/metrics",
        about.version,
        age(about.since, now),
        about.policy_set,
        about.http
    )?;
    if about.policies_stale {
        writeln!(
            out,
            "POLICIES STALE: the files do not compile, the last good set serves; see `evictd policy status`"
        )?;
    }
    if status.ready {
        writeln!(out, "ready")?;
    }
    for reason in &status.unready {
        writeln!(out, "not ready: {}", escape(reason))?;
    }
    if let Some(pause) = &status.paused {
        writeln!(
            out,
            "PAUSED by {} {} ago: nothing is done until `evictd resume`",
            escape(&pause.by),
            age(pause.since, now)
        )?;
    }
    partitions(out, &about.partitions)?;
    let outbox: Vec<String> = status
        .outbox
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(state, n)| format!("{n} {state}"))
        .collect();
    match outbox.is_empty() {
        true => writeln!(out, "outbox: empty")?,
        false => writeln!(out, "outbox: {}", outbox.join(", "))?,
    }
    history(out, about.history.as_ref())?;
    match status.quarantined {
        0 => writeln!(out, "quarantine: empty"),
        1 => writeln!(out, "quarantine: 1 record; see `evictd quarantine list`"),
        n => writeln!(out, "quarantine: {n} records; see `evictd quarantine list`"),
    }
}

/// What a backtest can read; no word of it where nothing is to be kept.
fn history(out: &mut dyn Write, kept: Option<&Kept>) -> io::Result<()> {
    let Some(kept) = kept else {
        return Ok(());
    };
    let size = indicatif::HumanBytes(kept.bytes);
    match kept.since {
        Some(since) => writeln!(out, "history: {size} since {since}, for {} days", kept.days)?,
        None => writeln!(out, "history: empty, for {} days", kept.days)?,
    }
    match &kept.failing {
        Some(reason) => writeln!(out, "history: NOT KEPT at present: {}", escape(reason)),
        None => Ok(()),
    }
}

/// A line a partition, in columns: one that lags or is not attached must be
/// seen among many.
fn partitions(out: &mut dyn Write, partitions: &[Partition]) -> io::Result<()> {
    let rows: Vec<[String; 4]> = partitions
        .iter()
        .map(|partition| {
            [
                format!("{}/{}", partition.hub, partition.partition),
                partition.state.clone(),
                partition
                    .sequence
                    .map_or("the start".to_owned(), |s| format!("message {s}")),
                format!("{:.1} s", partition.lag_seconds),
            ]
        })
        .collect();
    let columns = |n: usize| rows.iter().map(|row| row[n].chars().count()).max();
    let [name, state, place, lag] = [0, 1, 2, 3].map(|n| columns(n).unwrap_or_default());
    for [partition, is, at, behind] in &rows {
        writeln!(
            out,
            "{partition:<name$}  {is:<state$}  at {at:<place$}  lag {behind:>lag$}"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
