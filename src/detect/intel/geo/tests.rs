//! Databases of one row, written here, in both schemas.

use super::*;

/// A value of the MMDB format, as far as these rows need.
pub(crate) enum Value {
    Text(&'static str),
    Double(f64),
    Float(f32),
    U16(u16),
    U32(u32),
    U64(u64),
    Map(Vec<(&'static str, Value)>),
    Array(Vec<Value>),
}
use Value::{Array, Double, Float, Map, Text, U16, U32, U64};

impl Value {
    /// Appends the value: a byte of type and size, an extended type where the
    /// type does not fit in three bits, then the payload.
    fn write(&self, out: &mut Vec<u8>) {
        let plain = |out: &mut Vec<u8>, kind: u8, size: usize| {
            assert!(size < 29, "longer than these rows need");
            out.push(kind << 5 | size as u8);
        };
        let extended = |out: &mut Vec<u8>, kind: u8, size: usize| {
            out.extend([size as u8, kind - 7]);
        };
        match self {
            Text(text) => {
                plain(out, 2, text.len());
                out.extend(text.bytes());
            }
            Double(value) => {
                plain(out, 3, 8);
                out.extend(value.to_be_bytes());
            }
            U16(value) => {
                plain(out, 5, 2);
                out.extend(value.to_be_bytes());
            }
            U32(value) => {
                plain(out, 6, 4);
                out.extend(value.to_be_bytes());
            }
            Map(entries) => {
                plain(out, 7, entries.len());
                for (key, value) in entries {
                    Text(key).write(out);
                    value.write(out);
                }
            }
            U64(value) => {
                extended(out, 9, 8);
                out.extend(value.to_be_bytes());
            }
            Array(values) => {
                extended(out, 11, values.len());
                values.iter().for_each(|value| value.write(out));
            }
            Float(value) => {
                extended(out, 15, 4);
                out.extend(value.to_be_bytes());
            }
        }
    }
}

/// An IPv4 database with the row at `192.0.0.0/depth`, and so `depth` nodes.
pub(crate) fn mmdb(depth: u32, row: &Value) -> Vec<u8> {
    let path = u32::from(std::net::Ipv4Addr::new(192, 0, 0, 0));
    let mut out = Vec::new();
    for node in 0..depth {
        // A record that equals the number of nodes leads nowhere; one beyond
        // it, to the data 16 bytes after the tree.
        let next = if node + 1 == depth {
            depth + 16
        } else {
            node + 1
        };
        let right = (path >> (31 - node)) & 1 == 1;
        let records = if right { [depth, next] } else { [next, depth] };
        for record in records {
            out.extend(&record.to_be_bytes()[1..]);
        }
    }
    out.extend([0; 16]);
    row.write(&mut out);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Map(vec![
        ("binary_format_major_version", U16(2)),
        ("binary_format_minor_version", U16(0)),
        ("build_epoch", U64(1_795_507_200)),
        ("database_type", Text("Own-City")),
        ("description", Map(vec![("en", Text("a test's own"))])),
        ("ip_version", U16(4)),
        ("languages", Array(vec![Text("en")])),
        ("node_count", U32(depth)),
        ("record_size", U16(24)),
    ]);
    metadata.write(&mut out);
    out
}

pub(crate) fn database(row: &Value) -> GeoDatabase {
    GeoDatabase::read(mmdb(2, row)).unwrap()
}

/// MaxMind's schema, placed to within so many kilometres.
pub(crate) fn nested(name: &'static str, country: &'static str, radius_km: u16) -> Value {
    let names = Map(vec![("de", Text("anders")), ("en", Text(name))]);
    Map(vec![
        ("city", Map(vec![("geoname_id", U32(1)), ("names", names)])),
        ("country", Map(vec![("iso_code", Text(country))])),
        (
            "location",
            Map(vec![
                ("accuracy_radius", U16(radius_km)),
                ("latitude", Double(48.86)),
                ("longitude", Double(2.35)),
            ]),
        ),
    ])
}

/// DB-IP's schema.
pub(crate) fn flat(name: &'static str, country: &'static str, latitude: f64) -> Value {
    Map(vec![
        ("city", Text(name)),
        ("country_code", Text(country)),
        ("latitude", Double(latitude)),
        ("longitude", Double(2.35)),
        ("state1", Text("")),
    ])
}

fn place(row: &Value) -> Option<Place> {
    database(row).place("192.0.2.1".parse().unwrap())
}

#[test]
fn both_schemas_say_the_same() {
    let expected = Place {
        city: Some("Paris".into()),
        country: CountryCode::parse("FR"),
        point: GeoPoint::new(48.86, 2.35),
    };
    assert_eq!(place(&nested("Paris", "FR", 20)), Some(expected.clone()));
    assert_eq!(place(&flat("Paris", "FR", 48.86)), Some(expected));
    let database = database(&flat("Paris", "FR", 48.86));
    assert_eq!(database.place("10.0.0.1".parse().unwrap()), None);
    assert_eq!(database.place("2001:db8::1".parse().unwrap()), None);
}

#[test]
fn the_flat_schema_also_writes_single_precision() {
    let row = Map(vec![
        ("city", Text("Paris")),
        ("latitude", Float(48.5)),
        ("longitude", Float(2.25)),
    ]);
    assert_eq!(place(&row).unwrap().point, GeoPoint::new(48.5, 2.25));
}

#[test]
fn a_vague_an_absurd_and_an_empty_row_give_no_point() {
    let vague = place(&nested("Paris", "FR", 51)).unwrap();
    assert_eq!((vague.point, vague.city.as_deref()), (None, Some("Paris")));
    let absurd = place(&flat("", "France", 480.0)).unwrap();
    assert_eq!(absurd, Place::default());
    assert_eq!(place(&Map(vec![])), Some(Place::default()));
    // A row of another shape is unknown, not a failure.
    assert_eq!(place(&Map(vec![("city", U16(3))])), None);
    assert_eq!(place(&Text("hello")), None);
}

#[test]
fn a_damaged_file_does_not_serve() {
    let sound = mmdb(2, &nested("Paris", "FR", 20));
    assert!(GeoDatabase::read(sound.clone()).is_ok());
    assert!(GeoDatabase::read(Vec::new()).is_err());
    assert!(GeoDatabase::read(b"<html>Not found</html>".to_vec()).is_err());
    assert!(GeoDatabase::read(sound[..sound.len() / 2].to_vec()).is_err());
    // A record that leads out of the file.
    let mut broken = sound;
    broken[9] = 0x7f;
    assert!(GeoDatabase::read(broken).is_err());
}

#[test]
fn the_autonomous_system_is_read() {
    let row = Map(vec![
        ("autonomous_system_number", U32(64500)),
        ("organization", Text("Example")),
    ]);
    let database = database(&row);
    assert_eq!(database.asn("192.0.2.1".parse().unwrap()), Some(64500));
    assert_eq!(database.asn("10.0.0.1".parse().unwrap()), None);
}
