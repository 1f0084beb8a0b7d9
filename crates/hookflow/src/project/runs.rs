//! Which flow runs which: what no file can know of itself.

use super::LoadedFlow;
use hookflow_text::{Code, Diagnostics, nearest};
use std::collections::{HashMap, HashSet};

/// Checks that every flow that is run is there, and that every flow is started by something.
pub(super) fn check(flows: &[LoadedFlow], diagnostics: &mut Diagnostics) {
    // A flow with a mistake is not among them, and must not be called unknown.
    if diagnostics.has_errors() {
        return;
    }
    let known: HashMap<_, _> = flows.iter().map(|loaded| (&loaded.flow.id, &loaded.flow)).collect();
    let mut run = HashSet::new();
    for (id, span) in flows.iter().flat_map(|loaded| loaded.flow.plan.runs()) {
        run.insert(id);
        match known.get(id) {
            None => {
                let diagnostic =
                    diagnostics.error(Code("flow.unknown-flow"), span, format!("there is no flow `{id}`"));
                if let Some(near) = nearest(id, known.keys().map(|id| &***id)) {
                    diagnostic.help(format!("did you mean `{near}`?"));
                }
            }
            Some(flow) if flow.webhook.is_none() && flow.plan.is_sync() => {
                let message = format!("a `respond` in `{id}` answers nobody");
                diagnostics
                    .warning(Code("flow.respond-unheard"), span, message)
                    .help("a flow that another runs hands its value back with `return`");
            }
            Some(_) => {}
        }
    }
    for flow in flows.iter().map(|loaded| &loaded.flow) {
        if flow.webhook.is_none() && !run.contains(&flow.id) {
            diagnostics
                .warning(Code("flow.unreachable"), &flow.span, "nothing starts this flow")
                .help("add `webhook: {auth: …}`, or run it from another flow with `run`");
        }
    }
}
