//! Fields that a record can do without, read whatever shape they have.
//!
//! Invariant: nothing here fails. A sign-in whose `authenticationDetails` are
//! text where a list was expected (exports write them so) is still a sign-in,
//! and a field that Microsoft turns into an object tomorrow is unknown, not a
//! reason to quarantine the stream.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Text, a number or a flag as text; anything else is no word.
#[derive(Debug, Default)]
pub(super) struct Word<'a>(Option<Cow<'a, str>>);

impl Word<'_> {
    pub(super) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// `true` or `"True"`.
    pub(super) fn is_true(&self) -> bool {
        self.get()
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Unlike `is_true`, tells "no" from "not known".
    pub(super) fn flag(&self) -> Option<bool> {
        match self.get()? {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyShape;

        impl<'de> Visitor<'de> for AnyShape {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                let text = if flag { "true" } else { "false" };
                Ok(Word(Some(Cow::Borrowed(text))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Word(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Word(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Word(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Word(None))
            }
        }

        deserializer.deserialize_any(AnyShape)
    }
}

/// A value that is looked into only where it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Raw<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Raw<'a> {
    /// Its JSON; of a text that holds JSON, that one; nothing where there is
    /// none.
    pub(super) fn json(&self) -> Cow<'a, str> {
        let json = self.0.map_or("", RawValue::get);
        if json.starts_with('"') {
            serde_json::from_str::<String>(json)
                .map(Cow::Owned)
                .unwrap_or_default()
        } else {
            Cow::Borrowed(json)
        }
    }
}

/// An object, or nothing where it is not one.
pub(super) fn object<'a, T: Deserialize<'a> + Default>(json: &'a str) -> T {
    serde_json::from_str(json).unwrap_or_default()
}

/// The first `count_max` elements of a list, without those of another shape;
/// nothing where it is no list.
pub(super) fn list<'a, T: Deserialize<'a>>(json: &'a str, count_max: usize) -> Vec<T> {
    if json.is_empty() || json == "[]" {
        return Vec::new();
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let elements = deserializer.deserialize_seq(Elements { count_max });
    elements
        .unwrap_or_default()
        .into_iter()
        .filter_map(|element| serde_json::from_str(element.get()).ok())
        .collect()
}

/// Keeps the first elements of a list as they are and skips the rest.
struct Elements {
    count_max: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.count_max {
            match seq.next_element()? {
                Some(element) => kept.push(element),
                None => return Ok(kept),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder<'a> {
        #[serde(borrow, default)]
        word: Word<'a>,
        #[serde(borrow, default)]
        raw: Raw<'a>,
    }

    #[test]
    fn a_word_has_any_shape() {
        for (json, expected) in [
            (r#"{"word":"a"}"#, Some("a")),
            (r#"{"word":"a\nb"}"#, Some("a\nb")),
            (r#"{"word":7}"#, Some("7")),
            (r#"{"word":-7}"#, Some("-7")),
            (r#"{"word":1.5}"#, Some("1.5")),
            (r#"{"word":true}"#, Some("true")),
            (r#"{"word":null}"#, None),
            (r#"{"word":["a"]}"#, None),
            (r#"{"word":{"a":["b"]}}"#, None),
            ("{}", None),
        ] {
            let holder: Holder<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(holder.word.get(), expected, "{json}");
        }
    }

    #[test]
    fn a_list_is_bounded_and_survives_odd_elements_and_being_text() {
        for (json, expected) in [
            (r#"{"raw":["a","b","c","d"]}"#, &["a", "b", "c"][..]),
            (r#"{"raw":["a",5,"b"]}"#, &["a", "b"]),
            (r#"{"raw":"[\"a\",\"b\"]"}"#, &["a", "b"]),
            (r#"{"raw":[]}"#, &[]),
            (r#"{"raw":null}"#, &[]),
            (r#"{"raw":"none"}"#, &[]),
            (r#"{"raw":{"a":"b"}}"#, &[]),
            ("{}", &[]),
        ] {
            let holder: Holder<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(list::<String>(&holder.raw.json(), 3), expected, "{json}");
        }
    }
}
