//! The policies that ship with evictd, so that it works without files.

use super::Source;

/// Files of `policies/`, as they were when this was built.
macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        vec![$($crate::policy::Source {
            path: concat!("policies/", $name).to_owned(),
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/", $name)).to_owned(),
        }),+]
    };
}
pub(crate) use built_in;

/// The policies that ship with evictd, so that it works without files.
pub fn shipped() -> Vec<Source> {
    built_in![
        "guard.yaml",
        "identity-protection.yaml",
        "risky-network.yaml",
        "signals.yaml",
        "stolen-credentials.yaml",
        "stolen-session.yaml",
        "workload-identity.yaml",
    ]
}
