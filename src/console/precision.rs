//! How right a policy was, and how sure that is.
//!
//! Invariant: pure arithmetic on counts. The bar of an author is met by the
//! lower end of the interval, not by the share: three right of three say
//! little, and a policy that acts at night must not be trusted for luck.

use serde::{Deserialize, Serialize};

/// The 97.5 % quantile of the normal distribution: an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// A share of right ones, with the interval it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Precision {
    /// The share, 0–1.
    pub share: f64,
    /// The lower end of the 95 % interval, 0–1.
    pub low: f64,
    /// The upper end, 0–1.
    pub high: f64,
}

/// The share of `right` among `of` with its Wilson score interval at 95 %,
/// without continuity correction; `None` of nothing. It holds for small
/// numbers and for shares of 0 and 1, where the textbook interval is empty.
///
/// Source: E. B. Wilson, "Probable inference, the law of succession, and
/// statistical inference", JASA 22 (1927) 209–212, as method 3 of R. G.
/// Newcombe, "Two-sided confidence intervals for the single proportion",
/// Statistics in Medicine 17 (1998) 857–872, whose table I the test repeats.
pub fn precision(right: u64, of: u64) -> Option<Precision> {
    if of == 0 {
        return None;
    }
    let (right, n) = (right.min(of) as f64, of as f64);
    let share = right / n;
    let z2 = Z * Z;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    Some(Precision {
        share,
        low: (middle - half).clamp(0.0, share),
        high: (middle + half).clamp(share, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_published_one() {
        // Newcombe 1998, table I, method 3 (score, no continuity correction).
        let table = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (right, of, low, high) in table {
            let found = precision(right, of).unwrap();
            assert!(
                (found.low - low).abs() < 0.000_051,
                "{right}/{of} {found:?}"
            );
            assert!(
                (found.high - high).abs() < 0.000_051,
                "{right}/{of} {found:?}"
            );
            // It is symmetric in right and wrong.
            let other = precision(of - right, of).unwrap();
            assert!((1.0 - other.low - found.high).abs() < 1e-12, "{right}/{of}");
        }
    }

    #[test]
    fn it_holds_the_share_and_narrows_with_the_cases() {
        assert_eq!(precision(0, 0), None);
        let mut width = 1.0;
        for of in [1, 2, 20, 1_000, 1_000_000] {
            for right in [0, of / 2, of] {
                let Precision { share, low, high } = precision(right, of).unwrap();
                assert!((0.0..=share).contains(&low) && (share..=1.0).contains(&high));
            }
            let all = precision(of, of).unwrap();
            assert!(all.high - all.low < width, "{of}");
            width = all.high - all.low;
        }
    }
}
