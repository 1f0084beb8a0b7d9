//! A version of a flow that was kept, compiled again: what a run that is on it needs, and nothing of the door.

use super::{Durability, Expects, Flow, Foreseen, Order, Queue, Surroundings, read_enabled};
use crate::integration::{Definitions, called};
use crate::lowering::{self, Document};
use hookflow_text::{Diagnostics, Fields, Source, parse};
use hookflow_trigger::{Auth, Credentials, PathPattern};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept of a flow whose steps name files or go by integrations. No flow's own text reads as one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    flow_text: Arc<str>,
    files: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    integrations: Definitions,
}

/// A flow's text, that of the files that its steps name, and the definitions that they call.
pub(super) fn document(
    flow_text: &Arc<str>,
    files: &BTreeMap<String, String>,
    integrations: Definitions,
) -> Arc<str> {
    if files.is_empty() && integrations.is_empty() {
        return Arc::clone(flow_text);
    }
    let with = With { flow_text: Arc::clone(flow_text), files: files.clone(), integrations };
    // Strings under strings can be written.
    serde_json::to_string(&with).unwrap_or_default().into()
}

impl Flow {
    /// Compiles a kept document. The flow's ID and the version are those that it was kept under, and it has no webhook:
    /// nobody comes in by it, so files that only its webhook names are not missed, and a credential that is gone by now is
    /// one that nobody passes. Recurses as deep as the document nests.
    ///
    /// # Errors
    /// When the document is none that this build reads: what is wrong with it, for people.
    pub fn of_version(
        id: &Arc<str>,
        version: &str,
        document: &Arc<str>,
        credentials: &Credentials,
    ) -> Result<Self, String> {
        let With { flow_text, files, integrations } = serde_json::from_str(document).unwrap_or_else(|_| {
            let (files, integrations) = (BTreeMap::new(), Definitions::new());
            With { flow_text: Arc::clone(document), files, integrations }
        });
        let read_file = |name: &str| {
            let text = files.get(name).ok_or_else(|| format!("{name} is not kept with the flow"))?;
            Ok(text.clone().into_bytes())
        };
        let mut diagnostics = Diagnostics::default();
        let surroundings = Surroundings {
            credentials: &credentials.forgiving(),
            integrations: &called(&integrations, &mut diagnostics),
            body_limit: u64::MAX,
            read_file: &read_file,
        };
        let source = Source::new(format!("{id} at {version}"), flow_text);
        let flow = parse(&source, &mut diagnostics).and_then(|root| {
            let mut fields = Fields::of(&root, "a flow", &mut diagnostics)?;
            let enabled = fields.take("enabled").and_then(|node| read_enabled(node, &mut diagnostics));
            let queue =
                fields.take("queue").map(|node| Queue::load(node, &Foreseen::default(), &mut diagnostics));
            let (queue, order_by) = queue.unwrap_or_default();
            let webhook = fields.take("webhook");
            let kept_expects = webhook.and_then(|webhook| {
                let mut others = Diagnostics::default();
                let mut fields = Fields::of(webhook, "a webhook", &mut others)?;
                let auth = fields.take("auth");
                let auth = auth.and_then(|auth| Auth::load(auth, surroundings.credentials, &mut others));
                Expects::load(fields.take("expects")?, auth.as_ref(), &mut others)
            });
            let params = webhook.and_then(|webhook| {
                // What else the webhook says is judged where it is loaded.
                let mut others = Diagnostics::default();
                let path = Fields::of(webhook, "a webhook", &mut others)?.take("path");
                let path = path.map_or_else(
                    || Some(PathPattern::default()),
                    |path| PathPattern::load(path, &mut others),
                );
                Some(path?.params().map(str::to_owned).collect())
            });
            let (steps, on_error) = (fields.take("steps"), fields.take("on_error"));
            let (flow, hash) = (Arc::clone(id), Sha256::new());
            let lowered = Document { flow, hash, steps, on_error, params, foreseen: None };
            let mut plan = lowering::lower(lowered, &surroundings, &mut diagnostics);
            plan.version = version.into();
            Some(Self {
                id: Arc::clone(id),
                title: None,
                enabled: enabled.unwrap_or_default(),
                durability: Durability::Full,
                webhook: None,
                order: Order::of(order_by, &queue, &plan),
                queue,
                plan: Arc::new(plan),
                kept_expects,
                document: Arc::clone(document),
                tests: Vec::new(),
                span: root.key_span(),
            })
        });
        flow.filter(|_| !diagnostics.has_errors()).ok_or_else(|| diagnostics.render(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Run, Start};
    use hookflow_trigger::{BodySpec, Event, Route, Sample};
    use jiff::Timestamp;

    #[test]
    fn a_kept_document_compiles_without_what_its_door_names() {
        let document = "webhook: {auth: gone, path: '/{id}', sample: {body_file: gone.json}, expects: {query: {page: integer}}}\n\
                        queue: {workers: 3}\n\
                        steps: [{stop: '${ webhook.params.id }'}]\n";
        let flow = Flow::of_version(&"shop".into(), "v1", &document.into(), &Credentials::default()).unwrap();
        assert_eq!((&*flow.id, &*flow.plan.version, flow.queue.workers), ("shop", "v1", 3));
        let expects = flow.expects().unwrap();
        let params = vec![("id".into(), "A-1".into())];
        let route = Route { flow: "shop".into(), suffix: String::new(), params, system: None };
        let at = Timestamp::UNIX_EPOCH;
        let event =
            Event::of_sample(Sample::default(), &BodySpec::auto(9), route, "e", at, "http://a".into());
        let event = Arc::new(event.unwrap());
        assert_eq!(expects.check(&event)[0].at, "query.page");
        let start =
            Start { run: "r".into(), started_at: at, seed: [0; 16], event, attempt: 1, deadline: None };
        let (run, _) = Run::begin(flow.plan, start);
        assert_eq!(run.end(), Some(&crate::End::Succeeded("A-1".into())));
    }

    #[test]
    fn a_kept_document_has_the_files_that_steps_name() {
        let text = "steps: [{validate: '${ 1 }', schema: {file: schemas/a.json}}]";
        let known = Credentials::default();
        let bare = Flow::of_version(&"shop".into(), "v1", &text.into(), &known).unwrap_err();
        assert!(bare.contains("schemas/a.json is not kept with the flow"), "{bare}");
        let files = BTreeMap::from([("schemas/a.json".to_owned(), "{\"type\": \"integer\"}".to_owned())]);
        let kept = document(&text.into(), &files, Definitions::new());
        let flow = Flow::of_version(&"shop".into(), "v1", &kept, &known).unwrap();
        assert_eq!((&flow.document, &flow.plan.files), (&kept, &files), "and can be kept again");
        assert_eq!(&*flow.span.source.text, text, "places are those of the flow's own file");
        let plain = Flow::of_version(&"shop".into(), "v1", &"steps: []".into(), &known).unwrap();
        assert_eq!(&*plain.document, "steps: []");
    }

    #[test]
    fn what_this_build_does_not_read_is_told() {
        let wrong =
            Flow::of_version(&"shop".into(), "v1", &"steps: [{sett: {}}]".into(), &Credentials::default())
                .unwrap_err();
        assert!(wrong.contains("shop at v1") && wrong.contains("sett"), "{wrong}");
        assert!(Flow::of_version(&"shop".into(), "v1", &"- a".into(), &Credentials::default()).is_err());
    }
}
