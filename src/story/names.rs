//! The names in a sentence: of people, places, devices and applications.
//!
//! Invariant: a name is one of the cast's, or a fault at that word with the
//! nearest that is.

use super::cast::{Cast, Person};
use super::words::{Fault, Words};
use crate::policy::problem::suggestion;

pub(super) fn once<T>(
    words: &mut Words<'_>,
    slot: &mut Option<T>,
    value: T,
    what: &str,
) -> Result<(), Fault> {
    if slot.is_some() {
        return Err(words.fault_before(format!("`{what}` stands twice"), "expected it once"));
    }
    *slot = Some(value);
    Ok(())
}

pub(super) fn named<'k>(
    words: &mut Words<'_>,
    what: &str,
    names: impl Iterator<Item = &'k String>,
) -> Result<String, Fault> {
    let word = words.take(what)?;
    let names: Vec<&str> = names.map(String::as_str).collect();
    if let Some(owner) = word
        .strip_suffix("'s")
        .filter(|owner| names.contains(owner))
    {
        let hint = format!(
            "expected `{owner} …`, or `a thief uses {word} session from PLACE`, or \
             `{owner} renews the session`"
        );
        return Err(words.fault_before(format!("`{word}` does nothing by itself"), hint));
    }
    if names.contains(&word) {
        return Ok(word.to_owned());
    }
    let hint = suggestion(word, &names);
    Err(words.fault_before(format!("`{word}` is not {what}"), hint))
}

pub(super) fn person<'c>(words: &mut Words<'_>, cast: &'c Cast) -> Result<&'c Person, Fault> {
    let key = named(words, "a person", cast.people.keys())?;
    Ok(&cast.people[&key])
}

/// Somebody who can sign in as users do.
pub(super) fn human(words: &mut Words<'_>, cast: &Cast) -> Result<String, Fault> {
    let person = person(words, cast)?;
    if person.service {
        let message = format!("`{}` is a service principal", person.key);
        let hint = "expected a person; of a service principal only its risk is told";
        return Err(words.fault_before(message, hint));
    }
    Ok(person.key.clone())
}

/// `ana's`.
pub(super) fn owner(words: &mut Words<'_>, cast: &Cast) -> Result<String, Fault> {
    let word = words.take("whose it is")?;
    let names: Vec<&str> = cast.people.keys().map(String::as_str).collect();
    let name = word.strip_suffix("'s").unwrap_or(word);
    if word.ends_with("'s") && names.contains(&name) {
        return Ok(name.to_owned());
    }
    let hint = if word.ends_with("'s") {
        suggestion(name, &names)
    } else {
        "expected somebody's: `ana's`".to_owned()
    };
    Err(words.fault_before(format!("`{word}` does not say whose"), hint))
}
