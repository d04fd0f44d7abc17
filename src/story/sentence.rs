//! Sentences: `09:20 a thief uses ana's session from hosting`.
//!
//! One line says when, who, what and where, in words that can be read aloud.
//! Invariant: a sentence is understood whole or not at all. A word that does
//! not belong is a fault at that word, with what could have stood there.

use super::cast::{Cast, Person};
use super::words::{Fault, Words, clock, seconds};
use crate::policy::problem::{nearest, suggestion};
use crate::ruleset;

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
    Risk {
        who: String,
        kind: String,
        level: &'static str,
        state: &'static str,
        /// Whether it names the person's last sign-in.
        of_sign_in: bool,
        from: Option<String>,
    },
    /// An administrator dismisses all risk of a person.
    RiskDismissed { who: String },
    /// Graph acknowledged that the person's sessions are revoked.
    Revoked { who: String },
    /// A human pauses unattended actions.
    Paused,
}

/// A deed and its circumstances.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deed {
    pub(super) who: String,
    pub(super) thief: bool,
    pub(super) act: Act,
    pub(super) from: Option<String>,
    pub(super) on: Option<String>,
    pub(super) to: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) by: Vec<How>,
    pub(super) session: Option<String>,
    pub(super) login: Option<String>,
    pub(super) bound: Option<bool>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// An interactive sign-in with that outcome; 0 is success.
    SignIn { code: i64 },
    /// A token is had without a human, in one's own session.
    Renew,
    /// The same in the victim's session.
    UseSession,
    /// Microsoft Graph is called in the session.
    CallGraph,
    /// The directory is changed: the audit's activity.
    Change {
        activity: &'static str,
        app: Option<String>,
        permissions: Vec<String>,
    },
}

/// How the sign-in is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    DeviceCode,
    Password,
    Prt,
    Claim,
}

/// Outcomes by name, for those who do not know the codes by heart.
const OUTCOMES: [(&str, i64); 9] = [
    ("wrong password", 50_126),
    ("locked", 50_053),
    ("no such user", 50_034),
    ("disabled", 50_057),
    ("blocked", 53_003),
    ("not compliant", 53_000),
    ("asked for MFA", 50_074),
    ("asked to stay signed in", 50_140),
    ("asked whether wanted", 50_199),
];
/// The second factor was denied, or not given in time.
pub(super) const DENIED: i64 = 500_121;

/// A failure of which it is not said yet why.
const UNSAID: i64 = -1;

const LEVELS: [&str; 3] = ["low", "medium", "high"];

/// Changes of the directory: what is said, and the audit's activity.
const CHANGES: [(&str, &str); 5] = [
    ("registers a device", "Register device"),
    ("adds a method", "User registered security info"),
    ("changes a method", "User updated security info"),
    ("removes a method", "User deleted security info"),
    ("makes an inbox rule", "New-InboxRule"),
];

const VERBS: &str = "`signs in`, `fails to sign in (…)`, `denies MFA`, `renews the session`, \
     `calls Graph`, `registers a device`, `adds a method`, `changes a method`, \
     `removes a method`, `makes an inbox rule`, `consents to APP with PERMISSION`";
const VERB_PHRASES: [&str; 11] = [
    "signs in",
    "fails to sign in",
    "denies MFA",
    "renews the session",
    "uses PERSON's session",
    "calls Graph",
    "registers a device",
    "changes a method",
    "removes a method",
    "makes an inbox rule",
    "consents to",
];
const CIRCUMSTANCE_WORDS: [&str; 5] = ["from", "with", "session", "bound", "unbound"];
const CIRCUMSTANCES: &str = "`from PLACE`, `on DEVICE`, `to APP`, `with USER-AGENT`, \
     `by device code|password|PRT|claim`, `in session NAME`, `in login NAME`, `bound`, \
     `unbound`, `2h late`";

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
        return risk(words, cast, late);
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
    let (act, victim) = act(words, cast, thief)?;
    let mut deed = Deed::new(act);
    deed.thief = thief;
    deed.who = who.or(victim).unwrap_or_default();
    circumstances(words, cast, &mut deed, late)?;
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
    circumstances(words, cast, &mut deed, late)?;
    if deed.from.is_none() {
        return Err(words.fault("it is not said from where", "expected `from PLACE`"));
    }
    Ok(What::Others { count, deed })
}

