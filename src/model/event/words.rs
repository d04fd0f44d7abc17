//! Entra's closed lists that are not closed: `incomingTokenType` and its like.
//!
//! Invariant: a value that evictd does not know is kept as it was written and
//! never fails, since Microsoft adds to these lists without notice; a value
//! that is not there is `Unknown`, which is not the same as Entra's own
//! `none`. Names are compared without case.

use std::fmt;

/// Defines an open set of names: the known ones, `Unknown`, and the rest.
macro_rules! open_set {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $wire:literal, )+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
        pub enum $name {
            $( $(#[$variant_doc])* $variant, )+
            /// Missing, empty or `unknownFutureValue`.
            #[default]
            Unknown,
            /// A name that evictd does not know, as it was written.
            Other(Box<str>),
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                match name {
                    $( _ if name.eq_ignore_ascii_case($wire) => Self::$variant, )+
                    _ if name.is_empty() => Self::Unknown,
                    _ if name.eq_ignore_ascii_case("unknownFutureValue") => Self::Unknown,
                    _ => Self::Other(name.into()),
                }
            }
        }

        impl $name {
            /// The names that evictd knows, as Entra writes them.
            pub const NAMES: &[&str] = &[$( $wire, )+];

            /// The name as Entra writes it; `None` where the record has none.
            pub fn name(&self) -> Option<&str> {
                match self {
                    $( Self::$variant => Some($wire), )+
                    Self::Unknown => None,
                    Self::Other(name) => Some(name),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name().unwrap_or("unknown"))
            }
        }
    };
}

open_set! {
    /// `incomingTokenType`: the token that was shown to get this one.
    IncomingToken {
        /// None: credentials were typed, or a code was redeemed.
        None = "none",
        /// A primary refresh token, held by a device's broker.
        PrimaryRefreshToken = "primaryRefreshToken",
        /// A SAML 1.1 assertion of a federated identity provider.
        Saml11 = "saml11",
        /// A SAML 2.0 assertion of a federated identity provider.
        Saml20 = "saml20",
        /// A remote desktop token.
        RemoteDesktopToken = "remoteDesktopToken",
        /// A refresh token.
        RefreshToken = "refreshToken",
    }
}

open_set! {
    /// `authenticationProtocol`. The redemption of a device code says `none`
    /// here: only [`TransferMethod`] names it.
    Protocol {
        /// Nothing worth naming.
        None = "none",
        /// The device authorization grant, at the moment of the code.
        DeviceCode = "deviceCode",
        /// The resource owner password credentials grant.
        Ropc = "ropc",
        /// SAML 2.0.
        Saml20 = "saml20",
        /// WS-Federation.
        WsFederation = "wsFederation",
        /// Any other grant of OAuth 2.0.
        OAuth2 = "oAuth2",
        /// A session carried to another device by a QR code.
        AuthenticationTransfer = "authenticationTransfer",
    }
}

open_set! {
    /// `originalTransferMethod`: how the session first came to the client. It
    /// stays with every later sign-in of the session.
    TransferMethod {
        /// It was not transferred.
        None = "none",
        /// The device authorization grant.
        DeviceCodeFlow = "deviceCodeFlow",
        /// A QR code.
        AuthenticationTransfer = "authenticationTransfer",
    }
}

open_set! {
    /// `tokenProtectionStatusDetails.signInSessionStatus`: whether the session
    /// is tied to a device's key.
    TokenProtection {
        /// Nothing to protect.
        None = "none",
        /// Tied: the token is of no use elsewhere.
        Bound = "bound",
        /// Not tied.
        Unbound = "unbound",
    }
}

open_set! {
    /// `clientAppUsed`. Every other name is a legacy client's, e.g.
    /// `Authenticated SMTP` or `Other clients`.
    ClientApp {
        /// A browser.
        Browser = "Browser",
        /// A client that speaks modern authentication.
        Modern = "Mobile Apps and Desktop clients",
    }
}

impl ClientApp {
    /// Whether it is a client that knows no second factor: whatever is named
    /// and is neither a browser nor modern.
    pub fn legacy(&self) -> bool {
        matches!(self, Self::Other(_))
    }
}

open_set! {
    /// `authenticationRequirement`: the factors that were asked for.
    Requirement {
        /// One.
        SingleFactor = "singleFactorAuthentication",
        /// More than one.
        MultiFactor = "multiFactorAuthentication",
    }
}

open_set! {
    /// `conditionalAccessStatus`.
    ConditionalAccess {
        /// The policies that apply were satisfied.
        Success = "success",
        /// One was not.
        Failure = "failure",
        /// None applied.
        NotApplied = "notApplied",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_case_and_written_as_entra_writes_them() {
        for (text, expected) in [
            ("primaryRefreshToken", IncomingToken::PrimaryRefreshToken),
            ("PRIMARYREFRESHTOKEN", IncomingToken::PrimaryRefreshToken),
            ("none", IncomingToken::None),
            ("", IncomingToken::Unknown),
            ("unknownFutureValue", IncomingToken::Unknown),
            ("brandNew", IncomingToken::Other("brandNew".into())),
        ] {
            assert_eq!(IncomingToken::from(text), expected, "{text}");
        }
        assert_eq!(Protocol::from("OAUTH2").to_string(), "oAuth2");
        assert_eq!(Protocol::from("rpoc").to_string(), "rpoc");
        assert_eq!(Protocol::default().to_string(), "unknown");
    }

    #[test]
    fn a_client_is_legacy_when_it_is_named_and_neither_browser_nor_modern() {
        for (text, legacy) in [
            ("Browser", false),
            ("mobile apps and desktop clients", false),
            ("", false),
            ("Authenticated SMTP", true),
            ("Other clients", true),
        ] {
            assert_eq!(ClientApp::from(text).legacy(), legacy, "{text}");
        }
    }
}
