//! A store whose disk is full.

use hookflow_store::{
    FlowCount, Journal, NewRun, Owner, Pending, Progress, RunLine, Settled, Store, StoreError, UnfinishedRun,
};
use jiff::Timestamp;
use std::sync::Arc;

/// Reads as the store behind it, and takes no event.
#[derive(Debug)]
pub(super) struct Broken(pub(super) Arc<dyn Store>);

impl Store for Broken {
    fn is_durable(&self) -> bool {
        self.0.is_durable()
    }

    fn check(&self) -> Pending<()> {
        self.0.check()
    }

    fn register(&self, node: &Arc<str>) -> Pending<Owner> {
        self.0.register(node)
    }

    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()> {
        self.0.keep_version(flow, version, document)
    }

    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>> {
        self.0.version(flow, version)
    }

    fn admit(&self, _: &Owner, _: Timestamp, batch: Vec<(NewRun, Settled)>) {
        for (_, settled) in batch {
            settled(Err(StoreError::Unavailable("the disk is full".into())));
        }
    }

    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<()> {
        self.0.record(owner, run, progress)
    }

    fn load(&self, run: &str) -> Pending<Journal> {
        self.0.load(run)
    }

    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        self.0.unfinished(node, after, limit)
    }

    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>> {
        self.0.counts(node)
    }

    fn recent(&self, flow: &str, limit: usize) -> Pending<Vec<RunLine>> {
        self.0.recent(flow, limit)
    }
}
