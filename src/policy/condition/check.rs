//! From CEL's syntax tree to a checked [`Expr`].
//!
//! Invariant: every mistake is found in one go and shown where it stands in the
//! text; what comes out is well typed. Comparisons that can only have one
//! answer by the types of their sides are mistakes too: an author who writes
//! one means something else.

mod functions;
mod span;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr as Tree, LiteralValue, operators as op};

pub(super) use self::functions::FUNCTIONS;
pub(super) use self::span::conjuncts;
use self::span::span;
use super::eval::{Arithmetic, Comparison, Expr};
use super::fields::{Domain, FIELDS, Field, Kinds, Type};
use super::parse::Parsed;
use super::{Asked, Fault, Names};
use crate::policy::lists::List;
use crate::policy::problem::{Rule, SYNTAX, nearest, quoted, suggestion};

/// What compiles in CEL and can have one answer only.
pub(super) const CONSTANT: Rule = "constant-condition";
/// A name that Entra is not known to send.
const UNKNOWN_VALUE: Rule = "unknown-value";
/// Mistakes told of one condition; what has more is no condition.
const FAULTS_MAX: usize = 20;

/// How deep an expression may be, so that asking it needs little stack.
const DEPTH_MAX: usize = 48;

/// The expression, where it could be made, and all that is wrong.
pub(super) fn check(
    text: &str,
    parsed: &Parsed,
    names: Names<'_>,
    warnings: &mut Vec<Fault>,
) -> (Option<Expr>, Vec<Fault>) {
    let mut checker = Checker {
        text,
        parsed,
        names,
        faults: Vec::new(),
        warnings,
        each: None,
        depth: 0,
        regexes: 0,
    };
    let typed = checker.expr(&parsed.root);
    let expr = typed.and_then(|typed| checker.boolean(&parsed.root, typed));
    (expr, checker.faults)
}

struct Checker<'t, 'w> {
    text: &'t str,
    parsed: &'t Parsed,
    names: Names<'t>,
    faults: Vec<Fault>,
    warnings: &'w mut Vec<Fault>,
    /// The name that `exists` or `all` goes by.
    each: Option<String>,
    depth: usize,
    regexes: usize,
}

/// An expression with its type.
type Typed = (Expr, Type);

impl Checker<'_, '_> {
    fn expr(&mut self, node: &IdedExpr) -> Option<Typed> {
        if self.faults.len() == FAULTS_MAX {
            return None;
        }
        if self.depth == DEPTH_MAX {
            let hint = format!("at most {DEPTH_MAX} operators in a row; use a list");
            return self.fault(node, "nested too deeply", hint);
        }
        self.depth += 1;
        let typed = self.expr_within(node);
        self.depth -= 1;
        typed
    }

