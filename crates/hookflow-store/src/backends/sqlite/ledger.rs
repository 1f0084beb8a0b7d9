//! Everything that writes. One connection, one transaction at a time, in the writer's thread.
//!
//! Each operation judges first and then writes, so that a refusal leaves nothing behind.

mod admission;
mod blobs;
mod claims;
mod forgetting;
mod fresh;
mod inbox;
mod nodes;
mod outbox;
mod recording;
mod rejected;

pub(super) use forgetting::Forgotten;
pub(super) use inbox::CANCEL;

use super::failure::Failure;
use crate::{Owner, StoreError};
use fresh::FreshRuns;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row};
use std::collections::HashMap;
use std::sync::Arc;

/// How many names are remembered with their numbers. Beyond, they are looked up again.
const NAMES_KNOWN: usize = 100_000;

/// The writing side of a file.
pub(super) struct Ledger {
    pub(super) connection: Connection,
    /// Positions and turns are counted in one. None is given twice while its row is there.
    last: i64,
    /// The latest moment that anybody has named.
    now: i64,
    /// Expired claims were forgotten when it was this late.
    swept_at: i64,
    names: Names,
    fresh: FreshRuns,
}

/// By names that are ours or the author's: no caller can make them collide.
type Quick<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What the file has numbers for. All of it can be read again.
#[derive(Default)]
struct Names {
    /// With the node's epoch.
    nodes: Quick<Arc<str>, (i64, u64)>,
    flows: Quick<Arc<str>, i64>,
    versions: Quick<(i64, Arc<str>), i64>,
}

impl Ledger {
    pub(super) fn new(connection: Connection) -> Result<Self, Failure> {
        let (now, swept_at) = (i64::MIN, i64::MIN);
        let (names, fresh) = (Names::default(), FreshRuns::default());
        let mut ledger = Self { connection, last: 0, now, swept_at, names, fresh };
        ledger.last = ledger.read_last()?;
        Ok(ledger)
    }

    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        self.run("BEGIN IMMEDIATE", ()).map(drop)
    }

    pub(super) fn commit(&mut self) -> Result<(), Failure> {
        self.run("COMMIT", ()).map(drop)
    }

    /// Undoes what was written since the beginning, and forgets what may be wrong now.
    pub(super) fn roll_back(&mut self) -> Result<(), Failure> {
        if !self.connection.is_autocommit() {
            self.run("ROLLBACK", ())?;
        }
        self.names = Names::default();
        self.fresh.clear();
        self.last = self.read_last()?;
        Ok(())
    }

    /// How many rows were inserted, changed and deleted.
    pub(super) fn changes(&self) -> u64 {
        self.connection.total_changes()
    }

    /// Brings what was committed from the log into the file, as far as no reader stands in the way.
    pub(super) fn checkpoint(&self) -> Result<(), Failure> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?)
    }

    /// Writes something, to see whether that is possible.
    pub(super) fn probe(&mut self) -> Result<(), Failure> {
        self.run("UPDATE counters SET last = ?1", (self.last,)).map(drop)
    }

    /// The last position or turn that was given.
    const fn last(&self) -> i64 {
        self.last
    }

    fn read_last(&self) -> Result<i64, Failure> {
        const LAST: &str =
            "SELECT max((SELECT last FROM counters), coalesce((SELECT max(seq) FROM events), 0),
            coalesce((SELECT max(turn) FROM open), 0))";
        Ok(self.connection.query_row(LAST, (), |row| row.get(0))?)
    }

    fn next(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    fn statement(&self, sql: &str) -> Result<CachedStatement<'_>, Failure> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    fn run(&self, sql: &str, params: impl Params) -> Result<usize, Failure> {
        Ok(self.statement(sql)?.execute(params)?)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Failure> {
        Ok(self.statement(sql)?.query_row(params, read).optional()?)
    }

    /// The number of the owner's node, if the owner's life has not ended.
    fn living(&mut self, owner: &Owner) -> Result<i64, Failure> {
        let known = self.names.nodes.get(&owner.node).copied();
        let node = match known {
            Some(node) => Some(node),
            None => self
                .one("SELECT id, epoch FROM nodes WHERE node = ?1", (&*owner.node,), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .map(|(id, epoch): (i64, i64)| (id, super::rows::uint(epoch))),
        };
        let (id, epoch) = node.ok_or(StoreError::Stale)?;
        if known.is_none() {
            remember(&mut self.names.nodes, Arc::clone(&owner.node), (id, epoch));
        }
        if epoch == owner.epoch { Ok(id) } else { Err(StoreError::Stale.into()) }
    }

    fn flow(&mut self, name: &Arc<str>) -> Result<Option<i64>, Failure> {
        if let Some(id) = self.names.flows.get(name) {
            return Ok(Some(*id));
        }
        let id = self.one("SELECT id FROM flows WHERE flow = ?1", (&**name,), |row| row.get(0))?;
        if let Some(id) = id {
            remember(&mut self.names.flows, Arc::clone(name), id);
        }
        Ok(id)
    }

    fn version(&mut self, flow: i64, name: &Arc<str>) -> Result<Option<i64>, Failure> {
        let key = (flow, Arc::clone(name));
        if let Some(id) = self.names.versions.get(&key) {
            return Ok(Some(*id));
        }
        let sql = "SELECT id FROM versions WHERE flow = ?1 AND version = ?2";
        let id = self.one(sql, (flow, &**name), |row| row.get(0))?;
        if let Some(id) = id {
            remember(&mut self.names.versions, key, id);
        }
        Ok(id)
    }
}

fn remember<K: std::hash::Hash + Eq, V>(names: &mut Quick<K, V>, key: K, value: V) {
    if names.len() >= NAMES_KNOWN {
        names.clear();
    }
    names.insert(key, value);
}
