//! The public URLs of a folder's flows: what `serve` prints when it starts and `hookflow urls` at any time.

use crate::project::{LoadedFlow, Project};
use hookflow_flow::{Durability, Enabled};
use hookflow_text::Json;
use serde_json::json;
use std::fmt::Write as _;

/// A flow that the outside world can call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) flow: String,
    pub(crate) title: Option<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) url: String,
    /// The credentials of which any may pass; none: anyone may call.
    pub(crate) auth: Vec<String>,
    pub(crate) enabled: Enabled,
    /// Whether the caller waits for the flow's own answer.
    pub(crate) waits: bool,
}

impl Line {
    /// The flow's line, or `None` for one without a webhook.
    fn of(loaded: &LoadedFlow, base_url: &str) -> Option<Self> {
        let LoadedFlow { flow, path } = loaded;
        let webhook = flow.webhook.as_ref()?;
        Some(Self {
            flow: flow.id.to_string(),
            title: flow.title.clone(),
            methods: webhook.methods.iter().map(ToString::to_string).collect(),
            url: format!("{base_url}/hook/{}{path}", flow.id),
            auth: webhook.auth.names().map(str::to_owned).collect(),
            enabled: flow.enabled,
            waits: flow.plan.is_sync(),
        })
    }

    /// Whether anyone may call it now.
    pub(crate) fn is_open(&self) -> bool {
        self.auth.is_empty() && self.enabled != Enabled::No
    }

    pub(crate) fn to_json(&self) -> Json {
        json!({
            "flow": self.flow,
            "title": self.title,
            "methods": self.methods,
            "url": self.url,
            "auth": self.auth,
            "open": self.is_open(),
            "enabled": enabled(self.enabled),
            "answers": if self.waits { "respond" } else { "ack" },
        })
    }
}

/// As a flow's file has it.
fn enabled(enabled: Enabled) -> Json {
    match enabled {
        Enabled::Yes => json!(true),
        Enabled::No => json!(false),
        Enabled::Paused => json!("paused"),
    }
}

/// Every flow with its version, by ID; one with a webhook also as its line says.
pub(crate) fn versions(project: &Project, base_url: &str) -> Vec<Json> {
    let mut flows: Vec<_> = project.flows.iter().collect();
    flows.sort_by(|a, b| a.flow.id.cmp(&b.flow.id));
    let version = |loaded: &LoadedFlow| {
        let flow = &loaded.flow;
        let mut item = match Line::of(loaded, base_url) {
            Some(line) => line.to_json(),
            None => json!({"flow": &*flow.id, "title": flow.title, "enabled": enabled(flow.enabled)}),
        };
        if let Json::Object(item) = &mut item {
            item.insert("version".into(), json!(&*flow.plan.version));
            let durability = if flow.durability == Durability::Relaxed { "relaxed" } else { "full" };
            item.insert("durability".into(), durability.into());
        }
        item
    };
    flows.into_iter().map(version).collect()
}

/// The lines of all flows that have a webhook, by ID.
pub(crate) fn lines(project: &Project, base_url: &str) -> Vec<Line> {
    let mut lines: Vec<_> = project.flows.iter().filter_map(|loaded| Line::of(loaded, base_url)).collect();
    lines.sort_by(|a, b| a.flow.cmp(&b.flow));
    lines
}

/// The lines in columns, for people.
pub(crate) fn table(lines: &[Line]) -> String {
    let width = |column: fn(&Line) -> String| {
        lines.iter().map(|line| column(line).chars().count()).max().unwrap_or(0)
    };
    let methods = |line: &Line| line.methods.join(",");
    let widths = (width(|line| line.flow.clone()), width(methods), width(|line| line.url.clone()));
    let mut text = String::new();
    for line in lines {
        let auth = if line.auth.is_empty() { "none".to_owned() } else { line.auth.join(" or ") };
        let state = match line.enabled {
            Enabled::Yes => "",
            Enabled::No => "   (disabled)",
            Enabled::Paused => "   (paused)",
        };
        let row = writeln!(
            text,
            "  {:flow$}   {:methods$}   {:url$}   auth: {auth}{state}",
            line.flow,
            methods(line),
            line.url,
            flow = widths.0,
            methods = widths.1,
            url = widths.2,
        );
        // A string has room.
        row.unwrap_or_default();
    }
    text
}

/// A line that says which flows promise less than others.
pub(crate) fn relaxed(project: &Project) -> Option<String> {
    let flows = project.flows.iter().map(|loaded| &loaded.flow);
    let relaxed = flows.filter(|flow| flow.durability == Durability::Relaxed);
    let mut names: Vec<_> = relaxed.map(|flow| &*flow.id).collect();
    names.sort_unstable();
    let what = "durability: relaxed (events are in memory only, unless their runs fail or call out)";
    (!names.is_empty()).then(|| format!("{what}: {}", named(&names)))
}

/// The first few names, and how many there are more.
fn named(names: &[&str]) -> String {
    const NAMED: usize = 10;
    let first = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A line that stands out when anyone may call some of the flows.
pub(crate) fn open_doors(lines: &[Line]) -> Option<String> {
    let open: Vec<_> = lines.iter().filter(|line| line.is_open()).map(|line| line.flow.as_str()).collect();
    (!open.is_empty()).then(|| format!("!! OPEN TO ANYONE (auth: none): {}", named(&open)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(flow: &str, auth: &[&str]) -> Line {
        Line {
            flow: flow.into(),
            title: None,
            methods: vec!["POST".into()],
            url: format!("http://127.0.0.1:8080/hook/{flow}"),
            auth: auth.iter().map(|name| (*name).to_owned()).collect(),
            enabled: Enabled::Yes,
            waits: true,
        }
    }

    #[test]
    fn lines_stand_in_columns_and_open_doors_stand_out() {
        let lines = [line("github-push", &["github"]), line("a", &[])];
        assert_eq!(
            table(&lines),
            "  github-push   POST   http://127.0.0.1:8080/hook/github-push   auth: github\n  \
             a             POST   http://127.0.0.1:8080/hook/a             auth: none\n"
        );
        assert_eq!(open_doors(&lines).as_deref(), Some("!! OPEN TO ANYONE (auth: none): a"));
        assert_eq!(open_doors(&lines[..1]), None);
        let many: Vec<_> = (0..12).map(|number| line(&number.to_string(), &[])).collect();
        assert!(open_doors(&many).unwrap().ends_with("8, 9 and 2 more"));
    }
}
