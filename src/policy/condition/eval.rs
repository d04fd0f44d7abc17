//! A checked condition, and asking it.
//!
//! Invariant: evaluation allocates nothing and ends: the tree is as deep as the
//! text allows, and `exists` and `all` go once over a list of one record. The
//! checker has seen that types fit; where a value nevertheless has another
//! type the answer is undecided, never a guess.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::Offset;
use regex::Regex;

use super::fields::{Field, Got, Kinds, Subject, Type, Undecided, Value};
use crate::policy::lists::List;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Unequal => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::More => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
        }
    }

    /// The same seen from the other side: `a < b` is `b > a`.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::More => Self::Less,
            Self::AtLeast => Self::AtMost,
            same => same,
        }
    }
}

/// A question about a text.
#[derive(Clone)]
pub(super) enum TextTest {
    Contains(Box<Expr>),
    StartsWith(Box<Expr>),
    EndsWith(Box<Expr>),
    Matches(Regex),
}

/// Sums and their like, which overflow to undecided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

/// A part of the time of day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// 0–23.
    Hour,
    /// 0–6 from Sunday, as CEL counts.
    Weekday,
}

/// A checked expression.
#[derive(Clone)]
pub(super) enum Expr {
    Bool(bool),
    Int(i64),
    Text(Box<str>),
    Address(IpAddr),
    Time(Timestamp),
    Field(&'static Field),
    /// What `exists` or `all` goes over.
    Each,
    /// Whether the record says it.
    Has(&'static Field),
    /// Whether the event is of such a kind.
    Is(Kinds),
    Not(Box<Expr>),
    And(Box<[Expr; 2]>),
    Or(Box<[Expr; 2]>),
    If(Box<[Expr; 3]>),
    Compare(Comparison, Box<[Expr; 2]>),
    Arithmetic(Arithmetic, Box<[Expr; 2]>),
    InTexts(Box<Expr>, BTreeSet<Box<str>>),
    InInts(Box<Expr>, BTreeSet<i64>),
    /// In a list of the record.
    InField(Box<Expr>, &'static Field),
    InList(Box<Expr>, Arc<List>),
    Within(Box<Expr>, IpNet),
    Test(Box<Expr>, TextTest),
    /// Of a text in characters, or of a list.
    Size(Box<Expr>),
    Clock(Clock, Box<Expr>),
    Exists(&'static Field, Box<Expr>),
    All(&'static Field, Box<Expr>),
}

/// Where evaluation stands.
#[derive(Clone, Copy)]
struct Scope<'a, 's> {
    subject: &'s Subject<'a>,
    each: Option<&'a str>,
}

impl Expr {
    /// Whether it holds.
    pub(super) fn holds(&self, subject: &Subject<'_>) -> Result<bool, Undecided> {
        let scope = Scope {
            subject,
            each: None,
        };
        self.truth(scope)
    }

    fn truth<'a>(&'a self, scope: Scope<'a, '_>) -> Result<bool, Undecided> {
        match self.value(scope)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Undecided::Absent),
        }
    }

    fn value<'a>(&'a self, scope: Scope<'a, '_>) -> Got<'a> {
        Ok(match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Text(text) => Value::Text(text),
            Self::Address(address) => Value::Address(*address),
            Self::Time(time) => Value::Time(*time),
            Self::Field(field) => return (field.get)(scope.subject),
            Self::Each => Value::Text(scope.each.ok_or(Undecided::Absent)?),
            Self::Size(of) => Value::Int(of.size(scope)?),
            Self::Clock(part, of) => Value::Int(of.clock(*part, scope)?),
            Self::Arithmetic(op, sides) => Value::Int(arithmetic(*op, sides, scope)?),
            Self::If(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen = if condition.truth(scope)? { yes } else { no };
                return chosen.value(scope);
            }
            _ => Value::Bool(self.decide(scope)?),
        })
    }

    /// The value of what is true or false.
    fn decide<'a>(&'a self, scope: Scope<'a, '_>) -> Result<bool, Undecided> {
        match self {
            Self::Has(field) => has(field, scope.subject),
            Self::Is(kinds) => Ok(kinds.has(Kinds::of(scope.subject.event))),
            Self::Not(of) => Ok(!of.truth(scope)?),
            Self::And(sides) => both(false, sides, scope),
            Self::Or(sides) => both(true, sides, scope),
            Self::Compare(op, sides) => compare(*op, sides, scope),
            Self::InTexts(of, texts) => Ok(texts.contains(of.text(scope)?)),
            Self::InInts(of, ints) => Ok(ints.contains(&of.int(scope)?)),
            Self::InField(of, list) => {
                let wanted = of.text(scope)?;
                let mut items = texts(list, scope.subject)?;
                Ok(items.any(|item| item == wanted))
            }
            Self::InList(of, list) => in_list(of.value(scope)?, list),
            Self::Within(of, network) => match of.value(scope)? {
                Value::Address(address) => Ok(network.contains(&address)),
                _ => Err(Undecided::Absent),
            },
            Self::Test(of, test) => test.holds(of.text(scope)?, scope),
            Self::Exists(list, of) => quantify(true, list, of, scope),
            Self::All(list, of) => quantify(false, list, of, scope),
            _ => Err(Undecided::Absent),
        }
    }

    fn text<'a>(&'a self, scope: Scope<'a, '_>) -> Result<&'a str, Undecided> {
        match self.value(scope)? {
            Value::Text(text) => Ok(text),
            _ => Err(Undecided::Absent),
        }
    }

    fn int<'a>(&'a self, scope: Scope<'a, '_>) -> Result<i64, Undecided> {
        match self.value(scope)? {
            Value::Int(value) => Ok(value),
            _ => Err(Undecided::Absent),
        }
    }

    fn size<'a>(&'a self, scope: Scope<'a, '_>) -> Result<i64, Undecided> {
        let size = match self {
            Self::Field(field) if field.ty == Type::Texts => texts(field, scope.subject)?.count(),
            _ => self.text(scope)?.chars().count(),
        };
        Ok(i64::try_from(size).unwrap_or(i64::MAX))
    }

    fn clock<'a>(&'a self, part: Clock, scope: Scope<'a, '_>) -> Result<i64, Undecided> {
        let Value::Time(time) = self.value(scope)? else {
            return Err(Undecided::Absent);
        };
        let at = Offset::UTC.to_datetime(time);
        Ok(match part {
            Clock::Hour => i64::from(at.hour()),
            Clock::Weekday => i64::from(at.weekday().to_sunday_zero_offset()),
        })
    }

    /// Calls `visit` with it and all its parts.
    pub(super) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        match self {
            Self::Not(of)
            | Self::InTexts(of, _)
            | Self::InInts(of, _)
            | Self::InField(of, _)
            | Self::InList(of, _)
            | Self::Within(of, _)
            | Self::Size(of)
            | Self::Clock(_, of)
            | Self::Exists(_, of)
            | Self::All(_, of) => of.walk(visit),
            Self::And(sides)
            | Self::Or(sides)
            | Self::Compare(_, sides)
            | Self::Arithmetic(_, sides) => sides.iter().for_each(|side| side.walk(visit)),
            Self::If(parts) => parts.iter().for_each(|part| part.walk(visit)),
            Self::Test(of, test) => {
                of.walk(visit);
                match test {
                    TextTest::Contains(with)
                    | TextTest::StartsWith(with)
                    | TextTest::EndsWith(with) => with.walk(visit),
                    TextTest::Matches(_) => {}
                }
            }
            Self::Bool(_)
            | Self::Int(_)
            | Self::Text(_)
            | Self::Address(_)
            | Self::Time(_)
            | Self::Field(_)
            | Self::Each
            | Self::Has(_)
            | Self::Is(_) => {}
        }
    }

    /// The parts that `&&` joins, in order.
    pub(super) fn conjuncts<'a>(&'a self, parts: &mut Vec<&'a Expr>) {
        match self {
            Self::And(sides) => sides.iter().for_each(|side| side.conjuncts(parts)),
            part => parts.push(part),
        }
    }

    /// The fields that it asks for, with what the record says, each once.
    pub(super) fn seen(&self, subject: &Subject<'_>) -> Vec<(&'static str, Option<String>)> {
        let mut seen: Vec<(&'static str, Option<String>)> = Vec::new();
        self.walk(&mut |part| {
            let field = match part {
                Self::Field(field)
                | Self::Has(field)
                | Self::InField(_, field)
                | Self::Exists(field, _)
                | Self::All(field, _) => *field,
                _ => return,
            };
            if !seen.iter().any(|(path, _)| *path == field.path) {
                let value = (field.get)(subject).ok();
                seen.push((field.path, value.map(|value| value.shown(subject))));
            }
        });
        seen
    }

    /// The names that `signal.name` is held against.
    pub(super) fn signal_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        let is_name =
            |expr: &Expr| matches!(expr, Self::Field(field) if field.path == "signal.name");
        self.walk(&mut |part| match part {
            Self::Compare(Comparison::Equal | Comparison::Unequal, sides) => match &**sides {
                [field, Self::Text(text)] | [Self::Text(text), field] if is_name(field) => {
                    names.push(text);
                }
                _ => {}
            },
            Self::InTexts(of, texts) if is_name(of) => {
                names.extend(texts.iter().map(|text| &**text));
            }
            _ => {}
        });
    }
}