    fn expr_within(&mut self, node: &IdedExpr) -> Option<Typed> {
        match &node.expr {
            Tree::Literal(literal) => self.literal(node, literal),
            Tree::Ident(_) | Tree::Select(_) => self.path(node),
            Tree::Call(call) => self.call(node, call),
            Tree::Comprehension(loop_) => self.quantifier(node, loop_),
            Tree::List(_) => {
                let hint = "a list stands at the right of `in`";
                self.fault(node, "a list cannot stand here", hint)
            }
            Tree::Map(_) | Tree::Struct(_) => self.fault(
                node,
                "a mapping cannot stand here",
                "expected a field or a value",
            ),
            Tree::Unspecified => self.fault(node, "nothing stands here", "expected a value"),
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<Typed> {
        Some(match literal {
            LiteralValue::Boolean(value) => (Expr::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => {
                let value = *value.inner();
                (Expr::Int(value), Type::Int(value, value))
            }
            LiteralValue::UInt(value) => {
                let Ok(value) = i64::try_from(*value.inner()) else {
                    return self.fault(node, "the number is too large", "expected an int");
                };
                (Expr::Int(value), Type::Int(value, value))
            }
            LiteralValue::String(text) => (Expr::Text(text.inner().into()), Type::ANY_TEXT),
            LiteralValue::Null => {
                let hint = "whether a record says something is asked by `has(event.…)`";
                return self.fault(node, "`null` cannot stand here", hint);
            }
            LiteralValue::Double(_) | LiteralValue::Bytes(_) => {
                let hint = "expected text, a whole number, `true` or `false`";
                return self.fault(node, "no field has a value of this type", hint);
            }
        })
    }

    /// A field by its path, or what a quantifier goes over.
    fn path(&mut self, node: &IdedExpr) -> Option<Typed> {
        if let Tree::Select(select) = &node.expr
            && select.test
        {
            return self.has(node);
        }
        let path = self.dotted(node)?;
        if self.each.as_deref() == Some(path.as_str()) {
            return Some((Expr::Each, Type::ANY_TEXT));
        }
        if path.starts_with("lists.") {
            let hint = format!("a list stands at the right of `in`: `event.user in {path}`");
            return self.fault(node, "a list cannot stand here", hint);
        }
        let Some(field) = FIELDS.iter().find(|field| field.path == path) else {
            return self.no_field(node, &path);
        };
        self.there_is(node, field)?;
        Some((Expr::Field(field), field.ty))
    }

    /// Only who asks of a signal has `signal`.
    fn there_is(&mut self, node: &IdedExpr, field: &Field) -> Option<()> {
        if field.path.starts_with("signal.") && self.names.asked == Asked::Signal {
            let hint = "a signal of your own is raised by the event alone";
            return self.fault(node, "there is no `signal` here", hint);
        }
        Some(())
    }

    fn no_field<T>(&mut self, node: &IdedExpr, path: &str) -> Option<T> {
        let prefix = format!("{path}.");
        let inside: Vec<&str> = FIELDS
            .iter()
            .filter_map(|field| field.path.strip_prefix(prefix.as_str()))
            .map(|rest| rest.split('.').next().unwrap_or(rest))
            .collect();
        if !inside.is_empty() {
            let mut inside = inside;
            inside.dedup();
            let message = format!("{} is no value of its own", quoted(path));
            let hint = format!("it has: {}", inside.join(", "));
            return self.fault(node, message, hint);
        }
        if let Some(name) = path.strip_prefix("list.") {
            let hint = format!("did you mean `lists.{name}`?");
            return self.fault(node, format!("there is no field {}", quoted(path)), hint);
        }
        let paths = FIELDS.iter().map(|field| field.path);
        let hint = match nearest(path, paths).or_else(|| by_last_name(path)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "docs/policy-reference.md lists the fields".to_owned(),
        };
        self.fault(node, format!("there is no field {}", quoted(path)), hint)
    }

    fn has(&mut self, node: &IdedExpr) -> Option<Typed> {
        let path = self.dotted(node)?;
        if let Some(field) = FIELDS.iter().find(|field| field.path == path) {
            self.there_is(node, field)?;
            return Some((Expr::Has(field), Type::Bool));
        }
        let prefix = format!("{path}.");
        let kinds = FIELDS
            .iter()
            .filter(|field| field.path.starts_with(&prefix))
            .fold(Kinds::NONE, |kinds, field| kinds.or(field.kinds));
        if kinds == Kinds::NONE {
            return self.no_field(node, &path);
        }
        Some((Expr::Is(kinds), Type::Bool))
    }

    /// `a.b.c` as text.
    fn dotted(&mut self, node: &IdedExpr) -> Option<String> {
        match &node.expr {
            Tree::Ident(name) => Some(name.clone()),
            Tree::Select(select) => {
                let before = self.dotted(&select.operand)?;
                Some(format!("{before}.{}", select.field))
            }
            _ => {
                let hint = "expected a field, `event.…`";
                self.fault(node, "only fields of the event have fields", hint)
            }
        }
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Typed> {
        let sides = match &call.args[..] {
            [left, right] if call.target.is_none() => Some((left, right)),
            _ => None,
        };
        let name = call.func_name.as_str();
        match (name, sides) {
            (op::LOGICAL_AND, Some((left, right))) => {
                let sides = self.booleans(left, right)?;
                Some((Expr::And(Box::new(sides)), Type::Bool))
            }
            (op::LOGICAL_OR, Some((left, right))) => {
                let sides = self.booleans(left, right)?;
                Some((Expr::Or(Box::new(sides)), Type::Bool))
            }
            (op::IN, Some((left, right))) => self.contained(node, left, right),
            (_, Some((left, right))) if let Some(comparison) = comparison(name) => {
                self.compare(node, comparison, left, right)
            }
            (_, Some((left, right))) if let Some(arithmetic) = arithmetic(name) => {
                let (left, right) = (self.int(left), self.int(right));
                let sides = Box::new([left?, right?]);
                Some((Expr::Arithmetic(arithmetic, sides), Type::ANY_INT))
            }
            (op::LOGICAL_NOT, _) => {
                let [of] = &call.args[..] else { return None };
                let typed = self.expr(of)?;
                let of = self.boolean(of, typed)?;
                Some((Expr::Not(Box::new(of)), Type::Bool))
            }
            (op::CONDITIONAL, _) => self.conditional(call),
            (op::NEGATE, _) => {
                let [of] = &call.args[..] else { return None };
                let of = self.int(of)?;
                let sides = Box::new([Expr::Int(0), of]);
                Some((Expr::Arithmetic(Arithmetic::Subtract, sides), Type::ANY_INT))
            }
            _ => self.function(node, call),
        }
    }

    fn conditional(&mut self, call: &CallExpr) -> Option<Typed> {
        let [condition, yes, no] = &call.args[..] else {
            return None;
        };
        let typed = self.expr(condition)?;
        let test = self.boolean(condition, typed);
        let (yes_typed, no_typed) = (self.expr(yes), self.expr(no));
        let (test, (yes_expr, yes_type), (no_expr, no_type)) = (test?, yes_typed?, no_typed?);
        if yes_type.name() != no_type.name() {
            let message = format!(
                "one side is {}, the other {}",
                yes_type.name(),
                no_type.name()
            );
            return self.fault(no, message, "both sides of `? :` have the same type");
        }
        let ty = match yes_type {
            Type::Int(..) => Type::ANY_INT,
            Type::Text(_) => Type::ANY_TEXT,
            other => other,
        };
        Some((Expr::If(Box::new([test, yes_expr, no_expr])), ty))
    }

    fn booleans(&mut self, left: &IdedExpr, right: &IdedExpr) -> Option<[Expr; 2]> {
        let left_typed = self.expr(left);
        let left = left_typed.and_then(|typed| self.boolean(left, typed));
        let right_typed = self.expr(right);
        let right = right_typed.and_then(|typed| self.boolean(right, typed));
        Some([left?, right?])
    }

    fn boolean(&mut self, node: &IdedExpr, (expr, ty): Typed) -> Option<Expr> {
        if ty == Type::Bool {
            return Some(expr);
        }
        let message = format!("this is {}, not true or false", a(ty));
        let hint = match ty {
            Type::Text(_) => "compare it: `… == \"…\"`",
            Type::Int(..) => "compare it: `… == 0`",
            Type::Address | Type::User | Type::Texts => "look for it in a list: `… in lists.…`",
            _ => "compare it",
        };
        self.fault(node, message, hint)
    }

    fn int(&mut self, node: &IdedExpr) -> Option<Expr> {
        match self.expr(node)? {
            (expr, Type::Int(..)) => Some(expr),
            (_, ty) => self.fault(
                node,
                format!("this is {}", a(ty)),
                "expected a whole number",
            ),
        }
    }

    fn compare(
        &mut self,
        node: &IdedExpr,
        comparison: Comparison,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Option<Typed> {
        let (left_typed, right_typed) = (self.expr(left), self.expr(right));
        let ((left_expr, left_type), (right_expr, right_type)) = (left_typed?, right_typed?);
        let orders = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
        let comparable = match (left_type, right_type) {
            (Type::Bool, Type::Bool) | (Type::Address, Type::Address) => !orders,
            (Type::Int(..), Type::Int(..))
            | (Type::Text(_), Type::Text(_))
            | (Type::Time, Type::Time) => true,
            _ => false,
        };
        if !comparable {
            let message = format!("{} is compared with {}", a(left_type), a(right_type));
            let hint = match (left_type, right_type) {
                (Type::Address, _) | (_, Type::Address) => {
                    "write `ip(\"203.0.113.7\")`, or `cidr(\"203.0.113.0/24\").containsIP(…)`"
                }
                (Type::User, _) | (_, Type::User) => {
                    "compare `event.user.id` or `event.user.name`, or look `in lists.…`"
                }
                (Type::Texts, _) | (_, Type::Texts) => "look in it: `\"…\" in event.…`",
                (Type::Time, _) | (_, Type::Time) => "write `timestamp(\"2026-11-24T08:00:00Z\")`",
                _ => "both sides have the same type",
            };
            return self.fault(node, message, hint);
        }
        self.check_domain(left_type, right, &right_expr);
        self.check_domain(right_type, left, &left_expr);
        if let (Type::Int(low, high), Type::Int(from, to)) = (left_type, right_type)
            && let Some(answer) = always(comparison, (low, high), (from, to))
        {
            let (ours, theirs) = if low == high { (from, to) } else { (low, high) };
            let hint = format!("it is from {ours} to {theirs}");
            return self.constant(node, answer, hint);
        }
        if matches!((&left_expr, &right_expr), (Expr::Field(a), Expr::Field(b)) if a.path == b.path)
        {
            return self.constant(
                node,
                comparison_of_same(comparison),
                "both sides are the same",
            );
        }
        let sides = Box::new([left_expr, right_expr]);
        Some((Expr::Compare(comparison, sides), Type::Bool))
    }

    fn constant<T>(&mut self, node: &IdedExpr, answer: bool, hint: impl Into<String>) -> Option<T> {
        let message = format!("this is always {answer}");
        self.fault_by(CONSTANT, node, message, hint)
    }

    /// A text that is held against a field that never has it.
    fn check_domain(&mut self, ty: Type, node: &IdedExpr, literal: &Expr) {
        let (Type::Text(domain), Expr::Text(text)) = (ty, literal) else {
            return;
        };
        match domain {
            Domain::Any => {}
            Domain::Closed(known) if !known.contains(&&**text) => {
                let message = format!("it is never {}", quoted(text));
                self.fault_by::<()>(CONSTANT, node, message, suggestion(text, known));
            }
            Domain::Open(known) if !known.contains(&&**text) => {
                let fault = Fault {
                    at: self.span(node),
                    rule: UNKNOWN_VALUE,
                    message: format!("{} is no name that evictd knows here", quoted(text)),
                    hint: suggestion(text, known),
                };
                self.warnings.push(fault);
            }
            Domain::Country if !is_country(text) => {
                let message = format!("a country is never {}", quoted(text));
                let hint = "expected two capital letters of ISO 3166-1, `FR`";
                self.fault_by::<()>(CONSTANT, node, message, hint);
            }
            Domain::Closed(_) | Domain::Open(_) | Domain::Country => {}
        }
    }

    /// `x in …`.
    fn contained(&mut self, node: &IdedExpr, left: &IdedExpr, right: &IdedExpr) -> Option<Typed> {
        let typed = self.expr(left);
        if let Tree::List(list) = &right.expr {
            let (of, ty) = typed?;
            return self.in_literal(right, of, ty, &list.elements);
        }
        let path = self.dotted(right)?;
        if let Some(name) = path.strip_prefix("lists.") {
            let (of, ty) = typed?;
            return self.in_list(node, right, of, ty, name);
        }
        let field = FIELDS.iter().find(|field| field.path == path);
        let Some(field) = field else {
            return self.no_field(right, &path);
        };
        let (of, ty) = typed?;
        match (field.ty, ty) {
            (Type::Texts, Type::Text(_)) => Some((Expr::InField(Box::new(of), field), Type::Bool)),
            (Type::Texts, other) => self.fault(
                left,
                format!("this is {}", a(other)),
                "the list holds texts",
            ),
            (other, _) => {
                let hint = "expected `[\"…\", \"…\"]`, `lists.…` or a field that is a list";
                self.fault(right, format!("{} is {}", quoted(&path), a(other)), hint)
            }
        }
    }

    fn in_literal(
        &mut self,
        list: &IdedExpr,
        of: Expr,
        ty: Type,
        elements: &[IdedExpr],
    ) -> Option<Typed> {
        if elements.is_empty() {
            return self.constant(list, false, "the list is empty");
        }
        let before = self.faults.len();
        let mut texts = Vec::new();
        let mut ints = Vec::new();
        for element in elements {
            match (self.expr(element)?, ty) {
                ((literal @ Expr::Text(_), _), Type::Text(_)) => {
                    self.check_domain(ty, element, &literal);
                    if let Expr::Text(text) = literal {
                        texts.push(text);
                    }
                }
                ((Expr::Int(int), _), Type::Int(low, high)) => {
                    if (low..=high).contains(&int) {
                        ints.push(int);
                    } else {
                        let message = format!("it is never {int}");
                        let hint = format!("it is from {low} to {high}");
                        self.fault_by::<()>(CONSTANT, element, message, hint);
                    }
                }
                _ => {
                    let hint = format!("expected values like the left side, {}", a(ty));
                    self.fault::<()>(element, "this cannot be found in it", hint);
                }
            }
        }
        if self.faults.len() > before {
            return None;
        }
        let of = Box::new(of);
        Some(if texts.is_empty() {
            (Expr::InInts(of, ints.into_iter().collect()), Type::Bool)
        } else {
            (Expr::InTexts(of, texts.into_iter().collect()), Type::Bool)
        })
    }

    fn in_list(
        &mut self,
        node: &IdedExpr,
        right: &IdedExpr,
        of: Expr,
        ty: Type,
        name: &str,
    ) -> Option<Typed> {
        let Some(list) = self.names.lists.get(name) else {
            let names = self.names.lists.keys().map(|key| &**key);
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `lists.{near}`?"),
                None => "define it under `lists` in a file of the folder".to_owned(),
            };
            return self.fault(right, format!("there is no list {}", quoted(name)), hint);
        };
        let fits = matches!(
            (&**list, ty),
            (List::Users(_), Type::User)
                | (List::Networks(_), Type::Address)
                | (List::Asns(_), Type::Int(..))
                | (List::Countries(_) | List::Texts(_), Type::Text(_))
        );
        if !fits {
            let message = format!("{} is looked for among {}", a(ty), list.of());
            let hint = match &**list {
                List::Users(_) => "expected `event.user`",
                List::Networks(_) => "expected `event.network.address`",
                List::Asns(_) => "expected `event.network.asn`",
                List::Countries(_) => "expected `event.network.country`",
                List::Texts(_) => "expected a string",
            };
            return self.fault(node, message, hint);
        }
        let list = std::sync::Arc::clone(list);
        Some((Expr::InList(Box::new(of), list), Type::Bool))
    }

    /// `list.exists(x, …)` and `list.all(x, …)`, which the parser has unrolled.
    fn quantifier(&mut self, node: &IdedExpr, unrolled: &ComprehensionExpr) -> Option<Typed> {
        let other = "of CEL's macros there are `has`, `exists` and `all`";
        let (Tree::Literal(LiteralValue::Boolean(start)), Tree::Call(step)) =
            (&unrolled.accu_init.expr, &unrolled.loop_step.expr)
        else {
            return self.fault(node, "this macro cannot stand here", other);
        };
        let exists = match (*start.inner(), step.func_name.as_str()) {
            (false, op::LOGICAL_OR) => true,
            (true, op::LOGICAL_AND) => false,
            _ => return self.fault(node, "this macro cannot stand here", other),
        };
        let [_, predicate] = &step.args[..] else {
            return None;
        };
        if self.each.is_some() {
            let hint = "one `exists` or `all` goes over one list";
            return self.fault(node, "a loop within a loop", hint);
        }
        let list: &'static Field = match self.expr(&unrolled.iter_range)? {
            (Expr::Field(field), Type::Texts) => field,
            (_, ty) => {
                let hint = "expected a field that is a list, `event.sign_in.methods`";
                return self.fault(&unrolled.iter_range, format!("this is {}", a(ty)), hint);
            }
        };
        self.each = Some(unrolled.iter_var.clone());
        let typed = self.expr(predicate);
        let of = typed.and_then(|typed| self.boolean(predicate, typed));
        self.each = None;
        let of = Box::new(of?);
        let expr = if exists {
            Expr::Exists(list, of)
        } else {
            Expr::All(list, of)
        };
        Some((expr, Type::Bool))
    }

    fn fault<T>(
        &mut self,
        node: &IdedExpr,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.fault_by(SYNTAX, node, message, hint)
    }

    fn fault_by<T>(
        &mut self,
        rule: Rule,
        node: &IdedExpr,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault {
                at: self.span(node),
                rule,
                message: message.into(),
                hint: hint.into(),
            });
        }
        None
    }

    fn span(&self, node: &IdedExpr) -> (usize, usize) {
        span(self.text, self.parsed, node)
    }
}

/// The only field of that last name, e.g. for `event.country`.
fn by_last_name(path: &str) -> Option<&'static str> {
    let last = path.rsplit('.').next()?;
    let mut found = FIELDS
        .iter()
        .map(|field| field.path)
        .filter(|known| known.rsplit('.').next() == Some(last));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// The type with its article.
fn a(ty: Type) -> String {
    match ty {
        Type::Int(..) | Type::Address => format!("an {}", ty.name()),
        _ => format!("a {}", ty.name()),
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        op::EQUALS => Comparison::Equal,
        op::NOT_EQUALS => Comparison::Unequal,
        op::LESS => Comparison::Less,
        op::LESS_EQUALS => Comparison::AtMost,
        op::GREATER => Comparison::More,
        op::GREATER_EQUALS => Comparison::AtLeast,
        _ => return None,
    })
}

fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        op::ADD => Arithmetic::Add,
        op::SUBSTRACT => Arithmetic::Subtract,
        op::MULTIPLY => Arithmetic::Multiply,
        _ => return None,
    })
}

/// What a comparison of a value with itself comes to.
fn comparison_of_same(comparison: Comparison) -> bool {
    matches!(
        comparison,
        Comparison::Equal | Comparison::AtMost | Comparison::AtLeast
    )
}

/// The only answer that a comparison of two ranges can have.
fn always(comparison: Comparison, left: (i64, i64), right: (i64, i64)) -> Option<bool> {
    let ((low, high), (from, to)) = (left, right);
    let apart = high < from || low > to;
    let single = low == high && from == to && low == from;
    match comparison {
        Comparison::Equal if apart => Some(false),
        Comparison::Equal if single => Some(true),
        Comparison::Unequal if apart => Some(true),
        Comparison::Unequal if single => Some(false),
        Comparison::Less if high < from => Some(true),
        Comparison::Less if low >= to => Some(false),
        Comparison::AtMost if high <= from => Some(true),
        Comparison::AtMost if low > to => Some(false),
        Comparison::More | Comparison::AtLeast => always(comparison.turned(), right, left),
        _ => None,
    }
}
