//! The rules that serve: policy files read from a folder, or the shipped ones,
//! compiled against the signals that detect can raise.
//!
//! Invariant: what is read is bounded before it is read, and a file that
//! cannot be read is a problem like any other: a set never loads in part.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::detect::CATALOGUE;
use crate::policy::{self, KnownSignal, PolicyErrors, PolicySet, Problem, Source};

/// The size of one file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The number of files in a folder.
pub const FILES_MAX: usize = 1_000;

/// The signals that policies are checked against.
pub fn known_signals() -> Vec<KnownSignal> {
    CATALOGUE
        .iter()
        .map(|spec| KnownSignal {
            name: spec.name,
            family: spec.family,
        })
        .collect()
}

/// The policies of `directory`, or without one those that ship.
///
/// # Errors
/// Every problem of every file.
pub fn load(directory: Option<&Path>) -> Result<PolicySet, PolicyErrors> {
    match directory {
        Some(directory) => load_directory(directory),
        None => PolicySet::compile(policy::shipped(), &known_signals()),
    }
}

/// Reads and compiles every `*.yaml` and `*.yml` of a folder, by name.
/// Folders within it and names that begin with a dot are left out.
///
/// # Errors
/// Every problem of every file.
fn load_directory(dir: &Path) -> Result<PolicySet, PolicyErrors> {
    let paths = policy_files(dir).map_err(|problem| PolicyErrors {
        problems: vec![problem],
    })?;
    let mut sources = Vec::with_capacity(paths.len());
    let mut problems = Vec::new();
    for path in &paths {
        match read_source(path) {
            Ok(source) => sources.push(source),
            Err(message) => {
                problems.push(Problem::of_file(path.display().to_string(), message));
            }
        }
    }
    if problems.is_empty() && sources.is_empty() {
        let message = "no policy here: expected *.yaml or *.yml files";
        problems.push(Problem::of_file(dir.display().to_string(), message));
        return Err(PolicyErrors { problems });
    }
    match PolicySet::compile(sources, &known_signals()) {
        Ok(set) if problems.is_empty() => Ok(set),
        Ok(_) => Err(PolicyErrors { problems }),
        Err(errors) => {
            problems.extend(errors.problems);
            problems.sort();
            Err(PolicyErrors { problems })
        }
    }
}

fn policy_files(dir: &Path) -> Result<Vec<PathBuf>, Problem> {
    let problem = |message: String| Problem::of_file(dir.display().to_string(), message);
    let cannot_read = |error: std::io::Error| problem(format!("cannot be read: {error}"));
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        if !is_policy_file(&path) {
            continue;
        }
        if paths.len() == FILES_MAX {
            let message = format!("more than {FILES_MAX} policy files");
            return Err(problem(message));
        }
        paths.push(path);
    }
    paths.sort();
    Ok(paths)
}

/// By name only; a folder of that name is found out when it is read. A link
/// to a file is a file: that is how Kubernetes mounts them.
fn is_policy_file(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let yaml = path
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml");
    yaml && !hidden && !is_test_file(path) && !path.is_dir()
}

/// Whether it is a file of stories, `*.test.yaml` or `*.test.yml`: those stand
/// beside the policies that they test.
pub fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.as_encoded_bytes());
    name.is_some_and(|name| {
        !name.starts_with(b".") && (name.ends_with(b".test.yaml") || name.ends_with(b".test.yml"))
    })
}

/// Reads one file.
///
/// # Errors
/// A line that says why not: too large, not UTF-8, not a regular file.
pub fn read_source(path: &Path) -> Result<Source, String> {
    let cannot_read = |error: std::io::Error| format!("cannot be read: {error}");
    // A pipe would block for ever.
    if !fs::metadata(path).map_err(cannot_read)?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(cannot_read)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source {
            path: path.display().to_string(),
            text,
        }),
        Err(error) => Err(format!(
            "not UTF-8 text: byte {}",
            error.utf8_error().valid_up_to() + 1
        )),
    }
}

#[cfg(test)]
mod shipped_tests;

#[cfg(test)]
mod tests {

    use super::*;

    fn minimal(name: &str) -> String {
        format!(
            "policy: {name}\nwindow: 1h\nsignals: {{ tor_exit: 70 }}\nrungs: [{{ at: 70, do: [revoke_sessions] }}]\n"
        )
    }

    #[test]
    fn the_shipped_policies_compile_against_the_signals_that_are_raised() {
        let set = load(None).unwrap();
        assert_eq!(set.policies.len(), 5);
        assert!(set.warnings.is_empty(), "{:?}", set.warnings);
    }

    fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(dir.join(name), bytes).unwrap();
    }

    fn messages(errors: &PolicyErrors, dir: &Path) -> Vec<String> {
        let prefix = dir.display().to_string();
        let strip = |p: &Problem| {
            let name = p.path.strip_prefix(&prefix).unwrap_or(&p.path);
            format!("{} {}", name.trim_start_matches('/'), p.message)
        };
        errors.problems.iter().map(strip).collect()
    }

    #[test]
    fn yaml_files_are_read_by_name_and_others_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "b.yml", minimal("second"));
        write(dir.path(), "a.yaml", minimal("first"));
        write(dir.path(), ".hidden.yaml", "not: a policy");
        write(dir.path(), "a.test.yaml", "not: a policy");
        write(dir.path(), "b.test.yml", "not: a policy");
        write(dir.path(), "README.md", "# not a policy");
        fs::create_dir(dir.path().join("nested.yaml")).unwrap();
        let set = load_directory(dir.path()).unwrap();
        let names: Vec<&str> = set.policies.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["first", "second"]);
    }

    #[test]
    fn files_that_cannot_be_read_are_told_with_the_problems_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.yaml", b"policy: \xff");
        write(dir.path(), "b.yaml", "policy: b");
        write(
            dir.path(),
            "c.yaml",
            " ".repeat(FILE_BYTES_MAX as usize + 1),
        );
        write(dir.path(), "d.yaml", minimal("fine"));
        let errors = load_directory(dir.path()).unwrap_err();
        assert_eq!(
            messages(&errors, dir.path()),
            [
                "a.yaml not UTF-8 text: byte 9",
                "b.yaml the policy has no `rungs`",
                "b.yaml the policy has no `signals`",
                "b.yaml the policy has no `window`",
                "c.yaml larger than 1048576 bytes",
            ]
        );
    }

    #[test]
    fn a_folder_without_policies_or_that_is_not_there_does_not_load() {
        let dir = tempfile::tempdir().unwrap();
        let errors = load_directory(dir.path()).unwrap_err();
        assert_eq!(
            messages(&errors, dir.path()),
            [" no policy here: expected *.yaml or *.yml files"]
        );
        let errors = load_directory(&dir.path().join("gone")).unwrap_err();
        assert!(
            messages(&errors, dir.path())[0].starts_with("gone cannot be read: "),
            "{errors}"
        );
    }

    #[test]
    fn more_files_than_the_bound_do_not_load() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..=FILES_MAX {
            write(dir.path(), &format!("{i}.yaml"), "");
        }
        let errors = load_directory(dir.path()).unwrap_err();
        assert_eq!(
            messages(&errors, dir.path()),
            [" more than 1000 policy files"]
        );
    }
}
