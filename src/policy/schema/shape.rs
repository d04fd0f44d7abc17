//! The shape of policy files, for the schema only.
//!
//! Invariant: nothing is ever read into these; they say what the compiler
//! takes. Their comments are what an editor shows over a key, and what
//! docs/policy-reference.md prints, so they speak to the policy author.

#![expect(dead_code, reason = "the schema is derived from the shape alone")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{change, weight};
use crate::model::{Parameter, Unit};
use crate::policy::written;

/// A policy: how much each signal weighs, and what to do at which score.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Policy {
    /// Its name, unique in the folder: lower-case letters, digits and `-`.
    policy: PolicyName,
    /// What it is for.
    description: Option<Words>,
    /// Whom to ask about it.
    owner: Option<Words>,
    /// What it may do at most; `shadow` where it is left out.
    mode: Option<Mode>,
    /// Signals this far apart count together: 1m to 72h.
    window: Duration,
    /// Whom it is about; everybody where it is left out.
    scope: Option<Scope>,
    /// The signals that count, each with its weight.
    signals: Weights,
    /// A CEL condition that must hold of a signal's event for it to count.
    when: Option<Cel>,
    /// What does not count although it would.
    #[schemars(length(min = 1, max = 50))]
    except: Option<Vec<Exception>>,
    /// What to do at which score; the highest one reached counts.
    #[schemars(length(min = 1, max = 10))]
    rungs: Vec<Rung>,
    /// The bar at which its author would let it do more.
    promote: Option<Promotion>,
}

/// What another file's policy has differently.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Override {
    /// The name of the policy that is changed.
    #[schemars(rename = "override")]
    policy: PolicyName,
    /// What it is for.
    description: Option<Words>,
    /// Whom to ask about it.
    owner: Option<Words>,
    /// What it may do at most.
    mode: Option<Mode>,
    /// Signals this far apart count together: 1m to 72h.
    window: Option<Duration>,
    /// Whom it is about, instead of the policy's own scope.
    scope: Option<Scope>,
    /// Weights that differ or are added; `off` takes one out.
    signals: Option<Changes>,
    /// A CEL condition, instead of the policy's own.
    when: Option<Cel>,
    /// Further exceptions.
    #[schemars(length(min = 1, max = 50))]
    except: Option<Vec<Exception>>,
    /// What to do at which score, instead of the policy's own rungs.
    #[schemars(length(min = 1, max = 10))]
    rungs: Option<Vec<Rung>>,
    /// The bar at which its author would let it do more.
    promote: Option<Promotion>,
}

/// What policies refer to, and what holds of all of them; at least one key.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
pub(super) struct Settings {
    /// Files and folders to take in, relative to this file; `shipped` for the
    /// policies that ship, `shipped/guard.yaml` for one file of them.
    #[schemars(length(min = 1, max = 100))]
    include: Option<Vec<Words>>,
    /// What stands between every decision and every action; in one file of the
    /// folder.
    guard: Option<Guard>,
    /// Lists by name: lower-case letters, digits and `_`.
    #[schemars(extend("propertyNames" = { "pattern": "^[a-z][a-z0-9_]{0,62}$" }))]
    lists: Option<BTreeMap<String, List>>,
    /// Signals of your own by name: `custom.`, then lower-case letters, digits
    /// and `_`.
    #[schemars(extend(
        "propertyNames" = { "pattern": "^custom\\.[a-z][a-z0-9_]{0,55}$" },
        "maxProperties" = 50
    ))]
    signals: Option<BTreeMap<String, Signal>>,
    /// The detectors' parameters, by group; in one file of the folder.
    parameters: Option<Parameters>,
}

/// What a policy may do at most.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Mode {
    /// Record; ask nobody and do nothing.
    Shadow,
    /// Ask a human, also where a rung would act.
    Approve,
    /// Act; ask where a rung says so.
    Enforce,
}

/// Whom a policy is about.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Scope {
    /// About service principals instead of users.
    workloads: Option<bool>,
    /// Only these, by object id or principal name.
    #[schemars(length(max = 10_000))]
    users: Option<Vec<User>>,
    /// Only those of these lists of users.
    #[schemars(length(min = 1, max = 100))]
    lists: Option<Vec<Words>>,
    /// Never these.
    exclude: Option<Accounts>,
}

/// Accounts, one by one or by list.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Accounts {
    /// Object ids or principal names.
    #[schemars(length(max = 10_000))]
    users: Option<Vec<User>>,
    /// Names of lists of users.
    #[schemars(length(min = 1, max = 100))]
    lists: Option<Vec<Words>>,
}

