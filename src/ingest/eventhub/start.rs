//! Where to begin in a partition: our position against what the partition holds.
//!
//! Invariant: every link is opened at a sequence number of our own, never at
//! "latest", which means another place at each reconnect and loses what came
//! in between. Pure: the partition's extent comes in, the beginning goes out.

use super::config::Start;

/// What a partition holds, as its management node says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The sequence number of the oldest message that retention has kept.
    pub(super) begin: i64,
    /// The sequence number of the newest message; −1 before the first one.
    pub(super) last: i64,
    /// Whether nothing is left to read.
    pub(super) empty: bool,
}

/// Where to begin, and what that says of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Read what comes after this sequence number.
    pub(super) after: i64,
    /// Messages that retention dropped before we read them.
    pub(super) lost: u64,
    /// `after` is beyond the newest message: the hub was made anew, or its
    /// properties lag behind its messages.
    pub(super) ahead: bool,
}

impl Extent {
    /// The position just before the oldest message.
    pub(super) fn before_first(&self) -> i64 {
        if self.empty {
            self.last
        } else {
            self.begin - 1
        }
    }

    /// Where to begin with `position`, the last sequence number we took, or by
    /// configuration where we have none.
    pub(super) fn beginning(&self, position: Option<i64>, start: Start) -> Beginning {
        let (position, known) = match (position, start) {
            (Some(position), _) => (position, true),
            (None, Start::Latest) => (self.last, false),
            (None, Start::Earliest) => (self.before_first(), false),
        };
        let after = position.max(self.before_first());
        let lost = if known { after.abs_diff(position) } else { 0 };
        Beginning {
            after,
            lost,
            ahead: after > self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_our_position_unless_retention_moved_past_it() {
        let full = Extent {
            begin: 100,
            last: 200,
            empty: false,
        };
        let fresh = Extent {
            begin: 0,
            last: -1,
            empty: true,
        };
        let expired = Extent {
            begin: 201,
            last: 200,
            empty: true,
        };
        let at = |after, lost, ahead| Beginning { after, lost, ahead };
        let table = [
            ("latest", full, None, Start::Latest, at(200, 0, false)),
            ("earliest", full, None, Start::Earliest, at(99, 0, false)),
            ("held", full, Some(150), Start::Earliest, at(150, 0, false)),
            (
                "caught up",
                full,
                Some(200),
                Start::Latest,
                at(200, 0, false),
            ),
            ("just kept", full, Some(99), Start::Latest, at(99, 0, false)),
            (
                "one expired",
                full,
                Some(98),
                Start::Latest,
                at(99, 1, false),
            ),
            (
                "many expired",
                full,
                Some(9),
                Start::Latest,
                at(99, 90, false),
            ),
            ("ahead", full, Some(201), Start::Latest, at(201, 0, true)),
            (
                "fresh, latest",
                fresh,
                None,
                Start::Latest,
                at(-1, 0, false),
            ),
            (
                "fresh, earliest",
                fresh,
                None,
                Start::Earliest,
                at(-1, 0, false),
            ),
            (
                "fresh, ahead",
                fresh,
                Some(7),
                Start::Latest,
                at(7, 0, true),
            ),
            (
                "all expired",
                expired,
                Some(190),
                Start::Latest,
                at(200, 10, false),
            ),
            (
                "all expired and read",
                expired,
                Some(200),
                Start::Latest,
                at(200, 0, false),
            ),
            (
                "all expired, earliest",
                expired,
                None,
                Start::Earliest,
                at(200, 0, false),
            ),
        ];
        for (name, extent, position, start, expected) in table {
            assert_eq!(extent.beginning(position, start), expected, "{name}");
        }
    }
}