impl TextTest {
    fn holds<'a>(&'a self, text: &str, scope: Scope<'a, '_>) -> Result<bool, Undecided> {
        Ok(match self {
            Self::Contains(part) => text.contains(part.text(scope)?),
            Self::StartsWith(part) => text.starts_with(part.text(scope)?),
            Self::EndsWith(part) => text.ends_with(part.text(scope)?),
            Self::Matches(regex) => regex.is_match(text),
        })
    }
}

/// CEL's `&&` and `||`: the side that settles it wins over one that cannot be
/// decided, whichever comes first.
fn both<'a>(
    settles: bool,
    [left, right]: &'a [Expr; 2],
    scope: Scope<'a, '_>,
) -> Result<bool, Undecided> {
    let left = left.truth(scope);
    if left == Ok(settles) {
        return left;
    }
    let right = right.truth(scope);
    if right == Ok(settles) {
        return right;
    }
    match (left, right) {
        // A record that is silent matters more than one of another kind.
        (Err(Undecided::Absent), _) | (_, Err(Undecided::Absent)) => Err(Undecided::Absent),
        (Err(why), _) | (_, Err(why)) => Err(why),
        _ => Ok(!settles),
    }
}

fn compare<'a>(
    op: Comparison,
    [left, right]: &'a [Expr; 2],
    scope: Scope<'a, '_>,
) -> Result<bool, Undecided> {
    let ordering = match (left.value(scope)?, right.value(scope)?) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(&b),
        (Value::Int(a), Value::Int(b)) => a.cmp(&b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Address(a), Value::Address(b)) => a.cmp(&b),
        (Value::Time(a), Value::Time(b)) => a.cmp(&b),
        _ => return Err(Undecided::Absent),
    };
    Ok(op.holds(ordering))
}

