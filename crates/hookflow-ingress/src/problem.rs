//! The body of every answer that is a no: `application/problem+json` (RFC 9457).

use hookflow_text::Code;
use http::StatusCode;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Where each code has its page.
const PAGES: &str = "https://hookflow.dev/errors/";

/// A no, ready to be written. It holds nothing that a stranger may not read.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) allow: Option<String>,
    pub(crate) challenge: Option<&'static str>,
    /// Whether the connection ends with this answer.
    pub(crate) closes: bool,
    /// Whether the status says it all, and there is no body.
    pub(crate) bare: bool,
    title: &'static str,
    detail: Option<String>,
    position: (Option<usize>, Option<usize>),
    run: Option<Arc<str>>,
    errors: Vec<(String, String)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: Code, title: &'static str) -> Self {
        Self {
            status,
            code,
            retry_after: None,
            allow: None,
            challenge: None,
            closes: false,
            bare: false,
            title,
            detail: None,
            position: (None, None),
            run: None,
            errors: Vec::new(),
        }
    }

    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    pub(crate) fn allow(self, methods: String) -> Self {
        Self { allow: Some(methods), ..self }
    }

    pub(crate) fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    pub(crate) fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    pub(crate) fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    pub(crate) fn detail(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }

    pub(crate) fn position(self, line: Option<usize>, column: Option<usize>) -> Self {
        Self { position: (line, column), ..self }
    }

    /// Places, and what was expected at each.
    pub(crate) fn errors(self, errors: Vec<(String, String)>) -> Self {
        Self { errors, ..self }
    }

    pub(crate) fn run(self, run: &Arc<str>) -> Self {
        Self { run: Some(Arc::clone(run)), ..self }
    }

    /// The body. Codes, titles, request IDs and run IDs need no escaping.
    pub(crate) fn to_json(&self, request_id: &str) -> String {
        let Self { status, code, title, .. } = self;
        let status = status.as_u16();
        let mut text = format!(
            r#"{{"type":"{PAGES}{code}","title":"{title}","status":{status},"code":"{code}","request_id":"{request_id}""#
        );
        if let Some(run) = &self.run {
            text.push_str(&format!(r#","run_id":"{run}""#));
        }
        if let Some(detail) = &self.detail {
            text.push_str(&format!(r#","detail":{}"#, serde_json::Value::from(detail.as_str())));
        }
        for (name, number) in [("line", self.position.0), ("column", self.position.1)] {
            if let Some(number) = number {
                text.push_str(&format!(r#","{name}":{number}"#));
            }
        }
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(|(at, expected)| json!({"at": at, "expected": expected}));
            text.push_str(&format!(r#","errors":{}"#, errors.collect::<serde_json::Value>()));
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_whatever_the_detail_holds() {
        let problem =
            Problem::new(StatusCode::BAD_REQUEST, Code("body.malformed"), "The body cannot be read")
                .detail("expected `\"` or \u{1}\u{2028}\\".into())
                .position(Some(3), Some(7))
                .run(&Arc::from("r-1"))
                .errors(vec![("body.\"a\"".into(), "string".into())]);
        let json: serde_json::Value = serde_json::from_str(&problem.to_json("abc")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "https://hookflow.dev/errors/body.malformed",
                "title": "The body cannot be read",
                "status": 400,
                "code": "body.malformed",
                "request_id": "abc",
                "run_id": "r-1",
                "detail": "expected `\"` or \u{1}\u{2028}\\",
                "line": 3,
                "column": 7,
                "errors": [{"at": "body.\"a\"", "expected": "string"}],
            })
        );
    }
}
