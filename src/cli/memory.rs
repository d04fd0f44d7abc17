//! `evictd memory show`: what is remembered of a user, which is what every
//! verdict on them rests on.

use std::io::{self, Write};

use clap::Subcommand;
use jiff::Timestamp;

use super::client::Client;
use super::output::{self, Format, escape};
use crate::model::{Days, Habit, Traits, UserMemory, day_of};
use crate::store::KnownUser;

/// Commands about memory.
#[derive(Debug, Subcommand)]
pub enum MemoryCommand {
    /// Show what is usual for a user, where they were, and what was raised.
    #[command(after_help = "Examples:
  evictd memory show alice@contoso.example
  evictd memory show 6f2a9f0e-0d5c-4f0e-8c39-3f6f3b1f7a11 --format json | jq .memory.habits")]
    Show {
        /// The principal name or the object id.
        user: String,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Runs it.
///
/// # Errors
/// When the daemon does not answer or does not know the user.
pub async fn run(command: MemoryCommand, client: &Client) -> anyhow::Result<()> {
    let MemoryCommand::Show { user, format } = command;
    let known = client.memory(&user).await?;
    match format {
        Format::Json => output::json(&known),
        Format::Text => output::print(|out| show(out, &known, Timestamp::now())),
    }
}

fn show(out: &mut dyn Write, known: &KnownUser, now: Timestamp) -> io::Result<()> {
    let memory = &known.memory;
    writeln!(
        out,
        "User {}  {}",
        escape(&memory.principal_name),
        escape(known.user.as_str())
    )?;
    let habits = &memory.habits;
    writeln!(
        out,
        "Active on {} of the last 64 days; days of an incident, which teach nothing: {}",
        habits.active().len(),
        habits.tainted().len()
    )?;
    usual(out, memory, now)?;
    sessions(out, memory)?;
    lately(out, memory)?;
    if let Some(incident) = &memory.incident {
        writeln!(
            out,
            "\nIncident  case {}, {} to {}",
            incident.case.short(),
            minute(incident.first),
            minute(incident.last)
        )?;
        for prefix in &incident.attacker {
            writeln!(out, "  attacker's network {prefix}")?;
        }
    }
    Ok(())
}

fn usual(out: &mut dyn Write, memory: &UserMemory, now: Timestamp) -> io::Result<()> {
    writeln!(out, "\nUsual (days of use, the last one)")?;
    let mut none = true;
    for (habit, days) in memory.habits.iter() {
        none = false;
        let name = match habit {
            Habit::Asn(asn) => format!("network AS{asn}"),
            Habit::Country(country) => format!("country {country}"),
            Habit::Device(device) => format!("device {device:016x}"),
            Habit::Scripted(app) => format!("a script to application {app:016x}"),
            Habit::DeviceCode(app) => format!("device code to application {app:016x}"),
            Habit::Password(app) => format!("password alone to application {app:016x}"),
            Habit::CommandLine => "a command line tool or an editor".to_owned(),
            Habit::Unmanaged => "a device that is not managed".to_owned(),
        };
        writeln!(
            out,
            "  {name:<44} {:>2}  {}",
            days.len(),
            last_use(days, now)
        )?;
    }
    if none {
        writeln!(out, "  nothing yet")?;
    }
    Ok(())
}

/// `today`, `3 days ago`.
fn last_use(days: Days, now: Timestamp) -> String {
    match day_of(now) - days.latest() {
        ..=0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        ago => format!("{ago} days ago"),
    }
}

fn sessions(out: &mut dyn Write, memory: &UserMemory) -> io::Result<()> {
    if memory.sessions.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nSessions (where they began)")?;
    for session in memory.sessions.iter().rev() {
        let since = Timestamp::from_second(session.born).unwrap_or(Timestamp::MIN);
        let last = Timestamp::from_second(session.last).unwrap_or(Timestamp::MIN);
        let asn = session.asn.map_or(String::new(), |asn| format!(" AS{asn}"));
        let country = session.country.map_or("?".to_owned(), |c| c.to_string());
        writeln!(
            out,
            "  {:016x}  {} to {}  {country}{asn} {}{}",
            session.id,
            minute(since),
            minute(last),
            session.class.as_str(),
            traits(session.traits)
        )?;
    }
    Ok(())
}

fn traits(traits: Traits) -> String {
    let named = [
        (Traits::MANAGED, "managed"),
        (Traits::BOUND, "bound"),
        (Traits::UNBOUND, "unbound"),
        (Traits::DEVICE_CODE, "by device code"),
        (Traits::CLI, "command line"),
        (Traits::PRT, "primary refresh token"),
    ];
    let found = named.into_iter().filter(|(one, _)| traits.has(*one));
    found.map(|(_, name)| format!(", {name}")).collect()
}

fn lately(out: &mut dyn Write, memory: &UserMemory) -> io::Result<()> {
    writeln!(out, "\nLately (72 h)")?;
    for footprint in &memory.footprints {
        let asn = footprint
            .asn
            .map_or(String::new(), |asn| format!(", AS{asn}"));
        let prefix = footprint.prefix.map_or(String::new(), |p| format!(" {p}"));
        writeln!(
            out,
            "  {}  {}{asn} {}{prefix}  {}{}",
            minute(footprint.first),
            escape(&footprint.place.to_string()),
            footprint.class.as_str(),
            footprint
                .client
                .map_or("no browser".to_owned(), |client| client.to_string()),
            traits(footprint.traits)
        )?;
    }
    for change in &memory.changes {
        let what = change.what.as_deref().unwrap_or_default();
        writeln!(
            out,
            "  {}  {:?} {}",
            minute(change.at),
            change.kind,
            escape(what)
        )?;
    }
    if !memory.signals.is_empty() {
        writeln!(out, "\nSignals")?;
    }
    for signal in &memory.signals {
        writeln!(
            out,
            "  {}  {:<24} {}",
            minute(signal.at),
            escape(signal.name.as_str()),
            escape(&signal.evidence.to_string())
        )?;
    }
    Ok(())
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CountryCode, UserId};

    #[test]
    fn what_is_known_reads_as_a_page() {
        let now: Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
        let mut memory = UserMemory::default();
        memory.principal_name = "ana@contoso.example".into();
        let before: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        for at in [before, now] {
            memory.habits.was_active(at);
            memory.habits.learn(Habit::Asn(3215), at);
        }
        let france = CountryCode::parse("FR").unwrap();
        memory.habits.learn(Habit::Country(france), before);
        let known = KnownUser {
            user: UserId::new("ana"),
            memory,
        };
        let mut text = Vec::new();
        show(&mut text, &known, now).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
        User ana@contoso.example  ana
        Active on 2 of the last 64 days; days of an incident, which teach nothing: 0

        Usual (days of use, the last one)
          network AS3215                                2  today
          country FR                                    1  3 days ago

        Lately (72 h)
        ");
    }
}
