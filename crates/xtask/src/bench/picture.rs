//! What was measured as one picture: a bar for each scene, and what is asked of it as a line across.

use super::goal::{Asked, Goal};
use super::record::{Outcome, Record};
use std::fmt::{self, Write as _};

const WIDTH: f64 = 1060.0;
/// Where bars begin.
const LEFT: f64 = 310.0;
/// How long a bar of the panel's full length is.
const FULL: f64 = 400.0;
/// Beyond it, a longer bar ends.
const MOST: f64 = 1.1;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;

/// Ink on paper of its own, so that it can be read on a dark page, too.
const STYLE: &str = "<style>\
    .paper{fill:#ffffff}.ink{fill:#1f2328;stroke:#ffffff;stroke-width:4;paint-order:stroke}.head{fill:#1f2328;font-weight:bold}.faint{fill:#59636e}\
    .bar{fill:#3b82c4}.missed{fill:#d9822b}.asked{stroke:#1f2328;stroke-width:3}.spread{stroke:#1f2328;stroke-width:1}\
    .one{stroke:#c4c9cf;stroke-width:1}.other{fill:#ffffff;stroke:#1f2328;stroke-width:1.5}\
    @media (prefers-color-scheme: dark){.paper{fill:#0d1117}.ink,.head{fill:#e6edf3}.ink{stroke:#0d1117}.faint{fill:#9198a1}\
    .asked,.spread{stroke:#e6edf3}.one{stroke:#3d444d}.other{fill:#0d1117;stroke:#e6edf3}}</style>";

/// Bars that can be compared.
struct Panel {
    title: &'static str,
    /// What a bar of full length stands for.
    full: f64,
    bars: Vec<Bar>,
}

struct Bar {
    name: String,
    /// Of each run.
    values: Vec<f64>,
    asked: Option<f64>,
    /// What other servers of the scene reach.
    others: Vec<f64>,
    /// In so many runs.
    missed: usize,
    label: String,
}

/// SVG of all runs: the bar is the median of them.
pub(super) fn draw(record: &Record) -> String {
    let (mut body, mut y) = (String::new(), 8.0);
    for panel in panels(record).iter().filter(|panel| !panel.bars.is_empty()) {
        y = panel.draw(&mut body, y);
    }
    let spread = match record.runs.len() {
        1 => String::new(),
        runs => format!("; bars are medians of {runs} runs, thin lines the least and the most"),
    };
    y += 14.0;
    put(
        &mut body,
        format_args!(
            "<text class=\"faint\" x=\"16\" y=\"{y}\">A thick line is what is asked, a ring another server of the scene; orange is missed{spread}.</text>"
        ),
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>What the bench has measured, beside what is asked</title>\n{STYLE}\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n{body}</svg>\n",
        height = y + 14.0
    )
}

