//! The detectors' parameters, as their author writes them.
//!
//! Invariant: a value stands in its own unit (`15m`, `500 km`, `50%`), so that
//! nobody sets 500 and means metres; and it is within its bounds, or a problem.

use super::fields::{duration, entries, number, spelled};
use super::problem::{Sink, quoted, suggestion};
use super::yaml::{Node, Value};
use crate::model::{Parameter, ParameterSpec, Parameters, Unit};

/// Reads the groups under `parameters`.
pub(super) fn parameters(node: &Node, sink: &mut Sink<'_>) -> Option<Parameters> {
    let before = sink.count();
    let mut parameters = Parameters::default();
    for group in entries(node, "`parameters`", sink)? {
        let of_group: Vec<Parameter> = Parameter::ALL
            .iter()
            .copied()
            .filter(|parameter| parameter.spec().group == group.name)
            .collect();
        if of_group.is_empty() {
            let mut groups: Vec<&str> = Parameter::ALL.iter().map(|p| p.spec().group).collect();
            groups.dedup();
            let message = format!("{} has no parameters", quoted(group.name));
            sink.report_with_hint(group.key.place, message, suggestion(group.name, &groups));
            continue;
        }
        let what = format!("`{}`", group.name);
        let Some(values) = entries(group.value, &what, sink) else {
            continue;
        };
        for value in values {
            let found = of_group.iter().find(|p| p.spec().name == value.name);
            let Some(parameter) = found else {
                let names: Vec<&str> = of_group.iter().map(|p| p.spec().name).collect();
                let message = format!("{} is not a parameter of {what}", quoted(value.name));
                sink.report_with_hint(value.key.place, message, suggestion(value.name, &names));
                continue;
            };
            if let Some(number) = read(value.value, &parameter.spec(), sink) {
                parameters.set(*parameter, number);
            }
        }
    }
    (sink.count() == before).then_some(parameters)
}

fn read(node: &Node, spec: &ParameterSpec, sink: &mut Sink<'_>) -> Option<i64> {
    let what = format!("`{}.{}`", spec.group, spec.name);
    let range = spec.min..=spec.max;
    let unit = match spec.unit {
        Unit::Seconds => {
            return duration(node, &what, range, sink).map(|duration| duration.as_secs());
        }
        Unit::Count => return number(node, &what, range, sink),
        Unit::Days => "d",
        Unit::Kilometres => " km",
        Unit::KilometresPerHour => " km/h",
        Unit::Percent => "%",
    };
    let seen = match &node.value {
        Value::Text(text) => text.strip_suffix(unit),
        _ => None,
    };
    let value = seen
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse::<i64>().ok());
    if let Some(value) = value.filter(|value| range.contains(value)) {
        return Some(value);
    }
    let message = format!("{what} is {}", node.seen());
    let hint = format!(
        "expected {} to {}, written like `{}`",
        written(spec.unit, spec.min),
        written(spec.unit, spec.max),
        written(spec.unit, spec.default)
    );
    sink.report_with_hint(node.place, message, hint);
    None
}

/// A value as it is written in a file.
pub fn written(unit: Unit, value: i64) -> String {
    match unit {
        Unit::Seconds => spelled(value),
        Unit::Count => value.to_string(),
        Unit::Days => format!("{value}d"),
        Unit::Kilometres => format!("{value} km"),
        Unit::KilometresPerHour => format!("{value} km/h"),
        Unit::Percent => format!("{value}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Source, yaml};

    fn read_text(text: &str) -> Result<Parameters, Vec<String>> {
        let source = Source {
            path: "signals.yaml".into(),
            text: text.into(),
        };
        let mut sink = Sink::new(&source.path, &source.text);
        let node = yaml::read(0, &mut sink).unwrap();
        match parameters(&node, &mut sink) {
            Some(parameters) => Ok(parameters),
            None => Err(sink.finish().into_iter().map(|p| p.to_string()).collect()),
        }
    }

    #[test]
    fn every_default_reads_back_as_it_is_written() {
        for parameter in Parameter::ALL {
            let spec = parameter.spec();
            for value in [spec.min, spec.default, spec.max] {
                let text = format!(
                    "{}: {{ {}: {} }}",
                    spec.group,
                    spec.name,
                    written(spec.unit, value)
                );
                let parameters = read_text(&text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
                assert_eq!(parameters.get(*parameter), value, "{text}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_was_meant() {
        for (text, expected) in [
            (
                "impossible_travel: { distance: 500 }",
                "written like `500 km`",
            ),
            (
                "impossible_travel: { distance: 5 km }",
                "expected 50 km to 20000 km",
            ),
            ("impossible_travel: { distanse: 500 km }", "distance"),
            (
                "imposible_travel: { distance: 500 km }",
                "impossible_travel",
            ),
            ("learning: { period: 14 }", "written like `14d`"),
            ("mfa_fatigue: { window: 10 }", "expected a duration"),
            ("mfa_fatigue: { denials: 2.5 }", "whole number"),
            ("mfa_fatigue: 2", "expected a mapping"),
        ] {
            let errors = read_text(text).unwrap_err();
            assert!(errors[0].contains(expected), "{text}: {errors:?}");
        }
    }
}
