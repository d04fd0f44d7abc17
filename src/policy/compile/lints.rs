//! What is written correctly and cannot work, or may not be meant.

use std::collections::BTreeMap;

use super::{Compiler, PlacedRung};
use crate::model::{Family, Intent, Mode, SignalName};
use crate::policy::fields::Fields;
use crate::policy::score::noisy_or;
use crate::policy::yaml::Node;
use crate::policy::{Guard, Scope, Weight};

/// Signals on which alone acting unattended is sound, because a human has
/// judged already (signals.md, "Independent evidence").
const DECISIVE: &[&str] = &[
    "risk.adminConfirmedUserCompromised",
    "risk.attemptedPrtAccess",
    "prt_by_device_code",
    "containment_evaded",
    "kit_user_agent",
];

impl Compiler<'_> {
    /// At three in the morning somebody asks whose policy this is.
    pub(super) fn check_owner(&mut self, fields: &Fields<'_>) {
        let Some(name) = fields
            .get("policy")
            .filter(|_| fields.get("owner").is_none())
        else {
            return;
        };
        let message = "the policy has no owner";
        let hint = "say whom to ask about it: `owner: identity-team`";
        self.warnings
            .report_rule("no-owner", name.place, message, hint);
    }

    /// A set that acts and protects nobody can lock out everybody.
    pub(super) fn check_protected(&mut self) {
        let Some(enforced) = self.enforced else {
            return;
        };
        // A guard that is written wrongly is told of already.
        let told = self.guard.is_none() && self.given.contains_key("guard");
        let protects = |guard: &Guard| !guard.protected.is_empty();
        if told || self.guard.as_ref().is_some_and(protects) {
            return;
        }
        let message = "the policy acts, and no account is protected from it";
        let hint = "list the break-glass accounts under `guard: { protected: { users: […] } }`";
        self.warnings
            .report_rule("no-protected-account", enforced, message, hint);
    }

    /// A scope that excludes all whom it names.
    pub(super) fn check_scope(&mut self, node: &Node, scope: &Scope) {
        if let Some(only) = &scope.only
            && only.within(&scope.exclude)
        {
            let message = "the policy is about nobody: all its users are excluded";
            let hint = "take somebody out of `exclude`";
            self.errors
                .report_rule("empty-scope", node.place, message, hint);
        }
    }

    /// A rung that nothing can reach does nothing, and its author believes
    /// that it does.
    pub(super) fn check_reach(
        &mut self,
        weights: &BTreeMap<SignalName, Weight>,
        rungs: &[PlacedRung],
    ) {
        let mut strongest: BTreeMap<Family, u8> = BTreeMap::new();
        for weight in weights.values() {
            let known = strongest.entry(weight.family).or_default();
            *known = (*known).max(weight.weight);
        }
        let most = noisy_or(strongest.values().copied());
        for placed in rungs {
            if usize::from(placed.rung.families) > strongest.len() {
                let message = format!("the rung asks for {} families", placed.rung.families);
                let names: Vec<&str> = strongest.keys().map(|f| f.as_str()).collect();
                let hint = format!("`signals` has {}: {}", names.len(), names.join(", "));
                self.errors
                    .report_rule("unreachable-rung", placed.families, message, hint);
            } else if placed.rung.at > most {
                let message = format!("no signals can reach {}", placed.rung.at);
                let terms: Vec<String> = strongest
                    .iter()
                    .map(|(family, weight)| format!("{family} {weight}"))
                    .collect();
                let hint = format!("the most is {} = {most}", terms.join(" ⊕ "));
                self.errors
                    .report_rule("unreachable-rung", placed.at, message, hint);
            }
        }
    }

    /// What locks out the user too is never done unattended.
    pub(super) fn check_approval(&mut self, mode: Option<Mode>, rungs: &[PlacedRung]) {
        if mode != Some(Mode::Enforce) {
            return;
        }
        for placed in rungs.iter().filter(|p| p.rung.intent == Intent::Do) {
            let mut actions = placed.actions.iter();
            let Some((kind, place)) = actions.find(|(kind, _)| kind.needs_approval()) else {
                continue;
            };
            let message = format!("`{kind}` is never done without a human's yes");
            let hint = "let the rung `ask`, or ask for it in a policy of its own";
            self.errors
                .report_rule("needs-approval", *place, message, hint);
        }
    }

    pub(super) fn warn_of_surprises(
        &mut self,
        mode: Option<Mode>,
        weights: &BTreeMap<SignalName, Weight>,
        rungs: &[PlacedRung],
    ) {
        if mode != Some(Mode::Enforce) {
            return;
        }
        for (i, placed) in rungs.iter().enumerate() {
            let rung = &placed.rung;
            let below = &rungs[i + 1..];
            match rung.intent {
                Intent::Do => self.warn_if_one_family_acts(placed, weights),
                Intent::Ask { .. } => {
                    if let Some(acting) = below.iter().find(|b| b.rung.intent == Intent::Do) {
                        let message = format!(
                            "the rung at {} asks, though the lower one at {} acts",
                            rung.at, acting.rung.at
                        );
                        let hint = "stronger evidence would only be asked about";
                        self.warnings
                            .report_rule("higher-rung-asks", placed.at, message, hint);
                    }
                }
            }
        }
    }

    fn warn_if_one_family_acts(
        &mut self,
        placed: &PlacedRung,
        weights: &BTreeMap<SignalName, Weight>,
    ) {
        if placed.rung.families > 1 {
            return;
        }
        let alone: Vec<String> = weights
            .iter()
            .filter(|(name, _)| !DECISIVE.contains(&name.as_str()))
            .filter(|(_, weight)| weight.weight >= placed.rung.at)
            .map(|(name, weight)| format!("{name} ({})", weight.weight))
            .collect();
        if !alone.is_empty() {
            let message = format!(
                "one signal alone acts unattended here: {}",
                alone.join(", ")
            );
            let hint = "ask for `families: 2`, or let the rung `ask`";
            self.warnings
                .report_rule("single-family-acts", placed.at, message, hint);
        }
    }
}
