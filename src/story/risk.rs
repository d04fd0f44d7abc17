//! What Identity Protection says: `reports anomalousToken (high) of ana`.
//!
//! Invariant: Microsoft's types of risk are an open set, so any is taken but
//! one that is a slip from a known one: a story about a type that does not
//! exist would pass for the wrong reason.

use super::cast::Cast;
use super::names::{named, once, owner, person};
use super::words::{Fault, Words, lateness};
use crate::ruleset;

const LEVELS: [&str; 3] = ["low", "medium", "high"];

/// What is said of somebody's risk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Risk {
    pub(super) who: String,
    /// Microsoft's type of it.
    pub(super) kind: String,
    pub(super) level: &'static str,
    pub(super) state: &'static str,
    /// Whether it names the person's last sign-in.
    pub(super) of_sign_in: bool,
    pub(super) from: Option<String>,
}

pub(super) fn risk(words: &mut Words<'_>, cast: &Cast, late: &mut i64) -> Result<Risk, Fault> {
    let states = [
        ("reports", "atRisk"),
        ("dismisses", "dismissed"),
        ("remediates", "remediated"),
        ("confirms as safe", "confirmedSafe"),
    ];
    let found = states.iter().find(|(verb, _)| words.eat(verb));
    let Some((_, state)) = found else {
        let hint = "expected `reports`, `dismisses`, `remediates` or `confirms as safe`";
        return Err(words.fault("it is not said what Identity Protection does", hint));
    };
    let kind = words.take("the type of risk")?.to_owned();
    if let Some(meant) = misspelt_risk(&kind) {
        let message = format!("`{kind}` is no type of risk that is known");
        return Err(words.fault_before(message, format!("did you mean `{meant}`?")));
    }
    let at = words.next;
    let level = match words.parenthesis() {
        None => "high",
        Some(level) => match LEVELS.iter().find(|known| **known == level) {
            Some(level) => level,
            None => {
                words.next = at;
                let message = format!("`{level}` is not a level of risk");
                return Err(words.fault(message, "expected `low`, `medium` or `high`"));
            }
        },
    };
    if !words.eat("of") {
        return Err(words.fault("it is not said whose risk it is", "expected `of PERSON`"));
    }
    let of_sign_in = words.peek().is_some_and(|word| word.ends_with("'s"));
    let who = if of_sign_in {
        let who = owner(words, cast)?;
        if !words.eat("sign-in") {
            return Err(words.fault("what is at risk is not said", "expected `sign-in`"));
        }
        who
    } else {
        person(words, cast)?.key.clone()
    };
    let mut from = None;
    while words.peek().is_some() {
        if words.eat("from") {
            let place = named(words, "a place", cast.places.keys())?;
            once(words, &mut from, place, "from")?;
        } else if !lateness(words, late) {
            let seen = words.peek().unwrap_or_default();
            let message = format!("`{seen}` does not belong here");
            return Err(words.fault(message, "expected `from PLACE` or `2h late`"));
        }
    }
    Ok(Risk {
        who,
        kind,
        level,
        state,
        of_sign_in,
        from,
    })
}

/// The known type of risk that was meant: one or two slips away.
pub(super) fn misspelt_risk(kind: &str) -> Option<&'static str> {
    ruleset::known_signals()
        .iter()
        .filter_map(|known| known.name.strip_prefix("risk."))
        .map(|known| (strsim::osa_distance(kind, known), known))
        .min()
        .filter(|(slips, _)| (1..=2).contains(slips))
        .map(|(_, known)| known)
}
