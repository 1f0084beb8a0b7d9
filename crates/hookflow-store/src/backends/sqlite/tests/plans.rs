//! How `SQLite` goes about what is asked: by an index and in its order, so that lists and queues may be as long as they like.

use super::{Access, open};
use crate::backends::sqlite::{attempts, outbox, reading, search};
use crate::{AttemptFilter, DeliveryFilter, RunFilter, RunStatus};
use rusqlite::{Connection, types::Null};

/// An empty file of this version.
fn file() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookflow.db");
    drop(open(&path, Access::Serve).unwrap());
    (folder, Connection::open(path).unwrap())
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![Null; statement.parameter_count()];
    let steps = statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get(3)).unwrap();
    steps.map(Result::unwrap).collect()
}

#[test]
fn no_list_reads_all_events_or_sorts_them() {
    let (_folder, connection) = file();
    let statuses = [
        None,
        Some(RunStatus::Running),
        Some(RunStatus::Waiting),
        Some(RunStatus::Failed),
        Some(RunStatus::Succeeded),
    ];
    for status in statuses {
        for flow in [None, Some("shop".into())] {
            for search in [None, Some("text".into())] {
                let by = if flow.is_some() {
                    "INDEX events_of_a_flow (flow=? AND seq"
                } else {
                    "INTEGER PRIMARY KEY (rowid"
                };
                let filter = RunFilter { status, flow: flow.clone(), search, ..RunFilter::default() };
                let plan = plan(&connection, &search::listing(&filter));
                assert!(
                    plan.first().unwrap().starts_with(&format!("SEARCH e USING {by}")),
                    "{filter:?}: {plan:#?}"
                );
                // What has not ended, and what has failed, is little and narrow.
                let whole: Vec<_> = plan.iter().filter(|step| step.starts_with("SCAN")).collect();
                match status {
                    None | Some(RunStatus::Succeeded) => assert!(whole.is_empty(), "{plan:#?}"),
                    Some(RunStatus::Failed) => {
                        assert_eq!(whole, ["SCAN ends USING COVERING INDEX ends_that_failed"]);
                    }
                    Some(RunStatus::Running | RunStatus::Waiting) => assert_eq!(whole, ["SCAN open"]),
                }
                assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{filter:?}: {plan:#?}");
            }
        }
    }
}

#[test]
fn deliveries_are_read_in_the_order_of_an_index() {
    let (_folder, connection) = file();
    let all = outbox::listing(&DeliveryFilter::default());
    let of_one =
        outbox::listing(&DeliveryFilter { subscription: Some("crm".into()), ..DeliveryFilter::default() });
    for (sql, by) in [
        (outbox::DUE, "SEARCH d USING INDEX deliveries_due (node=? AND subscription=? AND due<?)"),
        (
            outbox::NEXT_DUE,
            "SEARCH deliveries USING COVERING INDEX deliveries_due (node=? AND subscription=? AND due>?)",
        ),
        (outbox::UNDELIVERED, "SEARCH deliveries USING COVERING INDEX deliveries_due (node=?)"),
        (&all, "SEARCH d USING INTEGER PRIMARY KEY (rowid<?)"),
        (&of_one, "SEARCH d USING INDEX deliveries_of_a_subscription (subscription=? AND n<?)"),
    ] {
        let plan = plan(&connection, sql);
        assert_eq!(plan.first().map(String::as_str), Some(by), "{sql}");
        let is_slow = |step: &&String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        assert!(!plan.iter().skip(1).any(|step| is_slow(&step)), "{sql}: {plan:#?}");
    }
}

#[test]
fn what_waits_and_what_is_due_is_read_in_the_order_of_an_index() {
    let (_folder, connection) = file();
    for (sql, by) in [
        (reading::UNFINISHED, "SEARCH o USING INTEGER PRIMARY KEY (rowid>?)"),
        (reading::READY, "SEARCH open USING INDEX open_and_ready (node=? AND flow=? AND rowid>?)"),
        (reading::DUE, "SEARCH o USING INDEX open_and_due (node=? AND until<?)"),
        (reading::NEXT_DUE, "SEARCH open USING COVERING INDEX open_and_due (node=? AND until>?)"),
        // Once at a start, and of the narrow table.
        (reading::WAITING, "SCAN open"),
        // As far as there is something to forget.
        (search::ENDED, "SCAN d"),
    ] {
        let plan = plan(&connection, sql);
        assert_eq!(plan.first().map(String::as_str), Some(by), "{sql}");
        let is_slow = |step: &&String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        assert!(!plan.iter().skip(1).any(|step| is_slow(&step)), "{sql}: {plan:#?}");
    }
}

#[test]
fn the_log_of_attempts_is_read_by_narrow_indexes_in_its_order() {
    let (_folder, connection) = file();
    let all = AttemptFilter::default;
    for (filter, by) in [
        (all(), "COVERING INDEX facts_tried (tried>? AND (tried,seq,n)<(?,?,?))"),
        (
            AttemptFilter { integration: Some("crm".into()), failed: true, ..all() },
            "COVERING INDEX facts_of_an_integration (integration=? AND tried>? AND (tried,seq,n)<(?,?,?))",
        ),
    ] {
        let plan = plan(&connection, &attempts::listing(&filter));
        assert_eq!(plan, [format!("SEARCH facts USING {by}")], "{filter:?}");
    }
    let of_a_run = AttemptFilter { run: Some("r".into()), ..all() };
    let plan = plan(&connection, &attempts::listing(&of_a_run));
    assert_eq!(plan, ["SEARCH facts USING PRIMARY KEY (seq=?)", "USE TEMP B-TREE FOR ORDER BY"]);
}

/// As many rows as are pending, and no others.
#[test]
fn what_is_still_to_be_delivered_is_counted_by_what_is_due() {
    let (_folder, connection) = file();
    assert_eq!(
        plan(&connection, outbox::UNDELIVERED_EVENTS),
        [
            "SEARCH emitted USING INTEGER PRIMARY KEY (rowid=?)",
            "LIST SUBQUERY 1",
            "SCAN deliveries USING INDEX deliveries_due"
        ]
    );
}

#[test]
fn one_attempt_and_the_facts_of_one_run_are_found_at_once() {
    let (_folder, connection) = file();
    for (sql, expected) in [
        (
            attempts::SHOWN,
            &[
                "SEARCH e USING COVERING INDEX sqlite_autoindex_events_1 (run=?)",
                "SEARCH f USING PRIMARY KEY (seq=? AND n=?)",
            ][..],
        ),
        (reading::FACTS, &["SEARCH facts USING PRIMARY KEY (seq=?)"]),
    ] {
        let plan = plan(&connection, sql);
        let named = ["CORRELATED SCALAR SUBQUERY 1", "SEARCH blobs USING PRIMARY KEY (id=? AND seq=?)"];
        assert_eq!(plan, [expected, &named].concat(), "{sql}");
    }
}
