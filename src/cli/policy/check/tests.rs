//! What is found, and how each format says it.

use std::fs;

use super::*;

const TODAY: &str = "2026-11-24";

/// A folder with an error, a warning, an exception that has ended and one that
/// ends soon.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "a.yaml",
        "policy: a\nowner: ana\nwindow: 1h\nmode: approve\nsignals: { tor_exti: 70 }\n\
         rungs: [{ at: 70, do: [revoke_sessions] }]\n",
    );
    write(
        "b.yaml",
        "policy: b\nwindow: 1h\nmode: approve\nsignals: { tor_exit: 70 }\nexcept:\n  \
         - { name: old, when: event.network.asn == 64500, owner: o, reason: r, until: 2026-11-23 }\n  \
         - { name: new, when: event.network.asn == 64501, owner: o, reason: r, until: 2026-11-30 }\n\
         rungs: [{ at: 70, do: [revoke_sessions, confirm_compromised] }]\n",
    );
    write(
        "c.yaml",
        "policy: c\nowner: ana\nwindow: 1h\nsignals: { tor_exit: 70 }\n\
         rungs: [{ at: 70, do: [revoke_sessions] }]\n",
    );
    dir
}

fn found(path: &Path, permissions: Option<&[&str]>) -> Findings {
    let names: Option<Vec<String>> =
        permissions.map(|names| names.iter().map(ToString::to_string).collect());
    find(Some(path), names.as_deref(), TODAY.parse().unwrap())
}

/// Level, file, line and rule of each.
fn told(findings: &Findings) -> Vec<(&'static str, String, u32, &'static str)> {
    findings
        .all()
        .map(|(level, problem)| {
            let file = Path::new(&problem.path).file_name().unwrap_or_default();
            let line = problem.place.map_or(0, |place| place.line);
            let file = file.to_string_lossy().into_owned();
            (level.as_str(), file, line, problem.rule)
        })
        .collect()
}

#[test]
fn errors_and_warnings_of_all_files_are_found_in_one_run() {
    let dir = folder();
    let findings = found(dir.path(), None);
    let row = |level, file: &str, line, rule| (level, file.to_owned(), line, rule);
    assert_eq!(
        told(&findings),
        [
            row("error", "a.yaml", 5, "unknown-signal"),
            row("error", "b.yaml", 6, "expired-exception"),
            row("warning", "b.yaml", 1, "no-owner"),
            row("warning", "b.yaml", 7, "exception-expires"),
        ]
    );
    assert_eq!(findings.files, 3);
    assert_eq!(findings.exit_code(false), WRONG);
}

#[test]
fn a_file_is_checked_within_its_folder_and_its_own_problems_are_told() {
    let dir = folder();
    let fine = found(&dir.path().join("c.yaml"), None);
    assert_eq!(told(&fine), []);
    assert_eq!((fine.files, fine.elsewhere), (1, 4));
    assert_eq!(fine.exit_code(true), FINE);
    let names: Vec<&str> = fine.policies.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["c"]);

    // What a file refers to is in its folder.
    fs::write(
        dir.path().join("d.yaml"),
        "lists: { rooms: { users: [room@contoso.example] } }\n",
    )
    .unwrap();
    let referring = dir.path().join("e.yaml");
    fs::write(
        &referring,
        "policy: e\nowner: ana\nwindow: 1h\nsignals: { tor_exit: 70 }\n\
         scope: { exclude: { lists: [rooms] } }\nrungs: [{ at: 70, do: [revoke_sessions] }]\n",
    )
    .unwrap();
    assert_eq!(told(&found(&referring, None)), []);
    // A name that two files claim is told where the second one does.
    fs::write(&referring, fs::read(dir.path().join("c.yaml")).unwrap()).unwrap();
    let twice = told(&found(&referring, None));
    assert_eq!(twice, [("error", "e.yaml".to_owned(), 1, "invalid")]);
}

#[test]
fn an_action_without_its_permission_is_an_error_where_it_would_be_done() {
    let dir = folder();
    let path = dir.path().join("b.yaml");
    let missing = |granted: &[&str]| -> Vec<String> {
        let findings = found(&path, Some(granted));
        let errors = findings.errors.iter();
        errors
            .filter(|problem| problem.rule == "missing-permission")
            .map(|problem| problem.message.clone())
            .collect()
    };
    let revoke = "`revoke_sessions` needs the Graph permission User.RevokeSessions.All";
    let confirm =
        "`confirm_compromised` needs the Graph permission IdentityRiskyUser.ReadWrite.All";
    assert_eq!(missing(&[]), [revoke, confirm]);
    assert_eq!(missing(&["User.RevokeSessions.All"]), [confirm]);
    let both = ["User.RevokeSessions.All", "IdentityRiskyUser.ReadWrite.All"];
    assert_eq!(missing(&both), [] as [&str; 0]);
    // In shadow nothing is done.
    assert_eq!(told(&found(&dir.path().join("c.yaml"), Some(&[]))), []);
}

