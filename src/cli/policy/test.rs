//! `evictd policy test`: tells the stories beside the policies and says what
//! did not come as expected, and what no story reached.
//!
//! Invariant: nothing is told before every file reads, so a red run is the
//! policies' and never half a file's; and the exit code says which it was.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use crate::cli::output::{self, Format, escape};
use crate::policy::{Policy, PolicyErrors, PolicySet, Problem, Source};
use crate::ruleset::{self, Places};
use crate::story::{
    self, Coverage, CoverageReport, Extent, Failure, Missed, Part, Reached, Suite, Told,
};

/// The exit code where files are wrong.
const FILES_ARE_WRONG: u8 = 2;

/// Arguments of `evictd policy test`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  evictd policy test                      # the shipped policies by their own stories
  evictd policy test ./policies           # every *.test.yaml of the folder
  evictd policy test ./policies/mail.test.yaml --filter cookie
  evictd policy test ./policies --min-coverage 100 --format json

A story, in a file beside the policies (docs/policies.md, \"Test it\"):
  stories:
    - story: a cookie is replayed from a rented machine
      when:
        - 09:00 ana signs in
        - 09:20 a thief uses ana's session from hosting
      expect: act by stolen-session, score >= 85

Exit codes: 0 every story went as expected, 1 one did not or too little was
reached, 2 a file is wrong or no story fits the filter.")]
pub struct TestArgs {
    /// Folder of policies and their stories, or one file of stories; without
    /// it the shipped ones.
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// Test the policies of this folder; without it those beside the stories.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Tell only stories whose name holds this text, in any case.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Fail where stories reach less than this share of the rungs, exceptions,
    /// conditions and own signals.
    #[arg(
        long,
        value_name = "PERCENT",
        conflicts_with = "filter",
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    min_coverage: Option<u8>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What a run found; `--format json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    policy_set: Box<str>,
    passed: usize,
    failed: usize,
    /// Left out by the filter.
    skipped: usize,
    seconds: f64,
    stories: Vec<Timed>,
    /// Absent where a filter left stories out, or nothing is to be covered.
    coverage: Option<CoverageReport>,
    covered_percent: Option<u8>,
}

#[derive(Debug, Serialize)]
struct Timed {
    #[serde(flatten)]
    told: Told,
    seconds: f64,
}

/// Runs it.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let (policies, suites) = match load(args) {
        Ok(loaded) => loaded,
        Err(errors) => {
            output::print(|out| writeln!(out, "{errors}"))?;
            return Ok(ExitCode::from(FILES_ARE_WRONG));
        }
    };
    let tested = Tested::of(args);
    let report = tell(&policies, &suites, args.filter.as_deref(), &tested);
    if report.stories.is_empty() {
        // A filter with a slip in it must not look like a success.
        output::print(|out| writeln!(out, "no story's name holds that text"))?;
        return Ok(ExitCode::from(FILES_ARE_WRONG));
    }
    // What names no policy covers none.
    let reached = report.covered_percent.unwrap_or(0);
    let uncovered = args.min_coverage.is_some_and(|wanted| reached < wanted);
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Text => output::print(|out| {
            print_report(out, &report)?;
            match args.min_coverage {
                Some(_) if uncovered && report.coverage.is_none() => {
                    writeln!(out, "no policy is covered: none is named in `expect`")
                }
                Some(wanted) if uncovered => {
                    writeln!(out, "{reached} % is covered, less than {wanted} %")
                }
                _ => Ok(()),
            }
        })?,
    }
    Ok(if report.failed > 0 || uncovered {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The policies under test and their stories, or all that is wrong with them.
fn load(args: &TestArgs) -> Result<(PolicySet, Vec<Suite>), PolicyErrors> {
    if let Some(path) = args.path.as_deref().filter(|path| !path.exists()) {
        let problem = Problem::of_file(path.display().to_string(), "is not there");
        return Err(PolicyErrors::of(vec![problem]));
    }
    let folder = folder_of_stories(args);
    let policies = ruleset::load(args.policies.as_deref().or(folder))?;
    let (sources, mut problems) = match &args.path {
        None => (story::shipped(), Vec::new()),
        Some(path) => sources(path),
    };
    // Files of records lie beside the stories that name them.
    let read = |name: &str| ruleset::read_source(&folder.unwrap_or(Path::new(".")).join(name));
    let mut suites = Vec::with_capacity(sources.len());
    for source in &sources {
        match story::parse(source, &policies, &|name| Ok(read(name)?.text)) {
            Ok(suite) => suites.push(suite),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok((policies, suites))
    } else {
        problems.sort();
        Err(PolicyErrors::of(problems))
    }
}

/// The folder that is named, or in which the named file lies.
fn folder_of_stories(args: &TestArgs) -> Option<&Path> {
    let path = args.path.as_deref()?;
    if path.is_dir() {
        return Some(path);
    }
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    Some(parent.unwrap_or(Path::new(".")))
}

/// What the stories that are told can be asked to reach.
#[derive(Debug, Default)]
struct Tested {
    /// The policies that ship: what a folder takes in with `include` and
    /// leaves as it is has its stories with us.
    included: Vec<Policy>,
    /// Whether one file is told: of the policies it does not name it says
    /// nothing.
    one_file: bool,
}

impl Tested {
    fn of(args: &TestArgs) -> Self {
        let folder = args.policies.as_deref().or(folder_of_stories(args));
        let Some(folder) = folder else {
            return Self::default();
        };
        let shipped = ruleset::load(None).map(|set| set.policies);
        let mut included = shipped.unwrap_or_default();
        // A copy of a shipped policy is the folder's own.
        let places = Places::read(&ruleset::load_listed(folder).0);
        included.retain(|policy| !places.define(policy.name.as_str()));
        Self {
            included,
            one_file: args.path.as_deref().is_some_and(Path::is_file),
        }
    }

    fn extent(&self, policy: &Policy, coverage: &Coverage) -> Extent<'_> {
        if self.one_file && !coverage.names(policy) {
            return Extent::Nothing;
        }
        let base = self.included.iter().find(|base| base.name == policy.name);
        base.map_or(Extent::Whole, Extent::Beyond)
    }
}

/// The files of stories of a folder, by name, or the one file.
fn sources(path: &Path) -> (Vec<Source>, Vec<Problem>) {
    let mut problems = Vec::new();
    let name = path.display().to_string();
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        paths = match fs::read_dir(path) {
            Ok(entries) => entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| ruleset::is_test_file(path))
                .collect(),
            Err(error) => {
                problems.push(Problem::of_file(
                    name.as_str(),
                    format!("cannot be read: {error}"),
                ));
                Vec::new()
            }
        };
        paths.sort();
    }
    if paths.len() > ruleset::FILES_MAX {
        let message = format!("more than {} files of stories", ruleset::FILES_MAX);
        problems.push(Problem::of_file(name.as_str(), message));
        paths.clear();
    } else if paths.is_empty() && problems.is_empty() {
        let message = "no stories here: expected *.test.yaml or *.test.yml files";
        problems.push(Problem::of_file(name.as_str(), message));
    }
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        match ruleset::read_source(&path) {
            Ok(source) => sources.push(source),
            Err(why) => problems.push(Problem::of_file(path.display().to_string(), why)),
        }
    }
    (sources, problems)
}

fn tell(policies: &PolicySet, suites: &[Suite], filter: Option<&str>, tested: &Tested) -> Report {
    let filter = filter.map(str::to_lowercase);
    let mut coverage = Coverage::default();
    let mut stories = Vec::new();
    let mut skipped = 0;
    let begun = Instant::now();
    for suite in suites {
        for (index, name) in suite.names().enumerate() {
            let wanted = filter
                .as_ref()
                .is_none_or(|filter| name.to_lowercase().contains(filter));
            if !wanted {
                skipped += 1;
                continue;
            }
            let begun = Instant::now();
            if let Some(told) = story::tell(suite, index, policies, &mut coverage) {
                let seconds = begun.elapsed().as_secs_f64();
                stories.push(Timed { told, seconds });
            }
        }
    }
    let passed = stories.iter().filter(|timed| timed.told.passed()).count();
    // What a part of the stories reaches says nothing of the whole.
    let covered = |policy: &Policy| tested.extent(policy, &coverage);
    let coverage = match filter {
        None => coverage.report(policies, covered),
        Some(_) => None,
    };
    Report {
        policy_set: policies.hash.clone(),
        passed,
        failed: stories.len() - passed,
        skipped,
        seconds: begun.elapsed().as_secs_f64(),
        stories,
        covered_percent: coverage.as_ref().map(CoverageReport::percent),
        coverage,
    }
}

fn print_report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    for timed in &report.stories {
        let (told, took) = (&timed.told, Duration::from_secs_f64(timed.seconds));
        let (word, style) = if told.passed() {
            ("PASS", AnsiColor::Green.on_default().bold())
        } else {
            ("FAIL", AnsiColor::Red.on_default().bold())
        };
        writeln!(
            out,
            "{style}{word:>8}{style:#} [{:>7.3}s] {}: {}",
            took.as_secs_f64(),
            escape(file_name(&told.path)),
            escape(&told.story)
        )?;
    }
    for timed in report.stories.iter().filter(|timed| !timed.told.passed()) {
        print_failures(out, &timed.told)?;
    }
    writeln!(
        out,
        "\n{} stories told in {:.3}s: {} passed, {} failed, {} skipped; set {}",
        report.stories.len(),
        report.seconds,
        report.passed,
        report.failed,
        report.skipped,
        report.policy_set
    )?;
    match &report.coverage {
        Some(coverage) => print_coverage(out, coverage),
        None => Ok(()),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn print_failures(out: &mut dyn Write, told: &Told) -> io::Result<()> {
    for Failure {
        line,
        expected,
        differences,
        trace,
    } in &told.failures
    {
        writeln!(
            out,
            "\n{}:{line}: {}",
            escape(&told.path),
            escape(&told.story)
        )?;
        writeln!(out, "    expect: {}", escape(expected))?;
        let (minus, plus) = (AnsiColor::Red.on_default(), AnsiColor::Green.on_default());
        for difference in differences {
            let (expected, actual) = (escape(&difference.expected), escape(&difference.actual));
            writeln!(out, "    {minus}- {expected}{minus:#}")?;
            writeln!(out, "    {plus}+ {actual}{plus:#}")?;
        }
        let dimmed = Style::new().dimmed();
        for line in trace {
            writeln!(out, "      {dimmed}{}{dimmed:#}", escape(line))?;
        }
    }
    Ok(())
}

fn print_coverage(out: &mut dyn Write, coverage: &CoverageReport) -> io::Result<()> {
    let kinds = [
        (coverage.rungs, "rungs reached"),
        (coverage.exceptions, "exceptions met"),
        (coverage.conditions, "conditions seen both ways"),
        (coverage.own_signals, "own signals raised"),
        (coverage.signals, "weighed signals raised"),
    ];
    let told: Vec<String> = kinds
        .iter()
        .filter(|(kind, _)| kind.of > 0)
        .map(|(Reached { of, reached }, what)| format!("{reached} of {of} {what}"))
        .collect();
    let policies = match coverage.policies.as_slice() {
        [one] => format!(" of {}", escape(one)),
        _ => String::new(),
    };
    writeln!(out, "coverage{policies}: {}", told.join(", "))?;
    for Missed { policy, parts } in &coverage.missed {
        let policy = escape(policy);
        let mut signals = Vec::new();
        for part in parts {
            match part {
                Part::Signal { name, own: false } => signals.push(escape(name)),
                part => writeln!(out, "    {policy}: {}", escape(&part.to_string()))?,
            }
        }
        if !signals.is_empty() {
            writeln!(out, "    {policy}: no story raises {}", signals.join(", "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(path: Option<&Path>) -> TestArgs {
        TestArgs {
            path: path.map(Path::to_owned),
            policies: None,
            filter: None,
            min_coverage: None,
            format: Format::Text,
        }
    }

    /// A folder with one policy and these files of stories.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let policy = "policy: tor
mode: enforce
window: 1h
signals: { tor_exit: 70, device_lost: 50 }
rungs:
  - { at: 70, do: [revoke_sessions], ask: {} }
  - { at: 50, do: [revoke_sessions] }
";
        fs::write(dir.path().join("tor.yaml"), policy).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    const STORIES: &str = "stories:
  - story: through Tor
    when: [09:00 ana signs in from tor]
    expect: ask by tor
  - story: from home
    when: [09:00 ana signs in]
    expect: \"act by tor, with tor_exit\"
";

    fn report(dir: &Path, filter: Option<&str>) -> Report {
        let args = args(Some(dir));
        let (policies, suites) = load(&args).unwrap();
        let mut report = tell(&policies, &suites, filter, &Tested::of(&args));
        report.seconds = 0.0;
        for timed in &mut report.stories {
            timed.seconds = 0.0;
        }
        report
    }

    fn printed(report: &Report, dir: &Path) -> String {
        let mut out = Vec::new();
        print_report(&mut out, report).unwrap();
        let plain = anstream::adapter::strip_bytes(&out).into_vec();
        let text = String::from_utf8(plain).unwrap();
        text.replace(&dir.display().to_string(), "DIR")
            .replace(&*report.policy_set, "HASH")
    }

    #[test]
    fn a_run_reads_like_a_test_runner() {
        let dir = folder(&[("tor.test.yaml", STORIES)]);
        let report = report(dir.path(), None);
        insta::assert_snapshot!(printed(&report, dir.path()));
        assert_eq!(report.covered_percent, Some(50));
    }

    #[test]
    fn a_filter_leaves_stories_out_and_coverage_with_them() {
        let dir = folder(&[("tor.test.yaml", STORIES)]);
        let report = report(dir.path(), Some("TOR"));
        assert_eq!((report.passed, report.failed, report.skipped), (1, 0, 1));
        assert_eq!(report.coverage, None);
    }

    #[test]
    fn the_exit_code_says_whether_a_story_or_a_file_is_wrong() {
        let dir = folder(&[
            ("tor.test.yaml", STORIES),
            ("bad.test.yaml", "stories: 1\n"),
        ]);
        let code = |path: &str, filter: Option<&str>| {
            let filter = filter.map(str::to_owned);
            let path = dir.path().join(path);
            let code = run(&TestArgs {
                filter,
                ..args(Some(&path))
            })
            .unwrap();
            format!("{code:?}")
        };
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code("tor.test.yaml", Some("through")), expected(0));
        assert_eq!(code("tor.test.yaml", None), expected(1));
        assert_eq!(code("tor.test.yaml", Some("nowhere")), expected(2));
        assert_eq!(code("", None), expected(2));
    }

    #[test]
    fn one_file_of_stories_is_told_by_the_policies_beside_it() {
        let dir = folder(&[
            ("tor.test.yaml", STORIES),
            ("bad.test.yaml", "stories: 1\n"),
        ]);
        let (policies, suites) = load(&args(Some(&dir.path().join("tor.test.yaml")))).unwrap();
        assert_eq!((policies.policies.len(), suites.len()), (1, 1));
    }

    #[test]
    fn what_is_wrong_with_any_file_is_told_before_a_story_is() {
        let dir = folder(&[("a.test.yaml", STORIES), ("b.test.yml", "stories: 1\n")]);
        let errors = load(&args(Some(dir.path()))).unwrap_err().to_string();
        assert!(
            errors.contains("b.test.yml:1:10: `stories` is `1`"),
            "{errors}"
        );
        let dir = folder(&[]);
        let errors = load(&args(Some(dir.path()))).unwrap_err().to_string();
        assert!(errors.contains("no stories here"), "{errors}");
        let gone = dir.path().join("gone");
        let errors = load(&args(Some(&gone))).unwrap_err().to_string();
        assert_eq!(errors, format!("{}: is not there", gone.display()));
    }

    #[test]
    fn records_are_found_beside_the_stories() {
        let stories = "stories:
  - story: recorded
    when: [{ records: tor.ndjson }]
    expect: nothing
";
        let record = r#"{"category":"SignInLogs","properties":{"id":"r","userId":"u","createdDateTime":"2026-11-24T09:00:00Z","status":{"errorCode":0}}}"#;
        let dir = folder(&[("tor.test.yaml", stories), ("tor.ndjson", record)]);
        assert_eq!(report(dir.path(), None).failed, 0);
    }

    #[test]
    fn without_a_path_the_shipped_stories_are_told() {
        let (_, suites) = load(&args(None)).unwrap();
        assert_eq!(suites.len(), 6);
    }

    const ROOMS: &str = "people: { room: { name: room-paris@contoso.example } }
stories:
  - story: a room through Tor
    when: [09:00 room signs in from tor]
    expect: nothing by stolen-session, excepted by rooms
";

    /// A folder that changes a policy that ships, beside one of its own.
    fn overriding() -> tempfile::TempDir {
        let dir = folder(&[("tor.test.yaml", STORIES), ("rooms.test.yaml", ROOMS)]);
        let change = "override: stolen-session
except:
  - { name: rooms, when: event.user in lists.rooms, owner: ana, reason: x, until: 2027-01-31 }
  - { name: lab, when: event.network.country == \"JP\", owner: ana, reason: x, until: 2027-01-31 }
";
        fs::write(dir.path().join("change.yaml"), change).unwrap();
        let lists =
            "include: [shipped]\nlists: { rooms: { users: [room-paris@contoso.example] } }\n";
        fs::write(dir.path().join("lists.yaml"), lists).unwrap();
        dir
    }

    #[test]
    fn of_what_is_included_only_the_changes_are_to_be_covered() {
        let dir = overriding();
        let report = report(dir.path(), None);
        let coverage = report.coverage.unwrap();
        assert_eq!(coverage.policies, ["tor", "stolen-session"]);
        assert_eq!((coverage.rungs.of, coverage.exceptions.of), (2, 2));
        let lab = Part::Exception { name: "lab".into() };
        assert_eq!(coverage.missed[1].parts, [lab]);
        assert_eq!(report.covered_percent, Some(50));
    }

    #[test]
    fn one_file_covers_the_policies_that_it_names() {
        let dir = overriding();
        let covered = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            let args = args(Some(&path));
            let (policies, suites) = load(&args).unwrap();
            let report = tell(&policies, &suites, None, &Tested::of(&args));
            report.coverage.map(|coverage| coverage.policies)
        };
        let named = |name: &str| Some(vec![name.to_owned()]);
        assert_eq!(covered("rooms.test.yaml", ROOMS), named("stolen-session"));
        assert_eq!(covered("tor.test.yaml", STORIES), named("tor"));
        let nobody = "stories: [{ story: s, when: [09:00 ana signs in], expect: nothing }]\n";
        assert_eq!(covered("none.test.yaml", nobody), None);
        let code = run(&TestArgs {
            min_coverage: Some(1),
            ..args(Some(&dir.path().join("none.test.yaml")))
        });
        let failed = format!("{:?}", ExitCode::FAILURE);
        assert_eq!(format!("{:?}", code.unwrap()), failed);
    }
}
