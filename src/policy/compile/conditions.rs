//! Where policies say `when`: conditions, exceptions and authors' own signals.
//!
//! Invariant: a mistake inside a condition is shown under the very character
//! of the file, however YAML lets the text be quoted, folded or indented.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::Compiler;
use crate::model::{Family, SignalName};
use crate::policy::condition::{self, Asked, Condition, Fault, Names};
use crate::policy::fields::{Entry, Fields, choice, entries, list, number, text};
use crate::policy::problem::{Place, Rule, quoted, suggestion};
use crate::policy::yaml::{Node, Value};
use crate::policy::{CustomSignal, Exception, Scope, Weight};

/// Exceptions of one policy.
const EXCEPTIONS_MAX: usize = 50;
/// Signals that a set defines: each is asked of every event.
const SIGNALS_MAX: usize = 50;
/// Regular expressions in a set: what they cost together in memory is bounded.
const REGEXES_MAX: usize = 200;
/// The length of a name.
const NAME_MAX: usize = 63;
/// The length of `2027-01-31`.
const DATE_LEN: usize = 10;
/// What holds of nothing that the policy is about.
const MATCHES_NOTHING: Rule = "matches-nothing";

impl Compiler<'_> {
    /// A condition, by what it is asked for.
    pub(super) fn condition(&mut self, node: &Node, what: &str, asked: Asked) -> Option<Condition> {
        let written = match &node.value {
            Value::Text(text) if !text.trim().is_empty() => text,
            Value::Bool(value) => {
                let message = format!("{what} is always {value}");
                let hint = "leave it out, or ask something of the event";
                self.errors
                    .report_rule("constant-condition", node.place, message, hint);
                return None;
            }
            _ => {
                let message = format!("{what} is {}", node.seen());
                let hint = "expected a condition, e.g. `event.network.country == \"FR\"`";
                self.errors.report_with_hint(node.place, message, hint);
                return None;
            }
        };
        // A condition is costly to read: behind so many mistakes, or regular
        // expressions, none is.
        if self.errors.is_full(node.place.file) || self.regexes > REGEXES_MAX {
            self.errors
                .report(node.place, format!("{what} is not read"));
            return None;
        }
        let names = Names {
            lists: &self.lists,
            asked,
        };
        let mut warnings = Vec::new();
        let compiled = condition::compile(written, names, &mut warnings);
        for Fault {
            at,
            rule,
            message,
            hint,
        } in warnings
        {
            let place = self.place_in(node, written, at);
            self.warnings.report_rule(rule, place, message, hint);
        }
        match compiled {
            Ok(condition) => {
                self.regexes += condition.regexes();
                if self.regexes > REGEXES_MAX {
                    let message = format!("more than {REGEXES_MAX} regular expressions in all");
                    let hint = "look in lists, or for a part by `contains`";
                    self.errors.report_with_hint(node.place, message, hint);
                    return None;
                }
                Some(condition)
            }
            Err(faults) => {
                for Fault {
                    at,
                    rule,
                    message,
                    hint,
                } in faults
                {
                    let place = self.place_in(node, written, at);
                    self.errors.report_rule(rule, place, message, hint);
                }
                None
            }
        }
    }

    /// Where a part of a text stands in its file.
    fn place_in(&self, node: &Node, written: &str, (from, to): (usize, usize)) -> Place {
        let rest = self.errors.text_from_line(node.place.file, node.place.line);
        place_in(rest, node.place, written, from, to)
    }

    pub(super) fn exceptions(&mut self, node: &Node) -> Option<Vec<Exception>> {
        let before = self.errors.count();
        let mut exceptions: Vec<Exception> = Vec::new();
        for item in list(node, "`except`", EXCEPTIONS_MAX, &mut self.errors)? {
            let Some(exception) = self.exception(item) else {
                continue;
            };
            if exceptions.iter().any(|other| other.name == exception.name) {
                let message = format!("an exception {} is there already", quoted(&exception.name));
                self.errors.report(item.place, message);
            }
            exceptions.push(exception);
        }
        (self.errors.count() == before).then_some(exceptions)
    }

    fn exception(&mut self, node: &Node) -> Option<Exception> {
        const KEYS: &[&str] = &["name", "when", "owner", "reason", "until"];
        let fields = Fields::of(node, "the exception", KEYS, &mut self.errors)?;
        let mut words = |key: &'static str| -> Option<Box<str>> {
            let node = fields.require(key, &mut self.errors)?;
            text(node, &format!("`{key}`"), &mut self.errors).map(Box::from)
        };
        let (name, owner, reason) = (words("name"), words("owner"), words("reason"));
        let when = fields
            .require("when", &mut self.errors)
            .and_then(|node| self.condition(node, "`when`", Asked::Exception));
        let until = fields
            .require("until", &mut self.errors)
            .and_then(|node| self.date(node));
        let placed = fields.get("until").unwrap_or(node);
        Some(Exception {
            name: name?,
            when: when?,
            owner: owner?,
            reason: reason?,
            until: until?,
            ends: end_of(until?),
            at: self.errors.blank(placed.place),
        })
    }

    fn date(&mut self, node: &Node) -> Option<Date> {
        let date = match &node.value {
            // Longer forms would say a time of day, which nothing heeds.
            Value::Text(text) if text.len() == DATE_LEN => text.parse::<Date>().ok(),
            _ => None,
        };
        if date.is_none() {
            let message = format!("`until` is {}", node.seen());
            let hint = "expected the last day on which it counts, `2027-01-31`";
            self.errors.report_with_hint(node.place, message, hint);
        }
        date
    }

    /// Exceptions that nothing the policy weighs can meet.
    pub(super) fn check_exceptions(
        &mut self,
        exceptions: Option<&[Exception]>,
        fields: &Fields<'_>,
        scope: &Scope,
        weights: &BTreeMap<SignalName, Weight>,
    ) {
        let items = match fields.get("except").map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => return,
        };
        for (exception, item) in exceptions.unwrap_or_default().iter().zip(items) {
            let Some(when) = value_of(item, "when") else {
                continue;
            };
            self.check_condition(&exception.when, when, scope, weights);
        }
    }

    /// A condition of a policy that names signals it does not weigh, or users
    /// it is not about.
    pub(super) fn check_condition(
        &mut self,
        condition: &Condition,
        node: &Node,
        scope: &Scope,
        weights: &BTreeMap<SignalName, Weight>,
    ) {
        let before = self.errors.count();
        for name in condition.signal_names() {
            if weights.keys().any(|known| known.as_str() == name) {
                continue;
            }
            let known: Vec<&str> = weights.keys().map(SignalName::as_str).collect();
            let message = format!("the policy does not weigh {}", quoted(name));
            // In its quotes: another name may begin alike.
            let quotes = ['"', '\''].map(|quote| format!("{quote}{name}{quote}"));
            let found = quotes.iter().find_map(|text| condition.text().find(text));
            let from = found.map_or(0, |quote| quote + 1);
            let place = self.place_in(node, condition.text(), (from, from + name.len()));
            let hint = suggestion(name, &known);
            self.errors
                .report_rule(MATCHES_NOTHING, place, message, hint);
        }
        if self.errors.count() == before && condition.asks_signal() {
            self.check_fits(condition, node, weights);
        }
        for users in condition.required_users() {
            let chosen = scope.only.as_ref().is_some_and(|only| users.apart(only));
            if chosen || users.within(&scope.exclude) {
                let message = "it asks for users whom the policy is not about";
                let hint = "compare its list with `scope`";
                self.errors
                    .report_rule(MATCHES_NOTHING, node.place, message, hint);
            }
        }
    }

    /// A condition that holds of none of the policy's signals, or of all of
    /// them whatever the record.
    fn check_fits(
        &mut self,
        condition: &Condition,
        node: &Node,
        weights: &BTreeMap<SignalName, Weight>,
    ) {
        let fits =
            |(name, weight): (&SignalName, &Weight)| condition.fits((name.as_str(), weight.family));
        if !weights.iter().any(fits) {
            let message = "it holds of no signal that the policy weighs";
            let hint = "compare its `signal.…` with `signals`";
            self.errors
                .report_rule(MATCHES_NOTHING, node.place, message, hint);
        } else if condition.asks_signal_only() && weights.iter().all(fits) {
            let message = "it holds of every signal that the policy weighs";
            let hint = "leave it out, or ask something of the event";
            self.errors
                .report_rule("constant-condition", node.place, message, hint);
        }
    }

    /// The mapping under `signals` in a file without a policy.
    pub(super) fn custom_signals(&mut self, node: &Node) {
        for entry in entries(node, "`signals`", &mut self.errors).unwrap_or_default() {
            if self.signals.len() == SIGNALS_MAX {
                let message = format!("more than {SIGNALS_MAX} signals are defined");
                self.errors.report(entry.key.place, message);
                return;
            }
            let key = format!("signal {}", entry.name);
            let message = format!("the signal {} is already in", quoted(entry.name));
            if self.is_first(&key, &message, &entry)
                && let Some(signal) = self.custom_signal(&entry)
            {
                self.signals.push(signal);
            }
        }
        self.signals.sort_by(|a, b| a.name.cmp(&b.name));
    }

    fn custom_signal(&mut self, entry: &Entry<'_>) -> Option<CustomSignal> {
        const KEYS: &[&str] = &["description", "family", "weight", "when"];
        let rest = entry.name.strip_prefix("custom.").unwrap_or_default();
        let fits = entry.name.len() <= NAME_MAX
            && rest.starts_with(|c: char| c.is_ascii_lowercase())
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            let message = format!(
                "{} is not a name for a signal of your own",
                quoted(entry.name)
            );
            let hint = "expected `custom.`, then lower-case letters, digits and `_`";
            self.errors.report_with_hint(entry.key.place, message, hint);
        }
        let fields = Fields::of(entry.value, "the signal", KEYS, &mut self.errors)?;
        let description = fields
            .require("description", &mut self.errors)
            .and_then(|node| text(node, "`description`", &mut self.errors));
        let families = Family::ALL.map(|family| (family.as_str(), family));
        let family = fields
            .require("family", &mut self.errors)
            .and_then(|node| choice(node, "`family`", &families, &mut self.errors));
        let weight = fields
            .require("weight", &mut self.errors)
            .and_then(|node| number(node, "`weight`", 1..=100, &mut self.errors));
        let when = fields
            .require("when", &mut self.errors)
            .and_then(|node| self.condition(node, "`when`", Asked::Signal));
        let signal = CustomSignal {
            name: SignalName::new(entry.name),
            description: description?.into(),
            family: family?,
            weight: weight?,
            when: when?,
        };
        fits.then_some(signal)
    }
}

