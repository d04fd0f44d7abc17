//! Messages and records: the wire's envelope, private to the decoder.
//!
//! The properties are read as the category says; where they come before it
//! (Entra does not write them so, exports may) they are set aside until it is
//! known. So a category that is not judged costs no more than a scan, whatever
//! shape its properties have.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::RECORDS_MAX;
use super::category::{self, Kind};
use super::loose::Word;
use super::wire::{Audit, GraphCall, Properties, Text, Workload};

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
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    /// An envelope with more to it than its records, not a record.
    pub(super) is_envelope: bool,
    pub(super) category: Option<Text<'a>>,
    pub(super) time: Option<Text<'a>>,
    pub(super) operation_name: Option<Word<'a>>,
    pub(super) result_type: Option<Text<'a>>,
    pub(super) caller_ip_address: Option<Text<'a>>,
    pub(super) correlation_id: Option<Text<'a>>,
    pub(super) properties: Body<'a>,
}

/// `properties`, as the category says.
#[derive(Debug, Default)]
pub(super) enum Body<'a> {
    /// Missing, null, or not ours to read.
    #[default]
    None,
    Account(Box<Properties<'a>>),
    Audit(Box<Audit<'a>>),
    GraphCall(Box<GraphCall<'a>>),
    Workload(Box<Workload<'a>>),
}

impl<'a> Body<'a> {
    fn read<D: Deserializer<'a>>(kind: Kind, from: D) -> Result<Self, D::Error> {
        Ok(match kind {
            Kind::SignIn { .. } | Kind::RiskEvent | Kind::RiskyUser => {
                Option::deserialize(from)?.map_or(Self::None, Self::Account)
            }
            Kind::Audit => Option::deserialize(from)?.map_or(Self::None, Self::Audit),
            Kind::GraphActivity => Option::deserialize(from)?.map_or(Self::None, Self::GraphCall),
            Kind::WorkloadRisk | Kind::WorkloadSignIn => {
                Option::deserialize(from)?.map_or(Self::None, Self::Workload)
            }
            Kind::PassedOver => {
                IgnoredAny::deserialize(from)?;
                Self::None
            }
        })
    }

    /// Properties that were set aside.
    fn read_late<E: de::Error>(kind: Kind, json: &'a RawValue) -> Result<Self, E> {
        let mut track = serde_path_to_error::Track::new();
        let mut json = serde_json::Deserializer::from_str(json.get());
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        Self::read(kind, tracked)
            .map_err(|error| E::custom(format_args!("properties.{}: {error}", track.path())))
    }
}

/// Reads the properties where the category is known.
struct BodySeed(Kind);

impl<'de> de::DeserializeSeed<'de> for BodySeed {
    type Value = Body<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        Body::read(self.0, from)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Field {
    #[serde(rename = "category")]
    Category,
    #[serde(rename = "time")]
    Time,
    #[serde(rename = "operationName", alias = "operationname")]
    OperationName,
    #[serde(rename = "resultType", alias = "resulttype")]
    ResultType,
    #[serde(rename = "callerIpAddress", alias = "calleripaddress")]
    CallerIpAddress,
    #[serde(rename = "correlationId", alias = "correlationid")]
    CorrelationId,
    #[serde(rename = "properties")]
    Properties,
    #[serde(rename = "records")]
    Records,
    #[serde(other)]
    Skipped,
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record, which is an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut record = Record::default();
                let (mut read, mut set_aside) = (false, None);
                while let Some(field) = map.next_key()? {
                    match field {
                        Field::Category => once(&mut map, &mut record.category, "category")?,
                        Field::Time => once(&mut map, &mut record.time, "time")?,
                        Field::OperationName => {
                            once(&mut map, &mut record.operation_name, "operationName")?;
                        }
                        Field::ResultType => {
                            once(&mut map, &mut record.result_type, "resultType")?;
                        }
                        Field::CallerIpAddress => {
                            once(&mut map, &mut record.caller_ip_address, "callerIpAddress")?;
                        }
                        Field::CorrelationId => {
                            once(&mut map, &mut record.correlation_id, "correlationId")?;
                        }
                        Field::Properties if read => {
                            return Err(de::Error::duplicate_field("properties"));
                        }
                        Field::Properties => {
                            read = true;
                            match &record.category {
                                Some(name) => {
                                    let seed = BodySeed(category::of(name).1);
                                    record.properties = map.next_value_seed(seed)?;
                                }
                                None => set_aside = Some(map.next_value::<&RawValue>()?),
                            }
                        }
                        Field::Records => {
                            record.is_envelope = true;
                            map.next_value::<IgnoredAny>()?;
                        }
                        Field::Skipped => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                if let (Some(json), Some(name)) = (set_aside, &record.category) {
                    record.properties = Body::read_late(category::of(name).1, json)?;
                }
                Ok(record)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    slot: &mut Option<T>,
    name: &'static str,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    *slot = map.next_value()?;
    Ok(())
}
