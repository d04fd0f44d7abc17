//! Traces of an adversary in the middle: clients that no person uses (#11,
//! #12), the portal from a rented machine (#13), and a login that shows every
//! interrupt of a relayed one (#14).
//!
//! Phishing kits relay a victim's sign-in with an HTTP library and often keep
//! its user agent; what they cannot hide is where they stand.

use super::{Ground, Seen, apps, catalogue, raise};
use crate::model::{Attempt, Browser, Habit, NetworkClass, Parameter, Signal, Traits, hash_of};

/// Strong authentication is required; "keep me signed in?" (signals.md, #14).
const STRONG_AUTHENTICATION: i64 = 50074;
const KEEP_SIGNED_IN: i64 = 50140;
/// The device is not compliant (signals.md, #14).
const NOT_COMPLIANT: i64 = 53000;

/// A library that the user may come to be known for.
pub(super) fn habit(seen: &Seen<'_>) -> Option<Habit> {
    seen.agent.library?;
    let app = seen.sign_in.app.id.as_deref().unwrap_or_default();
    Some(Habit::Scripted(hash_of(app)))
}

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    portal(seen, ground, signals);
    let sign_in = seen.sign_in;
    let Some(library) = seen.agent.library else {
        return;
    };
    let of_kits = matches!(library, Browser::Node | Browser::Axios | Browser::Undici);
    let portal = apps::is_office_home(&sign_in.app)
        || (apps::is_broker(&sign_in.app) && apps::holds_mail_or_files(&sign_in.resource));
    let what = format!("signed in by {}, an HTTP library", library.as_str());
    if of_kits && portal {
        signals.push(seen.method(&catalogue::KIT_USER_AGENT, &what));
    } else if ground.is_new_habit(habit(seen), sign_in.at)
        && !seen.is_service()
        && !seen.traits.has(Traits::CLI)
    {
        signals.push(seen.method(&catalogue::SCRIPT_USER_AGENT, &what));
    }
}

/// #13.
fn portal(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let rented = matches!(seen.class, NetworkClass::Hosting | NetworkClass::Tor);
    if rented
        && seen.device.is_none()
        && apps::is_office_home(&seen.sign_in.app)
        && ground.is_new_network(&seen.sighting())
    {
        let what = format!("the portal from a {} network", seen.class.as_str());
        signals.push(seen.method(&catalogue::PORTAL_FROM_HOSTING, &what));
    }
}

/// #14: an interrupt and a success of one login, whichever comes first. An
/// ordinary first login shows the same interrupts, so only one from a network
/// new to the user counts.
pub(super) fn relayed(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let Some(this) = &seen.attempt else {
        return;
    };
    if this.correlation.is_none() || this.code == 0 && seen.traits.has(Traits::MANAGED) {
        return;
    }
    if this.code == 0 && ground.memory.attempts.is_empty() {
        return;
    }
    let window = ground.get(Parameter::InterruptsWindow);
    let near = |attempt: &&Attempt| {
        attempt.correlation == this.correlation
            && attempt.at.duration_since(this.at).as_secs().abs() <= window
    };
    let login: Vec<&Attempt> = ground
        .memory
        .sequence()
        .filter(near)
        .chain([this])
        .collect();
    let has = |code: i64| login.iter().any(|attempt| attempt.code == code);
    let interrupted = has(STRONG_AUTHENTICATION) && (has(KEEP_SIGNED_IN) || has(NOT_COMPLIANT));
    let Some(success) = login.iter().find(|attempt| attempt.code == 0) else {
        return;
    };
    if !interrupted || !ground.is_new_network(&success.sighting) {
        return;
    }
    let what = "a login with the interrupts of a relayed one (50074, 50140)";
    raise(signals, catalogue::LOGIN_RELAYED.of_login(success, what));
}

#[cfg(test)]
mod tests {
    use super::super::testing::{PARIS, UA_EDGE_WINDOWS, names_of, sign_in};
    use super::*;
    use crate::model::{AppRef, SignIn};

    fn by(agent: &str, app: &str) -> SignIn {
        SignIn {
            user_agent: Some(agent.into()),
            app: AppRef {
                id: Some(app.into()),
                name: None,
            },
            ..sign_in(0, PARIS)
        }
    }

    #[test]
    fn a_kit_relays_the_portal_with_its_library() {
        for agent in ["axios/1.7.2", "node", "undici"] {
            assert_eq!(
                names_of(&by(agent, apps::OFFICE_HOME)),
                ["kit_user_agent"],
                "{agent}"
            );
        }
    }

    #[test]
    fn any_other_library_is_weaker_evidence() {
        assert_eq!(
            names_of(&by("python-requests/2.28.0", apps::OFFICE_HOME)),
            ["script_user_agent"]
        );
        assert_eq!(
            names_of(&by("axios/1.7.2", "an-application")),
            ["script_user_agent"]
        );
        // What a command line is made of.
        assert_eq!(
            names_of(&by("axios/1.7.2", "04b07795-8ddb-461a-bbee-02f9e1bf7b46")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn nearest_misses_a_browser_a_native_client_and_a_failure() {
        assert_eq!(
            names_of(&by(UA_EDGE_WINDOWS, apps::OFFICE_HOME)),
            Vec::<String>::new()
        );
        let native = "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0)";
        assert_eq!(
            names_of(&by(native, apps::OFFICE_HOME)),
            Vec::<String>::new()
        );
        let failed = SignIn {
            error_code: 50126,
            ..by("axios/1.7.2", apps::OFFICE_HOME)
        };
        assert_eq!(names_of(&failed), Vec::<String>::new());
    }
}
