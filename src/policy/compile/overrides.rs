//! Overrides: a policy as another file changes it, without editing it.
//!
//! Invariant: an override says what differs and nothing else: a key it names
//! stands for the policy's own, but weights are changed one by one (`off`
//! takes one out) and exceptions are added. Values keep the place where they
//! were written, so a mistake is shown in the file that made it.

use super::Compiler;
use super::policy::{KEYS, SIGNALS_MAX};
use crate::policy::fields::{Entry, Fields, entries};
use crate::policy::problem::{quoted, suggestion};
use crate::policy::yaml::{Node, Value};

impl Compiler<'_> {
    /// The policies, each as its override changes it.
    pub(super) fn overridden(&mut self, policies: &[Node], overrides: &[Node]) -> Vec<Node> {
        let mut merged = policies.to_vec();
        for root in overrides {
            let mut keys = vec!["override"];
            keys.extend(KEYS.iter().filter(|key| **key != "policy"));
            let Some(fields) = Fields::of(root, "the override", &keys, &mut self.errors) else {
                continue;
            };
            let Some(entry) = fields.entry("override") else {
                continue;
            };
            let Value::Text(name) = &entry.value.value else {
                let message = format!("`override` is {}", entry.value.seen());
                let hint = "expected the name of a policy";
                self.errors
                    .report_with_hint(entry.value.place, message, hint);
                continue;
            };
            let key = format!("override {name}");
            let message = format!("an override of {} is already in", quoted(name));
            if !self.is_first_at(&key, &message, entry.value.place) {
                continue;
            }
            match merged
                .iter_mut()
                .find(|policy| name_of(policy) == Some(name))
            {
                Some(policy) => self.merge(policy, root),
                None => {
                    let names: Vec<&str> = policies.iter().filter_map(name_of).collect();
                    let message = format!("there is no policy {}", quoted(name));
                    let hint = match names.is_empty() {
                        true => "include the policies that ship: `include: [shipped]`".to_owned(),
                        false => suggestion(name, &names),
                    };
                    self.errors
                        .report_with_hint(entry.value.place, message, hint);
                }
            }
        }
        merged
    }

    fn merge(&mut self, policy: &mut Node, change: &Node) {
        let changes = entries(change, "the override", &mut self.errors).unwrap_or_default();
        let Value::Map(pairs) = &mut policy.value else {
            return;
        };
        // What else it has is a problem already.
        for entry in changes.iter().filter(|entry| KEYS.contains(&entry.name)) {
            let known = pairs
                .iter_mut()
                .find(|(key, _)| matches!(&key.value, Value::Text(text) if text == entry.name));
            match known {
                Some((_, value)) if entry.name == "signals" => self.merge_signals(value, entry),
                Some((_, value)) if entry.name == "except" => add(value, entry.value),
                Some((_, value)) => *value = entry.value.clone(),
                None => pairs.push((entry.key.clone(), entry.value.clone())),
            }
        }
    }

    fn merge_signals(&mut self, signals: &mut Node, change: &Entry<'_>) {
        let Value::Map(pairs) = &mut signals.value else {
            return;
        };
        let changes = entries(change.value, "`signals`", &mut self.errors).unwrap_or_default();
        if changes.len() > SIGNALS_MAX {
            let message = format!("`signals` has {} entries", changes.len());
            let hint = format!("at most {SIGNALS_MAX} fit");
            self.errors
                .report_with_hint(change.value.place, message, hint);
            return;
        }
        for entry in changes {
            let index = pairs
                .iter()
                .position(|(key, _)| matches!(&key.value, Value::Text(text) if text == entry.name));
            let off = matches!(&entry.value.value, Value::Text(text) if text == "off")
                || matches!(entry.value.value, Value::Bool(false));
            match (index, off) {
                (Some(index), true) => {
                    pairs.remove(index);
                }
                (Some(index), false) => pairs[index].1 = entry.value.clone(),
                (None, false) => pairs.push((entry.key.clone(), entry.value.clone())),
                (None, true) => {
                    let message = format!("the policy does not weigh {}", quoted(entry.name));
                    let hint = "there is nothing to switch off";
                    self.errors.report_with_hint(entry.key.place, message, hint);
                }
            }
        }
    }
}

fn name_of(policy: &Node) -> Option<&str> {
    let Value::Map(pairs) = &policy.value else {
        return None;
    };
    pairs
        .iter()
        .find_map(|(key, value)| match (&key.value, &value.value) {
            (Value::Text(key), Value::Text(name)) if key == "policy" => Some(name.as_str()),
            _ => None,
        })
}

/// One list behind the other; what is no list is told when it is compiled.
fn add(known: &mut Node, more: &Node) {
    match (&mut known.value, &more.value) {
        (Value::List(items), Value::List(new)) => items.extend(new.iter().cloned()),
        _ => *known = more.clone(),
    }
}
