//! The rules of the cache: what is the same question, what only looks like it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::alike::Wording;
use super::{Cache, CacheSettings, Kept, Name, Question, Seat, is_deterministic, name};

fn of(body: &str) -> Option<Name> {
    name(&["tenant", "/v1/messages"], body.as_bytes())
}

fn kept(text: &str) -> Kept {
    Kept { headers: [].into(), body: Bytes::from(text.to_owned()), at: Instant::now() }
}

#[test]
fn a_question_is_the_same_however_it_is_written_down() {
    let one = of(r#"{"model":"m","messages":[{"role":"user","content":"hié"}],"stream":true}"#);
    let other = of(r#"{ "messages" : [ {"content":"hi\u00e9","role":"user"} ], "model":"m" }"#);
    assert!(one.is_some());
    assert_eq!(one, other);
}

#[test]
fn what_could_change_the_answer_makes_another_question() {
    let plain = r#"{"model":"m","n":9007199254740993,"x":"1","messages":["a","b"]}"#;
    let others = [
        r#"{"model":"m2","n":9007199254740993,"x":"1","messages":["a","b"]}"#,
        r#"{"model":"m","n":9007199254740992,"x":"1","messages":["a","b"]}"#,
        r#"{"model":"m","n":9007199254740993,"x":1,"messages":["a","b"]}"#,
        r#"{"model":"m","n":9007199254740993,"x":"1","messages":["ab"]}"#,
        r#"{"model":"m","n":9007199254740993,"x":"1","messages":["b","a"]}"#,
        r#"{"model":"m","n":9007199254740993,"x":"1","messages":[["a","b"]]}"#,
        r#"{"model":"m","n":9007199254740993,"x":"1","messages":["a","b"],"y":null}"#,
        r#"{"model":"m","n":9007199254740993,"x":"\ud800","messages":["a","b"]}"#,
    ];
    for other in others {
        assert!(of(other).is_some(), "{other}");
        assert_ne!(of(plain), of(other), "{other}");
    }
    assert_ne!(name(&["a", "b"], b"{}"), name(&["ab", ""], b"{}"));
    for broken in ["", "[]", "{", "{\"a\":1}x"] {
        assert_eq!(of(broken), None, "{broken}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(of(&deep), None);
}

#[test]
fn determinism_is_read_where_each_dialect_has_it() {
    for body in [
        r#"{"temperature":0}"#,
        r#"{"temperature":0.0,"seed":null}"#,
        r#"{"seed":7}"#,
        r#"{"options":{"temperature":0}}"#,
        r#"{"generationConfig":{"temperature":0}}"#,
    ] {
        assert!(is_deterministic(body.as_bytes()), "{body}");
    }
    for body in [r"{}", r#"{"temperature":0.2}"#, r#"{"options":{"top_k":1}}"#, "nonsense"] {
        assert!(!is_deterministic(body.as_bytes()), "{body}");
    }
}

#[test]
fn memory_stays_within_its_bound() {
    let settings = CacheSettings { bytes: 100_000, ..CacheSettings::default() };
    let cache = Cache::new(&settings);
    let names: Vec<Name> =
        (0..500).map(|n| of(&format!("{{\"n\":{n}}}")).expect("an object")).collect();
    for name in &names {
        cache.keep(*name, kept(&"x".repeat(1_000)), None);
    }
    cache.kept.run_pending_tasks();
    let left = names.iter().filter(|name| cache.find(name).is_some()).count();
    assert!((1..=70).contains(&left), "{left} of 500 answers of 1.5 kB fit into 100 kB");
}

#[test]
fn an_answer_is_forgotten_after_its_time() {
    let settings = CacheSettings { ttl: Duration::from_millis(20), ..CacheSettings::default() };
    let cache = Cache::new(&settings);
    let name = of("{}").expect("an object");
    cache.keep(name, kept("x"), None);
    let until = Instant::now() + Duration::from_secs(10);
    while cache.find(&name).is_some() {
        assert!(Instant::now() < until, "it is still there");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn one_leads_and_the_others_wait_for_its_end() {
    let cache = Cache::new(&CacheSettings::default());
    let name = of("{}").expect("an object");
    let Seat::Lead(lead) = cache.sit(name) else { panic!("the first leads") };
    let Seat::Wait(mut wait) = cache.sit(name) else { panic!("the second waits") };
    cache.keep(name, kept("x"), None);
    drop(lead);
    assert!(wait.changed().await.is_err(), "the wait ends with the lead");
    assert!(matches!(cache.sit(name), Seat::Lead(_)));
}

/// Pairs that ask the same.
const SAME: &[(&str, &str)] = &[
    ("What is the capital of France?", "what is the capital of France"),
    ("What's the capital of France?", "Please tell me the capital of France."),
    ("How do I reset my password?", "how can i reset my password, please?"),
    ("Explain the borrow checker rules", "Can you explain the borrow checker's rules?"),
    ("List the planets of the solar system", "list planets of the solar system!"),
    ("Summarize this article about whales", "Could you please summarize the article about whales"),
];

/// Pairs that look alike and must never share an answer.
const NEAR_MISSES: &[(&str, &str)] = &[
    ("How do I enable the firewall rule?", "How do I disable the firewall rule?"),
    ("Convert dollars to euros today", "Convert euros to dollars today"),
    ("What is the capital of France?", "What is the capital of Finland?"),
    ("Is it safe to delete the log file?", "Is it not safe to delete the log file?"),
    ("Can I eat the berries raw?", "Can't I eat the berries raw?"),
    ("What is 12 plus 30?", "What is 12 plus 31?"),
    ("Which river is longest in Asia?", "Which river is shortest in Asia?"),
    ("Translate `cat` for me now", "Translate `dog` for me now"),
    ("Who killed the bear hunter?", "Who killed the hunter bear?"),
    ("Show flights from Paris to Rome", "Show flights from Rome to Paris"),
    ("What happened before the war ended", "What happened after the war ended"),
    ("Sort the list with more entries first", "Sort the list with less entries first"),
    ("delete user data in table users", "delete user data in table orders"),
    ("What did Alice say about Bob?", "What did Bob say about Alice?"),
    ("Why is the sky blue?", "When is the sky blue?"),
    ("write a poem on love and loss", "write a story on love and loss"),
    ("price of the cheap ticket class", "price of the expensive ticket class"),
    ("open file /etc/hosts for reading", "open file /etc/passwd for reading"),
    ("how to increase memory limit value", "how to decrease memory limit value"),
    ("best phone for old people today", "best phone for new people today"),
];

#[test]
fn only_what_means_the_same_is_alike() {
    let alike = |(a, b): (&str, &str)| Wording::of(a).alike(&Wording::of(b));
    for pair in SAME {
        assert!(alike(*pair) >= 0.9, "{pair:?}: {}", alike(*pair));
    }
    for pair in NEAR_MISSES {
        assert!(alike(*pair) < 0.9, "{pair:?}: {}", alike(*pair));
    }
}

#[test]
fn another_wording_finds_the_answer_within_its_frame_only() {
    let cache = Cache::new(&CacheSettings { similar: true, ..CacheSettings::default() });
    let (frame, elsewhere) = (of("{\"f\":1}").expect("one"), of("{\"f\":2}").expect("two"));
    let name = of("{}").expect("an object");
    let asked = Question::new(frame, "How do I reset my password?").expect("telling");
    cache.keep(name, kept("so"), Some(&asked));
    let again = Question::new(frame, "please: how can I reset my password").expect("telling");
    let (found, alike) = cache.find_near(&again).expect("the same question");
    assert_eq!(found.body, "so");
    assert!(alike > 0.9, "{alike}");
    let other = Question::new(elsewhere, "How do I reset my password?").expect("telling");
    assert!(cache.find_near(&other).is_none());
    assert!(Question::new(frame, "Hello you!").is_none(), "too little to compare");
}
