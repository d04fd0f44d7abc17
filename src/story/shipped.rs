//! The stories of the policies that ship: what `evictd policy test` tells
//! without files.

use crate::policy::Source;

/// The stories of the policies that ship, in the order of their names.
pub fn shipped() -> Vec<Source> {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    vec![
        source(
            "policies/guard.test.yaml",
            include_str!("../../policies/guard.test.yaml"),
        ),
        source(
            "policies/identity-protection.test.yaml",
            include_str!("../../policies/identity-protection.test.yaml"),
        ),
        source(
            "policies/risky-network.test.yaml",
            include_str!("../../policies/risky-network.test.yaml"),
        ),
        source(
            "policies/stolen-credentials.test.yaml",
            include_str!("../../policies/stolen-credentials.test.yaml"),
        ),
        source(
            "policies/stolen-session.test.yaml",
            include_str!("../../policies/stolen-session.test.yaml"),
        ),
        source(
            "policies/workload-identity.test.yaml",
            include_str!("../../policies/workload-identity.test.yaml"),
        ),
    ]
}
