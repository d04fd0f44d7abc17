//! A database of an earlier version opens, and keeps everything.

use rusqlite::Connection;

use super::super::schema;
use super::*;

/// A database as version 1 left it: an action in every state it had, answers
/// to questions, and a row in every other table.
fn version_1(path: &std::path::Path) {
    let mut connection = Connection::open(path).unwrap();
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    schema::migrate_to(&mut connection, 1);
    let decision = serde_json::to_string(&ask("u1").decision).unwrap();
    let signal = serde_json::to_string(&signal("tor_exit", "r1")).unwrap();
    let case = ask("u1").decision.case.to_string();
    connection
        .execute_batch(&format!(
            "INSERT INTO positions VALUES ('signins', '3', 41, 2);
             INSERT INTO cases VALUES ('{case}', 'u1', 'u1@contoso.example', 1, 90, 1, 7, 8);
             INSERT INTO decisions VALUES ('d', '{case}', 'r1', 'ask', 90, 1, 2, 3, 4, '0011', '{decision}');
             INSERT INTO case_signals VALUES ('{case}', 'tor_exit', 'r1', 1, '{signal}');
             INSERT INTO settings VALUES ('a setting', 'kept');
             INSERT INTO quarantine VALUES (5, 'signins', '3', 40, -1, 1, 2, 'not JSON', 1, x'78');"
        ))
        .unwrap();
    let states = ActionState::ALL
        .iter()
        .filter(|s| **s != ActionState::Withdrawn);
    for (n, state) in (0_i64..).zip(states) {
        let record = RecordId::new(format!("r{n}"));
        let id = ActionId::derive(&ask("u1").decision.case, RevokeSessions, &record);
        connection
            .execute(
                "INSERT INTO actions VALUES (?1, ?2, 'revoke_sessions', ?3, 90, 1, 2, 3, 4, ?4,
                     11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 'said')",
                (id.to_string(), &case, state.as_str(), 100 + n),
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO approvals VALUES (?1, 3, 'alice', 'approve', 21)",
                [id.to_string()],
            )
            .unwrap();
    }
}

