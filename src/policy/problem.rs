//! Problems: what is wrong with a policy file, and exactly where.
//!
//! Invariant: a problem names the file, the line and the column, says what was
//! seen and what was expected, and shows the line. An author must be able to
//! mend the file without reading our code, and all problems are told at once
//! so that mending takes one round.

use std::fmt;

/// How much of a line is shown, in characters.
const SHOWN_MAX: usize = 100;
/// Problems told per file; a file with more is broken as a whole.
const PER_FILE_MAX: usize = 100;

/// A place in a file, both from 1, and how many characters it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
    /// How many characters to underline; at least one is.
    pub width: u32,
}

/// One thing that is wrong, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as it was given.
    pub path: String,
    /// Where in it; `None` when the file as a whole is meant.
    pub place: Option<Place>,
    /// What was seen.
    pub message: String,
    /// What was expected, or what to do.
    pub hint: Option<String>,
    /// The line of the place, without its line break.
    line_text: String,
}

impl Problem {
    /// A problem of a whole file or folder.
    pub fn of_file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            place: None,
            message: message.into(),
            hint: None,
            line_text: String::new(),
        }
    }
}

impl fmt::Display for Problem {
    /// ```text
    /// policies/a.yaml:4:3: `tor_exti` is not a signal
    ///   4 |   tor_exti: 70
    ///     |   ^^^^^^^^
    ///     = did you mean `tor_exit`?
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = self.place else {
            write!(f, "{}: {}", self.path, self.message)?;
            return match &self.hint {
                Some(hint) => write!(f, "\n  = {hint}"),
                None => Ok(()),
            };
        };
        let Place {
            line,
            column,
            width,
        } = place;
        writeln!(f, "{}:{line}:{column}: {}", self.path, self.message)?;
        let (text, offset) = excerpt(&self.line_text, column);
        let gutter = " ".repeat(line.to_string().len());
        let room = text.chars().count().saturating_sub(offset).max(1);
        let carets = "^".repeat((width.max(1) as usize).min(room));
        writeln!(f, "{}", format!("  {line} | {text}").trim_end())?;
        write!(f, "  {gutter} | {}{carets}", " ".repeat(offset))?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {gutter} = {hint}"),
            None => Ok(()),
        }
    }
}

/// The part of a line around a column, safe for a terminal, and how many of
/// its characters stand before that column.
fn excerpt(line: &str, column: u32) -> (String, usize) {
    let before = (column as usize).saturating_sub(1);
    let fits = line.chars().nth(SHOWN_MAX).is_none();
    let start = if fits {
        0
    } else {
        before.saturating_sub(SHOWN_MAX / 2)
    };
    let shown = line.chars().skip(start).take(SHOWN_MAX);
    let text: String = shown.map(printable).collect();
    (text.trim_end().to_owned(), before - start)
}

/// A file must not be able to steer the terminal it is shown on.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// A value as it is quoted in a message: one line, safe and short.
pub(crate) fn quoted(text: &str) -> String {
    const QUOTED_MAX: usize = 60;
    let mut out: String = text.chars().take(QUOTED_MAX).map(printable).collect();
    if text.chars().nth(QUOTED_MAX).is_some() {
        out.push('…');
    }
    format!("`{out}`")
}

/// Why a set of policies does not load: every problem of every file, by file
/// and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

