use crate::proof::{flow, load};

/// A flow with these steps.
fn with(steps: &str) -> String {
    format!("flow: test\nwebhook: {{auth: none}}\nsteps:\n{steps}")
}

#[track_caller]
fn refuses(text: &str, code: &str, words: &str) {
    let (flow, diagnostics) = load(text);
    let shown = diagnostics.render(false);
    assert!(flow.is_none(), "it loads:\n{text}\n{shown}");
    assert_eq!(diagnostics.codes(), [code], "{shown}");
    assert!(shown.contains(words), "{shown}");
    assert!(shown.contains("flows/test.yaml:"), "no place: {shown}");
}

#[test]
fn a_step_has_one_known_verb() {
    refuses(&with("  - sett: {a: 1}\n"), "flow.no-verb", "did you mean `set`?");
    refuses(&with("  - {id: a}\n"), "flow.no-verb", "a step has one of");
    refuses(&with("  - {set: {a: 1}, log: x}\n"), "flow.two-verbs", "a second verb");
    refuses(&with("  - just text\n"), "yaml.type", "expected a step");
    refuses(&with("  - {set: {a: 1}, wehn: true}\n"), "yaml.unknown-key", "did you mean `when`?");
    refuses(&with("  - {set: {a: 1}, then: []}\n"), "yaml.unknown-key", "unknown key `then`");
    refuses(&with("  set: {a: 1}\n"), "yaml.type", "expected a list");
}

#[test]
fn a_companion_that_is_missing_or_wrong_is_named() {
    refuses(&with("  - if: true\n"), "yaml.missing-key", "needs `then`");
    refuses(&with("  - switch: 1\n"), "yaml.missing-key", "needs `cases`");
    refuses(&with("  - {for: x, do: []}\n"), "yaml.missing-key", "needs `in`");
    refuses(&with("  - {for: x, in: '[1]'}\n"), "yaml.missing-key", "needs `do`");
    refuses(&with("  - {for: a-b, in: '[1]', do: []}\n"), "flow.name", "cannot be a name");
    refuses(&with("  - {for: steps, in: '[1]', do: []}\n"), "flow.name", "already means something");
    refuses(&with("  - {log: x, level: loud}\n"), "yaml.word", "expected one of");
    refuses(&with("  - {fail: x, status: 200}\n"), "yaml.type", "from 400 to 599");
    refuses(&with("  - {fail: x, kind: valdation}\n"), "yaml.word", "did you mean `validation`?");
    refuses(&with("  - {set: [1]}\n"), "yaml.type", "expected a map");
    refuses(&with("  - {set: {a: 1}, timeout: 5s}\n"), "flow.modifier", "means nothing on `set`");
    refuses(
        &with("  - {http: {url: 'https://x.example'}, timeout: 5}\n"),
        "yaml.type",
        "expected a duration",
    );
}

#[test]
fn an_answer_that_cannot_be_sent_is_refused() {
    refuses(
        &with("  - respond: {status: 204, json: {a: 1}}\n"),
        "respond.body-not-allowed",
        "status 204 has no body",
    );
    refuses(
        &with("  - respond: {status: 304, text: x}\n"),
        "respond.body-not-allowed",
        "status 304 has no body",
    );
    refuses(&with("  - respond: {json: 1, text: x}\n"), "respond.two-bodies", "one of");
    refuses(
        &with("  - respond: {xml: {a: 1}, redirect: 'https://a.example'}\n"),
        "respond.two-bodies",
        "one of",
    );
    refuses(
        &with("  - respond: {status: 201, redirect: 'https://a.example'}\n"),
        "respond.redirect",
        "302, 303, 307 or 308",
    );
    refuses(&with("  - respond: {status: 199}\n"), "yaml.type", "from 200 to 599");
    refuses(&with("  - respond: {headers: {a b: c}}\n"), "respond.header", "cannot be a header's name");
    refuses(
        &with("  - respond: {headers: {Content-Length: 5}}\n"),
        "respond.header",
        "set by the service itself",
    );
    refuses(&with("  - respond: {heders: {}}\n"), "yaml.unknown-key", "did you mean `headers`?");
}

