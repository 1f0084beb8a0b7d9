//! `hookflow verify`: judges a recorded request as the door would, and says why.

use crate::command::{Command, Format, Verdict, dir_arg, format, format_arg, switch};
use crate::named_credential::{NamedCredential, file_arg, name_arg};
use crate::recorded_request;
use crate::terminal::Terminal;
use anyhow::{Context as _, bail};
use clap::{Arg, ArgMatches, value_parser};
use hookflow_ingress::{CERTIFICATE_BYTES, fetch_certificate};
use hookflow_outbound::{Caller, Policy};
use hookflow_runtime::Clock;
use hookflow_text::Json;
use hookflow_trigger::{Auth, Body, Certificate, Fetched, HandshakeAnswer, Received, Unauthorized};
use jiff::Timestamp;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) static COMMAND: Command = Command {
    name: "verify",
    about: "Judges a recorded request as the door would, and says why",
    examples: "  hookflow verify shop --request request.json\n  \
               hookflow verify shop --request request.json --now 1760000000 --format json\n  \
               hookflow verify shop --request request.json --credential-file credentials.yaml\n  \
               hookflow verify alarms --request notification.json --fetch",
    args: |command| {
        command
            .arg(name_arg())
            .arg(
                Arg::new("request")
                    .long("request")
                    .value_name("FILE")
                    .help("{method, url, headers: [[name, value]], body, body_encoding: utf8|base64} in JSON")
                    .required(true)
                    .value_parser(value_parser!(PathBuf)),
            )
            .arg(
                Arg::new("now")
                    .long("now")
                    .value_name("UNIX")
                    .help("The time of the judgement, in seconds since 1970; without it, now")
                    .allow_hyphen_values(true)
                    .value_parser(value_parser!(i64)),
            )
            .arg(switch("fetch", "Fetch the certificate that the request names, from its sender's own host"))
            .arg(file_arg())
            .arg(dir_arg())
            .arg(format_arg())
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let NamedCredential { credential, base_url, outbound } = NamedCredential::load(matches, terminal)?;
    let path = matches.get_one::<PathBuf>("request").map_or(Path::new(""), PathBuf::as_path);
    let now = match matches.get_one::<i64>("now") {
        Some(seconds) => Timestamp::from_second(*seconds).context("`--now` is no time")?,
        None => Clock::system().now(),
    };
    let shown = path.display();
    let record = fs::read(path).with_context(|| format!("`{shown}` cannot be read"))?;
    let received = recorded_request::read(&record, &base_url, now)
        .with_context(|| format!("`{shown}` is not a recorded request"))?;
    let name = Arc::clone(credential.name());
    let auth = Auth::by(credential);
    let mut fetched = Fetched::default();
    let judgement = loop {
        match Judgement::of(&auth, &received, now, &fetched) {
            // It is another one each time, and each credential needs one at most.
            Judgement::Lacks(url) if matches.get_flag("fetch") => {
                let certificate = fetch(&url, outbound.clone())?;
                fetched.add(url, Arc::new(certificate));
            }
            Judgement::Lacks(url) => bail!(
                "the certificate at {url} is needed: fetch it with `--fetch`, or name it in the credential as `public_key`"
            ),
            judgement => break judgement,
        }
    };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", judgement.to_text(&name))?,
        Format::Json => writeln!(terminal.out, "{:#}", judgement.to_json(&name))?,
    }
    Ok(if judgement.is_accepted() { Verdict::Holds } else { Verdict::DoesNot })
}

/// As the door fetches it, once.
fn fetch(url: &str, policy: Policy) -> anyhow::Result<Certificate> {
    let policy = Policy { response_bytes: CERTIFICATE_BYTES, ..policy };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the system has no threads left")?;
    let certificate = runtime.block_on(async {
        let caller = Caller::new(policy, Clock::system());
        fetch_certificate(&caller, url).await
    });
    runtime.shutdown_background();
    certificate.map_err(|why| anyhow::anyhow!("the certificate at {url} could not be fetched: {why}"))
}

/// What the door would make of a request.
#[derive(Debug)]
enum Judgement {
    Accepted,
    Answered(HandshakeAnswer),
    Refused {
        word: &'static str,
        reason: String,
        hint: Option<String>,
    },
    /// There is no judgement without the certificate at this URL.
    Lacks(String),
}

impl Judgement {
    /// The guards in the order of the door.
    fn of(auth: &Auth, received: &Received, now: Timestamp, fetched: &Fetched) -> Self {
        let Received { head, body } = received;
        let asked = match auth.answer_head(head) {
            Ok(None) if auth.may_ping(head) => auth.answer_ping(head, in_file(body)),
            asked => asked,
        };
        let asked = match asked {
            Ok(None) => match auth.verify_with(received.clone(), now, fetched) {
                Ok(passed) => auth.answer_signed(&passed),
                Err(why) => match why.not_fetched() {
                    Some(url) => return Self::Lacks(url.to_owned()),
                    None => return Self::refused(&why, auth, (received, now, fetched)),
                },
            },
            asked => asked,
        };
        match asked {
            Ok(None) => Self::Accepted,
            Ok(Some(answer)) => Self::Answered(answer),
            Err(why) => Self::Refused { word: "handshake", reason: why.to_string(), hint: None },
        }
    }

