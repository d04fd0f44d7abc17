//! Rules: every kind of problem by its name, with what it means.
//!
//! Invariant: a problem's rule is in this table, so that whoever reads a report
//! by machine, or mutes a rule in it, can look the rule up. A name is never
//! given another meaning; docs/policy-reference.md prints this table.

use super::problem::Rule;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It must be mended: the set does not load, or would not do what it says.
    Error,
    /// It works and may not be meant.
    Warning,
}

impl Level {
    /// The name in JSON, SARIF and for GitHub.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What is known of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleSpec {
    /// Its name, the same in every release.
    pub id: Rule,
    /// How bad it is.
    pub level: Level,
    /// What it finds, in one line.
    pub summary: &'static str,
    /// Why it matters and what to do, in one line.
    pub help: &'static str,
}

const fn error(id: Rule, summary: &'static str, help: &'static str) -> RuleSpec {
    RuleSpec {
        id,
        level: Level::Error,
        summary,
        help,
    }
}

const fn warning(id: Rule, summary: &'static str, help: &'static str) -> RuleSpec {
    RuleSpec {
        id,
        level: Level::Warning,
        summary,
        help,
    }
}

/// Every rule, by name.
pub const RULES: &[RuleSpec] = &[
    error(
        "constant-condition",
        "A condition is always true or always false, by its types or its values.",
        "It decides nothing: ask something of the event, or leave it out.",
    ),
    error(
        "empty-scope",
        "All the users that a policy is about are excluded.",
        "The policy is about nobody: take somebody out of `exclude`.",
    ),
    warning(
        "exception-expires",
        "An exception ends within fourteen days.",
        "What it excepts will count again: ask its owner whether it may.",
    ),
    error(
        "expired-exception",
        "An exception has ended.",
        "It excepts nothing any more: give it a later `until`, or take it out.",
    ),
    warning(
        "higher-rung-asks",
        "A rung asks although a lower one acts.",
        "Stronger evidence would only be asked about: let the higher rung act, or the lower ask.",
    ),
    error(
        "invalid",
        "The file is not written as it must be: YAML, keys, types, names, units, bounds.",
        "The message says what was seen and what was expected; `evictd policy schema` lets an \
         editor say it while you type.",
    ),
    error(
        "matches-nothing",
        "A condition speaks of signals that its policy does not weigh, or of users it is not about.",
        "It can never hold: name what the policy weighs, or change its scope.",
    ),
    error(
        "missing-permission",
        "A policy calls for an action whose Graph permission is not among `--permissions`.",
        "Graph would refuse it when it is needed: grant the permission, or take the action out.",
    ),
    error(
        "needs-approval",
        "A rung would do unattended what only a human may order.",
        "What locks out the user too is only done after a yes: let the rung `ask`.",
    ),
    warning(
        "no-owner",
        "A policy has no owner.",
        "Whoever is locked out by it finds nobody to ask: set `owner`.",
    ),
    warning(
        "no-protected-account",
        "A policy acts, and the guard protects no account.",
        "A false storm could lock out everybody: list the break-glass accounts.",
    ),
    warning(
        "redundant-rung",
        "A rung says what the next one down says already.",
        "Either is enough: leave one of them out, or let them differ.",
    ),
    warning(
        "shadowed-rung",
        "Whatever reaches a rung reaches a higher one too, which then counts.",
        "It never counts: change a bar, or leave the rung out.",
    ),
    warning(
        "single-family-acts",
        "One signal alone is enough for a rung to act unattended.",
        "One source can have a bad night: ask for `families: 2`, or let the rung `ask`.",
    ),
    warning(
        "unknown-risk-type",
        "A policy weighs a risk type that evictd does not know.",
        "It counts if Microsoft ever sends it: look at its spelling.",
    ),
    error(
        "unknown-signal",
        "A policy weighs a signal that nothing raises.",
        "It would never count: see docs/signals.md for the names, or define it.",
    ),
    warning(
        "unknown-value",
        "A condition compares with a name that Entra is not known to send.",
        "It holds if Microsoft ever sends it: look at its spelling.",
    ),
    error(
        "unreachable-rung",
        "No combination of the policy's signals reaches a rung.",
        "It never does anything: lower its bar, or weigh more kinds of evidence.",
    ),
];

/// The rule of that name.
pub(super) fn find(id: &str) -> Option<&'static RuleSpec> {
    RULES.iter().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_in_the_order_of_their_names_each_once() {
        assert!(RULES.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}
