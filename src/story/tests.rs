//! The shipped stories pass and reach everything; a story that should fail
//! does, and says why; the mistakes of a file are told where they are.

use super::cast::Cast;
use super::deed::{Act, How};
use super::sentence::{What, When};
use super::words::Fault;
use super::*;
use crate::policy::{PolicySet, Problem, Source};
use crate::ruleset;

fn policies() -> PolicySet {
    ruleset::load(None).unwrap()
}

fn no_files(_: &str) -> Result<String, String> {
    Err("cannot be read: no such file".to_owned())
}

fn source(text: &str) -> Source {
    Source {
        path: "mail.test.yaml".to_owned(),
        text: text.to_owned(),
    }
}

fn suite(text: &str) -> Suite {
    parse(&source(text), &policies(), &no_files).unwrap_or_else(|problems| {
        let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
        panic!("{}", told.join("\n\n"))
    })
}

/// Every story of a file, told under those policies.
fn told(text: &str, policies: &PolicySet) -> Vec<Told> {
    let suite = suite(text);
    let mut coverage = Coverage::default();
    let indices = 0..suite.names().count();
    indices
        .filter_map(|index| tell(&suite, index, policies, &mut coverage))
        .collect()
}

fn problems(text: &str) -> String {
    let found = parse(&source(text), &policies(), &no_files).unwrap_err();
    let told: Vec<String> = found.iter().map(Problem::to_string).collect();
    told.join("\n\n")
}

#[test]
fn the_shipped_stories_pass_and_reach_every_rung_and_every_signal() {
    let policies = policies();
    let mut coverage = Coverage::default();
    for source in shipped() {
        let suite = parse(&source, &policies, &no_files).unwrap_or_else(|p| panic!("{p:?}"));
        for index in 0..suite.names().count() {
            let told = tell(&suite, index, &policies, &mut coverage).unwrap();
            assert!(told.passed(), "{told:#?}");
        }
    }
    let report = coverage.report(&policies, |_| Extent::Whole).unwrap();
    assert_eq!(report.missed, [], "no story reaches these");
    assert_eq!(report.percent(), 100);
}

#[test]
fn every_file_of_stories_beside_the_shipped_policies_is_embedded() {
    let mut beside: Vec<String> = std::fs::read_dir("policies")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| ruleset::is_test_file(path))
        .map(|path| path.display().to_string())
        .collect();
    beside.sort();
    let embedded: Vec<String> = shipped().into_iter().map(|source| source.path).collect();
    assert_eq!(embedded, beside);
}

#[test]
fn without_any_one_of_the_shipped_rungs_some_story_goes_otherwise() {
    let set = policies();
    let suites: Vec<Suite> = shipped()
        .iter()
        .map(|source| parse(source, &set, &no_files).unwrap())
        .collect();
    let fails = |policies: &PolicySet| {
        let mut coverage = Coverage::default();
        suites.iter().any(|suite| {
            (0..suite.names().count())
                .filter_map(|index| tell(suite, index, policies, &mut coverage))
                .any(|told| !told.passed())
        })
    };
    for (p, policy) in set.policies.iter().enumerate() {
        for r in 0..policy.rungs.len() {
            let mut lame = set.clone();
            lame.policies[p].rungs[r].at = 101;
            assert!(fails(&lame), "{}, rung {r}", policy.name);
        }
    }
}

#[test]
fn a_story_is_the_same_whenever_it_is_told() {
    let text = "stories:
  - story: one
    when:
      - 09:00 ana signs in
      - 09:20 a thief uses ana's session from hosting
    expect: nothing
";
    let first = format!("{:?}", told(text, &policies()));
    assert_eq!(first, format!("{:?}", told(text, &policies())));
}

#[test]
fn what_did_not_come_as_expected_is_told_with_its_trace() {
    let text = "stories:
  - story: a cookie is replayed
    when:
      - 09:00 ana signs in
      - expect: ask
      - 09:20 a thief uses ana's session from vpn
    expect:
      - act by risky-network to revoke_sessions, score < 20, with tor_exit
      - without session_vpn, demoted (paused), withdrawn
";
    let told = told(text, &policies());
    insta::assert_debug_snapshot!(told[0].failures);
}

