//! What hookflow counts, over all flows, read from its `/metrics`.

/// Events and runs since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    /// However they ended.
    pub(super) ended: u64,
    pub(super) succeeded: u64,
}

impl Counts {
    /// A series that is not there yet has counted nothing.
    pub(super) fn read(metrics: &str) -> Self {
        let sum = |series: &str, with: &str| {
            let value = |line: &str| {
                let (labels, value) = line.strip_prefix(series)?.rsplit_once(' ')?;
                labels.contains(with).then(|| value.trim().parse::<u64>().ok())?
            };
            metrics.lines().filter_map(value).sum()
        };
        Self {
            accepted: sum("hookflow_events_accepted_total{", ""),
            ended: sum("hookflow_runs_total{", ""),
            succeeded: sum("hookflow_runs_total{", "outcome=\"succeeded\""),
        }
    }

    /// Whether each of `acknowledged` answers stands for an event whose run succeeded, and no other event is left. A few
    /// more events were accepted: those whose answer came when the load had ended.
    pub(super) fn cover(&self, acknowledged: u64) -> bool {
        acknowledged <= self.accepted && self.accepted == self.succeeded && self.ended == self.succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# TYPE hookflow_runs counter\n\
        hookflow_events_accepted_total{flow=\"door\"} 12\n\
        hookflow_events_accepted_total{flow=\"other-1\"} 70\n\
        hookflow_runs_total{flow=\"door\",outcome=\"succeeded\"} 9\n\
        hookflow_runs_total{flow=\"door\",outcome=\"failed\"} 2\n\
        # EOF\n";

    #[test]
    fn events_and_runs_of_all_flows_are_counted() {
        assert_eq!(Counts::read(METRICS), Counts { accepted: 82, ended: 11, succeeded: 9 });
        assert_eq!(Counts::read(""), Counts { accepted: 0, ended: 0, succeeded: 0 });
    }

    #[test]
    fn an_acknowledged_event_without_a_run_that_succeeded_is_noticed() {
        let counts = |accepted, ended, succeeded| Counts { accepted, ended, succeeded };
        assert!(counts(12, 12, 12).cover(10));
        assert!(!counts(12, 12, 12).cover(13));
        assert!(!counts(12, 11, 11).cover(10));
        assert!(!counts(12, 12, 11).cover(10));
    }
}
