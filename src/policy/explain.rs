//! Explanations: a verdict as one line of arithmetic.
//!
//! Invariant: what is said can be checked by hand against the policy file:
//! the weights are the file's, and noisy-OR over them gives the score.

use crate::model::{PolicyVerdict, RungVerdict};

/// One line: what counted, what it comes to, and what follows.
pub fn explain(verdict: &PolicyVerdict) -> String {
    let policy = &verdict.policy;
    if verdict.out_of_scope {
        return format!("{policy}: the user is out of its scope");
    }
    if verdict.families.is_empty() {
        return format!("{policy}: no signal that it weighs");
    }
    let terms: Vec<String> = verdict
        .families
        .iter()
        .map(|f| format!("{} {} ({})", f.family, f.weight, f.signal))
        .collect();
    let sum = format!("{policy}: {} = {}", terms.join(" ⊕ "), verdict.score);
    match (&verdict.rung, verdict.effect) {
        (Some(rung), Some(effect)) => format!(
            "{sum} ≥ {}, {} → {effect}: {}",
            rung.at,
            counted(verdict.families.len()),
            actions(rung)
        ),
        _ => format!("{sum}, {} → no rung", counted(verdict.families.len())),
    }
}

fn counted(families: usize) -> String {
    match families {
        1 => "1 family".to_owned(),
        n => format!("{n} families"),
    }
}

fn actions(rung: &RungVerdict) -> String {
    let names: Vec<&str> = rung.actions.iter().map(|a| a.as_str()).collect();
    names.join(", ")
}