#[test]
fn expectations_in_between_speak_of_what_happened_since() {
    let text = "stories:
  - story: two steps
    when:
      - 09:00 a thief signs in as ana from tor on laptop
      - expect: ask, with tor_exit
      - +1m Identity Protection reports anonymizedIPAddress of ana's sign-in
      - expect: act, without tor_exit, score ≥ 85
      - expect: with risk.anonymizedIPAddress
      - +5m ben signs in
      - expect: nothing
";
    assert!(
        told(text, &policies())[0].passed(),
        "{:#?}",
        told(text, &policies())
    );
}

#[test]
fn an_expectation_for_one_person_leaves_out_the_others() {
    let text = "stories:
  - story: two people
    when:
      - 09:00 a thief signs in as ana from tor on laptop
      - 09:00 ben signs in
    expect:
      - ask, for ana
      - nothing, for ben
";
    assert!(
        told(text, &policies())[0].passed(),
        "{:#?}",
        told(text, &policies())
    );
}

#[test]
fn the_budget_of_the_hour_is_counted() {
    let mut policies = policies();
    policies.guard.acts_per_hour = 1;
    let text = "stories:
  - story: a storm
    when:
      - 09:00 Identity Protection reports adminConfirmedUserCompromised of ana
      - expect: act
      - 09:10 Identity Protection reports adminConfirmedUserCompromised of ben
      - expect: ask, demoted (budget_spent)
      - 10:30 Identity Protection reports adminConfirmedUserCompromised of carla
    expect: act
";
    let told = told(text, &policies);
    assert!(told[0].passed(), "{told:#?}");
}

#[test]
fn records_are_read_inline_and_from_the_file_that_is_named() {
    const RISK: &str = r#"{"category":"UserRiskEvents","properties":{"id":"d1","userId":"6f2a9f0e-0d5c-4f0e-8c39-3f6f3b1f7a11","userPrincipalName":"eve@contoso.example","riskEventType":"adminConfirmedUserCompromised","riskLevel":"high","riskState":"atRisk","activityDateTime":"2026-11-24T09:00:00Z"}}"#;
    let text = format!(
        "stories:
  - story: inline
    when:
      - record: {RISK}
    expect: act by stolen-session
  - story: from a file
    when:
      - records: recorded.ndjson
    expect: act by stolen-session
"
    );
    let read = |name: &str| match name {
        "recorded.ndjson" => Ok(format!("{RISK}\n")),
        other => Err(format!("{other} was not asked for")),
    };
    let policies = policies();
    let suite = parse(&source(&text), &policies, &read).unwrap();
    let mut coverage = Coverage::default();
    for index in 0..2 {
        let told = tell(&suite, index, &policies, &mut coverage).unwrap();
        assert!(told.passed(), "{told:#?}");
    }
}

#[test]
fn every_mistake_is_told_at_its_word() {
    let text = "people:
  eve: { in: pariss, phone: x }
  two words: {}
places:
  cafe: { at: [95, 200], network: hostng, country: FRA }
story: []
stories:
  - story: mistakes in sentences
    given:
      - 09:00 ana signs in
    when:
      - ana signs in
      - 9:00 ana signs in
      - 09:00 anna signs in
      - '09:00 ana sings in'
      - 09:00 ana signs in from lagoss
      - 09:00 ana signs in on laptop on phone
      - 09:00 ana signs in quickly
      - 09:00 ana fails to sign in
      - 09:00 ana fails to sign in (tired)
      - 09:00 a thief signs in from tor
      - 09:00 a thief signs in as ana
      - 09:00 a thief uses ana session from tor
      - 09:00 payroll signs in
      - 09:00 0 others sign in from tor
      - 09:00 Identity Protection reports anomalousToken (huge) of ana
      - 09:00 Identity Protection suspects ana
      - 09:00 Identity Protection reports anomalousTokn of ana
      - 09:00 ana's session is used from hosting
      - 09:00 ana signs in form hosting
      - 09:00 ana signs in 5m early
      - 09:00 ana registers a device on phone
      - 09:00 ana signs in as ben
      - 09:00 ana renews the session by device code
      - record: { category: SignInLogs, properties: { id: x } }
      - records: gone.ndjson
      - expect: acts by stolen-session
    expect:
      - act by stolen-sesion, score >= 850, with session_hostng, to
      - ask by stolen-session to revoke_session, refused (because), demoted
      - for bob
      - with risk.anomalousTokn and risk.brandNew
      - acts by stolen-session
      - '  '
  - story: expects nothing at all
    when: [09:00 ana signs in]
  - story: does not say how it ends
    when:
      - 09:00 ana signs in
      - expect: nothing
      - 10:00 ana signs in
";
    insta::assert_snapshot!(problems(text));
}

