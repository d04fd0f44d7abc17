//! Every shape of file that holds records, whole and broken.

use std::io::Write as _;

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

const COLUMNS: [(&str, &str); 33] = [
    ("TimeGenerated [UTC]", "11/24/2026, 8:03:00.000 AM"),
    ("OperationName", "Sign-in activity"),
    ("ResultType", "0"),
    ("CorrelationId", "c-1"),
    ("Type", "SigninLogs"),
    ("Id", "r-1"),
    ("CreatedDateTime [UTC]", "11/24/2026, 8:00:00.500 AM"),
    ("UserId", "U-1"),
    ("UserPrincipalName", "ana@contoso.example"),
    ("UserType", "Member"),
    ("AppId", "a-1"),
    ("AppDisplayName", "Portal"),
    ("ResourceId", "/tenants/t/providers/Microsoft.aadiam"),
    ("ResourceIdentity", "res-1"),
    ("ResourceDisplayName", "Graph"),
    ("IPAddress", "192.0.2.1"),
    ("AutonomousSystemNumber", "64500"),
    (
        "LocationDetails_dynamic",
        r#"{"city":"Paris","countryOrRegion":"FR","geoCoordinates":{"latitude":48.8,"longitude":2.3}}"#,
    ),
    ("LocationDetails_string", ""),
    (
        "Status",
        r#"{"errorCode":0,"additionalDetails":"MFA requirement satisfied by claim in the token"}"#,
    ),
    ("UserAgent", r#"Mozilla/5.0 (X, "Y")"#),
    (
        "DeviceDetail",
        r#"{"deviceId":"d-1","operatingSystem":"Linux","browser":"Firefox","isCompliant":true}"#,
    ),
    ("SessionId", "s-1"),
    ("OriginalRequestId", "r-1"),
    ("ClientAppUsed", "Browser"),
    ("IncomingTokenType", "primaryRefreshToken"),
    ("AuthenticationProtocol", "none"),
    ("OriginalTransferMethod", "deviceCodeFlow"),
    ("UniqueTokenIdentifier", "t-1"),
    (
        "TokenProtectionStatusDetails",
        r#"{"signInSessionStatus":"bound"}"#,
    ),
    (
        "AuthenticationDetails",
        "[{\"authenticationMethod\":\"Password\",\n\"succeeded\":true,\n\"authenticationStepDateTime\":\"2026-11-24T08:00:00+00:00\"}]",
    ),
    (
        "NetworkLocationDetails",
        r#"[{"networkType":"trustedNamedLocation"}]"#,
    ),
    ("RiskEventTypes_V2", r#"["anomalousToken"]"#),
];
const MORE_COLUMNS: [(&str, &str); 4] = [
    ("AuthenticationRequirement", "multiFactorAuthentication"),
    ("ConditionalAccessStatus", "success"),
    ("RiskLevelDuringSignIn", "high"),
    ("RiskLevelAggregated", "low"),
];

fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    COLUMNS.into_iter().chain(MORE_COLUMNS)
}

fn csv_line<'a>(by: &str, cells: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = cells
        .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
        .collect();
    format!("{}\r\n", quoted.join(by))
}

fn csv(by: &str) -> String {
    let heads = csv_line(by, columns().map(|(head, _)| head));
    format!(
        "\u{feff}{heads}{}",
        csv_line(by, columns().map(|(_, cell)| cell))
    )
}

/// The row as JSON, with a query's ISO times.
fn row() -> serde_json::Map<String, serde_json::Value> {
    let cells = columns().map(|(head, cell)| {
        let (head, cell) = match head {
            "TimeGenerated [UTC]" => ("TimeGenerated", "2026-11-24T08:03:00Z"),
            "CreatedDateTime [UTC]" => ("CreatedDateTime", "2026-11-24T08:00:00.5Z"),
            other => (other, cell),
        };
        let value = match head {
            // Dynamic in one table, text in the other.
            "Status" => serde_json::from_str(cell).unwrap(),
            "AutonomousSystemNumber" => 64_500.into(),
            _ => cell.into(),
        };
        (head.to_owned(), value)
    });
    cells.collect()
}