/// Collects the problems of one file.
pub(crate) struct Sink<'a> {
    path: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
    untold: usize,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        Self {
            path,
            text,
            problems: Vec::new(),
            untold: 0,
        }
    }

    /// Where a place is, for another file to refer to: `path:line`.
    pub(super) fn refer(&self, place: Place) -> String {
        format!("{}:{}", self.path, place.line)
    }

    fn at(&self, place: Place, message: impl Into<String>) -> Problem {
        let index = (place.line as usize).saturating_sub(1);
        let line = self.text.lines().nth(index).unwrap_or_default();
        Problem {
            path: self.path.to_owned(),
            place: Some(place),
            message: message.into(),
            hint: None,
            line_text: line.to_owned(),
        }
    }

    pub(crate) fn report(&mut self, place: Place, message: impl Into<String>) {
        self.add(place, message.into(), None);
    }

    pub(crate) fn report_with_hint(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(place, message.into(), Some(hint.into()));
    }

    fn add(&mut self, place: Place, message: String, hint: Option<String>) {
        if self.problems.len() >= PER_FILE_MAX {
            self.untold += 1;
            return;
        }
        let problem = self.at(place, message);
        self.problems.push(Problem { hint, ..problem });
    }

    /// How many problems were reported, told or not.
    pub(crate) fn count(&self) -> usize {
        self.problems.len() + self.untold
    }

    /// The problems by place.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort();
        if self.untold > 0 {
            let message = format!("{} more problems are not shown", self.untold);
            self.problems.push(Problem::of_file(self.path, message));
        }
        self.problems
    }
}

/// The name an author most likely meant: within a third of its length in
/// typing errors, case apart.
pub(crate) fn nearest<'a>(seen: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let seen = seen.to_lowercase();
    let allowed = (seen.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&seen, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// "did you mean" where a name is near, else all that could stand there.
pub(crate) fn suggestion(seen: &str, names: &[&str]) -> String {
    match nearest(seen, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if names.len() == 1 => format!("expected `{}`", names[0]),
        None => format!("expected one of: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32, width: u32) -> Place {
        Place {
            line,
            column,
            width,
        }
    }

    #[test]
    fn a_problem_shows_its_line_with_carets_under_the_place() {
        let sink = Sink::new("a.yaml", "one\n  tor_exti: 70\n");
        let problem = Problem {
            hint: Some("did you mean `tor_exit`?".to_owned()),
            ..sink.at(at(2, 3, 8), "`tor_exti` is not a signal")
        };
        insta::assert_snapshot!(problem.to_string(), @r"
        a.yaml:2:3: `tor_exti` is not a signal
          2 |   tor_exti: 70
            |   ^^^^^^^^
            = did you mean `tor_exit`?
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "x".repeat(500), "y".repeat(500));
        let problem = Sink::new("a.yaml", &line).at(at(1, 501, 4), "far right");
        let text = problem.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].chars().count() <= SHOWN_MAX + 6);
        let here = lines[1].find("HERE").unwrap();
        assert_eq!(lines[2].find("^^^^").unwrap(), here);
    }

    #[test]
    fn a_file_cannot_steer_the_terminal_it_is_shown_on() {
        let sink = Sink::new("a.yaml", "\u{1b}[2Jkey: 1");
        assert!(
            !sink
                .at(at(1, 1, 1), quoted("\u{1b}[2J"))
                .to_string()
                .contains('\u{1b}')
        );
    }

    #[test]
    fn the_nearest_name_is_found_within_a_third_of_typing_errors() {
        let names = ["tor_exit", "tor_exit_failed", "impossible_travel"];
        let table = [
            ("tor_exti", Some("tor_exit")),
            ("TOR_EXIT", Some("tor_exit")),
            ("imposible_travle", Some("impossible_travel")),
            ("session", None),
            ("", None),
        ];
        for (seen, expected) in table {
            assert_eq!(nearest(seen, names), expected, "{seen}");
        }
    }

    #[test]
    fn a_file_with_too_many_problems_says_how_many_are_not_shown() {
        let mut sink = Sink::new("a.yaml", "x");
        for _ in 0..PER_FILE_MAX + 7 {
            sink.report(at(1, 1, 1), "bad");
        }
        let problems = sink.finish();
        assert_eq!(problems.len(), PER_FILE_MAX + 1);
        assert_eq!(
            problems[PER_FILE_MAX].message,
            "7 more problems are not shown"
        );
    }
}
