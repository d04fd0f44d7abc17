//! `evictd policy status`: which policies serve, and whether they are those on
//! the disk.
//!
//! Invariant: a set that failed to load cannot be overlooked: its problems are
//! shown whole, and the exit code says it to a script.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use crate::cli::client::Client;
use crate::cli::output::{self, Format, escape};
use crate::console::policies::{OnDisk, PolicyStatus, ServingSet};

/// Arguments of `evictd policy status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd policy status
  evictd policy status --format json | jq -r .serving.hash

Exit codes: 0 the last load went well, 1 it failed and the last good set serves;
3 no daemon listens.")]
pub struct StatusArgs {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs it.
///
/// # Errors
/// When the daemon does not answer, or standard output cannot be written.
pub async fn run(args: &StatusArgs, client: &Client) -> anyhow::Result<ExitCode> {
    let status = client.policies().await?;
    match args.format {
        Format::Json => output::json(&status)?,
        Format::Text => output::print(|out| text(out, &status, Timestamp::now()))?,
    }
    Ok(match status.attempt.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn text(out: &mut dyn Write, status: &PolicyStatus, now: Timestamp) -> io::Result<()> {
    let ServingSet {
        hash,
        since,
        directory,
        policies,
    } = &status.serving;
    let from = directory.as_deref().unwrap_or("the shipped policies");
    writeln!(
        out,
        "Set {hash} serves since {} ({} ago), from {}",
        output::clock(*since),
        output::age(*since, now),
        escape(from)
    )?;
    let name = |name: &str| output::fit(name, 48);
    let width = |texts: &mut dyn Iterator<Item = usize>, least: usize| {
        texts.max().unwrap_or_default().max(least)
    };
    let names = width(
        &mut policies.iter().map(|p| name(&p.name).chars().count()),
        6,
    );
    let owners = width(
        &mut policies.iter().map(|p| name(&p.owner).chars().count()),
        5,
    );
    writeln!(
        out,
        "\n  {:<names$}  {:<7}  {:<owners$}  {:>6}  {:>6}  {:>6}   cases since {}",
        "POLICY",
        "MODE",
        "OWNER",
        "SHADOW",
        "ASKED",
        "ACTED",
        output::clock(status.counted_since)
    )?;
    for policy in policies {
        let calls = status.calls.get(&policy.name).copied().unwrap_or_default();
        writeln!(
            out,
            "  {:<names$}  {:<7}  {:<owners$}  {:>6}  {:>6}  {:>6}",
            name(&policy.name),
            policy.mode.as_str(),
            name(&policy.owner),
            calls.shadow,
            calls.asked,
            calls.acted
        )?;
    }
    attempt(out, status, now)
}

fn attempt(out: &mut dyn Write, status: &PolicyStatus, now: Timestamp) -> io::Result<()> {
    let attempt = &status.attempt;
    let when = format!(
        "{} ({} ago)",
        output::clock(attempt.at),
        output::age(attempt.at, now)
    );
    if attempt.problems.is_empty() {
        writeln!(out, "\nLast loaded {when}: fine")?;
    } else {
        writeln!(
            out,
            "\nSTALE: the load of {when} failed; the set above goes on serving until it is mended"
        )?;
        for problem in &attempt.problems {
            writeln!(out)?;
            for line in problem.lines() {
                writeln!(out, "{}", escape(line))?;
            }
        }
        writeln!(out)?;
    }
    let Some(OnDisk { hash, differs }) = &status.on_disk else {
        return Ok(());
    };
    match hash {
        Some(hash) if *hash == status.serving.hash => writeln!(out, "On disk: the same set"),
        Some(hash) => {
            writeln!(out, "On disk: set {hash}, which is loaded within seconds")?;
            named(out, differs)
        }
        None => {
            writeln!(out, "On disk: a set that does not compile")?;
            named(out, differs)
        }
    }
}

fn named(out: &mut dyn Write, differs: &[String]) -> io::Result<()> {
    for difference in differs {
        writeln!(out, "  {}", escape(difference))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::policies::{Attempt, Calls, ServingPolicy};
    use crate::model::Mode;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_500_000 + second).unwrap()
    }

    fn plain(status: &PolicyStatus) -> String {
        let mut out = Vec::new();
        text(&mut out, status, at(7_200)).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n")
    }

    fn status() -> PolicyStatus {
        let policy = |name: &str, mode, owner: &str| ServingPolicy {
            name: name.to_owned(),
            mode,
            owner: owner.to_owned(),
            bar: None,
            mode_at: None,
        };
        PolicyStatus {
            serving: ServingSet {
                hash: "0123456789ab".to_owned(),
                since: at(0),
                directory: Some("/etc/evictd/policies".to_owned()),
                policies: vec![
                    policy("stolen-session", Mode::Enforce, "identity-team"),
                    policy("device-code", Mode::Shadow, ""),
                ],
            },
            attempt: Attempt {
                at: at(0),
                problems: Vec::new(),
            },
            on_disk: Some(OnDisk {
                hash: Some("0123456789ab".to_owned()),
                differs: Vec::new(),
            }),
            counted_since: at(-30 * 86_400),
            calls: [(
                "stolen-session".to_owned(),
                Calls {
                    shadow: 0,
                    asked: 12,
                    acted: 3,
                },
            )]
            .into(),
        }
    }

    #[test]
    fn a_set_that_serves_as_it_lies_on_disk() {
        insta::assert_snapshot!(plain(&status()), @r"
        Set 0123456789ab serves since 2026-11-24 06:00:00 Z (2 h ago), from /etc/evictd/policies

          POLICY          MODE     OWNER          SHADOW   ASKED   ACTED   cases since 2026-10-25 06:00:00 Z
          stolen-session  enforce  identity-team       0      12       3
          device-code     shadow                       0       0       0

        Last loaded 2026-11-24 06:00:00 Z (2 h ago): fine
        On disk: the same set
        ");
    }

    #[test]
    fn a_set_that_failed_is_told_whole_and_cannot_steer_the_terminal() {
        let mut stale = status();
        stale.attempt = Attempt {
            at: at(7_100),
            problems: vec![
                "a.yaml:2:7: `mode` is `enforced`\n  2 | mode: enforced\n    |       ^^^^^^^^\n    = did you mean `enforce`?".to_owned(),
                "\u{1b}[2Jb.yaml: not UTF-8 text: byte 9".to_owned(),
            ],
        };
        stale.on_disk = Some(OnDisk {
            hash: None,
            differs: vec!["changed a.yaml".to_owned(), "new b.yaml".to_owned()],
        });
        insta::assert_snapshot!(plain(&stale), @r"
        Set 0123456789ab serves since 2026-11-24 06:00:00 Z (2 h ago), from /etc/evictd/policies

          POLICY          MODE     OWNER          SHADOW   ASKED   ACTED   cases since 2026-10-25 06:00:00 Z
          stolen-session  enforce  identity-team       0      12       3
          device-code     shadow                       0       0       0

        STALE: the load of 2026-11-24 07:58:20 Z (100 s ago) failed; the set above goes on serving until it is mended

        a.yaml:2:7: `mode` is `enforced`
          2 | mode: enforced
            |       ^^^^^^^^
            = did you mean `enforce`?

        \u{1b}[2Jb.yaml: not UTF-8 text: byte 9

        On disk: a set that does not compile
          changed a.yaml
          new b.yaml
        ");
    }

    #[test]
    fn a_change_that_was_not_loaded_yet_is_named() {
        let mut changed = status();
        changed.on_disk = Some(OnDisk {
            hash: Some("ba9876543210".to_owned()),
            differs: vec!["gone a.yaml".to_owned()],
        });
        let text = plain(&changed);
        let told = text.split_once("\n\nLast ").unwrap().1;
        insta::assert_snapshot!(told, @r"
        loaded 2026-11-24 06:00:00 Z (2 h ago): fine
        On disk: set ba9876543210, which is loaded within seconds
          gone a.yaml
        ");
        // Those that ship lie on no disk.
        changed.on_disk = None;
        changed.serving.directory = None;
        let text = plain(&changed);
        assert!(text.contains("from the shipped policies"), "{text}");
        assert!(!text.contains("On disk"), "{text}");
    }
}
