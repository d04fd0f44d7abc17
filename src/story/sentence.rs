//! Sentences: `09:20 a thief uses ana's session from hosting`.
//!
//! One line says when, who, what and where, in words that can be read aloud.
//! Invariant: a sentence is understood whole or not at all. A word that does
//! not belong is a fault at that word, with what could have stood there.

use super::cast::Cast;
use super::deed::{self, Act, Deed, UNSAID};
use super::names::{human, owner, person};
use super::risk::{Risk, risk};
use super::words::{Fault, Words, clock, seconds};

/// The most people that "others" may be: as many as an address is
/// remembered of, and more.
const OTHERS_MAX: u32 = 100;

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// At that second of that day; without a day, of the one before.
    Clock { day: Option<i64>, second: i64 },
    /// So many seconds after the line before.
    After(i64),
}

/// A sentence, understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sentence {
    /// `None` where none is to be said: in `given`.
    pub(super) when: Option<When>,
    pub(super) what: What,
    /// How long after it happened its record comes, in seconds.
    pub(super) late: i64,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// Somebody, or a thief in their name, does something.
    Deed(Deed),
    /// So many strangers sign in, or fail to, one a second.
    Others { count: u32, deed: Deed },
    /// Identity Protection speaks of a person.
    Risk(Risk),
    /// An administrator dismisses all risk of a person.
    RiskDismissed { who: String },
    /// Graph acknowledged that the person's sessions are revoked.
    Revoked { who: String },
    /// A human pauses unattended actions.
    Paused,
}

/// Reads a sentence that says when.
pub(super) fn timed(text: &str, cast: &Cast) -> Result<Sentence, Fault> {
    let mut words = Words::of(text);
    let when = when(&mut words)?;
    rest(&mut words, Some(when), cast)
}

/// Reads a sentence of ordinary days, which says no time.
pub(super) fn untimed(text: &str, cast: &Cast) -> Result<Sentence, Fault> {
    let mut words = Words::of(text);
    if words
        .peek()
        .is_some_and(|word| clock(word).is_some() || word == "day")
    {
        let hint = "`given` is what happens on each of the days before, at about nine";
        return Err(words.fault("no time is said here", hint));
    }
    rest(&mut words, None, cast)
}

fn rest(words: &mut Words<'_>, when: Option<When>, cast: &Cast) -> Result<Sentence, Fault> {
    let mut late = 0;
    let what = what(words, cast, &mut late)?;
    match words.peek() {
        None => Ok(Sentence { when, what, late }),
        Some(word) => {
            let message = format!("`{word}` does not belong here");
            Err(words.fault(message, "expected the sentence to end"))
        }
    }
}

fn when(words: &mut Words<'_>) -> Result<When, Fault> {
    const HINT: &str = "expected a time: `09:00`, `09:00:30`, `+5m`, `day 2 09:00`";
    let mut day = None;
    if words.eat("day") {
        let number = words.take("the day's number")?;
        day = number.parse::<i64>().ok().filter(|n| (1..=30).contains(n));
        if day.is_none() {
            let message = format!("`{number}` is not a day");
            return Err(words.fault_before(message, "expected a day from 1 to 30"));
        }
    }
    let word = words.take("its time")?;
    if let Some(after) = word.strip_prefix('+').and_then(seconds)
        && day.is_none()
    {
        return Ok(When::After(after));
    }
    match clock(word) {
        Some(second) => Ok(When::Clock { day, second }),
        None => Err(words.fault_before(format!("`{word}` is not a time"), HINT)),
    }
}

fn what(words: &mut Words<'_>, cast: &Cast, late: &mut i64) -> Result<What, Fault> {
    if words.eat("Identity Protection") {
        return Ok(What::Risk(risk(words, cast, late)?));
    }
    if words.eat("an administrator dismisses the risk of") {
        let who = person(words, cast)?.key.clone();
        return Ok(What::RiskDismissed { who });
    }
    if words.eat("evictd revokes") {
        let who = owner(words, cast)?;
        if !words.eat("sessions") {
            return Err(words.fault("what is revoked is not said", "expected `sessions`"));
        }
        return Ok(What::Revoked { who });
    }
    if words.eat("a human pauses evictd") {
        return Ok(What::Paused);
    }
    let number = words.peek().and_then(|word| word.parse::<u32>().ok());
    if let Some(count) = number {
        return others(words, cast, count, late);
    }
    let thief = words.eat("a thief");
    let who = if thief {
        None
    } else {
        Some(human(words, cast)?)
    };
    let (act, victim) = deed::act(words, cast, thief)?;
    let mut deed = Deed::new(act);
    deed.thief = thief;
    deed.who = who.or(victim).unwrap_or_default();
    deed::circumstances(words, cast, &mut deed, late)?;
    if deed.who.is_empty() {
        return Err(words.fault("it is not said in whose name", "expected `as PERSON`"));
    }
    if thief && deed.from.is_none() {
        let hint = "expected `from PLACE`: a thief has no home";
        return Err(words.fault("it is not said from where", hint));
    }
    Ok(What::Deed(deed))
}

fn others(words: &mut Words<'_>, cast: &Cast, count: u32, late: &mut i64) -> Result<What, Fault> {
    if !(1..=OTHERS_MAX).contains(&count) {
        let hint = format!("expected a number from 1 to {OTHERS_MAX}");
        return Err(words.fault(format!("{count} others are too few or too many"), hint));
    }
    words.take("a number")?;
    if !words.eat("others") && !words.eat("other") {
        return Err(words.fault("a number counts `others`", "expected `others`"));
    }
    let code = if words.eat("sign in") || words.eat("signs in") {
        0
    } else if words.eat("fail to sign in") || words.eat("fails to sign in") {
        UNSAID
    } else {
        let hint = "expected `sign in` or `fail to sign in (…)`";
        return Err(words.fault("others only sign in, or fail to", hint));
    };
    let mut deed = Deed::new(Act::SignIn { code });
    deed::circumstances(words, cast, &mut deed, late)?;
    if deed.from.is_none() {
        return Err(words.fault("it is not said from where", "expected `from PLACE`"));
    }
    Ok(What::Others { count, deed })
}
