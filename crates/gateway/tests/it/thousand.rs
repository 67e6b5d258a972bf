//! A thousand random turns before a model server that is as strict as Anthropic and that counts as
//! Anthropic's cache does: not one refusal, and the price that the arithmetic promises.

use std::collections::HashMap;

use gateway::settings::Settings;
use http::StatusCode;
use mock::{CacheReport, Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House, claude};

/// Read, write and plain price of a token, in its own unit.
const READ: f64 = 0.1;
const WRITE: f64 = 1.25;
const MODELS: [&str; 2] = ["claude-3-opus-20240229", "claude-other"];

const SCRIPT: &str = r#"
check_thinking = true
prompt_cache = { min_tokens = 32, prices = { input = 1.0, read = 0.1, write_5m = 1.25 } }
[default]
text = "answer {n}: the weather is the weather, and there is no more to say about it today"
thinking = { text = "what was asked in {n}?" }
[[rule]]
when = { message = "use a tool" }
[rule.reply]
thinking = { text = "two calls" }
tools = [{ name = "look", input = { at = 1 } }, { name = "look", input = { at = 2 } }]
[[rule]]
when = { message = "be brief" }
reply = { thinking = { text = "" }, text = "ok" }
"#;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }
}

/// The whole world of the test.
struct World {
    mock: Mock,
    house: House,
    folder: tempfile::TempDir,
    dice: Dice,
    /// The context that talks, and how many there were.
    id: String,
    made: u32,
    /// Calls of the last reply that want results.
    calls: Vec<String>,
    model: &'static str,
    /// Tokens of the last prompt of each context.
    before: HashMap<String, f64>,
    /// What the arithmetic allows until now, in plain tokens.
    allowed: f64,
    reasons: HashMap<String, u32>,
    mended: u64,
}

fn settings(mock: &Mock) -> Settings {
    let mut provider = claude(mock.addr());
    provider.models = MODELS.iter().map(|model| (*model).to_owned()).collect();
    Settings { providers: vec![provider], ..Settings::default() }
}

impl World {
    async fn new(seed: u64) -> Self {
        let script = Script::parse(SCRIPT).unwrap();
        let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let house = House::at(settings(&mock), folder.path()).await;
        let mut world = Self {
            mock,
            house,
            folder,
            dice: Dice(seed),
            id: String::new(),
            made: 0,
            calls: Vec::new(),
            model: MODELS[0],
            before: HashMap::new(),
            allowed: 0.0,
            reasons: HashMap::new(),
            mended: 0,
        };
        world.begin(json!({"strategy": "summary", "tokens": 1500})).await;
        world
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/contexts/{}{rest}", self.id)
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("c{}", self.made)
    }

