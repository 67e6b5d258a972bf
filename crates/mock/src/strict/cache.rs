//! A provider's prompt cache, simulated: marks, look-back, times to live, prices.
//!
//! It holds hashes and no texts. Its clock stands still until a test moves it.

use super::spoken::{Mark, Piece, Spoken};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Seconds that an entry lives without being read.
const FIVE_MINUTES: u64 = 300;
const ONE_HOUR: u64 = 3600;
/// Limit: entries; what has run out goes when there are more.
const ENTRIES_MAX: usize = 200_000;

/// The rules of a simulated prompt cache.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptCache {
    /// Shorter beginnings are not cached.
    pub min_tokens: u64,
    /// So many blocks before a mark an entry may end and still be found.
    pub look_back: usize,
    /// What the report computes with.
    pub prices: CachePrices,
}

impl Default for PromptCache {
    fn default() -> Self {
        Self { min_tokens: 1024, look_back: 20, prices: CachePrices::default() }
    }
}

/// USD for a million tokens.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CachePrices {
    /// Of the prompt, neither read from the cache nor written to it.
    pub input: f64,
    /// Read from the cache.
    pub read: f64,
    /// Written for five minutes.
    pub write_5m: f64,
    /// Written for an hour.
    pub write_1h: f64,
    /// Of replies.
    pub output: f64,
}

impl Default for CachePrices {
    fn default() -> Self {
        Self { input: 2.0, read: 0.1, write_5m: 2.5, write_1h: 4.0, output: 10.0 }
    }
}

/// What all requests took from the cache and put into it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CacheReport {
    /// Requests that were answered.
    pub requests: u64,
    /// Prompt tokens that no cache held.
    pub input_tokens: u64,
    /// Prompt tokens read from the cache.
    pub read_tokens: u64,
    /// Prompt tokens written for five minutes.
    pub written_5m_tokens: u64,
    /// Prompt tokens written for an hour.
    pub written_1h_tokens: u64,
    /// Tokens of replies.
    pub output_tokens: u64,
    /// What the prompts cost, in USD, without the replies.
    pub prompt_usd: f64,
    /// What the replies cost, in USD.
    pub reply_usd: f64,
}

/// What one request took from the cache and put into it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) input: u64,
    pub(crate) read: u64,
    pub(crate) written_5m: u64,
    pub(crate) written_1h: u64,
}

/// The cache of one server.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    now: u64,
    /// By the hash of a beginning: how long it lives, and until when.
    entries: HashMap<u64, (u64, u64)>,
    pub(crate) report: CacheReport,
}

impl Cache {
    /// Moves the clock.
    pub(crate) fn advance(&mut self, seconds: u64) {
        self.now = self.now.saturating_add(seconds);
    }

    /// Looks a prompt up, and keeps what is marked in it.
    pub(crate) fn ask(&mut self, rules: &PromptCache, spoken: &Spoken) -> Found {
        let read = self.longest(rules, &spoken.pieces);
        let mut found = Found { read, ..Found::default() };
        let mut done = read;
        for piece in &spoken.pieces {
            let Some(mark) = piece.mark else { continue };
            if piece.sum <= read || piece.sum < rules.min_tokens {
                continue;
            }
            let new = piece.sum - done;
            let life = match mark {
                Mark::FiveMinutes => {
                    found.written_5m += new;
                    FIVE_MINUTES
                }
                Mark::OneHour => {
                    found.written_1h += new;
                    ONE_HOUR
                }
            };
            done = piece.sum;
            self.keep(piece.upto, life);
        }
        found.input = spoken.tokens() - done;
        found
    }

    /// The tokens of the longest beginning that is held; reading it lets it live on.
    fn longest(&mut self, rules: &PromptCache, pieces: &[Piece]) -> u64 {
        let now = self.now;
        let is_held =
            |piece: &Piece| self.entries.get(&piece.upto).is_some_and(|(_, until)| *until > now);
        let marks = pieces.iter().enumerate().filter(|(_, piece)| piece.mark.is_some());
        let held = marks.filter_map(|(at, _)| {
            let seen = pieces.iter().take(at + 1).skip(at.saturating_sub(rules.look_back));
            seen.rev().find(|piece| is_held(piece)).map(|piece| piece.sum)
        });
        let best = held.max().unwrap_or(0);
        // Every beginning that was passed is used.
        for piece in pieces.iter().take_while(|piece| piece.sum <= best) {
            if let Some((life, until)) = self.entries.get_mut(&piece.upto)
                && *until > now
            {
                *until = now.saturating_add(*life);
            }
        }
        best
    }

