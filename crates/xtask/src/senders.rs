//! `cargo xtask senders`: senders' own libraries sign requests and send them to the real program, and receivers' own
//! libraries verify what it delivers.
//!
//! The libraries come from two package registries, so this needs the network and is no part of the tests. Their versions stand
//! in `crates/xtask/senders`, beside the scripts that use them. Each request has to be accepted as it is and refused
//! with one byte altered.

use crate::packages;
use crate::tree::cargo;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Under which the senders know the service; several sign it.
const BASE_URL: &str = "https://hooks.example.com";
/// Good as text, as hexadecimal digits and as Base64.
const SECRET: &str = "5f3d9a41c7e2b86005f3d9a41c7e2b86aa17c0de5f3d9a41c7e2b860deadbe17";
const POLL: Duration = Duration::from_millis(50);
const POLLS: usize = 600;
/// The senders, each a preset and a flow; in a preset's name `-` and `_` are the same.
const SENDERS: &[&str] = &[
    "adyen-payments",
    "adyen-platform",
    "braintree",
    "contentful",
    "github",
    "hubspot-v1",
    "hubspot-v2",
    "hubspot-v3",
    "sanity",
    "shopify",
    "slack",
    "standard-webhooks",
    "stripe",
    "svix",
    "twilio-form",
    "twilio-form-sha256",
    "twilio-json",
    "workos",
];

