//! One page of Markdown: its HTML, its headings, and where it links to.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use std::collections::BTreeSet;
use std::ops::Range;

const DOCS: &str = "docs/";

/// A page as it was read.
#[derive(Debug)]
pub(super) struct Page {
    /// From the folder of the project.
    pub(super) path: String,
    /// Its first heading.
    pub(super) title: String,
    /// Its HTML, with links as they are in the book.
    pub(super) body: String,
    /// The names of its headings.
    pub(super) anchors: BTreeSet<String>,
    /// All of its links, as they are written.
    pub(super) links: Vec<Link>,
    /// What no page may hold.
    pub(super) findings: Vec<String>,
}

/// A link as it is written.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) to: String,
    pub(super) text: String,
    /// The heading of the second level that it stands under.
    pub(super) section: String,
}

impl Page {
    pub(super) fn read(path: &str, source: &str) -> Self {
        let mut page = Self {
            path: path.to_owned(),
            title: String::new(),
            body: String::new(),
            anchors: BTreeSet::new(),
            links: Vec::new(),
            findings: Vec::new(),
        };
        let events: Vec<_> = Parser::new_ext(source, Options::ENABLE_TABLES).into_offset_iter().collect();
        let (mut written, mut section) = (Vec::with_capacity(events.len()), String::new());
        for (at, (event, place)) in events.iter().enumerate() {
            let rest = events.get(at + 1..).unwrap_or_default();
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    let text = text_until(rest, |end| matches!(end, TagEnd::Heading(_)));
                    written.push(page.heading(*level, &text));
                    match level {
                        HeadingLevel::H1 if page.title.is_empty() => page.title = text,
                        HeadingLevel::H2 => section = text,
                        _ => {}
                    }
                }
                Event::Start(tag @ (Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. })) => {
                    let text = text_until(rest, |end| matches!(end, TagEnd::Link | TagEnd::Image));
                    let line = line_of(source, place);
                    let to = dest_url.to_string();
                    let led = CowStr::from(page.led(&to));
                    page.links.push(Link { line, to, text, section: section.clone() });
                    let mut tag = tag.clone();
                    if let Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } = &mut tag {
                        *dest_url = led;
                    }
                    written.push(Event::Start(tag));
                }
                // The marks around what is generated.
                Event::Html(text) | Event::InlineHtml(text) if text.trim_start().starts_with("<!--") => {}
                Event::Html(text) | Event::InlineHtml(text) => {
                    let line = line_of(source, place);
                    page.findings.push(format!("{path}:{line}: HTML in a page: {}", text.trim()));
                }
                other => written.push(other.clone()),
            }
        }
        html::push_html(&mut page.body, written.into_iter());
        page
    }

    fn heading(&mut self, level: HeadingLevel, text: &str) -> Event<'static> {
        let name = slug(text);
        let mut id = name.clone();
        let mut number = 0;
        while !self.anchors.insert(id.clone()) {
            number += 1;
            id = format!("{name}-{number}");
        }
        Event::Start(Tag::Heading { level, id: Some(id.into()), classes: Vec::new(), attrs: Vec::new() })
    }

    /// Its file in the book.
    pub(super) fn written(&self) -> String {
        written(&self.path)
    }

    /// Where a link leads in the book.
    fn led(&self, to: &str) -> String {
        let Some((path, anchor)) = resolved(&self.path, to).filter(|_| !to.starts_with('#')) else {
            return to.to_owned();
        };
        let anchor = anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
        let up = "../".repeat(self.written().matches('/').count());
        let target = if path.starts_with(DOCS) { written(&path) } else { copied(&path) };
        format!("{up}{target}{anchor}")
    }
}

/// The file in the book of a page in `docs`.
pub(super) fn written(path: &str) -> String {
    let name = path.strip_prefix(DOCS).unwrap_or(path);
    match name.strip_suffix(".md") {
        Some("README") => "index.html".into(),
        Some(name) => format!("{name}.html"),
        None => name.to_owned(),
    }
}

/// The file in the book of any other file of the project.
pub(super) fn copied(path: &str) -> String {
    format!("project/{path}")
}

/// The file of the project that a link means, and the heading in it. Nothing: it leads out of the project.
pub(super) fn resolved<'l>(from: &str, to: &'l str) -> Option<(String, Option<&'l str>)> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| to.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = to.split_once('#').map_or((to, None), |(path, anchor)| (path, Some(anchor)));
    if path.is_empty() {
        return Some((from.to_owned(), anchor));
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some((parts.join("/"), anchor))
}

/// A heading's name in links, as code hosts make it.
fn slug(text: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    text.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The text up to where an element ends.
fn text_until(events: &[(Event<'_>, Range<usize>)], ends: impl Fn(&TagEnd) -> bool) -> String {
    let mut text = String::new();
    for (event, _) in events {
        match event {
            Event::End(end) if ends(end) => break,
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak => text.push(' '),
            _ => {}
        }
    }
    text
}

fn line_of(source: &str, place: &Range<usize>) -> usize {
    1 + source.get(..place.start).unwrap_or_default().matches('\n').count()
}

/// Text as it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_named_as_code_hosts_name_them() {
        let page = Page::read("docs/a.md", "# A, b & `c_d`\n\n## Same\n\n## Same\n");
        let anchors: Vec<_> = page.anchors.iter().map(String::as_str).collect();
        assert_eq!(anchors, ["a-b--c_d", "same", "same-1"]);
        assert_eq!(page.title, "A, b & c_d");
    }

    #[test]
    fn a_link_means_a_file_of_the_project() {
        for (to, means) in [
            ("b.md", Some(("docs/r/b.md", None))),
            ("../b.md#x", Some(("docs/b.md", Some("x")))),
            ("../../flows/a.yaml", Some(("flows/a.yaml", None))),
            ("#x", Some(("docs/r/a.md", Some("x")))),
            ("https://a.example/b.md", None),
        ] {
            let means = means.map(|(path, anchor)| (path.to_owned(), anchor));
            assert_eq!(resolved("docs/r/a.md", to), means, "{to}");
        }
    }

    #[test]
    fn what_stands_around_generated_text_is_left_out() {
        let page = Page::read("docs/a.md", "# A\n\n<!-- verbs -->\n\nx\n\n<!-- /verbs -->\n");
        assert_eq!(page.body.trim_end(), "<h1 id=\"a\">A</h1>\n<p>x</p>");
        assert!(page.findings.is_empty());
    }
}
