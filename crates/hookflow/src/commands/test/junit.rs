//! The results of tests as the XML that build servers read.

use super::{Outcome, show};

pub(super) fn to_xml(outcome: &Outcome) -> String {
    let (tests, failed) = (outcome.tests().count(), outcome.failed());
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"hookflow\" tests=\"{tests}\" failures=\"{failed}\">\n"
    );
    for flow in outcome.flows.iter().filter(|flow| !flow.tests.is_empty()) {
        let failed = flow.tests.iter().filter(|test| !test.differences.is_empty()).count();
        let time: f64 = flow.tests.iter().map(|test| test.took.as_secs_f64()).sum();
        xml.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" time=\"{time:.3}\">\n",
            escaped(&flow.flow),
            flow.tests.len()
        ));
        for test in &flow.tests {
            let (file, line, _) = &test.place;
            xml.push_str(&format!(
                "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{line}\" time=\"{:.3}\"",
                escaped(&flow.flow),
                escaped(&test.name),
                escaped(file),
                test.took.as_secs_f64()
            ));
            let Some(first) = test.differences.first() else {
                xml.push_str("/>\n");
                continue;
            };
            let message = if first.at.is_empty() { &first.actual } else { &first.at };
            xml.push_str(&format!(
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                escaped(message),
                escaped(&show::differences(test).join("\n"))
            ));
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text that is nothing but text in XML 1.0, which has no way to write some characters at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push_str(&format!("&#{};", u32::from(it))),
            it if it.is_control() || matches!(it, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            it => out.push(it),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escaped("a < b & \"c\"\n\u{1}ö"), "a &lt; b &amp; &quot;c&quot;&#10;\u{fffd}ö");
    }
}
