//! Sign-ins by a protocol that phishing likes: device codes (#22, #23) and a
//! password sent by the client (#36).
//!
//! Most public rules read `authenticationProtocol`, which says `none` once a
//! code is redeemed; `originalTransferMethod` stays with the session.

use super::{Seen, apps, catalogue};
use crate::model::{Protocol, Signal, TransferMethod};

/// The user agent of Exchange's own password grant, on behalf of legacy
/// clients (signals.md, #36).
const ROPC_AGENT: &str = "BAV2ROPC";

pub(super) fn detect(seen: &Seen<'_>, signals: &mut Vec<Signal>) {
    let sign_in = seen.sign_in;
    let device_code = sign_in.transfer_method == TransferMethod::DeviceCodeFlow
        || sign_in.protocol == Protocol::DeviceCode;
    if device_code && apps::is_broker(&sign_in.app) && apps::holds_mail_or_files(&sign_in.resource)
    {
        let what = "device code through the authentication broker";
        signals.push(seen.method(&catalogue::DEVICE_CODE_BROKER, what));
    } else if device_code {
        signals.push(seen.method(&catalogue::DEVICE_CODE, "device code"));
    }
    let ropc = sign_in.protocol == Protocol::Ropc
        || sign_in
            .user_agent
            .as_deref()
            .is_some_and(|agent| agent.contains(ROPC_AGENT));
    if ropc {
        signals.push(seen.method(&catalogue::ROPC, "password sent by the client (ROPC)"));
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
