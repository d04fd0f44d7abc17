//! What a file adds to the cast: its own people, places, devices and apps.
//!
//! Invariant: each entry begins from one that is there (`in: paris`,
//! `like: laptop`) or from an ordinary one, and says only how it differs; an
//! unknown key or name is a problem at its place.

use std::net::IpAddr;

use super::cast::{self, CLASSES, Cast, DEFINED_MAX, RESOURCES};
use crate::model::{CountryCode, GeoPoint};
use crate::policy::fields::{Entry, Fields, choice, entries, number, text};
use crate::policy::problem::{Sink, suggestion};
use crate::policy::yaml::{Node, Value};

/// Reads all of them: first the places, since people stand in them.
pub(super) fn read(file: &Fields<'_>, sink: &mut Sink<'_>) -> Cast {
    let mut cast = Cast::default();
    for entry in section(file, "places", sink) {
        place(&entry, &mut cast, sink);
    }
    for entry in section(file, "devices", sink) {
        device(&entry, &mut cast, sink);
    }
    for entry in section(file, "apps", sink) {
        app(&entry, &mut cast, sink);
    }
    for entry in section(file, "people", sink) {
        person(&entry, &mut cast, sink);
    }
    cast
}

fn section<'n>(file: &Fields<'n>, name: &'static str, sink: &mut Sink<'_>) -> Vec<Entry<'n>> {
    let Some(node) = file.get(name) else {
        return Vec::new();
    };
    let mut found = entries(node, &format!("`{name}`"), sink).unwrap_or_default();
    if found.len() > DEFINED_MAX {
        let message = format!(
            "`{name}` has {} entries; at most {DEFINED_MAX} fit",
            found.len()
        );
        sink.report(node.place, message);
        found.clear();
    }
    // A name stands in sentences, between spaces.
    found.retain(|entry| {
        let fine = entry
            .name
            .chars()
            .all(|c| c.is_alphanumeric() || "-_.".contains(c));
        if !fine {
            let message = format!("`{}` cannot be said in a sentence", entry.name);
            let hint = "expected letters, digits, `-`, `_` and `.`";
            sink.report_with_hint(entry.key.place, message, hint);
        }
        fine
    });
    found
}

fn place(entry: &Entry<'_>, cast: &mut Cast, sink: &mut Sink<'_>) {
    let keys = [
        "in", "city", "country", "at", "asn", "network", "trusted", "address",
    ];
    let Some(fields) = Fields::of(entry.value, "a place", &keys, sink) else {
        return;
    };
    let mut spot = cast.new_spot();
    if let Some(node) = fields.get("in")
        && let Some(base) = known(node, "`in`", cast.places.keys(), sink)
    {
        let base = &cast.places[&base];
        (spot.city, spot.country) = (base.city.clone(), base.country.clone());
        (spot.point, spot.class) = (base.point, base.class);
    }
    if let Some(city) = word(&fields, "city", sink) {
        spot.city = city;
    }
    if let Some(node) = fields.get("country")
        && let Some(country) = text(node, "`country`", sink)
    {
        if CountryCode::parse(country).is_none() {
            let message = format!("`country` is `{country}`");
            sink.report_with_hint(node.place, message, "expected two letters, such as `FR`");
        }
        country.clone_into(&mut spot.country);
    }
    if let Some(node) = fields.get("at") {
        spot.point = point(node, sink);
    }
    if let Some(node) = fields.get("asn")
        && let Some(asn) = number::<u32>(node, "`asn`", 1..=i64::from(u32::MAX), sink)
    {
        spot.asn = asn;
    }
    if let Some(node) = fields.get("network")
        && let Some(class) = choice(node, "`network`", &CLASSES, sink)
    {
        spot.class = class;
    }
    if let Some(trusted) = flag(&fields, "trusted", sink) {
        spot.trusted = trusted;
    }
    if let Some(node) = fields.get("address")
        && let Some(written) = text(node, "`address`", sink)
    {
        match written.parse::<IpAddr>() {
            Ok(address) => (spot.base, spot.fixed) = (address, true),
            Err(_) => {
                let message = format!("`address` is `{written}`");
                sink.report_with_hint(node.place, message, "expected an IP address");
            }
        }
    }
    cast.places.insert(entry.name.to_owned(), spot);
}

