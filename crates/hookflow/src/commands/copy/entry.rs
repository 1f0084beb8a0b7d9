//! An entry of a YAML map in block style, copied as text.

use std::ops::Range;

/// The text with the entry whose key is at `key` once more below it, under another name; with the comments right above the
/// key. `None` when the key does not begin its line.
pub(super) fn doubled(text: &str, key: Range<usize>, name: &str) -> Option<String> {
    let line = text.get(..key.start)?.rfind('\n').map_or(0, |at| at + 1);
    let indent = key.start - line;
    if !text.get(line..key.start)?.bytes().all(|byte| byte == b' ') {
        return None;
    }
    let begin = with_comments(text, line, indent)?;
    let end = end(text, line, indent)?;
    let (before, after) = (text.get(begin..key.start)?, text.get(key.end..end)?);
    let gap = if text.get(..end)?.ends_with('\n') { "" } else { "\n" };
    Some(format!("{}{gap}{before}{name}{after}{}", text.get(..end)?, text.get(end..)?))
}

/// Where the comments above a line begin that are indented as it is.
fn with_comments(text: &str, line: usize, indent: usize) -> Option<usize> {
    let mut begin = line;
    for above in text.get(..line)?.split_inclusive('\n').rev() {
        let is_comment = above.trim_start_matches(' ').starts_with('#');
        if !is_comment || spaces(above) != indent {
            break;
        }
        begin -= above.len();
    }
    Some(begin)
}

/// Where the entry ends: behind the last line that is indented further. Empty lines and comments below belong to what follows.
fn end(text: &str, line: usize, indent: usize) -> Option<usize> {
    let mut lines = text.get(line..)?.split_inclusive('\n');
    let mut at = line + lines.next()?.len();
    let mut end = at;
    for below in lines {
        at += below.len();
        if below.trim().is_empty() {
            continue;
        }
        if spaces(below) > indent {
            end = at;
        } else if !below.trim_start().starts_with('#') {
            break;
        }
    }
    Some(end)
}

fn spaces(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(text: &str, from: &str, to: &str) -> Option<String> {
        let at = text.find(from).unwrap();
        doubled(text, at..at + from.len(), to)
    }

    #[test]
    fn an_entry_is_copied_with_its_comments_and_nothing_of_the_next() {
        let text = "webhooks:\n  # Holds.\n  # Twice.\n  one: # here\n    url: a\n\n    # inside\n    body: |\n      x\n\n  # The second.\n  two: {url: b}\n";
        assert_eq!(
            copied(text, "one", "three").unwrap(),
            "webhooks:\n  # Holds.\n  # Twice.\n  one: # here\n    url: a\n\n    # inside\n    body: |\n      x\n  \
             # Holds.\n  # Twice.\n  three: # here\n    url: a\n\n    # inside\n    body: |\n      x\n\n  # The second.\n  two: {url: b}\n"
        );
        let last = copied(text, "two", "four").unwrap();
        assert!(last.ends_with("  two: {url: b}\n  # The second.\n  four: {url: b}\n"), "{last}");
        assert_eq!(copied("a:\n  b: 1", "b", "c").unwrap(), "a:\n  b: 1\n  c: 1");
        assert_eq!(copied("a: {b: 1}", "b", "c"), None);
    }
}
