//! What is kept, and the operations on it.

use super::Named;
use super::claims::Claims;
use super::history::History;
use super::lanes::Lanes;
use super::outbox::Kept;
use crate::{
    Admitted, Due, Erasure, FACTS_PER_RUN, INBOX_ENTRIES, Inbound, Life, NewRun, Owner, Posted, Progress,
    Pruned, Recorded, Retention, StoreError, UnfinishedRun, VERSIONS_KEPT,
};
use hookflow_flow::{Fact, Place};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Contents {
    nodes: Named<Node>,
    pub(super) runs: Named<Row>,
    /// By turn.
    pub(super) unfinished: BTreeMap<u64, Arc<str>>,
    /// The parked ones that wait for a moment.
    moments: BTreeSet<(Timestamp, u64)>,
    /// All kept runs, by position.
    pub(super) order: BTreeMap<u64, Arc<str>>,
    flows: Named<Versions>,
    /// What operators have set.
    pub(super) states: BTreeMap<Arc<str>, Arc<str>>,
    claims: Claims,
    lanes: Lanes,
    pub(super) history: History,
    /// Events that go out.
    pub(super) outbox: Kept,
    /// Positions and turns are counted in one.
    last: u64,
}

#[derive(Default)]
pub(super) struct Node {
    epoch: u64,
    under_way: bool,
    alone: Option<Arc<str>>,
}

pub(super) struct Row {
    pub(super) position: u64,
    turn: u64,
    pub(super) node: Arc<str>,
    pub(super) run: NewRun,
    pub(super) behind: bool,
    suspected: u32,
    pub(super) inbox: Vec<Inbound>,
    closed: HashSet<Place>,
}

#[derive(Default)]
struct Versions {
    kept: Named<Version>,
    /// The latest ones, oldest first.
    latest: VecDeque<Arc<str>>,
}

struct Version {
    document: Arc<str>,
    runs: u64,
}

impl Row {
    pub(super) fn line(&self) -> UnfinishedRun {
        UnfinishedRun {
            turn: self.turn,
            run: Arc::clone(&self.run.run),
            flow: Arc::clone(&self.run.flow),
            bytes: self.run.bytes,
        }
    }

    fn moment(&self) -> Option<(Timestamp, u64)> {
        Some((self.run.progress.parked?.until?, self.turn))
    }
}

impl Contents {
    pub(super) fn register(&mut self, name: &Arc<str>) -> Life {
        let node = self.nodes.entry(Arc::clone(name)).or_default();
        node.epoch += 1;
        let clean = !std::mem::replace(&mut node.under_way, true);
        let owner = Owner { node: Arc::clone(name), epoch: node.epoch };
        Life { owner, clean, alone: node.alone.take(), last_turn: self.last }
    }

    pub(super) fn retire(&mut self, owner: &Owner) -> Result<(), StoreError> {
        let node = self.living(owner)?;
        node.under_way = false;
        node.alone = None;
        Ok(())
    }

    pub(super) fn alone(&mut self, owner: &Owner, run: Option<&Arc<str>>) -> Result<(), StoreError> {
        self.living(owner)?.alone = run.cloned();
        Ok(())
    }

    pub(super) fn suspect(&mut self, owner: &Owner, runs: &[Arc<str>]) -> Result<Vec<u32>, StoreError> {
        self.living(owner)?;
        let count = |run| {
            let row = self.runs.get_mut(run).filter(|row| row.run.progress.ended.is_none());
            row.map_or(0, |row| {
                row.suspected += 1;
                row.suspected
            })
        };
        Ok(runs.iter().map(count).collect())
    }

    pub(super) fn keep_version(&mut self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) {
        let Versions { kept, latest } = self.flows.entry(Arc::clone(flow)).or_default();
        kept.entry(Arc::clone(version))
            .or_insert_with(|| Version { document: Arc::clone(document), runs: 0 });
        latest.retain(|latest| latest != version);
        latest.push_back(Arc::clone(version));
        if latest.len() > VERSIONS_KEPT {
            latest.pop_front();
        }
        kept.retain(|name, version| version.runs > 0 || latest.contains(name));
    }

    pub(super) fn document(&self, flow: &str, version: &str) -> Option<Arc<str>> {
        Some(Arc::clone(&self.flows.get(flow)?.kept.get(version)?.document))
    }

