//! What a run did, step by step. Only outcomes are kept of a run; everything else is computed again from them.

use crate::{
    Effect, Emission, End, Fact, HttpCall, LogLine, Place, Plan, Run, Seen, Start, StepNumber, SubRun,
};
use hookflow_text::Json;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run as its facts tell it.
#[derive(Debug)]
pub struct Retraced {
    /// The steps of which something is known, in the order of the file.
    pub steps: BTreeMap<Place, RetracedStep>,
    /// What was logged.
    pub log: Vec<LogLine>,
    /// What was emitted.
    pub emitted: Vec<Emission>,
    /// Which steps began, and which ways it took.
    pub seen: Seen,
    /// How it ended, if the facts go so far.
    pub end: Option<End>,
    /// Facts that the plan did not ask for: it is another one than the run had.
    pub unasked: usize,
}

/// What is known of a step at a place.
#[derive(Debug, Default)]
pub struct RetracedStep {
    /// When it asked the world, by the run's own time, the last try counting.
    pub asked_at: Option<Timestamp>,
    /// The call it made.
    pub call: Option<HttpCall>,
    /// The run it started.
    pub run: Option<SubRun>,
    /// Until when it slept.
    pub until: Option<Timestamp>,
    /// The outcomes of its tries.
    pub tries: Vec<Arc<Fact>>,
    /// Its result.
    pub result: Option<Arc<Json>>,
}

/// Runs a plan on the facts of a run, and keeps what it sees. Nothing leaves.
pub fn retrace(plan: Arc<Plan>, start: Start, facts: &[Arc<Fact>]) -> Retraced {
    let mut steps = BTreeMap::<Place, RetracedStep>::new();
    let (mut log, mut emitted, mut unasked) = (Vec::new(), Vec::new(), 0);
    let (mut run, mut effects) = Run::begin_seen(plan, start);
    let mut facts = facts.iter();
    loop {
        for effect in effects {
            if let Some(ask) = effect.ask() {
                steps.entry(ask.place.clone()).or_default().asked_at = Some(ask.at);
            }
            match effect {
                Effect::Call(ask, call) => steps.entry(ask.place).or_default().call = Some(*call),
                Effect::Run(ask, run) => steps.entry(ask.place).or_default().run = Some(*run),
                Effect::Sleep(ask) => steps.entry(ask.place).or_default().until = ask.not_before,
                Effect::Log(line) => log.push(line),
                Effect::Emit(emission) => emitted.push(emission),
                _ => {}
            }
        }
        let Some(fact) = facts.next() else { break };
        let (_, ignored) = run.ignored();
        effects = run.on(fact);
        if run.ignored().1 == ignored {
            steps.entry(fact.place.clone()).or_default().tries.push(Arc::clone(fact));
        } else {
            unasked += 1;
        }
    }
    for (place, result) in run.results() {
        steps.entry(place.clone()).or_default().result = Some(Arc::clone(result));
    }
    let seen = run.take_seen();
    Retraced { steps, log, emitted, seen, end: run.end().cloned(), unasked }
}

