//! What stands in for the world in a trial: `--mock STEP=MOCK`, in the words of a test's `mocks`.

use crate::project::Project;
use anyhow::{Context as _, bail};
use hookflow_flow::{Asked, Flow, Mock};
use hookflow_text::{Diagnostics, Source, nearest, parse};
use std::sync::Arc;

/// Reads `stock={"status": 201}`; of a flow that this one runs, `sum/add={}`.
pub(super) fn read(text: &str, flow: &Flow, project: &Project) -> anyhow::Result<(Arc<str>, Vec<Mock>)> {
    let (key, written) = text.split_once('=').context("a mock is written as STEP=MOCK")?;
    let asked = match key.split_once('/') {
        Some((other, step)) => {
            let other = project.flow(other).with_context(|| format!("there is no flow `{other}`"))?;
            asked(step, &other.flow)?
        }
        None => asked(key, flow)?,
    };
    let mut diagnostics = Diagnostics::default();
    let node = parse(&Source::new(format!("--mock {key}"), written), &mut diagnostics);
    let mocks = node.and_then(|node| Mock::load_all(&node, asked, &mut diagnostics));
    match mocks {
        Some(mocks) if !diagnostics.has_errors() => Ok((key.into(), mocks)),
        _ => bail!("the mock of `{key}` is none\n{}", diagnostics.render(false)),
    }
}

/// What a step asks for.
fn asked(step: &str, flow: &Flow) -> anyhow::Result<Asked> {
    let plan = &flow.plan;
    let Some(number) = plan.step_of(step) else {
        let names = plan.steps().iter().map(|step| &*step.name);
        let near = nearest(step, names).map(|near| format!(": did you mean `{near}`?"));
        bail!("the flow `{}` has no step `{step}`{}", flow.id, near.unwrap_or_default());
    };
    match plan.asked(number) {
        Some(Asked::Sleep) => bail!("a mock means nothing for `{step}`: it sleeps"),
        Some(asked) => Ok(asked),
        None => bail!("a mock means nothing for `{step}`: it asks nobody for anything"),
    }
}
