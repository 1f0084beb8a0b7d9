//! Where a call goes: a whole URL, or what follows the root URL of an integration.

use std::fmt;
use url::Url;

/// Where a call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallUrl {
    /// All of it.
    Whole(Url),
    /// What follows the root URL of its integration, which is known when the call is performed.
    Rest(String),
}

impl CallUrl {
    /// The whole URL below a root: one `/` between the two, their queries merged. Nothing leads to another origin.
    ///
    /// # Errors
    /// The end of a sentence that begins with "the URL is refused: ".
    pub fn under(&self, root: Option<&Url>) -> Result<Url, String> {
        match (self, root) {
            (Self::Whole(url), None) => Ok(url.clone()),
            (Self::Whole(url), Some(root)) if url.origin() == root.origin() => Ok(url.clone()),
            (Self::Whole(_), Some(_)) => Err("it leads to another origin than the integration's root".into()),
            (Self::Rest(_), None) => Err("the integration has no `root_url`, so it has to be whole".into()),
            (Self::Rest(rest), Some(root)) => join(root, rest),
        }
    }

    /// Adds to the query.
    pub(crate) fn add_query(&mut self, pairs: &[(&str, String)]) {
        if pairs.is_empty() {
            return;
        }
        match self {
            Self::Whole(url) => drop(url.query_pairs_mut().extend_pairs(pairs)),
            Self::Rest(rest) => {
                let added = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
                rest.push(if rest.contains('?') { '&' } else { '?' });
                rest.push_str(&added);
            }
        }
    }
}

impl fmt::Display for CallUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(url) => f.write_str(url.as_str()),
            Self::Rest(rest) => f.write_str(rest),
        }
    }
}

fn join(root: &Url, rest: &str) -> Result<Url, String> {
    let rest = rest.trim().split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut base = root.clone();
    base.set_query(None);
    base.set_fragment(None);
    let mut url = base.to_string();
    let path = path.trim_start_matches('/');
    if !path.is_empty() {
        url.truncate(url.trim_end_matches('/').len());
        url.push('/');
        url.push_str(path);
    }
    let queries = [root.query().unwrap_or_default(), query];
    for (query, sign) in queries.iter().filter(|query| !query.is_empty()).zip(["?", "&"]) {
        url.push_str(sign);
        url.push_str(query);
    }
    let url = Url::parse(&url).map_err(|error| error.to_string())?;
    if url.origin() != root.origin() {
        return Err("it leads to another origin than the integration's root".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_and_what_follows_it_are_joined_by_one_slash() {
        for (root, rest, whole) in [
            ("https://a.example/v3/ops/", "/items", "https://a.example/v3/ops/items"),
            ("https://a.example/v3/ops", "items", "https://a.example/v3/ops/items"),
            ("https://a.example", "items/", "https://a.example/items/"),
            ("https://a.example/v3/ops/", "", "https://a.example/v3/ops/"),
            ("https://a.example/v3?key=1", "items?b=2", "https://a.example/v3/items?key=1&b=2"),
            ("https://a.example/v3?key=1", "?b=2", "https://a.example/v3?key=1&b=2"),
            ("https://a.example/v3?key=1", "  ", "https://a.example/v3?key=1"),
            ("https://a.example/v3", "//evil.test/x", "https://a.example/v3/evil.test/x"),
            ("https://a.example/v3", "@evil.test", "https://a.example/v3/@evil.test"),
            ("https://a.example/v3", "x#y", "https://a.example/v3/x"),
        ] {
            let joined = CallUrl::Rest(rest.into()).under(Some(&root.parse().unwrap()));
            assert_eq!(joined.map(String::from), Ok(whole.to_owned()), "{root} {rest}");
        }
    }

    #[test]
    fn nothing_leads_to_another_origin() {
        let root: Url = "https://a.example/v3".parse().unwrap();
        let whole = |url: &str| CallUrl::Whole(url.parse().unwrap());
        assert!(whole("https://a.example/other").under(Some(&root)).is_ok());
        for url in ["http://a.example/", "https://a.example:8443/", "https://b.example/"] {
            assert!(whole(url).under(Some(&root)).is_err(), "{url}");
            assert!(whole(url).under(None).is_ok(), "{url}");
        }
        assert!(CallUrl::Rest("items".into()).under(None).is_err());
    }

    #[test]
    fn a_query_is_added_to_either() {
        let mut url = CallUrl::Rest("items?a=1".into());
        url.add_query(&[("b c", "d&e".into())]);
        assert_eq!(url.to_string(), "items?a=1&b+c=d%26e");
        let mut url = CallUrl::Whole("https://a.example/x".parse().unwrap());
        url.add_query(&[("b", "1".into())]);
        assert_eq!(url.to_string(), "https://a.example/x?b=1");
    }
}
