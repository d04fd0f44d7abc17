//! `evictd cases`: what was decided and why, and a human's word on it.

use std::io::{self, Write};

use clap::Subcommand;
use jiff::Timestamp;

use super::client::Client;
use super::output::{self, Format, escape};
use crate::console::control::Status;
use crate::model::{ActionState, ActionView, Admission, CaseStatus, CaseView, UserRef};
use crate::policy;

/// `evictd cases …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  evictd cases list
  evictd cases show 3f2a91c0
  evictd cases approve 3f2a91c0
  evictd cases list --format json | jq '.[] | select(.status == \"failed\")'

An ID is a case's id or its first digits, at least four.")]
pub enum CasesCommand {
    /// List cases: what needs a human first, then the newest.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
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
        CasesCommand::List { limit, format } => list(client, limit, format).await,
        CasesCommand::Show { id, format } => {
            let case = client.case(&id).await?;
            match format {
                Format::Json => output::json(&case),
                Format::Text => output::print(|out| print_case(out, &case, Timestamp::now())),
            }
        }
        CasesCommand::Approve { id } => {
            let case = client.approve(&id).await?;
            output::print(|out| print_judged(out, &case))
        }
        CasesCommand::Deny { id } => {
            let case = client.deny(&id).await?;
            output::print(|out| print_judged(out, &case))
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
        Format::Text => output::print(|out| print_status(out, &status, Timestamp::now())),
    }
}

async fn list(client: &Client, limit: u32, format: Format) -> anyhow::Result<()> {
    let mut cases = client.cases(limit as usize).await?;
    if format == Format::Json {
        return output::json(&cases);
    }
    // `CaseStatus` is ordered by how much it needs a human.
    cases.sort_by_key(|case| (rank(case.status), std::cmp::Reverse(case.opened_at)));
    output::print(|out| print_list(out, &cases, Timestamp::now()))
}

fn rank(status: CaseStatus) -> u8 {
    match status {
        CaseStatus::Failed => 0,
        CaseStatus::Protected => 1,
        CaseStatus::AwaitingApproval => 2,
        CaseStatus::Responding => 3,
        _ => 4,
    }
}

fn print_list(out: &mut dyn Write, cases: &[CaseView], now: Timestamp) -> io::Result<()> {
    if cases.is_empty() {
        return writeln!(out, "No cases.");
    }
    writeln!(
        out,
        "{:<9} {:<17} {:>5}  {:>8}  {:<34} ACTIONS",
        "CASE", "STATUS", "SCORE", "AGE", "USER"
    )?;
    for case in cases {
        let actions: Vec<&str> = case
            .actions
            .iter()
            .map(|action| action.kind.as_str())
            .collect();
        writeln!(
            out,
            "{:<9} {} {:>5}  {:>8}  {:<34} {}",
            case.id.short(),
            output::status(case.status),
            case.score,
            age(case.opened_at, now),
            escape(who(&case.user)),
            actions.join(", ")
        )?;
    }
    Ok(())
}

fn who(user: &UserRef) -> &str {
    if user.principal_name.is_empty() {
        user.id.as_str()
    } else {
        &user.principal_name
    }
}

