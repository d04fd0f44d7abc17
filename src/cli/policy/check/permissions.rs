//! Actions without their Graph permission.
//!
//! Invariant: what was granted is told on the command line, not read from the
//! daemon's configuration. What is granted stands in the tenant; a second list
//! of it in a file would go stale and nothing would heed it. A pull request's
//! check has no tenant to ask, but its author knows the list.

use crate::model::{ActionKind, Mode};
use crate::policy::{Policy, Problem, Rule, nearest};
use crate::respond::permission::{NEIGHBOURS, needed};

/// The rule of what is found here.
const MISSING: Rule = "missing-permission";
/// Names further apart than this are two permissions: there are hundreds, and
/// many are alike.
const TYPOS_MAX: usize = 2;

/// The permissions that a policy's actions need, each once, in the order of the
/// actions. In shadow nothing is done, so nothing is needed.
pub(super) fn of(policy: &Policy) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    if policy.mode != Mode::Shadow {
        for (kind, _) in policy.rungs.iter().flat_map(|rung| rung.placed()) {
            let name = needed(kind, policy.scope.workloads);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// Actions that would be refused by Graph for want of a permission.
pub(super) fn missing(policies: &[Policy], granted: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for policy in policies.iter().filter(|p| p.mode != Mode::Shadow) {
        for (kind, at) in policy.rungs.iter().flat_map(|rung| rung.placed()) {
            let name = needed(kind, policy.scope.workloads);
            if granted.iter().any(|granted| granted.trim() == name) {
                continue;
            }
            let message = format!("`{kind}` needs the Graph permission {name}");
            let hint = match kind {
                ActionKind::ResetPassword => "grant it, and a directory role, or take it out",
                _ => "grant it, or take the action out",
            };
            problems.push(at.saying(MISSING, message, Some(hint.to_owned())));
        }
    }
    problems
}

/// Names that are nearly a permission's, as a line for a human each. Others may
/// be permissions that evictd never needs.
pub(super) fn misspelt(granted: &[String]) -> Vec<String> {
    let names = granted.iter().map(|name| name.trim());
    names
        .filter(|name| !NEIGHBOURS.contains(name))
        .filter_map(|name| {
            let near = nearest(name, NEIGHBOURS.iter().copied())?;
            if strsim::osa_distance(name, near) > TYPOS_MAX {
                return None;
            }
            Some(format!(
                "--permissions: {name:?} is not a permission that evictd knows; did you mean {near}?"
            ))
        })
        .collect()
}
