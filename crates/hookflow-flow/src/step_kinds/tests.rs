use crate::proof::{answer, flow, prove};
use crate::{Answer, End, StepKind};

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
        let rehearsal = prove(&flow, &mut |ask, call| {
            let (_, status, body) =
                example.mocks.iter().find(|(step, ..)| *step == &*ask.step).unwrap_or_else(|| {
                    panic!("{}: the example does not say what answers `{}`", kind.verb, ask.step)
                });
            answer(call, *status, body)
        });
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
                kind.companions.iter().any(|companion| companion.key == *block),
                "{}: {block}",
                kind.verb
            );
        }
    }
}
