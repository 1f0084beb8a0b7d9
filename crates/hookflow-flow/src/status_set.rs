//! Sets of HTTP statuses as users write them: `[2xx, 409]`.

use hookflow_text::{Code, Diagnostics, Node};

/// A set of HTTP statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl Default for StatusSet {
    /// `[2xx]`.
    fn default() -> Self {
        Self(vec![(200, 299)])
    }
}

impl StatusSet {
    /// Reads a list of statuses and classes: `[2xx, 409]`.
    pub fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        Self::read(&node.as_list(diagnostics)?.iter().collect::<Vec<_>>(), diagnostics)
    }

    /// The statuses from and to these.
    pub(crate) fn of(ranges: &[(u16, u16)]) -> Self {
        Self(ranges.to_vec())
    }

    /// Reads the items of such a list.
    pub(crate) fn read(items: &[&Node], diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut ranges = Vec::new();
        for item in items {
            let text = item.text();
            let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
            match (class, text.parse::<u16>()) {
                (Some(class @ 1..=5), _) => ranges.push((class * 100, class * 100 + 99)),
                (None, Ok(status @ 100..=599)) => ranges.push((status, status)),
                _ => {
                    diagnostics.error(
                        Code("http.ok"),
                        &item.span,
                        format!(
                            "expected a status such as `409` or a class such as `2xx`, found {}",
                            item.kind()
                        ),
                    );
                    return None;
                }
            }
        }
        Some(Self(ranges))
    }

    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(least, most)| (*least..=*most).contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_text::{Source, parse};

    #[test]
    fn classes_and_single_statuses() {
        let mut diagnostics = Diagnostics::default();
        let mut load = |text: &str| {
            let node = parse(&Source::new("f.yaml", text), &mut diagnostics).unwrap();
            StatusSet::load(&node, &mut diagnostics)
        };
        let set = load("[2xx, 409]").unwrap();
        assert!(set.contains(200) && set.contains(299) && set.contains(409));
        assert!(!set.contains(300) && !set.contains(408));
        for bad in ["[6xx]", "[20]", "[ok]", "[600]", "2xx"] {
            assert_eq!(load(bad), None, "{bad}");
        }
    }
}
