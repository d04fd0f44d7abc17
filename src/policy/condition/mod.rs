//! Conditions: what an author asks of an event, in CEL.
//!
//! ```text
//! text ─► cel's parser ─► check (types, names, sense) ─► Condition ─► ask(event)
//! ```
//!
//! Invariant: what compiles cannot fail, run away or cost more than its own
//! length: every name exists, every operator fits its types, there is no loop
//! but over one record's short lists, and regular expressions match in linear
//! time. The syntax and the meaning are CEL's; the checker and the evaluator
//! are ours because CEL's own find out about types only when they run, and
//! cost microseconds where a policy set must cost less for fifty policies
//! (docs/policy-reference.md; `benches/policy.rs`). A property test holds our
//! answers against the `cel` crate's.
//!
//! What a record does not say has no answer, as in CEL: `false && x` is false
//! and `true || x` is true whatever `x`, anything else is undecided. The caller
//! says what follows from that.

mod check;
mod eval;
mod fields;
mod parse;
mod sense;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use self::eval::{Expr, TextTest};
pub use self::fields::{Subject, Undecided};
use super::lists::List;
use super::problem::{Rule, SYNTAX};
use super::scope::UserList;
use crate::model::{Event, Family, NetworkClass, RecordId, SignIn, UserId, UserRef};

/// The longest condition, in bytes.
pub(super) const TEXT_MAX: usize = 2_000;

/// A condition that was checked and can be asked.
#[derive(Clone)]
pub struct Condition {
    text: Box<str>,
    expr: Expr,
    /// The texts of what `&&` joins.
    parts: Box<[Box<str>]>,
}

impl Condition {
    /// Whether it holds of the subject.
    ///
    /// # Errors
    /// When it cannot be decided, with the reason.
    pub fn ask(&self, subject: &Subject<'_>) -> Result<bool, Undecided> {
        self.expr.holds(subject)
    }

    /// As its author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What each of its parts that are joined by `&&` says of the subject, in
    /// the order written.
    pub fn parts(&self, subject: &Subject<'_>) -> Vec<Part> {
        let mut exprs = Vec::new();
        self.expr.conjuncts(&mut exprs);
        // Both were taken from the same tree in the same order.
        self.parts
            .iter()
            .zip(exprs)
            .map(|(text, expr)| Part {
                text: text.clone(),
                answer: expr.holds(subject),
                seen: expr.seen(subject),
            })
            .collect()
    }

    /// Whether it asks something of the signal that must hold, whatever the
    /// record.
    pub(super) fn asks_signal(&self) -> bool {
        sense::of_signal(&self.expr).next().is_some()
    }

    /// Whether it can hold of a signal, whatever the record.
    pub(super) fn fits(&self, signal: (&str, Family)) -> bool {
        let nobody = UserRef {
            id: UserId::new("-"),
            principal_name: "".into(),
            guest: false,
            workload: false,
        };
        // The parts ask nothing of it.
        let event = SignIn::new(RecordId::new("-"), Timestamp::UNIX_EPOCH, nobody);
        let subject = Subject {
            event: &Event::SignIn(Box::new(event)),
            class: NetworkClass::Ordinary,
            signal: Some(signal),
        };
        sense::of_signal(&self.expr).all(|(part, wanted)| part.holds(&subject) == Ok(wanted))
    }

    /// Whether the signal alone decides it, whatever the record.
    pub(super) fn asks_signal_only(&self) -> bool {
        sense::asks_signal_only(&self.expr)
    }

    /// The signals it speaks of by name, as `signal.name == "…"`, `!=` or `in […]`.
    pub(super) fn signal_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.expr.signal_names(&mut names);
        names
    }

    /// How many regular expressions it has.
    pub(super) fn regexes(&self) -> usize {
        let mut count = 0;
        self.expr.walk(&mut |part| {
            count += usize::from(matches!(part, Expr::Test(_, TextTest::Matches(_))));
        });
        count
    }

    /// The lists of users of which the user must be, for it to hold.
    pub(super) fn required_users(&self) -> Vec<&UserList> {
        sense::required_users(&self.expr)
    }
}