/// Installs the libraries into a temporary folder, lets them send, and prints what became of it.
///
/// # Errors
/// When something cannot be installed or started. A request that was judged wrongly is an exit code.
pub fn run(root: &Path) -> Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let scripts = folder.path().join("senders");
    packages::copy(&root.join("crates/xtask/senders"), &scripts)?;
    let python = packages::install(&scripts, &["--ignore-scripts"])?.to_string_lossy().into_owned();
    let program = build(root)?;
    let service = Service::start(&program, &folder.path().join("project"))?;
    let told = json!({"address": service.addr, "base_url": BASE_URL, "secrets": secrets()}).to_string();
    let mut rows = say("node", &["send.mjs"], &scripts, &told)?;
    rows.extend(say(&python, &["send.py"], &scripts, &told)?);
    rows.extend(say("node", &["receive.mjs"], &scripts, &service.receiver(0))?);
    rows.extend(say(&python, &["receive.py"], &scripts, &service.receiver(1))?);
    println!("{}", table(&rows));
    let wrong: Vec<_> = rows.iter().flat_map(|row| row.wrong.iter().map(|why| (&row.flow, why))).collect();
    for (flow, why) in &wrong {
        println!("{flow}: {why}");
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build(root: &Path) -> Result<PathBuf> {
    packages::done("cargo", &["build", "-p", "hookflow", "--locked"], root)?;
    let metadata: Value =
        serde_json::from_str(&cargo(root, &["metadata", "--format-version=1", "--no-deps"])?)?;
    let target = metadata.get("target_directory").and_then(Value::as_str);
    Ok(Path::new(target.context("cargo metadata names no target folder")?).join("debug/hookflow"))
}

/// Each sender's secret, as its library wants it.
fn secrets() -> Value {
    let secret = |sender: &str| match sender {
        "standard-webhooks" | "svix" => format!("whsec_{SECRET}"),
        _ => SECRET.to_owned(),
    };
    SENDERS.iter().map(|sender| ((*sender).to_owned(), Value::from(secret(sender)))).collect()
}

/// The program on a folder of its own; ended when dropped.
struct Service {
    child: Child,
    addr: SocketAddr,
    ops: SocketAddr,
    /// Where the receivers of deliveries will listen.
    receivers: [SocketAddr; 2],
}

impl Service {
    fn start(program: &Path, folder: &Path) -> Result<Self> {
        let (addr, ops) = (free_port()?, free_port()?);
        let receivers = [free_port()?, free_port()?];
        write_project(folder, addr, ops)?;
        write_subscriptions(folder, receivers)?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--dir").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let mut service =
            Self { child: command.spawn().context("cannot start hookflow")?, addr, ops, receivers };
        for _ in 0..POLLS {
            if TcpStream::connect(addr).is_ok() {
                return Ok(service);
            }
            if let Some(status) = service.child.try_wait()? {
                bail!("hookflow ended with {status}");
            }
            sleep(POLL);
        }
        bail!("hookflow does not listen on {addr}");
    }
}

impl Service {
    /// What a script that receives is told.
    fn receiver(&self, n: usize) -> String {
        let port = self.receivers.get(n).map(SocketAddr::port);
        json!({"port": port, "ops": self.ops.to_string(), "secrets": receivers_secrets()}).to_string()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only when it has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn write_project(folder: &Path, addr: SocketAddr, ops: SocketAddr) -> Result<()> {
    let (config, flows) = (folder.join("config"), folder.join("flows"));
    fs::create_dir_all(&config)?;
    fs::create_dir_all(&flows)?;
    fs::write(folder.join("secret"), SECRET)?;
    let service = format!(
        "public: {{listen: '{addr}', base_url: '{BASE_URL}'}}\nops: {{listen: '{ops}'}}\noutbound: {{allow: [127.0.0.0/8]}}\n"
    );
    fs::write(config.join("hookflow.yaml"), service)?;
    let mut credentials = String::new();
    for sender in SENDERS {
        credentials
            .push_str(&format!("{sender}: {{type: hmac, preset: {sender}, secret: {{file: secret}}}}\n"));
        let flow = format!(
            "webhook: {{auth: {sender}}}\nsteps:\n  - respond: {{json: {{by: '${{ webhook.credential }}'}}}}\n"
        );
        fs::write(flows.join(format!("{sender}.yaml")), flow)?;
    }
    fs::write(config.join("credentials.yaml"), credentials)?;
    Ok(())
}

/// The secret of deliveries, and the one that it replaces.
fn receivers_secrets() -> [String; 2] {
    [format!("whsec_{SECRET}"), SECRET.chars().rev().collect()]
}

/// A subscription for each script that receives.
fn write_subscriptions(folder: &Path, receivers: [SocketAddr; 2]) -> Result<()> {
    let subscriptions = folder.join("config/subscriptions");
    fs::create_dir_all(&subscriptions)?;
    let [new, old] = receivers_secrets();
    fs::write(folder.join("new"), new)?;
    fs::write(folder.join("old"), old)?;
    for (name, receiver) in ["node", "python"].iter().zip(receivers) {
        let subscription = format!(
            "subscription: {name}\ncallback_url: http://{receiver}/\nevents: ['{name}.*']\nsignature: both\n\
             secrets: [{{file: new}}, {{file: old}}]\n"
        );
        fs::write(subscriptions.join(format!("{name}.yaml")), subscription)?;
    }
    Ok(())
}

/// What became of a library's requests.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    flow: String,
    library: String,
    requests: u64,
    accepted: u64,
    refused: u64,
    wrong: Vec<String>,
}

/// Runs a script that is told where to send what, and reads its lines.
fn say(program: &str, args: &[&str], folder: &Path, told: &str) -> Result<Vec<Row>> {
    let mut command = Command::new(program);
    let command = command.args(args).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    // Dropped at the end of the statement, so that the script sees the end.
    child.stdin.take().context("no standard input")?.write_all(told.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("failed: {program} {}", args.join(" "));
    }
    let lines = String::from_utf8(output.stdout).context("a script does not print text")?;
    let rows = lines.lines().map(|line| row(line).with_context(|| format!("a strange line: {line}")));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        bail!("{program} {} sent nothing", args.join(" "));
    }
    Ok(rows)
}

/// A script's line; a row in which the numbers do not add up names what is missing.
fn row(line: &str) -> Option<Row> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
    let number = |name: &str| line.get(name)?.as_u64();
    let (requests, accepted, refused) = (number("requests")?, number("accepted")?, number("refused")?);
    let mut wrong: Vec<_> =
        line.get("wrong")?.as_array()?.iter().map(|why| why.as_str().unwrap_or("?").to_owned()).collect();
    if requests == 0 || (wrong.is_empty() && (accepted, refused) != (requests, requests)) {
        wrong.push(format!("of {requests} requests {accepted} were accepted and {refused} refused"));
    }
    Some(Row { flow: text("flow")?, library: text("library")?, requests, accepted, refused, wrong })
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "| preset | library | requests | accepted | refused when altered |\n|---|---|---|---|---|".to_owned();
    for Row { flow, library, requests, accepted, refused, .. } in rows {
        let preset = flow.replace('-', "_");
        text.push_str(&format!("\n| `{preset}` | {library} | {requests} | {accepted} | {refused} |"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_add_up_is_wrong() {
        let line = |accepted: u64, refused: u64| {
            json!({"flow": "hubspot-v1", "library": "x 1", "requests": 2, "accepted": accepted, "refused": refused, "wrong": []})
                .to_string()
        };
        let sound = row(&line(2, 2)).unwrap();
        assert!(sound.wrong.is_empty());
        assert_eq!(table(&[sound]).lines().last(), Some("| `hubspot_v1` | x 1 | 2 | 2 | 2 |"));
        assert_eq!(row(&line(1, 2)).unwrap().wrong.len(), 1);
        assert_eq!(row(&line(2, 0)).unwrap().wrong.len(), 1);
        assert_eq!(row("{}"), None);
    }

    #[test]
    fn a_project_has_a_flow_and_a_credential_for_each_sender() {
        let folder = tempfile::tempdir().unwrap();
        let addr = "127.0.0.1:1".parse().unwrap();
        write_project(folder.path(), addr, addr).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("flows")).unwrap().count(), SENDERS.len());
        let credentials = fs::read_to_string(folder.path().join("config/credentials.yaml")).unwrap();
        assert_eq!(credentials.lines().count(), SENDERS.len());
        assert!(SENDERS.is_sorted());
    }
}
