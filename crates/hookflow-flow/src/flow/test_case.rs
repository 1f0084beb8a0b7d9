//! One entry of a flow's `tests:`: a request, what stands in for the world, and what has to come of it.

mod expect;
mod mock;
mod request;

pub use expect::{Expect, ExpectedCall, ExpectedCalls, ExpectedEmit, ExpectedError, ExpectedLog, Took};
pub use mock::{Mock, MockOutcome};
pub use request::{Signing, TestRequest};

use super::{Surroundings, Webhook};
use crate::{Asked, Plan};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Schema, Span, nearest};
use jiff::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;

pub(super) static TEST: MapSchema = MapSchema {
    name: "test",
    about: "A request, what stands in for the world, and what has to come of it.",
    keys: Cow::Borrowed(&[
        Key::must("name", Schema::Text, "what it is called"),
        Key::may(
            "at",
            Schema::Like(""),
            "when the request comes, such as `2026-03-01T10:00:00Z` (some fixed moment)",
        ),
        Key::may("request", Schema::Map(&request::TEST_REQUEST), "what comes in (the flow's sample)"),
        Key::may(
            "mocks",
            Schema::MapOf(&mock::MOCKS),
            "what stands in for the world, by the step that asks, or `flow/step`: one mock, or one for each try, of which the last repeats",
        ),
        Key::must(
            "expect",
            Schema::Map(&expect::EXPECT),
            "what has to come of it; only what is written is looked at",
        ),
    ]),
    rules: &[],
};

/// A test of a flow.
#[derive(Debug)]
pub struct TestCase {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// When the request comes; without it, some fixed moment.
    pub at: Option<Timestamp>,
    /// What comes in.
    pub request: TestRequest,
    /// What stands in for the world: by the name of a step, or `flow/step` for a flow that this one runs.
    pub mocks: Vec<(Arc<str>, Vec<Mock>)>,
    /// What has to come of it.
    pub expect: Expect,
}

/// What a test is read against.
pub(super) struct Tested<'a, 's> {
    pub webhook: Option<&'a Webhook>,
    pub plan: &'a Plan,
    pub surroundings: &'a Surroundings<'s>,
}

impl TestCase {
    /// Reads a flow's `tests:`.
    pub(super) fn load_all(node: &Node, tested: &Tested<'_, '_>, diagnostics: &mut Diagnostics) -> Vec<Self> {
        let Some(items) = node.as_list(diagnostics) else { return Vec::new() };
        let mut tests: Vec<Self> = Vec::with_capacity(items.len());
        for item in items {
            let Some(test) = Self::load(item, tested, diagnostics) else { continue };
            if let Some(first) = tests.iter().find(|other| other.name == test.name) {
                diagnostics
                    .error(Code("test.name"), &test.span, format!("two tests are called `{}`", test.name))
                    .label("again here")
                    .also(&first.span, "first here");
            }
            tests.push(test);
        }
        tests
    }

    fn load(node: &Node, tested: &Tested<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a test", diagnostics)?;
        let name = fields.require("name", diagnostics);
        let at = fields.take("at").and_then(|node| read_moment(node, diagnostics));
        let request = match fields.take("request") {
            Some(node) => TestRequest::load(node, tested, diagnostics),
            None => TestRequest::of_sample(&node.key_span(), tested, diagnostics),
        };
        let mocks = fields.take("mocks").map(|node| read_mocks(node, tested.plan, diagnostics));
        let expect = fields.require("expect", diagnostics);
        let expect = expect.and_then(|node| Expect::load(node, tested.plan, diagnostics));
        fields.finish(diagnostics);
        Some(Self {
            name: name?.as_str(diagnostics)?.to_owned(),
            span: name?.span.clone(),
            at,
            request: request?,
            mocks: mocks.unwrap_or_default(),
            expect: expect?,
        })
    }
}

fn read_moment(node: &Node, diagnostics: &mut Diagnostics) -> Option<Timestamp> {
    let moment = node.as_str(diagnostics)?.parse().ok();
    moment.or_else(|| node.mistyped("a moment such as `2026-03-01T10:00:00Z`", diagnostics))
}

fn read_mocks(node: &Node, plan: &Plan, diagnostics: &mut Diagnostics) -> Vec<(Arc<str>, Vec<Mock>)> {
    let mut mocks = Vec::new();
    for (step, entries) in node.as_map(diagnostics).unwrap_or_default() {
        let asked = if step.text().contains('/') {
            Some(Asked::Call)
        } else {
            known_step(step, plan, diagnostics)
                .and_then(|number| asked(step, plan.asked(number), diagnostics))
        };
        let Some(asked) = asked else { continue };
        if let Some(entries) = Mock::load_all(entries, asked, diagnostics) {
            mocks.push((step.text().into(), entries));
        }
    }
    mocks
}

/// A mock that nothing would ask for is a mistake.
fn asked(step: &Node, asked: Option<Asked>, diagnostics: &mut Diagnostics) -> Option<Asked> {
    let why = match asked {
        Some(Asked::Sleep) => "sleeps, and the clock of a test is turned",
        Some(asked) => return Some(asked),
        None => "asks nobody for anything",
    };
    let message = format!("a mock means nothing for `{}`: it {why}", step.text());
    diagnostics.error(Code("test.mock"), &step.span, message);
    None
}

/// The number of the step that a test names.
fn known_step(node: &Node, plan: &Plan, diagnostics: &mut Diagnostics) -> Option<crate::StepNumber> {
    let name = node.text();
    let found = plan.step_of(name);
    if found.is_none() {
        let names = || plan.steps().iter().map(|step| &*step.name);
        let diagnostic = diagnostics.error(
            Code("test.unknown-step"),
            &node.span,
            format!("the flow has no step `{name}`"),
        );
        match nearest(name, names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(
                "a step is named by its `id`; one without is named by its path, such as `0` or `2.then.0`",
            ),
        };
    }
    found
}
