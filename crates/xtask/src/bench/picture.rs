//! The ratios of all scenes as one picture: a bar each, the target as a line across it.

use serde_json::Value;
use std::fmt::Write as _;

const LEFT: f64 = 190.0;
/// Pixels for a ratio of 1.
const SCALE: f64 = 420.0;
const ROW: f64 = 26.0;

/// SVG, from the JSON of the scenes. A scene's ratio is that to the first of the others.
pub(super) fn draw(scenes: &[Value]) -> String {
    let mut bars = String::new();
    let mut y = 10.0;
    for scene in scenes {
        let Some((base, ratio)) = first(scene) else { continue };
        let name = scene.get("scene").and_then(Value::as_str).unwrap_or_default();
        let width = (ratio * SCALE).min(SCALE * 1.1);
        let (text, past) = (y + 14.0, LEFT + width + 6.0);
        // A string takes all that is written to it.
        let _infallible = writeln!(
            bars,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.0}\" height=\"18\" fill=\"#3b82c4\"/>\
             <text x=\"{past:.0}\" y=\"{text}\">{ratio:.2} of {base}</text>",
            LEFT - 8.0,
        );
        if let Some(target) = scene.get("target").and_then(Value::as_f64) {
            let x = target.mul_add(SCALE, LEFT);
            let _infallible = writeln!(
                bars,
                "<path d=\"M{x:.0} {}V{}\" stroke=\"#c2410c\" stroke-width=\"3\"/>",
                y - 3.0,
                y + 21.0
            );
        }
        y += ROW;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Requests per second as a share of the limit in the same run; a line is the target</title>\n\
         <rect width=\"900\" height=\"{height}\" fill=\"white\"/>\n{bars}</svg>\n",
        height = y + 6.0
    )
}

fn first(scene: &Value) -> Option<(&str, f64)> {
    let base = scene.pointer("/servers/0/server")?.as_str()?;
    Some((base, scene.get("ratios")?.get(base)?.as_f64()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bar_is_as_long_as_its_ratio_and_the_target_crosses_it() {
        let scene = json!({
            "scene": "door", "servers": [{"server": "bare"}, {"server": "hookflow"}], "ratios": {"bare": 0.5}, "target": 0.45,
        });
        let svg = draw(&[scene, json!({"scene": "none"})]);
        assert!(svg.contains("width=\"210\"") && svg.contains(">0.50 of bare<"), "{svg}");
        assert!(svg.contains("M379 ") && svg.matches("<rect").count() == 2, "{svg}");
    }
}