/// The facts of a former run with which a new one has already been where `from` begins: those of the steps that stand
/// before it in the file, as far as the new run asks for them. `plan` may be another version: its steps are known by
/// their names, and a step with another verb is another step. `None`: it has no step of that name.
pub fn facts_before(
    former: &Plan,
    facts: &[Arc<Fact>],
    plan: &Arc<Plan>,
    start: Start,
    from: &str,
) -> Option<Vec<Arc<Fact>>> {
    let from = plan.steps().iter().position(|step| *step.name == *from)?;
    let moved = facts.iter().filter_map(|fact| {
        let was = former.step(fact.place.step)?;
        let steps = plan.steps().iter().take(from).zip(0..);
        let (_, number) = steps
            .into_iter()
            .find(|(step, _)| step.name == was.name && step.verb == was.verb && step.depth == was.depth)?;
        let mut fact = Fact::clone(fact);
        fact.place.step = StepNumber(number);
        Some(Arc::new(fact))
    });
    let (mut run, _) = Run::begin(Arc::clone(plan), start);
    let mut taken = Vec::new();
    for fact in moved {
        let (_, ignored) = run.ignored();
        run.on(&fact);
        if run.ignored().1 == ignored {
            taken.push(fact);
        }
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Flow, Outcome, proof};
    use hookflow_trigger::{Credentials, Event, Route};
    use serde_json::json;

    fn start() -> Start {
        let route = Route { flow: "shop".into(), suffix: String::new(), params: Vec::new(), system: None };
        let at = Timestamp::UNIX_EPOCH;
        proof::start(Event::of_run(json!({}), route, "e", at, "http://localhost".into()).unwrap())
    }

    fn plan(steps: &str) -> Arc<Plan> {
        let flow = Flow::of_version(
            &"shop".into(),
            "v1",
            &format!("steps:\n{steps}").into(),
            &Credentials::default(),
        )
        .unwrap();
        flow.plan
    }

    fn fact(step: u32, turns: &[u32], second: i64) -> Arc<Fact> {
        Arc::new(Fact {
            place: Place { step: StepNumber(step), turns: turns.to_vec() },
            verb: "http".into(),
            attempt: 1,
            at: start().started_at + jiff::SignedDuration::from_secs(second),
            outcome: Outcome::Answered {
                status: 200,
                headers: serde_json::Map::new(),
                body: json!({"n": second}),
                captures: serde_json::Map::new(),
            },
            left: None,
            tried: None,
        })
    }

    const TWO: &str = "
  - {id: stock, http: {url: 'http://a/${ 1 + 1 }'}}
  - {log: 'got ${ steps.stock.body.n }'}
  - {id: order, http: {url: 'http://b'}}
  - {id: sum, set: {n: '${ steps.stock.body.n + steps.order.body.n }'}}
";

    #[test]
    fn what_was_not_kept_is_computed_again() {
        let facts = [fact(0, &[], 2), fact(2, &[], 5), fact(2, &[], 6)];
        let retraced = retrace(plan(TWO), start(), &facts);
        let steps: Vec<_> = retraced.steps.iter().collect();
        assert_eq!(steps.iter().map(|(place, _)| place.step.0).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(steps[0].1.call.as_ref().unwrap().url.to_string(), "http://a/2");
        assert_eq!(steps[1].1.asked_at, Some(facts[0].at), "it was asked when the first was answered");
        assert_eq!(steps[1].1.tries, [Arc::clone(&facts[1])]);
        assert_eq!(steps[2].1.result.as_deref(), Some(&json!({"n": 7})));
        assert_eq!((retraced.log[0].text.as_str(), retraced.unasked), ("got 2", 1));
        assert!(matches!(retraced.end, Some(End::Succeeded(_))));
    }

    #[test]
    fn what_a_step_asked_with_is_known() {
        let steps = "  - {run: other, with: {n: '${ 1 + 1 }'}, detach: true}\n  - {sleep: 5s}";
        let ended = Outcome::Ended(End::Succeeded("r".into()));
        let run = Fact { verb: "run".into(), outcome: ended, ..Fact::clone(&fact(0, &[], 1)) };
        let retraced = retrace(plan(steps), start(), &[Arc::new(run)]);
        let steps: Vec<_> = retraced.steps.values().collect();
        let sub = steps[0].run.as_ref().unwrap();
        assert_eq!((&*sub.flow, &sub.with, sub.detach), ("other", &json!({"n": 2}), true));
        assert_eq!(steps[1].until, Some(start().started_at + jiff::SignedDuration::from_secs(6)));
    }

    #[test]
    fn choices_have_their_reason_and_steps_their_times() {
        let steps = "
  - {id: stock, http: {url: 'http://a'}, on_error: continue}
  - if: steps.stock.body.n > 1 and steps.stock.ok
    then:
      - for: item
        in: '[5, 6]'
        do:
          - {id: six, when: item = 6, set: {n: '${ item }'}}
  - try: [{fail: no}]
    catch: [{log: caught}]
";
        let plan = plan(steps);
        let retraced = retrace(Arc::clone(&plan), start(), &[fact(0, &[], 2)]);
        let (seen, arms) = (&retraced.seen, plan.arms());
        let told = |choice: &crate::Choice| {
            let (name, value) =
                (&arms[choice.arm].name, choice.value.get("message").unwrap_or(&choice.value));
            (name.clone(), choice.turns.clone(), value.clone(), json!(choice.reads))
        };
        let told: Vec<_> = seen.choices.iter().map(told).collect();
        let expected = [
            (
                "then".into(),
                vec![],
                json!(true),
                json!([["steps.stock.body.n", 2], ["steps.stock.ok", true]]),
            ),
            ("with items".into(), vec![], json!(2), json!([])),
            ("when false".into(), vec![0], json!(false), json!([["item", 5]])),
            ("when true".into(), vec![1], json!(true), json!([["item", 6]])),
            ("catch".into(), vec![], json!("no"), json!([])),
        ];
        assert_eq!(told, expected);
        let times = |name: &str, turns: &[u32]| {
            let place = Place { step: plan.step_of(name).unwrap(), turns: turns.to_vec() };
            seen.times.get(&place).map(|times| {
                let since = |at: Timestamp| at.duration_since(start().started_at).as_secs();
                (since(times.began), times.ended.map(since))
            })
        };
        assert_eq!((times("stock", &[]), times("six", &[0])), (Some((0, Some(2))), None));
        assert_eq!((times("six", &[1]), times("1", &[])), (Some((2, Some(2))), Some((2, None))));
    }

    #[test]
    fn facts_before_a_step_are_taken_over_by_name() {
        let facts = [fact(0, &[], 2), fact(2, &[], 5)];
        let before = |new: &str, from: &str| {
            let plan = plan(new);
            facts_before(&self::plan(TWO), &facts, &plan, start(), from)
                .map(|taken| taken.iter().map(|fact| (fact.place.step.0, fact.at)).collect::<Vec<_>>())
        };
        assert_eq!(before(TWO, "order"), Some(vec![(0, facts[0].at)]));
        assert_eq!(before(TWO, "stock"), Some(vec![]));
        assert_eq!(before(TWO, "sum"), Some(vec![(0, facts[0].at), (2, facts[1].at)]));
        assert_eq!(before(TWO, "gone"), None);
        let mended = format!("  - {{log: first}}{TWO}");
        assert_eq!(before(&mended, "order"), Some(vec![(1, facts[0].at)]));
        let other = "  - {id: stock, set: {a: 1}}\n  - {id: order, http: {url: 'http://b'}}";
        assert_eq!(before(other, "order"), Some(vec![]));
    }

    #[test]
    fn in_a_loop_only_the_turns_that_are_reached_are_taken_over() {
        let each = plan(
            "  - for: item\n    in: '[1, 2]'\n    do:\n      - {id: a, http: {url: 'http://a'}}\n      - {id: b, http: {url: 'http://b'}}",
        );
        let facts = [fact(1, &[0], 1), fact(2, &[0], 2), fact(1, &[1], 3), fact(2, &[1], 4)];
        let taken = facts_before(&each, &facts, &each, start(), "b").unwrap();
        assert_eq!(taken, [Arc::clone(&facts[0])], "the second turn begins when the first has ended");
        assert!(
            Run::replay(each, start(), &taken.iter().map(|it| Fact::clone(it)).collect::<Vec<_>>()).is_ok()
        );
    }
}
