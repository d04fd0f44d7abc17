//! Problems: what is wrong with a policy file, and exactly where.
//!
//! Invariant: a problem names the file, the line and the column, says what was
//! seen and what was expected, and shows the line. An author must be able to
//! mend the file without reading our code, and all problems are told at once
//! so that mending takes one round.

use std::cell::OnceCell;
use std::fmt;

use super::Policy;
use super::rules;

/// How much of a line is shown, in characters.
const SHOWN_MAX: usize = 100;
/// Problems told per file; a file with more is broken as a whole.
const PER_FILE_MAX: usize = 100;
/// The longest message or hint, in characters: a hint may list all signals.
const TOLD_MAX: usize = 4_000;

/// A place in a file, line and column from 1, and how many characters it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of the files that are read together, from 0.
    pub file: u16,
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
    /// How many characters to underline; at least one is.
    pub width: u32,
}

/// What kind of problem it is: a name for machines, the same in every release.
pub type Rule = &'static str;

/// The rule of a problem that is no more than a file written wrongly.
pub(crate) const SYNTAX: Rule = "invalid";

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
    /// What kind of problem it is.
    pub rule: Rule,
    /// What is shown of the line of the place: no more is kept, as a file may
    /// be one line of a megabyte.
    excerpt: Box<Excerpt>,
}

/// The part of a line around a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Excerpt {
    /// Safe for a terminal.
    text: Box<str>,
    /// How many of its characters stand before the place.
    offset: usize,
}

impl Problem {
    /// A problem of a whole file or folder.
    pub fn of_file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            place: None,
            message: message.into(),
            hint: None,
            rule: SYNTAX,
            excerpt: Box::default(),
        }
    }

    /// The same place with something to say of it; `rule` is one of
    /// [`RULES`](super::RULES).
    pub fn saying(&self, rule: Rule, message: String, hint: Option<String>) -> Self {
        Self {
            message,
            hint,
            rule,
            ..self.clone()
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
        let path: String = self.path.chars().map(printable).collect();
        let Some(place) = self.place else {
            write!(f, "{path}: {}", self.message)?;
            return match &self.hint {
                Some(hint) => write!(f, "\n  = {hint}"),
                None => Ok(()),
            };
        };
        let Place {
            line,
            column,
            width,
            ..
        } = place;
        writeln!(f, "{path}:{line}:{column}: {}", self.message)?;
        let Excerpt { text, offset } = &*self.excerpt;
        let gutter = " ".repeat(line.to_string().len());
        let room = text.chars().count().saturating_sub(*offset).max(1);
        let carets = "^".repeat((width.max(1) as usize).min(room));
        writeln!(f, "{}", format!("  {line} | {text}").trim_end())?;
        write!(f, "  {gutter} | {}{carets}", " ".repeat(*offset))?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {gutter} = {hint}"),
            None => Ok(()),
        }
    }
}

/// The part of a line around a column.
fn excerpt(line: &str, column: u32) -> Excerpt {
    let before = (column as usize).saturating_sub(1);
    let fits = line.chars().nth(SHOWN_MAX).is_none();
    let start = if fits {
        0
    } else {
        before.saturating_sub(SHOWN_MAX / 2)
    };
    let shown = line.chars().skip(start).take(SHOWN_MAX);
    let text: String = shown.map(printable).collect();
    Excerpt {
        text: text.trim_end().into(),
        offset: before - start,
    }
}

/// A file must not be able to steer the terminal it is shown on, nor to show
/// its text in another order than it is read in.
fn printable(c: char) -> char {
    if obeyed(c) { ' ' } else { c }
}

/// What a terminal obeys or does not show: control characters, what changes the
/// direction of writing, what breaks lines, and what is not seen at all.
pub fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' // soft hyphen
            | '\u{061c}' // Arabic letter mark
            | '\u{180e}' // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}' // zero width, direction marks
            | '\u{2028}'..='\u{202e}' // line breaks, bidirectional overrides
            | '\u{2060}'..='\u{206f}' // isolates, deprecated formats
            | '\u{feff}' // byte order mark
            | '\u{fff9}'..='\u{fffb}' // interlinear annotations
            | '\u{e0000}'..='\u{e007f}' // tags
        )
}

/// What is told, safe for a terminal and cut: it may quote the file.
fn tellable(text: String) -> String {
    let mut chars = text.chars();
    if chars.by_ref().take(TOLD_MAX).all(|c| c == printable(c)) && chars.next().is_none() {
        return text;
    }
    let mut out: String = text.chars().take(TOLD_MAX).map(printable).collect();
    if text.chars().nth(TOLD_MAX).is_some() {
        out.push('…');
    }
    out
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
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyErrors {
    /// At least one.
    pub problems: Vec<Problem>,
    /// What may not be meant in what could be read.
    pub warnings: Vec<Problem>,
    /// The policies that nothing is wrong with, for a check to go on with;
    /// never to be served.
    pub sound: Vec<Policy>,
}

impl PolicyErrors {
    /// Files of which nothing was compiled.
    pub fn of(problems: Vec<Problem>) -> Self {
        Self {
            problems,
            warnings: Vec::new(),
            sound: Vec::new(),
        }
    }
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

/// Collects the problems of files that are read together.
pub(crate) struct Sink<'a> {
    files: Vec<File<'a>>,
    problems: Vec<Problem>,
    /// How many problems there are, told or not.
    count: usize,
}

struct File<'a> {
    path: &'a str,
    text: &'a str,
    /// How many problems it has, told or not.
    count: usize,
    /// Where its lines begin, in bytes; found when first asked for, so that
    /// every problem does not count the lines before it again.
    lines: OnceCell<Box<[usize]>>,
}

