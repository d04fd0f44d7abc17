//! A backtest for a pull request: a table to see, details to unfold.
//!
//! Invariants: at most [`CHARACTERS_MAX`] characters, since a comment takes
//! 65,536 and a longer one is refused whole; and nothing from a record is
//! markup: an attacker who chose a name must not post links, images or
//! mentions by it.

use std::fmt::Write as _;

use super::input_lines;
use super::text::{NO_CHANGE, arrow, day_rows, peaks_rows, policy_rows, told, totals_rows};
use crate::backtest::{Change, ChangeKind, Report};
use crate::cli::output::{escape, fit, who};

/// GitHub's bound for a comment is 65,536; what posts it adds a line.
const CHARACTERS_MAX: usize = 60_000;
/// How far the page may have grown, in characters, behind each of its lists.
/// What closes a list, and opens the next, has the room between.
const POLICIES_END: usize = 20_000;
const DAYS_END: usize = 28_000;
const UNDECODED_END: usize = 36_000;
const CHANGES_END: usize = CHARACTERS_MAX - ChangeKind::ALL.len() * 250;
/// The longest name of a file or a policy that is shown, in characters.
const NAME_COLUMNS: usize = 80;
/// The longest line about the input.
const LINE_COLUMNS: usize = 600;
/// The longest line of arithmetic.
const REASON_COLUMNS: usize = 240;

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut page = String::from("### Policy backtest\n\n");
    page.push_str(&headline(report));
    for line in input_lines(report) {
        page.push_str(&format!("{}\n\n", plain(&line, LINE_COLUMNS)));
    }
    page.push_str("| | today | changed |\n|---|---|---|\n");
    let sets = [&report.old, &report.new].map(|side| {
        let from = plain(&side.policies_from, NAME_COLUMNS);
        format!("{from}, set {}", side.policy_set)
    });
    page.push_str(&format!("| policies | {} | {} |\n", sets[0], sets[1]));
    for (name, of) in totals_rows().iter().chain(&peaks_rows()) {
        let (old, new) = (of(&report.old), of(&report.new));
        page.push_str(&format!("| {name} | {old} | {new} |\n"));
    }
    policies(&mut page, report);
    days(&mut page, report);
    undecoded(&mut page, report);
    changes(&mut page, report);
    page
}

fn headline(report: &Report) -> String {
    let counted = report.changes_by_kind();
    let parts: Vec<String> = counted
        .iter()
        .map(|(kind, count)| format!("**{count}** {}", kind.as_str()))
        .collect();
    match parts.is_empty() {
        true => format!("{NO_CHANGE}\n\n"),
        false => format!("{}.\n\n", parts.join(", ")),
    }
}

fn policies(page: &mut String, report: &Report) {
    let rows = policy_rows(report);
    page.push_str("\n<details><summary>By policy</summary>\n\n");
    page.push_str("| policy | mode | acted | asked | shadow |\n|---|---|---|---|---|\n");
    let rows_shown = rows.iter().map(|(name, modes, [acted, asked, shadow])| {
        format!(
            "| {} | {} | {} | {} | {} |\n",
            plain(name, NAME_COLUMNS),
            arrow(modes.each_ref()),
            arrow(*acted),
            arrow(*asked),
            arrow(*shadow)
        )
    });
    let shown = list(page, rows_shown, POLICIES_END);
    more(page, rows.len(), shown, "policies");
    page.push_str("\n</details>\n");
}

fn days(page: &mut String, report: &Report) {
    let rows = day_rows(report);
    page.push_str("\n<details><summary>By day (UTC)</summary>\n\n");
    page.push_str("| day | acted | asked | shadow |\n|---|---|---|---|\n");
    let latest_first = rows.iter().rev().map(|(day, [acted, asked, shadow])| {
        let (acted, asked, shadow) = (arrow(*acted), arrow(*asked), arrow(*shadow));
        format!("| {day} | {acted} | {asked} | {shadow} |\n")
    });
    let shown = list(page, latest_first, DAYS_END);
    more(page, rows.len(), shown, "earlier days");
    page.push_str("\n</details>\n");
}

