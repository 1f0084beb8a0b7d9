//! A case in which everything holds, and each way in which it may not.

use super::*;
use std::collections::BTreeSet;

/// Two events with a key, one with IDs that a death has interrupted, one of each other kind.
const CALLERS: &str = r#"
{"kind":"event","scene":"ordered","event":"o1","key":"k","turn":1,"replies":false,"ends_with_reply":false,"sent":100,"status":202,"run":"r1"}
{"kind":"event","scene":"ordered","event":"o2","key":"k","turn":2,"replies":false,"ends_with_reply":false,"sent":200,"status":null,"run":null}
{"kind":"event","scene":"ordered","event":"o2","key":"k","turn":2,"replies":false,"ends_with_reply":false,"sent":250,"status":202,"run":"r2"}
{"kind":"event","scene":"keyed","event":"k1","replies":false,"ends_with_reply":false,"sent":300,"status":202,"run":"r3"}
{"kind":"event","scene":"pure","event":"p1","replies":true,"ends_with_reply":true,"sent":400,"status":201,"run":"r4","body":"{\"event\":\"p1\"}"}
{"kind":"event","scene":"pure","event":"p1","replies":true,"ends_with_reply":true,"sent":450,"status":201,"run":"r4","body":"{\"event\":\"p1\"}"}
{"kind":"event","scene":"wait","event":"w1","replies":false,"ends_with_reply":false,"sent":500,"status":202,"run":"r5"}
{"kind":"callback","callback":"c1","event":"w1","run":"r5","sent":600,"status":null}
{"kind":"callback","callback":"c1","event":"w1","run":"r5","sent":610,"status":200}
{"kind":"callback","callback":"c2","event":"w1","run":"r5","sent":620,"status":409}
{"kind":"event","scene":"nap","event":"n1","replies":false,"ends_with_reply":false,"sent":700,"status":202,"run":"r6"}
{"kind":"event","scene":"big","event":"b1","sha":"abc","replies":false,"ends_with_reply":false,"sent":800,"status":202,"run":"r7"}
{"kind":"event","scene":"strict","event":"s1","replies":false,"ends_with_reply":false,"sent":900,"status":422,"run":null}
{"kind":"event","scene":"held","event":"h1","replies":false,"ends_with_reply":false,"sent":1000,"status":202,"run":"r8"}
{"kind":"event","scene":"ask","event":"a1","replies":true,"ends_with_reply":false,"sent":3000100,"status":null,"run":null}
{"kind":"event","scene":"ask","event":"a1","replies":true,"ends_with_reply":false,"sent":5000000,"status":201,"run":"r10","body":"{\"event\":\"a1\"}"}
{"kind":"event","scene":"two","event":"x1","replies":false,"ends_with_reply":false,"sent":6000000,"status":202,"run":"r11"}
{"kind":"event","scene":"shout","event":"e1","replies":false,"ends_with_reply":false,"sent":1100,"status":202,"run":"r14"}"#;
const TARGET: &str = r#"
{"kind":"call","event":"o1","run":"r1","step":"a","method":"POST","at":1100}
{"kind":"end","event":"o1","run":"r1","how":"ok","steps":"a","method":"GET","at":1200}
{"kind":"call","event":"o2","run":"r2","step":"a","method":"POST","at":1300}
{"kind":"end","event":"o2","run":"r2","how":"ok","steps":"a","method":"GET","at":1400}
{"kind":"call","event":"k1","run":"r3","step":"a","id":"i1","method":"POST","at":1500}
{"kind":"call","event":"k1","run":"r3","step":"a","id":"i1","method":"POST","at":4000000}
{"kind":"end","event":"k1","run":"r3","how":"ok","steps":"a","method":"GET","at":4000100}
{"kind":"url","event":"w1","run":"r5","method":"GET","at":1600}
{"kind":"end","event":"w1","run":"r5","how":"ok","callback":"c1","method":"GET","at":1700}
{"kind":"call","event":"n1","run":"r6","step":"before","method":"GET","at":2000}
{"kind":"end","event":"n1","run":"r6","how":"ok","steps":"before","napped":"200","method":"GET","at":203000}
{"kind":"call","event":"b1","run":"r7","step":"text","sha":"abc","method":"POST","at":1800}
{"kind":"end","event":"b1","run":"r7","how":"ok","steps":"text","method":"GET","at":1900}
{"kind":"call","event":"h1","run":"r8","step":"a","method":"POST","at":5000}
{"kind":"end","event":"h1","run":"r8","how":"ok","steps":"a","method":"GET","at":6000}
{"kind":"call","event":"a1","run":"r9","step":"a","method":"POST","at":3000200}
{"kind":"end","event":"a1","run":"r9","how":"failed","why":"interrupted","method":"GET","at":4000000}
{"kind":"call","event":"a1","run":"r10","step":"a","method":"POST","at":5000100}
{"kind":"end","event":"a1","run":"r10","how":"ok","steps":"a","method":"GET","at":5000200}
{"kind":"call","event":"x1","run":"r12","step":"a","method":"POST","at":6000300}
{"kind":"end","event":"x1","run":"r12","how":"ok","steps":"a","method":"GET","at":6000400}
{"kind":"call","event":"e1","run":"r14","step":"a","shouted":"first","method":"POST","at":1150}
{"kind":"delivery","to":"loud","id":"m1_loud","emitted":"m1","event":"e1","run":"r14","step":"first","sha":"abc","answered":503,"at":1160}
{"kind":"delivery","to":"quiet","id":"m1_quiet","emitted":"m1","event":"e1","run":"r14","step":"first","sha":"abc","answered":204,"at":1170}
{"kind":"end","event":"e1","run":"r14","how":"ok","steps":"a","shouted":"first second","method":"GET","at":1180}
{"kind":"delivery","to":"quiet","id":"m2_quiet","emitted":"m2","event":"e1","run":"r14","step":"second","sha":"def","answered":204,"at":1190}
{"kind":"delivery","to":"loud","id":"m1_loud","emitted":"m1","event":"e1","run":"r14","step":"first","sha":"abc","answered":204,"at":3400000}
{"kind":"delivery","to":"loud","id":"m1_loud","emitted":"m1","event":"e1","run":"r14","step":"first","sha":"abc","answered":204,"at":3600000}
{"kind":"delivery","to":"loud","id":"m2_loud","emitted":"m2","event":"e1","run":"r14","step":"second","sha":"def","answered":204,"at":3700000}"#;
const OPERATOR: &str = r#"
{"kind":"pausing","at":10}
{"kind":"paused","at":20}
{"kind":"resuming","at":30}
{"kind":"resumed","at":40}
{"kind":"died","at":3500000}
{"kind":"set-aside","at":6000200,"run":"r11"}
{"kind":"run-again","at":6000210,"run":"r11"}
{"kind":"runs-again","at":6000220,"run":"r11","as":"r12"}"#;

