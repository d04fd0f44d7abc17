//! Every shape of file that holds records, whole and broken.

mod capture;
mod tables;

use std::io::Write as _;

use self::capture::capture;
use self::tables::{answer, csv};
use super::*;

const RECORD: &str = r#"{"category":"SignInLogs","time":"2026-11-24T08:00:00Z","properties":{"id":"r","userId":"u","status":{"errorCode":0}}}"#;

/// (line, events, passed over, reasons) of each value.
fn outcome(text: &str) -> Vec<(usize, usize, usize, Vec<String>)> {
    let mut found = Vec::new();
    read(text.as_bytes(), |located| {
        let content = located.content;
        let reasons = content.quarantined.into_iter().map(|q| q.reason).collect();
        found.push((
            located.line,
            content.events.len(),
            content.passed_over.len(),
            reasons,
        ));
    })
    .unwrap();
    found
}

fn counts(text: &str) -> Vec<(usize, usize)> {
    outcome(text)
        .into_iter()
        .map(|(line, events, ..)| (line, events))
        .collect()
}

#[test]
fn every_shape_of_file_is_read() {
    let envelope = format!(r#"{{"records":[{RECORD},{RECORD}]}}"#);
    let pretty = serde_json::to_string_pretty(
        &serde_json::from_str::<serde_json::Value>(&format!("[{RECORD},{RECORD}]")).unwrap(),
    )
    .unwrap();
    let wrapped = format!(r#"{{"rule":"x","expected":true,"log":{RECORD}}}"#);
    let table = [
        (format!("{RECORD}\n{RECORD}\n"), vec![(1, 1), (2, 1)]),
        (
            format!("\u{feff}{RECORD}\r\n\r\n{RECORD}"),
            vec![(1, 1), (3, 1)],
        ),
        (envelope.clone(), vec![(1, 2)]),
        (format!("{envelope}\n{envelope}\n"), vec![(1, 2), (2, 2)]),
        (format!("[{RECORD},{RECORD}]"), vec![(1, 1), (1, 1)]),
        (pretty, vec![(2, 1), (13, 1)]),
        (wrapped, vec![(1, 1)]),
        (
            format!("{{\"records\":[\n{RECORD},\n{RECORD}\n]}}\n{RECORD}\n"),
            vec![(1, 2), (5, 1)],
        ),
        (String::new(), vec![]),
        ("[]\n".to_owned(), vec![]),
    ];
    for (text, expected) in table {
        assert_eq!(counts(&text), expected, "{text}");
    }
}

#[test]
fn a_broken_line_costs_that_line() {
    let text = format!(
        "{RECORD}\n{{\"category\":\"SignInLogs\",\"prop\n{RECORD}\nhello world\n{RECORD}\n"
    );
    let found = outcome(&text);
    let lines: Vec<(usize, usize)> = found.iter().map(|f| (f.0, f.1)).collect();
    assert_eq!(lines, [(1, 1), (2, 0), (3, 1), (4, 0), (5, 1)]);
    assert_eq!(found[1].3, ["the message ends before its JSON does"]);
    assert_eq!(found[3].3, ["expected a JSON object or array"]);
}

#[test]
fn what_is_wrong_with_a_record_is_named_without_an_index() {
    let text = r#"{"category":"SignInLogs","properties":{"id":"r","userId":"u","createdDateTime":"soon"}}"#;
    assert_eq!(
        outcome(text)[0].3,
        [r#"properties.createdDateTime: saw "soon", expected a time such as 2026-11-24T08:00:00Z"#]
    );
}

#[test]
fn a_value_beyond_the_bound_is_an_error_that_names_its_line() {
    let text = format!(
        "{RECORD}\n{{\"a\":\"{}\"}}\n",
        "x".repeat(VALUE_BYTES_MAX + 10)
    );
    let error = read(text.as_bytes(), |_| {}).unwrap_err().to_string();
    assert!(
        error.starts_with("line 2: a value longer than 16 MiB"),
        "{error}"
    );
}

/// The same sign-in as Event Hubs has it and as Log Analytics does.
const SIGN_IN: &str = r#"{"category":"SignInLogs","time":"2026-11-24T08:03:00Z","operationName":"Sign-in activity","resultType":"0","correlationId":"c-1","properties":{"id":"r-1","createdDateTime":"2026-11-24T08:00:00.5Z","userId":"U-1","userPrincipalName":"ana@contoso.example","userType":"Member","appId":"a-1","appDisplayName":"Portal","resourceId":"res-1","resourceDisplayName":"Graph","ipAddress":"192.0.2.1","autonomousSystemNumber":64500,"location":{"city":"Paris","countryOrRegion":"FR","geoCoordinates":{"latitude":48.8,"longitude":2.3}},"status":{"errorCode":0,"additionalDetails":"MFA requirement satisfied by claim in the token"},"userAgent":"Mozilla/5.0 (X, \"Y\")","deviceDetail":{"deviceId":"d-1","operatingSystem":"Linux","browser":"Firefox","isCompliant":true},"sessionId":"s-1","correlationId":"c-1","originalRequestId":"r-1","clientAppUsed":"Browser","incomingTokenType":"primaryRefreshToken","authenticationProtocol":"none","originalTransferMethod":"deviceCodeFlow","uniqueTokenIdentifier":"t-1","tokenProtectionStatusDetails":{"signInSessionStatus":"bound"},"authenticationRequirement":"multiFactorAuthentication","conditionalAccessStatus":"success","authenticationDetails":[{"authenticationMethod":"Password","succeeded":true,"authenticationStepDateTime":"2026-11-24T08:00:00+00:00"}],"networkLocationDetails":[{"networkType":"trustedNamedLocation"}],"riskEventTypes_v2":["anomalousToken"],"riskLevelDuringSignIn":"high","riskLevelAggregated":"low"}}"#;

/// Everything that a file holds: events, and what is wrong with the rest.
fn contents(bytes: &[u8]) -> (Vec<crate::model::Event>, Vec<(usize, String)>) {
    let (mut events, mut wrong) = (Vec::new(), Vec::new());
    read(bytes, |located| {
        events.extend(located.content.events.into_iter().map(|(_, event)| event));
        let reasons = located.content.quarantined.into_iter();
        wrong.extend(reasons.map(|record| (located.line, record.reason)));
    })
    .unwrap();
    (events, wrong)
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes, |_| {}).unwrap_err().to_string()
}

#[test]
fn a_file_that_cannot_be_understood_is_refused_with_the_reason() {
    let unclosed = format!(
        "Type,TimeGenerated,Id,UserId\nSigninLogs,2026-11-24T08:00:00Z,r,u\nSigninLogs,\"{}",
        "x\n".repeat(VALUE_BYTES_MAX / 2 + 10_000)
    );
    for (bytes, expected) in [
        (
            b"Type,TimeGenerated [Local Time],Id\n".to_vec(),
            "line 1: column \"TimeGenerated [Local Time]\": expected times in UTC",
        ),
        (
            b"color,size,weight\nred,1,2\n".to_vec(),
            "line 1: columns of no known table",
        ),
        (
            unclosed.into_bytes(),
            "line 3: a row longer than 16 MiB; is a quote not closed?",
        ),
        (b"\xff\xfeT\0y\0".to_vec(), "saw UTF-16, expected UTF-8"),
        (
            br#"{"tables":[{"rows":[]}]}"#.to_vec(),
            "line 1: rows before their columns",
        ),
        (br#"{"tables":5}"#.to_vec(), "line 1: invalid type: integer"),
        (
            gzip(&gzip(&gzip(SIGN_IN.as_bytes()))),
            "compressed more than 2 times",
        ),
    ] {
        let refused = read(bytes.as_slice(), |_| {})
            .expect_err(expected)
            .to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(plain).unwrap();
    packed.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 1).unwrap()
}

#[test]
fn any_file_may_be_compressed_and_come_in_several_pieces() {
    let line = format!("{SIGN_IN}\n");
    let pieces =
        |pack: fn(&[u8]) -> Vec<u8>| [pack(line.as_bytes()), pack(line.as_bytes())].concat();
    for (shape, bytes) in [
        ("gzip", pieces(gzip)),
        ("zstd", pieces(zstd)),
        ("gzip in zstd", zstd(&pieces(gzip))),
        ("CSV in gzip", gzip(csv(",").as_bytes())),
        ("an answer in zstd", zstd(answer().as_bytes())),
        (
            "Capture in gzip",
            gzip(&capture("null", &[SIGN_IN.as_bytes()])),
        ),
    ] {
        let (events, wrong) = contents(&bytes);
        assert_eq!(wrong, [], "{shape}");
        assert!(!events.is_empty(), "{shape}");
    }
    assert_eq!(contents(&pieces(zstd)).0.len(), 2);
}

#[test]
fn compressed_data_that_were_cut_anywhere_are_read_to_there() {
    let line = format!("{SIGN_IN}\n");
    for pack in [gzip, zstd] {
        let first = pack(line.as_bytes());
        let both = [first.clone(), pack(line.as_bytes())].concat();
        for end in first.len()..both.len() {
            let (events, wrong) = contents(&both[..end]);
            assert!(!events.is_empty(), "cut at {end}");
            assert_eq!(
                wrong.is_empty(),
                end == first.len(),
                "cut at {end}: {wrong:?}"
            );
        }
        let mut damaged = both;
        let middle = damaged.len() - 30;
        damaged[middle..middle + 20].fill(0xff);
        assert!(
            refusal(&damaged).contains("damaged"),
            "{}",
            refusal(&damaged)
        );
    }
}

/// The corpus of the fuzz target `record`, replayed where nothing is fuzzed.
#[test]
fn the_corpus_of_records_breaks_nothing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/record");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let decoded = entra::decode(&bytes);
        let held = decoded.quarantined.iter().map(|piece| piece.bytes.len());
        assert!(held.sum::<usize>() <= bytes.len(), "quarantine grows");
        read(&bytes[..], |located| assert!(located.line > 0)).unwrap();
        files += 1;
    }
    assert!(files > 10, "{files}");
}

#[test]
fn an_array_on_one_line_may_be_longer_than_any_value() {
    let record = |n: usize| {
        format!(
            "{{\"category\":\"SignInLogs\",\"properties\":{{\"id\":\"{n}\",\"userId\":\"u\",\
             \"createdDateTime\":\"2026-11-02T08:00:00Z\",\"padding\":\"{}\"}}}}",
            "é".repeat(300_000)
        )
    };
    let records: Vec<String> = (0..30).map(record).collect();
    let array = format!("[{}]\nno record\n{}\n", records.join(","), record(30));
    assert!(array.len() > VALUE_BYTES_MAX);
    let mut read_so = Vec::new();
    let read = read(array.as_bytes(), |located| {
        let content = located.content;
        read_so.push((
            located.line,
            content.events.len(),
            content.quarantined.len(),
        ));
    });
    assert!(read.is_ok(), "{read:?}");
    let mut expected = vec![(1, 1, 0); 30];
    expected.extend([(2, 0, 1), (3, 1, 0)]);
    assert_eq!(read_so, expected);
}