fn point(node: &Node, sink: &mut Sink<'_>) -> Option<(f64, f64)> {
    let degrees = |node: &Node| match node.value {
        #[expect(clippy::cast_precision_loss, reason = "degrees are small")]
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    };
    let found = match &node.value {
        Value::List(items) => match &items[..] {
            [latitude, longitude] => degrees(latitude).zip(degrees(longitude)),
            _ => None,
        },
        _ => None,
    };
    let sound =
        found.filter(|(latitude, longitude)| GeoPoint::new(*latitude, *longitude).is_some());
    if sound.is_none() {
        let message = format!("`at` is {}", node.seen());
        let hint = "expected latitude and longitude, such as `[48.86, 2.35]`";
        sink.report_with_hint(node.place, message, hint);
    }
    sound
}

fn device(entry: &Entry<'_>, cast: &mut Cast, sink: &mut Sink<'_>) {
    let keys = ["like", "os", "browser", "agent", "managed"];
    let Some(fields) = Fields::of(entry.value, "a device", &keys, sink) else {
        return;
    };
    let like = match fields.get("like") {
        Some(node) => known(node, "`like`", cast.devices.keys(), sink),
        None => None,
    };
    let mut machine = cast.devices[like.as_deref().unwrap_or("laptop")].clone();
    entry.name.clone_into(&mut machine.key);
    if let Some(os) = word(&fields, "os", sink) {
        machine.os = os;
    }
    if let Some(browser) = word(&fields, "browser", sink) {
        machine.browser = browser;
    }
    if let Some(agent) = word(&fields, "agent", sink) {
        machine.agent = agent;
    }
    if let Some(managed) = flag(&fields, "managed", sink) {
        machine.managed = managed;
    }
    cast.devices.insert(entry.name.to_owned(), machine);
}

fn app(entry: &Entry<'_>, cast: &mut Cast, sink: &mut Sink<'_>) {
    let Some(fields) = Fields::of(entry.value, "an app", &["id", "name", "resource"], sink) else {
        return;
    };
    let id = word(&fields, "id", sink);
    let name = word(&fields, "name", sink).unwrap_or_else(|| entry.name.to_owned());
    let resource = match fields.get("resource") {
        Some(node) => {
            let choices = RESOURCES.map(|(key, ..)| (key, key));
            choice(node, "`resource`", &choices, sink).unwrap_or("graph")
        }
        None => "graph",
    };
    let id = id.unwrap_or_else(|| cast::id_of(&format!("app {}", entry.name)));
    let app = cast::app(&id, &name, resource);
    cast.apps.insert(entry.name.to_owned(), app);
}

fn person(entry: &Entry<'_>, cast: &mut Cast, sink: &mut Sink<'_>) {
    let keys = [
        "in", "device", "app", "name", "id", "guest", "new", "service",
    ];
    let Some(fields) = Fields::of(entry.value, "a person", &keys, sink) else {
        return;
    };
    let mut person = match cast.people.get(entry.name) {
        Some(known) => known.clone(),
        None => cast.person(entry.name),
    };
    if let Some(node) = fields.get("in")
        && let Some(place) = known(node, "`in`", cast.places.keys(), sink)
    {
        person.place = place;
    }
    if let Some(node) = fields.get("device")
        && let Some(device) = known(node, "`device`", cast.devices.keys(), sink)
    {
        person.device = device;
    }
    if let Some(node) = fields.get("app")
        && let Some(app) = known(node, "`app`", cast.apps.keys(), sink)
    {
        person.app = app;
    }
    if let Some(name) = word(&fields, "name", sink) {
        person.name = name;
    }
    if let Some(id) = word(&fields, "id", sink) {
        person.id = id;
    }
    person.guest = flag(&fields, "guest", sink).unwrap_or(person.guest);
    person.new = flag(&fields, "new", sink).unwrap_or(person.new);
    person.service = flag(&fields, "service", sink).unwrap_or(person.service);
    cast.people.insert(entry.name.to_owned(), person);
}

fn word(fields: &Fields<'_>, name: &'static str, sink: &mut Sink<'_>) -> Option<String> {
    let node = fields.get(name)?;
    text(node, &format!("`{name}`"), sink).map(str::to_owned)
}

fn flag(fields: &Fields<'_>, name: &'static str, sink: &mut Sink<'_>) -> Option<bool> {
    let node = fields.get(name)?;
    if let Value::Bool(value) = node.value {
        return Some(value);
    }
    let message = format!("`{name}` is {}", node.seen());
    sink.report_with_hint(node.place, message, "expected `true` or `false`");
    None
}

fn known<'k>(
    node: &Node,
    what: &str,
    names: impl Iterator<Item = &'k String>,
    sink: &mut Sink<'_>,
) -> Option<String> {
    let seen = text(node, what, sink)?;
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.contains(&seen) {
        return Some(seen.to_owned());
    }
    let message = format!("{what} is `{seen}`");
    sink.report_with_hint(node.place, message, suggestion(seen, &names));
    None
}