fn files() -> [&'static str; 3] {
    [CALLERS, TARGET, OPERATOR].map(str::trim_start)
}

fn broken_rules([callers, target, operator]: [&str; 3]) -> BTreeSet<&'static str> {
    judge(&Case::of(callers, target, operator).unwrap()).iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_service_that_keeps_its_promises_is_sound() {
    let [callers, target, operator] = files();
    let case = Case::of(callers, target, operator).unwrap();
    assert_eq!(judge(&case), []);
    let summary = case.summary();
    assert!(summary.starts_with("12 events (11 accepted, 1 refused), 11 runs heard of"), "{summary}");
}

#[test]
fn every_planted_mistake_is_found_by_its_rule() {
    for plant in plants::ALL {
        let altered = plants::altered(plant.name, files()).unwrap();
        let rules = broken_rules([&altered[0], &altered[1], &altered[2]]);
        assert!(rules.contains(plant.rule), "{}: {rules:?}", plant.name);
    }
}

#[test]
fn every_rule_has_a_mistake_that_it_finds() {
    let found: BTreeSet<_> = plants::ALL.iter().map(|plant| plant.rule).collect();
    assert_eq!(found, RULES.iter().map(|rule| rule.name).collect());
    assert!(RULES.is_sorted_by_key(|rule| rule.name) && plants::ALL.is_sorted_by_key(|plant| plant.name));
    assert!(RULES.iter().all(|rule| !rule.about.is_empty()));
}

/// Replaces a piece of one of the files.
fn edited(from: &str, to: &str) -> BTreeSet<&'static str> {
    let files = files().map(|file| file.replace(from, to));
    assert_ne!(files.each_ref().map(String::as_str), self::files(), "{from}");
    broken_rules([&files[0], &files[1], &files[2]])
}

#[test]
fn what_a_death_explains_needs_the_death() {
    let death = "{\"kind\":\"died\",\"at\":3500000}\n";
    assert_eq!(edited(death, ""), ["failures", "same-delivery"].into());
    let repeated = "{\"kind\":\"end\",\"event\":\"n1\",\"run\":\"r6\",\"how\":\"ok\",\"steps\":\"before\",\"napped\":\"200\",\"method\":\"GET\",\"at\":203000}";
    // It may be heard twice when the service has died in between, and not otherwise.
    let later = repeated.replace("203000", "3600000");
    assert_eq!(edited(repeated, &format!("{repeated}\n{later}")), [].into());
    assert_eq!(edited(repeated, &format!("{repeated}\n{repeated}")), ["one-end"].into());
}

