use super::*;
use hookflow_text::Json;
use proptest::prelude::*;

fn read(text: &str) -> Result<String, XmlFault> {
    read_xml(text, &XmlShape::default()).map(|value| value.to_string())
}

#[test]
fn elements_attributes_and_text_have_one_form() {
    for (text, expected) in [
        ("<a/>", r#"{"a":""}"#),
        ("<a></a>", r#"{"a":""}"#),
        ("<a> </a>", r#"{"a":" "}"#),
        ("<a>10.00</a>", r#"{"a":"10.00"}"#),
        ("<a x=\"1\"/>", r#"{"a":{"@x":"1"}}"#),
        ("<a x='1'>t</a>", r##"{"a":{"@x":"1","#text":"t"}}"##),
        ("<a x='1'> \n </a>", r#"{"a":{"@x":"1"}}"#),
        ("<a x='1'><![CDATA[ ]]></a>", r##"{"a":{"@x":"1","#text":" "}}"##),
        ("<a><b>1</b><b>2</b><c/></a>", r#"{"a":{"b":["1","2"],"c":""}}"#),
        ("<a>\n  <b>1</b>\n</a>", r#"{"a":{"b":"1"}}"#),
        ("<a>one <b>two</b> three</a>", r##"{"a":{"b":"two","#text":"one  three"}}"##),
        ("<n:a xmlns:n=\"u\" n:x=\"1\"/>", r#"{"n:a":{"@xmlns:n":"u","@n:x":"1"}}"#),
        ("<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;</a>", r#"{"a":"<>&\"'AB"}"#),
        ("<a x='&lt;&#10;b\nc'/>", r#"{"a":{"@x":"<\nb c"}}"#),
        ("<a><![CDATA[<b>&amp;]]></a>", r#"{"a":"<b>&amp;"}"#),
        ("<a>1\r\n2\r3</a>", r#"{"a":"1\n2\n3"}"#),
        ("<a>x<!-- & < -->y<?z ?></a>", r#"{"a":"xy"}"#),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><a/>\n", r#"{"a":""}"#),
        ("<é>ü</é>", r#"{"é":"ü"}"#),
    ] {
        assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, line, column) in [
        ("", 1, 1),
        ("x", 1, 1),
        ("<a>", 1, 4),
        ("<a>\n<b></a>", 2, 4),
        ("</a>", 1, 1),
        ("<a/>\n<b/>", 2, 1),
        ("<a/>x", 1, 5),
        ("<a/>&amp;", 1, 5),
        ("<a>\n &nbsp;</a>", 2, 2),
        ("<a>&#1;</a>", 1, 4),
        ("<a>&#xD800;</a>", 1, 4),
        ("<a>\n\u{1}</a>", 2, 1),
        ("<a>\0</a>", 1, 4),
        ("<a x='1' x='2'/>", 1, 1),
        ("<a x/>", 1, 1),
        ("<a x='<'/>", 1, 1),
        ("<a x='&#2;'/>", 1, 1),
        ("<a x='&y;'/>", 1, 1),
        ("<@a/>", 1, 1),
        ("<a @x='1'/>", 1, 1),
        ("<1/>", 1, 1),
        ("<!DOCTYPE a><a/>", 1, 1),
        ("<a><!-- -- --></a>", 1, 9),
        (" <?xml version='1.0'?><a/>", 1, 2),
    ] {
        match read(text) {
            Err(XmlFault::Malformed { message, line: at_line, column: at_column }) => {
                assert_eq!((at_line, at_column), (line, column), "{text} {message}");
            }
            other => panic!("{text} {other:?}"),
        }
    }
    for text in ["<a>x & y</a>", "<a><![CDATA[x</a>", "<a", "<a b='", "<!-- ", "<? "] {
        assert!(matches!(read(text), Err(XmlFault::Malformed { .. })), "{text}");
    }
}

#[test]
fn nothing_is_expanded_and_nothing_fetched() {
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
    let external = "<!DOCTYPE l [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><l>&a;</l>";
    for text in [laughs, external, "<l>&a;</l>"] {
        let fault = read(text).unwrap_err().to_string();
        assert!(fault.contains("document type") || fault.contains("no entity"), "{fault}");
    }
}

#[test]
fn documents_have_bounds() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(read(&nested(MAX_DEPTH + 1)), Err(XmlFault::TooDeep { limit: MAX_DEPTH }));
    assert_eq!(read(&"<a>".repeat(1 << 18)), Err(XmlFault::TooDeep { limit: MAX_DEPTH }));
    let attributes = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("x{n}=''")).collect();
        format!("<a {}/>", all.join(" "))
    };
    assert!(read(&attributes(MAX_ATTRIBUTES)).is_ok());
    assert!(read(&attributes(MAX_ATTRIBUTES + 1)).is_err());
    let wide = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
    assert!(read(&wide(MAX_NODES - 1)).is_ok());
    assert!(read(&wide(MAX_NODES)).is_err());
    let long = |length: usize| format!("<a>{}</a>", "x".repeat(length));
    assert!(read(&long(MAX_TEXT)).is_ok());
    assert!(read(&long(MAX_TEXT + 1)).is_err());
}

#[test]
fn a_shape_chooses_keys_and_lists() {
    let shape = XmlShape {
        attributes: "_".into(),
        text: "$".into(),
        lists: vec!["order.items.item".into(), "order.note".into()],
    };
    let read = |text: &str| read_xml(text, &shape).map(|value| value.to_string());
    let text = "<order id='1'><items><item>A</item></items><note/>x<item/></order>";
    let expected = r#"{"order":{"_id":"1","items":{"item":["A"]},"note":[""],"item":"","$":"x"}}"#;
    assert_eq!(read(text).as_deref(), Ok(expected));
    let merged = XmlShape { attributes: String::new(), ..XmlShape::default() };
    let value = read_xml("<a b='1'><b>2</b></a>", &merged).unwrap();
    assert_eq!(value.to_string(), r#"{"a":{"b":["1","2"]}}"#);
}

#[test]
fn what_has_no_form_is_not_written() {
    let write = |json: &str| write_xml(&serde_json::from_str(json).unwrap(), &XmlShape::default());
    for (json, expected) in [
        (r#"{"a":null}"#, "<a/>"),
        (r#"{"a":{"b":[1,true,10.10]}}"#, "<a><b>1</b><b>true</b><b>10.10</b></a>"),
        (
            r##"{"a":{"b":"x","@c":"\"<\n","#text":"1 < 2\r"}}"##,
            "<a c=\"&quot;&lt;&#10;\"><b>x</b>1 &lt; 2&#13;</a>",
        ),
        (r#"{"a":{"b":[]}}"#, "<a/>"),
    ] {
        assert_eq!(write(json).as_deref(), Ok(expected), "{json}");
    }
    for json in [
        "1",
        "[]",
        "{}",
        r#"{"a":1,"b":2}"#,
        r#"{"a":[1]}"#,
        r#"{"a b":1}"#,
        r#"{"a":"\u0001"}"#,
        r#"{"a":{"b":[[1]]}}"#,
        r#"{"a":{"@b":{}}}"#,
    ] {
        assert!(matches!(write(json), Err(XmlFault::Unwritable(_))), "{json}");
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(MAX_DEPTH + 1), "}".repeat(MAX_DEPTH + 1));
    assert_eq!(write(&deep), Err(XmlFault::TooDeep { limit: MAX_DEPTH }));
}

/// Values as reading gives them.
fn value() -> impl Strategy<Value = Json> {
    let leaf = "[ -~é\t\r\n]{0,8}".prop_map(Json::String);
    leaf.prop_recursive(4, 20, 3, |inner| {
        let child = ("[a-c]", inner).prop_map(|(name, value)| (name, value));
        let attribute = ("@[d-e]", "[ -~\t\r\n]{0,5}").prop_map(|(name, text)| (name, Json::String(text)));
        proptest::collection::vec(prop_oneof![child, attribute], 1..4)
            .prop_map(|pairs| Json::Object(pairs.into_iter().collect()))
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in value()) {
        let document = serde_json::json!({"root": value});
        let shape = XmlShape::default();
        let text = write_xml(&document, &shape).unwrap();
        prop_assert_eq!(read_xml(&text, &shape), Ok(document), "{}", text);
    }

    #[test]
    fn hostile_text_never_panics(text in "[<>/?!&;#x0-9a-c='\" \\[\\]DOCTYPE@é\\n-]{0,60}") {
        if let Ok(value) = read_xml(&text, &XmlShape::default()) {
            prop_assert_eq!(value.as_object().unwrap().len(), 1);
        }
    }
}
