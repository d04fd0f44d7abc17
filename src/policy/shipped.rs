//! The policies that ship with evictd, so that it works without files.

use super::Source;

/// The policies that ship with evictd, so that it works without files.
pub fn shipped() -> Vec<Source> {
    let source = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    vec![
        source(
            "policies/guard.yaml",
            include_str!("../../policies/guard.yaml"),
        ),
        source(
            "policies/identity-protection.yaml",
            include_str!("../../policies/identity-protection.yaml"),
        ),
        source(
            "policies/risky-network.yaml",
            include_str!("../../policies/risky-network.yaml"),
        ),
        source(
            "policies/signals.yaml",
            include_str!("../../policies/signals.yaml"),
        ),
        source(
            "policies/stolen-credentials.yaml",
            include_str!("../../policies/stolen-credentials.yaml"),
        ),
        source(
            "policies/stolen-session.yaml",
            include_str!("../../policies/stolen-session.yaml"),
        ),
        source(
            "policies/workload-identity.yaml",
            include_str!("../../policies/workload-identity.yaml"),
        ),
    ]
}
