//! A fixed value, compared whole: in a header, behind `Bearer`, in the query, or in the JSON body.

use crate::auth_scheme::{
    AuthScheme, CannotSign, Carrier, HeadProof, Reason, ReplayId, SECRETS, Secrets, Verifier, is_any,
    read_json,
};
use crate::headers::load_name;
use crate::presets::PRESET;
use crate::{Fetched, Head, Preset, presets};
use hookflow_text::{Code, Diagnostics, Fields, Json, Key, MapSchema, Rule, Schema, Secret};
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use std::borrow::Cow;

pub(super) static TOKEN: AuthScheme = AuthScheme {
    name: "token",
    summary: "A fixed value in a header, behind `Bearer`, in the query, or in the JSON body, in every element of a list.",
    example: "{type: token, header: X-Gitlab-Token, secret: {env: GITLAB_TOKEN}}",
    ways: &[
        MapSchema {
            name: "token-preset",
            about: "A sender's fixed value, by the sender's name.",
            keys: Cow::Borrowed(&[PRESET, SECRETS[0], SECRETS[1]]),
            rules: &[Rule::One(&["secret", "secrets"])],
        },
        MapSchema {
            name: "token",
            about: "A fixed value, compared whole.",
            keys: Cow::Borrowed(&[
                Key::may("header", Schema::Like(""), "the header that holds it"),
                Key::may(
                    "bearer",
                    Schema::Bool,
                    "whether it stands behind `Bearer` in the header `Authorization`",
                ),
                Key::may("query", Schema::Text, "the field of the query that holds it"),
                Key::may(
                    "json",
                    Schema::Like(""),
                    "the path in the JSON body that holds it, such as `value[].clientState`",
                ),
                SECRETS[0],
                SECRETS[1],
            ]),
            rules: &[Rule::One(&PLACES), Rule::One(&["secret", "secrets"])],
        },
    ],
    load,
};

/// Where a token may stand; one of these is written.
const PLACES: [&str; 4] = ["header", "bearer", "query", "json"];

#[derive(Debug)]
struct Token {
    preset: Option<&'static Preset>,
    place: Place,
    /// None when the token stands in the body.
    carriers: Vec<Carrier>,
    tokens: Vec<Secret>,
}

#[derive(Debug)]
enum Place {
    /// Where the carrier says, as it is.
    Plain,
    /// Behind the word.
    Bearer,
    /// The names on the way to it; a list on the way means each of its elements.
    Json { written: String, path: Vec<String> },
}

fn load(
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    if let Some(node) = fields.take("preset") {
        return presets::load(node, fields, secrets, diagnostics);
    }
    let place = load_place(fields, diagnostics);
    let tokens = load_tokens(fields, secrets, diagnostics);
    let (place, carriers) = place?;
    Some(Box::new(Token { preset: None, place, carriers, tokens: tokens? }))
}

/// What a preset of this type means, with what stands beside it.
pub(super) fn load_preset(
    preset: &'static Preset,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    for key in PLACES {
        if let Some((name, _)) = fields.take_entry(key) {
            diagnostics
                .error(Code("auth.preset-parameter"), &name.span, format!("`{key}` is a part of the preset"))
                .help("leave it out, or leave the preset out and write every parameter");
        }
    }
    let tokens = load_tokens(fields, secrets, diagnostics);
    // A test loads them all.
    let mut mistakes = Diagnostics::default();
    let mut parameters = Fields::of(preset.node(), "a preset", &mut mistakes)?;
    let (place, carriers) = load_place(&mut parameters, &mut mistakes)?;
    Some(Box::new(Token { preset: Some(preset), place, carriers, tokens: tokens? }))
}

