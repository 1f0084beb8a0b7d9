//! `hookflow sign`: a request that its flow accepts, as a command to copy.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::named_credential::{NamedCredential, file, file_arg, name_arg};
use crate::project::{Project, SecretMode};
use crate::terminal::Terminal;
use crate::{listing, recorded_request};
use anyhow::{Context as _, ensure};
use clap::{Arg, ArgMatches, value_parser};
use hookflow_runtime::Clock;
use hookflow_text::Json;
use hookflow_trigger::Head;
use http::header::{CONTENT_TYPE, HeaderValue};
use std::fs;
use std::path::{Path, PathBuf};

pub(super) static COMMAND: Command =
    Command {
        name: "sign",
        about: "Signs a body as a credential's sender would, and prints the curl command that sends it",
        examples: "  hookflow sign shop --body order.json\n  \
               hookflow sign shop --body order.json --url https://hooks.example/hook/orders\n  \
               hookflow sign shop --body order.json --format json > request.json",
        args: |command| {
            command
                .arg(name_arg())
                .arg(
                    Arg::new("body")
                        .long("body")
                        .value_name("FILE")
                        .help("The body to send")
                        .required(true)
                        .value_parser(value_parser!(PathBuf)),
                )
                .arg(Arg::new("url").long("url").value_name("URL").help(
                    "Where to send it; without it, the URL of the first flow that takes the credential",
                ))
                .arg(
                    Arg::new("method")
                        .long("method")
                        .value_name("METHOD")
                        .help("The method")
                        .default_value("POST"),
                )
                .arg(
                    Arg::new("content-type")
                        .long("content-type")
                        .value_name("TYPE")
                        .help("The body's type; without it, what the body looks like"),
                )
                .arg(file_arg())
                .arg(dir_arg())
                .arg(format_arg())
        },
        run,
    };

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let NamedCredential { credential, base_url, .. } = NamedCredential::load(matches, terminal)?;
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let path = matches.get_one::<PathBuf>("body").map_or(Path::new(""), PathBuf::as_path);
    let body = fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let url = match text("url") {
        Some(url) => url.to_owned(),
        None => find_url(matches, credential.name(), &base_url, terminal)?,
    };
    ensure!(recorded_request::is_url(&url), "`{url}` is not a URL");
    let now = Clock::system().now();
    let mut head = recorded_request::head(text("method").unwrap_or("POST"), &url, &base_url, now)?;
    let content_type = text("content-type").unwrap_or_else(|| guess_type(&body));
    let content_type =
        HeaderValue::from_str(content_type).context("`--content-type` cannot stand in a header")?;
    head.headers.insert(CONTENT_TYPE, content_type);
    credential
        .sign(&mut head, &body, now)
        .with_context(|| format!("a request cannot be signed with `{}`", credential.name()))?;
    let curl = curl(&head, path);
    match format(matches) {
        Format::Text => writeln!(terminal.out, "{curl}")?,
        Format::Json => {
            let mut record = recorded_request::write(&head, &body);
            if let Json::Object(record) = &mut record {
                record.insert("curl".into(), curl.into());
            }
            writeln!(terminal.out, "{record:#}")?;
        }
    }
    Ok(Verdict::Holds)
}

/// The URL of the first flow that takes the credential.
fn find_url(
    matches: &ArgMatches,
    credential: &str,
    base_url: &str,
    terminal: &Terminal,
) -> anyhow::Result<String> {
    ensure!(file(matches).is_none(), "`--url` is needed: with `--credential-file` no flow is read");
    let project = Project::load(dir(matches), &terminal.environment, SecretMode::Invent)?;
    let lines = listing::lines(&project, base_url);
    let line = lines.into_iter().find(|line| line.auth.iter().any(|name| name == credential));
    Ok(line.with_context(|| format!("`--url` is needed: no flow takes the credential `{credential}`"))?.url)
}

fn guess_type(body: &[u8]) -> &'static str {
    if serde_json::from_slice::<Json>(body).is_ok() {
        return "application/json";
    }
    let in_form = |byte: &u8| byte.is_ascii_graphic() && !b"<>{}\"".contains(byte);
    if body.contains(&b'=') && body.iter().all(in_form) {
        "application/x-www-form-urlencoded"
    } else {
        "application/octet-stream"
    }
}

/// The command, for a POSIX shell.
fn curl(head: &Head, path: &Path) -> String {
    // Without `-g` curl reads brackets as a range.
    let mut text = format!("curl -g -X {} {}", head.method, quoted(&head.url()));
    for (name, value) in &head.headers {
        let header = format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        text.push_str(&format!(" \\\n  -H {}", quoted(&header)));
    }
    text.push_str(&format!(" \\\n  --data-binary {}", quoted(&format!("@{}", path.display()))));
    text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        let base_url = "https://hooks.example".into();
        let at = jiff::Timestamp::UNIX_EPOCH;
        let mut head = recorded_request::head("PUT", "/hook/a?b[c]=1", &base_url, at).unwrap();
        head.headers.insert("x-signature", HeaderValue::from_static("a'b $c"));
        assert_eq!(
            curl(&head, Path::new("my body.json")),
            "curl -g -X PUT 'https://hooks.example/hook/a?b[c]=1' \\\n  -H 'x-signature: a'\\''b $c' \\\n  \
             --data-binary '@my body.json'"
        );
    }

    #[test]
    fn a_body_shows_its_type() {
        for (body, expected) in [
            ("{\"a\": 1}", "application/json"),
            ("a=1&b=%20", "application/x-www-form-urlencoded"),
            ("<a b=\"1\"/>", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(guess_type(body.as_bytes()), expected, "{body}");
        }
    }
}
