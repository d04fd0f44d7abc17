//! What a condition as a whole can come to, without asking it.
//!
//! Invariant: only what is certain is said. A condition that can be true of no
//! event, or false of none that it speaks of, is a mistake of its author, and
//! one that nobody notices later: it silences a policy, or excepts everything.

use std::collections::BTreeMap;

use super::Fault;
use super::check::CONSTANT;
use super::eval::{Comparison, Expr};
use super::fields::Kinds;
use crate::policy::lists::List;
use crate::policy::scope::UserList;

/// The mistake of a condition that can only come to one answer.
pub(super) fn constant(expr: &Expr, text: &str) -> Option<Fault> {
    let (message, hint) = if possible(expr, true) == Kinds::NONE || contradicts(expr, true) {
        ("the condition is never true", contradiction_hint(expr))
    } else if possible(expr, false) == Kinds::NONE || contradicts(expr, false) {
        (
            "the condition is always true",
            "leave it out, or ask something of the event",
        )
    } else {
        return None;
    };
    Some(Fault {
        at: (0, text.trim_end().len().max(1)),
        rule: CONSTANT,
        message: message.to_owned(),
        hint: hint.to_owned(),
    })
}

fn contradiction_hint(expr: &Expr) -> &'static str {
    if matches!(expr, Expr::Bool(_)) {
        "leave it out, or ask something of the event"
    } else if possible(expr, true) == Kinds::NONE {
        "no event is of all the kinds that it asks for at once; perhaps `||` is meant"
    } else {
        "its parts contradict each other; perhaps `||` is meant"
    }
}

/// The kinds of events of which it can come to `answer`.
fn possible(expr: &Expr, answer: bool) -> Kinds {
    match expr {
        Expr::Bool(value) if *value == answer => Kinds::ALL,
        Expr::Bool(_) => Kinds::NONE,
        Expr::Not(of) => possible(of, !answer),
        Expr::And(sides) if answer => {
            let [left, right] = &**sides;
            possible(left, true).and(possible(right, true))
        }
        Expr::Or(sides) if !answer => {
            let [left, right] = &**sides;
            possible(left, false).and(possible(right, false))
        }
        Expr::And(sides) | Expr::Or(sides) => {
            let [left, right] = &**sides;
            possible(left, answer).or(possible(right, answer))
        }
        Expr::Is(kinds) if answer => *kinds,
        Expr::Is(kinds) => Kinds::ALL.without(*kinds),
        Expr::Has(field) if answer => field.kinds,
        Expr::Has(_) => Kinds::ALL,
        other => {
            let mut all = Kinds::ALL;
            other.walk(&mut |part| {
                if let Expr::Field(field) | Expr::InField(_, field) = part {
                    all = all.and(field.kinds);
                }
            });
            match other {
                Expr::Exists(field, _) | Expr::All(field, _) => field.kinds,
                _ => all,
            }
        }
    }
}

/// Whether parts that must all hold name two values of one field: `a == "x" &&
/// a == "y"`, and the mirror, `a != "x" || a != "y"`, for an answer of false.
fn contradicts(expr: &Expr, answer: bool) -> bool {
    let mut seen: BTreeMap<&str, Vec<&Expr>> = BTreeMap::new();
    let mut parts = Vec::new();
    conjuncts(expr, answer, &mut parts);
    for (part, wanted) in parts {
        let Expr::Compare(comparison, sides) = part else {
            continue;
        };
        let fixes = match comparison {
            Comparison::Equal => wanted,
            Comparison::Unequal => !wanted,
            _ => false,
        };
        let (field, value) = match &**sides {
            [Expr::Field(field), value] | [value, Expr::Field(field)] if is_literal(value) => {
                (field, value)
            }
            _ => continue,
        };
        if fixes {
            seen.entry(field.path).or_default().push(value);
        }
    }
    seen.values()
        .any(|values| values.iter().any(|value| !same_literal(value, values[0])))
}

/// The parts that must all come to what they stand with.
fn conjuncts<'e>(expr: &'e Expr, answer: bool, parts: &mut Vec<(&'e Expr, bool)>) {
    match expr {
        Expr::Not(of) => conjuncts(of, !answer, parts),
        Expr::And(sides) if answer => sides.iter().for_each(|side| conjuncts(side, true, parts)),
        Expr::Or(sides) if !answer => sides.iter().for_each(|side| conjuncts(side, false, parts)),
        other => parts.push((other, answer)),
    }
}

/// The lists of users that all its ways to be true go through.
pub(super) fn required_users(expr: &Expr) -> Vec<&UserList> {
    let mut parts = Vec::new();
    conjuncts(expr, true, &mut parts);
    let lists = parts.into_iter().filter_map(|part| match part {
        (Expr::InList(_, list), true) => match &**list {
            List::Users(users) => Some(users),
            _ => None,
        },
        _ => None,
    });
    lists.collect()
}

fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Bool(_) | Expr::Int(_) | Expr::Text(_) | Expr::Address(_) | Expr::Time(_)
    )
}

fn same_literal(a: &Expr, b: &Expr) -> bool {
    match (a, b) {
        (Expr::Bool(a), Expr::Bool(b)) => a == b,
        (Expr::Int(a), Expr::Int(b)) => a == b,
        (Expr::Text(a), Expr::Text(b)) => a == b,
        (Expr::Address(a), Expr::Address(b)) => a == b,
        (Expr::Time(a), Expr::Time(b)) => a == b,
        _ => true,
    }
}