#[test]
fn a_file_without_stories_is_wrong() {
    insta::assert_snapshot!(problems("stories: []\n"), @r"
    mail.test.yaml:1:10: `stories` is an empty list
      1 | stories: []
        |          ^
    ");
    insta::assert_snapshot!(problems("people: {}\n"), @r"
    mail.test.yaml:1:1: a file of stories has no `stories`
      1 | people: {}
        | ^
    ");
}

#[test]
fn the_guide_names_everything_that_is_there_and_its_example_reads() {
    let guide = include_str!("../../docs/policies.md");
    let section = guide.split("## Test it").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let cast = Cast::default();
    let names = cast
        .people
        .keys()
        .chain(cast.places.keys())
        .chain(cast.devices.keys())
        .chain(cast.apps.keys());
    for name in names {
        assert!(section.contains(&format!("`{name}`")), "{name}");
    }
    let blocks = section.split("```yaml\n").skip(1);
    let examples: Vec<&str> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        for told in told(example, &policies()) {
            assert!(told.passed(), "{told:#?}");
        }
    }
}

#[test]
fn times_are_of_the_day_of_another_day_or_after_the_line_before() {
    let cast = Cast::default();
    let table = [
        ("09:00", Some((None, 32_400))),
        ("23:59:59", Some((None, 86_399))),
        ("day 2 09:00", Some((Some(2), 32_400))),
        ("24:00", None),
        ("9:00", None),
        ("09:00:0", None),
        ("day 0 09:00", None),
        ("+5", None),
        ("+-5m", None),
    ];
    for (time, expected) in table {
        let read = sentence::timed(&format!("{time} ana signs in"), &cast);
        let expected = expected.map(|(day, second)| When::Clock { day, second });
        assert_eq!(read.ok().and_then(|s| s.when), expected, "{time}");
    }
    let after = sentence::timed("+90s ana signs in", &cast).unwrap();
    assert_eq!(after.when, Some(When::After(90)));
}

#[test]
fn circumstances_stand_in_any_order_and_each_once() {
    let cast = Cast::default();
    let text = "09:00 a thief signs in by device code to broker as ana 2h late in session s from tor with curl/8";
    let read = sentence::timed(text, &cast).unwrap();
    let What::Deed(deed) = read.what else {
        panic!("{:?}", read.what)
    };
    assert_eq!(read.late, 7_200);
    assert_eq!(deed.act, Act::SignIn { code: 0 });
    assert_eq!((deed.who.as_str(), deed.thief), ("ana", true));
    assert_eq!(deed.by, [How::DeviceCode]);
    let told = [deed.from, deed.to, deed.agent, deed.session].map(Option::unwrap);
    assert_eq!(told, ["tor", "broker", "curl/8", "s"]);
}

#[test]
fn what_is_done_is_suggested_to_those_who_can_do_it() {
    let cast = Cast::default();
    let hint = |text: &str| sentence::timed(text, &cast).unwrap_err().hint;
    assert_eq!(
        hint("09:00 ana add a method"),
        "did you mean `adds a method`?"
    );
    let uses = "`uses PERSON's session`";
    let thiefs = hint("09:00 a thief use ana's session");
    assert_eq!(thiefs, format!("did you mean {uses}?"));
    assert!(!hint("09:00 ana uses ben's session").contains(uses));
    let twice = hint("09:00 ana signs in bound unbound");
    assert_eq!(twice, "expected it once");
}

proptest::proptest! {
    /// Whatever is written, it is read or told, and the place is in the line.
    #[test]
    fn any_text_is_a_sentence_or_a_fault_within_it(text in "[ a-z0-9:'()+é-]{0,60}") {
        let cast = Cast::default();
        let length = text.chars().count();
        let within = |fault: &Fault| fault.from <= length;
        for read in [sentence::timed(&text, &cast), sentence::untimed(&text, &cast)] {
            if let Err(fault) = read {
                proptest::prop_assert!(within(&fault), "{fault:?}");
            }
        }
        let policies = policies();
        let names = expectation::Names { cast: &cast, policies: &policies };
        if let Err(faults) = expectation::read(&text, names) {
            proptest::prop_assert!(!faults.is_empty() && faults.iter().all(within), "{faults:?}");
        }
    }
}
