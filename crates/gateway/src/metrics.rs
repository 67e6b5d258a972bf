//! What Prometheus reads: requests, turns, tokens, contexts and the process itself.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use context::Turn;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use wire::Fault;

use crate::gate::Gateway;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    surface: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Surface {
    surface: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answerer {
    provider: String,
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failure {
    kind: &'static str,
    blame: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TurnFailure {
    provider: String,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tokens {
    direction: &'static str,
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Looked {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tool {
    server: String,
    tool: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Joined {
    server: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Began {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Provider {
    provider: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    provider: String,
    state: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Every metric of the request path.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    latency: Histograms<Surface>,
    in_flight: Gauge,
    limited: Counter,
    turns: Family<Answerer, Counter>,
    turns_failed: Family<TurnFailure, Counter>,
    turn_seconds: Histograms<Answerer>,
    failures: Family<Failure, Counter>,
    tokens: Family<Tokens, Counter>,
    cache: Family<Looked, Counter>,
    epochs: Family<Began, Counter>,
    estimates: Histograms<Provider>,
    tools: Family<Tool, Counter>,
    tool_seconds: Histograms<Joined>,
    contexts: Gauge,
    messages: Gauge,
    context_bytes: Gauge,
    connections: Gauge,
    memory: Gauge,
    cpu: Gauge<f64, AtomicU64>,
    store_ok: Gauge<i64, AtomicI64>,
    stayed: Gauge,
    unrecorded: Gauge,
    providers_up: Family<Provider, Gauge>,
    breakers: Family<InState, Gauge>,
    provider_keys: Family<InState, Gauge>,
}

/// From a loopback echo (0.1 ms) to a long thought (10 min).
fn buckets() -> Histogram {
    const BOUNDS: [f64; 14] = [
        0.0001, 0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 20.0, 60.0, 600.0,
    ];
    Histogram::new(BOUNDS)
}

/// From a hundredth of a part to twice the whole.
fn shares() -> Histogram {
    Histogram::new([0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0])
}

impl Metrics {
    /// Empty metrics with their names registered.
    #[must_use]
    pub fn new() -> Self {
        let mut new = Self {
            registry: Registry::with_prefix("rapport"),
            requests: Family::default(),
            latency: Family::new_with_constructor(buckets),
            in_flight: Gauge::default(),
            limited: Counter::default(),
            turns: Family::default(),
            turns_failed: Family::default(),
            turn_seconds: Family::new_with_constructor(buckets),
            failures: Family::default(),
            tokens: Family::default(),
            cache: Family::default(),
            epochs: Family::default(),
            estimates: Family::new_with_constructor(shares),
            tools: Family::default(),
            tool_seconds: Family::new_with_constructor(buckets),
            contexts: Gauge::default(),
            messages: Gauge::default(),
            context_bytes: Gauge::default(),
            connections: Gauge::default(),
            memory: Gauge::default(),
            cpu: Gauge::default(),
            store_ok: Gauge::default(),
            stayed: Gauge::default(),
            unrecorded: Gauge::default(),
            providers_up: Family::default(),
            breakers: Family::default(),
            provider_keys: Family::default(),
        };
        new.register();
        new
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests answered, by surface", self.requests.clone());
        let help = "Time from the request's head to its last byte";
        r.register_with_unit("request", help, Unit::Seconds, self.latency.clone());
        r.register("requests_in_flight", "Requests being answered", self.in_flight.clone());
        r.register("requests_limited", "Requests refused by a rate limit", self.limited.clone());
        r.register("turns", "Turns answered, by model", self.turns.clone());
        let help = "Turns of upstream models that failed";
        r.register("turns_failed", help, self.turns_failed.clone());
        let help = "Time from question to stored reply";
        r.register_with_unit("turn", help, Unit::Seconds, self.turn_seconds.clone());
        r.register("faults", "Faults, by kind and by whose fault it is", self.failures.clone());
        r.register("tokens", "Tokens as the providers count them", self.tokens.clone());
        r.register("cache", "Model calls looked up among kept answers", self.cache.clone());
        let help = "Requests that did not begin with the bytes of the one before, by reason";
        r.register("epochs", help, self.epochs.clone());
        let help = "How far the estimate of a prompt's tokens was from what its provider counted";
        r.register("token_estimate_error_ratio", help, self.estimates.clone());
        let help = "Calls to tools of joined servers";
        r.register("tool_calls", help, self.tools.clone());
        let help = "Time of calls to tools of joined servers";
        r.register_with_unit("tool", help, Unit::Seconds, self.tool_seconds.clone());
        r.register("contexts", "Conversations kept", self.contexts.clone());
        r.register("messages", "Messages kept", self.messages.clone());
        let help = "Bytes of all messages";
        r.register_with_unit("context", help, Unit::Bytes, self.context_bytes.clone());
        r.register("connections", "Open connections", self.connections.clone());
        let help = "Resident memory of the process";
        r.register_with_unit("process_resident", help, Unit::Bytes, self.memory.clone());
        let help = "Processor time used by the process";
        r.register_with_unit("process_cpu", help, Unit::Seconds, self.cpu.clone());
        let help = "Calls that stayed with the target of their conversation";
        r.register("affinity_hits", help, self.stayed.clone());
        let help = "Model calls that were not written to the log of calls";
        r.register("requests_unrecorded", help, self.unrecorded.clone());
        let help = "1 while the health check of a provider works";
        r.register("provider_up", help, self.providers_up.clone());
        let help = "Models that were asked for, by provider and state of their breaker";
        r.register("provider_breakers", help, self.breakers.clone());
        let help = "Keys by provider and state";
        r.register("provider_keys", help, self.provider_keys.clone());
        r.register("store_ok", "1 while the store can write", self.store_ok.clone());
    }

    /// Requests that are being answered.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    pub(crate) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn answered(
        &self,
        (surface, method): (&'static str, &'static str),
        status: u16,
        took: Duration,
    ) {
        self.requests.get_or_create(&Answer { surface, method, status }).inc();
        self.latency.get_or_create(&Surface { surface }).observe(took.as_secs_f64());
    }

    pub(crate) fn limited(&self) {
        self.limited.inc();
    }

    /// Tokens of a model call that was no turn of a context.
    pub(crate) fn spent(&self, model: &str, usage: &wire::reply::Usage) {
        for (direction, count) in [("input", usage.prompt()), ("output", usage.output)] {
            let label = Tokens { direction, model: model.to_owned() };
            self.tokens.get_or_create(&label).inc_by(count);
        }
    }

    pub(crate) fn cache(&self, outcome: &'static str) {
        self.cache.get_or_create(&Looked { outcome }).inc();
    }

    pub(crate) fn epoch(&self, reason: &'static str) {
        self.epochs.get_or_create(&Began { reason }).inc();
    }

    /// Takes what a prompt was estimated at, and what its provider counted.
    pub(crate) fn estimated(&self, provider: &str, (guess, real): (u64, u64)) {
        if real > 0 {
            #[expect(clippy::cast_precision_loss, reason = "counts of tokens stay below 2^52")]
            let share = guess.abs_diff(real) as f64 / real as f64;
            let label = Provider { provider: provider.to_owned() };
            self.estimates.get_or_create(&label).observe(share);
        }
    }

    pub(crate) fn fault(&self, fault: &Fault) {
        let (kind, blame) = (fault.kind().label(), fault.blame().label());
        self.failures.get_or_create(&Failure { kind, blame }).inc();
    }

    /// A call to a tool of a joined server.
    pub(crate) fn tool(&self, (server, tool): (&str, &str), outcome: &str, took: Duration) {
        let server = server.to_owned();
        let labels =
            Tool { server: server.clone(), tool: tool.to_owned(), outcome: outcome.to_owned() };
        self.tools.get_or_create(&labels).inc();
        self.tool_seconds.get_or_create(&Joined { server }).observe(took.as_secs_f64());
    }

    pub(crate) fn turn_failed(&self, provider: &str, fault: &Fault) {
        let (provider, code) = (provider.to_owned(), fault.code().as_str());
        self.turns_failed.get_or_create(&TurnFailure { provider, code }).inc();
    }

    pub(crate) fn turn(&self, turn: Result<&Turn, &Fault>, took: Duration) {
        let Ok(turn) = turn else { return };
        let model = turn.message.model.clone().unwrap_or_default();
        let provider = crate::flow::provider_of(turn);
        let answerer = Answerer { provider, model: model.clone() };
        self.turns.get_or_create(&answerer).inc();
        self.turn_seconds.get_or_create(&answerer).observe(took.as_secs_f64());
        if let Some(usage) = turn.message.meta.get("usage") {
            for (direction, field) in [("input", "input_tokens"), ("output", "output_tokens")] {
                let count = usage.get(field).and_then(serde_json::Value::as_u64).unwrap_or(0);
                let label = Tokens { direction, model: model.clone() };
                self.tokens.get_or_create(&label).inc_by(count);
            }
        }
    }

    /// How the providers fare now.
    fn providers(&self, gate: &Gateway) {
        self.providers_up.clear();
        self.breakers.clear();
        self.provider_keys.clear();
        for status in gate.now().models.providers() {
            let provider = status.name;
            if let Some(up) = status.health.and_then(|health| health.up) {
                let label = Provider { provider: provider.clone() };
                self.providers_up.get_or_create(&label).set(i64::from(up));
            }
            for breaker in status.breakers {
                let label = InState { provider: provider.clone(), state: breaker.state };
                self.breakers.get_or_create(&label).inc();
            }
            for key in status.keys {
                let label = InState { provider: provider.clone(), state: key.state };
                self.provider_keys.get_or_create(&label).inc();
            }
        }
    }

    /// The page of `/metrics`, in the text format of `OpenMetrics`.
    ///
    /// # Errors
    /// `internal_error` when the page cannot be written.
    pub(crate) async fn page(&self, gate: &Gateway) -> Result<String, Fault> {
        let counts = gate.contexts().counts().await;
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.contexts.set(signed(counts.contexts));
        self.messages.set(signed(counts.messages));
        self.context_bytes.set(signed(counts.bytes));
        let connections = gate.connections().load(std::sync::atomic::Ordering::Relaxed);
        self.connections.set(signed(connections as u64));
        self.stayed.set(signed(gate.affinity().hits()));
        let lost = gate.cases().recorder().map_or(0, crate::route::Recorder::lost);
        self.unrecorded.set(signed(lost));
        self.providers(gate);
        self.store_ok.set(i64::from(gate.database().health().ok));
        if let Some((memory, cpu)) = process() {
            self.memory.set(signed(memory));
            self.cpu.set(cpu);
        }
        let mut page = String::new();
        encode(&mut page, &self.registry)
            .map_err(|e| Fault::internal("the metrics page cannot be written").because(e))?;
        Ok(page)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts a request as being answered until it drops.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Resident bytes and processor seconds of this process, where the system tells (Linux).
fn process() -> Option<(u64, f64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // Fields 14 and 15 of proc(5): user and system time in clock ticks, 100 a second on Linux.
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((kib * 1024, (user + system) / 100.0))
}

#[cfg(test)]
mod tests {
    const OPERATIONS: &str = include_str!("../../../docs/operations.md");

    #[test]
    fn every_metric_is_documented() {
        // Families without a value are not rendered, so the names are read from the list above.
        let (source, _) = include_str!("metrics.rs").split_once("#[cfg(test)]").unwrap();
        let named = |call: &str| {
            source.split(call).skip(1).filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>()
        };
        let names = [named("r.register(\""), named("r.register_with_unit(\"")].concat();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(OPERATIONS.contains(&format!("`rapport_{name}")), "`rapport_{name}` is not");
        }
    }
}
