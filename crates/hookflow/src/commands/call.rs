//! `hookflow call`: sends a call of an outbound webhook, once, marked as a test. No flow runs and nothing is kept.

use super::preview;
use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::one_call::{self, OneCall};
use crate::project::{Project, SecretMode};
use crate::terminal::Terminal;
use crate::{assembly, outlets, report};
use clap::ArgMatches;
use hookflow_engine::{filled, redirects, signed};
use hookflow_flow::{MASK, Outcome, SentHop};
use hookflow_outbound::{Caller, Hop};
use hookflow_runtime::Clock;
use hookflow_text::Json;
use hookflow_trigger::Body;
use http::{HeaderName, HeaderValue, Request, header::SET_COOKIE};
use serde_json::json;

/// What a test call carries, so that the other side can tell it from one of a flow.
const MARK: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-hookflow-test"), HeaderValue::from_static("true"));

pub(super) static COMMAND: Command = Command {
    name: "call",
    about: "Calls an outbound webhook once, for real, marked as a test by `X-Hookflow-Test: true`",
    examples: "  hookflow call warehouse.reserve_stock --with sku=A-1\n  \
               hookflow call warehouse.stock_levels --with sku=A-1 --format json",
    args: |command| command.args(one_call::args()).arg(dir_arg()).arg(format_arg()),
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let project = Project::load(dir(matches), &terminal.environment, SecretMode::Read)?;
    if project.diagnostics.has_errors() {
        report::write(&project.diagnostics, terminal)?;
        return Ok(Verdict::DoesNot);
    }
    let Some(mut one) = OneCall::of(matches, &project, terminal)? else { return Ok(Verdict::DoesNot) };
    let (name, value) = MARK;
    one.request.headers_mut().insert(name, value);
    let sent = match format(matches) {
        Format::Text => Json::String(preview::text(&one.request)),
        Format::Json => preview::shown(&one.request),
    };
    let clock = Clock::system();
    let began = clock.monotonic();
    let mut hops = Vec::new();
    let outcome = send(&one, &project, &clock, &mut hops)?;
    let took = clock.monotonic().saturating_duration_since(began).as_millis();
    let told = told(outcome);
    match format(matches) {
        Format::Text => {
            writeln!(terminal.out, "{}", sent.as_str().unwrap_or_default())?;
            for SentHop { status, method, url } in &hops {
                writeln!(terminal.out, "{status}, on to {method} {url}")?;
            }
            write!(terminal.out, "{}", text(&told, took))?;
        }
        Format::Json => {
            let mut whole =
                json!({"test": true, "request": sent, "hops": hops, "took_ms": u64::try_from(took).ok()});
            if let (Json::Object(whole), Json::Object(told)) = (&mut whole, told.clone()) {
                whole.extend(told);
            }
            writeln!(terminal.out, "{whole:#}")?;
        }
    }
    let ok = told.get("ok") == Some(&Json::Bool(true));
    Ok(if ok { Verdict::Holds } else { Verdict::DoesNot })
}

/// What came of it: whether it is good, and the answer; or in words why there is none.
type Came = Result<(bool, Outcome), String>;

fn send(one: &OneCall, project: &Project, clock: &Clock, hops: &mut Vec<SentHop>) -> anyhow::Result<Came> {
    let config = &project.config;
    let policy = assembly::policy(config, config.public.listen, config.ops.listen);
    let own =
        outlets::of(project, &policy, clock).into_iter().find(|it| it.integration.id == one.integration.id);
    let caller = own.and_then(|own| own.caller).unwrap_or_else(|| Caller::new(policy, clock.clone()));
    let timeout =
        one.integration.outlet.as_ref().and_then(|outlet| outlet.timeout).unwrap_or(one.call.timeout);
    let request = match leaving(one, project, clock) {
        Ok(request) => request,
        Err(why) => return Ok(Err(why)),
    };
    let most = redirects(&one.call, Some(&one.integration));
    let hopping = &mut |hop: Hop| hops.push(SentHop::masked(hop.status.as_u16(), &hop.method, &hop.url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(match runtime.block_on(caller.follow(request, timeout, most, hopping)) {
        Ok(answer) => {
            let outcome = one.call.answered(answer.status(), answer.headers(), answer.body());
            Ok((one.call.ok.contains(answer.status().as_u16()), outcome))
        }
        Err(fault) => Err(fault.message),
    })
}

/// What leaves: with its files, and signed when it is to be.
fn leaving(one: &OneCall, project: &Project, clock: &Clock) -> Result<Request<Vec<Body>>, String> {
    let mut request = filled(one.request.clone(), &one.event)?;
    if let Some(name) = &one.call.sign {
        let credential = project.credentials.get(name);
        let credential = credential.ok_or_else(|| format!("there is no credential `{name}`"))?;
        request = signed(request, credential, clock.now())?;
    }
    Ok(request)
}

fn told(came: Came) -> Json {
    match came {
        Ok((ok, Outcome::Answered { status, mut headers, body, captures })) => {
            if let Some(cookie) = headers.get_mut(SET_COOKIE.as_str()) {
                *cookie = MASK.into();
            }
            json!({"ok": ok, "status": status, "headers": headers, "body": body, "captures": captures})
        }
        Ok((_, Outcome::Failed { message, .. })) | Err(message) => json!({"ok": false, "message": message}),
        Ok(_) => json!({"ok": false, "message": "what came is not the outcome of a call"}),
    }
}

fn text(told: &Json, took: u128) -> String {
    let word = |key: &str| told.get(key).map(super::runs::plain).unwrap_or_default();
    if told.get("status").is_none() {
        return format!("no good answer after {took}ms: {}\n", word("message"));
    }
    let mut out = format!("{} after {took}ms\n", word("status"));
    for (name, value) in told.get("headers").and_then(Json::as_object).into_iter().flatten() {
        out.push_str(&format!("{name}: {}\n", super::runs::plain(value)));
    }
    if told.get("body").is_some_and(|body| !body.is_null()) {
        out.push_str(&format!("\n{}\n", word("body").trim_end()));
    }
    for (name, value) in told.get("captures").and_then(Json::as_object).into_iter().flatten() {
        out.push_str(&format!("captured {name}: {value}\n"));
    }
    out
}
