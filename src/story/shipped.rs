//! The stories of the policies that ship: what `evictd policy test` tells
//! without files.

use crate::policy::{Source, built_in};

/// The stories of the policies that ship, in the order of their names.
pub fn shipped() -> Vec<Source> {
    built_in![
        "guard.test.yaml",
        "identity-protection.test.yaml",
        "risky-network.test.yaml",
        "stolen-credentials.test.yaml",
        "stolen-session.test.yaml",
        "workload-identity.test.yaml",
    ]
}
