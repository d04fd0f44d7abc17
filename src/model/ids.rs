//! Identities, each its own type, so that a user's id is never taken for a
//! session's.
//!
//! Identities that evictd makes are derived (UUIDv5), never drawn: the same
//! evidence leads to the same id, so a redelivered record inserts nothing
//! twice.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ActionKind;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: impl Into<$inner>) -> Self {
                Self(text.into())
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_id!(
    /// An Entra object id of a user: a GUID in lower case in real data, any
    /// text in records edited by hand.
    UserId,
    Arc<str>
);
text_id!(
    /// Entra's `sessionId`: shared by all tokens that descend from one
    /// interactive sign-in.
    SessionId,
    Arc<str>
);
text_id!(
    /// The identity of a record. Sign-ins: `properties.id`. Risk records:
    /// `properties.id` and the time of the last update, since Entra sends the
    /// same detection again when its state changes.
    RecordId,
    Arc<str>
);
text_id!(
    /// The name of a policy, unique within a set.
    PolicyName,
    Arc<str>
);

macro_rules! derived_id {
    ($(#[$doc:meta])* $name:ident, $namespace:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The UUID itself.
            pub fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            #[allow(dead_code, reason = "not every id is read back from text")]
            /// Reads an id back from its text.
            ///
            /// # Errors
            /// When the text is not a UUID.
            pub fn parse(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }

            fn derive_from(parts: &[&str]) -> Self {
                // 0x1f separates the parts, so that ("ab","c") is not ("a","bc").
                Self(Uuid::new_v5(&$namespace, parts.join("\u{1f}").as_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

derived_id!(
    /// A case: one user's incident.
    CaseId,
    Uuid::from_u128(0x6c0e_2d5b_51f7_4d0f_9a65_0b7e_c1d2_0001)
);
derived_id!(
    /// A decision on one record.
    DecisionId,
    Uuid::from_u128(0x6c0e_2d5b_51f7_4d0f_9a65_0b7e_c1d2_0002)
);
derived_id!(
    /// One thing to do through Graph.
    ActionId,
    Uuid::from_u128(0x6c0e_2d5b_51f7_4d0f_9a65_0b7e_c1d2_0003)
);

impl CaseId {
    /// The case that `record` opened for `user`.
    pub fn derive(user: &UserId, record: &RecordId) -> Self {
        Self::derive_from(&[user.as_str(), record.as_str()])
    }

    /// The first eight hex digits, enough for a human to name a case by.
    pub fn short(&self) -> String {
        self.0.simple().to_string().chars().take(8).collect()
    }
}

impl DecisionId {
    /// The decision on `record` of `user`.
    pub fn derive(user: &UserId, record: &RecordId) -> Self {
        Self::derive_from(&[user.as_str(), record.as_str()])
    }
}

impl ActionId {
    /// The action of `kind` in `case` that `evidence` (the record that opened
    /// the round) called for.
    pub fn derive(case: &CaseId, kind: ActionKind, evidence: &RecordId) -> Self {
        Self::derive_from(&[&case.to_string(), kind.as_str(), evidence.as_str()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_evidence_derives_the_same_ids_and_other_evidence_others() {
        let user = UserId::new("u1");
        let record = RecordId::new("r1");
        let case = CaseId::derive(&user, &record);
        assert_eq!(case, CaseId::derive(&user, &record));
        assert_ne!(case, CaseId::derive(&user, &RecordId::new("r2")));
        assert_ne!(
            CaseId::derive(&UserId::new("ab"), &RecordId::new("c")),
            CaseId::derive(&UserId::new("a"), &RecordId::new("bc"))
        );
        assert_ne!(
            ActionId::derive(&case, ActionKind::RevokeSessions, &record),
            ActionId::derive(&case, ActionKind::ConfirmCompromised, &record)
        );
        assert_eq!(CaseId::parse(&case.to_string()).unwrap(), case);
    }
}
