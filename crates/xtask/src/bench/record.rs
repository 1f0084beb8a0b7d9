//! What was measured in all runs of a command: as Markdown, as JSON, as a picture.

use super::goal::Goal;
use super::options::Options;
use super::picture;
use serde_json::{Value, json};
use std::fmt;
use std::fs;
use std::io;

const HEAD: &str = "server | requests/s, median (min–max) | last to this | p50 ms | p99 ms | p99.9 ms | run/s | refused | start ms | idle MiB |";
const RULE: &str = "---|---|---|---|---|---|---|---|---|---|";

/// What came of a scene in one run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) scene: &'static str,
    /// The judged server's rate over that of each of the others, by name.
    pub(super) ratios: Vec<(&'static str, f64)>,
    pub(super) goals: Vec<Goal>,
    /// Whether all answers were right, and every accepted event has a run that succeeded.
    pub(super) is_sound: bool,
    /// Of the table, one for each server, without the first stroke.
    pub(super) lines: Vec<String>,
    /// Of this scene alone.
    pub(super) json: Value,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {HEAD}\n|{RULE}")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "| {line}"))?;
        for goal in &self.goals {
            writeln!(f, "\ntarget, {}: {}: {}", goal.what, goal.asked(), goal.told())?;
        }
        Ok(())
    }
}

/// The same scenes in each run.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) runs: Vec<Vec<Outcome>>,
}

impl Record {
    pub(super) fn is_good(&self) -> bool {
        let good = |outcome: &Outcome| outcome.is_sound && outcome.goals.iter().all(Goal::is_reached);
        self.runs.iter().flatten().all(good)
    }

    /// The targets and what came of them in each run, as a table; and which scenes were not sound.
    pub(super) fn summary(&self) -> String {
        let (mut lines, mut all, mut kept) = (String::new(), 0, 0);
        for (place, outcome) in self.runs.first().into_iter().flatten().enumerate() {
            for (nth, goal) in outcome.goals.iter().enumerate() {
                let each = self.goal(place, nth);
                all += 1;
                kept += usize::from(each.iter().all(|goal| goal.is_reached()));
                let told: Vec<String> = each.iter().map(|goal| goal.told()).collect();
                let name = if goal.what == "rate" { String::new() } else { format!(": {}", goal.what) };
                lines +=
                    &format!("| `{}`{name} | {} | {} |\n", outcome.scene, goal.asked(), told.join(" | "));
            }
        }
        let mut text = String::new();
        if all > 0 {
            let numbers = 1..=self.runs.len();
            let runs = numbers.fold(String::new(), |text, number| text + &format!(" run {number} |"));
            text +=
                &format!("| target | asked |{runs}\n|---|---|{}\n{lines}\n", "---|".repeat(self.runs.len()));
            text += &format!("Reached in each of {} runs: {kept} of {all} targets.\n", self.runs.len());
        }
        for (number, run) in (1..).zip(&self.runs) {
            for outcome in run.iter().filter(|outcome| !outcome.is_sound) {
                text += &format!(
                    "Run {number}, `{}`: answers or runs were not as they should be.\n",
                    outcome.scene
                );
            }
        }
        text
    }

    /// One goal of one scene in each run.
    pub(super) fn goal(&self, place: usize, nth: usize) -> Vec<&Goal> {
        self.runs.iter().filter_map(|run| run.get(place)?.goals.get(nth)).collect()
    }

    /// Into the files that were asked for.
    pub(super) fn write(&self, options: &Options) -> io::Result<()> {
        if let Some(file) = &options.markdown {
            fs::write(file, self.markdown())?;
        }
        if let Some(file) = &options.json {
            let json = json!({
                "rounds": options.rounds,
                "seconds": options.duration.as_secs(),
                "connections": options.connections,
                "runs": self.runs.iter().map(|run| run.iter().map(scene).collect()).collect::<Vec<Value>>(),
            });
            fs::write(file, format!("{json:#}\n"))?;
        }
        if let Some(file) = &options.svg {
            fs::write(file, picture::draw(self))?;
        }
        Ok(())
    }

