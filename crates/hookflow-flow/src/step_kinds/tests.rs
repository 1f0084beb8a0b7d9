use crate::proof::{answer, flow, prove_in};
use crate::{Answer, Ask, End, HttpCall, Outcome, StepKind, SubRun, World};

/// What an example says that the world answers.
struct Mocks(&'static [(&'static str, u16, &'static str)]);

impl Mocks {
    fn of(&self, ask: &Ask) -> Option<&(&'static str, u16, &'static str)> {
        self.0.iter().find(|(step, ..)| *step == &*ask.step)
    }
}

impl World for Mocks {
    fn call(&mut self, ask: &Ask, call: &HttpCall) -> Outcome {
        let mock = self.of(ask);
        let (_, status, body) =
            mock.unwrap_or_else(|| panic!("the example does not say what answers `{}`", ask.step));
        answer(call, *status, body)
    }

    fn run(&mut self, ask: &Ask, _: &SubRun) -> Option<Outcome> {
        self.of(ask).map(|(_, _, body)| Outcome::Ended(End::Succeeded(serde_json::from_str(body).unwrap())))
    }
}

/// Every verb's documented example loads, runs on its sample, answers what it says, and replays the same.
#[test]
fn every_example_runs() {
    for kind in super::ALL {
        let example = &kind.example;
        let flow = flow(example.flow);
        assert!(
            flow.plan.steps().iter().any(|step| step.verb == kind.verb),
            "{}: its example does not use it",
            kind.verb
        );
        let rehearsal = prove_in(&flow, &mut Mocks(example.mocks));
        let (status, body) = match rehearsal.answer {
            Answer::Reply(reply) => (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap()),
            Answer::Failed(fault) => {
                let status = if fault.kind == crate::FaultKind::Validation { 422 } else { 500 };
                (fault.answer.unwrap_or(status), fault.code)
            }
            other => panic!("{}: {other:?}", kind.verb),
        };
        assert_eq!((status, body.as_str()), example.answer, "{}", kind.verb);
        assert!(matches!(rehearsal.end, Some(End::Succeeded(_) | End::Failed(_))), "{}", kind.verb);
    }
}

#[test]
fn the_table_is_sorted_and_every_entry_says_what_it_does() {
    let verbs: Vec<_> = super::ALL.iter().map(|kind: &&StepKind| kind.verb).collect();
    assert!(verbs.is_sorted(), "{verbs:?}");
    for kind in super::ALL {
        assert!(kind.summary.ends_with('.') && !kind.result.is_empty(), "{}", kind.verb);
        for block in kind.blocks {
            assert!(
                *block == kind.verb || kind.companions.iter().any(|companion| companion.key == *block),
                "{}: {block}",
                kind.verb
            );
        }
    }
}
