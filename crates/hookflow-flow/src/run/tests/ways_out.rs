//! `try`, `finally`, branches, second tries and what waits.

use super::*;

/// A run whose asks the test answers itself, in the order it likes.
struct Live {
    run: Run,
    open: Vec<Effect>,
    logged: Vec<String>,
}

impl Live {
    fn begin(steps: &str) -> Self {
        let flow = flow(&format!("{HEAD}{steps}"));
        let (run, effects) = Run::begin(Arc::clone(&flow.plan), start(sample_event(&flow)));
        let mut live = Self { run, open: Vec::new(), logged: Vec::new() };
        live.take(effects);
        live
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Log(line) => self.logged.push(line.text),
                asks if asks.ask().is_some() => self.open.push(asks),
                _ => {}
            }
        }
        self.open.retain(|effect| self.run.awaits(effect.ask().unwrap()));
    }

    /// The steps that ask, in the order in which they did.
    fn asking(&self) -> Vec<&str> {
        self.open.iter().map(|effect| &*effect.ask().unwrap().step).collect()
    }

    fn ask(&self, step: &str) -> &Ask {
        self.open.iter().find_map(|effect| effect.ask().filter(|ask| &*ask.step == step)).unwrap()
    }

    /// At a second of the run's time, an outcome for a step.
    #[track_caller]
    fn on(&mut self, second: i64, step: &str, outcome: impl FnOnce(&Effect) -> Outcome) {
        let n = self.open.iter().position(|effect| &*effect.ask().unwrap().step == step);
        let effect = self.open.remove(n.unwrap_or_else(|| panic!("`{step}` asks for nothing")));
        let ask = effect.ask().unwrap().clone();
        let fact = ask.fact(Timestamp::from_second(second).unwrap(), outcome(&effect));
        let effects = self.run.on(&fact);
        self.take(effects);
    }
}

fn status(status: u16) -> impl Fn(&Effect) -> Outcome {
    move |effect| match effect {
        Effect::Call(_, call) => answer(call, status, "{}"),
        other => panic!("{other:?}"),
    }
}

fn failed(kind: FaultKind) -> impl Fn(&Effect) -> Outcome {
    move |_| Outcome::Failed { kind, message: format!("{kind:?}") }
}

