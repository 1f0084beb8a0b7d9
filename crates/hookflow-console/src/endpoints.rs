//! The endpoints of the ops listener.

mod api_attempts;
mod api_attempts_attempt;
mod api_deliveries;
mod api_deliveries_bulk_resend;
mod api_deliveries_delivery;
mod api_deliveries_delivery_resend;
mod api_erase;
mod api_events;
mod api_flows;
mod api_flows_flow_pause;
mod api_flows_flow_resume;
mod api_generation;
mod api_rejected;
mod api_reload;
mod api_runs;
mod api_runs_replay;
mod api_runs_run;
mod api_runs_run_cancel;
mod api_runs_run_replay;
mod api_subscriptions;
mod api_subscriptions_subscription_off;
mod api_subscriptions_subscription_on;
mod healthz;
mod metrics;
mod readyz;
mod version;

use crate::Endpoint;

/// All endpoints, by their path.
pub const ENDPOINTS: &[Endpoint] = &[
    api_attempts::API_ATTEMPTS,
    api_attempts_attempt::API_ATTEMPT,
    api_deliveries::API_DELIVERIES,
    api_deliveries_bulk_resend::API_DELIVERIES_RESEND,
    api_deliveries_delivery::API_DELIVERY,
    api_deliveries_delivery_resend::API_DELIVERY_RESEND,
    api_erase::API_ERASE,
    api_events::API_EVENTS,
    api_flows::API_FLOWS,
    api_flows_flow_pause::API_FLOW_PAUSE,
    api_flows_flow_resume::API_FLOW_RESUME,
    api_generation::API_GENERATION,
    api_rejected::API_REJECTED,
    api_reload::API_RELOAD,
    api_runs::API_RUNS,
    api_runs_replay::API_RUNS_REPLAY,
    api_runs_run::API_RUN,
    api_runs_run_cancel::API_RUN_CANCEL,
    api_runs_run_replay::API_RUN_REPLAY,
    api_subscriptions::API_SUBSCRIPTIONS,
    api_subscriptions_subscription_off::API_SUBSCRIPTION_OFF,
    api_subscriptions_subscription_on::API_SUBSCRIPTION_ON,
    healthz::HEALTHZ,
    metrics::METRICS,
    readyz::READYZ,
    version::VERSION,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(ENDPOINTS.is_sorted_by_key(|endpoint| endpoint.path));
        assert!(
            ENDPOINTS
                .iter()
                .all(|endpoint| endpoint.path.starts_with('/') && endpoint.summary.ends_with('.'))
        );
    }
}