#[test]
fn a_run_that_was_set_aside_needs_the_operator() {
    assert_eq!(edited("{\"kind\":\"set-aside\",\"at\":6000200,\"run\":\"r11\"}\n", ""), ["lost"].into());
    // Its event has to end all the same.
    let end = "{\"kind\":\"end\",\"event\":\"x1\",\"run\":\"r12\",\"how\":\"ok\",\"steps\":\"a\",\"method\":\"GET\",\"at\":6000400}";
    assert_eq!(edited(&format!("{end}\n"), ""), ["lost"].into());
}

#[test]
fn who_was_set_aside_gives_the_key_back_and_whoever_was_not_does_not() {
    let tried = "{\"kind\":\"event\",\"scene\":\"two\",\"event\":\"x1\",\"replies\":false,\"ends_with_reply\":false,\"sent\":6000000,\"status\":202,\"run\":\"r11\"}";
    let again = tried.replace("r11", "r13").replace("6000000", "7000000");
    let end = "{\"kind\":\"end\",\"event\":\"x1\",\"run\":\"r12\",\"how\":\"ok\",\"steps\":\"a\",\"method\":\"GET\",\"at\":6000400}";
    let call = "{\"kind\":\"call\",\"event\":\"x1\",\"run\":\"r13\",\"step\":\"a\",\"method\":\"POST\",\"at\":7000100}";
    let ended = end.replace("r12", "r13").replace("6000400", "7000200");
    let [callers, target, operator] = files();
    let callers = callers.replace(tried, &format!("{tried}\n{again}"));
    let target = target.replace(end, &format!("{end}\n{call}\n{ended}"));
    assert_eq!(broken_rules([&callers, &target, operator]), [].into());
    // Its sender need not have heard of it.
    let unheard = callers.replace(tried, &tried.replace("202,\"run\":\"r11\"", "null,\"run\":null"));
    assert_ne!(unheard, callers);
    assert_eq!(broken_rules([&unheard, &target, operator]), [].into());
    let operator = operator.replace("r11", "r99").replace("r12", "r98");
    assert_eq!(broken_rules([&callers, &target, &operator]), ["lost", "one-end", "replies"].into());
}

#[test]
fn an_event_that_got_no_answer_may_not_be_there_and_its_run_may_not_be_left() {
    let answered = "\"sent\":1000,\"status\":202,\"run\":\"r8\"";
    let unanswered = "\"sent\":1000,\"status\":null,\"run\":null";
    assert_eq!(edited(answered, unanswered), [].into());
    let end = "{\"kind\":\"end\",\"event\":\"h1\",\"run\":\"r8\",\"how\":\"ok\",\"steps\":\"a\",\"method\":\"GET\",\"at\":6000}\n";
    assert_eq!(edited(end, ""), ["lost"].into());
}

#[test]
fn what_was_emitted_is_delivered_whatever_becomes_of_its_run() {
    let end = "{\"kind\":\"end\",\"event\":\"e1\",\"run\":\"r14\",\"how\":\"ok\",\"steps\":\"a\",\"shouted\":\"first second\"";
    let failed = end.replace("\"ok\"", "\"failed\",\"why\":\"interrupted\"").replace("first second", "");
    // Not so early that no death explains it.
    assert_eq!(edited(end, &failed), ["failures"].into(), "and nothing of its deliveries");
    // One that is set aside has emitted too.
    let aside = "{\"kind\":\"set-aside\",\"at\":6000200,\"run\":\"r11\"}";
    assert_eq!(edited(aside, &format!("{aside}\n{}", aside.replace("r11", "r14"))), [].into());
    // Tried again is not taken.
    let tried = "\"step\":\"second\",\"sha\":\"def\",\"answered\":204,\"at\":3700000";
    assert_eq!(edited(tried, &tried.replace("204", "503")), ["delivered"].into());
    // It may come again when the service has died in between.
    let death = "{\"kind\":\"died\",\"at\":3500000}\n";
    assert_eq!(edited(death, ""), ["failures", "same-delivery"].into());
}

#[test]
fn what_is_no_evidence_is_named() {
    for broken in ["{}", "x", "{\"kind\":\"end\"}"] {
        let error = Case::of("", broken, "").unwrap_err().to_string();
        assert!(error.contains("this is no evidence"), "{error}");
    }
}
