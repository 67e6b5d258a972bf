//! How likely a model held its own words, where it says so: from the log probabilities of tokens.

use serde_json::Value;
use serde_json::value::RawValue;

/// What a list of log probabilities can lie in, in the APIs that give some.
const LISTS: [&str; 5] = ["content", "refusal", "token_logprobs", "chosenCandidates", "logprobs"];

/// The log probabilities of the tokens of one reply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Likely {
    sum: f64,
    count: u32,
    /// What the model itself says is the mean.
    mean: Option<f64>,
}

impl Likely {
    /// Those of a whole reply, or of a piece.
    pub(super) fn of(raw: Option<&RawValue>) -> Self {
        let mut likely = Self::default();
        likely.take(raw);
        likely
    }

    /// Takes the tokens of a piece: of each the chosen one, not its alternatives.
    pub(super) fn take(&mut self, raw: Option<&RawValue>) {
        // Several APIs always send an empty list.
        let Some(raw) = raw.filter(|raw| raw.get().len() > 2) else { return };
        if let Ok(value) = serde_json::from_str(raw.get()) {
            self.walk(&value);
        }
    }

    /// Takes the mean that the model has worked out.
    pub(super) fn take_mean(&mut self, raw: Option<&RawValue>) {
        let mean = raw.and_then(|raw| raw.get().parse::<f64>().ok());
        self.mean = mean.filter(|mean| mean.is_finite()).or(self.mean);
    }

    /// Takes those of another piece.
    pub(super) fn join(&mut self, other: Self) {
        self.sum += other.sum;
        self.count = self.count.saturating_add(other.count);
        self.mean = other.mean.or(self.mean);
    }

    /// `e` to the mean of the log probabilities: the geometric mean of what each token was given,
    /// from 0 to 1. Nothing where the model gave none.
    pub(super) fn confidence(&self) -> Option<f64> {
        let counted = (self.count > 0).then(|| self.sum / f64::from(self.count));
        self.mean.or(counted).map(|mean| mean.exp().clamp(0.0, 1.0))
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Number(number) => self.add(number.as_f64()),
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                let token = fields.get("logprob").or_else(|| fields.get("logProbability"));
                if let Some(token) = token {
                    self.add(token.as_f64());
                    return;
                }
                let lists = LISTS.iter().filter_map(|name| fields.get(*name));
                lists.for_each(|list| self.walk(list));
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }

    fn add(&mut self, logprob: Option<f64>) {
        if let Some(logprob) = logprob.filter(|logprob| logprob.is_finite()) {
            self.sum += logprob.min(0.0);
            self.count = self.count.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confidence(json: &str) -> Option<f64> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let found = Likely::of(Some(raw)).confidence();
        found.map(|found| (found * 1000.0).round() / 1000.0)
    }

    #[test]
    fn it_is_the_geometric_mean_of_what_the_chosen_tokens_were_given() {
        // Probabilities 0.5 and 0.125: their geometric mean is 0.25.
        for json in [
            r#"{"content":[{"token":"a","logprob":-0.6931472,"top_logprobs":[{"logprob":-9}]},
                {"token":"b","logprob":-2.0794415}],"refusal":null}"#,
            r#"{"tokens":["a","b"],"token_logprobs":[-0.6931472,-2.0794415],"text_offset":[0,1]}"#,
            r#"{"chosenCandidates":[{"token":"a","tokenId":7,"logProbability":-0.6931472},
                {"token":"b","logProbability":-2.0794415}],"topCandidates":[{"candidates":[]}]}"#,
            r#"[{"token":"a","logprob":-0.6931472,"bytes":[97]},
                {"token":"b","logprob":-2.0794415}]"#,
            r#"[{"type":"reasoning","content":[]},{"type":"message","content":[
                {"type":"output_text","text":"ab",
                 "logprobs":[{"logprob":-0.6931472},{"logprob":-2.0794415}]}]}]"#,
            r#"[{"text":"ab","token_ids":[1,2],"logprobs":[-0.6931472,-2.0794415]}]"#,
        ] {
            assert_eq!(confidence(json), Some(0.25), "{json}");
        }
    }

    #[test]
    fn nothing_is_made_up() {
        for json in [
            "null",
            "[]",
            "{}",
            r#"{"content":null}"#,
            r#"{"content":[]}"#,
            "true",
            r#"{"token_logprobs":[null]}"#,
            r#"[{"logprob":"high"}]"#,
            r#""-1""#,
        ] {
            assert_eq!(confidence(json), None, "{json}");
        }
        // A first token without a probability does not count; rounding beyond 1 does not show.
        assert_eq!(confidence(r#"{"token_logprobs":[null,0.0]}"#), Some(1.0));
        assert_eq!(confidence(r#"[{"logprob":1e-7}]"#), Some(1.0));
        assert_eq!(confidence(r#"[{"logprob":-9999.0}]"#), Some(0.0));
    }

    #[test]
    fn the_models_own_mean_comes_first() {
        let mean: &RawValue = serde_json::from_str("-0.6931472").unwrap();
        let mut likely = Likely::default();
        likely.add(Some(-5.0));
        likely.take_mean(Some(mean));
        likely.take_mean(None);
        assert!((likely.confidence().unwrap() - 0.5).abs() < 1e-6);
    }
}