fn answer() -> String {
    let row = row();
    let columns: Vec<_> = row
        .keys()
        .map(|name| serde_json::json!({"name": name, "type": "string"}))
        .collect();
    let cells: Vec<_> = row.values().collect();
    serde_json::json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [cells]}]})
        .to_string()
}

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
fn a_row_becomes_the_event_that_its_record_is() {
    let expected = contents(SIGN_IN.as_bytes());
    assert_eq!((expected.0.len(), expected.1.len()), (1, 0));
    let row = serde_json::Value::Object(row());
    let mut az = row.clone();
    az["TableName"] = "PrimaryResult".into();
    az["LocationDetails_string"] = "None".into();
    for (shape, text) in [
        ("CSV", csv(",")),
        ("CSV with semicolons", csv(";")),
        ("a query's answer", answer()),
        ("an answer laid out", answer().replace("],", "],\n")),
        ("NDJSON", format!("{row}\n")),
        ("an array", format!("[{row}]")),
        (
            "the az command's",
            serde_json::to_string_pretty(&[az]).unwrap(),
        ),
    ] {
        assert_eq!(contents(text.as_bytes()), expected, "{shape}");
    }
}

#[test]
fn every_table_is_told_by_its_type_or_by_its_columns() {
    let target =
        r#"[{""type"":""User"",""id"":""u"",""userPrincipalName"":""ana@contoso.example""}]"#;
    let by = r#"{""user"":{""id"":""u"",""ipAddress"":""192.0.2.1""}}"#;
    let table = [
        ("NonInteractiveUserSignInLogs", "Type,TimeGenerated,Id,UserId,Status\nAADNonInteractiveUserSignInLogs,2026-11-24T08:00:00Z,r,u,\"{\"\"errorCode\"\":0}\"\n".to_owned()),
        ("NonInteractiveUserSignInLogs", "CreatedDateTime,Id,UserId,UserPrincipalName,IsInteractive,ConditionalAccessStatus\n2026-11-24T08:00:00Z,r,u,a@b.example,False,success\n".to_owned()),
        ("SignInLogs", "CreatedDateTime,Id,UserId,UserPrincipalName,IsInteractive,ConditionalAccessStatus\n2026-11-24 08:00:00,r,u,a@b.example,True,success\n".to_owned()),
        ("UserRiskEvents", "ActivityDateTime,DetectedDateTime,Id,UserId,RiskEventType,RiskState,RiskLevel,IpAddress\n2026-11-24T08:00:00Z,2026-11-24T08:00:00Z,d,u,anonymizedIPAddress,atRisk,high,192.0.2.1\n".to_owned()),
        ("RiskyUsers", "RiskLastUpdatedDateTime,Id,UserPrincipalName,RiskState,RiskLevel\n2026-11-24T08:00:00Z,u,a@b.example,dismissed,none\n".to_owned()),
        ("ServicePrincipalRiskEvents", "DetectedDateTime,Id,ServicePrincipalId,RiskEventType,RiskState\n2026-11-24T08:00:00Z,d,sp,leakedCredentials,atRisk\n".to_owned()),
        ("AuditLogs", format!("ActivityDateTime,Id,Category,ActivityDisplayName,Result,InitiatedBy,TargetResources\n2026-11-24T08:00:00Z,a,UserManagement,User registered security info,success,\"{by}\",\"{target}\"\n")),
        ("MicrosoftGraphActivityLogs", "TimeGenerated,RequestId,UserId,SessionId,SignInActivityId,RequestMethod,RequestUri,ResponseStatusCode\n2026-11-24T08:00:00Z,q,u,s,t,GET,https://graph.microsoft.com/v1.0/me,200\n".to_owned()),
    ];
    for (category, text) in table {
        let mut found = Vec::new();
        read(text.as_bytes(), |located| {
            assert_eq!(located.content.quarantined, [], "{text}");
            found.extend(
                located
                    .content
                    .events
                    .into_iter()
                    .map(|(category, _)| category.0),
            );
        })
        .unwrap();
        assert_eq!(found, [category], "{text}");
    }
    let other = "Type,TimeGenerated,UserId\nOfficeActivity,2026-11-24T08:00:00Z,u\n";
    assert_eq!(outcome(other), [(2, 0, 1, vec![])]);
}

