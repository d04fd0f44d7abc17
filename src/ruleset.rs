//! The rules that serve: policy files read from a folder, or the shipped ones,
//! compiled against the signals that detect can raise.
//!
//! Invariant: what is read is bounded before it is read, and a file that
//! cannot be read is a problem like any other: a set never loads in part.

mod listing;
mod places;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::detect::CATALOGUE;
use crate::policy::{
    self, Include, Included, KnownSignal, PolicyErrors, PolicySet, Problem, SignalDoc, Source,
};

pub use self::listing::Listing;
pub use self::places::Places;

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
        Some(directory) => load_listed(directory).1,
        None => PolicySet::compile(policy::shipped(), &known_signals()),
    }
}

/// Reads and compiles every `*.yaml` and `*.yml` of a folder, by name, and
/// what they include; says what that was read from, whether or not it
/// compiles. Folders within it and names that begin with a dot are left out.
pub fn load_listed(dir: &Path) -> (Listing, Result<PolicySet, PolicyErrors>) {
    let mut reading = Reading::default();
    reading.directory(dir, None);
    (std::mem::take(&mut reading.listing), reading.compile(dir))
}

/// What [`examine`] found.
#[derive(Debug)]
pub struct Examined {
    /// How many files were read.
    pub files: usize,
    /// Where one file was to be examined: how problems name it.
    pub only: Option<String>,
    /// The set, or why there is none.
    pub compiled: Result<PolicySet, PolicyErrors>,
}

/// Reads and compiles a folder as [`load`] does, or the folder of one file: a
/// file means what it means beside the lists, the signals and the policies that
/// it stands with. The file is read whatever its name.
pub fn examine(path: Option<&Path>) -> Examined {
    let Some(path) = path else {
        return Examined {
            files: policy::shipped().len(),
            only: None,
            compiled: load(None),
        };
    };
    let mut reading = Reading::default();
    let mut only = None;
    if path.is_dir() {
        reading.directory(path, None);
    } else if is_test_file(path) {
        let message = "holds stories, not a policy: `evictd policy test` tells them";
        let problem = Problem::of_file(path.display().to_string(), message);
        reading.report(problem, None);
    } else {
        let path = plain(path);
        only = Some(path.display().to_string());
        reading.file(path, None);
        if !reading.sources.is_empty() {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            reading.directory(folder.unwrap_or(Path::new(".")), None);
        }
    }
    Examined {
        files: reading.sources.len(),
        only,
        compiled: reading.compile(path),
    }
}

/// The JSON Schema of policy files, with the signals that detectors raise.
pub fn schema() -> serde_json::Value {
    let signals: Vec<SignalDoc> = CATALOGUE
        .iter()
        .map(|spec| SignalDoc {
            name: spec.name,
            doc: format!(
                "{}, family {}, usually {}. {}",
                spec.technique, spec.family, spec.default_weight, spec.summary
            ),
        })
        .collect();
    policy::schema(&signals)
}

/// Files being read, each once.
#[derive(Default)]
struct Reading {
    sources: Vec<Source>,
    listing: Listing,
    problems: Vec<Problem>,
    seen: BTreeSet<PathBuf>,
}

impl Reading {
    /// `path` is where it was read, for a message.
    fn compile(self, path: &Path) -> Result<PolicySet, PolicyErrors> {
        let mut problems = self.problems;
        if self.sources.is_empty() {
            if problems.is_empty() {
                let message = "no policy here: expected *.yaml or *.yml files";
                problems.push(Problem::of_file(path.display().to_string(), message));
            }
            return Err(PolicyErrors::of(problems));
        }
        match PolicySet::compile(self.sources, &known_signals()) {
            Ok(set) if problems.is_empty() => Ok(set),
            Ok(set) => Err(PolicyErrors {
                problems,
                warnings: set.warnings,
                sound: set.policies,
            }),
            Err(mut errors) => {
                errors.problems.extend(problems);
                errors.problems.sort();
                Err(errors)
            }
        }
    }

    /// `by` is the include that names the folder or file.
    fn directory(&mut self, dir: &Path, by: Option<&Include>) {
        let holds = policy_files(dir);
        self.listing.folder(dir, &holds);
        match holds {
            Ok(paths) => {
                for path in paths {
                    self.file(&path, by);
                }
            }
            Err(problem) => self.report(*problem, by),
        }
    }

    fn file(&mut self, path: &Path, by: Option<&Include>) {
        self.listing.file(path);
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert(identity) {
            return;
        }
        let named = path.display().to_string();
        if self.sources.len() == FILES_MAX {
            let message = format!("more than {FILES_MAX} policy files");
            return self.report(Problem::of_file(named, message), by);
        }
        match read_source(path) {
            Ok(source) => {
                let includes = policy::includes(&source);
                self.sources.push(source);
                for include in &includes {
                    self.include(path, include);
                }
            }
            Err(message) => self.report(Problem::of_file(named, message), by),
        }
    }

