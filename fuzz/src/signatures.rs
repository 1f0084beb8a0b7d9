//! `credential %% head %% body`: any credential that loads, and any request. Nobody passes without its secret, who
//! has it passes, and who has another does not.

use super::{Always, NOW, RIGHT, WRONG, head, split};
use hookflow_text::{Diagnostics, Source, parse};
use hookflow_trigger::{Auth, Credential, Credentials, Head, Received};
use std::sync::Arc;

/// See the module.
pub fn run(data: &[u8]) {
    let (credential, rest) = split(data);
    let (request, body) = split(rest);
    let Ok(text) = std::str::from_utf8(credential) else { return };
    let (Some(right), Some(wrong)) = (load(text, RIGHT), load(text, WRONG)) else { return };
    let head = head(request);
    // Who has no secret. A public key is another matter: the input may name one whose signatures it can make.
    let is_public = text.contains("public_key");
    let verdict = judge(&right, head.clone(), body);
    assert!(is_public || verdict.is_err(), "a request passed without the secret");
    // Who has it signs a request that has nothing of a signature yet, but the sender's own ID.
    let mut ours = Head { headers: http::HeaderMap::new(), query: None, ..head };
    let mut theirs = ours.clone();
    if right.sign(&mut ours, body, NOW).is_ok() {
        // The body may lack what the credential reads in it, such as a time.
        assert_ne!(judge(&right, ours, body), Err("mismatch"), "a right signature was refused");
    }
    if wrong.sign(&mut theirs, body, NOW).is_ok() && !is_public {
        assert!(judge(&right, theirs, body).is_err(), "a request passed with another's secret");
    }
}

fn load(text: &str, secret: &'static str) -> Option<Arc<Credential>> {
    let mut diagnostics = Diagnostics::default();
    let text = format!("it:\n  {}\n", text.replace('\n', "\n  "));
    let root = parse(&Source::new("credentials.yaml", text), &mut diagnostics)?;
    let credentials = Credentials::load(&root, &Always(secret), &mut diagnostics);
    diagnostics.render(false);
    credentials.get("it").map(Arc::clone)
}

/// Why a request does not pass, in a word.
fn judge(credential: &Arc<Credential>, head: Head, body: &[u8]) -> Result<(), &'static str> {
    let auth = Auth::by(Arc::clone(credential));
    let by_head = auth.verify_head(&head);
    let received = Received { head, body: bytes::Bytes::copy_from_slice(body).into() };
    match auth.verify(received, NOW) {
        Ok(authenticated) => {
            assert!(by_head.is_ok(), "the head alone was refused");
            assert!(authenticated.credential().is_some(), "it passed by no credential");
            Ok(())
        }
        // Looking for a secret in the reason would show it to the fuzzer, which watches comparisons.
        Err(refused) => Err(refused.word()),
    }
}
