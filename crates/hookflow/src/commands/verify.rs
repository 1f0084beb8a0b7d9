//! `hookflow verify`: judges a recorded request as the door would, and says why.

use crate::command::{Command, Format, Verdict, dir_arg, format, format_arg};
use crate::named_credential::{NamedCredential, file_arg, name_arg};
use crate::recorded_request;
use crate::terminal::Terminal;
use anyhow::Context as _;
use clap::{Arg, ArgMatches, value_parser};
use hookflow_runtime::Clock;
use hookflow_text::Json;
use hookflow_trigger::{Auth, HandshakeAnswer, Received, Unauthorized};
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
               hookflow verify shop --request request.json --credential-file credentials.yaml",
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
            .arg(file_arg())
            .arg(dir_arg())
            .arg(format_arg())
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let NamedCredential { credential, base_url } = NamedCredential::load(matches, terminal)?;
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
    let judgement = Judgement::of(&Auth::by(credential), &received, now);
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", judgement.to_text(&name))?,
        Format::Json => writeln!(terminal.out, "{:#}", judgement.to_json(&name))?,
    }
    Ok(if judgement.is_accepted() { Verdict::Holds } else { Verdict::DoesNot })
}

/// What the door would make of a request.
#[derive(Debug)]
enum Judgement {
    Accepted,
    Answered(HandshakeAnswer),
    Refused { word: &'static str, reason: String, hint: Option<String> },
}

impl Judgement {
    /// The guards in the order of the door.
    fn of(auth: &Auth, received: &Received, now: Timestamp) -> Self {
        let Received { head, body } = received;
        let asked = match auth.answer_head(head) {
            Ok(None) if auth.may_ping(head) => auth.answer_ping(head, body),
            asked => asked,
        };
        let asked = match asked {
            Ok(None) => match auth.verify(received.clone(), now) {
                Ok(passed) => auth.answer_signed(&passed),
                Err(why) => return Self::refused(&why, auth, received, now),
            },
            asked => asked,
        };
        match asked {
            Ok(None) => Self::Accepted,
            Ok(Some(answer)) => Self::Answered(answer),
            Err(why) => Self::Refused { word: "handshake", reason: why.to_string(), hint: None },
        }
    }

    fn refused(why: &Unauthorized, auth: &Auth, received: &Received, now: Timestamp) -> Self {
        let word = why.word();
        let hint = (word == "mismatch").then(|| {
            altered(auth, received, now)
                .unwrap_or_else(|| "a wrong secret, or the body or the URL was altered on the way".into())
        });
        let reason = why.reason();
        let reason =
            auth.names().next().and_then(|name| reason.strip_prefix(&format!("{name}: "))).unwrap_or(&reason);
        Self::Refused { word, reason: reason.to_owned(), hint }
    }

    fn is_accepted(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    fn to_text(&self, name: &str) -> String {
        match self {
            Self::Accepted => format!("accepted by `{name}`\n"),
            Self::Answered(HandshakeAnswer { status, body, .. }) => {
                let status = status.as_u16();
                let body = String::from_utf8_lossy(body);
                format!("accepted by `{name}`: a handshake, answered with {status} {body}\n")
            }
            Self::Refused { reason, hint: None, .. } => format!("refused by `{name}`: {reason}\n"),
            Self::Refused { reason, hint: Some(hint), .. } => {
                format!("refused by `{name}`: {reason}: {hint}\n")
            }
        }
    }

    fn to_json(&self, name: &str) -> Json {
        let (why, reason, hint) = match self {
            Self::Refused { word, reason, hint } => (Some(word), Some(reason), hint.as_ref()),
            Self::Accepted | Self::Answered(_) => (None, None, None),
        };
        let handshake = match self {
            Self::Answered(answer) => json!({
                "status": answer.status.as_u16(),
                "body": String::from_utf8_lossy(&answer.body),
            }),
            Self::Accepted | Self::Refused { .. } => Json::Null,
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
fn altered(auth: &Auth, received: &Received, now: Timestamp) -> Option<String> {
    let fits = |received: Received| auth.verify(received, now).is_ok();
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
    let bodies = likely_bodies(&received.body);
    let found = bodies.into_iter().find(|(_, body)| {
        *body != *received.body && fits(Received { head: head.clone(), body: body.clone().into() })
    });
    found.map(|(how, _)| format!("the body was altered: the signature fits it {how}"))
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
