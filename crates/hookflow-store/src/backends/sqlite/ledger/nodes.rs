//! Nodes with their lives, the versions of flows, and what operators have set.

use super::Ledger;
use crate::backends::sqlite::failure::Failure;
use crate::backends::sqlite::rows::{int, uint};
use crate::{Life, Owner, VERSIONS_KEPT};
use hookflow_runtime::fault_point;
use std::sync::Arc;

impl Ledger {
    pub(in super::super) fn register(&mut self, node: &Arc<str>) -> Result<Life, Failure> {
        let known = "SELECT epoch, under_way, alone FROM nodes WHERE node = ?1";
        let former = self.one(known, (&**node,), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, Option<Arc<str>>>(2)?))
        })?;
        let (epoch, under_way, alone) = former.unwrap_or_default();
        let epoch = uint(epoch) + 1;
        self.run(
            "INSERT INTO nodes (node, epoch, under_way) VALUES (?1, ?2, 1)
            ON CONFLICT (node) DO UPDATE SET epoch = ?2, under_way = 1, alone = NULL",
            (&**node, int(epoch)),
        )?;
        fault_point("store.registered");
        self.names.nodes.remove(node);
        let last_turn = u64::try_from(self.last()).unwrap_or_default();
        let owner = Owner { node: Arc::clone(node), epoch };
        Ok(Life { owner, clean: !under_way, alone, last_turn })
    }

    pub(in super::super) fn retire(&mut self, owner: &Owner) -> Result<(), Failure> {
        let node = self.living(owner)?;
        self.run("UPDATE nodes SET under_way = 0, alone = NULL WHERE id = ?1", (node,)).map(drop)
    }

    pub(in super::super) fn alone(&mut self, owner: &Owner, run: Option<&Arc<str>>) -> Result<(), Failure> {
        let node = self.living(owner)?;
        self.run("UPDATE nodes SET alone = ?2 WHERE id = ?1", (node, run.map(|run| &**run))).map(drop)
    }

    pub(in super::super) fn suspect(
        &mut self,
        owner: &Owner,
        runs: &[Arc<str>],
    ) -> Result<Vec<u32>, Failure> {
        self.living(owner)?;
        let count = |run: &Arc<str>| {
            let Some(event) = self.event(run)? else { return Ok(0) };
            let Some(open) = self.open(&event)? else { return Ok(0) };
            let more = "UPDATE open SET suspected = suspected + 1 WHERE turn = ?1 RETURNING suspected";
            Ok(self.one(more, (open.turn,), |row| row.get(0))?.unwrap_or_default())
        };
        let crashes = runs.iter().map(count).collect();
        fault_point("store.suspecting");
        crashes
    }

    pub(in super::super) fn keep_version(
        &mut self,
        flow: &Arc<str>,
        version: &Arc<str>,
        document: &Arc<str>,
    ) -> Result<(), Failure> {
        self.run("INSERT INTO flows (flow) VALUES (?1) ON CONFLICT DO NOTHING", (&**flow,))?;
        let Some(id) = self.flow(flow)? else { return Err(Failure::damaged("a flow's name")) };
        let latest = "SELECT version FROM versions WHERE flow = ?1 ORDER BY latest DESC LIMIT 1";
        if self.one(latest, (id,), |row| row.get::<_, String>(0))?.as_deref() == Some(&**version) {
            return Ok(());
        }
        self.run(
            "INSERT INTO versions (flow, version, document, latest)
            VALUES (?1, ?2, ?3, (SELECT coalesce(max(latest), 0) + 1 FROM versions WHERE flow = ?1))
            ON CONFLICT (flow, version) DO UPDATE SET latest = excluded.latest",
            (id, &**version, &**document),
        )?;
        self.forget_versions(id)
    }

    pub(in super::super) fn set_state(&mut self, key: &str, value: Option<&str>) -> Result<(), Failure> {
        match value {
            Some(value) => {
                let set = "INSERT INTO states VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
                self.run(set, (key, value)).map(drop)
            }
            None => self.run("DELETE FROM states WHERE key = ?1", (key,)).map(drop),
        }
    }

    /// Forgets the versions of a flow that are neither among the latest nor a kept run's.
    fn forget_versions(&mut self, flow: i64) -> Result<(), Failure> {
        let count = "SELECT count(*) FROM versions WHERE flow = ?1";
        let count: Option<usize> = self.one(count, (flow,), |row| row.get(0))?;
        if count.is_none_or(|count| count <= VERSIONS_KEPT) {
            return Ok(());
        }
        self.run(
            "DELETE FROM versions WHERE flow = ?1
            AND id NOT IN (SELECT id FROM versions WHERE flow = ?1 ORDER BY latest DESC LIMIT ?2)
            AND id NOT IN (SELECT version FROM events WHERE flow = ?1)",
            (flow, VERSIONS_KEPT),
        )?;
        self.names.versions.clear();
        Ok(())
    }
}