fn undecoded(page: &mut String, report: &Report) {
    let input = &report.input;
    if input.undecodable == 0 {
        return;
    }
    page.push_str("\n<details><summary>Records that did not decode</summary>\n\n");
    let named = input.undecodable_first.iter().map(|unread| {
        let file = unread.file.rsplit('/').next().unwrap_or_default();
        let (file, reason) = (
            plain(file, NAME_COLUMNS),
            plain(&unread.reason, NAME_COLUMNS),
        );
        format!("- {file}:{}: {reason}\n", unread.line)
    });
    let shown = list(page, named, UNDECODED_END);
    let all = usize::try_from(input.undecodable).unwrap_or(usize::MAX);
    more(page, all, shown, "records");
    page.push_str("\n</details>\n");
}

/// The changes have what is left of the page, the gravest first; where a kind
/// does not fit whole, it says how much is missing.
fn changes(page: &mut String, report: &Report) {
    for kind in ChangeKind::ALL {
        let of_kind: Vec<&Change> = report.changes.iter().filter(|c| c.change == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let (count, name) = (of_kind.len(), kind.as_str());
        page.push_str(&format!("\n<details><summary>{count} {name}</summary>\n\n"));
        let rows = of_kind.iter().map(|change| {
            let old = plain(&told(change.old.as_ref()), REASON_COLUMNS);
            let new = plain(&told(change.new.as_ref()), REASON_COLUMNS);
            let who = plain(&who(&change.user), NAME_COLUMNS);
            format!("- **{who}**\n  - today: {old}\n  - changed: {new}\n")
        });
        let shown = list(page, rows, CHANGES_END);
        more(page, count, shown, "");
        page.push_str("\n</details>\n");
    }
}

/// Pushes rows until the page has grown so far. Returns how many.
fn list(page: &mut String, rows: impl Iterator<Item = String>, end: usize) -> usize {
    let mut length = page.chars().count();
    let mut shown = 0;
    for row in rows {
        length += row.chars().count();
        if length > end {
            break;
        }
        page.push_str(&row);
        shown += 1;
    }
    shown
}

fn more(page: &mut String, all: usize, shown: usize, what: &str) {
    if let Some(left @ 1..) = all.checked_sub(shown) {
        let line = format!("\n{left} more {what}").trim_end().to_owned();
        page.push_str(&format!("{line}\n"));
    }
}

/// Text in which nothing is markup, on one line, cut to so many characters.
/// What markdown, HTML or GitHub would read is written as a character
/// reference. GitHub looks for addresses, mentions and numbers of issues once
/// more when references are resolved: a space of no width keeps those apart.
fn plain(text: &str, columns: usize) -> String {
    let text = fit(&escape(text), columns);
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        let inside = |word: fn(char) -> bool| word(before) && word(next);
        let harmless = match c {
            '\\' | '`' | '*' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '!' | '|' | '~' | '@'
            | '&' | '$' => false,
            // Emphasis only at the edge of a word.
            '_' => inside(|c| c.is_ascii_alphanumeric()),
            // Neither `https:` nor `:emoji:`.
            ':' => inside(|c| c.is_ascii_digit()) || next == ' ',
            // `www.` makes a link by itself.
            '.' => !before.eq_ignore_ascii_case(&'w'),
            _ => true,
        };
        match harmless {
            true => out.push(c),
            // A `String` takes whatever is written.
            false => drop(write!(out, "&#{};", u32::from(c))),
        }
        if matches!(c, '@' | '#') {
            out.push('\u{200b}');
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_no_markup() {
        let table = [
            ("<img src=x>", "&#60;img src=x&#62;"),
            ("[a](b)", "&#91;a&#93;(b)"),
            ("https://evil.example", "https&#58;//evil.example"),
            ("www.evil WWW.evil", "www&#46;evil WWW&#46;evil"),
            (
                "@team #1 `x` | **b** :x:",
                "&#64;\u{200b}team &#35;\u{200b}1 &#96;x&#96; &#124; &#42;&#42;b&#42;&#42; &#58;x:",
            ),
            ("ana@contoso.example", "ana&#64;\u{200b}contoso.example"),
            ("_b_ __b__", "&#95;b&#95; &#95;&#95;b&#95;&#95;"),
            ("\u{1b}[2J", "&#92;u&#123;1b&#125;&#91;2J"),
            ("at 08:10Z: tor_exit 0.5", "at 08:10Z: tor_exit 0.5"),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text, 200), expected);
        }
    }
}
