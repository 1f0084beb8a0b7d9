//! The table of functions. A function stands in the file of its family and in this list.

mod chance;
mod date;
mod digest;
mod empty;
mod encode;
mod join;
mod json;
mod number;
mod regex;
mod text;
mod xml;

use crate::function::Function;

pub use chance::uuid;
pub(crate) use empty::is_empty;

static FUNCTIONS: &[Function] = &[
    date::ADD_DAYS,
    date::ADD_HOURS,
    date::ADD_MINUTES,
    date::ADD_MONTHS,
    date::ADD_SECONDS,
    encode::BASE64,
    encode::BASE64_DECODE,
    date::DATE,
    empty::DEFAULT,
    text::ESCAPE,
    encode::HEX,
    digest::HMAC_SHA256,
    empty::IS_EMPTY,
    join::JOIN,
    json::JSON,
    digest::MD5,
    date::NOW,
    number::NUMBER,
    json::PARSE_CSV,
    date::PARSE_DATE,
    json::PARSE_JSON,
    xml::PARSE_XML,
    chance::RANDOM,
    regex::REGEX_FIND,
    regex::REGEX_MATCH,
    regex::REGEX_REPLACE,
    text::REPLACE,
    empty::REPLACE_IF_EMPTY,
    digest::SHA1,
    digest::SHA256,
    digest::SHA512,
    text::STRING,
    text::SUBSTRING,
    text::TO_LOWER,
    text::TO_UPPER,
    text::TRUNCATE,
    date::UNIX_TIME,
    encode::URL_DECODE,
    encode::URL_ENCODE,
    chance::UUID,
    xml::XML,
];

/// Every function of our own; `MiniJinja`'s filters (`upper`, `map`, `sort`, …) come on top.
pub fn functions() -> &'static [Function] {
    FUNCTIONS
}

/// The function that answers to `name`.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name || function.aliases.contains(&name))
}

/// Every name a function answers to.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().flat_map(|function| [function.name].into_iter().chain(function.aliases.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expression;
    use crate::expression::tests::{AnyName, env};
    use hookflow_text::{Diagnostics, Source, parse};

    #[test]
    fn every_example_gives_its_result() {
        for function in functions() {
            let mut diagnostics = Diagnostics::default();
            let yaml = serde_json::Value::from(function.example).to_string();
            let node = parse(&Source::new("example.yaml", yaml), &mut diagnostics).unwrap();
            let expression = Expression::compile(&node, &AnyName, &mut diagnostics);
            assert!(diagnostics.is_empty(), "{}: {}", function.name, diagnostics.render(false));
            let result = expression.unwrap().eval(&env("{}"));
            let result = result.unwrap_or_else(|error| panic!("{}: {error}", function.name));
            assert_eq!(result.to_string(), function.result, "{}", function.name);
        }
    }

    /// The names that the format promises, beyond Jinja's own and those that older template engines have.
    const PROMISED: &str = "json parse_json xml parse_xml parse_csv base64 base64_decode hex md5 sha1 sha256 sha512 hmac_sha256 \
        url_encode date parse_date unix_time number regex_match regex_replace uuid to_upper \
        toUpper toLower replaceIfEmpty formatDateTime isEmpty length substring truncate toBase64 count addDays";

    #[test]
    fn every_name_that_is_promised_is_there() {
        for name in PROMISED.split_whitespace() {
            let mut diagnostics = Diagnostics::default();
            let yaml = serde_json::Value::from(format!("'1' | {name}")).to_string();
            let node = parse(&Source::new("example.yaml", yaml), &mut diagnostics).unwrap();
            Expression::compile(&node, &AnyName, &mut diagnostics);
            assert!(!diagnostics.codes().contains(&"expr.unknown-filter"), "{}", diagnostics.render(false));
            assert!(find(name).is_some() || crate::builtins::is_filter(name), "{name}");
        }
    }

    #[test]
    fn the_table_is_alphabetic_and_each_name_stands_once() {
        assert!(functions().is_sorted_by_key(|function| function.name));
        let mut all: Vec<_> = names().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        for name in all {
            assert!(!crate::builtins::is_filter(name), "`{name}` is also MiniJinja's");
        }
    }
}
