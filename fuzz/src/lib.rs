//! What is thrown at the doors and readers of hookflow, and what must hold whatever is thrown: one module is one
//! target. Each panics when something does not hold, so a fuzzer and a plain test can drive the same function.
//!
//! `tests/corpus.rs` runs every target on every input that is kept in `fuzz/seeds`.

pub mod decoders;
pub mod documents;
pub mod door;
pub mod expressions;
pub mod signatures;

use hookflow_text::{SecretRef, SecretSource};

/// What is done with an input.
type Run = fn(&[u8]);

/// Every target by its name, which is also its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Run)] = &[
    ("decoders", decoders::run),
    ("documents", documents::run),
    ("door", door::run),
    ("expressions", expressions::run),
    ("signatures", signatures::run),
];

/// The right secret: good as text, as hexadecimal digits and as Base64, and never part of an input.
const RIGHT: &str = "5f3d9a41c7e2b86005f3d9a41c7e2b86aa17c0de5f3d9a41c7e2b860deadbe17";
/// A secret that others have.
const WRONG: &str = "e0c4b1a2958776655443322110ffeeddccbbaa99887766554433221100f1e2d3";

/// Gives the same secret for every name.
struct Always(&'static str);

impl SecretSource for Always {
    fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
        Ok(self.0.into())
    }
}

/// The input up to a line that is `%%`, and what follows it.
fn split(data: &[u8]) -> (&[u8], &[u8]) {
    const MARK: &[u8] = b"\n%%\n";
    let at = data.windows(MARK.len()).position(|window| window == MARK);
    at.and_then(|at| Some((data.get(..at)?, data.get(at + MARK.len()..)?))).unwrap_or((data, &[]))
}

/// A request's line and headers as they would stand on the wire, as far as they can be ones.
fn head(text: &[u8]) -> hookflow_trigger::Head {
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (method, target) = first.split_once(' ').unwrap_or(("POST", "/hook/shop"));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut headers = http::HeaderMap::new();
    for line in lines.take(100) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(at);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = http::HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    hookflow_trigger::Head {
        method: method.parse().unwrap_or(http::Method::POST),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers,
        ip: [192, 0, 2, 1].into(),
        received_at: NOW,
        base_url: "https://hooks.example".into(),
    }
}

/// 2025-10-09T08:53:20Z, at which every input is judged.
const NOW: jiff::Timestamp = jiff::Timestamp::constant(1_760_000_000, 0);
