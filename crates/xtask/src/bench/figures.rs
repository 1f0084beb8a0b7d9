//! What hookflow takes when nothing happens, and what each thing that it holds takes more.

use super::contender::Contender;
use super::goal::{Asked, Goal};
use super::project::{Project, Store};
use super::record::Outcome;
use super::request;
use super::scenes::{self, MAP, PLAIN, Payload, Program, Scene, Server};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

const STARTS: usize = 5;
const IDLE: Duration = Duration::from_secs(10);
const CONNECTIONS: u64 = 1000;
/// Fewer than the engine holds of a flow at once: the others would lie in the store only.
const EVENTS: u64 = 900;
const WAITING: u64 = 10_000;
const FLOWS: u64 = 1000;

/// One of what hookflow holds a thousand of.
const STUCK: &str = "steps:\n  - http: {url: '{service}/never', method: POST}\n";
const WAIT: &str = "steps:\n  - wait: {auth: none, timeout: 1h}\n";
const ONE_WORKER: &str = "queue: {workers: 1, capacity: 2000}\n";

/// A figure, and what it should stay below.
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    limit: Option<f64>,
}

/// Prints them.
pub(super) fn measure(release: &Path, parent: &Path) -> Result<Outcome> {
    let bench = Bench { release, parent };
    let mut figures = bench.idle()?;
    figures.push(bench.start()?);
    figures.push(bench.flow()?);
    figures.push(bench.connection()?);
    figures.push(bench.held("a queued event of 1 KiB", ONE_WORKER, STUCK, EVENTS)?);
    figures.push(bench.held("a waiting run", "", WAIT, WAITING)?);
    println!("| what | figure | limit |\n|---|---|---|");
    for Figure { name, value, unit, limit } in &figures {
        let limit = limit.map_or_else(|| "–".to_owned(), |limit| format!("{limit} {unit}"));
        println!("| {name} | {value:.2} {unit} | {limit} |");
    }
    println!();
    let goal = |figure: &Figure| {
        Some(Goal {
            what: figure.name,
            measured: figure.value,
            asked: Asked::Below(figure.limit?, figure.unit),
        })
    };
    let json = |figure: &Figure| json!({"name": figure.name, "value": figure.value, "unit": figure.unit});
    Ok(Outcome {
        scene: "figures",
        ratios: Vec::new(),
        goals: figures.iter().filter_map(goal).collect(),
        is_sound: true,
        lines: Vec::new(),
        json: json!({"figures": figures.iter().map(json).collect::<Vec<_>>()}),
    })
}

struct Bench<'a> {
    release: &'a Path,
    parent: &'a Path,
}

impl Bench<'_> {
    fn contender(&self, project: Project, answer: &'static str) -> Result<Contender> {
        let server = Server { name: "hookflow", program: Program::Hookflow(project), crowd: 1 };
        let scene = Scene {
            name: "figures",
            about: "",
            answer: scenes::Answer { status: if answer.is_empty() { 202 } else { 200 }, text: answer },
            load: PLAIN,
            target: scenes::Target::None,
            servers: &[],
        };
        Contender::new(&server, &scene, self.release, self.parent)
    }

    fn plain(&self, flows: usize) -> Result<Contender> {
        self.contender(Project { store: Store::Sqlite, keys: "", steps: MAP, flows }, "Ada")
    }

    fn idle(&self) -> Result<Vec<Figure>> {
        let contender = self.plain(10)?;
        let before = contender.ticks()?;
        std::thread::sleep(IDLE);
        let ticks = contender.ticks()?.saturating_sub(before);
        let limit = |value| Some(value);
        Ok(vec![
            Figure {
                name: "memory, idle with 10 flows",
                value: number(contender.idle_kib) / 1024.0,
                unit: "MiB",
                limit: limit(20.0),
            },
            Figure {
                name: "processor, idle with 10 flows",
                value: number(ticks) / IDLE.as_secs_f64(),
                unit: "%",
                limit: limit(0.2),
            },
        ])
    }

    fn start(&self) -> Result<Figure> {
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(self.plain(100)?.start);
        }
        starts.sort_unstable();
        let median = starts.get(STARTS / 2).context("no start")?;
        Ok(Figure {
            name: "start to the first right answer, 100 flows",
            value: median.as_secs_f64() * 1000.0,
            unit: "ms",
            limit: Some(100.0),
        })
    }

    fn flow(&self) -> Result<Figure> {
        let few = self.plain(1)?.idle_kib;
        let many = self.plain(usize::try_from(FLOWS)? + 1)?.idle_kib;
        Ok(each("a loaded flow of one step with three expressions", few, many, FLOWS))
    }

    fn connection(&self) -> Result<Figure> {
        let contender = self.plain(1)?;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(send(&contender, 1)?);
        }
        Ok(each(
            "an idle connection that has sent a request",
            contender.idle_kib,
            contender.resident_kib()?,
            CONNECTIONS,
        ))
    }

    fn held(
        &self,
        name: &'static str,
        keys: &'static str,
        steps: &'static str,
        count: u64,
    ) -> Result<Figure> {
        let contender = self.contender(Project { store: Store::Sqlite, keys, steps, flows: 1 }, "")?;
        send(&contender, count)?;
        let mut ticks = contender.ticks()?;
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = contender.ticks()?;
            if now <= ticks + 1 {
                return Ok(each(name, contender.idle_kib, contender.resident_kib()?, count));
            }
            ticks = now;
        }
    }
}

/// Sends the request so often on one connection, which stays open.
pub(super) fn send(contender: &Contender, count: u64) -> Result<TcpStream> {
    let (address, path) = super::contender::parts(&contender.url).context("no address")?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let body = Payload::Json(1024).body();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nX-Signature: {}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        request::signature(&body),
        body.len()
    );
    let mut answer = [0; 4096];
    for _ in 0..count {
        stream.write_all(request.as_bytes())?;
        // An answer of this size comes in one piece.
        let read = stream.read(&mut answer)?;
        let head = answer.get(..read).unwrap_or_default();
        anyhow::ensure!(head.starts_with(b"HTTP/1.1 20"), "refused: {}", String::from_utf8_lossy(head));
    }
    Ok(stream)
}

fn each(name: &'static str, before: u64, after: u64, count: u64) -> Figure {
    let value = number(after.saturating_sub(before)) / number(count);
    Figure { name, value, unit: "KiB", limit: None }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
