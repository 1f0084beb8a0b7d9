//! The tables, and how a file of an older version becomes one of this version.
//!
//! What is hot is narrow and only appended to: the wide row of an event is written once, and what its schedule needs
//! while it is unfinished lies in `open`. The index over run IDs grows at its end, for the IDs begin with the time.

use hookflow_runtime::fault_point;
use rusqlite::{Connection, TransactionBehavior};

/// Marks a file as ours (`hook`).
const APPLICATION: i64 = 0x686f_6f6b;

/// Each entry makes the version that is its place, from 1. An entry that was released is never changed.
const MIGRATIONS: &[&str] = &["
CREATE TABLE counters (last INTEGER NOT NULL);
INSERT INTO counters VALUES (0);
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL, under_way INTEGER NOT NULL, alone TEXT
);
CREATE TABLE flows (id INTEGER PRIMARY KEY, flow TEXT NOT NULL UNIQUE);
CREATE TABLE versions (
    id INTEGER PRIMARY KEY, flow INTEGER NOT NULL, version TEXT NOT NULL, latest INTEGER NOT NULL,
    document TEXT NOT NULL, UNIQUE (flow, version)
);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, flow INTEGER NOT NULL, version INTEGER NOT NULL,
    node INTEGER NOT NULL, attempt INTEGER NOT NULL, started_at INTEGER NOT NULL, bytes INTEGER NOT NULL,
    seed BLOB NOT NULL, replays TEXT, lane TEXT, claims TEXT, head TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX events_of_a_flow ON events (flow, seq, version);