/// What is left out, why, and until when.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Exception {
    /// Its name, unique in the policy.
    name: Words,
    /// A CEL condition: what holds of a signal's event that does not count.
    when: Cel,
    /// Who answers for it.
    owner: Words,
    /// Why.
    reason: Words,
    /// The last day on which it serves, in UTC.
    until: Day,
}

/// At this score, do this.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Rung {
    /// The score it asks for.
    #[schemars(range(min = 1, max = 100))]
    at: i64,
    /// How many independent kinds of evidence it asks for; 1 where it is left
    /// out.
    #[schemars(range(min = 1, max = 9))]
    families: Option<i64>,
    /// Ask a human first, on these terms; acts where it is left out.
    ask: Option<Ask>,
    /// What to do, in order.
    #[schemars(length(min = 1, max = 3), extend("uniqueItems" = true))]
    #[schemars(rename = "do")]
    actions: Vec<Action>,
}

/// The terms of a question.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Ask {
    /// How many different people must say yes; 1 where it is left out.
    #[schemars(range(min = 1, max = 5))]
    approvers: Option<i64>,
    /// How long it stands: 1m to 168h; 30m where it is left out.
    expires: Option<Duration>,
    /// What silence means.
    on_silence: Option<Silence>,
}

/// What silence means.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum Silence {
    /// No.
    Deny,
}

/// One thing to do through Microsoft Graph.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Action {
    /// Refresh tokens and browser sessions issued until now die.
    RevokeSessions,
    /// The risk becomes high, which Conditional Access can act on.
    ConfirmCompromised,
    /// A random password that nobody sees; only after a human's yes.
    ResetPassword,
}

/// How right a policy in shadow must have been.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Promotion {
    /// The least share of its judged cases that were theft.
    precision: Share,
    /// The least number of judged cases.
    #[schemars(range(min = 1, max = 10_000))]
    cases: i64,
}

/// What stands between every decision and every action.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Guard {
    /// Accounts that evictd never acts on, whoever approves it.
    protected: Option<Accounts>,
    /// Evidence older than this asks instead of acting: 1m to 72h; 60m where it
    /// is left out.
    stale_after: Option<Duration>,
    /// How many users may be acted on unattended per hour; 50 where it is left
    /// out.
    #[schemars(range(min = 0, max = 10_000))]
    acts_per_hour: Option<i64>,
}

/// One list: exactly one key.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1, "maxProperties" = 1))]
struct List {
    /// For `event.user in lists.…`, `scope` and `protected`.
    #[schemars(length(max = 10_000))]
    users: Option<Vec<User>>,
    /// For addresses: networks in CIDR notation, or single addresses.
    #[schemars(length(min = 1, max = 10_000))]
    networks: Option<Vec<Network>>,
    /// For `event.network.asn`.
    #[schemars(length(min = 1, max = 10_000))]
    asns: Option<Vec<Asn>>,
    /// For `event.network.country`: ISO 3166-1 alpha-2.
    #[schemars(length(min = 1, max = 10_000))]
    countries: Option<Vec<Country>>,
    /// For any text, compared exactly.
    #[schemars(length(min = 1, max = 10_000))]
    texts: Option<Vec<Words>>,
}

/// A signal of your own: a condition on one event.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Signal {
    /// What it means.
    description: Words,
    /// The kind of evidence that it is.
    family: Family,
    /// What it weighs where a policy says `default`.
    #[schemars(range(min = 1, max = 100))]
    weight: i64,
    /// A CEL condition: when it is raised.
    when: Cel,
}

/// A kind of evidence. Within one the strongest signal counts; different ones
/// add up.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Family {
    /// Where it came from.
    Network,
    /// How the session goes on.
    Session,
    /// The device.
    Device,
    /// A proxy between the user and Entra.
    Aitm,
    /// The way to sign in.
    Protocol,
    /// How the user proved who they are.
    AuthMethod,
    /// What the user never did.
    Behaviour,
    /// What was left behind to come back.
    Persistence,
    /// What Microsoft Entra ID Protection says.
    MicrosoftRisk,
}

/// Text that says something.
#[derive(JsonSchema)]
#[schemars(inline, extend("pattern" = "\\S", "maxLength" = 1000))]
struct Words(String);

/// A name of a policy.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "pattern" = "^[a-z][a-z0-9-]{0,62}$",
    "patternErrorMessage" = "expected a lower-case letter, then lower-case letters, digits and `-`"
))]
struct PolicyName(String);

