//! Traces of an adversary in the middle: clients that no person uses (#11,
//! #12).
//!
//! Phishing kits relay a victim's sign-in with an HTTP library and often keep
//! its user agent.

use super::{Seen, apps, catalogue, client};
use crate::model::Signal;

pub(super) fn detect(seen: &Seen<'_>, signals: &mut Vec<Signal>) {
    let sign_in = seen.sign_in;
    let Some(library) = sign_in.user_agent.as_deref().and_then(client::library) else {
        return;
    };
    let of_kits = matches!(library, "node" | "axios" | "undici");
    let portal = apps::is_office_home(&sign_in.app)
        || (apps::is_broker(&sign_in.app) && apps::holds_mail_or_files(&sign_in.resource));
    let what = format!("signed in by {library}, an HTTP library");
    let spec = if of_kits && portal {
        &catalogue::KIT_USER_AGENT
    } else {
        &catalogue::SCRIPT_USER_AGENT
    };
    signals.push(seen.method(spec, &what));
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
            names_of(&by("axios/1.7.2", "04b07795-8ddb-461a-bbee-02f9e1bf7b46")),
            ["script_user_agent"]
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