CREATE TABLE open (
    turn INTEGER PRIMARY KEY, seq INTEGER NOT NULL, node INTEGER NOT NULL, flow INTEGER NOT NULL, run TEXT NOT NULL,
    bytes INTEGER NOT NULL, lane TEXT, behind INTEGER NOT NULL, parked INTEGER NOT NULL, until INTEGER,
    heard INTEGER NOT NULL, begun_at INTEGER, suspected INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX open_and_ready ON open (node, flow) WHERE behind = 0 AND parked = 0;
CREATE INDEX open_and_due ON open (node, until) WHERE until IS NOT NULL;
CREATE UNIQUE INDEX open_in_a_lane ON open (flow, lane, seq) WHERE lane IS NOT NULL;
CREATE TABLE facts (seq INTEGER, n INTEGER, fact TEXT NOT NULL, PRIMARY KEY (seq, n)) WITHOUT ROWID;
CREATE TABLE sent (seq INTEGER, n INTEGER, sent TEXT NOT NULL, PRIMARY KEY (seq, n)) WITHOUT ROWID;
CREATE TABLE inbox (
    seq INTEGER, place TEXT, n INTEGER NOT NULL, fact TEXT, at INTEGER, PRIMARY KEY (seq, place)
) WITHOUT ROWID;
CREATE TABLE replies (seq INTEGER PRIMARY KEY, status INTEGER NOT NULL, headers TEXT, body BLOB NOT NULL);
CREATE TABLE ends (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, value TEXT, begun_at INTEGER);
CREATE INDEX ends_that_failed ON ends (seq) WHERE kind = 1;
CREATE TABLE claims (
    scope TEXT, key TEXT, seq INTEGER NOT NULL, until INTEGER, run TEXT, PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX claims_until ON claims (until) WHERE until IS NOT NULL;
CREATE INDEX claims_without_run ON claims (seq) WHERE run IS NOT NULL;
", "
CREATE TABLE blobs (id TEXT, seq INTEGER, bytes INTEGER NOT NULL, PRIMARY KEY (id, seq)) WITHOUT ROWID;
CREATE INDEX blobs_of_an_event ON blobs (seq);
", "
CREATE TABLE states (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
", "
CREATE TABLE rejected (n INTEGER PRIMARY KEY, at INTEGER NOT NULL, flow TEXT, told TEXT NOT NULL);
CREATE INDEX rejected_of_a_flow ON rejected (flow);
CREATE INDEX rejected_at ON rejected (at);
", "
ALTER TABLE facts ADD COLUMN tried INTEGER;
ALTER TABLE facts ADD COLUMN failed INTEGER;
ALTER TABLE facts ADD COLUMN integration TEXT;
ALTER TABLE facts ADD COLUMN attempt TEXT;
CREATE INDEX facts_tried ON facts (tried, seq, n, failed) WHERE tried IS NOT NULL;
CREATE INDEX facts_of_an_integration ON facts (integration, tried, seq, n, failed) WHERE integration IS NOT NULL;
", "
CREATE TABLE emitted (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, at INTEGER NOT NULL, run TEXT, place TEXT, key TEXT,
    bytes INTEGER NOT NULL, data TEXT NOT NULL
);
CREATE UNIQUE INDEX emitted_by_a_run ON emitted (run, place) WHERE run IS NOT NULL;
CREATE UNIQUE INDEX emitted_under_a_key ON emitted (key) WHERE key IS NOT NULL;
CREATE INDEX emitted_bytes ON emitted (bytes);
CREATE TABLE deliveries (
    n INTEGER PRIMARY KEY, event INTEGER NOT NULL, subscription TEXT NOT NULL, node INTEGER NOT NULL, state INTEGER NOT NULL,
    tries INTEGER NOT NULL, due INTEGER, last TEXT
);
CREATE UNIQUE INDEX deliveries_of_an_event ON deliveries (event, subscription);
CREATE INDEX deliveries_of_a_subscription ON deliveries (subscription, n);
CREATE INDEX deliveries_due ON deliveries (node, subscription, due) WHERE due IS NOT NULL;
", "
CREATE TABLE tries (delivery INTEGER, n INTEGER, told TEXT NOT NULL, PRIMARY KEY (delivery, n)) WITHOUT ROWID;
", "
ALTER TABLE facts ADD COLUMN blob TEXT;
"];

/// Brings the file to this version.
///
/// # Errors
/// When it cannot be read or written, is another program's, or is of a version that this one does not know.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), String> {
    let told = |error: rusqlite::Error| error.to_string();
    if judge(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    fault_point("store.before-migration");
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
    for sql in MIGRATIONS.iter().skip(judge(&transaction)?) {
        transaction.execute_batch(sql).map_err(told)?;
        fault_point("store.migrating");
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(told)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len()).map_err(told)?;
    transaction.commit().map_err(told)?;
    fault_point("store.after-migration");
    Ok(())
}

/// That the file is of this version, for who only reads.
pub(super) fn is_current(connection: &Connection) -> Result<(), String> {
    match judge(connection)? {
        version if version == MIGRATIONS.len() => Ok(()),
        0 => Err("it is empty".into()),
        version => Err(format!("it is of version {version} and this is {}: serve once", MIGRATIONS.len())),
    }
}

/// The version of the file.
pub(super) fn judge(connection: &Connection) -> Result<usize, String> {
    let number = |sql| connection.query_row(sql, (), |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let tables = number("SELECT COUNT(*) FROM sqlite_schema")?;
        Ok((tables, number("PRAGMA application_id")?, number("PRAGMA user_version")?))
    };
    let (tables, application, version) = read().map_err(|error| error.to_string())?;
    match usize::try_from(version) {
        Ok(0) if tables == 0 => Ok(0),
        _ if application != APPLICATION => Err("it is another program's database".into()),
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(format!(
            "a newer version of hookflow wrote it: it is of version {version}, this one knows up to {}",
            MIGRATIONS.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_version_becomes_one_of_this_and_keeps_what_it_holds() {
        for version in 1..=MIGRATIONS.len() {
            let mut file = Connection::open_in_memory().unwrap();
            for sql in &MIGRATIONS[..version] {
                file.execute_batch(sql).unwrap();
            }
            file.pragma_update(None, "application_id", APPLICATION).unwrap();
            file.pragma_update(None, "user_version", version).unwrap();
            file.execute("INSERT INTO facts (seq, n, fact) VALUES (7, 1, 'kept')", ()).unwrap();
            migrate(&mut file).unwrap();
            assert_eq!(is_current(&file), Ok(()));
            let facts = "SELECT fact FROM facts WHERE seq = 7 AND tried IS NULL AND blob IS NULL";
            assert_eq!(
                file.query_row(facts, (), |row| row.get::<_, String>(0)),
                Ok("kept".into()),
                "{version}"
            );
        }
    }
}