#[test]
fn a_call_that_cannot_be_made_is_refused() {
    refuses(&with("  - http: {method: POST}\n"), "yaml.missing-key", "needs `url`");
    refuses(
        &with("  - http: {url: 'https://x.example', headers: {a b: c}}\n"),
        "http.header",
        "cannot be a header's name",
    );
    refuses(&with("  - http: {url: warehouse/items}\n"), "http.url", "not a whole URL");
    refuses(&with("  - http: {url: 'ftp://x.example/'}\n"), "http.url", "begins with `http://`");
    refuses(
        &with("  - http: {url: '${ webhook.body.base }/items'}\n"),
        "http.url",
        "one template that gives all of it",
    );
    refuses(&with("  - http: {url: 'https://a:b@x.example/'}\n"), "http.url", "no user or password");
    refuses(&with("  - http: {url: 'https://x.example', method: FETCH}\n"), "yaml.word", "expected one of");
    refuses(
        &with("  - http: {url: 'https://x.example', json: 1, form: {}}\n"),
        "http.two-bodies",
        "one body",
    );
    refuses(&with("  - http: {url: 'https://x.example', ok: [9xx]}\n"), "http.ok", "expected a status");
    refuses(
        &with("  - http: {url: 'https://x.example', capture: {status: a}}\n"),
        "http.capture",
        "has a field of that name",
    );
    refuses(&with("  - http: {url: 'https://x.example', capture: {a: 'b['}}\n"), "http.capture", "");
    refuses(
        &with("  - http: {url: 'https://x.example', headers: {Host: y}}\n"),
        "http.header",
        "follows from the call itself",
    );
}

#[test]
fn a_name_that_is_not_in_scope_is_refused() {
    refuses(
        &with("  - set: {a: '${ steps.later }'}\n  - {id: later, set: {b: 1}}\n"),
        "flow.step-not-in-scope",
        "not in scope here",
    );
    refuses(
        &with("  - {id: order, set: {b: 1}}\n  - set: {a: '${ steps.ordre }'}\n"),
        "flow.unknown-step",
        "did you mean `steps.order`?",
    );
    refuses(
        &with("  - {id: order, set: {total: 1}}\n  - set: {a: '${ steps.order.totl }'}\n"),
        "flow.unknown-field",
        "did you mean `steps.order.total`?",
    );
    refuses(&with("  - {id: a, set: {b: '${ steps.a }'}}\n"), "flow.step-not-in-scope", "");
    refuses(
        &with(
            "  - for: x\n    in: '[1]'\n    do:\n      - {id: inner, set: {a: 1}}\n  - set: {b: '${ steps.inner }'}\n",
        ),
        "flow.step-not-in-scope",
        "use `collect`",
    );
    refuses(&with("  - set: {a: '${ body.id }'}\n"), "expr.unknown-name", "did you mean `webhook.body`?");
    refuses(&with("  - set: {a: '${ webhook.bdy }'}\n"), "expr.unknown-name", "did you mean `webhook.body`?");
    refuses(&with("  - set: {a: '${ loop.index }'}\n"), "expr.unknown-name", "only within a `for`");
    refuses(&with("  - set: {a: '${ error.kind }'}\n"), "expr.unknown-name", "only within an `on_error`");
    refuses(
        &with("  - {id: a, set: {x: 1}}\n  - {id: a, set: {x: 1}}\n"),
        "flow.duplicate-step",
        "stands twice",
    );
    refuses(&with("  - {id: 9a, set: {x: 1}}\n"), "flow.name", "cannot be a name");
    let branches = "  - parallel:\n      a: [{id: a, set: {x: 1}}]\n      b: [{log: '${ steps.a.x }'}]\n";
    refuses(&with(branches), "flow.step-not-in-scope", "only after all of them");
    flow(&with("  - parallel:\n      a: [{id: a, set: {x: 1}}]\n      b: []\n  - log: '${ steps.a.x }'\n"));
    flow(&with("  - try: [{id: a, set: {x: 1}}]\n    catch: [{log: '${ steps.a.x } ${ error.kind }'}]\n"));
    refuses(
        &with("  - try: [{log: x}]\n    finally: [{log: '${ error.kind }'}]\n"),
        "expr.unknown-name",
        "a `catch`",
    );
    refuses(
        &with("  - log: \"${ wait_url('a') }\"\n  - {id: b, set: {x: 1}}\n"),
        "flow.unknown-step",
        "no `wait` step `a`",
    );
    refuses(
        &with("  - log: \"${ wait_url('wa') }\"\n  - {id: w, wait: {auth: none}}\n"),
        "flow.unknown-step",
        "did you mean `wait_url('w')`?",
    );
}

