//! Bytes of Event Hubs, and the same bytes as a recorded file.

#![no_main]

use evictd::ingest::{entra, recorded};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let decoded = entra::decode(bytes);
    let held = decoded.quarantined.iter().map(|piece| piece.bytes.len());
    assert!(held.sum::<usize>() <= bytes.len(), "quarantine grows");
    for piece in &decoded.quarantined {
        assert!(
            piece.reason.chars().count() < 2_000,
            "{} bytes",
            piece.reason.len()
        );
    }
    // A file may be refused as a whole (damaged, another encoding), in words.
    if let Err(error) = recorded::read(bytes, |located| assert!(located.line > 0)) {
        assert!(!error.to_string().is_empty(), "{error:?}");
    }
});
