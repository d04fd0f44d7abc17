//! One policy's file, key by key.

use std::collections::BTreeMap;

use super::{Compiler, WINDOW_SECONDS};
use crate::model::{Family, Mode, PolicyName, SignalName, hash_of};
use crate::policy::condition::Asked;
use crate::policy::fields::{self, Fields, choice, duration, entries, number, or_default, text};
use crate::policy::lists;
use crate::policy::problem::{Place, nearest, quoted};
use crate::policy::yaml::{Node, Value};
use crate::policy::{Condition, Exception, Policy, Promotion, Scope, UserList, Weight};

/// Signals in one policy.
pub(super) const SIGNALS_MAX: usize = 200;
/// The length of a policy's name: it is a metric label.
const NAME_MAX: usize = 63;

/// A policy's keys.
pub(in crate::policy) const KEYS: &[&str] = &[
    "policy",
    "description",
    "owner",
    "mode",
    "window",
    "scope",
    "signals",
    "when",
    "except",
    "rungs",
    "promote",
];

impl Compiler<'_> {
    pub(super) fn policy(&mut self, root: &Node) -> Option<Policy> {
        let fields = Fields::of(root, "the policy", KEYS, &mut self.errors)?;
        let before = self.errors.count();
        let name = fields
            .require("policy", &mut self.errors)
            .and_then(|node| self.policy_name(node));
        let description = self.free_text(&fields, "description");
        let owner = self.free_text(&fields, "owner");
        self.check_owner(&fields);
        let mode = or_default(fields.get("mode"), Mode::Shadow, |node| self.mode(node));
        let window = fields
            .require("window", &mut self.errors)
            .and_then(|node| duration(node, "`window`", WINDOW_SECONDS, &mut self.errors));
        let scope = or_default(fields.get("scope"), Scope::default(), |node| {
            self.scope(node)
        });
        let weights = fields
            .require("signals", &mut self.errors)
            .and_then(|node| self.signals(node));
        let when = or_default(fields.get("when"), None, |node| {
            self.condition(node, "`when`", Asked::Policy).map(Some)
        });
        let exceptions = or_default(fields.get("except"), Vec::new(), |node| {
            self.exceptions(node)
        });
        let rungs = fields
            .require("rungs", &mut self.errors)
            .and_then(|node| self.rungs(node));
        let promote = or_default(fields.get("promote"), None, |node| {
            self.promotion(node).map(Some)
        });
        if let (Some(weights), Some(rungs)) = (&weights, &rungs) {
            self.check_reach(weights, rungs);
            self.check_approval(mode, rungs);
            if scope.as_ref().is_some_and(|scope| scope.workloads) {
                self.check_workloads(mode, rungs);
            }
            self.warn_of_surprises(mode, weights, rungs);
            self.warn_of_shadows(weights, rungs);
        }
        if let (Some(scope), Some(weights)) = (&scope, &weights) {
            if let (Some(Some(when)), Some(node)) = (&when, fields.get("when")) {
                self.check_condition(when, node, scope, weights);
            }
            self.check_exceptions(exceptions.as_deref(), &fields, scope, weights);
        }
        let policy = Policy {
            description,
            owner,
            mode: mode?,
            window: window?,
            scope: scope?,
            conditions: conditions_of(name.as_ref()?, when.as_ref()?, exceptions.as_ref()?),
            when: when?,
            exceptions: exceptions?,
            weights: weights?,
            rungs: rungs?.into_iter().map(|placed| placed.rung).collect(),
            promote: promote?,
            name: name?,
        };
        (self.errors.count() == before).then_some(policy)
    }

    fn policy_name(&mut self, node: &Node) -> Option<PolicyName> {
        let name = text(node, "`policy`", &mut self.errors)?;
        let fits = name.len() <= NAME_MAX
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            let message = format!("{} is not a name for a policy", quoted(name));
            let hint = format!(
                "expected a lower-case letter, then lower-case letters, digits and `-`, \
                 at most {NAME_MAX} in all"
            );
            self.errors.report_with_hint(node.place, message, hint);
            return None;
        }
        let message = format!("the policy {} is already in", quoted(name));
        if !self.is_first_at(&format!("policy {name}"), &message, node.place) {
            return None;
        }
        Some(PolicyName::new(name))
    }

    fn free_text(&mut self, fields: &Fields<'_>, key: &str) -> Box<str> {
        let node = fields.get(key);
        node.and_then(|node| text(node, &format!("`{key}`"), &mut self.errors))
            .unwrap_or_default()
            .into()
    }

    fn mode(&mut self, node: &Node) -> Option<Mode> {
        let modes = [Mode::Shadow, Mode::Approve, Mode::Enforce].map(|mode| (mode.as_str(), mode));
        let mode = choice(node, "`mode`", &modes, &mut self.errors);
        if mode == Some(Mode::Enforce) {
            self.enforced.get_or_insert(node.place);
        }
        mode
    }

    fn scope(&mut self, node: &Node) -> Option<Scope> {
        const KEYS: &[&str] = &["workloads", "users", "lists", "exclude"];
        let fields = Fields::of(node, "`scope`", KEYS, &mut self.errors)?;
        let workloads = or_default(fields.get("workloads"), false, |node| self.workloads(node));
        let chosen = fields.get("users").or(fields.get("lists"));
        let only = self.chosen_users(&fields).map(|only| chosen.map(|_| only));
        if let (Some(Some(only)), Some(node)) = (&only, chosen)
            && only.is_empty()
        {
            self.errors.report_with_hint(
                node.place,
                "`users` is empty: the policy would be about nobody",
                "leave `users` out for everybody",
            );
            return None;
        }
        let exclude = or_default(fields.get("exclude"), UserList::default(), |node| {
            const KEYS: &[&str] = &["users", "lists"];
            let fields = Fields::of(node, "`exclude`", KEYS, &mut self.errors)?;
            self.chosen_users(&fields)
        });
        let scope = Scope {
            workloads: workloads?,
            only: only?,
            exclude: exclude?,
        };
        self.check_names(node, &scope);
        self.check_scope(node, &scope);
        Some(scope)
    }

    /// The users that `users` and `lists` name together.
    pub(super) fn chosen_users(&mut self, fields: &Fields<'_>) -> Option<UserList> {
        let named = or_default(fields.get("users"), UserList::default(), |node| {
            fields::users(node, &mut self.errors)
        });
        let listed = or_default(fields.get("lists"), Vec::new(), |node| {
            lists::named_users(node, &self.lists, &mut self.errors)
        });
        let mut users = named?;
        for list in listed? {
            users.extend(list);
        }
        Some(users)
    }

    fn signals(&mut self, node: &Node) -> Option<BTreeMap<SignalName, Weight>> {
        let before = self.errors.count();
        let entries = entries(node, "`signals`", &mut self.errors)?;
        if entries.is_empty() || entries.len() > SIGNALS_MAX {
            let message = format!("`signals` has {} entries", entries.len());
            let hint = format!("expected 1 to {SIGNALS_MAX}, `name: weight`");
            self.errors.report_with_hint(node.place, message, hint);
            return None;
        }
        let mut weights = BTreeMap::new();
        for entry in entries {
            let family = self.family_of(entry.name, entry.key.place);
            let what = format!("the weight of {}", quoted(entry.name));
            let weight = match self.default_weight(entry.name, entry.value) {
                Some(weight) => Some(weight),
                None => number(entry.value, &what, 1..=100, &mut self.errors),
            };
            if let (Some(family), Some(weight)) = (family, weight) {
                weights.insert(SignalName::new(entry.name), Weight { family, weight });
            }
        }
        (self.errors.count() == before).then_some(weights)
    }

    /// The weight that a signal was defined with, where the policy says
    /// `default`.
    fn default_weight(&self, name: &str, value: &Node) -> Option<u8> {
        let Value::Text(text) = &value.value else {
            return None;
        };
        let own = self.signals.iter().find(|own| own.name.as_str() == name)?;
        (text == "default").then_some(own.weight)
    }

    fn family_of(&mut self, name: &str, place: Place) -> Option<Family> {
        if let Some(known) = self.known.iter().find(|known| known.name == name) {
            return Some(known.family);
        }
        let names = || self.known.iter().map(|known| known.name);
        if let Some(own) = self.signals.iter().find(|own| own.name.as_str() == name) {
            return Some(own.family);
        }
        if is_risk_name(name) {
            let hint = match nearest(name, names().filter(|n| n.starts_with("risk."))) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "it counts if Microsoft ever sends a risk of this type".to_owned(),
            };
            let message = format!("{} is not a risk type that evictd knows", quoted(name));
            self.warnings
                .report_rule("unknown-risk-type", place, message, hint);
            return Some(Family::MicrosoftRisk);
        }
        if self.given.contains_key(&format!("signal {name}")) {
            // It is defined, with a mistake that is told where it stands.
            return None;
        }
        let message = format!("{} is not a signal", quoted(name));
        let prefixed = format!("custom.{name}");
        let own = || self.signals.iter().map(|own| own.name.as_str());
        let detected = names().filter(|n| !n.starts_with("risk."));
        let hint = match nearest(name, detected.chain(own())) {
            _ if own().any(|own| own == prefixed) => format!("did you mean `{prefixed}`?"),
            Some(near) => format!("did you mean `{near}`?"),
            None if name.starts_with("custom.") => {
                "define it under `signals` in a file without a policy".to_owned()
            }
            None => "expected a signal of docs/signals.md, `risk.<type>`, or one of your own, \
                     `custom.<name>`"
                .to_owned(),
        };
        self.errors
            .report_rule("unknown-signal", place, message, hint);
        None
    }

    fn promotion(&mut self, node: &Node) -> Option<Promotion> {
        const KEYS: &[&str] = &["precision", "cases"];
        let fields = Fields::of(node, "`promote`", KEYS, &mut self.errors)?;
        let precision = fields
            .require("precision", &mut self.errors)
            .and_then(|node| {
                let precision = fields::percent(node, "`precision`", &mut self.errors)?;
                if precision == 100 {
                    let message = "no number of cases proves a precision of 100 %";
                    let hint =
                        "expected at most `99%`: the lower end of the interval is held against it";
                    self.errors.report_with_hint(node.place, message, hint);
                    return None;
                }
                Some(precision)
            });
        let cases = fields
            .require("cases", &mut self.errors)
            .and_then(|node| number(node, "`cases`", 1..=10_000, &mut self.errors));
        Some(Promotion {
            precision: precision?,
            cases: cases?,
        })
    }
}

/// Tells the conditions of one policy from those of another, and from what they
/// were before they were changed.
fn conditions_of(
    name: &PolicyName,
    when: &Option<Condition>,
    exceptions: &[Exception],
) -> Option<u64> {
    if when.is_none() && exceptions.is_empty() {
        return None;
    }
    let when = when.as_ref().map_or("", Condition::text);
    let mut text = format!("{name}\n{when}");
    for exception in exceptions {
        text.push_str(&format!(
            "\n{}\n{}\n{}",
            exception.name,
            exception.when.text(),
            exception.until
        ));
    }
    Some(hash_of(&text))
}

/// `risk.` and letters, as Microsoft writes its risk types.
fn is_risk_name(name: &str) -> bool {
    const RISK_NAME_MAX: usize = 69;
    name.len() <= RISK_NAME_MAX
        && name
            .strip_prefix("risk.")
            .is_some_and(|kind| !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphabetic()))
}