/// The end of a day in UTC; of the last day there is, its beginning.
fn end_of(day: Date) -> Timestamp {
    let next = day.tomorrow().unwrap_or(day);
    let midnight = Offset::UTC.to_timestamp(next.at(0, 0, 0, 0));
    midnight.unwrap_or(Timestamp::MAX)
}

fn value_of<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Map(pairs) = &node.value else {
        return None;
    };
    pairs
        .iter()
        .find(|(key, _)| matches!(&key.value, Value::Text(text) if text == name))
        .map(|(_, value)| value)
}

/// The place of `written[from..to]` in a file where the scalar `written` stands
/// at `scalar`, of which `rest` is the file from its line on. The file is read
/// beside the text: what YAML adds to it (quotes, backslashes, line breaks and
/// indentation) is passed over. Where it adds more (`\u0041`, an alias), the
/// whole is the place.
fn place_in(rest: &str, scalar: Place, written: &str, from: usize, to: usize) -> Place {
    /// `''`, `\"` or `\n` in front of what is wanted.
    const ADDED_MAX: usize = 2;
    let mut raw = Walk::at(rest, scalar);
    // The head of a block scalar, `|` or `>-`.
    if matches!(raw.peek(), Some('|' | '>')) && !written.starts_with(['|', '>']) {
        while raw.next().is_some_and(|c| c != '\n') {}
    }
    let (mut begin, mut end) = (None, None);
    for (index, wanted) in written.char_indices() {
        if wanted.is_whitespace() {
            while raw.peek().is_some_and(char::is_whitespace) {
                raw.next();
            }
            continue;
        }
        let mut added = 0;
        while raw.peek() != Some(wanted) {
            match raw.next() {
                Some(c) if c.is_whitespace() => {}
                Some(_) if added < ADDED_MAX => added += 1,
                _ => return scalar,
            }
        }
        if index >= from && index < to {
            begin.get_or_insert((raw.line, raw.column));
            end = Some((raw.line, raw.column + 1));
        }
        raw.next();
    }
    // Behind the last character: where something is missing.
    let (line, column) = begin.unwrap_or((raw.line, raw.column));
    let width = match end {
        Some((last, end)) if last == line => end - column,
        _ => 1,
    };
    Place {
        file: scalar.file,
        line,
        column,
        width,
    }
}

