//! The categories of Entra's diagnostic settings, and what to read of each.
//!
//! Invariant: the list is closed, so that a sender cannot grow a metric's
//! labels; a category that is not in it is [`Category::OTHER`]. Categories are
//! compared without case: one Microsoft page spells
//! `NonInteractiveUserSIgnInLogs`.

use crate::ingest::Category;

/// What a record of a category is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SignIn {
        interactive: bool,
    },
    RiskEvent,
    RiskyUser,
    /// Most kinds of audits are passed over once they are read.
    Audit,
    /// Calls without a user or a session are passed over once they are read.
    GraphActivity,
    /// Not read at all. Service principals are among them: an event is about
    /// a user's account, and nothing may be done to one on their behalf.
    PassedOver,
}

const KNOWN: [(&str, Kind); 10] = [
    (
        "NonInteractiveUserSignInLogs",
        Kind::SignIn { interactive: false },
    ),
    ("SignInLogs", Kind::SignIn { interactive: true }),
    ("MicrosoftGraphActivityLogs", Kind::GraphActivity),
    ("AuditLogs", Kind::Audit),
    ("UserRiskEvents", Kind::RiskEvent),
    ("RiskyUsers", Kind::RiskyUser),
    ("ServicePrincipalSignInLogs", Kind::PassedOver),
    ("ServicePrincipalRiskEvents", Kind::PassedOver),
    ("ManagedIdentitySignInLogs", Kind::PassedOver),
    ("ADFSSignInLogs", Kind::PassedOver),
];

/// The category by its canonical spelling, and what it is read as.
pub(super) fn of(name: &str) -> (Category, Kind) {
    KNOWN
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or((Category::OTHER, Kind::PassedOver), |(known, kind)| {
            (Category(known), *kind)
        })
}
