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
    /// A detection on a service principal.
    WorkloadRisk,
    /// Service principals' and managed identities' sign-ins: read far enough
    /// to know that they are sound, then passed over, since no detector looks
    /// at them yet.
    WorkloadSignIn,
    /// Not read at all.
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
    ("ServicePrincipalSignInLogs", Kind::WorkloadSignIn),
    ("ServicePrincipalRiskEvents", Kind::WorkloadRisk),
    ("ManagedIdentitySignInLogs", Kind::WorkloadSignIn),
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
