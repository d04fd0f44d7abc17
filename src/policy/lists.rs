//! Lists: users, networks and names that are defined once and named.
//!
//! Invariant: a list holds one kind of thing, so that what is looked for in it
//! can be checked; and every item means something, or is a problem.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::fields::{Entry, entries, list, text, users};
use super::problem::{Sink, nearest, quoted, suggestion};
use super::scope::UserList;
use super::yaml::{Node, Value};
use crate::model::CountryCode;

/// Items in one list.
const ITEMS_MAX: usize = 10_000;
/// The length of a list's name.
const NAME_MAX: usize = 63;
/// What a list can hold, as its key.
pub(super) const KINDS: &[&str] = &["users", "networks", "asns", "countries", "texts"];

/// One list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum List {
    /// For `event.user in …` and `scope`.
    Users(UserList),
    /// For addresses.
    Networks(Networks),
    /// For `event.network.asn`.
    Asns(BTreeSet<i64>),
    /// For `event.network.country`.
    Countries(BTreeSet<Box<str>>),
    /// For any text, compared exactly.
    Texts(BTreeSet<Box<str>>),
}

impl List {
    /// What it holds, for messages.
    pub(crate) fn of(&self) -> &'static str {
        match self {
            Self::Users(_) => "users",
            Self::Networks(_) => "networks",
            Self::Asns(_) => "asns",
            Self::Countries(_) => "countries",
            Self::Texts(_) => "texts",
        }
    }
}

/// Networks that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Networks(Vec<IpNet>);

impl Networks {
    /// Joins what overlaps or touches.
    pub(crate) fn new(mut networks: Vec<IpNet>) -> Self {
        networks = IpNet::aggregate(&networks);
        networks.sort_by_key(IpNet::network);
        Self(networks)
    }

    /// Whether an address is in one of them.
    pub(crate) fn hold(&self, address: IpAddr) -> bool {
        let after = self
            .0
            .partition_point(|network| network.network() <= address);
        let candidate = after.checked_sub(1).and_then(|index| self.0.get(index));
        candidate.is_some_and(|network| network.contains(&address))
    }
}

/// Reads one entry under `lists`.
pub(super) fn read(entry: &Entry<'_>, sink: &mut Sink<'_>) -> Option<List> {
    let name = entry.name;
    let fits = name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !fits {
        let message = format!("{} is not a name for a list", quoted(name));
        let hint = "expected a lower-case letter, then lower-case letters, digits and `_`";
        sink.report_with_hint(entry.key.place, message, hint);
        return None;
    }
    let kinds = entries(entry.value, "the list", sink)?;
    let [kind] = &kinds[..] else {
        let message = format!("the list has {} keys", kinds.len());
        let hint = format!("expected one of: {}", KINDS.join(", "));
        sink.report_with_hint(entry.value.place, message, hint);
        return None;
    };
    match kind.name {
        "users" => users(kind.value, sink).map(List::Users),
        "networks" => items(kind, sink, network).map(|all| List::Networks(Networks::new(all))),
        "asns" => items(kind, sink, asn).map(|all| List::Asns(all.into_iter().collect())),
        "countries" => {
            items(kind, sink, country).map(|all| List::Countries(all.into_iter().collect()))
        }
        "texts" => items(kind, sink, |node, sink| {
            text(node, "the item", sink).map(Box::from)
        })
        .map(|all| List::Texts(all.into_iter().collect())),
        other => {
            let message = format!("{} is nothing that a list can hold", quoted(other));
            sink.report_with_hint(kind.key.place, message, suggestion(other, KINDS));
            None
        }
    }
}

fn items<T>(
    kind: &Entry<'_>,
    sink: &mut Sink<'_>,
    read: impl Fn(&Node, &mut Sink<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let before = sink.count();
    let what = format!("`{}`", kind.name);
    let read = list(kind.value, &what, ITEMS_MAX, sink)?
        .iter()
        .filter_map(|item| read(item, sink))
        .collect();
    (sink.count() == before).then_some(read)
}

/// A network in CIDR notation, or one address. Shared with `containsIP`.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    match text.parse::<IpNet>() {
        Ok(network) if network.addr() == network.network() => Ok(network),
        Ok(network) => Err(format!("did you mean `{}`?", network.trunc())),
        Err(_) => Err("expected an address or a network, `203.0.113.0/24`".to_owned()),
    }
}

fn network(node: &Node, sink: &mut Sink<'_>) -> Option<IpNet> {
    let seen = text(node, "the network", sink)?;
    match parse_network(seen) {
        Ok(network) => Some(network),
        Err(hint) => {
            let message = format!("{} is not a network", quoted(seen));
            sink.report_with_hint(node.place, message, hint);
            None
        }
    }
}

fn asn(node: &Node, sink: &mut Sink<'_>) -> Option<i64> {
    let number = match &node.value {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Text(text) => text
            .strip_prefix("AS")
            .and_then(|digits| digits.parse::<u32>().ok()),
        _ => None,
    };
    if number.is_none() {
        let message = format!("{} is no autonomous system", node.seen());
        sink.report_with_hint(node.place, message, "expected a number such as `AS64500`");
    }
    number.map(i64::from)
}

fn country(node: &Node, sink: &mut Sink<'_>) -> Option<Box<str>> {
    let seen = text(node, "the country", sink)?;
    match CountryCode::parse(seen) {
        Some(code) if code.as_str() == seen => Some(seen.into()),
        Some(code) => {
            let message = format!("{} is not a country", quoted(seen));
            sink.report_with_hint(node.place, message, format!("did you mean `{code}`?"));
            None
        }
        None => {
            let message = format!("{} is not a country", quoted(seen));
            let hint = "expected two letters of ISO 3166-1, `FR`";
            sink.report_with_hint(node.place, message, hint);
            None
        }
    }
}

/// Names of lists of users, as `scope` takes them.
pub(super) fn named_users<'l>(
    node: &Node,
    lists: &'l BTreeMap<Box<str>, Arc<List>>,
    sink: &mut Sink<'_>,
) -> Option<Vec<&'l UserList>> {
    let before = sink.count();
    let mut found = Vec::new();
    for item in list(node, "`lists`", 100, sink)? {
        let Some(name) = text(item, "the list", sink) else {
            continue;
        };
        match lists.get(name).map(|list| &**list) {
            Some(List::Users(users)) => found.push(users),
            Some(other) => {
                let message = format!("the list {} holds {}", quoted(name), other.of());
                sink.report_with_hint(item.place, message, "expected a list of users");
            }
            None => {
                let message = format!("there is no list {}", quoted(name));
                let near = nearest(name, lists.keys().map(|key| &**key));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "define it under `lists` in a file of the folder".to_owned(),
                };
                sink.report_with_hint(item.place, message, hint);
            }
        }
    }
    (sink.count() == before).then_some(found)
}
