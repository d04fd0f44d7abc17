//! `evictd policy report`: how right each policy was, by the judgement of
//! humans, and whether that meets the bar its author set.
//!
//! Invariant: it promotes nothing. Where a bar is met it names the line that
//! the author edits.

use std::io::{self, Write};

use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::cli::client::Client;
use crate::cli::output::{self, Format, escape};
use crate::console::policies::{Bar, PolicyReport, Standing};
use crate::model::Mode;

/// The furthest back a report goes, in days.
const SINCE_DAYS_MAX: i64 = 3_660;

/// Arguments of `evictd policy report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd policy report
  evictd policy report --since 90d --format json

A case is theft or not by a human's finding (`evictd cases judge`), else by their answer
to what was asked, else by an administrator's word in Entra. The interval is Wilson's, 95 %.")]
pub struct ReportArgs {
    /// How far back: 30d, 12h, 2w.
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration)]
    since: SignedDuration,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let days = SpanRelativeTo::days_are_24_hours();
    let span: Span = text.parse().map_err(|_| "expected e.g. 30d, 12h or 2w")?;
    let duration = span.to_duration(days).map_err(|error| error.to_string())?;
    let most = SignedDuration::from_hours(SINCE_DAYS_MAX * 24);
    if duration <= SignedDuration::ZERO || duration > most {
        return Err(format!(
            "expected more than 0 and at most {SINCE_DAYS_MAX}d"
        ));
    }
    Ok(duration)
}

/// Runs it.
///
/// # Errors
/// When the daemon does not answer, or standard output cannot be written.
pub async fn run(args: &ReportArgs, client: &Client) -> anyhow::Result<()> {
    let since = Timestamp::now().checked_sub(args.since)?;
    let report = client.policy_report(since).await?;
    match args.format {
        Format::Json => output::json(&report),
        Format::Text => output::print(|out| text(out, &report)),
    }
}

fn text(out: &mut dyn Write, report: &PolicyReport) -> io::Result<()> {
    writeln!(out, "Cases since {}", output::clock(report.since))?;
    if report.cut_off {
        writeln!(out, "More than 100,000: the oldest are left out")?;
    }
    for standing in &report.policies {
        policy(out, standing)?;
    }
    Ok(())
}

fn policy(out: &mut dyn Write, standing: &Standing) -> io::Result<()> {
    let mode = standing.mode.map_or("serves no more", Mode::as_str);
    let owner = match standing.owner.is_empty() {
        true => String::new(),
        false => format!(", owner {}", escape(&standing.owner)),
    };
    writeln!(out, "\n{}  {mode}{owner}", escape(&standing.name))?;
    let calls = &standing.calls;
    if calls.cases() == 0 {
        writeln!(out, "  called for nothing")?;
    } else {
        writeln!(
            out,
            "  called for   {} in shadow, {} asked, {} acted",
            calls.shadow, calls.asked, calls.acted
        )?;
        let known: Vec<String> = standing
            .judged
            .iter()
            .map(|(judged, cases)| format!("{cases} {}", judged.as_str().replace('_', " ")))
            .collect();
        writeln!(out, "  judged       {}", known.join(", "))?;
        match standing.precision {
            Some(found) => writeln!(
                out,
                "  precision    {:.1} % ({:.1} to {:.1} %): {} theft, {} not; {} unjudged",
                100.0 * found.share,
                100.0 * found.low,
                100.0 * found.high,
                standing.theft,
                standing.benign,
                standing.unjudged
            )?,
            None => writeln!(
                out,
                "  precision    unknown: nobody judged any of {}; `evictd cases judge ID`",
                standing.unjudged
            )?,
        }
    }
    bar(out, standing)
}

fn bar(out: &mut dyn Write, standing: &Standing) -> io::Result<()> {
    let (Some(bar), Some(meets)) = (standing.bar, standing.meets_bar) else {
        return Ok(());
    };
    let asks = format!(
        "{} % by the lower end, {} judged cases",
        bar.precision, bar.cases
    );
    if !meets {
        return writeln!(
            out,
            "  bar          not met: {asks}; {}",
            lacks(bar, standing)
        );
    }
    let next = match standing.mode {
        Some(Mode::Shadow) => "approve",
        Some(Mode::Approve) => "enforce",
        Some(Mode::Enforce) | None => return writeln!(out, "  bar          met: {asks}"),
    };
    let place = standing.mode_at.as_deref();
    let place = place.unwrap_or("a copy of the shipped file, in a folder of your own");
    writeln!(out, "  bar          MET: {asks}")?;
    writeln!(
        out,
        "  to promote   write `mode: {next}` in {}; evictd never does",
        escape(place)
    )
}

