//! `config/integrations/*.yaml`: the outside services, and what no file can know of itself: which webhooks are called.

use super::{LoadedFlow, SecretMode};
use crate::project::files::Files;
use hookflow_flow::{Integrations, TlsFiles};
use hookflow_outbound::Tls;
use hookflow_text::{Code, Diagnostics, Node, SecretSource, nearest};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Where they stand.
pub(super) const FOLDER: &str = "config/integrations";

/// The outside services of a folder.
#[derive(Default)]
pub(super) struct Read {
    pub(super) integrations: Integrations,
    /// The TLS settings of those that have their own, where secrets are read.
    pub(super) tls: BTreeMap<Arc<str>, Tls>,
    /// Their documents, by name.
    pub(super) documents: Vec<(Arc<str>, Node)>,
}

/// Reads them.
pub(super) fn read(
    files: &mut Files,
    secrets: &dyn SecretSource,
    mode: SecretMode,
    diagnostics: &mut Diagnostics,
) -> Read {
    let mut read = Read::default();
    files.each_document(FOLDER, "integrations", diagnostics, |files, path, root, found| {
        read.integrations.load(&root, secrets, found);
        let loaded = read.integrations.iter().find(|it| *it.span.source.name == *path);
        let Some(integration) = loaded else { return };
        let tls = integration.outlet.as_ref().and_then(|outlet| outlet.tls.as_ref());
        // A private key is a secret as well.
        let tls = tls.filter(|_| mode != SecretMode::Invent);
        if let Some(tls) = tls.and_then(|tls| read_tls(files, tls, found)) {
            read.tls.insert(Arc::clone(&integration.id), tls);
        }
        read.documents.push((Arc::clone(&integration.id), root));
    });
    read
}

fn read_tls(files: &Files, tls: &TlsFiles, diagnostics: &mut Diagnostics) -> Option<Tls> {
    let read =
        |path: &String| files.read_sample(path).map_err(|why| format!("`{path}` cannot be read: {why}"));
    let ready = || {
        let ca = tls.ca.as_ref().map(read).transpose()?;
        let identity = match &tls.identity {
            Some((cert, key)) => Some((read(cert)?, read(key)?)),
            None => None,
        };
        let identity = identity.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice()));
        Tls::own(ca.as_deref(), identity).map_err(|error| error.to_string())
    };
    match ready() {
        Ok(tls) => Some(tls),
        Err(why) => {
            diagnostics.error(Code("integration.tls"), &tls.span, why);
            None
        }
    }
}

/// Says which integrations no flow goes by, and of the others which webhooks no flow calls.
pub(super) fn check(integrations: &Integrations, flows: &[LoadedFlow], diagnostics: &mut Diagnostics) {
    // A flow with a mistake is not among them, and may be who calls.
    if diagnostics.has_errors() {
        return;
    }
    let vias = || flows.iter().flat_map(|loaded| loaded.flow.plan.calls());
    let used: HashSet<_> = vias().map(|via| &via.integration).collect();
    let called: HashSet<_> =
        vias().filter_map(|via| Some((&via.integration, via.webhook.as_ref()?))).collect();
    for integration in integrations.iter() {
        if !used.contains(&integration.id) {
            let message = format!("no flow goes by the integration `{}`", integration.id);
            let diagnostic = diagnostics.warning(Code("integration.unused"), &integration.span, message);
            diagnostic.help("remove its file, or call it: `call: integration.webhook`, or `integration` in an `http` step");
            continue;
        }
        let webhooks = integration.webhooks.values();
        for webhook in webhooks.filter(|webhook| !called.contains(&(&integration.id, &webhook.name))) {
            let message = format!("no flow calls `{}.{}`", integration.id, webhook.name);
            let diagnostic = diagnostics.warning(Code("integration.unused-webhook"), &webhook.span, message);
            let others = called.iter().filter(|(id, _)| **id == integration.id);
            if let Some(near) = nearest(&webhook.name, others.map(|(_, name)| &***name)) {
                diagnostic.help(format!("flows call `{near}`, which is near"));
            }
        }
    }
}
