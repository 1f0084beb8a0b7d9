//! A store whose disk is full and broken.

use hookflow_flow::{Fact, Place};
use hookflow_store::{
    AttemptCursor, AttemptFilter, AttemptLine, AttemptPage, Due, Erasure, FlowCount, Inbound, Journal, Life,
    NewRun, Outbox, Owner, Page, Pending, Posted, Progress, Pruned, Recorded, Rejected, RejectedPage,
    Retention, RunFilter, Settled, Store, StoreError, Told, UnfinishedRun,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// As the store behind it, but that it takes no event and finds no run.
#[derive(Debug)]
pub(super) struct Broken(pub(super) Arc<dyn Store>);

impl Store for Broken {
    fn is_durable(&self) -> bool {
        self.0.is_durable()
    }

    fn outbox(&self) -> &dyn Outbox {
        self.0.outbox()
    }

    fn check(&self) -> Pending<()> {
        self.0.check()
    }

    fn register(&self, node: &Arc<str>) -> Pending<Life> {
        self.0.register(node)
    }

    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()> {
        self.0.keep_version(flow, version, document)
    }

    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>> {
        self.0.version(flow, version)
    }

    fn set_state(&self, key: &str, value: Option<&str>) -> Pending<()> {
        self.0.set_state(key, value)
    }

    fn states(&self, prefix: &str) -> Pending<BTreeMap<Arc<str>, Arc<str>>> {
        self.0.states(prefix)
    }

    fn admit(&self, _: &Owner, _: Timestamp, batch: Vec<(NewRun, Settled)>) {
        for (_, settled) in batch {
            settled(Err(StoreError::Unavailable("the disk is full".into())));
        }
    }

    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<Recorded> {
        self.0.record(owner, run, progress)
    }

    fn hand_in(&self, owner: &Owner, run: &Arc<str>, progress: Progress, told: Told) {
        self.0.hand_in(owner, run, progress, told);
    }

    fn load(&self, _: &str) -> Pending<Journal> {
        Pending::now(Err(StoreError::Unavailable("the disk is broken".into())))
    }

    fn seed(&self, _: &str) -> Pending<[u8; 16]> {
        Pending::now(Err(StoreError::Unavailable("the disk is broken".into())))
    }

    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        self.0.unfinished(node, after, limit)
    }

    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>> {
        self.0.counts(node)
    }

    fn retire(&self, owner: &Owner) -> Pending<()> {
        self.0.retire(owner)
    }

    fn ready(&self, node: &str, flow: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        self.0.ready(node, flow, after, limit)
    }

    fn due(&self, node: &str, now: Timestamp, limit: usize) -> Pending<Due> {
        self.0.due(node, now, limit)
    }

    fn post(&self, run: &str, inbound: Inbound) -> Pending<Posted> {
        self.0.post(run, inbound)
    }

    fn close(&self, owner: &Owner, run: &Arc<str>, place: &Place) -> Pending<Option<Arc<Fact>>> {
        self.0.close(owner, run, place)
    }

    fn suspect(&self, owner: &Owner, runs: Vec<Arc<str>>) -> Pending<Vec<u32>> {
        self.0.suspect(owner, runs)
    }

    fn alone(&self, owner: &Owner, run: Option<&Arc<str>>) -> Pending<()> {
        self.0.alone(owner, run)
    }

    fn attempt(&self, run: &str, number: u64) -> Pending<Option<AttemptLine>> {
        self.0.attempt(run, number)
    }

    fn attempts(
        &self,
        filter: &AttemptFilter,
        before: Option<AttemptCursor>,
        limit: usize,
    ) -> Pending<AttemptPage> {
        self.0.attempts(filter, before, limit)
    }

    fn find(&self, filter: &RunFilter, before: Option<u64>, limit: usize) -> Pending<Page> {
        self.0.find(filter, before, limit)
    }

    fn prune(&self, keep: &Retention, limit: usize) -> Pending<Pruned> {
        self.0.prune(keep, limit)
    }

    fn erase(&self, what: &Erasure, limit: usize) -> Pending<Pruned> {
        self.0.erase(what, limit)
    }

    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Pending<()> {
        self.0.keep_rejected(rejected)
    }

    fn rejected(&self, flow: Option<&str>, before: Option<u64>, limit: usize) -> Pending<RejectedPage> {
        self.0.rejected(flow, before, limit)
    }

    fn forget_rejected(&self, flow: Option<&str>, before: Timestamp) -> Pending<u64> {
        self.0.forget_rejected(flow, before)
    }
}