fn load_tokens(
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Secret>> {
    let loaded = secrets.any(fields, "secret", "secrets", diagnostics)?;
    Some(loaded.into_iter().map(|(_, token)| token).collect())
}

fn load_place(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<(Place, Vec<Carrier>)> {
    let [header, bearer, query, json] = PLACES.map(|key| fields.take(key));
    match (header, bearer, query, json) {
        (Some(node), None, None, None) => {
            Some((Place::Plain, vec![Carrier::Header(load_name(node, diagnostics)?)]))
        }
        (None, Some(node), None, None) if node.as_bool(diagnostics)? => {
            Some((Place::Bearer, vec![Carrier::Header(AUTHORIZATION)]))
        }
        (None, None, Some(node), None) => {
            Some((Place::Plain, vec![Carrier::Query(node.as_str(diagnostics)?.to_owned())]))
        }
        (None, None, None, Some(node)) => {
            let written = node.as_str(diagnostics)?.to_owned();
            let path: Vec<_> =
                written.split('.').map(|name| name.strip_suffix("[]").unwrap_or(name).to_owned()).collect();
            if path.iter().any(String::is_empty) {
                return node
                    .mistyped("names with dots between them, such as `value[].clientState`", diagnostics);
            }
            Some((Place::Json { written, path }, Vec::new()))
        }
        _ => {
            diagnostics
                .error(Code("auth.token-place"), fields.span(), "a token has one place")
                .help("write one of `header: NAME`, `bearer: true`, `query: NAME` and `json: PATH`");
            None
        }
    }
}

impl Token {
    /// The token that the head holds; `None` when it is in the body.
    fn in_head<'h>(&self, head: &'h Head) -> Result<Option<Cow<'h, [u8]>>, Reason> {
        let Some(carrier) = self.carriers.first() else { return Ok(None) };
        let value = carrier.read(head)?;
        if !matches!(self.place, Place::Bearer) {
            return Ok(Some(value));
        }
        let text = String::from_utf8_lossy(&value);
        match text.split_once(' ') {
            Some((word, token)) if word.eq_ignore_ascii_case("bearer") => {
                Ok(Some(Cow::Owned(token.trim().as_bytes().to_vec())))
            }
            _ => Err(Reason::Unexpected("the scheme of the header `authorization`".into())),
        }
    }
}

impl Verifier for Token {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        match self.in_head(head)? {
            None => Ok(HeadProof::NeedsBody),
            Some(presented) if is_any(&presented, &self.tokens).into() => Ok(HeadProof::Complete),
            Some(_) => Err(Reason::Mismatch),
        }
    }

    fn verify_body(
        &self,
        head: &Head,
        body: &[u8],
        _: Timestamp,
        _: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        let Place::Json { written, path } = &self.place else { return self.verify_head(head).map(|_| None) };
        let body = read_json(body)?;
        let mut presented = Vec::new();
        collect(&body, path, &mut presented)
            .ok_or_else(|| Reason::Missing(format!("`{written}` in the body")))?;
        if presented.iter().all(|token| is_any(token.as_bytes(), &self.tokens).into()) {
            Ok(None)
        } else {
            Err(Reason::Mismatch)
        }
    }

    fn sign(&self, head: &mut Head, _: &[u8], _: Timestamp) -> Result<(), CannotSign> {
        let token = self.tokens.first().map_or(&[][..], Secret::expose);
        match (&self.place, self.carriers.first()) {
            (Place::Plain, Some(carrier)) => carrier.write(head, token),
            (Place::Bearer, Some(carrier)) => carrier.write(head, &[b"Bearer ", token].concat()),
            _ => Err(CannotSign("the token stands in the body, which signing does not change".into())),
        }
    }

    fn carriers(&self) -> &[Carrier] {
        &self.carriers
    }

    fn challenge(&self) -> Option<&'static str> {
        matches!(self.place, Place::Bearer).then_some("Bearer realm=\"webhook\"")
    }

    fn preset(&self) -> Option<&'static Preset> {
        self.preset
    }
}

/// Every text at the end of the path; `None` when one is missing, or a list on the way is empty.
fn collect<'j>(value: &'j Json, path: &[String], found: &mut Vec<&'j str>) -> Option<()> {
    match (value, path.split_first()) {
        (Json::Array(items), _) if !items.is_empty() => {
            items.iter().try_for_each(|item| collect(item, path, found))
        }
        (Json::Object(map), Some((name, rest))) => collect(map.get(name)?, rest, found),
        (Json::String(text), None) => {
            found.push(text);
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_element_has_to_hold_the_token() {
        let path = ["value".to_owned(), "state".to_owned()];
        for (body, expected) in [
            (json!({"value": [{"state": "a"}, {"state": "b"}]}), Some(vec!["a", "b"])),
            (json!({"value": {"state": "a"}}), Some(vec!["a"])),
            (json!({"value": []}), None),
            (json!({"value": [{"state": "a"}, {}]}), None),
            (json!({"value": [{"state": "a"}, {"state": null}]}), None),
            (json!({"value": [{"state": []}]}), None),
            (json!({"value": [{"state": "a"}, []]}), None),
            (json!({}), None),
            (json!("a"), None),
        ] {
            let mut found = Vec::new();
            let whole = collect(&body, &path, &mut found);
            assert_eq!(whole.map(|()| found), expected, "{body}");
        }
    }
}
