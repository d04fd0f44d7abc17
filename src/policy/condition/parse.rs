//! From text to CEL's syntax tree, by the `cel` crate's parser.
//!
//! Invariant: bounded before it is parsed: length, and depth by the parser's
//! own limit. The parser's messages name tokens of its grammar; here they are
//! said in words.

use cel::IdedExpr;
use cel::common::ast::SourceInfo;
use cel::parser::{ParseError, Parser};

use super::{Fault, TEXT_MAX};
use crate::policy::problem::{SYNTAX, quoted};

/// How deep a condition may nest; written by hand they need five or six.
const DEPTH_MAX: u16 = 24;

/// The tree and where each node stands in the text.
pub(super) struct Parsed {
    pub(super) root: IdedExpr,
    pub(super) places: SourceInfo,
}

pub(super) fn parse(text: &str) -> Result<Parsed, Vec<Fault>> {
    if text.len() > TEXT_MAX {
        return Err(vec![Fault {
            at: (0, 1),
            rule: SYNTAX,
            message: format!("the condition has {} bytes", text.len()),
            hint: format!("at most {TEXT_MAX} fit; name what is long in `lists`"),
        }]);
    }
    let parser = Parser::new()
        .max_recursion_depth(DEPTH_MAX)
        .error_recovery_limit(3);
    match parser.parse_with_source_info(text) {
        Ok((root, places)) => Ok(Parsed { root, places }),
        // What follows the first mistake is mostly its echo.
        Err(errors) => {
            let first = errors.errors.into_iter().next();
            Err(vec![first.map_or_else(
                || fault(text, 0, "it cannot be read".to_owned(), String::new()),
                |error| told(text, &error),
            )])
        }
    }
}

fn told(text: &str, error: &ParseError) -> Fault {
    let at = offset(text, error.pos);
    let raw = error.msg.trim_start_matches("Syntax error: ");
    if raw.contains("Recursion limit") {
        let hint = format!("at most {DEPTH_MAX} levels of brackets");
        return fault(text, at, "nested too deeply".to_owned(), hint);
    }
    let rest = &text[at..];
    let hint = match rest.chars().next() {
        None => "something is missing at the end".to_owned(),
        Some('=') if !rest.starts_with("==") => "a comparison is written `==`".to_owned(),
        Some('&') => "`and` is written `&&`".to_owned(),
        Some('|') => "`or` is written `||`".to_owned(),
        Some('\'' | '"') => "is the text closed by the same quote?".to_owned(),
        Some(_) if word(rest) == "and" => "`and` is written `&&`".to_owned(),
        Some(_) if word(rest) == "or" => "`or` is written `||`".to_owned(),
        Some(_) if word(rest) == "not" || word(text) == "not" => {
            "`not x` is written `!x`".to_owned()
        }
        Some(_) => "expected a CEL expression, e.g. `event.network.country == \"FR\"`".to_owned(),
    };
    let message = match rest.chars().next() {
        None => "the condition ends too early".to_owned(),
        Some(_) if !word(rest).is_empty() => {
            format!("{} cannot stand here", quoted(word(rest)))
        }
        Some(c) => format!("{} cannot stand here", quoted(&c.to_string())),
    };
    fault(text, at, message, hint)
}

/// The name that the text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

fn fault(text: &str, at: usize, message: String, hint: String) -> Fault {
    let width = word(&text[at..]).len().max(1);
    Fault {
        at: (at, at + width),
        rule: SYNTAX,
        message,
        hint,
    }
}

/// The byte that a line and a column, both from 1, stand for.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let before = usize::try_from(line - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let rest = text.get(start..).unwrap_or_default();
    let within = rest
        .char_indices()
        .nth(column)
        .map_or(rest.len(), |(at, _)| at);
    (start + within).min(text.len())
}