    async fn begin(&mut self, window: Value) {
        self.id = self.name();
        let thinking = json!({"type": "enabled", "budget_tokens": 1024});
        let settings =
            json!({"window": window, "max_tokens": 2048, "parameters": {"thinking": thinking}});
        let body = json!({"id": self.id, "system": "be kind", "settings": settings});
        let made = self.house.post("/api/v1/contexts", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    }

    /// Waits for the summary that a turn may have started.
    async fn settle(&self) {
        self.house.gate.shutdown(std::time::Duration::from_secs(60)).await;
    }

    /// Something that is no turn happens to the conversation.
    async fn disturb(&mut self) {
        let (a, b) = (self.dice.roll(40), self.dice.roll(12));
        match a {
            0 => {
                let body = json!({"to": self.head().await.saturating_sub(b)});
                self.house.post(&self.path("/rollback"), &body).await;
                self.calls.clear();
            }
            1 => {
                let id = self.name();
                let body = json!({"id": id, "at": self.head().await.saturating_sub(b)});
                let forked = self.house.post(&self.path("/fork"), &body).await;
                if forked.status == StatusCode::CREATED {
                    self.id = id;
                    self.calls.clear();
                }
            }
            2 | 3 => {
                let patch = json!({"state": {"mood": b}});
                self.patch(&patch).await;
            }
            4 => self.patch(&json!({"system": format!("be kind {}", b % 3)})).await,
            5 => {
                let seq = 1 + self.dice.roll(10);
                let method = if b % 2 == 0 { "PUT" } else { "DELETE" };
                self.house.call(method, &self.path(&format!("/pins/{seq}"))).await;
            }
            6 => self.model = MODELS[usize::try_from(b % 2).unwrap()],
            7 => self.restart().await,
            8 => self.travel(if b < 6 { "rapport" } else { "anthropic" }).await,
            9 => {
                let plans = [
                    json!({"strategy": "budget", "tokens": 1200}),
                    json!({"strategy": "summary", "tokens": 1500}),
                    json!({"strategy": "hierarchical", "tokens": 1300, "clear_tools": 2}),
                    json!({"strategy": "last", "turns": 3, "recall": 2}),
                ];
                let mut plan =
                    json!({"turns": null, "recall": null, "tokens": null, "clear_tools": null});
                for (name, value) in plans[usize::try_from(b % 4).unwrap()].as_object().unwrap() {
                    plan[name] = value.clone();
                }
                self.patch(&json!({"settings": {"window": plan}})).await;
            }
            10 => self.begin(json!({"strategy": "budget", "tokens": 1500})).await,
            _ => {}
        }
    }

    async fn patch(&self, patch: &Value) {
        let answer = self.house.with_headers("PATCH", &self.path(""), &[], patch).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    async fn head(&self) -> u64 {
        let found = self.house.call("GET", &self.path("")).await.json();
        found["size"]["messages"].as_u64().unwrap_or_else(|| panic!("{found}"))
    }

    async fn restart(&mut self) {
        self.settle().await;
        self.house.database.close().await.unwrap();
        self.house = House::at(settings(&self.mock), self.folder.path()).await;
    }

    /// The conversation leaves as a file and comes back as another one.
    async fn travel(&mut self, format: &str) {
        let file = self.house.call("GET", &self.path(&format!("/export?format={format}"))).await;
        assert_eq!(file.status, StatusCode::OK, "{file:?}");
        let before = self.id.clone();
        self.id = self.name();
        let path = format!("/api/v1/import?id={}", self.id);
        let answer = self.house.with_headers("POST", &path, &[], &file.json()).await;
        if !answer.status.is_success() {
            // An empty conversation cannot come back.
            self.id = before;
            return;
        }
        let found = answer.json();
        self.id = found["contexts"][0]["id"].as_str().unwrap_or(&self.id).to_owned();
        self.calls.clear();
    }

    /// One turn, as the dice and the open calls want it.
    async fn turn(&mut self, n: u32) {
        let answer = if self.calls.is_empty() || self.dice.roll(6) == 0 {
            self.say(n).await
        } else {
            self.results().await
        };
        assert_eq!(answer.status, StatusCode::OK, "turn {n} of {}: {answer:?}", self.id);
        let newest =
            self.house.call("GET", &self.path("/messages?order=desc&limit=1")).await.json();
        let reply = newest["messages"][0].clone();
        let (usage, facts) = (&reply["meta"]["usage"], &reply["meta"]["window"]);
        let count = |name: &str| usage[name].as_f64().unwrap_or_else(|| panic!("{newest}"));
        let prompt =
            count("input_tokens") + count("cache_read_tokens") + count("cache_write_tokens");
        let reason = facts["new_epoch"].as_str();
        assert_ne!(reason, Some("drift"), "turn {n}: {facts}");
        let before = self.before.insert(self.id.clone(), prompt).unwrap_or_default();
        self.allowed += match reason {
            None => READ * before + WRITE * (prompt - before),
            Some(_) => WRITE * prompt,
        };
        *self.reasons.entry(reason.unwrap_or("none").to_owned()).or_default() += 1;
        self.mended += facts["repaired"].as_u64().unwrap_or(0);
        let number = self.mock.cache().requests;
        self.calls = if reply["meta"]["stop_reason"] == "tool_use" {
            (1..=2).map(|call| format!("toolu_mock_{number:06}_{call}")).collect()
        } else {
            Vec::new()
        };
        self.settle().await;
    }

    async fn say(&mut self, n: u32) -> Answer {
        let text = match self.dice.roll(10) {
            0 | 1 => format!("use a tool, please ({n})"),
            2 => format!("be brief ({n})"),
            _ => format!("question {n}: {}", "and the weather in Oslo? ".repeat(3)),
        };
        let mut body = json!({"message": text, "model": self.model});
        if self.dice.roll(25) == 0 {
            body["window"] = json!({"strategy": "last", "turns": 2});
        }
        self.house.post(&self.path("/turns"), &body).await
    }

    /// Hands in what the tools found: mostly all of it, sometimes half.
    async fn results(&mut self) -> Answer {
        let mut calls = std::mem::take(&mut self.calls);
        if self.dice.roll(5) == 0 {
            calls.truncate(1);
        }
        let results: Vec<Value> = calls
            .iter()
            .map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "seen it"}))
            .collect();
        let body = json!({
            "model": self.model, "max_tokens": 2048,
            "messages": [{"role": "user", "content": results}],
        });
        let headers = [("x-rapport-context", self.id.as_str())];
        self.house.with_headers("POST", "/v1/messages", &headers, &body).await
    }
}