/// A file, read character by character.
struct Walk<'a> {
    rest: std::str::Chars<'a>,
    line: u32,
    column: u32,
}

impl<'a> Walk<'a> {
    fn at(rest: &'a str, place: Place) -> Self {
        let mut walk = Self {
            rest: rest.chars(),
            line: place.line,
            column: 1,
        };
        while walk.column < place.column && walk.peek().is_some_and(|c| !matches!(c, '\n' | '\r')) {
            walk.next();
        }
        walk
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' || c == '\r' && self.peek() != Some('\n') {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySet;
    use crate::policy::fixtures::{known, source};

    #[test]
    fn a_condition_holds_of_some_of_the_policys_signals_and_not_of_all() {
        let told = |key: &str| {
            let text = format!(
                "policy: p\nowner: o\nwindow: 1h\n\
                 signals: {{ tor_exit: 70, tor_exit_failed: 20, session_hosting: 60 }}\n\
                 rungs: [{{ at: 60, do: [revoke_sessions] }}]\n{key}\n"
            );
            let lists = "lists: { far: { texts: [tor_exit] }, typos: { texts: [tor_exti] } }\n";
            let mut other = source(lists);
            other.path = "lists.yaml".to_owned();
            match PolicySet::compile(vec![source(&text), other], &known()) {
                Ok(_) => Vec::new(),
                Err(errors) => errors
                    .problems
                    .iter()
                    .map(|p| (p.rule, p.place.map_or(0, |at| at.column)))
                    .collect(),
            }
        };
        let except = |when: &str| {
            told(&format!(
                "except: [{{ name: x, owner: o, reason: r, until: 2027-01-31, when: '{when}' }}]"
            ))
        };
        const NOTHING: &str = "matches-nothing";
        const ALL: &str = "constant-condition";
        let table: &[(&str, &[&str])] = &[
            ("signal.name == \"tor_exit\"", &[]),
            ("signal.name != \"tor_exit\"", &[]),
            ("signal.name in lists.far", &[]),
            ("signal.name.startsWith(\"tor\")", &[]),
            ("signal.family == \"network\"", &[]),
            ("has(signal.name) && event.network.asn == 1", &[]),
            ("signal.family == \"device\" || event.network.asn == 1", &[]),
            // Typed wrongly: excepts everything, or nothing.
            ("signal.name != \"tor_exti\"", &[NOTHING]),
            ("signal.name in lists.typos", &[NOTHING]),
            ("!(signal.name in lists.typos)", &[ALL]),
            (
                "signal.name.startsWith(\"tro\") && event.network.asn == 1",
                &[NOTHING],
            ),
            ("signal.family == \"device\"", &[NOTHING]),
            ("signal.family != \"device\"", &[ALL]),
            ("has(signal.name)", &[ALL]),
        ];
        for (when, expected) in table {
            let rules: Vec<&str> = except(when).into_iter().map(|(rule, _)| rule).collect();
            assert_eq!(rules, *expected, "{when}");
        }
        // The place is that of the name, not of another that begins alike.
        let when = "signal.name == \"tor_exit_failed\" || signal.name == \"tor\"";
        assert_eq!(told(&format!("when: '{when}'")), [(NOTHING, 60)]);
    }

    #[test]
    fn a_part_of_a_condition_is_found_however_it_is_written() {
        let condition = "event.a == \"x\" && event.bad == 1";
        let at = |file: &str, line, column| {
            let scalar = Place {
                file: 0,
                line,
                column,
                width: 1,
            };
            let from = condition.find("event.bad").unwrap();
            let rest: String = file.split_inclusive('\n').skip(line as usize - 1).collect();
            let place = place_in(&rest, scalar, condition, from, from + 9);
            let text = file.lines().nth(place.line as usize - 1).unwrap();
            let shown: String = text
                .chars()
                .skip(place.column as usize - 1)
                .take(place.width as usize)
                .collect();
            (place.line, shown)
        };
        let plain = "when: event.a == \"x\" && event.bad == 1\n";
        assert_eq!(at(plain, 1, 7), (1, "event.bad".to_owned()));
        let single = "when: 'event.a == \"x\" && event.bad == 1'\n";
        assert_eq!(at(single, 1, 7), (1, "event.bad".to_owned()));
        let double = "when: \"event.a == \\\"x\\\" && event.bad == 1\"\n";
        assert_eq!(at(double, 1, 7), (1, "event.bad".to_owned()));
        let folded = "a: 1\nwhen: >-\n    event.a == \"x\"\n    && event.bad == 1\n";
        assert_eq!(at(folded, 2, 7), (4, "event.bad".to_owned()));
        let literal = "when: |\n  event.a == \"x\" &&\n  event.bad == 1\n";
        assert_eq!(at(literal, 1, 7), (3, "event.bad".to_owned()));
        let returns = "a: 1\nwhen: |\r\n  event.a == \"x\" &&\r\n  event.bad == 1\r\n";
        assert_eq!(at(returns, 2, 7), (4, "event.bad".to_owned()));
        let escaped = "when: \"\\u0065vent.a == \\\"x\\\" && event.bad == 1\"\n";
        assert_eq!(
            at(escaped, 1, 7).0,
            1,
            "the whole, where YAML hides the part"
        );
    }
}
