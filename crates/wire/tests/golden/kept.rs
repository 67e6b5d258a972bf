//! Long texts stay in the body they came in; nobody can tell by what is written or read.

use proptest::prelude::*;
use wire::dialect::{DIALECTS, Dialect, named};
use wire::prompt::{Block, Prompt, Text};

use crate::sent;

/// The inside of a string of JSON that is long enough to be kept.
fn inside() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-z ]{0,9}|\u{e9}|[{}\\[\\]:,]".boxed(),
        3 => r#"\\"|\\\\|\\n|\\t|\\r"#.boxed(),
        1 => r"\\u0000|\\u001f|\\u000a|\\u00e9|\\u001F|\\/|\\b|\\f".boxed(),
        1 => r"\\ud83d\\ude00|\\ud83d|\\ude00|\\uD83D\\uDE00".boxed(),
    ];
    let pieces = || proptest::collection::vec(piece.clone(), 0..6);
    (pieces(), 0_usize..2, pieces()).prop_map(|(before, long, after)| {
        format!("{}{}{}", before.concat(), "x".repeat(long * 300), after.concat())
    })
}

/// A question that OpenAI's and Anthropic's chats have in common.
fn question(texts: &[String]) -> String {
    let message = |(at, text): (usize, &String)| match at % 4 {
        0 => format!(r#"{{"role":"user","content":"{text}"}}"#),
        1 => format!(r#"{{"role":"assistant", "content":[{{"type":"text","text":"{text}"}}]}}"#),
        2 => {
            let part = format!(r#"{{"text":"{text}","type":"text"}}"#);
            format!(r#"{{"role":"user","content":[{part},{part}]}}"#)
        }
        _ => format!(r#"{{"role":"system","content":"{text}"}}"#),
    };
    let messages: Vec<String> = texts.iter().enumerate().map(message).collect();
    format!(r#" {{"messages":[{}],"model":"m","max_tokens":9}}"#, messages.join(","))
}

/// The prompt with texts of its own.
fn owned(prompt: &Prompt) -> Prompt {
    let mut prompt = prompt.clone();
    for block in prompt.messages.iter_mut().flat_map(|message| &mut message.blocks) {
        if let Block::Text(text) = block {
            *text = Text::from(text.to_string());
        }
    }
    prompt
}

fn readers() -> [&'static dyn Dialect; 2] {
    [named("openai_chat").unwrap(), named("anthropic").unwrap()]
}

proptest! {
    #[test]
    fn every_dialect_writes_a_kept_text_as_one_of_its_own(
        texts in proptest::collection::vec(inside(), 1..6)
    ) {
        let body = question(&texts);
        for from in readers() {
            let prompt = from.request(&sent(&body)).unwrap().prompt;
            let own = owned(&prompt);
            for to in DIALECTS {
                let (kept, own) = (to.render(&prompt, true), to.render(&own, true));
                prop_assert_eq!(String::from_utf8(kept.body), String::from_utf8(own.body));
                prop_assert_eq!(kept.dropped, own.dropped);
            }
        }
    }

    #[test]
    fn a_kept_text_says_what_the_parser_reads(text in inside()) {
        // What holds half a character no parser reads.
        if let Ok(says) = serde_json::from_str::<String>(&format!("\"{text}\"")) {
            let body = question(&[text]);
            for from in readers() {
                let prompt = from.request(&sent(&body)).unwrap().prompt;
                let read: String = prompt.messages.iter().map(|message| message.plain()).collect();
                prop_assert_eq!(&read, &says);
            }
        }
    }
}

#[test]
fn half_a_character_in_a_long_text_becomes_a_mark() {
    let long = "x".repeat(300);
    for from in readers() {
        let prompt = from.request(&sent(question(&[format!(r"{long}\ud83d")]))).unwrap().prompt;
        assert_eq!(prompt.messages[0].plain(), format!("{long}\u{fffd}"));
        for to in DIALECTS {
            let body = String::from_utf8(to.write(&prompt, false)).unwrap();
            assert!(body.contains(&format!("{long}\u{fffd}")), "{}", to.name());
        }
    }
}

#[test]
fn what_was_added_to_a_long_text_is_written_with_it() {
    let long = format!("{}\\\"\\n", "x".repeat(300));
    for from in readers() {
        let mut prompt = from.request(&sent(question(std::slice::from_ref(&long)))).unwrap().prompt;
        let Block::Text(text) = &mut prompt.messages[0].blocks[0] else { panic!("no text") };
        text.push_str("\"hidden\"");
        for to in DIALECTS {
            let body = String::from_utf8(to.write(&prompt, false)).unwrap();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(body.to_string().contains(&format!("{long}\\\"hidden\\\"")), "{}", to.name());
        }
    }
}