    fn markdown(&self) -> String {
        let mut text = self.summary();
        for (number, run) in (1..).zip(&self.runs) {
            text += &format!(
                "\nRun {number}. `last to this` is the rate of the scene's last server as a share of this one's.\n\n"
            );
            text += &format!("| scene | {HEAD}\n|---|{RULE}\n");
            for outcome in run {
                for (nth, line) in outcome.lines.iter().enumerate() {
                    let name = if nth == 0 { format!("`{}`", outcome.scene) } else { String::new() };
                    text += &format!("| {name} | {line}\n");
                }
            }
            text += &figures(run);
        }
        text
    }
}

/// What was measured without a load.
fn figures(run: &[Outcome]) -> String {
    let figures = run.iter().filter_map(|outcome| outcome.json.get("figures")?.as_array()).flatten();
    let line = |figure: &Value| {
        let text = |key| figure.get(key).and_then(Value::as_str);
        Some(format!("| {} | {:.2} {} |\n", text("name")?, figure.get("value")?.as_f64()?, text("unit")?))
    };
    let lines: String = figures.filter_map(line).collect();
    if lines.is_empty() { lines } else { format!("\n| what | figure |\n|---|---|\n{lines}") }
}

fn scene(outcome: &Outcome) -> Value {
    let mut json = json!({
        "scene": outcome.scene,
        "sound": outcome.is_sound,
        "goals": outcome.goals.iter().map(Goal::json).collect::<Vec<_>>(),
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut json, &outcome.json) {
        all.extend(own.clone());
    }
    json
}

#[cfg(test)]
mod tests {
    use super::super::goal::Asked;
    use super::*;

    fn outcome(scene: &'static str, measured: f64) -> Outcome {
        Outcome {
            scene,
            ratios: vec![("bare", measured)],
            goals: vec![Goal { what: "rate", measured, asked: Asked::AtLeast(0.45) }],
            is_sound: true,
            lines: vec!["bare | 1 |".into(), "hookflow | 2 |".into()],
            json: json!({"figures": [{"name": "idle", "value": 1.5, "unit": "MiB"}]}),
        }
    }

    #[test]
    fn a_target_that_was_missed_once_is_not_reached() {
        let mut record = Record { runs: vec![vec![outcome("door", 0.5)], vec![outcome("door", 0.45)]] };
        assert!(record.is_good());
        record.runs.push(vec![outcome("door", 0.44)]);
        assert!(!record.is_good());
        let table = record.summary();
        assert!(
            table.contains("| `door` | ≥ 0.45 | 0.50, reached | 0.45, reached | 0.44, **missed** |"),
            "{table}"
        );
        assert!(table.contains("in each of 3 runs: 0 of 1 targets"), "{table}");
    }

    #[test]
    fn wrong_answers_are_no_success() {
        let record = Record { runs: vec![vec![Outcome { is_sound: false, ..outcome("door", 0.5) }]] };
        assert!(!record.is_good());
        assert!(record.summary().contains("Run 1, `door`: answers"), "{}", record.summary());
    }

    #[test]
    fn the_files_hold_all_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let mut options = Options::parse(&["door"]).unwrap();
        (options.markdown, options.json, options.svg) = (Some(path("m")), Some(path("j")), Some(path("s")));
        let record = Record { runs: vec![vec![outcome("door", 0.5)], vec![outcome("door", 0.4)]] };
        record.write(&options).unwrap();
        let read = |name| fs::read_to_string(path(name)).unwrap();
        let json: Value = serde_json::from_str(&read("j")).unwrap();
        assert_eq!(json.pointer("/runs/1/0/goals/0/reached"), Some(&json!(false)));
        assert_eq!(json.pointer("/runs/0/0/scene"), Some(&json!("door")));
        let markdown = read("m");
        assert!(markdown.contains("| `door` | bare | 1 |\n|  | hookflow | 2 |\n"), "{markdown}");
        assert!(markdown.contains("Run 2.") && markdown.contains("| idle | 1.50 MiB |"), "{markdown}");
        assert!(read("s").starts_with("<svg "));
    }
}