    pub(super) fn admit(
        &mut self,
        owner: &Owner,
        now: Timestamp,
        mut run: NewRun,
    ) -> Result<Admitted, StoreError> {
        if let Some(row) = self.runs.get(&run.run) {
            let (turn, behind) = (row.turn, row.behind);
            return self.record(owner, &run.run, run.progress).map(|_| Admitted::Kept { turn, behind });
        }
        self.living(owner)?;
        if run.progress.facts.len() > FACTS_PER_RUN {
            return Err(StoreError::JournalFull);
        }
        self.claims.forget_until(now);
        if let Some(duplicate) = self.claims.taken(&run.claims, &self.runs) {
            return Ok(Admitted::Duplicate(duplicate));
        }
        let versions = self.flows.get_mut(&run.flow).ok_or(StoreError::UnknownVersion)?;
        let version = versions.kept.get_mut(&run.progress.version).ok_or(StoreError::UnknownVersion)?;
        version.runs += 1;
        self.last += 1;
        let turn = self.last;
        self.claims.take(&run);
        self.outbox.emit(&owner.node, &run.run, &std::mem::take(&mut run.progress.emitted));
        let id = Arc::clone(&run.run);
        let has_ended = run.progress.ended.is_some();
        let key = run.order.as_ref().filter(|_| !has_ended);
        let behind = key.is_some_and(|key| self.lanes.join(&run.flow, key, &id));
        self.order.insert(turn, Arc::clone(&id));
        let row = Row {
            position: turn,
            turn,
            node: Arc::clone(&owner.node),
            run,
            behind,
            suspected: 0,
            inbox: Vec::new(),
            closed: HashSet::new(),
        };
        self.moments.extend(row.moment().filter(|_| !has_ended));
        self.runs.insert(Arc::clone(&id), row);
        if has_ended {
            self.end(&id);
        } else {
            self.unfinished.insert(turn, id);
        }
        Ok(Admitted::Kept { turn, behind })
    }

    pub(super) fn record(
        &mut self,
        owner: &Owner,
        run: &Arc<str>,
        progress: Progress,
    ) -> Result<Recorded, StoreError> {
        let row = self.own(owner, run)?;
        if row.run.progress.facts.len() + progress.facts.len() > FACTS_PER_RUN {
            return Err(StoreError::JournalFull);
        }
        let (flow, pinned) = (Arc::clone(&row.run.flow), !row.run.progress.facts.is_empty());
        if !pinned && row.run.progress.version != progress.version {
            let before = Arc::clone(&row.run.progress.version);
            let versions = &mut self.flows.get_mut(&flow).ok_or(StoreError::UnknownVersion)?.kept;
            versions.get_mut(&progress.version).ok_or(StoreError::UnknownVersion)?.runs += 1;
            if let Some(before) = versions.get_mut(&before) {
                before.runs -= 1;
            }
        }
        let Some(row) = self.runs.get_mut(run) else { return Err(StoreError::UnknownRun) };
        if let Some(moment) = row.moment() {
            self.moments.remove(&moment);
        }
        self.outbox.emit(&row.node, run, &progress.emitted);
        let kept = &mut row.run.progress;
        if !pinned {
            kept.version = progress.version;
            kept.begun_at = progress.begun_at.or(kept.begun_at);
        }
        kept.facts.extend(progress.facts);
        kept.sent.extend(progress.sent);
        if kept.reply.is_none() {
            kept.reply = progress.reply;
        }
        kept.parked = progress.parked.filter(|_| progress.ended.is_none());
        if let Some(parked) = &mut kept.parked
            && let Some(unheard) = row.inbox.get(parked.heard)
        {
            parked.until = Some(parked.until.map_or(unheard.at(), |until| until.min(unheard.at())));
        }
        if progress.ended.is_none() {
            self.moments.extend(row.moment());
            return Ok(Recorded::default());
        }
        kept.ended = progress.ended;
        self.unfinished.remove(&row.turn);
        let key = row.run.order.clone();
        let next = key.and_then(|key| self.lanes.leave(&flow, &key, run));
        let promoted = next.and_then(|next| self.promote(&next));
        self.end(run);
        Ok(Recorded { promoted })
    }

    /// Gives a run that was behind another its turn.
    fn promote(&mut self, run: &Arc<str>) -> Option<UnfinishedRun> {
        let row = self.runs.get_mut(run)?;
        self.last += 1;
        self.unfinished.remove(&row.turn);
        row.behind = false;
        row.turn = self.last;
        self.unfinished.insert(row.turn, Arc::clone(run));
        Some(row.line())
    }

    pub(super) fn due(&self, node: &str, now: Timestamp, limit: usize) -> Due {
        let mine = |(_, turn): &&(Timestamp, u64)| {
            let row = self.unfinished.get(turn).and_then(|run| self.runs.get(run));
            row.filter(|row| *row.node == *node)
        };
        let until_now = self.moments.range(..=(now, u64::MAX));
        Due {
            runs: until_now.filter_map(|moment| mine(&moment)).take(limit).map(Row::line).collect(),
            next: self
                .moments
                .range((now, u64::MAX)..)
                .find(|moment| mine(moment).is_some())
                .map(|(at, _)| *at),
        }
    }