#[test]
fn the_newer_verbs_are_held_to_their_form() {
    for (step, code, words) in [
        ("{parallel: [{log: x}]}", "yaml.type", "expected a map"),
        ("{try: {}}", "yaml.type", "expected a list"),
        ("{try: [], cathc: []}", "yaml.unknown-key", "did you mean `catch`?"),
        ("{try: [], finally: [{stop: 1}]}", "flow.end-in-finally", "`stop` cannot stand"),
        (
            "{try: [], finally: [{if: true, then: [{return: 1}]}]}",
            "flow.end-in-finally",
            "`return` cannot stand",
        ),
        ("{sleep: soon}", "yaml.type", "expected a duration"),
        ("{sleep: 400d}", "yaml.type", "365 days"),
        ("{sleep: 1s, retry: {}}", "flow.modifier", "`retry` means nothing on `sleep`"),
        ("{set: {a: 1}, retry: {}}", "flow.modifier", "`retry` means nothing on `set`"),
        ("{wait: {auth: none}, timeout: 5s}", "flow.modifier", "it has its own"),
        ("{wait: {}}", "yaml.missing-key", "needs `auth`"),
        ("{wait: {auth: nobody}}", "auth.unknown-credential", "nobody"),
        ("{wait: {auth: none, on_timeout: stop}}", "yaml.word", "expected one of"),
        ("{wait: {auth: none, timeout: 0s}}", "yaml.type", "above zero"),
        ("{wait: {auth: none, reply: {json: '${ run.id }'}}}", "flow.ack-template", "holds no template"),
        ("{run: Bad Id}", "yaml.type", "expected a flow's ID"),
        ("{run: a, detach: yes}", "yaml.type", "`true` or `false`"),
        ("{validate: webhook.body}", "yaml.missing-key", "needs `schema`"),
        ("{validate: webhook.body, schema: {type: 5}}", "validate.schema", "no JSON Schema"),
        (
            "{validate: webhook.body, schema: {file: none.json}}",
            "validate.schema-file",
            "there is no none.json",
        ),
        ("{emit: 'order created'}", "emit.event", "cannot be an event's name"),
        ("{emit: order..created}", "emit.event", "cannot be an event's name"),
        ("{for: x, in: '[1]', parallel: 0, do: []}", "yaml.type", "from 1 to"),
    ] {
        refuses(&with(&format!("  - {step}\n")), code, words);
    }
    // A companion of that name makes no second verb of it.
    flow(&with("  - {for: x, in: '[1]', parallel: 2, do: []}\n"));
}

#[test]
fn a_template_that_does_not_parse_is_refused_at_its_place() {
    let (_, diagnostics) = load(&with("  - set: {a: '${ webhook.body. }'}\n"));
    assert!(diagnostics.has_errors());
    let position = diagnostics.iter().next().unwrap().span.position();
    assert_eq!(position.line, 4, "{}", diagnostics.render(false));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let (_, diagnostics) = load(
        "flow: Bad Id\nwebhook: {methods: [POST]}\nqueue: {on_full: 500}\nsteps:\n  - sett: {}\n  - respond: {status: 9}\nextra: 1\n",
    );
    assert_eq!(diagnostics.codes().len(), 6, "{}", diagnostics.render(false));
}

#[test]
fn a_flows_own_keys_are_checked() {
    refuses("flow: a\nwebhook: {}\n", "auth.not-written", "`auth: none`");
    refuses("flow: Shop\nwebhook: {auth: none}\n", "flow.id", "cannot be a flow ID");
    refuses("flow: a\nwebhook: {auth: none}\nenabled: maybe\n", "yaml.type", "`paused`");
    refuses("flow: a\nwebhook: {auth: none}\ndurability: none\n", "yaml.type", "`relaxed`");
    let relaxed = |webhook: &str, steps: &str| {
        format!("flow: a\ndurability: relaxed\nwebhook: {{auth: none{webhook}}}\nsteps: [{steps}]\n")
    };
    refuses(&relaxed(", dedupe: {key: '${ webhook.id }'}", ""), "flow.relaxed", "`dedupe`");
    refuses(&relaxed("", "{wait: {auth: none}}"), "flow.relaxed", "it waits here");
    flow(&relaxed("", "{sleep: 1h}"));
    refuses("flow: a\nwebhook: {auth: none}\nqueue: {workers: 0}\n", "yaml.type", "from 1 to");
    refuses("flow: a\nwebhook: {auth: none, timeout: 16m}\n", "webhook.timeout", "15 minutes");
    refuses("flow: a\nwebhook: {auth: none, on_timeout: 200}\n", "yaml.type", "`504` or `202`");
    refuses(
        "flow: a\nwebhook: {auth: none, ack: {text: '${ webhook.id }'}}\n",
        "flow.ack-template",
        "before the flow runs",
    );
    refuses(
        "flow: a\nwebhook: {auth: none, ack: {status: 204, json: 1}}\n",
        "respond.body-not-allowed",
        "204",
    );
    refuses("flow: a\nwebhook: {auth: none, ack: {json: 1, text: x}}\n", "respond.two-bodies", "one body");
    refuses(
        "flow: a\nwebhook: {auth: none, ack: {json: 1}}\nsteps: [{respond: {}}]\n",
        "flow.ack-beside-respond",
        "never sent",
    );
    refuses(
        "flow: a\nwebhook: {auth: none, sample: {body_file: nowhere.json}}\n",
        "sample.file",
        "nowhere.json",
    );
    refuses(
        "flow: a\nwebhook: {auth: none, sample: {body: 1, body_file: x}}\n",
        "sample.two-bodies",
        "one body",
    );
    refuses("flow: a\nwebhook: {auth: none, path: /a b}\n", "webhook.path", "");
}

