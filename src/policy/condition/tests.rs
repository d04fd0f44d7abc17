//! What conditions mean, what authors are told, and that the `cel` crate's own
//! interpreter agrees.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use proptest::prelude::*;

use super::fields::{Domain, FIELDS, Type, Value};
use super::*;
use crate::model::{
    AppRef, AuthenticationStep, CountryCode, Device, Event, Family, NetworkClass, Protocol,
    RecordId, RiskDetection, RiskLevel, RiskState, RiskType, SignIn, UserId, UserRef,
};
use crate::policy::lists::Networks;

fn user() -> UserRef {
    UserRef {
        id: UserId::new("0a1b"),
        principal_name: "Ana@contoso.example".into(),
        guest: false,
        workload: false,
    }
}

/// A success by device code from Paris, of which the record says no ASN and
/// nothing of compliance.
fn sign_in() -> Event {
    let at = "2026-11-24T21:30:00Z".parse().unwrap();
    let mut event = SignIn::new(RecordId::new("r"), at, user());
    event.network.address = Some("203.0.113.7".parse().unwrap());
    event.network.place.country = CountryCode::parse("FR");
    event.network.place.city = Some("Paris".into());
    event.protocol = Protocol::DeviceCode;
    event.user_agent = Some("python-requests/2.31".into());
    event.app = AppRef {
        id: Some("29d9ed98".into()),
        name: Some("Microsoft Authentication Broker".into()),
    };
    event.device = Device {
        managed: Some(false),
        ..Device::default()
    };
    event.steps = ["Password", "Mobile app notification"]
        .map(|method| AuthenticationStep {
            method: Some(method.into()),
            ..AuthenticationStep::default()
        })
        .to_vec();
    Event::SignIn(Box::new(event))
}

fn detection() -> Event {
    Event::RiskDetection(Box::new(RiskDetection {
        record: RecordId::new("d"),
        detection: "d".into(),
        at: "2026-11-24T08:00:00Z".parse().unwrap(),
        user: user(),
        request: None,
        risk_type: RiskType("anonymizedIPAddress".into()),
        level: RiskLevel::High,
        state: RiskState::AtRisk,
        network: Default::default(),
    }))
}

fn lists() -> BTreeMap<Box<str>, Arc<List>> {
    let lists: [(Box<str>, List); 4] = [
        (
            "rooms".into(),
            List::Users(["ana@contoso.example"].into_iter().collect()),
        ),
        (
            "offices".into(),
            List::Networks(Networks::new(vec!["203.0.113.0/24".parse().unwrap()])),
        ),
        ("carriers".into(), List::Asns([64_500].into())),
        ("home".into(), List::Countries(["FR".into()].into())),
    ];
    lists.map(|(name, list)| (name, Arc::new(list))).into()
}

fn compiled(text: &str) -> Result<Condition, Vec<Fault>> {
    compiled_for(Asked::Policy, text)
}

fn compiled_for(asked: Asked, text: &str) -> Result<Condition, Vec<Fault>> {
    let lists = lists();
    let names = Names {
        lists: &lists,
        asked,
    };
    compile(text, names, &mut Vec::new())
}