#[test]
fn what_is_wrong_with_a_row_is_said_with_its_line_and_column() {
    let head = "Type,CreatedDateTime [UTC],Id,UserId,LocationDetails";
    let good = "SigninLogs,2026-11-24T08:00:00Z,r,u,";
    for (row, expected) in [
        (
            "SigninLogs,soon,r,u,",
            r#"CreatedDateTime: saw "soon", expected a time such as 2026-11-24T08:00:00Z"#,
        ),
        (
            "SigninLogs,2026-11-24T08:00:00Z,r,,",
            "UserId: missing, expected the user's object id or a userPrincipalName",
        ),
        (
            "SigninLogs,2026-11-24T08:00:00Z,r,u,Paris",
            r#"LocationDetails: invalid type: string "Paris", expected an object"#,
        ),
        (
            "SigninLogs,,r,u,",
            "CreatedDateTime, TimeGenerated: missing, expected a time such as 2026-11-24T08:00:00Z",
        ),
        ("SigninLogs,x", "saw 2 columns, expected 5 as in line 1"),
        (
            ",2026-11-24T08:00:00Z,r,u,",
            "Type: missing, expected one of SigninLogs, AADNonInteractiveUserSignInLogs, \
             AADUserRiskEvents, AADServicePrincipalRiskEvents, AADRiskyUsers, AuditLogs, \
             MicrosoftGraphActivityLogs, AADServicePrincipalSignInLogs, \
             AADManagedIdentitySignInLogs",
        ),
    ] {
        let text = format!("{head}\n{good}\"{{\n}}\"\n{row}\n{good}\n");
        let (events, wrong) = contents(text.as_bytes());
        assert_eq!(wrong, [(4, expected.to_owned())], "{row}");
        assert_eq!(events.len(), 2, "the rows around it are read");
    }
    let mut row = row();
    row["CreatedDateTime"] = "soon".into();
    let text = answer().replace("2026-11-24T08:00:00.5Z", "soon");
    let reason =
        r#"row 1: CreatedDateTime: saw "soon", expected a time such as 2026-11-24T08:00:00Z"#;
    assert_eq!(contents(text.as_bytes()).1, [(1, reason.to_owned())]);
    let text = serde_json::Value::Object(row).to_string();
    assert_eq!(contents(text.as_bytes()).1[0].1, reason["row 1: ".len()..]);
}

#[test]
fn dates_are_read_as_the_file_shows_and_never_guessed() {
    let file = |dates: &[&str]| {
        let rows: String = dates
            .iter()
            .enumerate()
            .map(|(n, date)| format!("SigninLogs,\"{date}\",r{n},u\n"))
            .collect();
        format!("Type,CreatedDateTime [UTC],Id,UserId\n{rows}")
    };
    let times = |dates: &[&str]| -> Vec<String> {
        let (events, wrong) = contents(file(dates).as_bytes());
        let read = events.iter().map(|event| event.at().to_string());
        read.chain(wrong.into_iter().map(|(_, reason)| reason))
            .collect()
    };
    assert_eq!(
        times(&["3/4/2026, 2:00:00 PM", "28/4/2026, 2:00:00 PM"]),
        ["2026-04-03T14:00:00Z", "2026-04-28T14:00:00Z"]
    );
    assert_eq!(
        times(&["3/4/2026, 2:00:00 PM", "4/28/2026, 2:00:00 PM"]),
        ["2026-03-04T14:00:00Z", "2026-04-28T14:00:00Z"]
    );
    assert_eq!(times(&["4/4/2026, 2:00:00 PM"]), ["2026-04-04T14:00:00Z"]);
    // Two orders in one file: the later row is reported.
    let mixed = times(&["4/28/2026, 2:00:00 PM", "28/4/2026, 2:00:00 PM"]);
    assert!(
        mixed[1].starts_with(r#"CreatedDateTime: saw "28/4/2026, 2:00:00 PM""#),
        "{mixed:?}"
    );
    let refused = refusal(file(&["4/4/2026, 1:00:00 AM", "3/4/2026, 2:00:00 PM"]).as_bytes());
    assert!(
        refused.starts_with(r#"line 3: CreatedDateTime: saw "3/4/2026, 2:00:00 PM", expected"#),
        "{refused}"
    );
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

/// A file as Event Hubs Capture writes it.
fn capture(codec: &str, bodies: &[&[u8]]) -> Vec<u8> {
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

#[test]
fn an_answer_that_was_cut_is_read_to_there() {
    let text = answer();
    let end = text.len() - 3;
    let (events, wrong) = contents(&text.as_bytes()[..end]);
    assert_eq!(events.len(), 1);
    assert_eq!(
        wrong,
        [(1, "the answer has no end: the file was cut here".to_owned())]
    );
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
