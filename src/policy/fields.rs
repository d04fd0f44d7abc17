//! Fields: typed values out of a YAML tree.
//!
//! Invariant: a function here either returns the value or has reported why
//! not, at its place; it never does both or neither. An unknown key is a
//! problem, never ignored: a key that does nothing is an exclusion or an
//! exception that its author relies on.

use std::ops::RangeInclusive;

use jiff::SignedDuration;

use super::problem::{Sink, quoted, suggestion};
use super::scope::UserList;
use super::yaml::{Node, Value};

/// Names in one list of users.
const USERS_MAX: usize = 10_000;
/// The length of a free text, in characters.
const TEXT_MAX: usize = 1_000;

/// A key with its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'n> {
    pub(crate) key: &'n Node,
    pub(crate) name: &'n str,
    pub(crate) value: &'n Node,
}

/// The keys of a mapping, each once. `what` names the mapping in messages.
pub(crate) fn entries<'n>(
    node: &'n Node,
    what: &str,
    sink: &mut Sink<'_>,
) -> Option<Vec<Entry<'n>>> {
    let Value::Map(pairs) = &node.value else {
        let message = format!("{what} is {}", node.seen());
        sink.report_with_hint(node.place, message, "expected a mapping, `key: value`");
        return None;
    };
    let mut entries: Vec<Entry<'n>> = Vec::with_capacity(pairs.len());
    let mut names = std::collections::BTreeSet::new();
    for (key, value) in pairs {
        let Value::Text(name) = &key.value else {
            let message = format!("{what} has a key that is {}", key.seen());
            sink.report_with_hint(key.place, message, "expected a name");
            continue;
        };
        if names.insert(name.as_str()) {
            entries.push(Entry { key, name, value });
        } else {
            let message = format!("{} stands twice in {what}", quoted(name));
            sink.report(key.place, message);
        }
    }
    Some(entries)
}

/// A mapping whose keys are known.
pub(crate) struct Fields<'n> {
    node: &'n Node,
    what: &'static str,
    entries: Vec<Entry<'n>>,
}

impl<'n> Fields<'n> {
    /// Opens a mapping; every key that is not `allowed` is a problem.
    pub(crate) fn of(
        node: &'n Node,
        what: &'static str,
        allowed: &[&str],
        sink: &mut Sink<'_>,
    ) -> Option<Self> {
        let entries = entries(node, what, sink)?;
        for entry in &entries {
            if !allowed.contains(&entry.name) {
                let message = format!("{} is not a key of {what}", quoted(entry.name));
                let hint = match elsewhere(entry.name) {
                    Some(place) => place.to_owned(),
                    None => suggestion(entry.name, allowed),
                };
                sink.report_with_hint(entry.key.place, message, hint);
            }
        }
        Some(Self {
            node,
            what,
            entries,
        })
    }

    pub(crate) fn entry(&self, name: &str) -> Option<Entry<'n>> {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .copied()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| entry.value)
    }

    pub(crate) fn require(&self, name: &str, sink: &mut Sink<'_>) -> Option<&'n Node> {
        let found = self.get(name);
        if found.is_none() {
            sink.report(self.node.place, format!("{} has no `{name}`", self.what));
        }
        found
    }
}

/// Where a key belongs that is right in another file.
fn elsewhere(name: &str) -> Option<&'static str> {
    let settings = ["include", "guard", "lists", "parameters"];
    let hint = "it stands in a file without a policy, `set.yaml` beside this one";
    settings.contains(&name).then_some(hint)
}

/// An optional field: `default` where it is absent, `None` where it is wrong.
pub(crate) fn or_default<'n, T>(
    field: Option<&'n Node>,
    default: T,
    read: impl FnOnce(&'n Node) -> Option<T>,
) -> Option<T> {
    match field {
        Some(node) => read(node),
        None => Some(default),
    }
}

/// Text that is neither empty nor too long.
pub(crate) fn text<'n>(node: &'n Node, what: &str, sink: &mut Sink<'_>) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) if text.trim().is_empty() => {
            sink.report(node.place, format!("{what} is empty"));
            None
        }
        Value::Text(text) if text.chars().count() > TEXT_MAX => {
            let message = format!("{what} is longer than {TEXT_MAX} characters");
            sink.report(node.place, message);
            None
        }
        Value::Text(text) => Some(text),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            let message = format!("{what} is {}", node.seen());
            sink.report_with_hint(node.place, message, "expected text; put it in quotes");
            None
        }
        Value::Null | Value::List(_) | Value::Map(_) => {
            let message = format!("{what} is {}", node.seen());
            sink.report_with_hint(node.place, message, "expected text");
            None
        }
    }
}