impl<'a> File<'a> {
    /// Where a line, from 1, begins, in bytes; the end of the file where there
    /// is no such line.
    fn start_of(&self, line: usize) -> usize {
        let starts = self.lines.get_or_init(|| line_starts(self.text));
        let start = starts.get(line.saturating_sub(1)).copied();
        start.unwrap_or(self.text.len())
    }

    fn tail(&self, line: u32) -> &'a str {
        let start = self.start_of(line as usize);
        self.text.get(start..).unwrap_or_default()
    }

    /// A line, without its line break.
    fn line(&self, line: u32) -> &'a str {
        let line = line as usize;
        let range = self.start_of(line)..self.start_of(line + 1);
        let line = self.text.get(range).unwrap_or_default();
        line.trim_end_matches(['\n', '\r'])
    }
}

/// YAML's lines: a carriage return ends one too.
fn line_starts(text: &str) -> Box<[usize]> {
    let bytes = text.as_bytes();
    let ends = (0..bytes.len()).filter(|&at| match bytes[at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(ends.map(|at| at + 1)).collect()
}

impl<'a> Sink<'a> {
    /// Of one file.
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        Self::of([(path, text)])
    }

    /// Of several: a place's `file` counts them.
    pub(crate) fn of(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let file = |(path, text)| File {
            path,
            text,
            count: 0,
            lines: OnceCell::new(),
        };
        Self {
            files: files.into_iter().map(file).collect(),
            problems: Vec::new(),
            count: 0,
        }
    }

    /// The text of a file.
    pub(crate) fn text(&self, file: u16) -> &'a str {
        self.file(file).map_or("", |file| file.text)
    }

    /// The text of a file from the beginning of a line.
    pub(crate) fn text_from_line(&self, file: u16, line: u32) -> &'a str {
        self.file(file).map_or("", |file| file.tail(line))
    }

    /// Whether what else is wrong with a file is only counted: whoever would
    /// have to work hard to find it may leave it.
    pub(crate) fn is_full(&self, file: u16) -> bool {
        self.file(file).is_some_and(|f| f.count >= PER_FILE_MAX)
    }

    fn file(&self, file: u16) -> Option<&File<'a>> {
        self.files.get(usize::from(file))
    }

    fn path(&self, file: u16) -> &'a str {
        self.file(file).map_or("", |file| file.path)
    }

    /// Where a place is, for another file to refer to: `path:line`.
    pub(crate) fn refer(&self, place: Place) -> String {
        format!("{}:{}", self.path(place.file), place.line)
    }

    fn at(&self, place: Place, message: impl Into<String>) -> Problem {
        let file = self.file(place.file);
        let line = file.map_or("", |file| file.line(place.line));
        Problem {
            path: self.path(place.file).to_owned(),
            place: Some(place),
            message: message.into(),
            hint: None,
            rule: SYNTAX,
            excerpt: Box::new(excerpt(line, place.column)),
        }
    }

    /// A problem at a place with nothing said yet.
    pub(crate) fn blank(&self, place: Place) -> Problem {
        self.at(place, "")
    }

    pub(crate) fn report(&mut self, place: Place, message: impl Into<String>) {
        self.add(SYNTAX, place, message.into(), None);
    }

    pub(crate) fn report_with_hint(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(SYNTAX, place, message.into(), Some(hint.into()));
    }

    /// Reports what is written correctly and cannot work.
    pub(crate) fn report_rule(
        &mut self,
        rule: Rule,
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(rule, place, message.into(), Some(hint.into()));
    }

    fn add(&mut self, rule: Rule, place: Place, message: String, hint: Option<String>) {
        debug_assert!(rules::find(rule).is_some(), "{rule} is not in RULES");
        self.count += 1;
        if let Some(file) = self.files.get_mut(usize::from(place.file)) {
            file.count += 1;
            if file.count > PER_FILE_MAX {
                return;
            }
        }
        let problem = self.at(place, tellable(message));
        self.problems.push(Problem {
            hint: hint.map(tellable),
            rule,
            ..problem
        });
    }

    /// How many problems were reported, told or not.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The problems by file and place, each once: what an alias repeats is one
    /// mistake.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        for file in &self.files {
            let untold = file.count.saturating_sub(PER_FILE_MAX);
            if untold > 0 {
                let message = format!("{untold} more problems are not shown");
                self.problems.push(Problem::of_file(file.path, message));
            }
        }
        self.problems.sort_by(|a, b| {
            (&a.path, a.place.is_none(), a.place)
                .cmp(&(&b.path, b.place.is_none(), b.place))
                .then_with(|| a.cmp(b))
        });
        self.problems.dedup();
        self.problems
    }
}

/// The longest name that others are held against, in characters.
const NEAREST_MAX: usize = 100;
/// Names that one is held against; a set may define thousands of lists.
const NAMES_MAX: usize = 1_000;

/// The name an author most likely meant: within a third of its length in
/// typing errors, case apart.
pub(crate) fn nearest<'a>(seen: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = seen.chars().take(NEAREST_MAX + 1).count();
    if length > NEAREST_MAX {
        return None;
    }
    let seen = seen.to_lowercase();
    let allowed = (length / 3).max(1);
    names
        .into_iter()
        // Every missing letter is an error: most names are too long or short.
        .filter(|name| name.chars().count().abs_diff(length) <= allowed)
        .take(NAMES_MAX)
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
            file: 0,
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
        for column in 1..=PER_FILE_MAX as u32 + 7 {
            sink.report(at(1, column, 1), "bad");
        }
        let problems = sink.finish();
        assert_eq!(problems.len(), PER_FILE_MAX + 1);
        assert_eq!(
            problems[PER_FILE_MAX].message,
            "7 more problems are not shown"
        );
    }
}
