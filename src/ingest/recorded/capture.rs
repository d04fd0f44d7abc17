//! Files of Event Hubs Capture: Avro object containers whose `Body` is a
//! message (learn.microsoft.com/azure/event-hubs/event-hubs-capture-overview;
//! the container is specified at avro.apache.org/docs/1.12.0/specification).
//!
//! Read by hand, since one field of one schema is all that is wanted: the
//! `apache-avro` crate would bring some twenty others and a value tree for
//! each object. The file's own schema says what to skip.
//!
//! Invariant: memory is bounded by one message; a length or a count that the
//! file names is never believed beyond its bound.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use flate2::bufread::DeflateDecoder;
use serde_json::Value;

use super::{Each, Located, VALUE_BYTES_MAX, broken, invalid};

/// The first bytes of a container.
pub(super) const MAGIC: &[u8] = b"Obj\x01";
/// The longest schema or other entry of the file's head, in bytes. Capture's
/// schema has 600.
const META_BYTES_MAX: usize = 1024 * 1024;
/// Elements of one block of an array or map, and of the head.
const ELEMENTS_MAX: i64 = 1 << 20;
/// Types within types.
const DEPTH_MAX: usize = 32;
const SYNC_BYTES: usize = 16;

/// Decodes the `Body` of every message. A file that was cut is read to there.
pub(super) fn read(reader: &mut dyn BufRead, each: &mut Each<'_>) -> io::Result<()> {
    let mut message = 0;
    match container(reader, &mut message, each) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let reason = "the Avro file has no end: it was cut here";
            each(broken(message + 1, Vec::new(), reason.to_owned()));
            Ok(())
        }
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("Avro, message {}: {error}", message + 1),
        )),
        Ok(()) => Ok(()),
    }
}

fn container(reader: &mut dyn BufRead, message: &mut usize, each: &mut Each<'_>) -> io::Result<()> {
    let head = Head::read(reader)?;
    while !reader.fill_buf()?.is_empty() {
        let count = long(reader)?;
        let size = u64::try_from(long(reader)?)
            .map_err(|_| invalid("a block of negative size".to_owned()))?;
        let mut block = io::Read::take(&mut *reader, size);
        match head.deflated {
            true => objects(
                &mut DeflateDecoder::new(&mut block),
                count,
                &head,
                message,
                each,
            )?,
            false => objects(&mut block, count, &head, message, each)?,
        }
        io::copy(&mut block, &mut io::sink())?;
        let sync: [u8; SYNC_BYTES] = array(reader)?;
        if sync != head.sync {
            return Err(invalid(
                "damaged: a block does not end with the file's mark".into(),
            ));
        }
    }
    Ok(())
}

/// The messages of one block.
fn objects(
    block: &mut dyn Read,
    count: i64,
    head: &Head,
    message: &mut usize,
    each: &mut Each<'_>,
) -> io::Result<()> {
    for _ in 0..count {
        for (name, schema) in &head.fields {
            if name != "Body" {
                schema.skip(block, 0)?;
                continue;
            }
            if let Some(body) = schema.bytes(block)? {
                each(Located {
                    line: *message + 1,
                    content: super::decode(&body),
                });
            }
        }
        *message += 1;
    }
    Ok(())
}

/// What stands before the blocks.
struct Head {
    fields: Vec<(String, Schema)>,
    deflated: bool,
    sync: [u8; SYNC_BYTES],
}

impl Head {
    fn read(reader: &mut dyn BufRead) -> io::Result<Self> {
        let _magic: [u8; MAGIC.len()] = array(reader)?;
        let (mut schema, mut codec) = (Vec::new(), Vec::new());
        elements(reader, |reader| {
            let key = text(reader, META_BYTES_MAX)?;
            let value = text(reader, META_BYTES_MAX)?;
            match key.as_slice() {
                b"avro.schema" => schema = value,
                b"avro.codec" => codec = value,
                _ => {}
            }
            Ok(())
        })?;
        let deflated = match codec.as_slice() {
            b"" | b"null" => false,
            b"deflate" => true,
            other => {
                let other = String::from_utf8_lossy(other);
                return Err(invalid(format!(
                    "avro.codec: saw {other:?}, expected \"null\" or \"deflate\""
                )));
            }
        };
        let schema: Value = serde_json::from_slice(&schema)
            .map_err(|error| invalid(format!("avro.schema: {error}")))?;
        let Schema::Record(fields) = Schema::parse(&schema, &mut HashMap::new(), 0)? else {
            return Err(invalid("avro.schema: expected a record".to_owned()));
        };
        if !fields.iter().any(|(name, _)| name == "Body") {
            return Err(invalid(
                "avro.schema: no field Body; expected a file of Event Hubs Capture".to_owned(),
            ));
        }
        Ok(Self {
            fields,
            deflated,
            sync: array(reader)?,
        })
    }
}

/// A type, as far as skipping it needs.
#[derive(Debug, Clone)]
enum Schema {
    Null,
    /// Booleans.
    Byte,
    /// `int`, `long` and enums.
    Varint,
    Fixed(u64),
    /// Bytes and strings.
    Bytes,
    Array(Box<Schema>),
    Map(Box<Schema>),
    Union(Vec<Schema>),
    Record(Vec<(String, Schema)>),
}