/// A condition in CEL; docs/policy-reference.md lists the fields.
#[derive(JsonSchema)]
#[schemars(inline, extend("pattern" = "\\S", "maxLength" = 2000))]
struct Cel(String);

/// A whole number and a unit.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "pattern" = "^[0-9]+[smh]$",
    "patternErrorMessage" = "expected a duration such as `90s`, `60m` or `24h`"
))]
struct Duration(String);

/// A day.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "pattern" = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    "patternErrorMessage" = "expected a day such as `2027-01-31`"
))]
struct Day(String);

/// A share from 1% to 100%.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "pattern" = "^0*([1-9][0-9]?|100)%$",
    "patternErrorMessage" = "expected a share such as `95%`"
))]
struct Share(String);

/// An account.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "pattern" = "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[^\\s*@]+@[^\\s*@]+)$",
    "maxLength" = 1000,
    "patternErrorMessage" = "expected an object id (a GUID) or a principal name, `alice@contoso.example`"
))]
struct User(String);

/// A network or an address.
#[derive(JsonSchema)]
#[schemars(inline, extend(
    "pattern" = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
    "patternErrorMessage" = "expected an address or a network, `203.0.113.0/24`"
))]
struct Network(String);

/// An autonomous system: `AS64500` or the bare number.
struct Asn;

/// Two capital letters. An editor that reads YAML 1.1 takes `NO` for `false`; the
/// compiler does not, and takes no `false`.
struct Country;

/// Signals and their weights.
struct Weights;

/// Signals and what becomes of their weights.
struct Changes;

/// The detectors' parameters, each in its own unit.
struct Parameters;

impl JsonSchema for Asn {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Asn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^AS[0-9]{1,10}$" },
            { "type": "integer", "minimum": 0, "maximum": u32::MAX },
        ] })
    }
}

impl JsonSchema for Country {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Country".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^[A-Z]{2}$" },
            { "const": false },
        ] })
    }
}

/// A map of signals; those that detectors raise are added by name.
fn weighed(description: &str, each: &Value) -> Schema {
    json_schema!({
        "description": description,
        "type": "object",
        "minProperties": 1,
        "maxProperties": 200,
        "patternProperties": {
            "^risk\\.[A-Za-z]{1,64}$": each,
            "^custom\\.[a-z][a-z0-9_]{0,55}$": { "anyOf": [each, { "const": "default" }] },
        },
        "additionalProperties": false,
    })
}

impl JsonSchema for Weights {
    fn schema_name() -> Cow<'static, str> {
        "Weights".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "Signals by name, each with its weight: the probability, in percent, \
                           that it alone means theft.";
        weighed(description, &weight())
    }
}

impl JsonSchema for Changes {
    fn schema_name() -> Cow<'static, str> {
        "Changes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "Signals by name, each with the weight that it has from now on; `off` \
                           takes it out.";
        let mut schema = weighed(description, &change());
        schema.remove("minProperties");
        schema
    }
}

impl JsonSchema for Parameters {
    fn schema_name() -> Cow<'static, str> {
        "Parameters".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut groups: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for parameter in Parameter::ALL {
            let spec = parameter.spec();
            let group = groups.entry(spec.group).or_default();
            group.insert(spec.name.to_owned(), parameter_of(*parameter));
        }
        let groups: Map<String, Value> = groups
            .into_iter()
            .map(|(name, properties)| {
                let group = json!({
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": false,
                });
                (name.to_owned(), group)
            })
            .collect();
        json_schema!({
            "description": "The detectors' parameters, each in its own unit.",
            "type": "object",
            "properties": groups,
            "additionalProperties": false,
        })
    }
}

fn parameter_of(parameter: Parameter) -> Value {
    let spec = parameter.spec();
    let value = |number| written(spec.unit, number);
    let description = format!(
        "{}: {} to {}; {} where it is left out.",
        spec.summary,
        value(spec.min),
        value(spec.max),
        value(spec.default)
    );
    let unit = match spec.unit {
        Unit::Count => {
            return json!({
                "description": description,
                "type": "integer",
                "minimum": spec.min,
                "maximum": spec.max,
            });
        }
        Unit::Seconds => "[smh]",
        Unit::Days => "d",
        Unit::Kilometres => " km",
        Unit::KilometresPerHour => " km/h",
        Unit::Percent => "%",
    };
    json!({
        "description": description,
        "type": "string",
        "pattern": format!("^[0-9]+{unit}$"),
        "patternErrorMessage": format!("expected a value such as `{}`", value(spec.default)),
    })
}
