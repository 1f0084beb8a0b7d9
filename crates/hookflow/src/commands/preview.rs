//! `hookflow preview`: what a call of an outbound webhook would send. Nothing is sent, and no secret is read.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::one_call::{self, OneCall};
use crate::project::{Project, SecretMode};
use crate::terminal::Terminal;
use clap::ArgMatches;
use hookflow_engine::redirects;
use hookflow_flow::{CallBody, KeptBody, SentRequest};
use hookflow_text::Json;
use http::Request;
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "preview",
    about: "Shows what a call of an outbound webhook would send, and sends nothing",
    examples: "  hookflow preview warehouse.reserve_stock --with sku=A-1\n  \
               hookflow preview warehouse.reserve_stock --with sku=A-1 --format json",
    args: |command| command.args(one_call::args()).arg(dir_arg()).arg(format_arg()),
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let project = Project::load(dir(matches), &terminal.environment, SecretMode::Invent)?;
    let Some(OneCall { request, call, integration, .. }) = OneCall::of(matches, &project, terminal)? else {
        return Ok(Verdict::DoesNot);
    };
    let most = redirects(&call, Some(&integration));
    match format(matches) {
        Format::Text => {
            write!(terminal.out, "{}", text(&request))?;
            if most > 0 {
                let s = if most == 1 { "" } else { "s" };
                writeln!(terminal.out, "\nIt would follow up to {most} redirect{s}.")?;
            }
        }
        Format::Json => {
            let mut shown = shown(&request);
            if let Json::Object(shown) = &mut shown {
                shown.insert("redirects".to_owned(), most.into());
            }
            writeln!(terminal.out, "{shown:#}")?;
        }
    }
    Ok(Verdict::Holds)
}

/// A request for programs, without what is private.
pub(super) fn shown(request: &Request<CallBody>) -> Json {
    let SentRequest { method, url, headers, body } = masked(request);
    json!({"method": method, "url": url, "headers": headers, "body": body.map(body_of)})
}

/// A request for people, without what is private.
pub(super) fn text(request: &Request<CallBody>) -> String {
    let SentRequest { method, url, headers, body } = masked(request);
    let mut out = format!("{method} {url}\n");
    for (name, value) in &headers {
        out.push_str(&format!("{name}: {}\n", super::runs::plain(value)));
    }
    if let Some(body) = body {
        out.push_str(&format!("\n{}\n", super::runs::plain(&body_of(body)).trim_end()));
    }
    out
}

fn masked(request: &Request<CallBody>) -> SentRequest {
    SentRequest::masked(request.method(), &request.uri().to_string(), request.headers(), request.body())
}

fn body_of(body: KeptBody) -> Json {
    match body {
        KeptBody { text: Some(text), sha256: None, .. } => text.into(),
        body => json!(body),
    }
}
