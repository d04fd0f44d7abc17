//! The guard's settings.

use jiff::SignedDuration;

use super::{Compiler, WINDOW_SECONDS};
use crate::policy::Guard;
use crate::policy::fields::{Fields, duration, number, or_default};
use crate::policy::yaml::Node;

/// Unattended actions per hour: far above any day that went as it should.
const ACTS_PER_HOUR: std::ops::RangeInclusive<i64> = 0..=10_000;

impl Compiler<'_> {
    pub(super) fn guard(&mut self, node: &Node) -> Option<Guard> {
        const KEYS: &[&str] = &["protected", "stale_after", "acts_per_hour"];
        let default = Guard::default();
        let fields = Fields::of(node, "`guard`", KEYS, &mut self.errors)?;
        let protected = or_default(fields.get("protected"), default.protected, |node| {
            const KEYS: &[&str] = &["users", "lists"];
            let fields = Fields::of(node, "`protected`", KEYS, &mut self.errors)?;
            self.chosen_users(&fields)
        });
        let stale_after: Option<SignedDuration> =
            or_default(fields.get("stale_after"), default.stale_after, |node| {
                duration(node, "`stale_after`", WINDOW_SECONDS, &mut self.errors)
            });
        let acts_per_hour =
            or_default(fields.get("acts_per_hour"), default.acts_per_hour, |node| {
                number(node, "`acts_per_hour`", ACTS_PER_HOUR, &mut self.errors)
            });
        Some(Guard {
            protected: protected?,
            stale_after: stale_after?,
            acts_per_hour: acts_per_hour?,
        })
    }
}