#[test]
fn a_misspelt_permission_is_told_and_a_foreign_one_is_not() {
    let names = ["User.RevokeSession.All", "Sites.Read.All", "User.Read.All"];
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(
        permissions::misspelt(&names),
        [
            "--permissions: \"User.RevokeSession.All\" is not a permission that evictd knows; \
          did you mean User.RevokeSessions.All?"
        ]
    );
}

#[test]
fn exit_codes_are_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let code = |deny| found(dir.path(), None).exit_code(deny);
    assert_eq!(code(false), NOTHING_READ);
    let policy = "policy: a\nwindow: 1h\nsignals: { tor_exit: 70 }\n\
                  rungs: [{ at: 70, do: [revoke_sessions] }]\n";
    fs::write(dir.path().join("a.yaml"), policy).unwrap();
    assert_eq!((code(false), code(true)), (FINE, WRONG));
    fs::write(dir.path().join("a.yaml"), format!("owner: o\n{policy}")).unwrap();
    assert_eq!((code(false), code(true)), (FINE, FINE));
    fs::write(dir.path().join("a.yaml"), "policy: a\n").unwrap();
    assert_eq!(code(false), WRONG);
    let gone = found(&dir.path().join("gone"), None);
    assert_eq!(gone.exit_code(false), NOTHING_READ);
}

#[test]
fn a_file_of_stories_is_left_to_policy_test() {
    let dir = folder();
    let stories = dir.path().join("a.test.yaml");
    fs::write(&stories, "stories: []\n").unwrap();
    assert_eq!(found(dir.path(), None).files, 3);
    let findings = found(&stories, None);
    assert_eq!(findings.exit_code(false), NOTHING_READ);
    assert!(findings.errors[0].message.contains("evictd policy test"));
}

/// What a format prints, without the folder's own name.
fn printed(dir: &Path, text: &str) -> String {
    text.replace(&format!("{}/", dir.display()), "policies/")
}

#[test]
fn text_shows_lines_and_carets_and_what_policies_need() {
    let dir = folder();
    let plain = |findings: &Findings| {
        let mut out = Vec::new();
        text::write(&mut out, findings).unwrap();
        let text = anstream::adapter::strip_bytes(&out).into_vec();
        printed(dir.path(), &String::from_utf8(text).unwrap())
    };
    insta::assert_snapshot!("text", plain(&found(dir.path(), None)));
    let shipped = find(None, None, TODAY.parse().unwrap());
    let text = plain(&shipped);
    assert!(
        text.contains("needs User-PasswordProfile.ReadWrite.All and a directory role"),
        "{text}"
    );
}

#[test]
fn json_has_the_documented_keys() {
    let dir = folder();
    let findings = found(dir.path(), None);
    let text = serde_json::to_string_pretty(&json::report(&findings)).unwrap();
    insta::assert_snapshot!("json", printed(dir.path(), &text));
}

#[test]
fn github_gets_a_command_a_problem() {
    let dir = folder();
    let mut out = Vec::new();
    github::write(&mut out, &found(dir.path(), None), dir.path()).unwrap();
    insta::assert_snapshot!("github", String::from_utf8(out).unwrap());
}

#[test]
fn sarif_places_each_result_and_names_its_rule() {
    let dir = folder();
    let report = sarif::report(&found(dir.path(), None), dir.path());
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), policy::RULES.len());
    let mut results = run["results"].as_array().unwrap().clone();
    for result in &mut results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"]);
        assert_eq!(
            result["level"],
            rules[index]["defaultConfiguration"]["level"]
        );
        // Another rule in the table is no other result.
        result["ruleIndex"].take();
    }
    insta::assert_snapshot!(
        "sarif_results",
        serde_json::to_string_pretty(&results).unwrap()
    );
}

#[test]
fn paths_are_relative_to_where_the_check_runs() {
    let working = Path::new("/work/repository");
    for (path, expected) in [
        ("policies/a.yaml", "policies/a.yaml"),
        ("./policies/./a.yaml", "policies/a.yaml"),
        ("/work/repository/policies/a.yaml", "policies/a.yaml"),
        ("/etc/evictd/a.yaml", "/etc/evictd/a.yaml"),
        ("../a.yaml", "../a.yaml"),
    ] {
        assert_eq!(relative(path, working), expected);
    }
}
