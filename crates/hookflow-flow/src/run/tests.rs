mod ways_out;

use super::*;
use crate::proof::{answer, flow, prove, sample_event, start};
use crate::{Answer, Ask, HttpCall, Outcome};
use proptest::prelude::*;
use serde_json::json;

const HEAD: &str = "flow: test\nwebhook: {auth: none, sample: {body: {n: 3, list: [1, 2, 3, 4]}}}\nsteps:\n";

fn run_with(steps: &str, outside: crate::proof::Outside<'_>) -> crate::Rehearsal {
    prove(&flow(&format!("{HEAD}{steps}")), outside)
}

fn never(ask: &Ask, _: &HttpCall) -> Outcome {
    panic!("`{}` was not to be called", ask.step)
}

fn body(rehearsal: &crate::Rehearsal) -> Json {
    match &rehearsal.answer {
        Answer::Reply(reply) => serde_json::from_slice(&reply.body).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn fault(rehearsal: &crate::Rehearsal) -> &Fault {
    match &rehearsal.end {
        Some(End::Failed(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_step_that_is_skipped_is_null_and_its_fields_are_an_error() {
    let steps = "  - {id: a, when: webhook.body.n > 5, set: {x: 1}}\n  - respond: {json: {a: '${ steps.a }', x: '${ steps.a.x | default(7) }'}}\n";
    assert_eq!(body(&run_with(steps, &mut never)), json!({"a": null, "x": 7}));
    let rehearsal = run_with(
        "  - {id: a, disabled: true, set: {x: 1}}\n  - respond: {json: '${ steps.a.x }'}\n",
        &mut never,
    );
    assert_eq!(fault(&rehearsal).kind, FaultKind::Expression);
    assert!(fault(&rehearsal).message.contains("did not run"), "{}", fault(&rehearsal).message);
}

#[test]
fn a_failed_call_fails_the_run_with_its_fault() {
    let steps = "  - {id: a, http: {url: 'https://x.example/'}}\n  - respond: {status: 204}\n";
    let rehearsal = run_with(steps, &mut |_, call| answer(call, 503, r#"{"why":"busy"}"#));
    let fault = fault(&rehearsal);
    assert_eq!((fault.kind, fault.status, fault.step.as_deref()), (FaultKind::Status, Some(503), Some("a")));
    assert_eq!(rehearsal.answer, Answer::Failed(fault.clone()));
}

/// How often a call is sent that is answered so.
fn sent(call: &str, status: u16) -> (usize, bool) {
    let rehearsal = run_with(&format!("  - {call}\n"), &mut |_, call| answer(call, status, "{}"));
    let calls = rehearsal.calls.len();
    let same = |(_, call): &(_, HttpCall)| call.url == rehearsal.calls[0].1.url;
    assert!(rehearsal.calls.iter().all(same), "{:?}", rehearsal.calls);
    (calls, rehearsal.calls[0].1.transactional)
}

#[test]
fn a_call_is_sent_once_unless_it_holds_its_transactional_id() {
    let id = "${WebhookRequest.TransactionalId}";
    let plain = "http: {method: POST, url: 'https://x.example/'}";
    assert_eq!(sent(plain, 503), (1, false));
    for parts in [
        format!("url: 'https://x.example/{id}'"),
        format!("url: 'https://x.example/', query: {{t: '{id}'}}"),
        format!("url: 'https://x.example/', headers: {{X-T: 'a {id}'}}"),
        format!("url: 'https://x.example/', json: {{a: [{{b: '{id}'}}]}}"),
        format!("url: 'https://x.example/', text: '@{{if true}}{id}@{{end if}}'"),
        format!("url: 'https://x.example/', form: {{t: '{id}'}}"),
    ] {
        let call = format!("http: {{method: POST, {parts}}}");
        assert_eq!(sent(&call, 503), (4, true), "{call}");
        assert_eq!(sent(&call, 404), (1, true), "{call}");
        assert_eq!(sent(&call, 200), (1, true), "{call}");
        assert_eq!(sent(&format!("{{{call}, retry: {{tries: 2}}}}"), 503), (2, true), "{call}");
        assert_eq!(sent(&format!("{{{call}, retry: {{on: [404]}}}}"), 503), (1, true), "{call}");
        assert_eq!(sent(&format!("{{{call}, timeout: 5s, on_error: continue}}"), 429), (4, true), "{call}");
    }
    let good = format!("http: {{url: 'https://x.example/{id}', ok: [2xx, 503]}}");
    assert_eq!(sent(&good, 503), (1, true), "an answer that is good ends it");
}

#[test]
fn on_error_continue_keeps_what_there_is() {
    let steps = "  - id: a\n    on_error: continue\n    http: {url: 'https://x.example/', capture: {id: data.id}}\n  - respond: {json: {ok: '${ steps.a.ok }', status: '${ steps.a.status }', kind: '${ steps.a.error.kind }', id: '${ steps.a.id }', body: '${ steps.a.body.why }'}}\n";
    let rehearsal = run_with(steps, &mut |_, call| answer(call, 503, r#"{"why":"busy","data":{"id":9}}"#));
    assert_eq!(
        body(&rehearsal),
        json!({"ok": false, "status": 503, "kind": "status", "id": null, "body": "busy"})
    );
    let silent =
        |_: &Ask, _: &HttpCall| Outcome::Failed { kind: FaultKind::Timeout, message: "no answer".into() };
    let steps = "  - {id: a, on_error: continue, http: {url: 'https://x.example/'}}\n  - respond: {json: '${ steps.a }'}\n";
    let value = body(&run_with(steps, &mut { silent }));
    assert_eq!(
        (&value["ok"], &value["status"], &value["error"]["kind"]),
        (&json!(false), &json!(null), &json!("timeout"))
    );
}

#[test]
fn a_call_that_could_not_be_made_failed_like_one_that_was() {
    let steps = "  - id: a\n    on_error: continue\n    http: {url: 'https://x.example/${ webhook.body.nothing }'}\n  - respond: {json: {ok: '${ steps.a.ok }', kind: '${ steps.a.error.kind }', tries: '${ steps.a.attempts }'}}\n";
    assert_eq!(body(&run_with(steps, &mut never)), json!({"ok": false, "kind": "expression", "tries": 0}));
}

#[test]
fn what_is_collected_and_told_counts_against_the_bounds() {
    let each = |body: &str| {
        format!(
            "  - for: i\n    in: range(10000)\n    do: [{body}]\n    collect: '\"x\" * 10000'\n  - respond: {{}}\n"
        )
    };
    let rehearsal = run_with(&each(""), &mut never);
    assert_eq!(fault(&rehearsal).code, "run.limit", "{:?}", fault(&rehearsal));
    let rehearsal = run_with(&each("{log: '${ \"x\" * 10000 }'}"), &mut never);
    assert_eq!(fault(&rehearsal).code, "run.limit");
    assert!(rehearsal.log.len() < 4_000, "{}", rehearsal.log.len());
}

#[test]
fn a_run_in_slices_is_the_same_run() {
    let steps = "  - id: all\n    for: a\n    in: range(2000)\n    do: []\n    collect: a\n  - respond: {json: '${ steps.all | length }'}\n";
    let flow = flow(&format!("{HEAD}{steps}"));
    let (whole, _) = Run::begin(Arc::clone(&flow.plan), start(sample_event(&flow)));
    let (mut run, mut effects) = Run::begin_in_slices(Arc::clone(&flow.plan), start(sample_event(&flow)));
    let mut slices = 1;
    while run.is_ready() {
        effects.extend(run.go_on());
        slices += 1;
    }
    assert!(slices >= 3, "{slices}");
    assert_eq!((run.end(), run.reply()), (whole.end(), whole.reply()));
    assert_eq!(run.reply().unwrap().body, "2000");
}

#[test]
fn on_error_steps_see_the_error_and_the_run_goes_on() {
    let steps = "  - id: a\n    fail: no luck\n    code: luck\n    on_error:\n      - {id: seen, set: {why: '${ error.message }', code: '${ error.code }'}}\n  - respond: {json: '${ steps.seen }'}\n";
    assert_eq!(body(&run_with(steps, &mut never)), json!({"why": "no luck", "code": "luck"}));
    let steps = "  - id: a\n    http: {url: 'https://x.example/'}\n    on_error:\n      - respond: {status: 502, json: {status: '${ steps.a.status }'}}\n  - respond: {}\n";
    assert_eq!(body(&run_with(steps, &mut |_, call| answer(call, 503, "{}"))), json!({"status": 503}));
    // A handler that fails hands its own fault on, with the first one as the cause.
    let steps = "  - fail: first\n    on_error:\n      - fail: second\n";
    let rehearsal = run_with(steps, &mut never);
    assert_eq!(fault(&rehearsal).message, "second");
    assert_eq!(fault(&rehearsal).cause.as_ref().unwrap().message, "first");
}

#[test]
fn the_flows_on_error_may_answer_and_the_run_still_failed() {
    let text = format!(
        "{HEAD}  - {{id: a, set: {{x: 1}}}}\n  - fail: broken\n    when: webhook.body.n == 3\n  - respond: {{status: 204}}\non_error:\n  - respond: {{status: 502, json: {{why: '${{ error.message }}', x: '${{ steps.a.x }}'}}}}\n"
    );
    let rehearsal = prove(&flow(&text), &mut never);
    assert_eq!(body(&rehearsal), json!({"why": "broken", "x": 1}));
    assert_eq!(fault(&rehearsal).message, "broken");
}

#[test]
fn the_first_answer_wins_and_the_flow_goes_on() {
    let steps = "  - respond: {status: 202, json: 1}\n  - {id: later, http: {url: 'https://x.example/'}}\n  - respond: {json: 2}\n";
    let mut calls = 0;
    let rehearsal = run_with(steps, &mut |_, call| {
        calls += 1;
        answer(call, 200, "{}")
    });
    assert_eq!((body(&rehearsal), calls, rehearsal.end), (json!(1), 1, Some(End::Succeeded(Json::Null))));
}

#[test]
fn a_loop_collects_in_order_whatever_the_order_of_the_answers() {
    let steps = "  - id: all\n    for: n\n    in: webhook.body.list\n    parallel: 3\n    do:\n      - {id: got, http: {url: 'https://x.example/${ n }'}}\n    collect: steps.got.body * 10\n  - respond: {json: '${ steps.all }'}\n";
    let flow = flow(&format!("{HEAD}{steps}"));
    let (mut run, mut open) = Run::begin(Arc::clone(&flow.plan), start(sample_event(&flow)));
    let mut most = 0;
    while run.end().is_none() {
        most = most.max(open.iter().filter(|effect| matches!(effect, Effect::Call(..))).count());
        // The last asked is answered first.
        let Some(Effect::Call(ask, call)) = open.pop() else { continue };
        let n = call.url.under(None).unwrap().path().trim_start_matches('/').to_owned();
        open.extend(run.on(&ask.fact(Timestamp::UNIX_EPOCH, answer(&call, 200, &n))));
    }
    assert_eq!(most, 3);
    assert_eq!(run.reply().unwrap().body, "[10,20,30,40]");
    prove(&flow, &mut |_, call| {
        answer(call, 200, call.url.under(None).unwrap().path().trim_start_matches('/'))
    });
}

#[test]
fn one_failed_turn_ends_the_loop_after_the_calls_that_are_out() {
    let steps = "  - id: all\n    for: n\n    in: webhook.body.list\n    parallel: 2\n    on_error: continue\n    do:\n      - {http: {url: 'https://x.example/${ n }'}}\n  - respond: {json: '${ steps.all }'}\n";
    let mut called = Vec::new();
    run_with(steps, &mut |_, call| {
        called.push(call.url.under(None).unwrap().path().to_owned());
        answer(call, if call.url.under(None).unwrap().path() == "/1" { 500 } else { 200 }, "{}")
    });
    assert_eq!(called, ["/1", "/2"], "no turn begins after the first failure");
}

#[test]
fn loops_nest_and_name_their_turns() {
    let steps = "  - id: outer\n    for: a\n    in: '[1, 2]'\n    do:\n      - id: inner\n        for: b\n        in: '[\"x\", \"y\"]'\n        do:\n          - {id: cell, set: {v: '${ a }${ b }${ loop.index }'}}\n        collect: steps.cell.v\n    collect: steps.inner\n  - respond: {json: '${ steps.outer }'}\n";
    assert_eq!(body(&run_with(steps, &mut never)), json!([["1x0", "1y1"], ["2x0", "2y1"]]));
}

#[test]
fn bounds_end_a_run_with_a_fault() {
    let rehearsal =
        run_with("  - {for: n, in: 'webhook.body.list', max: 3, do: []}\n  - respond: {}\n", &mut never);
    assert_eq!(
        (fault(&rehearsal).kind, fault(&rehearsal).code.as_str()),
        (FaultKind::Limit, "step.for.too-many")
    );
    let steps = "  - for: a\n    in: range(1000)\n    do:\n      - for: b\n        in: range(1000)\n        do: []\n  - respond: {}\n";
    let flow = flow(&format!("{HEAD}{steps}"));
    let (run, _) = Run::begin(Arc::clone(&flow.plan), start(sample_event(&flow)));
    assert!(matches!(run.end(), Some(End::Failed(fault)) if fault.code == "run.limit"), "{:?}", run.end());
}

#[test]
fn a_deadline_is_the_nearest_of_those_around_it() {
    let steps = "  - if: true\n    timeout: 5s\n    then:\n      - {id: a, timeout: 20s, http: {url: 'https://x.example/'}}\n      - {id: b, timeout: 2s, http: {url: 'https://x.example/'}}\n  - respond: {}\n";
    let flow = flow(&format!("{HEAD}{steps}"));
    let (mut run, effects) = Run::begin(Arc::clone(&flow.plan), start(sample_event(&flow)));
    let deadline = |effects: &[Effect]| match effects {
        [Effect::Call(ask, _)] => ask.deadline.unwrap().as_second(),
        other => panic!("{other:?}"),
    };
    assert_eq!(deadline(&effects), 5);
    let Some(Effect::Call(ask, call)) = effects.into_iter().next() else { panic!() };
    // The machine's time is that of the last fact.
    let effects = run.on(&ask.fact(Timestamp::from_second(1).unwrap(), answer(&call, 200, "{}")));
    assert_eq!(deadline(&effects), 3);
}

#[test]
fn a_journal_that_does_not_fit_is_set_aside() {
    let flow =
        flow(&format!("{HEAD}  - {{id: a, http: {{url: 'https://x.example/'}}}}\n  - respond: {{}}\n"));
    let begin = || start(sample_event(&flow));
    let (_, effects) = Run::begin(Arc::clone(&flow.plan), begin());
    let Some(Effect::Call(ask, call)) = effects.into_iter().next() else { panic!() };
    let fact = ask.fact(Timestamp::UNIX_EPOCH, answer(&call, 200, "{}"));
    let replay = |facts: Vec<Fact>| {
        Run::replay(Arc::clone(&flow.plan), begin(), &facts).map(|(run, _)| run.end().cloned())
    };
    assert!(replay(vec![fact.clone()]).unwrap().is_some());
    assert!(replay(vec![Fact { verb: "sleep".into(), ..fact.clone() }]).is_err());
    let elsewhere = Place { step: StepNumber(7), turns: vec![] };
    assert!(replay(vec![Fact { place: elsewhere, ..fact.clone() }]).is_err());
    assert!(replay(vec![Fact { attempt: 2, ..fact.clone() }]).is_err());
    assert!(replay(vec![fact.clone(), fact]).is_err());
}

#[test]
fn facts_keep_every_number_through_json() {
    let outcome = Outcome::Answered {
        status: 200,
        headers: serde_json::Map::new(),
        body: serde_json::from_str(r#"{"price":10.10,"id":123456789012345678901234567890}"#).unwrap(),
        captures: serde_json::Map::new(),
    };
    let place = Place { step: StepNumber(3), turns: vec![1, 0] };
    let fact = Fact {
        place,
        verb: "http".into(),
        attempt: 1,
        at: Timestamp::UNIX_EPOCH,
        outcome,
        left: None,
        tried: None,
    };
    let text = serde_json::to_string(&fact).unwrap();
    assert!(text.contains("10.10") && text.contains("123456789012345678901234567890"));
    assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact);
}

/// One generated step without others in it.
fn leaf() -> BoxedStrategy<Json> {
    prop_oneof![
        Just(json!({"set": {"x": "${ webhook.body.n }", "u": "${ uuid() }", "at": "${ now() }"}})),
        Just(json!({"log": "n is ${ webhook.body.n }"})),
        (0..3u16, any::<bool>()).prop_map(|(n, go_on)| {
            let mut step = json!({"http": {"url": format!("https://x.example/{n}"), "json": {"u": "${ uuid() }"}}});
            if go_on {
                step["on_error"] = json!("continue");
            }
            step
        }),
        (200..206u16).prop_map(|status| json!({"respond": {"status": if status == 204 { 200 } else { status }, "json": "${ run.id }"}})),
        Just(json!({"fail": "no", "when": "webhook.body.n == 4"})),
        Just(json!({"fail": "caught", "on_error": [{"log": "${ error.message }"}]})),
        (3..5u8).prop_map(|n| json!({"stop": "${ webhook.body.n }", "when": format!("webhook.body.n == {n}")})),
        (3..5u8).prop_map(|n| json!({"return": "${ webhook.body.n }", "when": format!("webhook.body.n == {n}")})),
        (1..4u8, any::<bool>()).prop_map(|(tries, bounded)| {
            let mut step = json!({
                "http": {"url": "https://x.example/again", "json": {"u": "${ uuid() }"}},
                "retry": {"tries": tries, "backoff": "1s..4s"},
                "on_error": [{"log": "gave up after ${ error.attempts }"}],
            });
            if bounded {
                step["timeout"] = json!("5s");
            }
            step
        }),
        (1..90u8).prop_map(|seconds| json!({"sleep": format!("{seconds}s")})),
        any::<bool>().prop_map(|goes_on| {
            let on_timeout = if goes_on { "continue" } else { "fail" };
            json!({"wait": {"auth": "none", "timeout": "20s", "on_timeout": on_timeout}, "on_error": "continue"})
        }),
        (1..3u8, any::<bool>()).prop_map(|(tries, detach)| {
            json!({"run": "other", "with": "${ uuid() }", "detach": detach, "retry": {"tries": tries}, "on_error": "continue"})
        }),
        (2..5u8).prop_map(|least| {
            json!({"validate": "webhook.body.n", "schema": {"minimum": least}, "on_error": "continue"})
        }),
        Just(json!({"emit": "order.created", "data": "webhook.body.n"})),
    ]
    .boxed()
}

/// Steps of a generated flow, at most `depth` deep.
fn steps(depth: u32) -> BoxedStrategy<Json> {
    if depth == 0 {
        return proptest::collection::vec(leaf(), 0..3).prop_map(Json::Array).boxed();
    }
    let inner = steps(depth - 1);
    let block = prop_oneof![
        (inner.clone(), inner.clone(), 2..5u8)
            .prop_map(|(then, other, n)| json!({"if": format!("webhook.body.n > {n}"), "then": then, "else": other})),
        (inner.clone(), inner.clone())
            .prop_map(|(a, b)| json!({"switch": "webhook.body.n", "cases": {"3": a}, "default": b})),
        (inner.clone(), 1..4u8, any::<bool>()).prop_map(|(body, parallel, go_on)| {
            let mut step = json!({"for": "i", "in": "webhook.body.list", "parallel": parallel, "do": body, "collect": "i"});
            if go_on {
                step["on_error"] = json!("continue");
            }
            step
        }),
        inner.clone().prop_map(|body| json!({"if": "true", "then": body, "on_error": [{"log": "caught ${ error.kind }"}]})),
        (inner.clone(), inner.clone(), proptest::option::of(inner.clone()), any::<bool>()).prop_map(|(body, catch, finally, bounded)| {
            let mut step = json!({"try": body});
            match finally {
                Some(finally) => step["finally"] = unended(finally),
                None => step["catch"] = catch,
            }
            if bounded {
                step["timeout"] = json!("30s");
            }
            step
        }),
        (inner.clone(), inner.clone(), inner, any::<bool>()).prop_map(|(a, b, c, go_on)| {
            let mut step = json!({"parallel": {"a": a, "b": b, "c": c}});
            if go_on {
                step["on_error"] = json!("continue");
            }
            step
        }),
    ];
    proptest::collection::vec(prop_oneof![leaf(), block], 1..4).prop_map(Json::Array).boxed()
}

/// The same steps without those that end the run, which have no place in a `finally`.
fn unended(mut steps: Json) -> Json {
    match &mut steps {
        Json::Array(items) => {
            items.retain(|item| item.get("stop").is_none() && item.get("return").is_none());
            for item in items {
                *item = unended(item.take());
            }
        }
        Json::Object(map) => map.values_mut().for_each(|value| *value = unended(value.take())),
        _ => {}
    }
    steps
}

/// An outcome for an ask, by chance: mostly a good one.
fn come(effect: &Effect, good: bool) -> Outcome {
    match effect {
        Effect::Call(_, call) => answer(call, if good { 200 } else { 503 }, "{}"),
        Effect::Sleep(_) => Outcome::Slept,
        Effect::Wait(..) if good => Outcome::Resumed {
            method: "POST".into(),
            headers: serde_json::Map::new(),
            query: json!({}),
            body: json!({"yes": true}),
            files: json!([]),
        },
        Effect::Run(..) if good => Outcome::Ended(End::Succeeded(json!(7))),
        Effect::Run(..) => {
            Outcome::Ended(End::Failed(Fault::new(FaultKind::Timeout, Code("run.bug"), "the child failed")))
        }
        Effect::Wait(..) => Outcome::Failed { kind: FaultKind::Timeout, message: "nobody called".into() },
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// JSON is YAML, so a generated flow is written as JSON.
    #[test]
    fn any_flow_replays_as_it_ran(steps in steps(2), seed in any::<u64>()) {
        let document = json!({
            "flow": "generated",
            "webhook": {"auth": "none", "sample": {"body": {"n": 3, "list": [1, 2, 3]}}},
            "steps": steps,
        });
        let flow = flow(&document.to_string());
        let mut state = seed;
        prove(&flow, &mut |_, call| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            answer(call, if state >> 62 == 0 { 500 } else { 200 }, "{}")
        });
    }

    /// Any order of the answers ends the run once.
    #[test]
    fn any_order_of_facts_ends_once(steps in steps(2), seed in any::<u64>()) {
        let document = json!({
            "flow": "generated",
            "webhook": {"auth": "none", "sample": {"body": {"n": 3, "list": [1, 2, 3]}}},
            "steps": steps,
        });
        let flow = flow(&document.to_string());
        let (mut run, effects) = Run::begin(Arc::clone(&flow.plan), start(sample_event(&flow)));
        let asks = |effects: Vec<Effect>| effects.into_iter().filter(|effect| effect.ask().is_some());
        let mut open: Vec<_> = asks(effects).collect();
        let (mut facts, mut state, mut at) = (Vec::new(), seed, Timestamp::UNIX_EPOCH);
        while run.end().is_none() {
            open.retain(|effect: &Effect| run.awaits(effect.ask().unwrap()));
            prop_assert!(!open.is_empty(), "the run neither ended nor asks for anything");
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = usize::try_from(state >> 33).unwrap() % open.len();
            let effect = open.swap_remove(pick);
            let ask = effect.ask().unwrap().clone();
            at = at.max(ask.not_before.unwrap_or(at));
            let outcome = if state.is_multiple_of(61) {
                Outcome::Failed { kind: FaultKind::Cancelled, message: "cancelled".into() }
            } else {
                come(&effect, state >> 62 != 0)
            };
            let fact = ask.fact(at, outcome);
            open.extend(asks(run.on(&fact)));
            facts.push(fact);
        }
        let end = run.end().cloned();
        for effect in open {
            let ask = effect.ask().unwrap().clone();
            let late = run.on(&ask.fact(Timestamp::UNIX_EPOCH, come(&effect, true)));
            prop_assert!(late.is_empty());
        }
        prop_assert_eq!(run.end().cloned(), end.clone());
        let (replayed, _) = Run::replay(Arc::clone(&flow.plan), start(sample_event(&flow)), &facts).unwrap();
        prop_assert_eq!(replayed.end().cloned(), end);
    }
}
