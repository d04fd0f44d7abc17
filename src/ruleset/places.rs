//! Where a policy says its mode: the line that its author edits to promote it.
//!
//! A look at the text and no more, for a sentence to a human: a file that is
//! written so strangely that the line is not found is named without one.

use std::path::Path;

use super::{files_of, read_source};

/// `FILE:LINE` of the mode of a policy in a folder, or `FILE` where it has
/// none written; `None` where no file holds that policy. Reads the files.
pub fn place_of_mode(directory: &Path, policy: &str) -> Option<String> {
    let files = files_of(directory).ok()?;
    files
        .iter()
        .filter_map(|path| read_source(path).ok())
        .find(|source| value_of(&source.text, "policy").is_some_and(|(_, name)| name == policy))
        .map(|source| match value_of(&source.text, "mode") {
            Some((line, _)) => format!("{}:{line}", source.path),
            None => source.path,
        })
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
    }
}
