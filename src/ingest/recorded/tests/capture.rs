//! Files of Event Hubs Capture, whole, cut and damaged.

use std::io::Write as _;

use super::{SIGN_IN, contents, read, refusal};

/// A file as Event Hubs Capture writes it.
pub(super) fn capture(codec: &str, bodies: &[&[u8]]) -> Vec<u8> {
    let schema = r#"{"type":"record","name":"EventData","namespace":"Microsoft.ServiceBus.Messaging","fields":[{"name":"SequenceNumber","type":"long"},{"name":"Offset","type":"string"},{"name":"EnqueuedTimeUtc","type":"string"},{"name":"SystemProperties","type":{"type":"map","values":["long","double","string","bytes"]}},{"name":"Properties","type":{"type":"map","values":["long","double","string","bytes","null"]}},{"name":"Body","type":["null","bytes"]}]}"#;
    let mut file = b"Obj\x01".to_vec();
    put_long(&mut file, 2);
    for text in ["avro.codec", codec, "avro.schema", schema] {
        put_bytes(&mut file, text.as_bytes());
    }
    put_long(&mut file, 0);
    let sync = [7; 16];
    file.extend(sync);
    for body in bodies {
        let mut object = Vec::new();
        put_long(&mut object, 1_000_000);
        put_bytes(&mut object, b"4096");
        put_bytes(&mut object, b"11/24/2026 8:03:00 AM");
        put_long(&mut object, 1);
        put_bytes(&mut object, b"x-opt-enqueued-time");
        put_long(&mut object, 1);
        object.extend(1.5_f64.to_le_bytes());
        put_long(&mut object, 0);
        // A block of a map may name its size, under a negative count.
        put_long(&mut object, -1);
        put_long(&mut object, 3);
        put_bytes(&mut object, b"k");
        put_long(&mut object, 4);
        put_long(&mut object, 0);
        put_long(&mut object, 1);
        put_bytes(&mut object, body);
        if codec == "deflate" {
            let fast = flate2::Compression::fast();
            let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), fast);
            packed.write_all(&object).unwrap();
            object = packed.finish().unwrap();
        }
        put_long(&mut file, 1);
        put_bytes(&mut file, &object);
        file.extend(sync);
    }
    file
}

fn put_long(to: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest > 0x7f {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_long(to, bytes.len() as i64);
    to.extend(bytes);
}

#[test]
fn captured_messages_are_read_and_one_that_is_bad_is_named_by_its_number() {
    let envelope = format!(r#"{{"records":[{SIGN_IN}]}}"#);
    for codec in ["null", "deflate"] {
        let file = capture(codec, &[envelope.as_bytes(), b"hello", envelope.as_bytes()]);
        let (events, wrong) = contents(&file);
        assert_eq!(events.len(), 2, "{codec}");
        assert_eq!(wrong, [(2, "expected a JSON object or array".to_owned())]);
    }
}

#[test]
fn a_captured_file_that_was_cut_is_read_to_there_and_a_damaged_one_refused() {
    for codec in ["null", "deflate"] {
        let file = capture(codec, &[SIGN_IN.as_bytes(), SIGN_IN.as_bytes()]);
        let first = capture(codec, &[SIGN_IN.as_bytes()]).len();
        for end in 4..file.len() {
            let (events, wrong) = contents(&file[..end]);
            assert!(
                events.len() >= usize::from(end >= first),
                "{codec} cut at {end}"
            );
            let whole = [capture(codec, &[]).len(), first].contains(&end);
            assert_eq!(wrong.is_empty(), whole, "{codec} cut at {end}");
        }
        let mut damaged = file.clone();
        let last = damaged.len() - 1;
        damaged[last] = 0;
        assert_eq!(
            refusal(&damaged),
            "Avro, message 3: damaged: a block does not end with the file's mark"
        );
    }
    let snappy = refusal(&capture("snappy", &[]));
    assert_eq!(
        snappy,
        "Avro, message 1: avro.codec: saw \"snappy\", expected \"null\" or \"deflate\""
    );
}

#[test]
fn a_captured_file_of_noise_is_refused_in_bounded_time_and_memory() {
    let file = capture("null", &[SIGN_IN.as_bytes()]);
    for at in 4..file.len() {
        for byte in [0x00, 0x01, 0x7f, 0xff] {
            let mut noisy = file.clone();
            noisy[at] = byte;
            // Whatever it makes of it, it ends.
            let _ = read(noisy.as_slice(), |_| {});
        }
    }
}
