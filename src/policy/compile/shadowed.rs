//! Rungs that another rung of the same policy makes idle.
//!
//! Invariant: nothing is warned of that could matter. What scores there can be
//! is bounded from both sides by the weights (the least and the most that so
//! many families come to), so a rung counts as idle only where no score at all
//! lies between it and the rungs above.

use std::collections::BTreeMap;

use super::{Compiler, PlacedRung};
use crate::model::{Family, SignalName};
use crate::policy::score::noisy_or;
use crate::policy::{Rung, Weight};

impl Compiler<'_> {
    /// Rungs that are never the highest one reached, and rungs that do what the
    /// next one down would do anyway. `rungs` are highest first.
    pub(super) fn warn_of_shadows(
        &mut self,
        weights: &BTreeMap<SignalName, Weight>,
        rungs: &[PlacedRung],
    ) {
        let scores = Scores::of(weights);
        for (index, placed) in rungs.iter().enumerate() {
            let above = &rungs[..index];
            if let Some(nearest) = above.last()
                && scores.could_reach(&placed.rung)
                && !scores.could_stop_at(&placed.rung, above)
            {
                let message = format!(
                    "the rung at {} is never the one that counts",
                    placed.rung.at
                );
                let hint = format!(
                    "whatever reaches it reaches a higher one too, such as that at {}",
                    nearest.rung.at
                );
                self.warnings
                    .report_rule("shadowed-rung", placed.at, message, hint);
            }
            if let Some(below) = rungs.get(index + 1)
                && says_the_same(&placed.rung, &below.rung)
            {
                let message = format!(
                    "the rung at {} says what the one at {} says already",
                    placed.rung.at, below.rung.at
                );
                let hint = "leave one of them out, or let them differ";
                self.warnings
                    .report_rule("redundant-rung", placed.at, message, hint);
            }
        }
    }
}

/// Whether the lower rung is reached wherever the higher is, and calls for the
/// same.
fn says_the_same(higher: &Rung, lower: &Rung) -> bool {
    lower.families <= higher.families
        && lower.intent == higher.intent
        && lower.actions == higher.actions
}

/// The least and the most that signals of 1, 2, … families come to.
struct Scores(Vec<(u8, u8)>);

impl Scores {
    fn of(weights: &BTreeMap<SignalName, Weight>) -> Self {
        let mut ranges: BTreeMap<Family, (u8, u8)> = BTreeMap::new();
        for &Weight { family, weight } in weights.values() {
            let (least, most) = ranges.entry(family).or_insert((weight, weight));
            *least = weight.min(*least);
            *most = weight.max(*most);
        }
        let (mut least, mut most): (Vec<u8>, Vec<u8>) = ranges.into_values().unzip();
        least.sort_unstable();
        most.sort_unstable_by_key(|weight| std::cmp::Reverse(*weight));
        let of = |count: usize, weights: &[u8]| noisy_or(weights.iter().copied().take(count));
        Self(
            (1..=least.len())
                .map(|count| (of(count, &least), of(count, &most)))
                .collect(),
        )
    }

    fn could_reach(&self, rung: &Rung) -> bool {
        self.could_stop_at(rung, &[])
    }

    /// Whether some score reaches the rung and none of those above.
    fn could_stop_at(&self, rung: &Rung, above: &[PlacedRung]) -> bool {
        self.0.iter().zip(1_u8..).any(|(&(least, most), families)| {
            let lowest = least.max(rung.at);
            families >= rung.families
                && most >= lowest
                && above
                    .iter()
                    .all(|higher| families < higher.rung.families || lowest < higher.rung.at)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::PolicySet;
    use crate::policy::fixtures::{known, source};

    fn warned(signals: &str, rungs: &str) -> Vec<(&'static str, u32)> {
        let text =
            format!("policy: p\nowner: o\nwindow: 1h\nsignals: {signals}\nrungs:\n{rungs}\n");
        let set = PolicySet::compile(vec![source(&text)], &known());
        let set = set.unwrap_or_else(|errors| panic!("{errors}"));
        let line = |problem: &crate::policy::Problem| problem.place.map_or(0, |at| at.line - 5);
        set.warnings.iter().map(|w| (w.rule, line(w))).collect()
    }

    #[test]
    fn a_rung_that_a_higher_one_always_hides_is_warned_of() {
        const ASK: &str = "ask: {}, do: [revoke_sessions]";
        const DO: &str = "do: [confirm_compromised]";
        let two = "{ tor_exit: 70, session_hosting: 85 }";
        let weak = "{ tor_exit: 40, session_hosting: 85 }";
        type Case<'a> = (&'a str, String, &'a [(&'a str, u32)]);
        let table: &[Case<'_>] = &[
            // Nothing weighs from 60 to 69.
            (
                two,
                format!("  - {{ at: 70, {DO} }}\n  - {{ at: 60, {ASK} }}"),
                &[("shadowed-rung", 2)],
            ),
            (
                weak,
                format!("  - {{ at: 50, {DO} }}\n  - {{ at: 40, {ASK} }}"),
                &[],
            ),
            (
                two,
                format!("  - {{ at: 75, {DO} }}\n  - {{ at: 60, {ASK} }}"),
                &[],
            ),
            // Two families make at least 96, however weak the second.
            (
                two,
                format!("  - {{ at: 86, {DO} }}\n  - {{ at: 80, families: 2, {ASK} }}"),
                &[("shadowed-rung", 2)],
            ),
            // One family reaches the lower rung and not the higher.
            (
                two,
                format!("  - {{ at: 86, families: 2, {DO} }}\n  - {{ at: 80, {ASK} }}"),
                &[],
            ),
            // Hidden by the first, though not by the second.
            (
                two,
                format!(
                    "  - {{ at: 71, {DO} }}\n  - {{ at: 70, families: 2, {ASK} }}\n  - {{ at: 60, families: 2, {DO} }}"
                ),
                &[("shadowed-rung", 2), ("shadowed-rung", 3)],
            ),
            (
                two,
                format!("  - {{ at: 85, {DO} }}\n  - {{ at: 70, {DO} }}"),
                &[("redundant-rung", 1)],
            ),
            // The higher one asks for less.
            (
                two,
                format!("  - {{ at: 85, {DO} }}\n  - {{ at: 70, families: 2, {DO} }}"),
                &[("shadowed-rung", 2)],
            ),
            (
                two,
                format!("  - {{ at: 85, families: 2, {DO} }}\n  - {{ at: 70, {DO} }}"),
                &[("redundant-rung", 1)],
            ),
        ];
        for (signals, rungs, expected) in table {
            assert_eq!(warned(signals, rungs), *expected, "{signals}\n{rungs}");
        }
    }
}