fn kind_of(run: &Run) -> FaultKind {
    match run.end() {
        Some(End::Failed(fault)) => fault.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn finally_runs_on_every_way_out() {
    let with = |body: &str| {
        format!("  - try:\n      - {body}\n    finally:\n      - log: cleaned\n  - log: after\n")
    };
    let logged = |body: &str, outcome: u16| {
        let rehearsal = run_with(&with(body), &mut |_, call| answer(call, outcome, "{}"));
        let lines: Vec<_> = rehearsal.log.iter().map(|line| line.text.clone()).collect();
        (lines.join(" "), rehearsal.end.unwrap())
    };
    let call = "{id: a, http: {url: 'https://x.example/'}}";
    assert_eq!(logged(call, 200), ("cleaned after".into(), End::Succeeded(Json::Null)));
    let (lines, end) = logged(call, 500);
    assert_eq!(lines, "cleaned");
    assert!(matches!(end, End::Failed(fault) if fault.step.as_deref() == Some("a")));
    assert_eq!(logged("stop: 7", 200), ("cleaned".into(), End::Succeeded(json!(7))));
    assert_eq!(logged("return: 8", 200), ("cleaned".into(), End::Succeeded(json!(8))));
    assert_eq!(logged("sleep: 1h\n        timeout: 1m", 200).0, "cleaned");

    let mut live = Live::begin(&with(call));
    live.on(1, "a", failed(FaultKind::Cancelled));
    assert_eq!((live.logged.join(" "), kind_of(&live.run)), ("cleaned".into(), FaultKind::Cancelled));
}

#[test]
fn a_cancelled_run_is_caught_by_nobody() {
    let text = format!(
        "{HEAD}  - try:\n      - {{id: a, on_error: continue, http: {{url: 'https://x.example/'}}}}\n    catch:\n      - log: caught\n  - log: after\non_error:\n  - log: failed\n"
    );
    let flow = flow(&text);
    let (mut run, effects) = Run::begin(Arc::clone(&flow.plan), start(sample_event(&flow)));
    let ask = effects[0].ask().unwrap().clone();
    let told = run.on(&ask.fact(
        Timestamp::UNIX_EPOCH,
        Outcome::Failed { kind: FaultKind::Cancelled, message: "enough".into() },
    ));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(kind_of(&run), FaultKind::Cancelled);
}

#[test]
fn a_fault_in_finally_replaces_the_former() {
    let steps = "  - try: [{fail: first}]\n    finally: [{fail: second}]\n";
    let rehearsal = run_with(steps, &mut never);
    assert_eq!(fault(&rehearsal).message, "second");
    assert_eq!(fault(&rehearsal).cause.as_ref().unwrap().message, "first");
    let steps = "  - try: [{stop: fine}]\n    finally: [{fail: second}]\n";
    assert_eq!(fault(&run_with(steps, &mut never)).message, "second");
    let steps = "  - try:\n      - try: [{fail: first}]\n        finally: [{log: inner}]\n    catch:\n      - log: '${ error.message }'\n    finally:\n      - log: outer\n  - respond: {}\n";
    let lines: Vec<_> = run_with(steps, &mut never).log.into_iter().map(|line| line.text).collect();
    assert_eq!(lines, ["inner", "first", "outer"]);
}

#[test]
fn no_timeout_around_it_cuts_finally_short() {
    let mut live = Live::begin(
        "  - timeout: 10s\n    try:\n      - {id: a, http: {url: 'https://x.example/'}}\n    finally:\n      - {id: b, http: {url: 'https://x.example/'}}\n      - {id: c, timeout: 5s, http: {url: 'https://x.example/'}}\n",
    );
    assert_eq!(live.ask("a").deadline, Some(Timestamp::from_second(10).unwrap()));
    live.on(10, "a", failed(FaultKind::Timeout));
    assert_eq!(live.ask("b").deadline, None);
    live.on(12, "b", status(200));
    assert_eq!(live.ask("c").deadline, Some(Timestamp::from_second(17).unwrap()));
    live.on(13, "c", status(200));
    assert_eq!(kind_of(&live.run), FaultKind::Timeout);
}

#[test]
fn branches_run_side_by_side_and_are_read_afterwards() {
    let steps = "  - parallel:\n      a:\n        - {id: a, http: {url: 'https://x.example/a'}}\n      b:\n        - {id: b, http: {url: 'https://x.example/b'}}\n        - {id: c, set: {n: '${ steps.b.body }'}}\n  - respond: {json: {a: '${ steps.a.body }', c: '${ steps.c.n }'}}\n";
    let mut live = Live::begin(steps);
    assert_eq!(live.asking(), ["a", "b"]);
    let body = |text: &'static str| {
        move |effect: &Effect| match effect {
            Effect::Call(_, call) => answer(call, 200, text),
            other => panic!("{other:?}"),
        }
    };
    live.on(1, "b", body("2"));
    live.on(2, "a", body("1"));
    assert_eq!(live.run.reply().unwrap().body, r#"{"a":1,"c":2}"#);
    assert_eq!(live.run.end(), Some(&End::Succeeded(Json::Null)));
}

#[test]
fn the_first_failure_ends_what_waits_and_awaits_what_is_sent() {
    let steps = "  - parallel:\n      a:\n        - {id: a, http: {url: 'https://x.example/a'}}\n      b:\n        - {id: b, http: {url: 'https://x.example/b'}}\n        - log: never\n      c:\n        - {id: c, sleep: 1h}\n        - log: never\n      d:\n        - try:\n            - {id: d, wait: {auth: none}}\n          catch:\n            - log: never\n          finally:\n            - {id: e, http: {url: 'https://x.example/e'}}\n            - log: cleaned\n        - log: never\n    on_error:\n      - log: '${ error.step } ${ steps.b.ok }'\n  - respond: {}\n";
    let mut live = Live::begin(steps);
    assert_eq!(live.asking(), ["a", "b", "c", "d"]);
    live.on(1, "a", status(500));
    assert_eq!(live.asking(), ["b", "e"], "the call is awaited, the sleep and the wait are over");
    live.on(2, "b", status(200));
    assert!(live.logged.is_empty(), "{:?}", live.logged);
    live.on(3, "e", status(200));
    assert_eq!(live.logged, ["cleaned", "a true"]);
    assert_eq!(live.run.end(), Some(&End::Succeeded(Json::Null)));
}

#[test]
fn a_branch_that_ends_the_run_ends_all_of_it() {
    let steps = "  - parallel:\n      a:\n        - {id: a, http: {url: 'https://x.example/a'}}\n        - stop: done\n      b:\n        - try:\n            - {id: b, sleep: 1h}\n          finally:\n            - log: cleaned\n        - log: never\n    on_error: continue\n  - log: never\n";
    let mut live = Live::begin(steps);
    live.on(1, "a", status(200));
    assert_eq!(live.logged, ["cleaned"]);
    assert_eq!(live.run.end(), Some(&End::Succeeded(json!("done"))));
}

#[test]
fn a_try_is_made_again_and_each_is_a_fact() {
    let steps = "  - id: a\n    timeout: 5s\n    retry: {tries: 3, backoff: 10s, within: 1h}\n    http: {url: 'https://x.example/', json: '${ uuid() }'}\n    on_error: continue\n  - respond: {json: {ok: '${ steps.a.ok }', attempts: '${ steps.a.attempts }', error: '${ steps.a.error.attempts | default(none) }'}}\n";
    let mut bodies = Vec::new();
    let rehearsal = run_with(steps, &mut |ask, call| {
        bodies.push(call.body.shown().into_owned());
        assert_eq!(ask.deadline, Some(ask.not_before.unwrap_or(ask.at) + std::time::Duration::from_secs(5)));
        answer(call, 503, "{}")
    });
    assert_eq!(body(&rehearsal), json!({"ok": false, "attempts": 3, "error": 3}));
    assert_eq!(rehearsal.facts.iter().map(|fact| fact.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "each try sends the same");
    let pauses: Vec<_> =
        rehearsal.facts.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
    assert!(pauses.iter().all(|pause| (5..=10).contains(&pause.as_secs())), "{pauses:?}");

    let mut left = 2;
    let rehearsal = run_with(steps, &mut |_, call| {
        left -= 1;
        answer(call, if left == 0 { 200 } else { 429 }, "{}")
    });
    assert_eq!(body(&rehearsal), json!({"ok": true, "attempts": 2, "error": null}));
    let once = run_with(steps, &mut |_, call| answer(call, 404, "{}"));
    assert_eq!(once.facts.len(), 1, "404 is not tried again");
}

#[test]
fn a_stale_try_is_ignored() {
    let mut live = Live::begin("  - {id: a, retry: {}, http: {url: 'https://x.example/'}}\n");
    let first = live.ask("a").clone();
    live.on(1, "a", status(503));
    assert_eq!(live.ask("a").attempt, 2);
    let late = Outcome::Failed { kind: FaultKind::Timeout, message: String::new() };
    assert!(live.run.on(&first.fact(Timestamp::UNIX_EPOCH, late)).is_empty());
    assert_eq!(live.run.ignored().1, 1);
    live.on(2, "a", status(200));
    assert_eq!(live.run.end(), Some(&End::Succeeded(Json::Null)));
}

#[test]
fn a_sleep_is_until_a_moment_and_within_its_timeout() {
    let mut live = Live::begin("  - {id: a, sleep: 5m}\n  - {id: b, sleep: '${ webhook.body.n }m'}\n");
    assert_eq!(live.ask("a").not_before, Some(Timestamp::from_second(300).unwrap()));
    live.on(301, "a", |_| Outcome::Slept);
    assert_eq!(live.ask("b").not_before, Some(Timestamp::from_second(301 + 180).unwrap()));
    let rehearsal = run_with("  - {sleep: 1h, timeout: 5m}\n", &mut never);
    assert_eq!(fault(&rehearsal).kind, FaultKind::Timeout);
    assert_eq!(rehearsal.facts[0].at, Timestamp::from_second(300).unwrap());
    let rehearsal = run_with("  - {sleep: '${ webhook.body.n }'}\n", &mut never);
    assert_eq!(fault(&rehearsal).code, "step.sleep.duration");
}

#[test]
fn a_wait_has_a_url_that_names_its_turn() {
    let steps = "  - set: {url: \"${ wait_url('w') }\"}\n    id: early\n  - id: w\n    wait: {auth: none, timeout: 1h}\n  - respond: {json: {url: '${ steps.early.url }', body: '${ steps.w.body }', late: '${ steps.w.timed_out }'}}\n";
    let mut live = Live::begin(steps);
    let ask = live.ask("w").clone();
    assert_eq!(ask.deadline, Some(Timestamp::from_second(3_600).unwrap()));
    live.on(5, "w", |_| Outcome::Resumed {
        method: "POST".into(),
        headers: serde_json::Map::new(),
        query: json!({}),
        body: json!({"yes": true}),
        files: json!([]),
    });
    let reply: Json = serde_json::from_slice(&live.run.reply().unwrap().body).unwrap();
    assert_eq!((&reply["body"], &reply["late"]), (&json!({"yes": true}), &json!(false)));
    let url = reply["url"].as_str().unwrap();
    let token = crate::WaitToken::parse(url.strip_prefix("http://localhost/resume/").unwrap()).unwrap();
    assert!(token.proves(&live.run.start().seed));
    assert_eq!((&*token.run, &token.place), ("run-1", &ask.place));
    assert!(live.run.plan().waiting(token.place.step).is_some());

    let each = "  - for: n\n    in: webhook.body.list\n    parallel: 4\n    collect: steps.u.url\n    id: all\n    do:\n      - {id: u, set: {url: \"${ wait_url('w') }\"}}\n      - {id: w, wait: {auth: none, on_timeout: continue}}\n  - respond: {json: '${ steps.all }'}\n";
    let urls = body(&run_with(each, &mut never));
    let turns: Vec<_> =
        urls.as_array().unwrap().iter().map(|url| url.as_str().unwrap().split('~').nth(1).unwrap()).collect();
    assert_eq!(turns, ["2.0", "2.1", "2.2", "2.3"]);
}

#[test]
fn a_wait_that_nobody_calls_fails_or_goes_on() {
    let steps = |word: &str| {
        format!(
            "  - {{id: w, wait: {{auth: none, timeout: 1h, on_timeout: {word}}}}}\n  - respond: {{json: '${{ steps.w.timed_out }}'}}\n"
        )
    };
    let mut live = Live::begin(&steps("continue"));
    live.on(3_600, "w", failed(FaultKind::Timeout));
    assert_eq!(live.run.reply().unwrap().body, "true");
    let mut live = Live::begin(&steps("fail"));
    live.on(3_600, "w", failed(FaultKind::Timeout));
    assert_eq!(kind_of(&live.run), FaultKind::Timeout);
}

#[test]
fn the_fault_of_another_flow_is_the_cause_of_the_steps() {
    let mut live = Live::begin("  - {id: a, run: other, with: {n: 1}, timeout: 1m}\n");
    let Effect::Run(ask, child) = &live.open[0] else { panic!() };
    assert_eq!((&*child.flow, &child.with, child.detach), ("other", &json!({"n": 1}), false));
    assert_eq!(ask.deadline, Some(Timestamp::from_second(60).unwrap()));
    let cause =
        Fault { status: Some(503), ..Fault::new(FaultKind::Status, Code("step.http.status"), "busy") };
    live.on(1, "a", |_| Outcome::Ended(End::Failed(cause)));
    let Some(End::Failed(fault)) = live.run.end() else { panic!() };
    assert_eq!(
        (fault.kind, fault.code.as_str(), fault.status),
        (FaultKind::Status, "step.run.failed", Some(503))
    );
    assert_eq!(fault.cause.as_ref().unwrap().message, "busy");
}

#[test]
fn an_emission_is_told_with_its_place() {
    let steps = "  - for: n\n    in: webhook.body.list\n    do:\n      - emit: order.created\n        data: {n: '${ n }'}\n";
    let emitted = run_with(steps, &mut never).emitted;
    let seen: Vec<_> =
        emitted.iter().map(|one| (&*one.event, one.data["n"].clone(), one.place.turns[0])).collect();
    assert_eq!(
        seen,
        [
            ("order.created", json!(1), 0),
            ("order.created", json!(2), 1),
            ("order.created", json!(3), 2),
            ("order.created", json!(4), 3)
        ]
    );
}
