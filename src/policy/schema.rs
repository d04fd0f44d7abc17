//! The JSON Schema of policy files, for editors.
//!
//! Invariant: whatever compiles validates; what is written wrongly in its shape
//! (keys, types, names, units, bounds) fails both. What a schema cannot know
//! (whether a rung can be reached, whether a list exists) is `policy check`'s.
//! The shape is mirrored by structs that nothing else uses, because the
//! compiler reads a tree to tell all problems with their places; a test holds
//! the two against each other.

mod shape;

#[cfg(test)]
mod tests;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use self::shape::{Override, Policy, Settings};

/// A signal as an editor shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalDoc {
    /// Its name.
    pub name: &'static str,
    /// What it means, in one line.
    pub doc: String,
}

/// The schema, draft 7, which is what editors know best. `signals` are those
/// that detectors raise; `risk.…` and `custom.…` are open.
pub fn schema(signals: &[SignalDoc]) -> Value {
    let mut generator: SchemaGenerator = SchemaSettings::draft07().into_generator();
    let kinds = [
        generator.subschema_for::<Policy>(),
        generator.subschema_for::<Override>(),
        generator.subschema_for::<Settings>(),
    ];
    let mut definitions = Value::Object(generator.take_definitions(true));
    for (weights, weight) in [("Weights", weight()), ("Changes", change())] {
        definitions[weights]["properties"] = known(signals, &weight);
    }
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "evictd policy file",
        "description": "A policy, a change to a policy, or what policies refer to.",
        "oneOf": kinds,
        "definitions": definitions,
    });
    tidy(&mut schema);
    // The same text whatever features serde_json was built with.
    schema.sort_all_objects();
    schema
}

fn known(signals: &[SignalDoc], weight: &Value) -> Value {
    let properties: Map<String, Value> = signals
        .iter()
        .map(|signal| {
            let mut property = weight.clone();
            property["description"] = json!(signal.doc);
            (signal.name.to_owned(), property)
        })
        .collect();
    Value::Object(properties)
}

/// What a signal weighs.
fn weight() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 100 })
}

/// What a signal weighs in an override, where it can be taken out.
fn change() -> Value {
    json!({ "anyOf": [weight(), { "enum": ["off", false] }] })
}

/// An optional key may be left out; a key without a value is a mistake. What
/// says how Rust keeps a number, or where a comment was wrapped, goes.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(keys) => {
            keys.values_mut().for_each(tidy);
            keys.remove("format");
            if let Some(Value::String(text)) = keys.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if let Some(Value::Array(types)) = keys.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    keys.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
                choices.retain(|choice| *choice != json!({ "type": "null" }));
                if let [Value::Object(only)] = &choices[..] {
                    let only = only.clone();
                    keys.remove("anyOf");
                    match only.contains_key("$ref") && !keys.is_empty() {
                        // In draft 7 whatever stands beside a `$ref` is ignored.
                        true => keys.insert("allOf".to_owned(), json!([only])),
                        false => {
                            keys.extend(only);
                            None
                        }
                    };
                }
            }
        }
        _ => {}
    }
}
