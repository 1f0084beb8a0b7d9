//! The endpoints of the ops listener.

mod api_rejected;
mod healthz;
mod metrics;
mod readyz;
mod version;

use crate::Endpoint;

/// All endpoints, by their path.
pub const ENDPOINTS: &[Endpoint] =
    &[api_rejected::API_REJECTED, healthz::HEALTHZ, metrics::METRICS, readyz::READYZ, version::VERSION];

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