/// `14 s`, `38 min`, `5 h`, `3 d`.
fn age(since: Timestamp, now: Timestamp) -> String {
    match now.duration_since(since).as_secs().max(0) {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn print_case(out: &mut dyn Write, case: &CaseView, now: Timestamp) -> io::Result<()> {
    writeln!(
        out,
        "Case {}  {}  score {}",
        case.id,
        output::status(case.status).trim_end(),
        case.score
    )?;
    writeln!(
        out,
        "User {}  {}{}",
        escape(who(&case.user)),
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
    writeln!(out, "\nActions")?;
    if case.actions.is_empty() {
        writeln!(out, "  none")?;
    }
    for action in &case.actions {
        print_action(out, action, now)?;
    }
    if case.status == CaseStatus::AwaitingApproval {
        writeln!(
            out,
            "\nevictd cases approve {0}   or   evictd cases deny {0}",
            case.id.short()
        )?;
    }
    Ok(())
}

fn print_action(out: &mut dyn Write, action: &ActionView, now: Timestamp) -> io::Result<()> {
    write!(
        out,
        "  {:<20} {:<18}",
        action.kind.as_str(),
        action.state.as_str()
    )?;
    if let Some(outcome) = &action.last_outcome {
        write!(out, " {}", escape(outcome))?;
    }
    if action.attempts > 1 {
        write!(out, ", {} attempts", action.attempts)?;
    }
    if let Some(seconds) = action.event_to_acknowledged_seconds {
        write!(out, ", {seconds:.1} s after the event")?;
    }
    if action.state == ActionState::AwaitingApproval {
        write!(
            out,
            " {} of {} approvals",
            action.approved_by.len(),
            action.approvers_needed
        )?;
        if let Some(expires) = action.expires_at {
            let left = expires.duration_since(now).as_secs().max(0);
            write!(out, ", denied by silence in {} min", left.div_euclid(60))?;
        }
    }
    if !action.approved_by.is_empty() {
        write!(
            out,
            ", approved by {}",
            escape(&action.approved_by.join(", "))
        )?;
    }
    if let Some(by) = &action.denied_by {
        write!(out, ", denied by {}", escape(by))?;
    }
    writeln!(out)
}

fn clock(at: Timestamp) -> String {
    at.strftime("%F %T Z").to_string()
}

fn print_judged(out: &mut dyn Write, case: &CaseView) -> io::Result<()> {
    let name = escape(who(&case.user)).into_owned();
    match case.status {
        CaseStatus::Denied => writeln!(out, "Denied: nothing is done to {name}."),
        CaseStatus::AwaitingApproval => {
            let action = case
                .actions
                .iter()
                .find(|a| a.state == ActionState::AwaitingApproval);
            let (have, need) = action.map_or((0, 0), |a| (a.approved_by.len(), a.approvers_needed));
            writeln!(
                out,
                "Approved by {have} of {need}; another person must approve {}.",
                case.id.short()
            )
        }
        _ => {
            let kinds: Vec<&str> = case.actions.iter().map(|a| a.kind.as_str()).collect();
            writeln!(
                out,
                "Approved: {} for {name}. `evictd cases show {}` follows it.",
                kinds.join(", "),
                case.id.short()
            )
        }
    }
}

fn print_status(out: &mut dyn Write, status: &Status, now: Timestamp) -> io::Result<()> {
    let about = &status.about;
    writeln!(
        out,
        "evictd {} up {}, policies {}, metrics at http://{}/metrics",
        about.version,
        age(about.since, now),
        about.policy_set,
        about.http
    )?;
    if status.ready {
        writeln!(out, "ready")?;
    }
    for reason in &status.unready {
        writeln!(out, "not ready: {reason}")?;
    }
    if let Some(pause) = &status.paused {
        writeln!(
            out,
            "PAUSED by {} {} ago: nothing is done until `evictd resume`",
            escape(&pause.by),
            age(pause.since, now)
        )?;
    }
    for partition in &about.partitions {
        writeln!(
            out,
            "{}/{}  {}, at {}, lag {:.1} s",
            partition.hub,
            partition.partition,
            partition.state,
            partition
                .sequence
                .map_or("the start".to_owned(), |s| format!("message {s}")),
            partition.lag_seconds
        )?;
    }
    let outbox: Vec<String> = status
        .outbox
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(state, n)| format!("{n} {state}"))
        .collect();
    writeln!(
        out,
        "outbox: {}",
        if outbox.is_empty() {
            "empty".to_owned()
        } else {
            outbox.join(", ")
        }
    )?;
    writeln!(out, "quarantine: {} record(s)", status.quarantined)
}

#[cfg(test)]
mod tests;
