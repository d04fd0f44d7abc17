//! Sign-ins by a protocol that phishing likes: device codes (#22–#25), a
//! command line's code redeemed elsewhere (#27) and a password sent by the
//! client (#36).
//!
//! Most public rules read `authenticationProtocol`, which says `none` once a
//! code is redeemed; `originalTransferMethod` stays with the session.

use super::{Ground, Pair, Seen, apps, catalogue, raise, session};
use crate::model::{
    Attempt, Habit, Parameter, Protocol, Requirement, SessionId, SignIn, Signal, Traits,
    TransferMethod, hash_of,
};

/// The user agent of Exchange's own password grant, on behalf of legacy
/// clients (signals.md, #36).
const ROPC_AGENT: &str = "BAV2ROPC";
/// "Confirm that you want to sign in" (signals.md, #25).
const CONFIRMATION: i64 = 50199;

/// Whether the session came by device code.
pub(super) fn is_device_code(sign_in: &SignIn) -> bool {
    sign_in.transfer_method == TransferMethod::DeviceCodeFlow
        || sign_in.protocol == Protocol::DeviceCode
}

/// A password that the client sends itself, with nothing besides.
fn is_password_alone(sign_in: &SignIn) -> bool {
    let by_protocol = sign_in.protocol == Protocol::Ropc;
    let agent = sign_in.user_agent.as_deref().unwrap_or_default();
    // No browser says so: of most agents nothing need be searched.
    let by_agent = !agent.starts_with("Mozilla/") && agent.contains(ROPC_AGENT);
    let by_client = by_agent || sign_in.client_app.legacy();
    (by_protocol || by_client) && sign_in.requirement != Requirement::MultiFactor
}

/// What the user may come to be known for.
pub(super) fn habit(seen: &Seen<'_>) -> Option<Habit> {
    let app = || hash_of(seen.sign_in.app.id.as_deref().unwrap_or_default());
    if is_device_code(seen.sign_in) {
        Some(Habit::DeviceCode(app()))
    } else if is_password_alone(seen.sign_in) {
        Some(Habit::Password(app()))
    } else {
        None
    }
}

pub(super) fn detect(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let sign_in = seen.sign_in;
    let habit = habit(seen);
    let known = habit.is_some_and(|habit| ground.is_habit(habit, sign_in.at));
    let new = ground.is_new_habit(habit, sign_in.at);
    let to_mail = apps::is_broker(&sign_in.app) && apps::holds_mail_or_files(&sign_in.resource);
    if is_device_code(sign_in) && to_mail && !known {
        let what = "device code through the authentication broker";
        signals.push(seen.method(&catalogue::DEVICE_CODE_BROKER, what));
    } else if is_device_code(sign_in) && new {
        signals.push(seen.method(&catalogue::DEVICE_CODE, "device code"));
    } else if is_password_alone(sign_in) && new {
        signals.push(seen.method(&catalogue::ROPC, "password sent by the client (ROPC)"));
    }
    confirmed(seen, ground, signals);
}

/// #25: asked whether the login is really wanted, and then signed in.
fn confirmed(seen: &Seen<'_>, ground: &Ground<'_>, signals: &mut Vec<Signal>) {
    let asked = |attempt: &Attempt| attempt.code == CONFIRMATION;
    if !ground.memory.attempts.iter().any(asked) {
        return;
    }
    let Some(correlation) = seen.sign_in.correlation.as_deref().map(hash_of) else {
        return;
    };
    let window = ground.get(Parameter::CodeWindow);
    let asked = ground.memory.attempts.iter().any(|attempt| {
        let apart = seen.sign_in.at.duration_since(attempt.at).as_secs();
        attempt.code == CONFIRMATION
            && attempt.correlation == Some(correlation)
            && (0..=window).contains(&apart)
    });
    if asked && !ground.knows(&seen.sighting()) {
        let what = "asked whether the login is wanted (50199), then signed in";
        signals.push(seen.method(&catalogue::CODE_CONFIRMED, what));
    }
}