impl Schema {
    fn parse(json: &Value, named: &mut HashMap<String, Self>, depth: usize) -> io::Result<Self> {
        let unknown = || invalid(format!("avro.schema: saw {json}, expected a type"));
        if depth > DEPTH_MAX {
            return Err(invalid("avro.schema: nested too deeply".to_owned()));
        }
        match json {
            Value::String(name) => Self::primitive(name)
                .or_else(|| named.get(name).cloned())
                .ok_or_else(unknown),
            Value::Array(members) => {
                let members = members.iter().map(|m| Self::parse(m, named, depth + 1));
                Ok(Self::Union(members.collect::<io::Result<_>>()?))
            }
            Value::Object(of) => {
                let inner = |key: &str, named: &mut HashMap<String, Self>| {
                    Self::parse(of.get(key).ok_or_else(unknown)?, named, depth + 1).map(Box::new)
                };
                let schema = match of.get("type").and_then(Value::as_str) {
                    Some("array") => Self::Array(inner("items", named)?),
                    Some("map") => Self::Map(inner("values", named)?),
                    Some("enum") => Self::Varint,
                    Some("fixed") => {
                        let size = of.get("size").and_then(Value::as_u64);
                        Self::Fixed(size.ok_or_else(unknown)?)
                    }
                    Some("record") => {
                        let fields = of.get("fields").and_then(Value::as_array);
                        let mut parsed = Vec::new();
                        for field in fields.ok_or_else(unknown)? {
                            let name = field.get("name").and_then(Value::as_str);
                            let kind = field.get("type").ok_or_else(unknown)?;
                            parsed.push((
                                name.ok_or_else(unknown)?.to_owned(),
                                Self::parse(kind, named, depth + 1)?,
                            ));
                        }
                        Self::Record(parsed)
                    }
                    // A type with a logical type on it.
                    _ => *inner("type", named)?,
                };
                if let Some(name) = of.get("name").and_then(Value::as_str) {
                    named.insert(name.to_owned(), schema.clone());
                }
                Ok(schema)
            }
            _ => Err(unknown()),
        }
    }

    fn primitive(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Byte,
            "int" | "long" => Self::Varint,
            "float" => Self::Fixed(4),
            "double" => Self::Fixed(8),
            "bytes" | "string" => Self::Bytes,
            _ => return None,
        })
    }

    fn skip(&self, from: &mut dyn Read, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(invalid("nested too deeply".to_owned()));
        }
        match self {
            Self::Null => Ok(()),
            Self::Byte => skip_bytes(from, 1),
            Self::Varint => long(from).map(|_| ()),
            Self::Fixed(size) => skip_bytes(from, *size),
            Self::Bytes => {
                let length = length(from)?;
                skip_bytes(from, length as u64)
            }
            Self::Array(items) => elements(from, |from| items.skip(from, depth + 1)),
            Self::Map(values) => elements(from, |from| {
                Self::Bytes.skip(from, depth + 1)?;
                values.skip(from, depth + 1)
            }),
            Self::Union(members) => choice(members, from)?.skip(from, depth + 1),
            Self::Record(fields) => fields
                .iter()
                .try_for_each(|(_, field)| field.skip(from, depth + 1)),
        }
    }

    /// The bytes of a value that should be bytes; `None` of null.
    fn bytes(&self, from: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Bytes => text(from, VALUE_BYTES_MAX).map(Some),
            Self::Union(members) => match choice(members, from)? {
                Self::Null => Ok(None),
                Self::Bytes => text(from, VALUE_BYTES_MAX).map(Some),
                _ => Err(invalid("Body: expected bytes".to_owned())),
            },
            _ => Err(invalid("Body: expected bytes".to_owned())),
        }
    }
}

/// The member of a union that follows.
fn choice<'a>(members: &'a [Schema], from: &mut dyn Read) -> io::Result<&'a Schema> {
    let at = usize::try_from(long(from)?).ok();
    at.and_then(|at| members.get(at))
        .ok_or_else(|| invalid("damaged: a union without such a member".to_owned()))
}

/// Reads the blocks of an array or map.
fn elements<R: Read + ?Sized>(
    from: &mut R,
    mut each: impl FnMut(&mut R) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let count = long(from)?;
        if count < 0 {
            // The size in bytes, for readers that skip.
            long(from)?;
        }
        if count.unsigned_abs() > ELEMENTS_MAX.unsigned_abs() {
            return Err(invalid(format!("damaged: {count} elements")));
        }
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count.unsigned_abs() {
            each(from)?;
        }
    }
}

/// A zigzag varint of at most ten bytes.
fn long<R: Read + ?Sized>(from: &mut R) -> io::Result<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = array(from)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(invalid(
        "damaged: a number of more than ten bytes".to_owned(),
    ))
}

fn length<R: Read + ?Sized>(from: &mut R) -> io::Result<usize> {
    let length = long(from)?;
    usize::try_from(length).map_err(|_| invalid(format!("damaged: a length of {length}")))
}

fn text<R: Read + ?Sized>(from: &mut R, bytes_max: usize) -> io::Result<Vec<u8>> {
    let length = length(from)?;
    if length > bytes_max {
        return Err(invalid(format!(
            "a value of {length} bytes, expected at most {bytes_max}"
        )));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn array<const N: usize, R: Read + ?Sized>(from: &mut R) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip_bytes(from: &mut dyn Read, count: u64) -> io::Result<()> {
    match io::copy(&mut from.take(count), &mut io::sink())? {
        skipped if skipped == count => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