    fn keep(&mut self, hash: u64, life: u64) {
        let now = self.now;
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.retain(|_, (_, until)| *until > now);
        }
        if self.entries.len() < ENTRIES_MAX {
            self.entries.insert(hash, (life, now + life));
        }
    }

    /// Adds an answered request to the report.
    pub(crate) fn count(&mut self, prices: &CachePrices, found: Found, output: u64) {
        let report = &mut self.report;
        report.requests += 1;
        report.input_tokens += found.input;
        report.read_tokens += found.read;
        report.written_5m_tokens += found.written_5m;
        report.written_1h_tokens += found.written_1h;
        report.output_tokens += output;
        report.prompt_usd += dollars(found.input, prices.input)
            + dollars(found.read, prices.read)
            + dollars(found.written_5m, prices.write_5m)
            + dollars(found.written_1h, prices.write_1h);
        report.reply_usd += dollars(output, prices.output);
    }
}

/// The price of so many tokens.
fn dollars(tokens: u64, price: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of tokens stay far below 2^52")]
    let tokens = tokens as f64;
    tokens * price / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const RULES: PromptCache = PromptCache {
        min_tokens: 10,
        look_back: 20,
        prices: CachePrices { input: 2.0, read: 0.1, write_5m: 2.5, write_1h: 4.0, output: 10.0 },
    };

    fn body(messages: usize, marked: bool) -> Value {
        let list: Vec<Value> = (0..messages)
            .map(|n| {
                let role = if n % 2 == 0 { "user" } else { "assistant" };
                json!({"role": role, "content": format!("message {n} {}", "x".repeat(40))})
            })
            .collect();
        let mut body = json!({"model": "m", "system": "be kind", "messages": list});
        if marked {
            body["cache_control"] = json!({"type": "ephemeral"});
        }
        body
    }

    fn ask(cache: &mut Cache, body: &Value) -> Found {
        cache.ask(&RULES, &Spoken::read(body.to_string().as_bytes()))
    }

    #[test]
    fn what_was_marked_is_read_and_the_rest_is_written() {
        let mut cache = Cache::default();
        let first = ask(&mut cache, &body(1, true));
        assert_eq!((first.input, first.read), (0, 0));
        let second = ask(&mut cache, &body(3, true));
        assert_eq!(second.read, first.written_5m);
        assert_eq!(second.input, 0);
        // Nothing marked: nothing found, nothing kept.
        let third = ask(&mut cache, &body(3, false));
        assert_eq!((third.read, third.written_5m), (0, 0));
        assert_eq!(third.input, second.read + second.written_5m);
    }

    #[test]
    fn a_mark_looks_back_twenty_blocks_and_no_further() {
        let mut cache = Cache::default();
        ask(&mut cache, &body(1, true));
        assert!(ask(&mut cache, &body(21, true)).read > 0);
        let mut cache = Cache::default();
        ask(&mut cache, &body(1, true));
        assert_eq!(ask(&mut cache, &body(23, true)).read, 0);
    }

    #[test]
    fn an_entry_lives_five_minutes_after_it_was_read_last() {
        let mut cache = Cache::default();
        ask(&mut cache, &body(3, true));
        for _ in 0..3 {
            cache.advance(200);
            assert!(ask(&mut cache, &body(3, true)).read > 0);
        }
        cache.advance(300);
        assert_eq!(ask(&mut cache, &body(3, true)).read, 0);
    }

    #[test]
    fn an_hour_costs_more_and_lasts() {
        let mut cache = Cache::default();
        let mut hour = body(3, false);
        hour["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"});
        let found = ask(&mut cache, &hour);
        assert!(found.written_1h > 0 && found.written_5m == 0);
        cache.advance(3_000);
        assert_eq!(ask(&mut cache, &hour).read, found.written_1h);
    }

    #[test]
    fn short_prompts_are_not_kept() {
        let mut cache = Cache::default();
        let rules = PromptCache { min_tokens: 4_000, ..RULES };
        let spoken = Spoken::read(body(3, true).to_string().as_bytes());
        let found = cache.ask(&rules, &spoken);
        assert_eq!((found.written_5m, found.input), (0, spoken.tokens()));
    }

    #[test]
    fn another_tool_choice_keeps_what_stands_before_the_messages() {
        let mut cache = Cache::default();
        let mut one = body(1, true);
        let long = "s".repeat(100);
        one["system"] = json!([{"type": "text", "text": long,
                                "cache_control": {"type": "ephemeral"}}]);
        let first = ask(&mut cache, &one);
        one["tool_choice"] = json!({"type": "any"});
        let second = ask(&mut cache, &one);
        assert!(second.read > 0 && second.read < first.written_5m);
        one["model"] = json!("other");
        assert_eq!(ask(&mut cache, &one).read, 0);
    }
}
