//! What is counted. Series of a flow are made when the flow is first used and kept by its queue, so counting is an
//! addition and ten thousand silent flows cost nothing.

mod deliveries;

pub(crate) use deliveries::{DeliveryMetrics, DeliverySeries};

use hookflow_text::Code;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many flows have series of their own; the rest share one.
const LABELLED_FLOWS: usize = 1_000;
/// The label of the shared one. It cannot be a flow's ID.
const OTHER: &str = "_other";
/// The label of what is for no flow, or not known for which. It cannot be a flow's ID either.
const NONE: &str = "_none";

/// Seconds; from pure flows to calls that wait.
const DURATIONS: [f64; 12] = [0.000_1, 0.000_5, 0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0];

type Label = [(&'static str, String); 1];
type Outcome = [(&'static str, String); 2];
type Refused = [(&'static str, String); 2];

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    accepted: Family<Label, Counter>,
    refused: Family<Refused, Counter>,
    mismatched: Family<Label, Counter>,
    without_key: Family<Label, Counter>,
    queue_items: Family<Label, Gauge>,
    queue_bytes: Family<Label, Gauge>,
    paused: Family<Label, Gauge>,
    not_written: Family<Label, Counter>,
    runs: Family<Outcome, Counter>,
    durations: Family<Label, Histogram, fn() -> Histogram>,
    pub(crate) in_flight: Gauge,
    pub(crate) panics: Counter,
    pub(crate) poisoned: Counter,
    pub(crate) pruned: Counter,
    pub(crate) emitted: Counter,
    pub(crate) deliveries: DeliveryMetrics,
    unlisted: Counter,
    labelled: AtomicUsize,
}

/// What is counted of a flow.
#[derive(Debug)]
pub(crate) struct Series {
    flow: String,
    pub accepted: Counter,
    /// By code: made when a request of the flow is first refused for it.
    refused: Mutex<Vec<(Code, Counter)>>,
    queue_items: Gauge,
    queue_bytes: Gauge,
    pub paused: Gauge,
    pub not_written: Counter,
    pub succeeded: Counter,
    pub failed: Counter,
    pub duration: Histogram,
}

impl Metrics {
    /// Metrics that the registry shows.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            accepted: Family::default(),
            refused: Family::default(),
            mismatched: Family::default(),
            without_key: Family::default(),
            queue_items: Family::default(),
            queue_bytes: Family::default(),
            paused: Family::default(),
            not_written: Family::default(),
            runs: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            in_flight: Gauge::default(),
            panics: Counter::default(),
            poisoned: Counter::default(),
            pruned: Counter::default(),
            emitted: Counter::default(),
            deliveries: DeliveryMetrics::default(),
            unlisted: Counter::default(),
            labelled: AtomicUsize::new(0),
        };
        let m = &metrics;
        registry.register("hookflow_events_accepted", "Events taken in", m.accepted.clone());
        registry.register(
            "hookflow_requests_refused",
            "Requests refused, by code and flow",
            m.refused.clone(),
        );
        let help = "Events that are not as their webhook expects";
        registry.register("hookflow_events_mismatched", help, m.mismatched.clone());
        let help = "Events whose dedupe key is missing, null or empty";
        registry.register("hookflow_events_without_key", help, m.without_key.clone());
        registry.register("hookflow_queue_items", "Events that have not started", m.queue_items.clone());
        registry.register("hookflow_queue_bytes", "Bytes of events not started", m.queue_bytes.clone());
        let help = "Whether the flow is paused, by its file or an operator";
        registry.register("hookflow_flow_paused", help, m.paused.clone());
        let help = "Runs of relaxed flows that succeeded and were not written";
        registry.register("hookflow_runs_not_written", help, m.not_written.clone());
        registry.register("hookflow_runs", "Runs that have ended, by outcome", m.runs.clone());
        registry.register("hookflow_run_seconds", "How long runs took", m.durations.clone());
        registry.register("hookflow_runs_in_flight", "Runs under way", m.in_flight.clone());
        registry.register("hookflow_run_panics", "Runs that failed by a bug", m.panics.clone());
        let help = "Runs set aside because they took the service down";
        registry.register("hookflow_runs_poisoned", help, m.poisoned.clone());
        registry.register(
            "hookflow_pruned_runs",
            "Runs that were forgotten by age or size",
            m.pruned.clone(),
        );
        registry.register("hookflow_emitted", "Events that went out", m.emitted.clone());
        m.deliveries.register(registry);
        let help = "Refused requests that are not in the list of them: too many came at once";
        registry.register("hookflow_requests_refused_unlisted", help, m.unlisted.clone());
        metrics
    }

    /// A request was refused before it was known for which flow it is.
    pub fn refused(&self, code: Code) {
        self.refused.get_or_create(&refused_label(NONE, code)).inc();
    }

    /// So many requests that were refused are not listed.
    pub fn unlisted(&self, requests: usize) {
        self.unlisted.inc_by(u64::try_from(requests).unwrap_or(u64::MAX));
    }

    /// A request to the flow was refused.
    pub(crate) fn refused_of(&self, series: &Series, code: Code) {
        // Nothing under the lock can panic half way.
        let mut refused = series.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = refused.iter().find(|(other, _)| *other == code) {
            counter.inc();
            return;
        }
        let counter = self.refused.get_or_create_owned(&refused_label(&series.flow, code));
        counter.inc();
        refused.push((code, counter));
    }

    /// An event of the flow is not as its webhook expects.
    pub(crate) fn mismatched(&self, series: &Series) {
        self.mismatched.get_or_create(&label(&series.flow)).inc();
    }

    /// An event of the flow has no dedupe key.
    pub(crate) fn without_key(&self, series: &Series) {
        self.without_key.get_or_create(&label(&series.flow)).inc();
    }

    pub(crate) fn series(&self, flow: &str) -> Series {
        let own = |labelled: usize| (labelled < LABELLED_FLOWS).then_some(labelled + 1);
        let has_own = self.labelled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, own).is_ok();
        let flow = if has_own { flow } else { OTHER };
        let label = label(flow);
        let ended = |outcome| self.runs.get_or_create_owned(&outcome_label(flow, outcome));
        Series {
            flow: flow.to_owned(),
            accepted: self.accepted.get_or_create_owned(&label),
            refused: Mutex::default(),
            queue_items: self.queue_items.get_or_create_owned(&label),
            queue_bytes: self.queue_bytes.get_or_create_owned(&label),
            paused: self.paused.get_or_create_owned(&label),
            not_written: self.not_written.get_or_create_owned(&label),
            succeeded: ended("succeeded"),
            failed: ended("failed"),
            duration: self.durations.get_or_create_owned(&label),
        }
    }

    /// A flow is gone, and its series with it.
    pub(crate) fn forget(&self, series: &Series) {
        if series.flow == OTHER {
            return;
        }
        let label = label(&series.flow);
        self.accepted.remove(&label);
        self.mismatched.remove(&label);
        self.without_key.remove(&label);
        self.queue_items.remove(&label);
        self.queue_bytes.remove(&label);
        self.paused.remove(&label);
        self.not_written.remove(&label);
        self.durations.remove(&label);
        for outcome in ["succeeded", "failed"] {
            self.runs.remove(&outcome_label(&series.flow, outcome));
        }
        let refused = series.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for (code, _) in &*refused {
            self.refused.remove(&refused_label(&series.flow, *code));
        }
        self.labelled.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Series {
    pub(crate) fn took_place(&self, bytes: u64) {
        self.queue_items.inc();
        self.queue_bytes.inc_by(signed(bytes));
    }

    pub(crate) fn found_places(&self, items: u64, bytes: u64) {
        self.queue_items.inc_by(signed(items));
        self.queue_bytes.inc_by(signed(bytes));
    }

    pub(crate) fn gave_place_back(&self, bytes: u64) {
        self.queue_items.dec();
        self.queue_bytes.dec_by(signed(bytes));
    }
}

fn label(flow: &str) -> Label {
    [("flow", flow.to_owned())]
}

fn outcome_label(flow: &str, outcome: &str) -> Outcome {
    [("flow", flow.to_owned()), ("outcome", outcome.to_owned())]
}

fn refused_label(flow: &str, code: Code) -> Refused {
    [("code", code.0.to_owned()), ("flow", flow.to_owned())]
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn flows_have_series_from_their_first_use_until_they_are_gone() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let series = metrics.series("shop");
        series.took_place(10);
        series.took_place(5);
        series.gave_place_back(10);
        series.failed.inc();
        metrics.refused(Code("route.unknown"));
        metrics.refused_of(&series, Code("queue.full"));
        metrics.refused_of(&series, Code("queue.full"));
        metrics.refused_of(&series, Code("flow.paused"));
        let text = shown(&registry);
        for line in [
            "hookflow_queue_items{flow=\"shop\"} 1",
            "hookflow_queue_bytes{flow=\"shop\"} 5",
            "hookflow_runs_total{flow=\"shop\",outcome=\"failed\"} 1",
            "hookflow_requests_refused_total{code=\"route.unknown\",flow=\"_none\"} 1",
            "hookflow_requests_refused_total{code=\"queue.full\",flow=\"shop\"} 2",
            "hookflow_requests_refused_total{code=\"flow.paused\",flow=\"shop\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        metrics.forget(&series);
        assert!(!shown(&registry).contains("shop"));
    }

    #[test]
    fn beyond_a_thousand_flows_share_one_series() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let all: Vec<_> = (0..LABELLED_FLOWS + 2).map(|n| metrics.series(&format!("f{n}"))).collect();
        all.last().unwrap().accepted.inc();
        assert!(shown(&registry).contains("hookflow_events_accepted_total{flow=\"_other\"} 1"));
        for series in &all {
            metrics.refused_of(series, Code("queue.full"));
        }
        let text = shown(&registry);
        assert_eq!(text.matches("code=\"queue.full\"").count(), LABELLED_FLOWS + 1);
        assert!(text.contains("hookflow_requests_refused_total{code=\"queue.full\",flow=\"_other\"} 2"));
        metrics.forget(&all[0]);
        assert_eq!(metrics.series("late").flow, "late");
    }
}
