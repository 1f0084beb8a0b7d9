//! The integrations of a folder with what performs their calls: a caller of its own for each that reaches other ranges,
//! trusts others, goes another way, takes another amount or keeps other connections than all calls do.

use crate::project::Project;
use hookflow_engine::{Engine, LiveIntegration};
use hookflow_flow::{CallUrl, HttpCall, Integrations, Outlet, ProxyRule};
use hookflow_outbound::{Caller, Policy, Proxy, Tls};
use hookflow_runtime::Clock;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use std::sync::Arc;

/// All integrations of a folder, to be put in force.
pub(crate) fn of(project: &Project, policy: &Policy, clock: &Clock) -> Vec<LiveIntegration> {
    let live = project.integrations.iter().map(|integration| {
        let tls = project.integration_tls.get(&integration.id).cloned();
        let own = integration.outlet.as_ref().and_then(|outlet| own(outlet, tls, policy));
        let caller = own.map(|policy| Caller::new(policy, clock.clone()));
        LiveIntegration { integration: Arc::clone(integration), caller }
    });
    live.collect()
}

/// The largest answer to a delivery. Its content is of no use, and many are under way at the same time.
const DELIVERY_ANSWER: u64 = 256 << 10;

/// Puts the integrations and the subscriptions of a folder in force.
pub(crate) fn put_in_force(engine: &Engine, project: &Project, policy: &Policy, clock: &Clock) {
    engine.integrate(of(project, policy, clock));
    let subscriptions: Vec<_> = project.subscriptions.iter().map(Arc::clone).collect();
    let policy = Policy { response_bytes: DELIVERY_ANSWER, ..policy.clone() };
    engine.subscribe(&subscriptions, Caller::new(policy, clock.clone()));
}

/// The rules of one that has its own; what it does not say is as for all calls.
fn own(outlet: &Outlet, tls: Option<Tls>, policy: &Policy) -> Option<Policy> {
    let Outlet { allow, proxy, max_response, pool, .. } = outlet;
    let differs =
        allow.is_some() || tls.is_some() || proxy.is_some() || max_response.is_some() || pool.is_some();
    differs.then(|| {
        let (policy, pool) = (policy.clone(), pool.unwrap_or_default());
        Policy {
            allow: allow.clone().unwrap_or(policy.allow),
            tls: tls.unwrap_or(policy.tls),
            proxy: proxy.as_ref().map_or(policy.proxy, |own| own.as_ref().map(self::proxy)),
            response_bytes: max_response.unwrap_or(policy.response_bytes),
            idle: pool.idle.unwrap_or(policy.idle),
            idle_timeout: pool.idle_timeout.unwrap_or(policy.idle_timeout),
            ..policy
        }
    })
}

/// A proxy as callers go by it.
pub(crate) fn proxy(rule: &ProxyRule) -> Proxy {
    Proxy {
        host: rule.host.clone(),
        port: rule.port,
        authorization: rule.authorization(),
        no_proxy_ranges: rule.no_proxy_ranges.clone(),
        no_proxy_names: rule.no_proxy_names.clone(),
    }
}

/// Whether any integration reaches more than the public.
pub(crate) fn reach_private(project: &Project) -> bool {
    let ranges = |allow: &Vec<_>| !allow.is_empty();
    let outlets = project.integrations.iter().filter_map(|integration| integration.outlet.as_ref());
    outlets.into_iter().any(|outlet| outlet.allow.as_ref().is_some_and(ranges))
}

/// A call with what its integration adds to it, as it would leave; for people, for secrets are in it and marked as such.
///
/// # Errors
/// Why its URL is refused; everything else is there all the same.
pub(crate) fn complete(call: &mut HttpCall, integrations: &Integrations) -> Result<(), String> {
    let Some(via) = &call.via else { return Ok(()) };
    let integration = integrations.get(&via.integration);
    let outlet = integration.and_then(|integration| integration.outlet.as_ref());
    let webhook = integration.zip(via.webhook.as_ref()).and_then(|(it, name)| it.webhooks.get(name));
    if let Some(timeout) = outlet.and_then(|outlet| outlet.timeout) {
        call.timeout = timeout;
    }
    // The nearest to the call wins.
    let shared = outlet.into_iter().flat_map(|outlet| &outlet.headers);
    let shared = shared.filter(|header| !via.without.contains(&header.name));
    for header in webhook.into_iter().flat_map(|webhook| &webhook.headers).chain(shared) {
        if !call.headers.contains_key(&header.name) {
            call.headers.insert(header.name.clone(), header.value.clone());
        }
    }
    if let Some(content_type) = via.content_type {
        call.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }
    call.url = CallUrl::Whole(call.url.under(outlet.and_then(|outlet| outlet.root_url.as_ref()))?);
    Ok(())
}
