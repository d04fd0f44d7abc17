//! Which way a file runs: exports of a query often come newest first.
//!
//! Invariant: a few late arrivals, which any stream has, do not make a file run
//! backwards.

use jiff::Timestamp;

/// Falls that are no accident.
const FALLS_MIN: usize = 3;
/// So many times as often as they rise, times must fall.
const FALLS_PER_RISE: usize = 4;

/// The times of a file's events, one after the other.
#[derive(Debug, Default)]
pub struct Course {
    last: Option<Timestamp>,
    falls: usize,
    rises: usize,
}

impl Course {
    /// The next event's time.
    pub fn see(&mut self, at: Timestamp) {
        if let Some(last) = self.last {
            self.falls += usize::from(at < last);
            self.rises += usize::from(at > last);
        }
        self.last = Some(at);
    }

    /// Whether what was seen runs newest first.
    pub fn is_newest_first(&self) -> bool {
        self.falls >= FALLS_MIN && self.falls >= FALLS_PER_RISE * self.rises
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_arrivals_do_not_turn_a_file() {
        for (seconds, expected) in [
            (&[9, 8, 7, 6][..], true),
            (&[9, 9, 8, 8, 7, 6], true),
            (&[9, 8, 7, 8, 6, 5, 4], true),
            (&[9, 8, 7], false),
            (&[1, 2, 3, 1, 4, 2, 5, 3], false),
            (&[], false),
        ] {
            let mut course = Course::default();
            for second in seconds {
                course.see(Timestamp::from_second(*second).unwrap());
            }
            assert_eq!(course.is_newest_first(), expected, "{seconds:?}");
        }
    }
}
