//! The credential that a call is signed with.

use crate::lowering::Lowering;
use hookflow_text::{Code, Node, nearest};

/// Says so of a credential that is not there, or that nobody can sign with.
pub(crate) fn check_sign(name: &str, node: &Node, cx: &mut Lowering<'_>) {
    let credentials = cx.surroundings.credentials;
    let (message, help) = match credentials.get(name) {
        Some(credential) => match credential.cannot_sign() {
            Some(why) => (format!("a call cannot be signed with `{name}`: {why}"), None),
            None => return,
        },
        // One that has mistakes was reported where it stands.
        None if credentials.has(name) || credentials.is_forgiving() => return,
        None => {
            let near = nearest(name, credentials.names()).map(|near| format!("did you mean `{near}`?"));
            (format!("there is no credential named `{name}`"), near)
        }
    };
    let diagnostic = cx.diagnostics.error(Code("http.sign"), &node.span, message);
    if let Some(help) = help {
        diagnostic.help(help);
    }
}