/// Every row of a table with the columns it had in version 1, as text.
fn rows(connection: &Connection, table: &str, columns: &[String]) -> Vec<String> {
    let columns: Vec<String> = columns.iter().map(|c| format!("quote({c})")).collect();
    let sql = format!(
        "SELECT {} AS row FROM {table} ORDER BY 1",
        columns.join(" || ',' || ")
    );
    let mut select = connection.prepare(&sql).unwrap();
    let rows = select.query_map((), |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let mut select = connection
        .prepare("SELECT name FROM pragma_table_info(?1)")
        .unwrap();
    let names = select.query_map([table], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

const TABLES: [&str; 8] = [
    "positions",
    "user_memory",
    "cases",
    "decisions",
    "case_signals",
    "actions",
    "approvals",
    "quarantine",
];

#[tokio::test]
async fn a_database_of_version_1_opens_and_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("evictd.db");
    version_1(&path);
    let read = |names: Option<&[Vec<String>]>| {
        let connection = Connection::open(&path).unwrap();
        let names: Vec<Vec<String>> = match names {
            Some(names) => names.to_vec(),
            None => TABLES.map(|table| columns(&connection, table)).to_vec(),
        };
        let tables = TABLES.iter().zip(&names);
        let rows: Vec<_> = tables
            .map(|(table, names)| rows(&connection, table, names))
            .collect();
        (names, rows)
    };
    let (names, before) = read(None);
    assert_eq!(before[5].len(), 8, "an action a state");

    let store = Store::open(directory.path()).await.unwrap();
    let case = ask("u1").decision.case.to_string();
    let view = store.case(&case).await.unwrap();
    assert_eq!(view.actions.len(), 8);
    assert!(view.actions.iter().all(|a| a.approved_by == ["alice"]));
    assert_eq!((view.decisions.len(), view.signals.len()), (1, 1));
    drop(store);

    let (_, after) = read(Some(&names));
    for (n, table) in TABLES.iter().enumerate() {
        assert_eq!(after[n], before[n], "{table}");
    }
}

#[tokio::test]
async fn what_was_brought_up_to_date_is_as_strict_as_what_is_new() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    version_1(&old.path().join("evictd.db"));
    let schema_of = |directory: &std::path::Path| {
        let connection = Connection::open(directory.join("evictd.db")).unwrap();
        let mut select = connection
            .prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")
            .unwrap();
        let rows = select.query_map((), |row| {
            let sql: Option<String> = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, sql))
        });
        let rows: Result<Vec<(String, String, Option<String>)>, _> = rows.unwrap().collect();
        rows.unwrap()
    };
    for directory in [&old, &new] {
        drop(Store::open(directory.path()).await.unwrap());
    }
    let migrated = schema_of(old.path());
    assert_eq!(migrated, schema_of(new.path()));
    assert!(migrated.iter().all(|(_, name, sql)| {
        let sql = sql.as_deref().unwrap_or_default();
        let left = |text: &str| text.contains("actions_new") || text.contains("approvals_new");
        !left(name) && !left(sql)
    }));

    let connection = Connection::open(old.path().join("evictd.db")).unwrap();
    connection
        .pragma_update(None, "foreign_keys", true)
        .unwrap();
    let refused = |sql: &str| connection.execute(sql, ()).is_err();
    assert!(refused("UPDATE actions SET state = 'forgotten'"));
    assert!(refused(
        "INSERT INTO approvals VALUES ('nobody', 0, 'a', 'approve', 0)"
    ));
    assert!(refused(
        "INSERT INTO proofs VALUES ('nobody', 'proven', 0, 'r')"
    ));
    assert!(!refused("UPDATE actions SET state = 'withdrawn'"));
}

#[tokio::test]
async fn what_policies_called_for_before_it_was_counted_is_counted_from_the_decisions() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = Connection::open(directory.path().join("evictd.db")).unwrap();
    schema::migrate_to(&mut connection, 4);
    let reason = GuardReason::StaleEvent;
    let decisions = [
        (
            Admission::Refused(reason),
            Some(Effect::Ask),
            Some(Effect::Shadow),
        ),
        (Admission::Demoted(reason), Some(Effect::Act), None),
        (Admission::Admitted, Some(Effect::Shadow), Some(Effect::Act)),
    ];
    let case = ask("u1").decision.case.to_string();
    connection
        .execute(
            "INSERT INTO cases VALUES (?1, 'u1', 'u1@contoso.example', 0, 90, 1, 7, 8, 0)",
            [&case],
        )
        .unwrap();
    for (n, (admission, a, b)) in (0_i64..).zip(decisions) {
        let mut decision = ask("u1").decision;
        decision.admission = admission;
        decision.verdicts = vec![verdict("a", a), verdict("b", b), verdict("c", None)];
        connection
            .execute(
                "INSERT INTO decisions VALUES (?1, ?2, 'r', 'ask', 90, 1, 2, 3, ?3, '0011', ?4)",
                (
                    format!("d{n}"),
                    &case,
                    schema::micros(at(10 + n)),
                    serde_json::to_string(&decision).unwrap(),
                ),
            )
            .unwrap();
    }
    drop(connection);
    let store = Store::open(directory.path()).await.unwrap();
    let record = store.track_record(at(0)).await.unwrap();
    let found: Vec<_> = record
        .tallies
        .iter()
        .map(|t| (t.policy.as_str(), t.effect, t.cases))
        .collect();
    assert_eq!(found, [("a", Effect::Ask, 1), ("b", Effect::Act, 1)]);
    let later = store.track_record(at(11)).await.unwrap();
    assert!(later.tallies.is_empty(), "since the first decision");
}