fn arithmetic<'a>(
    op: Arithmetic,
    [left, right]: &'a [Expr; 2],
    scope: Scope<'a, '_>,
) -> Result<i64, Undecided> {
    let (left, right) = (left.int(scope)?, right.int(scope)?);
    let result = match op {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
    };
    result.ok_or(Undecided::Absent)
}

/// Whether the record says it: an event of another kind does not.
fn has(field: &Field, subject: &Subject<'_>) -> Result<bool, Undecided> {
    if !field.kinds.has(Kinds::of(subject.event)) {
        return Ok(false);
    }
    Ok((field.get)(subject).is_ok())
}

fn in_list(value: Value<'_>, list: &List) -> Result<bool, Undecided> {
    match (list, value) {
        (List::Users(users), Value::User(user)) => Ok(users.holds(user)),
        (List::Networks(networks), Value::Address(address)) => Ok(networks.hold(address)),
        (List::Asns(asns), Value::Int(asn)) => Ok(asns.contains(&asn)),
        (List::Texts(texts) | List::Countries(texts), Value::Text(text)) => {
            Ok(texts.contains(text))
        }
        _ => Err(Undecided::Absent),
    }
}

/// The texts of a field that is a list.
fn texts<'a, 's>(
    field: &Field,
    subject: &'s Subject<'a>,
) -> Result<impl Iterator<Item = &'a str> + use<'a, 's>, Undecided> {
    match (field.get)(subject)? {
        Value::Texts(item) => Ok((0..).map_while(move |index| item(subject, index))),
        _ => Err(Undecided::Absent),
    }
}

/// `exists`, which a true settles, and `all`, which a false settles.
fn quantify<'a>(
    exists: bool,
    list: &Field,
    of: &'a Expr,
    scope: Scope<'a, '_>,
) -> Result<bool, Undecided> {
    let mut undecided = None;
    for each in texts(list, scope.subject)? {
        let scope = Scope {
            each: Some(each),
            ..scope
        };
        match of.truth(scope) {
            Ok(answer) if answer == exists => return Ok(exists),
            Ok(_) => {}
            Err(why) => undecided = Some(why),
        }
    }
    undecided.map_or(Ok(!exists), Err)
}
