//! Settings, secret files and what they must not show. Tokens are tested
//! against the stand-ins, in `respond::tests`.

use std::fs;

use super::*;

fn parse(json: &str) -> Result<CredentialConfig, serde_json::Error> {
    serde_json::from_str(json)
}

fn authority(tenant: Option<&str>, host: Option<&str>) -> Authority {
    Authority {
        tenant_id: tenant.map(str::to_owned),
        host: host.map(|host| Url::parse(host).unwrap()),
    }
}

fn build_with(
    json: &str,
    authority: &Authority,
    environment: &[(&str, &str)],
) -> Result<Arc<dyn TokenCredential>, String> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = parse(json).expect("the settings parse");
    build(&config, authority, &reqwest::Client::new(), variable).map_err(|e| e.to_string())
}

#[test]
fn every_kind_is_read_and_unknown_settings_are_not() {
    for (json, kind) in [
        (r#"{"kind":"managed_identity"}"#, "managed_identity"),
        (
            r#"{"kind":"managed_identity","client_id":"c"}"#,
            "managed_identity",
        ),
        (r#"{"kind":"workload_identity"}"#, "workload_identity"),
        (
            r#"{"kind":"client_secret","client_id":"c","secret":"s"}"#,
            "client_secret",
        ),
        (
            r#"{"kind":"client_secret","client_id":"c","secret_file":"/f"}"#,
            "client_secret",
        ),
        (r#"{"kind":"azure_cli"}"#, "azure_cli"),
    ] {
        assert_eq!(parse(json).unwrap().kind(), kind, "{json}");
    }
    for json in [
        r#"{"kind":"azure_cli","client_id":"c"}"#,
        r#"{"kind":"managed_identity","secret":"s"}"#,
        r#"{"kind":"client_secret","secret":"s"}"#,
        r#"{"kind":"password"}"#,
        r#"{"client_id":"c"}"#,
    ] {
        assert!(parse(json).is_err(), "{json}");
    }
}

#[test]
fn a_missing_setting_is_named() {
    let here = authority(Some("tenant"), None);
    let nowhere = Authority::default();
    for (json, authority, message) in [
        (
            r#"{"kind":"client_secret","client_id":"c","secret":"s"}"#,
            &nowhere,
            "credential client_secret: tenant_id is missing",
        ),
        (
            r#"{"kind":"client_secret","client_id":" ","secret":"s"}"#,
            &here,
            "credential client_secret: client_id is missing",
        ),
        (
            r#"{"kind":"client_secret","client_id":"c"}"#,
            &here,
            "credential client_secret: secret or secret_file is missing",
        ),
        (
            r#"{"kind":"client_secret","client_id":"c","secret":""}"#,
            &here,
            "credential client_secret: secret is missing",
        ),
        (
            r#"{"kind":"client_secret","client_id":"c","secret":"s","secret_file":"/f"}"#,
            &here,
            "credential client_secret: give secret or secret_file, not both",
        ),
        (
            r#"{"kind":"workload_identity"}"#,
            &here,
            "credential workload_identity: client_id is missing (and AZURE_CLIENT_ID is not set)",
        ),
        (
            r#"{"kind":"workload_identity","client_id":"c"}"#,
            &nowhere,
            "credential workload_identity: tenant_id is missing (and AZURE_TENANT_ID is not set)",
        ),
        (
            r#"{"kind":"workload_identity","client_id":"c"}"#,
            &here,
            "credential workload_identity: token_file is missing \
             (and AZURE_FEDERATED_TOKEN_FILE is not set)",
        ),
    ] {
        assert_eq!(
            build_with(json, authority, &[]).unwrap_err(),
            message,
            "{json}"
        );
    }
}

#[test]
fn a_workload_identity_takes_from_the_environment_what_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "assertion").unwrap();
    let environment = [
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let json = r#"{"kind":"workload_identity"}"#;
    build_with(json, &Authority::default(), &environment).unwrap();
    fs::remove_file(&token).unwrap();
    let error = build_with(json, &Authority::default(), &environment).unwrap_err();
    assert_eq!(
        error,
        format!("token_file {} does not exist", token.display())
    );
}

#[test]
fn a_secret_file_is_trimmed_and_what_is_wrong_with_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    let read = || client_secret(None, Some(&path));
    let shown = path.display();

    let missing = read().unwrap_err().to_string();
    assert_eq!(missing, format!("secret_file {shown} does not exist"));

    fs::write(&path, " \n").unwrap();
    let empty = read().unwrap_err().to_string();
    assert_eq!(empty, format!("secret_file {shown} is empty"));

    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(
        read(),
        Err(CredentialError::FileUnreadable { .. })
    ));

    fs::write(&path, "x".repeat(5_000)).unwrap();
    let large = read().unwrap_err().to_string();
    assert!(large.ends_with("it has more than 4096 bytes"), "{large}");

    let folder = client_secret(None, Some(directory.path()));
    assert!(matches!(
        folder,
        Err(CredentialError::FileUnreadable { .. })
    ));

    fs::write(&path, "s3cret\n").unwrap();
    assert_eq!(read().unwrap().secret(), "s3cret");
}

#[test]
fn only_the_others_bit_makes_a_file_world_readable() {
    for (mode, world) in [
        (0o600, false),
        (0o640, false),
        (0o100_644, true),
        (0o604, true),
    ] {
        assert_eq!(is_world_readable(mode), world, "{mode:o}");
    }
}

#[test]
fn an_authority_without_tls_is_refused() {
    let json = r#"{"kind":"client_secret","client_id":"c","secret":"s"}"#;
    let plain = authority(Some("t"), Some("http://login.example"));
    let error = build_with(json, &plain, &[]).unwrap_err();
    assert_eq!(
        error,
        "authority http://login.example/ must begin with https://"
    );
    build_with(
        json,
        &authority(Some("t"), Some("https://login.example")),
        &[],
    )
    .unwrap();
}

#[test]
fn what_azure_identity_refuses_is_said_with_the_kind() {
    let json = r#"{"kind":"client_secret","client_id":"c","secret":"s"}"#;
    let error = build_with(json, &authority(Some("not a tenant"), None), &[]).unwrap_err();
    assert!(
        error.starts_with("credential client_secret: invalid tenant ID"),
        "{error}"
    );
}

#[test]
fn debug_output_never_shows_a_secret() {
    let config = parse(r#"{"kind":"client_secret","client_id":"c","secret":"hunter2"}"#).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let here = authority(Some("t"), None);
    let credential = Credential::new(config, here, reqwest::Client::new()).unwrap();
    assert_eq!(
        format!("{credential:?}"),
        r#"Credential { kind: "client_secret", .. }"#
    );
}
