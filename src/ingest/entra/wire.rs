//! The wire's shapes, private to the decoder.
//!
//! One struct serves all categories, since a record's category may come after
//! its properties. Every field is optional and lenient about what real tenants
//! send (numbers as text, text as numbers, nulls); what is not read here is
//! skipped.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::RECORDS_MAX;

/// A message: the records of `{"records":[…]}`, of a bare array, or one record.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) records: Vec<Record<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{\"records\":[…]} or an array of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut records = Vec::new();
                while let Some(record) = seq.next_element()? {
                    // `{}` is two bytes here and a hundred times that there.
                    if records.len() == RECORDS_MAX {
                        return Err(de::Error::custom("too many records"));
                    }
                    records.push(record);
                }
                Ok(Envelope { records })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if key == "records" && found.is_none() {
                        found = Some(map.next_value()?);
                    } else {
                        // A single record, or something odd: the slow path's job.
                        return Err(de::Error::custom("not an envelope"));
                    }
                }
                found
                    .map(|records| Envelope { records })
                    .ok_or_else(|| de::Error::custom("empty"))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Just enough of a record to know whether it is ours.
#[derive(Debug, Deserialize)]
pub(super) struct Peek<'a> {
    #[serde(borrow, default)]
    pub(super) category: Option<Text<'a>>,
}

/// A record of the stream.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "a record, which is an object")]
pub(super) struct Record<'a> {
    /// An envelope with more to it than its records, not a record.
    #[serde(default)]
    pub(super) records: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pub(super) category: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) time: Option<Text<'a>>,
    #[serde(borrow, default, rename = "resultType", alias = "resulttype")]
    pub(super) result_type: Option<Text<'a>>,
    #[serde(borrow, default, rename = "callerIpAddress", alias = "calleripaddress")]
    pub(super) caller_ip_address: Option<Text<'a>>,
    #[serde(borrow, default, rename = "correlationId", alias = "correlationid")]
    pub(super) correlation_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) properties: Option<Box<Properties<'a>>>,
}

/// `properties` of sign-ins, risk events and risky users together.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Properties<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) created_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) activity_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) detected_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) last_updated_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_last_updated_date_time: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) user_principal_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) user_type: Option<Text<'a>>,
    pub(super) is_guest: Option<Flag>,
    #[serde(borrow)]
    pub(super) app_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) app_display_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) resource_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) resource_display_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) ip_address: Option<Text<'a>>,
    pub(super) autonomous_system_number: Option<Number>,
    #[serde(borrow)]
    pub(super) location: Option<Location<'a>>,
    pub(super) status: Option<Status>,
    #[serde(borrow)]
    pub(super) user_agent: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) device_detail: Option<DeviceDetail<'a>>,
    #[serde(borrow)]
    pub(super) authentication_protocol: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) original_transfer_method: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) session_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) correlation_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) request_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_event_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_state: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) risk_level: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Status {
    pub(super) error_code: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct Location<'a> {
    #[serde(borrow)]
    pub(super) city: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) country_or_region: Option<Text<'a>>,
    pub(super) geo_coordinates: Option<GeoCoordinates>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "an object")]
pub(super) struct GeoCoordinates {
    pub(super) latitude: Option<Number>,
    pub(super) longitude: Option<Number>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
pub(super) struct DeviceDetail<'a> {
    #[serde(borrow)]
    pub(super) device_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) operating_system: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) browser: Option<Text<'a>>,
    pub(super) is_compliant: Option<Flag>,
    pub(super) is_managed: Option<Flag>,
}

/// Text, borrowed where it holds no escape; a number or a flag counts as its
/// text (`"Level": 4` and `"4"`). `Option<Cow<str>>` would not borrow.
#[derive(Debug)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(if flag { "true" } else { "false" })))
            }
        }

        deserializer.deserialize_any(AnyText)
    }
}

/// A number, or text that is one; other text is no number, and no error: a
/// sign-in without a readable latitude is still a sign-in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNumber;

        impl Visitor<'_> for AnyNumber {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.trim().parse().ok()))
            }
        }

        deserializer.deserialize_any(AnyNumber)
    }
}

/// `true`, `"true"`, `"True"`; other text is unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag(pub(super) Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyFlag;

        impl Visitor<'_> for AnyFlag {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(Some(flag)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Flag, E> {
                Ok(Flag(match text {
                    _ if text.eq_ignore_ascii_case("true") => Some(true),
                    _ if text.eq_ignore_ascii_case("false") => Some(false),
                    _ => None,
                }))
            }
        }

        deserializer.deserialize_any(AnyFlag)
    }
}