    fn include(&mut self, from: &Path, include: &Include) {
        let relative = match &include.what {
            Included::Shipped(name) => return self.shipped(name.as_deref(), include),
            Included::Path(path) => path,
        };
        let base = from.parent().unwrap_or(Path::new("."));
        let path = base.join(relative);
        if !path.exists() && strsim::osa_distance(relative, "shipped") <= 2 {
            let message = format!("there is no `{relative}`");
            let hint = Some("did you mean `shipped`?".to_owned());
            self.problems.push(include.problem(message, hint));
            return;
        }
        if path.is_dir() {
            self.directory(&path, Some(include));
        } else {
            self.file(&path, Some(include));
        }
    }

    fn shipped(&mut self, name: Option<&str>, include: &Include) {
        let mut found = false;
        for mut source in policy::shipped() {
            let file = source.path.rsplit('/').next().unwrap_or_default();
            if name.is_some_and(|name| name != file) {
                continue;
            }
            found = true;
            // So that nobody looks for the file in their own folder.
            source.path = format!("shipped/{file}");
            if self.seen.insert(PathBuf::from(&source.path)) {
                self.sources.push(source);
            }
        }
        if let Some(name) = name.filter(|_| !found) {
            let names: Vec<String> = policy::shipped()
                .into_iter()
                .filter_map(|source| source.path.rsplit('/').next().map(str::to_owned))
                .collect();
            let message = format!("no file `{name}` ships");
            let hint = format!("expected one of: {}", names.join(", "));
            self.problems.push(include.problem(message, Some(hint)));
        }
    }

    /// What cannot be read is told where it is asked for.
    fn report(&mut self, problem: Problem, by: Option<&Include>) {
        self.problems.push(match by {
            None => problem,
            Some(include) => include.problem(
                format!("{} {}", problem.path, problem.message),
                problem.hint,
            ),
        });
    }
}

/// The policy files of a folder, by name.
///
/// # Errors
/// When the folder cannot be read, or holds more than [`FILES_MAX`].
fn policy_files(dir: &Path) -> Result<Vec<PathBuf>, Box<Problem>> {
    let problem = |message| Box::new(Problem::of_file(dir.display().to_string(), message));
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
        paths.push(plain(&path).to_owned());
    }
    paths.sort();
    Ok(paths)
}

/// Without a leading `./`, so that a file has one name, and one place in the
/// order of names, however its folder was given.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
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

    fn read_folder(dir: &Path) -> Result<PolicySet, PolicyErrors> {
        load(Some(dir))
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
        let set = read_folder(dir.path()).unwrap();
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
        let errors = read_folder(dir.path()).unwrap_err();
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
        let errors = read_folder(dir.path()).unwrap_err();
        assert_eq!(
            messages(&errors, dir.path()),
            [" no policy here: expected *.yaml or *.yml files"]
        );
        let errors = read_folder(&dir.path().join("gone")).unwrap_err();
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
        let errors = read_folder(dir.path()).unwrap_err();
        assert_eq!(
            messages(&errors, dir.path()),
            [" more than 1000 policy files"]
        );
    }

    #[test]
    fn what_is_included_is_read_once_and_can_be_overridden() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("common")).unwrap();
        write(
            dir.path(),
            "common/lists.yaml",
            "lists: { rooms: { users: [a@b.example] } }\ninclude: [../set/set.yaml]\n",
        );
        fs::create_dir(dir.path().join("set")).unwrap();
        write(
            dir.path(),
            "set/set.yaml",
            "include: [shipped, ../common, ../common/lists.yaml]\n",
        );
        write(
            dir.path(),
            "set/change.yaml",
            "override: stolen-session\nmode: approve\nscope: { exclude: { lists: [rooms] } }\n",
        );
        let set = read_folder(&dir.path().join("set")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(set.policies.len(), 5);
        let stolen = set
            .policies
            .iter()
            .find(|p| p.name.as_str() == "stolen-session");
        let stolen = stolen.unwrap();
        assert_eq!(stolen.mode, crate::model::Mode::Approve);
        assert_eq!(stolen.scope.exclude.len(), 1);
    }

    #[test]
    fn what_cannot_be_included_is_told_where_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a.yaml", minimal("a"));
        write(
            dir.path(),
            "set.yaml",
            "include:\n  - gone.yaml\n  - shipped/gaurd.yaml\n",
        );
        let errors = read_folder(dir.path()).unwrap_err();
        let told = errors.to_string();
        let prefix = dir.path().display().to_string();
        insta::assert_snapshot!(told.replace(&prefix, "policies"), @r"
        policies/set.yaml:2:5: policies/gone.yaml cannot be read: No such file or directory (os error 2)
          2 |   - gone.yaml
            |     ^^^^^^^^^

        policies/set.yaml:3:5: no file `gaurd.yaml` ships
          3 |   - shipped/gaurd.yaml
            |     ^^^^^^^^^^^^^^^^^^
            = expected one of: guard.yaml, identity-protection.yaml, risky-network.yaml, signals.yaml, stolen-credentials.yaml, stolen-session.yaml, workload-identity.yaml
        ");
    }
}