fn ask(text: &str, event: &Event) -> Result<bool, Undecided> {
    let condition = compiled(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    condition.ask(&Subject {
        event,
        class: NetworkClass::Hosting,
        signal: Some(("tor_exit", Family::Network)),
    })
}

#[test]
fn a_condition_is_true_false_or_undecided_as_the_record_says() {
    use Undecided::{Absent, OtherKind};
    let table = [
        ("event.sign_in.succeeded", Ok(true)),
        ("!event.sign_in.succeeded", Ok(false)),
        ("event.network.country == \"FR\"", Ok(true)),
        ("event.network.country in [\"DE\", \"FR\"]", Ok(true)),
        ("event.network.country in lists.home", Ok(true)),
        ("event.network.address in lists.offices", Ok(true)),
        ("event.network.address == ip(\"203.0.113.8\")", Ok(false)),
        (
            "cidr(\"203.0.113.0/29\").containsIP(event.network.address)",
            Ok(true),
        ),
        ("event.user in lists.rooms", Ok(true)),
        ("event.network.asn in lists.carriers", Err(Absent)),
        ("event.network.class == \"hosting\"", Ok(true)),
        ("event.sign_in.protocol == 'deviceCode'", Ok(true)),
        ("\"Password\" in event.sign_in.methods", Ok(true)),
        ("event.sign_in.methods.size() == 2", Ok(true)),
        (
            "event.sign_in.methods.exists(m, m.contains(\"app\"))",
            Ok(true),
        ),
        ("event.sign_in.methods.all(m, m == \"Password\")", Ok(false)),
        ("event.sign_in.user_agent.startsWith(\"python\")", Ok(true)),
        (
            "event.sign_in.user_agent.matches(\"(?i)PYTHON-.*/2\\\\.\")",
            Ok(true),
        ),
        ("size(event.network.city) == 5", Ok(true)),
        ("event.time.getHours() >= 20", Ok(true)),
        // Tuesday.
        ("event.time.getDayOfWeek() == 2", Ok(true)),
        ("event.time < timestamp(\"2026-11-24T21:30:01Z\")", Ok(true)),
        ("event.sign_in.mfa_denials + 1 == 1", Ok(true)),
        (
            "signal.name == \"tor_exit\" && signal.family == \"network\"",
            Ok(true),
        ),
        // Absent: settled by the other side, or not.
        ("event.network.asn == 64500", Err(Absent)),
        ("!(event.network.asn == 64500)", Err(Absent)),
        (
            "event.network.asn == 64500 || event.sign_in.succeeded",
            Ok(true),
        ),
        (
            "event.network.asn == 64500 && !event.sign_in.succeeded",
            Ok(false),
        ),
        (
            "event.sign_in.succeeded && event.sign_in.device.compliant",
            Err(Absent),
        ),
        (
            "has(event.network.asn) && event.network.asn == 64500",
            Ok(false),
        ),
        ("has(event.sign_in.device.managed)", Ok(true)),
        (
            "event.sign_in.device.managed ? true : event.network.city == \"Paris\"",
            Ok(true),
        ),
        // Of another kind.
        ("event.risk.level == \"high\"", Err(OtherKind)),
        ("has(event.risk)", Ok(false)),
        ("has(event.sign_in)", Ok(true)),
        (
            "event.kind == \"sign_in\" || event.risk.level == \"high\"",
            Ok(true),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(ask(text, &sign_in()), expected, "{text}");
    }
    assert_eq!(ask("event.risk.level == \"high\"", &detection()), Ok(true));
    assert_eq!(ask("event.sign_in.succeeded", &detection()), Err(OtherKind));
    assert_eq!(
        ask(
            "event.sign_in.succeeded && event.network.asn == 1",
            &detection()
        ),
        Err(Absent)
    );
}

#[test]
fn what_is_wrong_with_a_condition_is_told_where_it_stands() {
    let bad = [
        "event.network.asn = 64500",
        "event.network.asn == 64500 and event.sign_in.succeeded",
        "not event.sign_in.succeeded",
        "event.sign_in.succeeded &&",
        "(event.sign_in.succeeded",
        "event.sign_in.user_agent == \"x",
        "event.network.contry == \"FR\"",
        "event.country == \"FR\"",
        "event.sign_in",
        "event.network",
        "evnt.network.asn == 1",
        "event.network.country",
        "event.network.asn",
        "event.network.asn == \"64500\"",
        "event.network.asn < 0",
        "event.network.asn in [1, 99999999999]",
        "event.network.country == \"France\"",
        "event.network.country in [\"FR\", \"de\"]",
        "event.network.class == \"hostng\"",
        "event.network.address == \"203.0.113.7\"",
        "event.network.address in lists.rooms",
        "event.user == \"ana@contoso.example\"",
        "event.user in lists.room",
        "event.user in list.rooms",
        "event.user in lists.offices",
        "lists.rooms",
        "event.sign_in.methods == \"Password\"",
        "event.sign_in.methods[0] == \"Password\"",
        "event.sign_in.methods.map(m, m + \"x\") == []",
        "event.sign_in.methods.exists(m, event.sign_in.risk_types.exists(r, r == m))",
        "event.sign_in.user_agent.contain(\"x\")",
        "event.sign_in.user_agent.matches(\"(\")",
        "event.sign_in.user_agent.matches(\"(a{500}){500}\")",
        "event.sign_in.user_agent.matches(event.network.city)",
        "cidr(\"203.0.113.7/24\").containsIP(event.network.address)",
        "ip(\"somewhere\") == event.network.address",
        "event.time > \"2026-01-01\"",
        "event.time.getHours() > 23",
        "event.sign_in.error_code / 2 == 1",
        "event.network.country == null",
        "1 == 1",
        "true",
        "event.sign_in.succeeded || true",
        "event.sign_in.succeeded && event.risk.level == \"high\"",
        "event.network.country == \"FR\" && event.network.country == \"DE\"",
        "event.network.country != \"FR\" || event.network.country != \"DE\"",
        "event.network.asn == event.network.asn",
        "\"é\" == event.network.city && event.network.asn < 0",
    ];
    let mut out = String::new();
    for text in bad {
        writeln!(out, "{text}").unwrap();
        let Err(faults) = compiled(text) else {
            panic!("{text} compiles");
        };
        for fault in faults {
            let before = text[..fault.at.0].chars().count();
            let shown = text.get(fault.at.0..fault.at.1.min(text.len()));
            let width = shown.unwrap_or("?").chars().count().max(1);
            writeln!(out, "{}{}", " ".repeat(before), "^".repeat(width)).unwrap();
            writeln!(out, "{}: {}", fault.rule, fault.message).unwrap();
            writeln!(out, "  = {}", fault.hint).unwrap();
        }
        out.push('\n');
    }
    insta::assert_snapshot!(out);
}

#[test]
fn only_what_has_one_answer_is_refused_for_it() {
    use Asked::{Exception, Policy, Signal};
    let both_kinds = "event.sign_in.succeeded || event.risk.level == \"high\"";
    let table = [
        // A policy counts what is of another kind: it leaves nothing out.
        (Policy, both_kinds, Some("the condition is never false")),
        (Exception, both_kinds, None),
        (Signal, both_kinds, None),
        (
            Exception,
            "event.sign_in.succeeded || true",
            Some("the condition is always true"),
        ),
        (
            Exception,
            "event.network.city != \"A\" || event.network.city != \"B\"",
            Some("the condition is always true"),
        ),
        (
            Exception,
            "has(event.sign_in) || !has(event.sign_in)",
            Some("the condition is always true"),
        ),
        (
            Policy,
            "has(event.risk) ? event.risk.level == \"high\" : event.sign_in.succeeded",
            None,
        ),
        (
            Policy,
            "(event.sign_in.succeeded || event.risk.level == \"high\") == true",
            None,
        ),
        (
            Policy,
            "has(event.sign_in) ? event.risk.level == \"high\" : event.sign_in.succeeded",
            Some("the condition is never true"),
        ),
        (
            Policy,
            "event.sign_in.methods.exists(m, event.risk.level == m)",
            Some("the condition is never true"),
        ),
        (
            Signal,
            "has(signal.name)",
            Some("there is no `signal` here"),
        ),
    ];
    for (asked, text, expected) in table {
        let told = compiled_for(asked, text).map_err(|faults| faults[0].message.clone());
        assert_eq!(told.err().as_deref(), expected, "{asked:?} {text}");
    }
}

#[test]
fn what_would_run_away_is_refused_quickly_and_never_overflows_the_stack() {
    let started = std::time::Instant::now();
    let long = |part: &str, n: usize, end: &str| format!("{}{end}", part.repeat(n));
    let texts = [
        long("(", 1_000, "event.sign_in.succeeded"),
        long("event.sign_in.succeeded ? true : ", 50, "false"),
        long("[", 1_900, ""),
        long("event.sign_in.methods.exists(m, ", 40, "true"),
        long("a.", 900, "b"),
        long("-", 1_900, "1 == 1"),
        "x".repeat(100_000),
        "\u{0}\u{1}\u{7f}".to_owned(),
    ];
    for text in texts {
        assert!(compiled(&text).is_err(), "{:.40}", text);
    }
    let chain = long(
        "event.sign_in.succeeded &&",
        70,
        "event.sign_in.interactive",
    );
    assert!(compiled(&chain).is_ok());
    let even = long("!", 1_900, "event.sign_in.succeeded");
    assert_eq!(ask(&even, &sign_in()), Ok(true));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn every_field_can_be_asked_of_every_event_and_is_documented() {
    let of_signal = FIELDS.iter().find(|field| field.path == "signal.family");
    let Type::Text(Domain::Closed(families)) = of_signal.unwrap().ty else {
        panic!("a family is one of a few");
    };
    assert_eq!(families, Family::ALL.map(Family::as_str));
    for field in FIELDS {
        assert!(field.doc.ends_with('.'), "{}", field.path);
        for event in [sign_in(), detection()] {
            let subject = Subject {
                event: &event,
                class: NetworkClass::Ordinary,
                signal: Some(("tor_exit", Family::Network)),
            };
            let fits = match ((field.get)(&subject), field.ty) {
                (Ok(Value::Bool(_)), Type::Bool)
                | (Ok(Value::Int(_)), Type::Int(..))
                | (Ok(Value::Text(_)), Type::Text(_))
                | (Ok(Value::Texts(_)), Type::Texts)
                | (Ok(Value::Address(_)), Type::Address)
                | (Ok(Value::Time(_)), Type::Time)
                | (Ok(Value::User(_)), Type::User) => true,
                (Err(Undecided::OtherKind), _) => !field.kinds.has(fields::Kinds::of(&event)),
                (Err(Undecided::Absent), _) => true,
                _ => false,
            };
            assert!(fits, "{}", field.path);
            if let (Ok(Value::Text(text)), Type::Text(Domain::Closed(names))) =
                ((field.get)(&subject), field.ty)
            {
                assert!(names.contains(&text), "{}: {text}", field.path);
            }
        }
    }
    assert!(FIELDS.windows(2).all(|pair| pair[0].path != pair[1].path));
}

/// The event as the `cel` crate's interpreter takes it: nested maps, without
/// what the record does not say.
fn as_cel(subject: &Subject<'_>) -> cel::Value {
    #[derive(Default)]
    struct Tree {
        leaf: Option<cel::Value>,
        inner: HashMap<String, Tree>,
    }
    fn build(tree: Tree) -> cel::Value {
        match tree.leaf {
            Some(value) => value,
            None => {
                let inner: HashMap<String, cel::Value> = tree
                    .inner
                    .into_iter()
                    .map(|(key, tree)| (key, build(tree)))
                    .collect();
                cel::Value::from(inner)
            }
        }
    }
    let mut root = Tree::default();
    let of_kind = |field: &&fields::Field| field.kinds.has(fields::Kinds::of(subject.event));
    for field in FIELDS.iter().filter(of_kind) {
        // What a field is in exists, whether or not the record says the field.
        let mut at = &mut root;
        for part in field
            .path
            .split('.')
            .skip(1)
            .collect::<Vec<_>>()
            .split_last()
            .unwrap()
            .1
        {
            at = at.inner.entry((*part).to_owned()).or_default();
        }
        let value = match (field.get)(subject) {
            Ok(Value::Bool(value)) => cel::Value::from(value),
            Ok(Value::Int(value)) => cel::Value::from(value),
            Ok(Value::Text(text)) => cel::Value::from(text.to_owned()),
            Ok(Value::Texts(item)) => {
                let texts: Vec<cel::Value> = (0..)
                    .map_while(|index| item(subject, index))
                    .map(|text| cel::Value::from(text.to_owned()))
                    .collect();
                cel::Value::from(texts)
            }
            _ => continue,
        };
        let mut at = &mut root;
        for part in field.path.split('.').skip(1) {
            at = at.inner.entry(part.to_owned()).or_default();
        }
        at.leaf = Some(value);
    }
    build(root)
}

fn by_cel(text: &str, event: &Event) -> Result<bool, String> {
    let subject = Subject {
        event,
        class: NetworkClass::Hosting,
        signal: None,
    };
    let program = cel::Program::compile(text).map_err(|error| error.to_string())?;
    let mut context = cel::Context::default();
    context.add_variable_from_value("event", as_cel(&subject));
    match program.execute(&context) {
        Ok(cel::Value::Bool(answer)) => Ok(answer),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Fields of sign-ins that both sides know.
fn any_atom() -> impl Strategy<Value = String> {
    let of = |wanted: fn(Type) -> bool| {
        let paths: Vec<&'static str> = FIELDS
            .iter()
            .filter(|field| field.path.starts_with("event."))
            .filter(|field| field.kinds.has(fields::Kinds::SIGN_IN) && wanted(field.ty))
            .map(|field| field.path)
            .collect();
        proptest::sample::select(paths)
    };
    let texts = ["FR", "Paris", "deviceCode", "none", "Password", ""];
    let text = proptest::sample::select(texts.to_vec());
    let any_text = of(|ty| matches!(ty, Type::Text(Domain::Any | Domain::Open(_))));
    let comparison = proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let test = proptest::sample::select(vec!["contains", "startsWith", "endsWith"]);
    prop_oneof![
        of(|ty| ty == Type::Bool).prop_map(str::to_owned),
        (any_text, comparison.clone(), text.clone())
            .prop_map(|(path, op, text)| format!("{path} {op} \"{text}\"")),
        (of(|ty| matches!(ty, Type::Int(..))), comparison, 1_i64..200)
            .prop_map(|(path, op, int)| format!("{path} {op} {int}")),
        (of(|ty| ty == Type::ANY_TEXT), test, text.clone())
            .prop_map(|(path, test, text)| format!("{path}.{test}(\"{text}\")")),
        (of(|ty| ty == Type::ANY_TEXT), text.clone())
            .prop_map(|(path, text)| format!("{path} in [\"{text}\", \"Paris\"]")),
        (of(|ty| ty == Type::Texts), text.clone())
            .prop_map(|(path, text)| format!("\"{text}\" in {path}")),
        (of(|ty| ty == Type::Texts), text)
            .prop_map(|(path, text)| format!("{path}.exists(m, m == \"{text}\")")),
        of(|ty| ty == Type::Texts).prop_map(|path| format!("{path}.all(m, size(m) > 8)")),
        of(|ty| ty == Type::ANY_TEXT).prop_map(|path| format!("has({path})")),
        of(|ty| ty == Type::ANY_TEXT).prop_map(|path| format!("size({path}) > 5")),
    ]
}

fn any_condition() -> impl Strategy<Value = String> {
    any_atom().prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_cel_crates_interpreter_gives_the_same_answer(text in any_condition()) {
        // What can have one answer only does not compile here.
        if let Ok(condition) = compiled(&text) {
            let event = sign_in();
            let subject = Subject { event: &event, class: NetworkClass::Hosting, signal: None };
            let (ours, theirs) = (condition.ask(&subject), by_cel(&text, &event));
            prop_assert_eq!(ours.ok(), theirs.clone().ok(), "{}: {:?} {:?}", text, ours, theirs);
        }
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in "[a-z().!&|=<>\"'\\[\\]0-9 ?:,{}é\\\\\n-]{0,80}") {
        let _ = compiled(&text);
    }
}
