//! The URL of a call: what a template puts into it stays within the part where it stands.

use crate::reading::{Reading, is_one_template};
use crate::step_kind::Stop;
use crate::{CallUrl, Fault, FaultKind};
use hookflow_expr::{Env, Escape, Part, Text};
use hookflow_text::{Code, Node};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What stays as it is in a path or query (RFC 3986, unreserved).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL with templates in it.
#[derive(Debug, Default)]
pub(crate) struct UrlTemplate {
    /// `None` for nothing at all.
    text: Option<Text>,
    /// Whether it is all of the URL, and not what follows the root of an integration.
    whole: bool,
}

impl UrlTemplate {
    /// All of a URL.
    pub(crate) fn compile(cx: &mut Reading<'_>, node: &Node) -> Option<Self> {
        let text = cx.text(node, Escape::None)?;
        let written = node.text().trim();
        let problem = match text.constant() {
            Some(constant) => parse(constant).err(),
            // A template before the rest would stand in the host, where it may yield no scheme.
            None if has_scheme(written) || is_one_template(written) => None,
            None => Some(
                "a URL begins with `http://` or `https://`, or is one template that gives all of it"
                    .to_owned(),
            ),
        };
        if let Some(why) = problem {
            cx.diagnostics.error(Code("http.url"), &node.span, format!("this is not a whole URL: {why}"));
            return None;
        }
        Some(Self { text: Some(text), whole: true })
    }

    /// What follows the root of an integration, or a whole URL.
    pub(super) fn under(cx: &mut Reading<'_>, node: Option<&Node>) -> Option<Self> {
        match node {
            None => Some(Self::default()),
            Some(node) if has_scheme(node.text().trim()) => Self::compile(cx, node),
            Some(node) => Some(Self { text: Some(cx.text(node, Escape::None)?), whole: false }),
        }
    }

    /// Whether it needs no root.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The URL when nothing in it has to be evaluated.
    pub(crate) fn constant(&self) -> Option<CallUrl> {
        match self.text.as_ref().map_or(Some(""), Text::constant)? {
            url if self.whole => parse(url).ok().map(CallUrl::Whole),
            rest => Some(CallUrl::Rest(rest.to_owned())),
        }
    }

    pub(crate) fn eval(&self, env: &Env) -> Result<CallUrl, Stop> {
        let parts = self.text.as_ref().map_or_else(|| Ok(Vec::new()), |text| text.parts(env))?;
        if let ([Part::Inserted(whole)], true) = (parts.as_slice(), self.whole) {
            return Ok(CallUrl::Whole(parse(whole).map_err(refused)?));
        }
        let mut url = String::new();
        let mut inserted_segments = false;
        for part in &parts {
            match part {
                Part::Literal(text) => url.push_str(text),
                Part::Inserted(text) if self.whole && in_host(&url) => {
                    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
                        let why = "a template in the host may yield only letters, digits, `.` and `-`";
                        return Err(refused(why).into());
                    }
                    url.push_str(text);
                }
                Part::Inserted(text) => {
                    inserted_segments |= !url.contains('?');
                    url.extend(utf8_percent_encode(text, UNRESERVED));
                }
            }
        }
        let path = url.split(['?', '#']).next().unwrap_or_default();
        // What stands before the path of a whole URL is its scheme and its host.
        let mut segments = path.split('/').skip(if self.whole { 3 } else { 0 });
        if inserted_segments && segments.any(is_dots) {
            return Err(refused("a template made a `.` or `..` segment").into());
        }
        Ok(if self.whole { CallUrl::Whole(parse(&url).map_err(refused)?) } else { CallUrl::Rest(url) })
    }
}

/// Whether a segment leads to where it stands, or up; a dot may also be written as `%2e`.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").trim(), "." | "..")
}

pub(crate) fn has_scheme(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// Whether what comes next stands in the scheme, host or port.
fn in_host(url: &str) -> bool {
    match url.split_once("://") {
        Some((_, rest)) => !rest.contains(['/', '?', '#']),
        None => true,
    }
}

fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" if url.has_host() && url.username().is_empty() && url.password().is_none() => {
            Ok(url)
        }
        "http" | "https" => Err("a URL holds no user or password; use a header".to_owned()),
        _ => Err("a URL begins with `http://` or `https://`".to_owned()),
    }
}

fn refused(why: impl std::fmt::Display) -> Fault {
    Fault::new(FaultKind::Refused, Code("http.url-refused"), format!("the URL is refused: {why}"))
}

#[cfg(test)]
mod tests {
    use crate::proof::{answer, flow, prove};
    use crate::{End, Fault};

    /// Where a call goes, for a URL and a body.
    fn called(url: &str, body: &str) -> Result<String, Fault> {
        let text = format!(
            "flow: t\nwebhook: {{auth: none, sample: {{body: {body}}}}}\nsteps:\n  - http: {{url: {url:?}, query: {{q: 'a&b'}}}}\n"
        );
        let rehearsal = prove(&flow(&text), &mut |_, call| answer(call, 200, "{}"));
        match rehearsal.end {
            Some(End::Failed(fault)) => Err(fault),
            _ => Ok(rehearsal.calls[0].1.url.to_string()),
        }
    }

    #[test]
    fn what_a_template_inserts_stays_in_its_part() {
        let url = "https://x.example/items/${ webhook.body.a }?sku=${ webhook.body.b }";
        assert_eq!(
            called(url, "{a: 'p/q?r#s', b: 'x&y=z'}").unwrap(),
            "https://x.example/items/p%2Fq%3Fr%23s?sku=x%26y%3Dz&q=a%26b"
        );
        assert_eq!(
            called("${ webhook.body }", "'https://y.example/z?k=1'").unwrap(),
            "https://y.example/z?k=1&q=a%26b"
        );
        assert_eq!(
            called("https://${ webhook.body }.example/", "eu-1").unwrap(),
            "https://eu-1.example/?q=a%26b"
        );
    }

    #[test]
    fn what_would_leave_its_part_is_refused() {
        for (url, body) in [
            ("https://${ webhook.body }.example/", "'evil.test/'"),
            ("https://${ webhook.body }", "'user@evil.test'"),
            ("https://x.example/${ webhook.body }/secret", "'..'"),
            ("https://x.example/%2E${ webhook.body }/secret", "'.'"),
            ("${ webhook.body }", "'file:///etc/passwd'"),
            ("${ webhook.body }", "'https://user:pw@x.example/'"),
            ("${ webhook.body }", "'not a url'"),
        ] {
            assert_eq!(called(url, body).unwrap_err().code, "http.url-refused", "{url} {body}");
        }
    }
}