/// One of a few names.
pub(crate) fn choice<T: Copy>(
    node: &Node,
    what: &str,
    choices: &[(&str, T)],
    sink: &mut Sink<'_>,
) -> Option<T> {
    let seen = text(node, what, sink)?;
    let found = choices.iter().find(|(name, _)| *name == seen);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let message = format!("{what} is {}", quoted(seen));
        sink.report_with_hint(node.place, message, suggestion(seen, &names));
    }
    found.map(|(_, value)| *value)
}

/// A whole number within a range that fits `T`.
pub(crate) fn number<T: TryFrom<i64>>(
    node: &Node,
    what: &str,
    range: RangeInclusive<i64>,
    sink: &mut Sink<'_>,
) -> Option<T> {
    if let Value::Int(value) = node.value
        && range.contains(&value)
        && let Ok(value) = T::try_from(value)
    {
        return Some(value);
    }
    let (low, high) = range.into_inner();
    let message = format!("{what} is {}", node.seen());
    let hint = format!("expected a whole number from {low} to {high}");
    sink.report_with_hint(node.place, message, hint);
    None
}

/// A share such as `95%`, from 1% to 100%.
pub(crate) fn percent(node: &Node, what: &str, sink: &mut Sink<'_>) -> Option<u8> {
    let digits = match &node.value {
        Value::Text(text) => text.strip_suffix('%'),
        _ => None,
    };
    let value = digits.and_then(|digits| digits.parse::<u8>().ok());
    if let Some(value) = value.filter(|value| (1..=100).contains(value)) {
        return Some(value);
    }
    let message = format!("{what} is {}", node.seen());
    sink.report_with_hint(
        node.place,
        message,
        "expected a share such as `95%`, up to `100%`",
    );
    None
}

/// A duration such as `90s`, `60m` or `24h`, within a range in seconds.
pub(crate) fn duration(
    node: &Node,
    what: &str,
    range: RangeInclusive<i64>,
    sink: &mut Sink<'_>,
) -> Option<SignedDuration> {
    let seconds = match &node.value {
        Value::Text(text) => seconds_of(text),
        _ => None,
    };
    if let Some(seconds) = seconds.filter(|s| range.contains(s)) {
        return Some(SignedDuration::from_secs(seconds));
    }
    let message = format!("{what} is {}", node.seen());
    let hint = format!(
        "expected a duration such as `60m` or `24h`, from {} to {}",
        spelled(*range.start()),
        spelled(*range.end())
    );
    sink.report_with_hint(node.place, message, hint);
    None
}

fn seconds_of(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds_per_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(seconds_per_unit)
}

pub(crate) fn spelled(seconds: i64) -> String {
    match seconds {
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A list with at least one item and at most `max`.
pub(crate) fn list<'n>(
    node: &'n Node,
    what: &str,
    max: usize,
    sink: &mut Sink<'_>,
) -> Option<&'n [Node]> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            sink.report(node.place, format!("{what} is an empty list"));
            None
        }
        Value::List(items) if items.len() > max => {
            let message = format!("{what} has {} items; at most {max} fit", items.len());
            sink.report(node.place, message);
            None
        }
        Value::List(items) => Some(items),
        _ => {
            let message = format!("{what} is {}", node.seen());
            sink.report_with_hint(node.place, message, "expected a list, `- item`");
            None
        }
    }
}

/// A list of users, possibly empty.
pub(crate) fn users(node: &Node, sink: &mut Sink<'_>) -> Option<UserList> {
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        return Some(UserList::default());
    }
    let before = sink.count();
    let mut names = Vec::new();
    for item in list(node, "`users`", USERS_MAX, sink)? {
        let Some(name) = text(item, "a user", sink) else {
            continue;
        };
        if is_principal_name(name) || uuid::Uuid::try_parse(name).is_ok_and(|_| name.len() == 36) {
            names.push(name);
        } else {
            sink.report_with_hint(
                item.place,
                format!("{} names no user", quoted(name)),
                "expected an object id (a GUID) or a principal name, `alice@contoso.example`",
            );
        }
    }
    (sink.count() == before).then(|| names.into_iter().collect())
}

/// Whether it has the shape of a principal name. Guests have `#EXT#` in it.
fn is_principal_name(name: &str) -> bool {
    !name.contains(char::is_whitespace)
        && !name.contains('*')
        && name.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        let table = [
            ("90s", Some(90)),
            ("60m", Some(3_600)),
            ("24h", Some(86_400)),
            ("0m", Some(0)),
            ("1d", None),
            ("60", None),
            ("m", None),
            ("", None),
            ("-5m", None),
            ("+5m", None),
            ("1.5h", None),
            ("1h30m", None),
            ("9223372036854775807h", None),
            ("5м", None),
        ];
        for (text, expected) in table {
            assert_eq!(seconds_of(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_spelled_as_they_are_written() {
        for text in ["72h", "30m", "90s"] {
            assert_eq!(spelled(seconds_of(text).unwrap()), text);
        }
        assert_eq!(spelled(3_600), "1h");
    }
}