    pub(super) fn post(&mut self, run: &str, inbound: Inbound) -> Result<Posted, StoreError> {
        let row = self.runs.get_mut(run).ok_or(StoreError::UnknownRun)?;
        if row.run.progress.ended.is_some() {
            return Ok(Posted::Over);
        }
        if let Inbound::Fact(fact) = &inbound {
            if row.inbox.iter().any(|kept| kept.is_of(&fact.place)) {
                return Ok(Posted::Again);
            }
            if row.closed.contains(&fact.place) {
                return Ok(Posted::Over);
            }
        }
        let at = inbound.at();
        if row.inbox.len() >= INBOX_ENTRIES {
            return Err(StoreError::InboxFull);
        }
        let is_cancel = |kept: &Inbound| matches!(kept, Inbound::Cancel { .. });
        if !(is_cancel(&inbound) && row.inbox.iter().any(is_cancel)) {
            row.inbox.push(inbound);
        }
        let before = row.moment();
        if let Some(parked) = &mut row.run.progress.parked {
            parked.until = Some(parked.until.map_or(at, |until| until.min(at)));
            if let Some(before) = before {
                self.moments.remove(&before);
            }
            self.moments.extend(row.moment());
        }
        let parked = row.run.progress.parked.is_some();
        Ok(Posted::Kept { flow: Arc::clone(&row.run.flow), node: Arc::clone(&row.node), parked })
    }

    pub(super) fn close(
        &mut self,
        owner: &Owner,
        run: &Arc<str>,
        place: &Place,
    ) -> Result<Option<Arc<Fact>>, StoreError> {
        let row = self.own(owner, run)?;
        let came = row.inbox.iter().find_map(|kept| match kept {
            Inbound::Fact(fact) if fact.place == *place => Some(Arc::clone(fact)),
            _ => None,
        });
        if came.is_none() {
            row.closed.insert(place.clone());
        }
        Ok(came)
    }

    pub(super) fn prune(&mut self, keep: &Retention, limit: usize) -> Pruned {
        let mut pruned = Pruned::default();
        while let Some(oldest) = self.history.beyond(keep, &self.runs) {
            if pruned.runs >= u64::try_from(limit).unwrap_or(u64::MAX) {
                pruned.more = true;
                break;
            }
            self.history.remove(&oldest);
            self.forget(&oldest);
            pruned.runs += 1;
        }
        pruned
    }

    pub(super) fn erase(&mut self, what: &Erasure, limit: usize) -> Pruned {
        let fits = |run: &NewRun| {
            let has = |key: &Arc<str>| {
                run.order.as_ref() == Some(key) || run.claims.iter().any(|claim| claim.key == *key)
            };
            run.flow == what.flow && run.progress.ended.is_some() && what.key.as_ref().is_none_or(has)
        };
        let all = self.order.values().filter_map(|run| self.runs.get(run)).filter(|row| fits(&row.run));
        let found: Vec<_> = all.take(limit.saturating_add(1)).map(|row| Arc::clone(&row.run.run)).collect();
        let mut pruned = Pruned { runs: 0, more: found.len() > limit };
        for run in found.iter().take(limit) {
            if let Some(row) = self.runs.get(run) {
                self.claims.release(&row.run);
            }
            self.outbox.forget_emitted_by(run);
            self.history.remove(run);
            self.forget(run);
            pruned.runs += 1;
        }
        pruned
    }

    /// What an end brings with it: claims are kept or released, and the oldest history makes room.
    fn end(&mut self, run: &Arc<str>) {
        let Some(row) = self.runs.get_mut(run) else { return };
        row.inbox = Vec::new();
        row.closed = HashSet::new();
        self.claims.end(&row.run);
        self.history.add(run, &row.run);
        while let Some(oldest) = self.history.surplus() {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, run: &str) {
        let Some(row) = self.runs.remove(run) else { return };
        self.order.remove(&row.position);
        let Some(versions) = self.flows.get_mut(&row.run.flow) else { return };
        let version = &row.run.progress.version;
        if let Some(kept) = versions.kept.get_mut(version) {
            kept.runs -= 1;
            if kept.runs == 0 && !versions.latest.contains(version) {
                versions.kept.remove(version);
            }
        }
    }

    pub(super) fn unfinished(&self, node: &str, after: u64) -> impl Iterator<Item = &Row> {
        let later = self.unfinished.range(after.saturating_add(1)..);
        later.filter_map(|(_, run)| self.runs.get(run)).filter(move |row| *row.node == *node)
    }

    pub(super) fn living(&mut self, owner: &Owner) -> Result<&mut Node, StoreError> {
        self.nodes.get_mut(&owner.node).filter(|node| node.epoch == owner.epoch).ok_or(StoreError::Stale)
    }

    /// An unfinished run of the owner's.
    fn own(&mut self, owner: &Owner, run: &Arc<str>) -> Result<&mut Row, StoreError> {
        self.living(owner)?;
        let row = self.runs.get_mut(run).ok_or(StoreError::UnknownRun)?;
        if row.node != owner.node {
            Err(StoreError::Stale)
        } else if row.run.progress.ended.is_some() {
            Err(StoreError::Ended)
        } else {
            Ok(row)
        }
    }
}
