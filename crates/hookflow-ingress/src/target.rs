//! What a request is for, and what it is judged by: a flow's webhook, or a run that waits.

use crate::door::Doorway;
use crate::refusal::Refusal;
use hookflow_engine::{Generation, LiveFlow, WaitPoint};
use hookflow_flow::{Enabled, Webhook};
use hookflow_trigger::{Auth, BodySpec, Methods, Route};
use std::net::IpAddr;
use std::sync::Arc;

/// The largest body with which a run goes on: it is kept with what else has happened in the run.
const RESUME_BYTES: u64 = 1 << 20;

/// What a request is for.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// `/hook/{flow}{suffix}`.
    Webhook(Arc<LiveFlow>),
    /// `/resume/{token}`.
    Wait(Arc<WaitPoint>, BodySpec),
}

/// What a request is judged by.
pub(crate) struct Rules<'t> {
    pub(crate) auth: &'t Auth,
    pub(crate) methods: &'t Methods,
    pub(crate) body: &'t BodySpec,
}

impl Target {
    /// What is behind a path, as seen from `ip`. A disabled flow, another path, one that is not for this address, a
    /// token that is nobody's and nothing at all look the same.
    pub(crate) async fn find(
        doorway: &Doorway,
        generation: &Generation,
        path: &str,
        ip: IpAddr,
    ) -> Result<(Self, Route), Refusal> {
        match path.strip_prefix("/resume/") {
            Some(token) => {
                // Some callers write `~` so, although nobody has to.
                let token = token.replace("%7E", "~").replace("%7e", "~");
                let point = Box::pin(doorway.engine.waiting(&token)).await?;
                let route = Route { flow: Arc::clone(&point.flow), ..Route::default() };
                Ok((Self::Wait(Arc::new(point), BodySpec::auto(RESUME_BYTES)), route))
            }
            None => webhook(generation, path, ip).ok_or(Refusal::UnknownRoute),
        }
    }

    /// The ID of the flow.
    pub(crate) fn flow(&self) -> &Arc<str> {
        match self {
            Self::Webhook(live) => &live.flow.id,
            Self::Wait(point, _) => &point.flow,
        }
    }

    /// The flow in force, which a run that waits may have outlived.
    pub(crate) fn live(&self, generation: &Generation) -> Option<Arc<LiveFlow>> {
        match self {
            Self::Webhook(live) => Some(Arc::clone(live)),
            Self::Wait(point, _) => generation.flows.get(&point.flow).cloned(),
        }
    }

    /// What it is judged by.
    pub(crate) fn rules(&self) -> Result<Rules<'_>, Refusal> {
        match self {
            Self::Webhook(live) => {
                let Webhook { auth, methods, body, .. } =
                    live.flow.webhook.as_ref().ok_or(Refusal::UnknownRoute)?;
                Ok(Rules { auth, methods, body })
            }
            Self::Wait(point, body) => {
                Ok(Rules { auth: &point.waiting.auth, methods: &point.waiting.methods, body })
            }
        }
    }
}

fn webhook(generation: &Generation, path: &str, ip: IpAddr) -> Option<(Target, Route)> {
    let rest = path.strip_prefix("/hook/")?;
    let (id, suffix) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
    let live = generation.flows.get(id).filter(|live| live.flow.enabled != Enabled::No)?;
    let webhook = live.flow.webhook.as_ref().filter(|webhook| webhook.allow_from.allows(ip))?;
    let params = webhook.path.matches(suffix)?;
    let (flow, system) = (Arc::clone(&live.flow.id), webhook.system.clone());
    Some((Target::Webhook(Arc::clone(live)), Route { flow, suffix: suffix.to_owned(), params, system }))
}
