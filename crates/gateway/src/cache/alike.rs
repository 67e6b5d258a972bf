//! Whether two wordings ask the same thing, judged without a model.
//!
//! A wrong answer from memory costs trust, a missed one only time. So a wording must pass two
//! tests: the vectors of its words and letters point the same way (cosine of hashed features), and
//! nothing that turns a meaning round differs: numbers, names, quoted or code-like words, negation,
//! opposites, the order of what is said.

/// The length of a vector.
pub(super) const WIDTH: usize = 256;

/// A wording, as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wording {
    /// The unit vector of its features.
    vector: Box<[f32]>,
    /// The words that carry the meaning, in order, without endings.
    content: Box<[String]>,
    /// What must be the same to the letter, sorted.
    exact: Box<[String]>,
}

/// Words that carry no meaning of their own in a question. `not`, `from`, `to`, `before` and their
/// like are missing on purpose.
const FILLER: &[&str] = &[
    "a", "about", "am", "an", "and", "answer", "are", "be", "been", "can", "could", "did", "do",
    "does", "explain", "for", "give", "has", "have", "hello", "help", "hey", "hi", "how", "i",
    "is", "it", "its", "just", "kindly", "know", "let", "like", "me", "my", "need", "of", "on",
    "our", "please", "question", "s", "should", "show", "so", "some", "tell", "thank", "thanks",
    "that", "the", "their", "there", "these", "this", "us", "want", "was", "we", "were", "what",
    "whats", "which", "will", "with", "would", "you", "your",
];

/// Words that turn a meaning round or point it elsewhere: they must stand in both or in neither.
const TURNING: &[&str] = &[
    "after",
    "all",
    "always",
    "any",
    "avoid",
    "before",
    "best",
    "cannot",
    "cheap",
    "decrease",
    "disable",
    "down",
    "enable",
    "except",
    "expensive",
    "fast",
    "first",
    "from",
    "high",
    "in",
    "increase",
    "into",
    "last",
    "least",
    "left",
    "less",
    "low",
    "max",
    "maximum",
    "min",
    "minimum",
    "more",
    "most",
    "never",
    "new",
    "next",
    "no",
    "none",
    "nor",
    "not",
    "off",
    "old",
    "only",
    "or",
    "out",
    "over",
    "previous",
    "right",
    "slow",
    "start",
    "stop",
    "than",
    "to",
    "under",
    "until",
    "up",
    "who",
    "when",
    "where",
    "why",
    "without",
    "worst",
];

impl Wording {
    /// Reads a wording.
    pub(super) fn of(text: &str) -> Self {
        let mut content = Vec::new();
        let mut exact = Vec::new();
        let mut begins = true;
        for raw in text.split_whitespace() {
            let word = raw.trim_matches(|c: char| !c.is_alphanumeric());
            let ends = raw.ends_with(['.', '!', '?', ':']);
            if !word.is_empty() {
                take(word, raw, begins, &mut content, &mut exact);
            } else if !raw.is_empty() {
                // A lone sign, such as `+` or `=`.
                exact.push(raw.to_owned());
            }
            begins = ends;
        }
        exact.sort_unstable();
        let vector = vector(&content);
        Self { vector, content: content.into(), exact: exact.into() }
    }

    /// How alike they are, 0 to 1; 0 where something differs that may not.
    pub(super) fn alike(&self, other: &Self) -> f32 {
        if self.exact != other.exact || !same_story(&self.content, &other.content) {
            return 0.0;
        }
        self.vector.iter().zip(&other.vector).map(|(a, b)| a * b).sum::<f32>().clamp(0.0, 1.0)
    }

    /// Whether there is enough to compare.
    pub(super) fn is_telling(&self) -> bool {
        self.content.len() >= 2
    }

    /// What it takes in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let texts = self.content.iter().chain(&self.exact).map(|t| t.len() + 24);
        self.vector.len() * 4 + texts.sum::<usize>() + 64
    }
}

/// Sorts one word in.
fn take(word: &str, raw: &str, begins: bool, content: &mut Vec<String>, exact: &mut Vec<String>) {
    let lower = word.to_lowercase().replace(['\u{2019}', '\''], "");
    let is_marked = raw.contains(['"', '`', '\u{201c}', '\u{ab}', '/', '\\', '_', '(', '=', '<']);
    let is_number = word.contains(|c: char| c.is_numeric());
    // The first word of a sentence is written large whatever it is.
    let is_name = !begins && word.contains(char::is_uppercase) && word != "I";
    let is_foreign = !word.is_ascii();
    if is_marked || is_number || is_foreign {
        exact.push(raw.to_owned());
    } else if lower.ends_with("nt") && (raw.contains('\'') || raw.contains('\u{2019}')) {
        exact.push("not".to_owned());
    } else if TURNING.contains(&lower.as_str()) {
        exact.push(lower);
    } else if FILLER.contains(&lower.as_str()) {
    } else if is_name {
        exact.push(lower.clone());
        content.push(stem(&lower));
    } else {
        content.push(stem(&lower));
    }
}

/// Cuts the endings of English inflection; crude, and the same on both sides.
fn stem(word: &str) -> String {
    let cut = |ending: &str| {
        word.strip_suffix(ending).filter(|rest| rest.len() >= 3).map(ToOwned::to_owned)
    };
    let rest = cut("ies").map(|rest| rest + "y");
    let rest = rest.or_else(|| cut("ing")).or_else(|| cut("ed")).or_else(|| cut("es"));
    let rest = rest.or_else(|| cut("s").filter(|rest| !rest.ends_with('s')));
    let mut rest = rest.unwrap_or_else(|| word.to_owned());
    if rest.len() > 3 && rest.ends_with('e') {
        rest.pop();
    }
    rest
}

/// Whether both tell the same words in the same order; one may leave out a single word, no more.
fn same_story(a: &[String], b: &[String]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.len() < 2 || long.len() - short.len() > 1 {
        return false;
    }
    if short.len() == long.len() {
        return short == long;
    }
    // With one word more the rest must still be the bulk of it.
    let mut rest = long.iter();
    short.len() >= 5 && short.iter().all(|word| rest.any(|other| other == word))
}

fn vector(content: &[String]) -> Box<[f32]> {
    let mut vector = vec![0.0_f32; WIDTH];
    let mut add = |feature: &[u8], weight: f32| {
        let hash = blake3::hash(feature);
        let [low, high, sign, ..] = *hash.as_bytes();
        let place = usize::from(u16::from_le_bytes([low, high])) % WIDTH;
        if let Some(slot) = vector.get_mut(place) {
            *slot += if sign & 1 == 0 { weight } else { -weight };
        }
    };
    for word in content {
        add(word.as_bytes(), 2.0);
        let letters: Vec<char> = format!("^{word}$").chars().collect();
        for three in letters.windows(3) {
            add(three.iter().collect::<String>().as_bytes(), 0.5);
        }
    }
    for pair in content.windows(2) {
        add(pair.join(" ").as_bytes(), 1.0);
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector.into()
}