fn panels(record: &Record) -> [Panel; 3] {
    let (mut shares, mut multiples, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    let scenes = record.runs.first().map_or(&[][..], Vec::as_slice);
    for (place, Outcome { scene, goals, .. }) in scenes.iter().enumerate() {
        let below: Vec<Bar> =
            (0..goals.len()).filter_map(|nth| limit(scene, &record.goal(place, nth))).collect();
        // A fixed rate is no share of anything.
        if below.is_empty()
            && let Some(bar) = ratio(record, place)
        {
            if bar.length() > 2.0 { multiples.push(bar) } else { shares.push(bar) }
        }
        limits.extend(below);
    }
    let title = "Requests per second, as a multiple of the fastest server beside it";
    let full = multiples.iter().map(Bar::length).fold(1.0, f64::max);
    [
        Panel {
            title: "Requests per second, as a share of the fastest server beside it",
            full: 1.0,
            bars: shares,
        },
        Panel { title, full, bars: multiples },
        Panel { title: "What should stay below its limit, as a share of it", full: 1.0, bars: limits },
    ]
}

/// The judged server beside the fastest of the others.
fn ratio(record: &Record, place: usize) -> Option<Bar> {
    let outcomes: Vec<&Outcome> = record.runs.iter().filter_map(|run| run.get(place)).collect();
    let first = outcomes.first()?;
    let of = |nth: usize| -> Vec<f64> {
        outcomes.iter().filter_map(|outcome| outcome.ratios.get(nth)).map(|(_, ratio)| *ratio).collect()
    };
    let bases: Vec<_> = first.ratios.iter().enumerate().map(|(nth, (name, _))| (*name, of(nth))).collect();
    let (fastest, values) = bases.iter().min_by(|one, other| median(&one.1).total_cmp(&median(&other.1)))?;
    let value = median(values);
    let of = if value > 2.0 { "times" } else { "of" };
    let others = bases.iter().filter(|(name, _)| name != fastest).map(|(_, of)| value / median(of));
    let goals: Vec<&Goal> = outcomes.iter().filter_map(|outcome| outcome.goals.first()).collect();
    let asked = goals.first().and_then(|goal| match goal.asked {
        Asked::AtLeast(least) => Some(least),
        Asked::Below(..) => None,
    });
    Some(Bar {
        name: first.scene.to_owned(),
        asked,
        others: others.collect(),
        missed: missed(&goals),
        label: format!("{value:.2} {of} {fastest}"),
        values: values.clone(),
    })
}

/// One goal that has a limit, in each run.
fn limit(scene: &str, goals: &[&Goal]) -> Option<Bar> {
    let first = goals.first()?;
    let Asked::Below(most, unit) = first.asked else { return None };
    let measured: Vec<f64> = goals.iter().map(|goal| goal.measured).collect();
    let name = if scene == "figures" { first.what.to_owned() } else { format!("{scene}, {}", first.what) };
    Some(Bar {
        name,
        asked: Some(1.0),
        others: Vec::new(),
        missed: missed(goals),
        label: format!("{:.2} of {most} {unit}", median(&measured)),
        values: measured.iter().map(|value| value / most).collect(),
    })
}

impl Panel {
    /// Where the next one begins.
    fn draw(&self, svg: &mut String, top: f64) -> f64 {
        let mut y = top + 20.0;
        put(svg, format_args!("<text class=\"head\" x=\"16\" y=\"{y}\">{}</text>", self.title));
        y += 14.0;
        let (one, bottom) = (self.at(1.0), self.bars.iter().fold(y, |y, _| y + ROW));
        put(svg, format_args!("<path class=\"one\" d=\"M{one:.1} {}V{}\"/>", y - 4.0, bottom - 4.0));
        for bar in &self.bars {
            self.draw_bar(svg, bar, y);
            y += ROW;
        }
        y
    }

    fn draw_bar(&self, svg: &mut String, bar: &Bar, y: f64) {
        let (end, middle, text) = (self.at(median(&bar.values)), y + BAR / 2.0, y + 13.0);
        let class = if bar.missed > 0 { "missed" } else { "bar" };
        put(
            svg,
            format_args!(
                "<text class=\"ink\" x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\"/>",
                LEFT - 10.0,
                bar.name,
                end - LEFT
            ),
        );
        let mut right = end;
        let (least, most) = (least(&bar.values), most(&bar.values));
        if bar.values.len() > 1 {
            right = right.max(self.at(most));
            put(
                svg,
                format_args!(
                    "<path class=\"spread\" d=\"M{:.1} {middle}H{:.1}\"/>",
                    self.at(least),
                    self.at(most)
                ),
            );
        }
        for other in &bar.others {
            right = right.max(self.at(*other) + 5.0);
            put(
                svg,
                format_args!(
                    "<circle class=\"other\" cx=\"{:.1}\" cy=\"{middle}\" r=\"4\"/>",
                    self.at(*other)
                ),
            );
        }
        if let Some(asked) = bar.asked {
            let x = self.at(asked);
            right = right.max(x);
            put(svg, format_args!("<path class=\"asked\" d=\"M{x:.1} {}V{}\"/>", y - 3.0, y + BAR + 3.0));
        }
        let missed = match (bar.missed, bar.values.len()) {
            (0, _) => String::new(),
            (_, 1) => ", missed".to_owned(),
            (missed, runs) => format!(", missed in {missed} of {runs}"),
        };
        put(
            svg,
            format_args!(
                "<text class=\"ink\" x=\"{:.1}\" y=\"{text}\">{}{missed}</text>",
                right + 8.0,
                bar.label
            ),
        );
    }

    fn at(&self, value: f64) -> f64 {
        (value / self.full).clamp(0.0, MOST).mul_add(FULL, LEFT)
    }
}

impl Bar {
    /// To the further of what was measured and what is asked.
    fn length(&self) -> f64 {
        self.asked.unwrap_or_default().max(median(&self.values))
    }
}

fn missed(goals: &[&Goal]) -> usize {
    goals.iter().filter(|goal| !goal.is_reached()).count()
}

fn put(svg: &mut String, line: fmt::Arguments<'_>) {
    // A string takes all that is written to it.
    let _infallible = writeln!(svg, "{line}");
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    at(sorted.len() / 2).midpoint(at(sorted.len().saturating_sub(1) / 2))
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn outcome(scene: &'static str, ratios: &[(&'static str, f64)], goals: Vec<Goal>) -> Outcome {
        let (ratios, json) = (ratios.to_vec(), Value::Null);
        Outcome { scene, ratios, goals, is_sound: true, lines: Vec::new(), json }
    }

    fn goal(what: &'static str, measured: f64, asked: Asked) -> Goal {
        Goal { what, measured, asked }
    }

    #[test]
    fn a_bar_is_as_long_as_the_ratio_to_the_fastest_and_what_is_asked_crosses_it() {
        let run = |ratio| {
            let goals = vec![goal("rate", ratio, Asked::AtLeast(0.45))];
            vec![
                outcome("async", &[("one file", 2.0 * ratio), ("bare", ratio)], goals),
                outcome("none", &[], vec![]),
            ]
        };
        let svg = draw(&Record { runs: vec![run(0.5), run(0.6), run(0.4)] });
        assert!(svg.contains("class=\"missed\" x=\"310\" y=\"42\" width=\"200.0\""), "{svg}");
        assert!(
            svg.contains("class=\"asked\" d=\"M490.0 ") && svg.contains(">0.50 of bare, missed in 1 of 3<"),
            "{svg}"
        );
        assert!(svg.contains("class=\"spread\" d=\"M470.0 50H550.0\""), "{svg}");
        // Half as fast as the fastest.
        assert!(svg.contains("class=\"other\" cx=\"510.0\""), "{svg}");
        assert!(!svg.contains("none<") && !svg.contains("multiple"), "{svg}");
    }

    #[test]
    fn multiples_and_limits_have_panels_of_their_own() {
        let slow = goal("p99", 30.0, Asked::Below(5.0, "ms"));
        let by_hand = vec![goal("rate", 8.0, Asked::AtLeast(4.0))];
        let run = vec![
            outcome("hand", &[("Express", 8.0)], by_hand),
            outcome("paced", &[("bare", 1.0)], vec![goal("p50", 0.5, Asked::Below(1.0, "ms")), slow]),
        ];
        let svg = draw(&Record { runs: vec![run] });
        assert!(svg.contains(">8.00 times Express<") && svg.contains("width=\"400.0\""), "{svg}");
        assert!(svg.contains(">paced, p50<") && svg.contains(">0.50 of 1 ms<"), "{svg}");
        // Bars beyond the panel end at its edge.
        assert!(svg.contains(">30.00 of 5 ms, missed<") && svg.contains("width=\"440.0\""), "{svg}");
        assert!(!svg.contains("share of the fastest") && !svg.contains("of 1 runs"), "{svg}");
    }
}
