//! Rows of Log Analytics' tables, in every shape that they are exported in.

use super::{SIGN_IN, contents, outcome, read, refusal};

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

pub(super) fn csv(by: &str) -> String {
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

pub(super) fn answer() -> String {
    let row = row();
    let columns: Vec<_> = row
        .keys()
        .map(|name| serde_json::json!({"name": name, "type": "string"}))
        .collect();
    let cells: Vec<_> = row.values().collect();
    serde_json::json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [cells]}]})
        .to_string()
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