    fn refused(why: &Unauthorized, auth: &Auth, case: (&Received, Timestamp, &Fetched)) -> Self {
        let word = why.word();
        let hint = (word == "mismatch").then(|| {
            altered(auth, case)
                .unwrap_or_else(|| "a wrong secret, or the body or the URL was altered on the way".into())
        });
        let reason = why.reason();
        let reason =
            auth.names().next().and_then(|name| reason.strip_prefix(&format!("{name}: "))).unwrap_or(&reason);
        Self::Refused { word, reason: reason.to_owned(), hint }
    }

    fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted | Self::Answered(_))
    }

    fn to_text(&self, name: &str) -> String {
        match self {
            Self::Accepted => format!("accepted by `{name}`\n"),
            Self::Answered(HandshakeAnswer { status, body, visit, .. }) => {
                let status = status.as_u16();
                let body = String::from_utf8_lossy(body);
                let visit = visit.as_ref().map(|url| format!("and a visit to {url}")).unwrap_or_default();
                format!("accepted by `{name}`: a handshake, answered with {status} {body}{visit}\n")
            }
            Self::Lacks(url) => format!("`{name}` needs the certificate at {url}\n"),
            Self::Refused { reason, hint: None, .. } => format!("refused by `{name}`: {reason}\n"),
            Self::Refused { reason, hint: Some(hint), .. } => {
                format!("refused by `{name}`: {reason}: {hint}\n")
            }
        }
    }

    fn to_json(&self, name: &str) -> Json {
        let (why, reason, hint) = match self {
            Self::Refused { word, reason, hint } => (Some(word), Some(reason), hint.as_ref()),
            Self::Accepted | Self::Answered(_) | Self::Lacks(_) => (None, None, None),
        };
        let handshake = match self {
            Self::Answered(answer) => json!({
                "status": answer.status.as_u16(),
                "body": String::from_utf8_lossy(&answer.body),
                "visit": answer.visit,
            }),
            Self::Accepted | Self::Refused { .. } | Self::Lacks(_) => Json::Null,
        };
        json!({
            "accepted": self.is_accepted(),
            "credential": name,
            "why": why,
            "reason": reason,
            "hint": hint,
            "handshake": handshake,
        })
    }
}

/// What a recorder, a proxy or a framework commonly alters, when undoing it makes the signature right.
fn altered(auth: &Auth, (received, now, fetched): (&Received, Timestamp, &Fetched)) -> Option<String> {
    let fits = |received: Received| auth.verify_with(received, now, fetched).is_ok();
    let head = &received.head;
    let base_url = &*head.base_url;
    let plain = base_url.strip_prefix("https://").map(|host| format!("http://{host}"));
    let other_scheme =
        plain.or_else(|| base_url.strip_prefix("http://").map(|host| format!("https://{host}")))?;
    let mut moved = received.clone();
    moved.head.base_url = other_scheme.into();
    let url = moved.head.url();
    if fits(moved) {
        return Some(format!("the URL was altered: the signature fits {url}"));
    }
    let sent = in_file(&received.body);
    let bodies = likely_bodies(sent);
    let found = bodies
        .into_iter()
        .find(|(_, body)| body != sent && fits(Received { head: head.clone(), body: body.clone().into() }));
    found.map(|(how, _)| format!("the body was altered: the signature fits it {how}"))
}

/// A recorded body, which is in memory.
fn in_file(body: &Body) -> &[u8] {
    body.held().map_or(&[], |bytes| bytes)
}

fn likely_bodies(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut bodies = vec![
        ("with a line feed at its end", [body, b"\n"].concat()),
        ("with CR LF at its end", [body, b"\r\n"].concat()),
    ];
    if let Some(less) = body.strip_suffix(b"\r\n").or_else(|| body.strip_suffix(b"\n")) {
        bodies.push(("without the line end at its end", less.to_vec()));
    }
    if let Ok(text) = std::str::from_utf8(body) {
        let unix = text.replace("\r\n", "\n");
        bodies.push(("with CR LF for every line end", unix.replace('\n', "\r\n").into_bytes()));
        bodies.push(("with LF for every line end", unix.into_bytes()));
    }
    if let Ok(json) = serde_json::from_slice::<Json>(body) {
        bodies.push(("as JSON without blanks", json.to_string().into_bytes()));
        bodies.push(("as JSON with a line for each value", format!("{json:#}").into_bytes()));
    }
    bodies
}

#[cfg(test)]
mod tests;
