//! What a folder of policies takes in from elsewhere.
//!
//! Invariant: nothing is read here: whoever reads files asks what a source
//! includes, and gives all of them to the compiler.

use crate::policy::Source;
use crate::policy::fields::{list, text};
use crate::policy::problem::{Problem, SYNTAX, Sink};
use crate::policy::yaml::{self, Node, Value};

/// Entries of one `include`.
const INCLUDES_MAX: usize = 100;
/// The name of the policies that ship.
const SHIPPED: &str = "shipped";

/// One entry of `include`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// What is taken in.
    pub what: Included,
    /// Where it is asked for, with nothing said yet: for a message.
    at: Problem,
}

/// What an include names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Included {
    /// `shipped`: all that ships, or `shipped/FILE`: one file of it.
    Shipped(Option<String>),
    /// A file or folder, relative to the file that includes it.
    Path(String),
}

impl Include {
    /// A problem with what it names.
    pub fn problem(&self, message: String, hint: Option<String>) -> Problem {
        self.at.saying(SYNTAX, message, hint)
    }
}

/// What a source includes. Mistakes in it are told when it is compiled.
pub fn includes(source: &Source) -> Vec<Include> {
    // Most files have none: a tree is not worth building for them.
    if !source.text.contains("include") {
        return Vec::new();
    }
    let mut sink = Sink::new(&source.path, &source.text);
    let Some(root) = yaml::read(0, &mut sink) else {
        return Vec::new();
    };
    let Value::Map(pairs) = &root.value else {
        return Vec::new();
    };
    pairs
        .iter()
        .filter(|(key, _)| matches!(&key.value, Value::Text(text) if text == "include"))
        .filter_map(|(_, value)| match &value.value {
            Value::List(items) => Some(items),
            _ => None,
        })
        .flatten()
        .take(INCLUDES_MAX)
        .filter_map(|item| match &item.value {
            Value::Text(text) => Some(Include {
                what: included(text),
                at: sink.blank(item.place),
            }),
            _ => None,
        })
        .collect()
}

fn included(text: &str) -> Included {
    match text.strip_prefix(SHIPPED) {
        Some("") => Included::Shipped(None),
        Some(rest) if rest.starts_with('/') => Included::Shipped(Some(rest[1..].to_owned())),
        _ => Included::Path(text.to_owned()),
    }
}

/// Reports what is wrong with the list itself.
pub(super) fn check(node: &Node, sink: &mut Sink<'_>) {
    for item in list(node, "`include`", INCLUDES_MAX, sink).unwrap_or_default() {
        text(item, "what is included", sink);
    }
}