impl PartialEq for Condition {
    /// By the text: what it means follows from that and the set's lists.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

/// A part of a condition, and what it says of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// As its author wrote it.
    pub text: Box<str>,
    /// Whether it holds.
    pub answer: Result<bool, Undecided>,
    /// The fields that it asks for, with what the record says; `None` where it
    /// does not say.
    pub seen: Vec<(&'static str, Option<String>)>,
}

/// What a condition may name besides the event's fields.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// The set's lists.
    pub(super) lists: &'a BTreeMap<Box<str>, Arc<List>>,
    /// For what it is asked.
    pub(super) asked: Asked,
}

/// For what a condition is asked, and so what follows from its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Of a signal, by a policy: what is of another kind counts.
    Policy,
    /// Of a signal, by an exception: what has no answer is not excepted.
    Exception,
    /// Of an event alone, to raise a signal: there is no `signal` yet.
    Signal,
}

/// What is wrong in a condition, or may not be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where, in bytes of the text; from and to, not included.
    pub(super) at: (usize, usize),
    pub(super) rule: Rule,
    pub(super) message: String,
    pub(super) hint: String,
}

/// The stack on which conditions are parsed. CEL's parser takes up to 300 KiB
/// for a level of brackets in a build without optimization; whoever compiles
/// may have 2 MiB. Measured: 24 levels, and 2,000 bytes of any operator, fit 8.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Compiles a condition; `warnings` is what compiles and may not be meant.
///
/// # Errors
/// Everything that is wrong with it, by place; at least one.
pub(super) fn compile(
    text: &str,
    names: Names<'_>,
    warnings: &mut Vec<Fault>,
) -> Result<Condition, Vec<Fault>> {
    std::thread::scope(|scope| {
        let compiling = std::thread::Builder::new()
            .name("cel".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || compile_here(text, names, warnings));
        let failed = |message: &str| {
            Err(vec![Fault {
                at: (0, text.len().max(1)),
                rule: SYNTAX,
                message: message.to_owned(),
                hint: "write it in another way".to_owned(),
            }])
        };
        match compiling.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(_)) => failed("the condition cannot be parsed"),
            Err(_) => failed("no thread could be started to parse the condition"),
        }
    })
}

fn compile_here(
    text: &str,
    names: Names<'_>,
    warnings: &mut Vec<Fault>,
) -> Result<Condition, Vec<Fault>> {
    let parsed = parse::parse(text)?;
    let (expr, mut faults) = check::check(text, &parsed, names, warnings);
    let Some(expr) = expr.filter(|_| faults.is_empty()) else {
        faults.sort_by_key(|fault| fault.at);
        return Err(faults);
    };
    if let Some(fault) = sense::constant(&expr, text, names.asked == Asked::Policy) {
        return Err(vec![fault]);
    }
    Ok(Condition {
        text: text.into(),
        parts: check::conjuncts(text, &parsed),
        expr,
    })
}

/// A row of the reference of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its path, e.g. `event.network.asn`.
    pub path: &'static str,
    /// Its type, as conditions name it.
    pub ty: &'static str,
    /// The names it can have, where they are known.
    pub names: &'static [&'static str],
    /// Whether Microsoft may send other names too.
    pub open: bool,
    /// What it is.
    pub doc: &'static str,
}

/// Every field that a condition may name, by path.
pub fn reference() -> impl Iterator<Item = FieldSpec> {
    fields::FIELDS.iter().map(|field| {
        let (names, open) = match field.ty {
            fields::Type::Text(fields::Domain::Open(names)) => (names, true),
            fields::Type::Text(fields::Domain::Closed(names)) => (names, false),
            _ => (&[][..], false),
        };
        FieldSpec {
            path: field.path,
            ty: field.ty.name(),
            names,
            open,
            doc: field.doc,
        }
    })
}

/// Every function and macro that a condition may call, by name.
pub fn functions() -> &'static [&'static str] {
    check::FUNCTIONS
}

#[cfg(test)]
mod tests;