/// What is missing to the bar.
fn lacks(bar: Bar, standing: &Standing) -> String {
    let judged = standing.theft + standing.benign;
    match u64::from(bar.cases).saturating_sub(judged) {
        0 => "the lower end is below it".to_owned(),
        1 => "1 more must be judged".to_owned(),
        more => format!("{more} more must be judged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::policies::Calls;
    use crate::console::precision::precision;
    use crate::store::Judged;

    fn standing(name: &str, mode: Option<Mode>, judged: &[(Judged, u64)]) -> Standing {
        let of = |truth| -> u64 {
            let alike = judged.iter().filter(|(judged, _)| judged.truth() == truth);
            alike.map(|(_, cases)| cases).sum()
        };
        let theft = of(Some(crate::model::Truth::Theft));
        let benign = of(Some(crate::model::Truth::Benign));
        Standing {
            name: name.to_owned(),
            mode,
            owner: "identity-team".to_owned(),
            calls: Calls {
                shadow: judged.iter().map(|(_, cases)| cases).sum(),
                asked: 0,
                acted: 0,
            },
            judged: judged.iter().copied().collect(),
            theft,
            benign,
            unjudged: of(None),
            precision: precision(theft, theft + benign),
            bar: Some(Bar {
                precision: 95,
                cases: 20,
            }),
            meets_bar: Some(false),
            mode_at: Some("/etc/evictd/policies/a.yaml:4".to_owned()),
        }
    }

    #[test]
    fn a_report_says_what_was_right_and_where_the_edit_would_go() {
        let report = PolicyReport {
            since: Timestamp::from_second(1_795_500_000).unwrap(),
            cut_off: false,
            policies: vec![
                Standing {
                    meets_bar: Some(true),
                    ..standing(
                        "stolen-session",
                        Some(Mode::Shadow),
                        &[
                            (Judged::Theft, 3),
                            (Judged::Approved, 77),
                            (Judged::ConfirmedInEntra, 2),
                            (Judged::Unjudged, 9),
                        ],
                    )
                },
                standing(
                    "risky-network",
                    Some(Mode::Approve),
                    &[
                        (Judged::Approved, 18),
                        (Judged::Denied, 1),
                        (Judged::Expired, 4),
                    ],
                ),
                standing(
                    "many-but-wrong",
                    Some(Mode::Shadow),
                    &[(Judged::Benign, 9), (Judged::DismissedInEntra, 12)],
                ),
                standing("silent", Some(Mode::Shadow), &[]),
                Standing {
                    bar: None,
                    meets_bar: None,
                    owner: String::new(),
                    ..standing("renamed", None, &[(Judged::Unjudged, 2)])
                },
            ],
        };
        let mut out = Vec::new();
        text(&mut out, &report).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        Cases since 2026-11-24 06:00:00 Z

        stolen-session  shadow, owner identity-team
          called for   91 in shadow, 0 asked, 0 acted
          judged       3 theft, 77 approved, 2 confirmed in entra, 9 unjudged
          precision    100.0 % (95.5 to 100.0 %): 82 theft, 0 not; 9 unjudged
          bar          MET: 95 % by the lower end, 20 judged cases
          to promote   write `mode: approve` in /etc/evictd/policies/a.yaml:4; evictd never does

        risky-network  approve, owner identity-team
          called for   23 in shadow, 0 asked, 0 acted
          judged       18 approved, 1 denied, 4 expired
          precision    94.7 % (75.4 to 99.1 %): 18 theft, 1 not; 4 unjudged
          bar          not met: 95 % by the lower end, 20 judged cases; 1 more must be judged

        many-but-wrong  shadow, owner identity-team
          called for   21 in shadow, 0 asked, 0 acted
          judged       9 benign, 12 dismissed in entra
          precision    0.0 % (0.0 to 15.5 %): 0 theft, 21 not; 0 unjudged
          bar          not met: 95 % by the lower end, 20 judged cases; the lower end is below it

        silent  shadow, owner identity-team
          called for nothing
          bar          not met: 95 % by the lower end, 20 judged cases; 20 more must be judged

        renamed  serves no more
          called for   2 in shadow, 0 asked, 0 acted
          judged       2 unjudged
          precision    unknown: nobody judged any of 2; `evictd cases judge ID`
        ");
    }

    #[test]
    fn how_far_back_is_read_with_its_unit_and_bounded() {
        let hours = |text| duration(text).map(|found| found.as_hours());
        assert_eq!(hours("30d"), Ok(720));
        assert_eq!(hours("2w"), Ok(336));
        assert_eq!(hours("12h"), Ok(12));
        for wrong in ["", "30", "0d", "-1d", "4000d", "soon", "1 fortnight"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