/// #24 and #27: what two uses of one session say of its protocol.
pub(super) fn of_session(
    session: &SessionId,
    pair: &Pair<'_>,
    ground: &Ground<'_>,
    signals: &mut Vec<Signal>,
) {
    let to = &pair.later.sighting;
    if !pair.asns_differ()
        || pair.neutral()
        || pair.same_network()
        || !ground.is_new_network(to)
        || session::is_remote_work(pair, ground)
    {
        return;
    }
    if pair.either(Traits::DEVICE_CODE) {
        let evidence = pair.moved("a device code session on two networks", Some(session));
        raise(
            signals,
            pair.signal(&catalogue::DEVICE_CODE_TWO_PLACES, evidence),
        );
    }
    let both = pair.earlier.traits.has(Traits::CLI) && pair.later.traits.has(Traits::CLI);
    let redemption = ground.get(Parameter::RedemptionMin)..=ground.get(Parameter::RedemptionMax);
    if both && redemption.contains(&pair.seconds()) {
        let evidence = pair.moved("a command line's code redeemed again", Some(session));
        raise(
            signals,
            pair.signal(&catalogue::CLI_REDEEMED_ELSEWHERE, evidence),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{PARIS, names_of, sign_in};
    use super::*;
    use crate::model::{AppRef, SignIn};

    fn app(id: &str, name: &str) -> AppRef {
        AppRef {
            id: Some(id.into()),
            name: Some(name.into()),
        }
    }

    fn device_code() -> SignIn {
        SignIn {
            transfer_method: TransferMethod::DeviceCodeFlow,
            ..sign_in(0, PARIS)
        }
    }

    #[test]
    fn a_device_code_is_seen_by_either_field() {
        assert_eq!(names_of(&device_code()), ["device_code"]);
        let fresh = SignIn {
            protocol: Protocol::DeviceCode,
            ..sign_in(0, PARIS)
        };
        assert_eq!(names_of(&fresh), ["device_code"]);
    }

    #[test]
    fn through_the_broker_to_mail_or_files_it_is_phishing() {
        let broker = app(apps::BROKER, "Microsoft Authentication Broker");
        let graph = app("00000003-0000-0000-c000-000000000000", "Microsoft Graph");
        let event = SignIn {
            app: broker.clone(),
            resource: graph,
            ..device_code()
        };
        assert_eq!(names_of(&event), ["device_code_broker"]);
        // An edited record may name the resource and not its id.
        let named = AppRef {
            id: None,
            name: Some("Microsoft Graph".into()),
        };
        let event = SignIn {
            app: broker.clone(),
            resource: named,
            ..device_code()
        };
        assert_eq!(names_of(&event), ["device_code_broker"]);
        // Nearest misses: the broker to something else; another app to Graph.
        let other = app("cb1056e2-e479-49de-ae31-7812af012ed8", "Device management");
        let event = SignIn {
            app: broker,
            resource: other,
            ..device_code()
        };
        assert_eq!(names_of(&event), ["device_code"]);
    }

    #[test]
    fn a_password_sent_by_the_client_is_seen_by_protocol_or_agent() {
        let event = SignIn {
            protocol: Protocol::Ropc,
            ..sign_in(0, PARIS)
        };
        assert_eq!(names_of(&event), ["ropc"]);
        let event = SignIn {
            user_agent: Some("BAV2ROPC".into()),
            ..sign_in(0, PARIS)
        };
        assert_eq!(names_of(&event), ["ropc"]);
    }

    #[test]
    fn nearest_misses_a_failure_another_transfer_and_nothing() {
        let failed = SignIn {
            error_code: 50126,
            ..device_code()
        };
        assert_eq!(names_of(&failed), Vec::<String>::new());
        let phone = SignIn {
            transfer_method: TransferMethod::AuthenticationTransfer,
            ..sign_in(0, PARIS)
        };
        assert_eq!(names_of(&phone), Vec::<String>::new());
        assert_eq!(names_of(&sign_in(0, PARIS)), Vec::<String>::new());
    }
}
