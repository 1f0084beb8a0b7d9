//! What stands in more than one place of a file: steps, names, headers, fixed answers.

use crate::lowering::MODIFIERS;
use crate::{Asking, step_kinds};
use hookflow_text::{Diagnostics, Key, MapSchema, Node, OneOf, Rule, Schema};
use hookflow_trigger::METHODS as TAKEN;
use std::borrow::Cow;

/// A name that a file gives to something of its own.
pub(crate) const NAME: Schema = Schema::Like("^[A-Za-z_][A-Za-z0-9_]*$");
/// A flow's ID.
pub(crate) const FLOW_ID: Schema = Schema::Like("^[a-z0-9][a-z0-9-]*$");
/// The methods of a webhook.
pub(crate) const METHODS: Schema =
    Schema::AnyOf(&[Schema::Word(&TAKEN), Schema::List(&Schema::Word(&TAKEN))]);
/// Who may call.
pub(crate) const AUTH: Schema = Schema::AnyOf(&[Schema::Text, Schema::List(&Schema::Text)]);
/// Ranges of addresses.
pub(crate) const RANGES: Schema = Schema::List(&Schema::Like(""));
/// The headers of a call.
pub(crate) const HEADERS: Schema = Schema::MapOf(&Schema::AnyOf(&[Schema::Text, Schema::Null]));
/// Statuses and classes of them.
pub(crate) const STATUSES: Schema =
    Schema::List(&Schema::AnyOf(&[Schema::Integer(100, 599), Schema::Like("^[1-5](xx|[0-9][0-9])$")]));
/// How many redirects are followed.
pub(crate) const REDIRECTS: Schema = Schema::Integer(0, MOST_REDIRECTS);
/// The most redirects that one try may follow.
const MOST_REDIRECTS: u64 = 10;
/// A list of steps.
pub(crate) const STEPS: Schema = Schema::List(&Schema::OneOf(&STEP));

/// Reads how many redirects are followed.
pub(crate) fn redirects(node: &Node, diagnostics: &mut Diagnostics) -> Option<u8> {
    u8::try_from(node.as_integer(0, MOST_REDIRECTS, diagnostics)?).ok()
}

/// An answer in which nothing is evaluated.
pub(crate) static FIXED_REPLY: MapSchema = MapSchema {
    name: "fixed-reply",
    about: "An answer that holds no templates.",
    keys: Cow::Borrowed(&[
        Key::may("status", Schema::Integer(200, 299), "the status"),
        Key::may("headers", Schema::TEXTS, "a map of names to text"),
        Key::may("json", Schema::Any, "the body as a value"),
        Key::may("text", Schema::Text, "the body as text"),
    ]),
    rules: &[Rule::AtMostOne(&["json", "text"])],
};

static STEP: OneOf =
    OneOf { name: "step", about: "One verb, the keys beside it and the modifiers of all steps.", of: steps };

/// Every kind of step with what may stand beside its verb.
fn steps() -> Vec<(Vec<&'static str>, MapSchema)> {
    let steps = step_kinds::ALL.iter().map(|kind| {
        let verb = [Key::must(kind.verb, kind.value, kind.summary)];
        let means = |modifier: &&Key| match modifier.key {
            "timeout" => {
                kind.asks != Asking::Waits && (kind.asks != Asking::Nothing || !kind.blocks.is_empty())
            }
            "retry" => kind.asks == Asking::Again,
            _ => true,
        };
        let keys = verb.iter().chain(kind.companions).chain(MODIFIERS.iter().filter(means));
        let keys = keys.copied().collect();
        (vec![kind.verb], MapSchema { name: kind.verb, about: kind.summary, keys, rules: &[] })
    });
    steps.collect()
}
