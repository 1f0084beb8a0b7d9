//! `hookflow test`: the tests that flows hold, on the engine that serves.

use super::service::{Folder, hookflow, repository};

const STOCK: &str = "
flow: stock
webhook: {auth: shop, sample: {body: {sku: A-1, amount: 3}}, timeout: 10m}
steps:
  - id: stock
    http: {method: POST, url: 'https://warehouse.example/stock', json: {sku: '${ webhook.body.sku }'}}
    retry: {tries: 3, on: [5xx, timeout], backoff: 1s..2s, within: 6m}
  - {id: nap, sleep: 3d, when: webhook.body.amount > 100}
  - id: answer
    wait: {auth: none, timeout: 2m, on_timeout: continue}
  - id: sum
    run: sum
    with: {n: 3}
  - {emit: stock.reserved, data: {id: '${ steps.stock.body.id }'}}
  - {log: 'reserved ${ steps.stock.body.id }'}
  - respond: {status: 201, json: {id: '${ steps.stock.body.id }', sum: '${ steps.sum }', late: '${ steps.answer.timed_out }'}}
tests:
  - name: three tries and a callback
    request: {sample: true}
    mocks:
      stock: [{status: 503}, {timeout: true}, {status: 201, json: {id: E9}}]
      answer: {body: {ok: true}, after: 1m}
      sum/add: {json: {n: 1}}
    expect:
      status: 201
      json: {id: E9, sum: 4, late: false}
      calls:
        stock: [{method: POST, url: 'https://warehouse.example/stock', json: {sku: A-1}}, {}, {}]
        sum/add: 1
      ran: [stock, answer, sum]
      not_ran: [nap]
      logs: [reserved E9]
      emits: [{event: stock.reserved, data: {id: E9}}]
      took: '>= 90s'
  - name: three days and nobody calls
    request: {body: {sku: B, amount: 101}}
    mocks: {stock: {status: 200, json: {id: E1}}, answer: {timed_out: true}, sum: {return: 7}}
    expect: {status: 504, values: {sum: 7}, took: '>= 3d'}
  - name: no stranger
    request: {sample: true, credential: none}
    expect: {status: 401, ran: []}
";

const SUM: &str = "
flow: sum
steps:
  - {id: add, http: {url: 'https://adder.example/'}}
  - return: ${ steps.add.body.n + webhook.body.n }
";

const WRONG: &str = "
flow: wrong
webhook: {auth: shop, sample: {body: {n: 1}}}
steps:
  - if: webhook.body.n > 5
    then:
      - {id: call, http: {url: 'https://a.example/'}}
  - respond: {json: {items: [{n: '${ webhook.body.n }'}]}}
tests:
  - {name: another number, expect: {json: {items: [{n: 2}]}}}
  - {name: no mock, request: {body: {n: 6}}, expect: {status: 500}}
";

fn folder(flows: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    folder.put("config/credentials.yaml", "shop: {type: hmac, preset: shopify, secret: {env: NOWHERE}}\n");
    for (name, flow) in flows {
        folder.put(&format!("flows/{name}.yaml"), flow);
    }
    folder
}