#[test]
fn waiting_is_derived_from_a_reachable_respond() {
    let sync = |steps: &str| flow(&with(steps)).plan.is_sync();
    assert!(sync("  - respond: {}\n"));
    assert!(sync("  - if: webhook.body\n    then:\n      - respond: {}\n"));
    assert!(sync("  - for: x\n    in: '[1]'\n    do:\n      - respond: {}\n"));
    assert!(sync("  - {fail: x, on_error: [{respond: {}}]}\n"));
    assert!(!sync("  - set: {a: 1}\n"));
    assert!(!sync("  - {respond: {}, disabled: true}\n"));
    assert!(!flow(&(with("  - set: {a: 1}\n") + "on_error:\n  - respond: {}\n")).plan.is_sync());
}

#[test]
fn a_path_that_ends_without_an_answer_is_a_warning() {
    let warnings = |steps: &str| load(&with(steps)).1.codes();
    assert!(warnings("  - respond: {}\n").is_empty());
    assert!(
        warnings("  - if: webhook.body\n    then:\n      - respond: {}\n    else:\n      - fail: x\n")
            .is_empty()
    );
    for open in [
        "  - if: webhook.body\n    then:\n      - respond: {}\n",
        "  - {stop: early, when: webhook.body}\n  - respond: {}\n",
        "  - for: x\n    in: webhook.body\n    do:\n      - respond: {}\n",
    ] {
        assert_eq!(warnings(open), ["flow.path-without-respond"], "{open}");
    }
}

#[test]
fn the_parameters_of_the_path_are_known() {
    let with_path = |path: &str, name: &str| {
        let steps = format!("steps: [{{log: '${{ webhook.params.{name} }}'}}]");
        format!("webhook: {{auth: none, path: {path}}}\n{steps}\n")
    };
    flow(&with_path("'/o/{id}'", "id"));
    refuses(&with_path("'/o/{id}'", "idd"), "expr.unknown-name", "did you mean `webhook.params.id`?");
    refuses(&with_path("/o", "id"), "expr.unknown-name", "`path: /{id}`");
}

#[test]
fn a_transactional_id_is_in_scope_within_a_call_and_nowhere_else() {
    let id = "${ WebhookRequest.TransactionalId }";
    for steps in [
        format!("  - set: {{a: '{id}'}}\n"),
        format!("  - {{http: {{url: 'https://x.example'}}, when: '{id}'}}\n"),
        format!("  - {{http: {{url: 'https://x.example/?{id}'}}, on_error: [{{log: '{id}'}}]}}\n"),
        format!("  - {{http: {{url: 'https://x.example/?{id}'}}}}\n  - log: '{id}'\n"),
        format!("  - run: other\n    with: {{id: '{id}'}}\n"),
    ] {
        refuses(&with(&steps), "expr.unknown-name", "`WebhookRequest` is in scope only within a call");
    }
    refuses(
        &with("  - http: {url: 'https://x.example/?${ WebhookRequest.TransactionId }'}\n"),
        "expr.unknown-name",
        "did you mean `WebhookRequest.TransactionalId`?",
    );
}

