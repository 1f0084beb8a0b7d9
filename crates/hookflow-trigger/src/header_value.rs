//! A header's value with its parameters: `form-data; name="a"; filename="b;c"`.

/// The value before its parameters, and these by their names in lower case. `None` when a quote is not closed.
pub(crate) fn split(value: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (first, mut rest) = value.split_once(';').unwrap_or((value, ""));
    let mut parameters = Vec::new();
    while !rest.is_empty() {
        let end = rest.find(['=', ';']).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end)?;
        let Some(after) = after.strip_prefix('=') else {
            // A name without a value says nothing.
            rest = after.strip_prefix(';').unwrap_or_default();
            continue;
        };
        let (text, after) = if let Some(quoted) = after.trim_start().strip_prefix('"') {
            unquote(quoted)?
        } else {
            let (text, after) = after.split_once(';').unwrap_or((after, ""));
            (text.trim().to_owned(), after)
        };
        parameters.push((name.trim().to_ascii_lowercase(), text));
        rest = after;
    }
    Some((first.trim(), parameters))
}

/// What stands before the closing quote, and what follows the next `;`. A backslash escapes a quote and nothing
/// else, because whole paths of one family of systems are sent as they are.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let (mut text, mut rest) = (String::new(), quoted);
    loop {
        let (before, after) = rest.split_once('"')?;
        rest = after;
        let Some(escaped) = before.strip_suffix('\\') else {
            text.push_str(before);
            let after = rest.trim_start();
            let after = if after.is_empty() { after } else { after.strip_prefix(';')? };
            return Some((text, after));
        };
        text.push_str(escaped);
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_what_would_end_a_parameter() {
        for (value, expected) in [
            ("a", "a []"),
            (" a ; ", "a []"),
            ("a;b;;c=1", "a [c=1]"),
            ("a; B = x y ;c=\"\"", "a [b=x y, c=]"),
            ("f; name=\"a;b=c\"; filename=\"d\\\"e\" ;", "f [name=a;b=c, filename=d\"e]"),
            ("f; filename=\"C:\\x\\y.txt\"", "f [filename=C:\\x\\y.txt]"),
            ("f; filename=\"; name=evil\"; name=\"real\"", "f [filename=; name=evil, name=real]"),
            ("f; a=b\"c", "f [a=b\"c]"),
        ] {
            let (first, parameters) = split(value).unwrap();
            let pairs: Vec<_> = parameters.iter().map(|(name, text)| format!("{name}={text}")).collect();
            assert_eq!(format!("{first} [{}]", pairs.join(", ")), expected, "{value}");
        }
        for value in ["a;b=\"", "a;b=\"c\\\"", "a;b=\"c\"d"] {
            assert_eq!(split(value), None, "{value}");
        }
    }
}