fn act(words: &mut Words<'_>, cast: &Cast, thief: bool) -> Result<(Act, Option<String>), Fault> {
    if words.eat("signs in") {
        return Ok((Act::SignIn { code: 0 }, None));
    }
    if words.eat("fails to sign in") {
        return Ok((Act::SignIn { code: UNSAID }, None));
    }
    if words.eat("denies MFA") {
        return Ok((Act::SignIn { code: DENIED }, None));
    }
    if words.eat("renews the session") {
        return Ok((Act::Renew, None));
    }
    if thief && words.eat("uses") {
        let who = owner(words, cast)?;
        if !words.eat("session") {
            return Err(words.fault("what is used is not said", "expected `session`"));
        }
        return Ok((Act::UseSession, Some(who)));
    }
    if words.eat("calls Graph") {
        return Ok((Act::CallGraph, None));
    }
    if words.eat("consents to") {
        return consent(words);
    }
    let change = CHANGES.iter().find(|(phrase, _)| words.eat(phrase));
    if let Some((_, activity)) = change {
        let act = Act::Change {
            activity,
            app: None,
            permissions: Vec::new(),
        };
        return Ok((act, None));
    }
    let seen = words.peek().map_or_else(
        || "nothing is done".to_owned(),
        |word| format!("`{word}` is nothing that somebody does"),
    );
    if let Some(near) = words.peek().and_then(|word| near(word, &VERB_PHRASES)) {
        return Err(words.fault(seen, format!("did you mean `{near}`?")));
    }
    let thiefs = if thief {
        ", `uses PERSON's session`"
    } else {
        ""
    };
    Err(words.fault(seen, format!("expected {VERBS}{thiefs}")))
}

/// The phrase whose first word was most likely meant.
fn near<'p>(word: &str, phrases: &[&'p str]) -> Option<&'p str> {
    let first = |phrase: &'p str| phrase.split(' ').next().unwrap_or(phrase);
    let found = nearest(word, phrases.iter().map(|phrase| first(phrase)))?;
    phrases
        .iter()
        .copied()
        .find(|phrase| first(phrase) == found)
}

fn consent(words: &mut Words<'_>) -> Result<(Act, Option<String>), Fault> {
    let app = words.take("the application's name")?.to_owned();
    if !words.eat("with") {
        return Err(words.fault("no permission is named", "expected `with Mail.Read`"));
    }
    let mut permissions = vec![words.take("a permission")?.to_owned()];
    while words.eat("and") {
        permissions.push(words.take("a permission")?.to_owned());
    }
    let act = Act::Change {
        activity: "Consent to application",
        app: Some(app),
        permissions,
    };
    Ok((act, None))
}

fn outcome(words: &mut Words<'_>) -> Result<i64, Fault> {
    let at = words.next;
    let names: Vec<&str> = OUTCOMES.iter().map(|(name, _)| *name).collect();
    let hint = format!(
        "expected an error code, `(50126)`, or one of: {}",
        names.join(", ")
    );
    let Some(inside) = words.parenthesis() else {
        return Err(words.fault("it is not said why", hint));
    };
    let named = OUTCOMES.iter().find(|(name, _)| *name == inside);
    let code = named.map(|(_, code)| *code).or_else(|| inside.parse().ok());
    code.filter(|code| *code > 0).ok_or_else(|| {
        words.next = at;
        words.fault(format!("`{inside}` is no reason to fail"), hint)
    })
}

fn circumstances(
    words: &mut Words<'_>,
    cast: &Cast,
    deed: &mut Deed,
    late: &mut i64,
) -> Result<(), Fault> {
    while let Some(word) = words.peek() {
        fits(words, deed, word)?;
        if words.eat("from") {
            let place = named(words, "a place", cast.places.keys())?;
            once(words, &mut deed.from, place, "from")?;
        } else if words.eat("on") {
            let device = named(words, "a device", cast.devices.keys())?;
            once(words, &mut deed.on, device, "on")?;
        } else if words.eat("to") {
            let app = named(words, "an application", cast.apps.keys())?;
            once(words, &mut deed.to, app, "to")?;
        } else if words.eat("with") {
            let agent = words.take("a user agent")?.to_owned();
            once(words, &mut deed.agent, agent, "with")?;
        } else if words.eat("as") {
            let who = human(words, cast)?;
            if !deed.who.is_empty() {
                return Err(words.fault_before("it is said twice who", "expected one name"));
            }
            deed.who = who;
        } else if words.eat("in session") {
            let name = words.take("the session's name")?.to_owned();
            once(words, &mut deed.session, name, "in session")?;
        } else if deed.act != Act::CallGraph && words.eat("in login") {
            let name = words.take("the login's name")?.to_owned();
            once(words, &mut deed.login, name, "in login")?;
        } else if words.eat("by") {
            let how = how(words)?;
            let again = matches!(deed.act, Act::Renew | Act::UseSession);
            if again && matches!(how, How::DeviceCode | How::Password) {
                let message = "a session that goes on began before";
                return Err(words.fault_before(message, "expected `by PRT` or `by claim`"));
            }
            deed.by.push(how);
        } else if deed.act == (Act::SignIn { code: UNSAID }) && words.at_parenthesis() {
            deed.act = Act::SignIn {
                code: outcome(words)?,
            };
        } else if words.eat("bound") {
            deed.bound = Some(true);
        } else if words.eat("unbound") {
            deed.bound = Some(false);
        } else if !lateness(words, late) {
            let seen = words.peek().unwrap_or_default();
            let message = format!("`{seen}` is no circumstance");
            if let Some(near) = near(seen, &CIRCUMSTANCE_WORDS) {
                return Err(words.fault(message, format!("did you mean `{near}`?")));
            }
            return Err(words.fault(message, format!("expected {CIRCUMSTANCES}")));
        }
    }
    if deed.act == (Act::SignIn { code: UNSAID }) {
        outcome(words)?;
    }
    Ok(())
}

