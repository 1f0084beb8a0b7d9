//! `hookflow test`: runs the tests in flows, on the engine that serves, without a network and without waiting.

mod coverage;
mod differences;
mod judge;
mod junit;
mod show;

use crate::command::{Command, Verdict, dir, dir_arg};
use crate::project::{LoadedFlow, Project, SecretMode, with_deep_stack};
use crate::report;
use crate::rig::Rig;
use crate::terminal::Terminal;
use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use coverage::Coverage;
use differences::Difference;
use hookflow_flow::TestCase;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) static COMMAND: Command = Command {
    name: "test",
    about: "Runs the tests in flows, without any network and without waiting",
    examples: "  hookflow test\n  hookflow test orders --min-coverage 100\n  \
               hookflow test --format junit > tests.xml",
    args: |command| {
        command
            .arg(
                Arg::new("flows")
                    .value_name("FLOW")
                    .help("The flows to test; without any, all of them")
                    .action(ArgAction::Append),
            )
            .arg(
                Arg::new("min-coverage")
                    .long("min-coverage")
                    .value_name("PERCENT")
                    .help("Fail when the tests of a flow see less of its steps and branches than this")
                    .value_parser(value_parser!(u8).range(0..=100)),
            )
            .arg(
                Arg::new("junit")
                    .long("junit")
                    .value_name("FILE")
                    .help("Also write the results into a file, as JUnit's XML")
                    .value_parser(value_parser!(PathBuf)),
            )
            .arg(dir_arg())
            .arg(
                Arg::new("format")
                    .long("format")
                    .value_name("FORMAT")
                    .help("How the result is written")
                    .default_value("text")
                    .value_parser(["text", "json", "junit"]),
            )
    },
    run,
};

/// What came of all tests.
pub(super) struct Outcome {
    flows: Vec<FlowOutcome>,
    /// Flows without tests.
    untested: Vec<Arc<str>>,
}

struct FlowOutcome {
    flow: Arc<str>,
    tests: Vec<TestOutcome>,
    coverage: Coverage,
}

struct TestOutcome {
    name: String,
    /// `flows/orders.yaml`, the line and the column.
    place: (String, usize, usize),
    differences: Vec<Difference>,
    /// The steps that ran, in the order of the file.
    ran: Vec<Arc<str>>,
    /// On the turned clock.
    took: Duration,
}

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let folder = dir(matches);
    let project = Project::load(folder, &terminal.environment, SecretMode::Invent)?;
    report::write(&project.diagnostics, terminal)?;
    if project.diagnostics.has_errors() {
        return Ok(Verdict::DoesNot);
    }
    let mut chosen: Vec<&LoadedFlow> = Vec::new();
    for id in matches.get_many::<String>("flows").into_iter().flatten() {
        let Some(loaded) = project.flow(id) else {
            let near = project.nearest_flow(id).map(|near| format!(": did you mean `{near}`?"));
            bail!("there is no flow `{id}` in `{}`{}", folder.display(), near.unwrap_or_default());
        };
        chosen.push(loaded);
    }
    if chosen.is_empty() {
        chosen.extend(&project.flows);
    }
    let outcome = with_deep_stack(|| test(&project, &chosen))?;
    match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => writeln!(terminal.out, "{:#}", show::to_json(&outcome))?,
        Some("junit") => write!(terminal.out, "{}", junit::to_xml(&outcome))?,
        _ => write!(terminal.out, "{}", show::to_text(&outcome))?,
    }
    if let Some(path) = matches.get_one::<PathBuf>("junit") {
        let written = fs::write(path, junit::to_xml(&outcome));
        written.with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    let least = matches.get_one::<u8>("min-coverage").copied().unwrap_or(0);
    let short = outcome.short_of(usize::from(least));
    for flow in &short {
        writeln!(terminal.err, "hookflow test: the tests of `{flow}` see less than {least} % of it")?;
    }
    Ok(if outcome.failed() > 0 || !short.is_empty() { Verdict::DoesNot } else { Verdict::Holds })
}

/// Runs every test of some flows.
fn test(project: &Project, chosen: &[&LoadedFlow]) -> Outcome {
    let rig = Rig::new(project);
    let mut coverages: Vec<_> = chosen.iter().map(|loaded| Coverage::of(&loaded.flow)).collect();
    let mut flows = Vec::new();
    for loaded in chosen {
        let mut tests = Vec::new();
        for case in &loaded.flow.tests {
            let (outcome, runs) = test_one(&rig, loaded, case);
            for run in &runs {
                for coverage in &mut coverages {
                    coverage.add(run);
                }
            }
            tests.push(outcome);
        }
        flows.push((Arc::clone(&loaded.flow.id), tests));
    }
    let outcomes = flows.into_iter().zip(coverages);
    let mut outcome = Outcome { flows: Vec::new(), untested: Vec::new() };
    for ((flow, tests), coverage) in outcomes {
        if tests.is_empty() {
            outcome.untested.push(Arc::clone(&flow));
        }
        outcome.flows.push(FlowOutcome { flow, tests, coverage });
    }
    outcome
}

fn test_one(rig: &Rig<'_>, loaded: &LoadedFlow, case: &TestCase) -> (TestOutcome, Vec<crate::rig::RanRun>) {
    let position = case.span.position();
    let place = (case.span.source.name.clone(), position.line, position.column);
    let mut outcome = TestOutcome {
        name: case.name.clone(),
        place,
        differences: Vec::new(),
        ran: Vec::new(),
        took: Duration::ZERO,
    };
    let ran = match rig.run(loaded, case) {
        Ok(ran) => ran,
        Err(why) => {
            outcome.differences.push(Difference::problem(format!("{why:#}")));
            return (outcome, Vec::new());
        }
    };
    outcome.differences = judge::judge(&case.expect, &ran, rig.integrations());
    if let Some(own) = &ran.own {
        outcome.ran = judge::steps_that_ran(own);
        outcome.took = own.took;
    }
    (outcome, ran.own.into_iter().chain(ran.others).collect())
}

impl Outcome {
    fn tests(&self) -> impl Iterator<Item = &TestOutcome> {
        self.flows.iter().flat_map(|flow| &flow.tests)
    }

    fn failed(&self) -> usize {
        self.tests().filter(|test| !test.differences.is_empty()).count()
    }

    /// The flows of which the tests see less than so many percent.
    fn short_of(&self, percent: usize) -> Vec<&Arc<str>> {
        let short = self.flows.iter().filter(|flow| flow.coverage.percent() < percent);
        short.map(|flow| &flow.flow).collect()
    }
}