#[test]
fn tests_hold_without_a_network_a_secret_or_a_wait() {
    let folder = folder(&[("stock", STOCK), ("sum", SUM)]);
    let run = hookflow(folder.path(), &["test"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.out.contains("3 tests: 3 passed, 0 failed"), "{}", run.out);
    assert!(run.out.contains("without tests: sum"), "{}", run.out);
    let short = hookflow(folder.path(), &["test", "--min-coverage", "100"]);
    assert_eq!(short.code, Some(0), "the tests of `stock` have run `sum` whole: {}{}", short.out, short.err);
}

#[test]
fn a_test_that_fails_says_where_and_what() {
    let folder = folder(&[("wrong", WRONG)]);
    let run = hookflow(folder.path(), &["test", "--junit", "tests.xml", "--min-coverage", "90"]);
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    for part in [
        "FAIL  another number (flows/wrong.yaml:10:",
        "json.items[0].n\n          expected  2\n          actual    1\n",
        "`call` calls GET https://a.example/, and the test has no mock for it",
        "2 tests: 0 passed, 2 failed",
    ] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    let xml = hookflow(folder.path(), &["test", "--format", "junit"]).out;
    assert!(xml.contains("<testsuite name=\"wrong\" tests=\"2\" failures=\"2\""), "{xml}");
    assert!(xml.contains("<failure message=\"json.items[0].n\">"), "{xml}");
    let json: serde_json::Value =
        serde_json::from_str(&hookflow(folder.path(), &["test", "--format", "json"]).out).unwrap();
    assert_eq!(json["items"][0]["differences"][0]["at"], "json.items[0].n");
    assert_eq!(json["failed"], 2);
    assert_eq!(json["coverage"][0]["flow"], "wrong");
}

#[test]
fn what_no_test_has_seen_is_listed() {
    let seen = WRONG
        .replace("n: 2}]", "n: 1}]")
        .replace("request: {body: {n: 6}}, expect: {status: 500}", "expect: {status: 200}");
    let folder = folder(&[("wrong", &seen)]);
    let run = hookflow(folder.path(), &["test", "wrong", "--min-coverage", "61"]);
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    assert!(run.out.contains("coverage: 60 % (3 of 5)"), "{}", run.out);
    assert!(run.out.contains("never: flows/wrong.yaml:7:"), "{}", run.out);
    assert!(run.err.contains("see less than 61 %"), "{}", run.err);
    assert_eq!(hookflow(folder.path(), &["test", "wrong", "--min-coverage", "60"]).code, Some(0));
    let missing = hookflow(folder.path(), &["test", "wrng"]);
    assert!(missing.code == Some(2) && missing.err.contains("did you mean `wrong`?"), "{}", missing.err);
}

#[test]
fn the_shipped_flows_are_tested_whole() {
    let run = hookflow(&repository(), &["test", "--min-coverage", "100"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(!run.out.contains("without tests"), "{}", run.out);
}

const WAREHOUSE: &str = "
integration: warehouse
root_url: https://api.warehouse.example/v3/?key=1
timeout: 4s
headers:
  Authorization: {value: {env: NOWHERE_TOKEN}, private: true}
  X-Shared: everywhere
webhooks:
  reserve:
    method: POST
    url: items/${ sku }
    headers: {X-Shared: null, X-Own: 'for ${ sku }'}
    json: {sku: '${ sku }', id: '${ WebhookRequest.TransactionalId }'}
    capture: {order: 'data[0].id'}
";

const CALLING: &str = "
flow: calling
webhook: {auth: shop, timeout: 10m, expects: {body: {sku: string, where: string?}}, sample: {body: {sku: A-1}}}
steps:
  - id: held
    call: warehouse.reserve
    with: {sku: '${ webhook.body.sku }'}
  - id: told
    http: {integration: warehouse, url: '${ webhook.body.where | default(\"told\") }', headers: {X-Shared: mine}}
    on_error: continue
  - respond: {json: {order: '${ steps.held.order }', told: '${ steps.told.error.kind | default(none) }'}}
tests:
  - name: as it leaves
    mocks: {held: [{status: 503}, {timeout: true}], told: {status: 200}}
    expect: {outcome: failed, error: {kind: timeout, step: held}, calls: {held: 2, told: 0}, took: '>= 4s'}
  - name: three more tries within six minutes
    mocks: {held: {status: 429}, told: {status: 200}}
    expect: {outcome: failed, error: {kind: status}, calls: {held: 4}, took: '<= 6m'}
  - name: joined, merged and masked
    mocks: {held: [{status: 503}, {json: {data: [{id: R-7}]}}], told: {timeout: true}}
    expect:
      status: 200
      json: {order: R-7, told: timeout}
      took: '<= 6m'
      calls:
        held:
          - method: POST
            url: 'https://api.warehouse.example/v3/items/A-1?key=1'
            headers: {Authorization: '***', X-Shared: null, X-Own: for A-1, Content-Type: application/json}
            json_contains: {sku: A-1}
          - {}
        told: [{url: 'https://api.warehouse.example/v3/told?key=1', headers: {Authorization: '***', X-Shared: mine}}]
  - name: what would not leave is answered by no mock
    request: {body: {sku: A-1, where: '..'}}
    mocks: {held: {json: {data: [{id: R-7}]}}, told: {status: 200}}
    expect: {status: 200, json: {order: R-7, told: refused}}
";

#[test]
fn calls_by_an_integration_are_mocked_and_expected_as_they_leave() {
    let folder = folder(&[("calling", CALLING)]).with("config/integrations/warehouse.yaml", WAREHOUSE);
    let run = hookflow(folder.path(), &["test"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.out.contains("4 tests: 4 passed"), "{}", run.out);

    let exact = CALLING.replace("json_contains: {sku: A-1}", "json: {sku: A-1}");
    folder.put("flows/calling.yaml", &exact);
    let first = hookflow(folder.path(), &["test"]).out;
    let shown = first.split("calls.held[0].json.id").nth(1).and_then(|rest| rest.lines().nth(2));
    assert!(shown.is_some_and(|actual| actual.len() > 40), "the ID is shown: {first}");
    assert_eq!(hookflow(folder.path(), &["test"]).out, first, "and it is the same each time");

    let missing = CALLING.replace(", told: {timeout: true}}", "}");
    folder.put("flows/calling.yaml", &missing);
    let missing = hookflow(folder.path(), &["test"]).out;
    assert!(missing.contains("`told` calls GET https://api.warehouse.example/v3/told?key=1"), "{missing}");
}