#[tokio::test]
async fn a_thousand_random_turns_are_never_refused_and_cost_what_they_must() {
    let mut world = World::new(20_261_121).await;
    for n in 0..1_000 {
        world.disturb().await;
        world.turn(n).await;
    }
    let report = world.mock.cache();
    assert_eq!(report.requests, 1_000);
    let paid = report.prompt_usd * 1e6;
    let factor = paid / world.allowed;
    assert!(factor <= 1.1, "{factor}: {report:?} {:?}", world.reasons);
    for reason in ["none", "first", "fork", "model", "system", "summary", "cut", "rollback"] {
        assert!(world.reasons.contains_key(reason), "{reason}: {:?}", world.reasons);
    }
    assert!(world.reasons["none"] > 500, "{:?}", world.reasons);
    assert!(world.mended > 0);
    let sound = world.house.contexts.verify(|_, _| {}).await.unwrap();
    assert!(sound.is_sound(), "{sound:?}");
}

/// The price of one turn by the arithmetic of big steps, in plain tokens.
fn stepwise(high: f64, low: f64, turn: f64) -> f64 {
    READ * (high + low) / 2.0 + WRITE * turn + WRITE * low * turn / (high - low)
}

#[tokio::test]
async fn a_long_conversation_that_is_cut_costs_what_big_steps_cost() {
    let mut world = World::new(1).await;
    world.begin(json!({"strategy": "budget", "tokens": 4000})).await;
    let start: CacheReport = world.mock.cache();
    let mut sizes = Vec::new();
    for n in 0..300 {
        let text = format!("question {n}: {}", "and the weather in Oslo? ".repeat(3));
        let answer = world.house.post(&world.path("/turns"), &json!({"message": text})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let usage = answer.json()["usage"].clone();
        let count = |name: &str| usage[name].as_f64().unwrap();
        sizes
            .push(count("input_tokens") + count("cache_read_tokens") + count("cache_write_tokens"));
    }
    let cuts: Vec<usize> = (1..sizes.len()).filter(|n| sizes[*n] < sizes[n - 1]).collect();
    assert!(cuts.len() >= 2, "{cuts:?}");
    // Whole rounds only: from the first cut to the last.
    let (first, last) = (cuts[0], *cuts.last().unwrap());
    let rounds = f64::from(u32::try_from(cuts.len() - 1).unwrap());
    let turns = f64::from(u32::try_from(last - first).unwrap());
    let high = cuts[1..].iter().map(|n| sizes[n - 1]).sum::<f64>() / rounds;
    let low = cuts[..cuts.len() - 1].iter().map(|n| sizes[*n]).sum::<f64>() / rounds;
    let turn = (high - low) * rounds / (turns - rounds);
    let formula = stepwise(high, low, turn);
    let report = world.mock.cache();
    // What the rounds cost is what every prompt of them costs by itself.
    let paid: f64 = (first..last)
        .map(|n| {
            if cuts.contains(&n) {
                WRITE * sizes[n]
            } else {
                READ * sizes[n - 1] + WRITE * (sizes[n] - sizes[n - 1])
            }
        })
        .sum::<f64>()
        / turns;
    assert!(paid <= 1.1 * formula, "{paid} of {formula}: high {high}, low {low}, turn {turn}");
    // The provider charged exactly that, and nothing beside it.
    let mut all = WRITE * sizes[0];
    for n in 1..sizes.len() {
        all += if cuts.contains(&n) {
            WRITE * sizes[n]
        } else {
            READ * sizes[n - 1] + WRITE * (sizes[n] - sizes[n - 1])
        };
    }
    let charged = (report.prompt_usd - start.prompt_usd) * 1e6;
    assert!(charged <= 1.01 * all, "{charged} of {all}");
    // A window that slides by one message pays the whole of it every time.
    assert!(WRITE * high >= 6.0 * paid, "{paid} of {high}");
}
