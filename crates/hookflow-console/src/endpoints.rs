//! The endpoints of the ops listener.

mod api_flows;
mod api_generation;
mod api_rejected;
mod api_reload;
mod healthz;
mod metrics;
mod readyz;
mod version;

use crate::Endpoint;

/// All endpoints, by their path.
pub const ENDPOINTS: &[Endpoint] = &[
    api_flows::API_FLOWS,
    api_generation::API_GENERATION,
    api_rejected::API_REJECTED,
    api_reload::API_RELOAD,
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