#[test]
fn a_step_that_some_run_reaches_is_no_mistake() {
    for steps in [
        "  - {stop: early, when: webhook.body}\n  - log: x\n",
        "  - {stop: early, disabled: true}\n  - log: x\n",
        "  - {fail: x, on_error: continue}\n  - log: x\n",
        "  - {fail: x, on_error: [{log: y}]}\n  - log: x\n",
        "  - try: [{fail: x}]\n    catch: [{log: y}]\n  - log: x\n",
        "  - try: [{log: a}, {stop: x}]\n    finally: [{log: y}, {log: z}]\n",
        "  - try: [{fail: x}]\n    catch: []\n  - log: x\n",
        "  - if: webhook.body\n    then: [{stop: x}]\n  - log: x\n",
        "  - switch: webhook.body\n    cases: {a: [{stop: x}]}\n  - log: x\n",
        "  - for: x\n    in: webhook.body\n    do: [{stop: x}]\n  - log: x\n",
        "  - parallel: {a: [{stop: x}], b: []}\n  - log: x\n",
        "  - disabled: true\n    try: [{stop: x}, {log: y}]\n  - log: x\n",
        "  - {http: {url: 'https://x.example'}, on_error: [{log: a}, {log: b}]}\n  - log: x\n",
        "  - {wait: {auth: none}}\n  - {sleep: 1s}\n  - {run: other}\n  - return: 1\n",
    ] {
        flow(&with(steps));
    }
    let disabled_first = "  - disabled: true\n    if: true\n    then: [{log: a}, {log: b}]\n";
    flow(&with(disabled_first));
    refuses(&with("  - {stop: 1}\n  - {log: x}\n  - {log: y}\n"), "flow.unreachable-step", "ends before it");
    refuses(&with("  - fail: x\n  - try: [{log: x}, {log: y}]\n"), "flow.unreachable-step", "no run reaches");
    let handler = "  - {fail: x, on_error: [{fail: y}]}\n  - log: never\n";
    refuses(&with(handler), "flow.unreachable-step", "no run reaches");
}

#[test]
fn a_version_that_was_kept_is_judged_no_more() {
    let text = with("  - stop: 1\n  - log: x\n");
    let credentials = hookflow_trigger::Credentials::default();
    let kept = crate::Flow::of_version(&"test".into(), "v1", &text.as_str().into(), &credentials);
    assert!(kept.is_ok(), "{kept:?}");
}

#[test]
fn one_worker_and_a_wait_are_warned_of() {
    let codes = |queue: &str, step: &str| {
        load(&format!("webhook: {{auth: none}}\nqueue: {queue}\nsteps:\n  - {step}\n")).1.codes()
    };
    assert_eq!(codes("{workers: 1}", "wait: {auth: none}"), ["flow.one-worker-waits"]);
    assert!(codes("{workers: 2}", "wait: {auth: none}").is_empty());
    assert!(codes("{workers: 1}", "sleep: 5s").is_empty());
    assert!(codes("{workers: 1, order_by: '${ webhook.body.id }'}", "wait: {auth: none}").is_empty());
}

#[test]
fn a_modifier_stands_where_it_means_something_and_is_refused_elsewhere() {
    // With `timeout`, with `retry`.
    let steps = [
        ("call: warehouse.reserve_stock\n    with: {sku: a}", true, true),
        ("emit: a.b", false, false),
        ("fail: x", false, false),
        ("for: x\n    in: '[1]'\n    do: []", true, false),
        ("http: {url: 'https://x.example'}", true, true),
        ("if: true\n    then: []", true, false),
        ("jq: '.'\n    of: webhook.body", false, false),
        ("log: x", false, false),
        ("parallel: {a: []}", true, false),
        ("respond: {status: 200}", false, false),
        ("return: 1", false, false),
        ("run: other", true, true),
        ("set: {a: 1}", false, false),
        ("sleep: 1s", true, false),
        ("stop: 1", false, false),
        ("switch: webhook.body\n    cases: {}", true, false),
        ("try: []", true, false),
        ("validate: webhook.body\n    schema: {}", false, false),
        ("wait: {auth: none}", false, false),
    ];
    let verbs: Vec<_> = steps.iter().map(|(step, ..)| step.split(':').next().unwrap()).collect();
    assert_eq!(verbs, crate::step_kinds::ALL.iter().map(|kind| kind.verb).collect::<Vec<_>>());
    for (step, timeout, retry) in steps {
        for modifier in ["when: webhook.body", "disabled: true", "on_error: continue", "on_error: [{log: x}]"]
        {
            flow(&with(&format!("  - {step}\n    {modifier}\n")));
        }
        for (modifier, stands) in [("timeout: 5s", timeout), ("retry: {tries: 2}", retry)] {
            let text = with(&format!("  - {step}\n    {modifier}\n"));
            if stands {
                flow(&text);
            } else {
                refuses(&text, "flow.modifier", "means nothing on");
            }
        }
    }
}
