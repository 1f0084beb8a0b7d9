//! A trial on a page for people.

use hookflow_text::Json;

/// How much of a value is shown; `--format json` has all of it.
const VALUE: usize = 1_000;

pub(super) fn write(trial: &Json) -> String {
    let mut out = String::new();
    match trial.get("enabled").and_then(Json::as_str) {
        Some("paused") => out.push_str("The flow is paused: the service would not run it now.\n"),
        Some(_) => out.push_str("The flow is off: the service would answer 404.\n"),
        None => {}
    }
    let request = trial.get("request").filter(|request| !request.is_null());
    match request {
        Some(request) => {
            let credential = word(request, "credential").map(|name| format!("signed as `{name}`"));
            let proof = word(request, "note")
                .map(|why| format!("not signed: {why}"))
                .or(credential)
                .unwrap_or_else(|| "nobody proved anything".into());
            let of = |key| word(request, key).unwrap_or_default();
            out.push_str(&format!("{} {} ({proof})\n", of("method"), of("url")));
        }
        None => out.push_str("The request was refused: nothing ran.\n"),
    }
    if let Some(run) = trial.get("run").filter(|run| !run.is_null()) {
        out.push_str(&self::run(run));
    }
    for run in list(trial, "runs") {
        let of = |key| word(run, key).unwrap_or_default();
        out.push_str(&format!("\nrun of {}: {}\n", of("flow"), of("status")));
        out.push_str(&self::run(run));
    }
    let stopped = list(trial, "stopped");
    if !stopped.is_empty() {
        out.push_str("\nstopped\n");
    }
    for why in stopped {
        out.push_str(&format!("  {}\n", plain(why)));
    }
    if let Some(answer) = trial.get("answer").filter(|answer| !answer.is_null()) {
        out.push_str(&format!("\nanswer\n  {}\n", word(answer, "status").unwrap_or_default()));
        out.push_str(&indented(2, &headers(answer)));
        out.push_str(&indented(2, &word(answer, "body").unwrap_or_default()));
    }
    out.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

fn run(run: &Json) -> String {
    let took = run.get("took_ms").and_then(Json::as_i64).map(|took| format!(" ({} in all)", time(took)));
    let mut out = format!("\nsteps{}\n", took.unwrap_or_default());
    for step in list(run, "steps") {
        out.push_str(&self::step(step));
    }
    if list(run, "steps").is_empty() {
        out.push_str("  none began\n");
    }
    for (key, title) in [("emitted", "event"), ("log", "level")] {
        let lines = list(run, key);
        if !lines.is_empty() {
            out.push_str(&format!("\n{key}\n"));
        }
        for line in lines {
            let of = |key| word(line, key).unwrap_or_default();
            let told = line.get("data").map_or_else(|| of("text"), |data| short(&data.to_string()));
            out.push_str(&format!("  {} {}: {told}\n", of("step"), of(title)));
        }
    }
    if let Some(error) = run.get("error").filter(|error| !error.is_null()) {
        let at = word(error, "step").map(|step| format!(" at `{step}`")).unwrap_or_default();
        let of = |key| word(error, key).unwrap_or_default();
        out.push_str(&format!("\nfailed{at}\n  {}: {}\n", of("kind"), of("message")));
    }
    out
}

fn step(step: &Json) -> String {
    let of = |key| word(step, key).unwrap_or_default();
    let number = |key| step.get(key).and_then(Json::as_i64);
    let turns: Vec<_> = list(step, "turns").iter().map(plain).collect();
    let turns = if turns.is_empty() { String::new() } else { format!(" turn {}", turns.join(", ")) };
    let when = match (number("began_ms"), number("took_ms")) {
        (Some(began), Some(took)) => format!("at {}, took {}", time(began), time(took)),
        (Some(began), None) => format!("at {}", time(began)),
        (None, _) => "did not run".to_owned(),
    };
    let mut out = format!("  {}{turns} ({})  {when}\n", of("step"), of("verb"));
    for branch in list(step, "branches") {
        out.push_str(&self::branch(branch));
    }
    if let Some(asked) = step.get("in").filter(|asked| !asked.is_null()) {
        out.push_str(&self::asked(asked));
    }
    for attempt in list(step, "attempts") {
        let of = |key| word(attempt, key);
        let failed = || Some(format!("{}: {}", of("kind")?, of("message")?));
        let became = of("status").or_else(failed).or_else(|| of("outcome")).unwrap_or_default();
        let ended = attempt.get("ended_ms").and_then(Json::as_i64).map(time).unwrap_or_default();
        out.push_str(&format!("    try  {} until {ended}: {became}\n", of("attempt").unwrap_or_default()));
    }
    if let Some(value) = step.get("out").filter(|value| !value.is_null()) {
        out.push_str(&format!("    out  {}\n", short(&value.to_string())));
    }
    out
}

/// Why a run went where it did.
fn branch(branch: &Json) -> String {
    let of = |key| word(branch, key).unwrap_or_default();
    let value = branch.get("value").unwrap_or(&Json::Null);
    let because = match (word(branch, "test"), value) {
        (Some(test), value) if of("arm").ends_with("items") => format!("{test}: {value} items"),
        (Some(test), value) => format!("{test} is {}", short(&value.to_string())),
        (None, fault) => format!("a fault came: {}", word(fault, "message").unwrap_or_default()),
    };
    let mut out = format!("    {because}, so `{}` ({})\n", of("arm"), of("at"));
    for (path, value) in branch.get("reads").and_then(Json::as_object).into_iter().flatten() {
        out.push_str(&format!("      {path} = {}\n", short(&value.to_string())));
    }
    out
}

fn asked(asked: &Json) -> String {
    let of = |key| word(asked, key).unwrap_or_default();
    if asked.get("url").is_none() {
        return format!("    in   {}\n", short(&asked.to_string()));
    }
    let mut out = format!("    in   {} {}\n", of("method"), of("url"));
    out.push_str(&indented(9, &headers(asked)));
    out.push_str(&indented(9, &of("body")));
    let is = |key| asked.get(key) == Some(&Json::Bool(true));
    if is("mocked") {
        out.push_str("         (not sent: it has a mock)\n");
    } else if !is("sent") {
        out.push_str("         (not sent)\n");
    }
    out
}

fn headers(of: &Json) -> String {
    let headers = of.get("headers").and_then(Json::as_object).into_iter().flatten();
    headers.fold(String::new(), |out, (name, value)| out + &format!("{name}: {}\n", plain(value)))
}

fn indented(by: usize, text: &str) -> String {
    let by = " ".repeat(by);
    text.lines().fold(String::new(), |out, line| out + &by + &short(line) + "\n")
}

fn list<'j>(of: &'j Json, key: &str) -> &'j [Json] {
    of.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn word(of: &Json, key: &str) -> Option<String> {
    of.get(key).filter(|value| !value.is_null()).map(plain)
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE).and_then(|(at, _)| text.get(..at)) {
        Some(start) => format!("{start}…"),
        None => text.to_owned(),
    }
}

/// A time since the request came, or how long something took.
fn time(millis: i64) -> String {
    match millis {
        0..10_000 => format!("{millis}ms"),
        _ => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
    }
}
