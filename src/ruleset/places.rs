//! Where a policy says its mode: the line that its author edits to promote it.
//!
//! A look at the text and no more, for a sentence to a human: a file that is
//! written so strangely that the line is not found is named without one.

use super::{Listing, read_source};
use crate::policy::Source;

/// The texts that a set was read from, to be asked where something stands.
#[derive(Debug, Default)]
pub struct Places {
    sources: Vec<Source>,
}

impl Places {
    /// Reads the files, each once. Blocks.
    pub fn read(listing: &Listing) -> Self {
        Self {
            sources: listing
                .paths()
                .filter_map(|path| read_source(path).ok())
                .collect(),
        }
    }

    /// `FILE:LINE` of the mode of a policy, or `FILE` where it has none
    /// written; `None` where no file holds that policy. The mode of its
    /// override is the one that counts.
    pub fn of_mode(&self, policy: &str) -> Option<String> {
        let mut unwritten = None;
        let mut written = None;
        for source in &self.sources {
            let overrides = names(source, "override", policy);
            if !overrides && !names(source, "policy", policy) {
                continue;
            }
            let line = value_of(&source.text, "mode").map(|(line, _)| line);
            match line {
                Some(line) if overrides => return Some(format!("{}:{line}", source.path)),
                Some(line) => written = Some(format!("{}:{line}", source.path)),
                // Of a policy that ships, its override is all there is to edit.
                None => unwritten = Some(source.path.clone()),
            }
        }
        written.or(unwritten)
    }

    /// Whether a file defines that policy, and does not just override it.
    pub fn define(&self, policy: &str) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| names(source, "policy", policy))
    }
}

/// Whether the key of the document itself says that policy.
fn names(source: &Source, key: &str, policy: &str) -> bool {
    value_of(&source.text, key).is_some_and(|(_, name)| name == policy)
}

/// The line, from 1, and the plain value of a key of the document itself.
fn value_of<'t>(text: &'t str, key: &str) -> Option<(usize, &'t str)> {
    text.lines().enumerate().find_map(|(n, line)| {
        let value = line.strip_prefix(key)?.trim_start().strip_prefix(':')?;
        let value = value.split(" #").next().unwrap_or_default().trim();
        Some((n + 1, value.trim_matches(['"', '\''])))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_line_of_the_mode_is_found_and_without_one_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(
            path("a.yaml"),
            "# mode: no\npolicy: \"first\" # the name\nmode: shadow\n",
        )
        .unwrap();
        fs::write(path("b.yaml"), "policy: second\nsignals:\n  mode: 3\n").unwrap();
        let place = |policy| {
            let (listing, _) = crate::ruleset::load_listed(directory.path());
            Places::read(&listing).of_mode(policy)
        };
        let named = |name: &str| path(name).display().to_string();
        assert_eq!(place("first"), Some(format!("{}:3", named("a.yaml"))));
        assert_eq!(place("second"), Some(named("b.yaml")));
        assert_eq!(place("third"), None);
        // Whatever the order of the files' names.
        fs::write(path("0.yaml"), "override: second\nmode: approve\n").unwrap();
        fs::write(path("c.yaml"), "override: first\nowner: o\nmode: approve\n").unwrap();
        fs::write(path("d.yaml"), "override: shipped-one\nowner: o\n").unwrap();
        assert_eq!(place("first"), Some(format!("{}:3", named("c.yaml"))));
        assert_eq!(place("second"), Some(format!("{}:2", named("0.yaml"))));
        assert_eq!(place("shipped-one"), Some(named("d.yaml")));
    }
}