/// A circumstance that no record of this deed would show is a mistake: to read
/// over it would be to test something else.
fn fits(words: &Words<'_>, deed: &Deed, word: &str) -> Result<(), Fault> {
    let shown: &[&str] = match &deed.act {
        Act::SignIn { .. } | Act::Renew | Act::UseSession => {
            &["from", "on", "to", "with", "by", "in", "bound", "unbound"]
        }
        Act::CallGraph => &["from", "to", "with", "in"],
        Act::Change { .. } => &["from", "with"],
    };
    let known = [
        "from", "on", "to", "with", "by", "in", "bound", "unbound", "as",
    ];
    let fits = shown.contains(&word) || (word == "as" && deed.thief);
    if fits || !known.contains(&word) {
        return Ok(());
    }
    let message = format!("`{word}` shows in no record of this");
    let hint = format!("here one can say: {}", shown.join(", "));
    Err(words.fault(message, hint))
}

fn lateness(words: &mut Words<'_>, late: &mut i64) -> bool {
    let at = words.next;
    if let Some(span) = words.peek().and_then(seconds) {
        words.next += 1;
        if words.eat("late") {
            *late = span;
            return true;
        }
    }
    words.next = at;
    false
}

fn how(words: &mut Words<'_>) -> Result<How, Fault> {
    let known = [
        ("device code", How::DeviceCode),
        ("password", How::Password),
        ("PRT", How::Prt),
        ("claim", How::Claim),
    ];
    match known.iter().find(|(phrase, _)| words.eat(phrase)) {
        Some((_, how)) => Ok(*how),
        None => {
            let seen = words.peek().unwrap_or("nothing").to_owned();
            let hint = "expected `device code`, `password`, `PRT` or `claim`";
            Err(words.fault(format!("`{seen}` is no way to sign in"), hint))
        }
    }
}

fn once(
    words: &mut Words<'_>,
    slot: &mut Option<String>,
    value: String,
    what: &str,
) -> Result<(), Fault> {
    if slot.is_some() {
        return Err(words.fault_before(format!("`{what}` stands twice"), "expected it once"));
    }
    *slot = Some(value);
    Ok(())
}

fn named<'k>(
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

fn person<'c>(words: &mut Words<'_>, cast: &'c Cast) -> Result<&'c Person, Fault> {
    let key = named(words, "a person", cast.people.keys())?;
    Ok(&cast.people[&key])
}

/// Somebody who can sign in as users do.
fn human(words: &mut Words<'_>, cast: &Cast) -> Result<String, Fault> {
    let person = person(words, cast)?;
    if person.service {
        let message = format!("`{}` is a service principal", person.key);
        let hint = "expected a person; of a service principal only its risk is told";
        return Err(words.fault_before(message, hint));
    }
    Ok(person.key.clone())
}

/// `ana's`.
fn owner(words: &mut Words<'_>, cast: &Cast) -> Result<String, Fault> {
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

/// The known type of risk that was meant. The types are an open set, so only
/// what is one or two slips from a known one is taken for a mistake: a story
/// about a type that does not exist would pass for the wrong reason.
pub(super) fn misspelt_risk(kind: &str) -> Option<&'static str> {
    ruleset::known_signals()
        .iter()
        .filter_map(|known| known.name.strip_prefix("risk."))
        .map(|known| (strsim::osa_distance(kind, known), known))
        .min()
        .filter(|(slips, _)| (1..=2).contains(slips))
        .map(|(_, known)| known)
}

fn risk(words: &mut Words<'_>, cast: &Cast, late: &mut i64) -> Result<What, Fault> {
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
    Ok(What::Risk {
        who,
        kind,
        level,
        state,
        of_sign_in,
        from,
    })
}

impl Deed {
    /// With no circumstances yet.
    pub(super) fn new(act: Act) -> Self {
        Self {
            who: String::new(),
            thief: false,
            act,
            from: None,
            on: None,
            to: None,
            agent: None,
            by: Vec::new(),
            session: None,
            login: None,
            bound: None,
        }
    }

    /// Whether the sign-in is made so.
    pub(super) fn is_by(&self, how: How) -> bool {
        self.by.contains(&how)
    }
}
