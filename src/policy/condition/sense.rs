//! What a condition as a whole can come to, without asking it.
//!
//! Invariant: only what is certain is said. A condition that can be true of no
//! event, or false of none, is a mistake of its author, and one that nobody
//! notices later: it silences a policy, or excepts everything.

use std::collections::BTreeMap;

use super::Fault;
use super::check::CONSTANT;
use super::eval::{Comparison, Expr, TextTest};
use super::fields::Kinds;
use crate::policy::lists::List;
use crate::policy::scope::UserList;

/// The mistake of a condition that can only come to one answer. `no_answer_holds`
/// where having no answer is as good as holding.
pub(super) fn constant(expr: &Expr, text: &str, no_answer_holds: bool) -> Option<Fault> {
    const EMPTY: &str = "leave it out, or ask something of the event";
    let answers = Answers::of(expr);
    let (message, hint) = if matches!(expr, Expr::Bool(false)) {
        ("the condition is never true", EMPTY)
    } else if answers.yes == Kinds::NONE {
        let hint = "no event is of all the kinds that it asks for at once; perhaps `||` is meant";
        ("the condition is never true", hint)
    } else if contradicts(expr, true) {
        let hint = "its parts contradict each other; perhaps `||` is meant";
        ("the condition is never true", hint)
    } else if contradicts(expr, false) || answers.no == Kinds::NONE && answers.none == Kinds::NONE {
        ("the condition is always true", EMPTY)
    } else if answers.no == Kinds::NONE && no_answer_holds {
        let hint = "a record of one kind has no answer to what is asked of another, and then the \
                    signal counts; begin each part with its kind, `has(event.risk) && …`";
        ("the condition is never false", hint)
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

/// The kinds of events of which an expression can come to each answer: at
/// least those of which it does. Of a value that is neither true nor false,
/// `yes` and `no` are both where it can have one.
#[derive(Clone, Copy)]
struct Answers {
    yes: Kinds,
    no: Kinds,
    /// Where it can have no answer.
    none: Kinds,
}

impl Answers {
    /// One pass over the expression, whatever its depth.
    fn of(expr: &Expr) -> Self {
        match expr {
            Expr::Bool(true) => Self::when(Kinds::ALL),
            Expr::Bool(false) => Self::when(Kinds::NONE),
            Expr::Int(_) | Expr::Text(_) | Expr::Address(_) | Expr::Time(_) | Expr::Each => {
                Self::value(Kinds::ALL, Kinds::NONE)
            }
            Expr::Field(field) => Self::value(field.kinds, Kinds::ALL),
            Expr::Is(kinds) => Self::when(*kinds),
            Expr::Has(field) => Self {
                no: Kinds::ALL,
                ..Self::when(field.kinds)
            },
            Expr::Not(of) => Self::of(of).turned(),
            Expr::And(sides) => {
                let [left, right] = sides.each_ref().map(Self::of);
                left.and(right)
            }
            // De Morgan's law.
            Expr::Or(sides) => {
                let [left, right] = sides.each_ref().map(|side| Self::of(side).turned());
                left.and(right).turned()
            }
            Expr::If(parts) => {
                let [condition, yes, no] = parts.each_ref().map(Self::of);
                let chosen = |of: fn(&Self) -> Kinds| {
                    condition.yes.and(of(&yes)).or(condition.no.and(of(&no)))
                };
                Self {
                    yes: chosen(|of| of.yes),
                    no: chosen(|of| of.no),
                    none: condition.none.or(chosen(|of| of.none)),
                }
            }
            Expr::Compare(_, sides) | Expr::Arithmetic(_, sides) => {
                let [left, right] = sides.each_ref().map(Self::of);
                left.together(right)
            }
            Expr::InTexts(of, _)
            | Expr::InInts(of, _)
            | Expr::InList(of, _)
            | Expr::Within(of, _)
            | Expr::Test(of, TextTest::Matches(_))
            | Expr::Size(of)
            | Expr::Clock(_, of) => Self::of(of).valued(),
            Expr::InField(of, field) => Self::of(of).together(Self::value(field.kinds, Kinds::ALL)),
            Expr::Test(
                of,
                TextTest::Contains(with) | TextTest::StartsWith(with) | TextTest::EndsWith(with),
            ) => Self::of(of).together(Self::of(with)),
            // Of an empty list nothing is asked.
            Expr::Exists(field, of) => Self {
                yes: field.kinds.and(Self::of(of).yes),
                no: field.kinds,
                none: Kinds::ALL,
            },
            Expr::All(field, of) => Self {
                yes: field.kinds,
                no: field.kinds.and(Self::of(of).no),
                none: Kinds::ALL,
            },
        }
    }

    /// True of those kinds, false of all others.
    fn when(kinds: Kinds) -> Self {
        Self {
            yes: kinds,
            no: Kinds::ALL.without(kinds),
            none: Kinds::NONE,
        }
    }

    fn value(there: Kinds, none: Kinds) -> Self {
        Self {
            yes: there,
            no: there,
            none,
        }
    }

    fn turned(self) -> Self {
        Self {
            yes: self.no,
            no: self.yes,
            ..self
        }
    }

    /// `&&`: a side that is false settles it.
    fn and(self, other: Self) -> Self {
        let unsettled = |side: Self| side.yes.or(side.none);
        Self {
            yes: self.yes.and(other.yes),
            no: self.no.or(other.no),
            none: (self.none.and(unsettled(other))).or(other.none.and(unsettled(self))),
        }
    }

    /// What is asked of its value.
    fn valued(self) -> Self {
        Self::value(self.yes.or(self.no), self.none)
    }

    /// What needs both values.
    fn together(self, other: Self) -> Self {
        let there = self.valued().yes.and(other.valued().yes);
        Self::value(there, self.none.or(other.none))
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

/// The parts that must all hold and ask of nothing but the signal.
pub(super) fn of_signal(expr: &Expr) -> impl Iterator<Item = (&Expr, bool)> {
    let mut parts = Vec::new();
    conjuncts(expr, true, &mut parts);
    parts.into_iter().filter(|(part, _)| asks_signal_only(part))
}

/// Whether the signal alone decides it.
pub(super) fn asks_signal_only(expr: &Expr) -> bool {
    let (mut of_signal, mut of_event) = (false, false);
    expr.walk(&mut |part| match part {
        Expr::Field(field) | Expr::Has(field) if field.path.starts_with("signal.") => {
            of_signal = true;
        }
        Expr::Field(_)
        | Expr::Has(_)
        | Expr::Is(_)
        | Expr::Each
        | Expr::InField(..)
        | Expr::Exists(..)
        | Expr::All(..) => of_event = true,
        _ => {}
    });
    of_signal && !of_event
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
