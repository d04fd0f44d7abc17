//! Where a part of a condition stands in its text.
//!
//! The parser places a field by its dot and an operator by its sign, so what a
//! part spans comes from its own parts.

use cel::IdedExpr;
use cel::common::ast::{Expr as Tree, operators as op};

use crate::policy::condition::parse::Parsed;

/// The texts of the parts that `&&` joins.
pub(in crate::policy::condition) fn conjuncts(text: &str, parsed: &Parsed) -> Box<[Box<str>]> {
    let mut spans = Vec::new();
    collect_conjuncts(text, parsed, &parsed.root, &mut spans);
    spans
        .into_iter()
        .map(|(from, to)| Box::from(text.get(from..to).unwrap_or_default().trim()))
        .collect()
}

fn collect_conjuncts(
    text: &str,
    parsed: &Parsed,
    node: &IdedExpr,
    spans: &mut Vec<(usize, usize)>,
) {
    match &node.expr {
        Tree::Call(call) if call.func_name == op::LOGICAL_AND && call.target.is_none() => {
            for side in &call.args {
                collect_conjuncts(text, parsed, side, spans);
            }
        }
        _ => spans.push(span(text, parsed, node)),
    }
}

/// From and to, in bytes. The parser places a field by its dot and an
/// operator by its sign, so what a part spans comes from its own parts.
pub(super) fn span(text: &str, parsed: &Parsed, node: &IdedExpr) -> (usize, usize) {
    let own = parsed.places.offset_for(node.id);
    let own = own.map_or((0, 1), |(from, to)| (from as usize, to as usize + 1));
    let joined = |parts: &mut dyn Iterator<Item = &IdedExpr>| {
        parts.fold(own, |(from, to), part| {
            let (start, end) = span(text, parsed, part);
            (from.min(start), to.max(end))
        })
    };
    let (from, to) = match &node.expr {
        Tree::Select(select) if select.test => {
            let (from, to) = span(text, parsed, &select.operand);
            (from, to + 1 + select.field.len())
        }
        Tree::Select(select) => {
            let (from, _) = span(text, parsed, &select.operand);
            (from, own.0 + 1 + select.field.len())
        }
        Tree::Call(call) => {
            let mut parts = call.target.as_deref().into_iter().chain(&call.args);
            let (mut from, mut to) = joined(&mut parts);
            let named = call.func_name.starts_with(|c: char| c.is_alphabetic());
            if named {
                // The place is that of the bracket; the name is before it.
                from = from.min(own.0.saturating_sub(call.func_name.len()));
                let rest = text.get(to..).unwrap_or_default();
                to += rest.find(')').map_or(0, |at| at + 1);
            }
            (from, to)
        }
        Tree::List(list) => {
            let (from, to) = joined(&mut list.elements.iter());
            (from, to + 1)
        }
        Tree::Comprehension(unrolled) => {
            let (from, _) = span(text, parsed, &unrolled.iter_range);
            (from, own.1)
        }
        _ => own,
    };
    (from.min(text.len()), to.min(text.len()).max(from + 1))
}
