//! What a case turned out to be: a human's word, or Entra's.
//!
//! Invariant: a finding changes nothing that is done or asked. It is how the
//! policies are measured, so it is kept apart from the answers to questions,
//! and may be given on any case, a contained one among them: an act on an
//! innocent must count.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a case was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Somebody else had the session or the credentials.
    Theft,
    /// Nobody had: the policies were wrong.
    Benign,
}

impl Truth {
    /// The name used in JSON, the database and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Theft => "theft",
            Self::Benign => "benign",
        }
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Truth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Theft, Self::Benign]
            .into_iter()
            .find(|truth| truth.as_str() == text)
            .ok_or_else(|| format!("{text:?} is neither theft nor benign"))
    }
}

/// What somebody says a case was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it was.
    pub truth: Truth,
    /// Who says so; `None`: an administrator in Entra, who is not named to us.
    pub by: Option<String>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was taken down (the daemon's clock).
    pub at: Timestamp,
}
