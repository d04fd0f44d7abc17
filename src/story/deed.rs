//! Deeds: what somebody does, from where, on what and how.
//!
//! Invariant: a circumstance that no record of the deed would show is a fault,
//! and so is one said twice: to read over it would be to test something else.

use super::cast::Cast;
use super::names::{human, named, once, owner};
use super::words::{Fault, Words, lateness};
use crate::policy::problem::nearest;

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
pub(super) const UNSAID: i64 = -1;

/// Changes of the directory: what is said, and the audit's activity.
const CHANGES: [(&str, &str); 5] = [
    ("registers a device", "Register device"),
    ("adds a method", "User registered security info"),
    ("changes a method", "User updated security info"),
    ("removes a method", "User deleted security info"),
    ("makes an inbox rule", "New-InboxRule"),
];

/// What else is done, as it is said.
const VERBS: [&str; 5] = [
    "signs in",
    "fails to sign in (…)",
    "denies MFA",
    "renews the session",
    "calls Graph",
];
const CONSENTS: &str = "consents to APP with PERMISSION";
/// Only a thief does.
const USES: &str = "uses PERSON's session";

const CIRCUMSTANCE_WORDS: [&str; 5] = ["from", "with", "session", "bound", "unbound"];

const CIRCUMSTANCES: &str = "`from PLACE`, `on DEVICE`, `to APP`, `with USER-AGENT`, \
     `by device code|password|PRT|claim`, `in session NAME`, `in login NAME`, `bound`, \
     `unbound`, `2h late`";

pub(super) fn act(
    words: &mut Words<'_>,
    cast: &Cast,
    thief: bool,
) -> Result<(Act, Option<String>), Fault> {
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
    let changes = CHANGES.map(|(phrase, _)| phrase);
    let mut verbs = [&VERBS[..], &changes, &[CONSENTS]].concat();
    verbs.extend(thief.then_some(USES));
    if let Some(near) = words.peek().and_then(|word| near(word, &verbs)) {
        return Err(words.fault(seen, format!("did you mean `{near}`?")));
    }
    Err(words.fault(seen, format!("expected `{}`", verbs.join("`, `"))))
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

pub(super) fn circumstances(
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
            once(words, &mut deed.bound, true, "bound")?;
        } else if words.eat("unbound") {
            once(words, &mut deed.bound, false, "unbound")?;
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
