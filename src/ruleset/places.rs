//! Where a policy says its mode: the line that its author edits to promote it.
//!
//! A look at the text and no more, for a sentence to a human: a file that is
//! written so strangely that the line is not found is named without one.

use std::collections::BTreeSet;
use std::path::Path;

use super::{files_of, read_source};

/// `FILE:LINE` of the mode of a policy in a folder, or `FILE` where it has
/// none written; `None` where no file holds that policy. The mode of its
/// override is the one that counts. Reads the files.
pub fn place_of_mode(directory: &Path, policy: &str) -> Option<String> {
    let files = files_of(directory).ok()?;
    let mut unwritten = None;
    let mut written = None;
    for source in files.iter().filter_map(|path| read_source(path).ok()) {
        let names = |key| value_of(&source.text, key).is_some_and(|(_, name)| name == policy);
        let overrides = names("override");
        if !overrides && !names("policy") {
            continue;
        }
        let line = value_of(&source.text, "mode").map(|(line, _)| line);
        match line {
            Some(line) if overrides => return Some(format!("{}:{line}", source.path)),
            Some(line) => written = Some(format!("{}:{line}", source.path)),
            // Of a policy that ships, its override is all there is to edit.
            None => unwritten = Some(source.path),
        }
    }
    written.or(unwritten)
}

/// The policies that files of the folder define, and do not just override.
/// Reads the files.
pub fn defined(directory: &Path) -> BTreeSet<String> {
    let files = files_of(directory).unwrap_or_default();
    let sources = files.iter().filter_map(|path| read_source(path).ok());
    sources
        .filter_map(|source| Some(value_of(&source.text, "policy")?.1.to_owned()))
        .collect()
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
        let place = |policy| place_of_mode(directory.path(), policy);
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
