//! What a file may hold, told once: the keys of its maps, what each is for, and what may stand there.
//!
//! Whoever reads a map has such a table beside the reader. [`json_schema`] writes it for editors, and a test of the
//! binary holds the readers to it.

use crate::Json;
use serde_json::{Map, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What may stand somewhere in a file.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// Any value.
    Any,
    /// Nothing.
    Null,
    /// Text, or a bare word or number, which keeps its spelling.
    Text,
    /// Text that matches this; with nothing in it, any text, but no bare number.
    Like(&'static str),
    /// An expression, with or without `${ }` around it.
    Expression,
    /// `true` or `false`.
    Bool,
    /// A whole number from and to these.
    Integer(u64, u64),
    /// This word.
    Is(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of the words of a table, each with what it means.
    Listed(fn() -> Vec<(String, String)>),
    /// A map with keys of ours.
    Map(&'static MapSchema),
    /// A map with keys of ours, or nothing at all behind its key.
    MapOrNull(&'static MapSchema),
    /// A map with the user's own keys.
    MapOf(&'static Schema),
    /// What is told once, under this name, because it stands within itself.
    Shared(&'static str, &'static Self),
    /// One of several maps.
    OneOf(&'static OneOf),
    /// A list of such.
    List(&'static Schema),
    /// Any of these.
    AnyOf(&'static [Schema]),
}

impl Schema {
    /// `500ms 5s 2m 24h 30d`.
    pub const DURATION: Self = Self::Like("^[0-9]+(ms|s|m|h|d)$");
    /// `64KiB 10MiB`.
    pub const SIZE: Self = Self::Like("^[0-9]+(B|KB|MB|GB|KiB|MiB|GiB)$");
    /// `8/s 100/m`.
    pub const RATE: Self = Self::Like("^[1-9][0-9]*/(s|m|h|d)$");
    /// Any map.
    pub const ANY_MAP: Self = Self::MapOf(&Self::Any);
    /// A map of names to text.
    pub const TEXTS: Self = Self::MapOf(&Self::Text);
    /// Where a secret comes from.
    pub const SECRET: Self = Self::Map(&SECRET);
}

static SECRET: MapSchema = MapSchema {
    name: "secret",
    about: "Where a secret comes from. It is never written into the file.",
    keys: Cow::Borrowed(&[
        Key::may("env", Schema::Text, "an environment variable"),
        Key::may("file", Schema::Text, "a file, relative to the folder; one line end at its end is dropped"),
        Key::may("create", Schema::Bool, "whether `serve` makes a missing file with a random secret (false)"),
    ]),
    rules: &[Rule::One(&["env", "file"])],
};

/// A map with keys of ours.
#[derive(Debug, Clone)]
pub struct MapSchema {
    /// What no other such map is called.
    pub name: &'static str,
    /// One or two sentences.
    pub about: &'static str,
    /// Every key that it may have.
    pub keys: Cow<'static, [Key]>,
    /// Which keys exclude each other.
    pub rules: &'static [Rule],
}

/// A key of a map.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key.
    pub key: &'static str,
    /// What it is for, with its default.
    pub about: &'static str,
    /// What stands there.
    pub schema: Schema,
    /// Whether it has to be written.
    pub required: bool,
}

/// Which of some keys may be written together.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// One of them is, or more.
    AtLeastOne(&'static [&'static str]),
    /// One of them is.
    One(&'static [&'static str]),
    /// One of them may be.
    AtMostOne(&'static [&'static str]),
}

/// Several maps, of which one stands there.
#[derive(Debug)]
pub struct OneOf {
    /// What no other is called.
    pub name: &'static str,
    /// What all of them are.
    pub about: &'static str,
    /// The maps, each with the keys that it is known by.
    pub of: fn() -> Vec<(Vec<&'static str>, MapSchema)>,
}

impl Key {
    /// A key that may be left out.
    pub const fn may(key: &'static str, schema: Schema, about: &'static str) -> Self {
        Self { key, about, schema, required: false }
    }

    /// A key that has to be written.
    pub const fn must(key: &'static str, schema: Schema, about: &'static str) -> Self {
        Self { key, about, schema, required: true }
    }
}

/// Everything that a JSON Schema refers to, by name.
type Definitions = BTreeMap<&'static str, Json>;

/// The JSON Schema (2020-12) of a file.
pub fn json_schema(title: &str, about: &str, schema: &Schema) -> Json {
    let mut definitions = Definitions::new();
    let root = match schema {
        Schema::Map(map) => map.write(&mut definitions),
        other => other.write(&mut definitions),
    };
    let mut out = Map::new();
    out.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    out.insert("title".into(), title.into());
    if let Json::Object(root) = root {
        out.extend(root);
    }
    out.insert("description".into(), about.into());
    out.insert("$defs".into(), definitions.into_iter().map(|(name, it)| (name.to_owned(), it)).collect());
    Json::Object(out)
}

impl Schema {
    fn write(&self, definitions: &mut Definitions) -> Json {
        match self {
            Self::Any => json!({}),
            Self::Null => json!({"type": "null"}),
            Self::Text | Self::Expression => json!({"type": ["string", "number", "boolean"]}),
            Self::Like("") => json!({"type": "string"}),
            Self::Like(pattern) => json!({"type": "string", "pattern": pattern}),
            Self::Bool => json!({"type": "boolean"}),
            Self::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::Is(word) => json!({"const": word}),
            Self::Word(words) => json!({"enum": words}),
            Self::Listed(words) => any_of(words().into_iter().map(|(word, about)| {
                if about.is_empty() {
                    json!({"const": word})
                } else {
                    json!({"const": word, "description": about})
                }
            })),
            Self::Map(map) => define(map.name, definitions, |definitions| map.write(definitions)),
            Self::MapOrNull(map) => {
                any_of([Self::Map(map), Self::Null].iter().map(|it| it.write(definitions)))
            }
            Self::MapOf(schema) => {
                json!({"type": "object", "additionalProperties": schema.write(definitions)})
            }
            Self::Shared(name, schema) => define(name, definitions, |it| schema.write(it)),
            Self::OneOf(one) => define(one.name, definitions, |it| described(one.write(it), one.about)),
            Self::List(schema) => json!({"type": "array", "items": schema.write(definitions)}),
            Self::AnyOf(schemas) => any_of(schemas.iter().map(|it| it.write(definitions))),
        }
    }
}

impl MapSchema {
    fn write(&self, definitions: &mut Definitions) -> Json {
        let mut properties = Map::new();
        for key in &*self.keys {
            properties.insert(key.key.to_owned(), described(key.schema.write(definitions), key.about));
        }
        let mut map = json!({
            "type": "object",
            "description": self.about,
            "properties": properties,
            "additionalProperties": false,
        });
        let required: Vec<_> = self.keys.iter().filter(|key| key.required).map(|key| key.key).collect();
        let rules: Vec<_> = self.rules.iter().map(Rule::write).collect();
        if let Json::Object(map) = &mut map {
            if !required.is_empty() {
                map.insert("required".into(), json!(required));
            }
            if !rules.is_empty() {
                map.insert("allOf".into(), rules.into());
            }
        }
        map
    }
}

impl OneOf {
    /// Only the map that is meant is looked into: otherwise a file that nests would be judged once for every way through
    /// it, and an editor would show the mistakes of all maps. The keys that they are known by stand beside, for an editor
    /// to offer.
    fn write(&self, definitions: &mut Definitions) -> Json {
        let mut offered: Map<String, Json> = Map::new();
        let mut ways = Vec::new();
        for (known_by, map) in (self.of)() {
            let reference = define(map.name, definitions, |it| map.write(it));
            let known: Vec<_> = map.keys.iter().filter(|key| known_by.contains(&key.key)).collect();
            let mut test = Map::new();
            for key in &known {
                if let Schema::Is(word) = key.schema {
                    test.insert(key.key.to_owned(), json!({"const": word}));
                    let words = offered.entry(key.key).or_insert_with(|| any_of([].into_iter()));
                    offer(words, described(json!({"const": word}), key.about));
                } else {
                    offered.entry(key.key).or_insert_with(|| described(json!({}), key.about));
                }
            }
            ways.push(json!({
                "if": {"required": known_by, "properties": test},
                "then": reference,
                "else": false,
            }));
        }
        json!({"type": "object", "properties": offered, "anyOf": ways})
    }
}

/// One more of the words that a key may have.
fn offer(words: &mut Json, word: Json) {
    if let Some(Json::Array(words)) = words.get_mut("anyOf")
        && !words.contains(&word)
    {
        words.push(word);
    }
}

impl Rule {
    fn write(&self) -> Json {
        let written =
            |keys: &[&str]| -> Vec<Json> { keys.iter().map(|key| json!({"required": [key]})).collect() };
        match self {
            Self::AtLeastOne(keys) => json!({"anyOf": written(keys)}),
            Self::One(keys) => json!({"oneOf": written(keys)}),
            Self::AtMostOne(keys) => {
                let mut ways = written(keys);
                ways.push(json!({"not": {"anyOf": written(keys)}}));
                json!({"oneOf": ways})
            }
        }
    }
}

/// Writes what is not among the definitions yet, and refers to it.
fn define(
    name: &'static str,
    definitions: &mut Definitions,
    write: impl FnOnce(&mut Definitions) -> Json,
) -> Json {
    if !definitions.contains_key(name) {
        // Its name is there before it is written: steps stand in steps.
        definitions.insert(name, Json::Null);
        let written = write(definitions);
        definitions.insert(name, written);
    }
    json!({"$ref": format!("#/$defs/{name}")})
}

fn any_of(schemas: impl Iterator<Item = Json>) -> Json {
    json!({"anyOf": schemas.collect::<Vec<_>>()})
}

fn described(mut schema: Json, about: &str) -> Json {
    if let Json::Object(map) = &mut schema {
        map.insert("description".into(), about.into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    static BRANCH: MapSchema = MapSchema {
        name: "branch",
        about: "A branch.",
        keys: Cow::Borrowed(&[
            Key::must("then", Schema::List(&Schema::Map(&BRANCH)), "more of them"),
            Key::may("wait", Schema::DURATION, "how long"),
            Key::may(
                "by",
                Schema::Listed(|| vec![("sun".into(), "at day".into()), ("moon".into(), String::new())]),
                "what",
            ),
        ]),
        rules: &[Rule::AtMostOne(&["wait", "by"])],
    };

    #[test]
    fn a_map_that_stands_in_itself_is_defined_once() {
        static BRANCHES: Schema = Schema::MapOf(&Schema::Map(&BRANCH));
        let schema = json_schema("Branches", "A file of branches.", &BRANCHES);
        let expected = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Branches",
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/branch"},
            "description": "A file of branches.",
            "$defs": {"branch": {
                "type": "object",
                "description": "A branch.",
                "properties": {
                    "then": {"type": "array", "items": {"$ref": "#/$defs/branch"}, "description": "more of them"},
                    "wait": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "description": "how long"},
                    "by": {"anyOf": [{"const": "sun", "description": "at day"}, {"const": "moon"}], "description": "what"},
                },
                "additionalProperties": false,
                "required": ["then"],
                "allOf": [{"oneOf": [
                    {"required": ["wait"]},
                    {"required": ["by"]},
                    {"not": {"anyOf": [{"required": ["wait"]}, {"required": ["by"]}]}},
                ]}],
            }},
        });
        assert_eq!(schema, expected);
    }
    static PLANT: OneOf = OneOf {
        name: "plant",
        about: "A plant.",
        of: || {
            let map = |name, word| MapSchema {
                name,
                about: "It grows.",
                keys: vec![Key::must("type", Schema::Is(word), "what it is")].into(),
                rules: &[],
            };
            vec![(vec!["type"], map("tree", "oak")), (vec!["type"], map("herb", "mint"))]
        },
    };

    #[test]
    fn of_several_maps_the_one_that_is_meant_is_looked_into() {
        static PLANTS: Schema = Schema::List(&Schema::OneOf(&PLANT));
        let schema = json_schema("Plants", "A file of plants.", &PLANTS);
        assert_eq!(schema["items"], json!({"$ref": "#/$defs/plant"}));
        let expected = json!({
            "type": "object",
            "properties": {"type": {"anyOf": [
                {"const": "oak", "description": "what it is"},
                {"const": "mint", "description": "what it is"},
            ]}},
            "anyOf": [
                {
                    "if": {"required": ["type"], "properties": {"type": {"const": "oak"}}},
                    "then": {"$ref": "#/$defs/tree"},
                    "else": false,
                },
                {
                    "if": {"required": ["type"], "properties": {"type": {"const": "mint"}}},
                    "then": {"$ref": "#/$defs/herb"},
                    "else": false,
                },
            ],
            "description": "A plant.",
        });
        assert_eq!(schema["$defs"]["plant"], expected);
        assert_eq!(schema["$defs"]["herb"]["required"], json!(["type"]));
    }
}
