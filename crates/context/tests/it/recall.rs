//! Recall of older messages, measured as `bench/recall` measures it, on its tiny file.

use std::collections::HashMap;

use serde_json::Value;
use wire::prompt::Role;

use crate::{LOCAL, both, key, said, text};
use context::{Contexts, New};

const TINY: &str = include_str!("../../../../bench/recall/tiny.json");

/// Stores a conversation of the file; gives the number of each message.
async fn fill(contexts: &Contexts, sample: &Value) -> HashMap<String, u32> {
    let new = New { id: Some("c".to_owned()), ..New::default() };
    contexts.create(LOCAL, new).await.unwrap();
    let (mut numbers, mut entries) = (HashMap::new(), Vec::new());
    for session in 1.. {
        let name = format!("session_{session}");
        let Some(turns) = sample["conversation"].get(&name).and_then(Value::as_array) else {
            break;
        };
        for turn in turns {
            let speaker = turn["speaker"].as_str().unwrap();
            let content = format!("{speaker}: {}", turn["text"].as_str().unwrap());
            let role = if speaker == "Ada" { Role::User } else { Role::Assistant };
            entries.push(said(role, text(&content)));
            let seq = u32::try_from(entries.len()).unwrap();
            numbers.insert(turn["dia_id"].as_str().unwrap().to_owned(), seq);
        }
    }
    // Words that hide the ones that are looked for.
    for n in 0..120 {
        let noise = format!("Ada and Ben talk about the weather, part {n}, and who is where.");
        entries.push(said(Role::User, text(&noise)));
    }
    contexts.append(&key("c"), entries, None, None).await.unwrap();
    numbers
}

#[tokio::test]
async fn what_answers_a_question_is_among_the_first_that_are_told() {
    let samples: Value = serde_json::from_str(TINY).unwrap();
    both(async |contexts| {
        let numbers = fill(&contexts, &samples[0]).await;
        let mut asked = 0;
        for question in samples[0]["qa"].as_array().unwrap() {
            let evidence = question["evidence"].as_array().unwrap();
            let words = question["question"].as_str().unwrap();
            let found = contexts.recall(&key("c"), words, 4, None).await.unwrap();
            let told: Vec<u32> =
                found.iter().flat_map(|one| one.entries.iter().map(|entry| entry.seq)).collect();
            for name in evidence {
                asked += 1;
                let wanted = numbers[name.as_str().unwrap()];
                assert!(told.contains(&wanted), "{words}: {wanted} is not in {told:?}");
            }
        }
        assert_eq!(asked, 5);
        // What lies from a message on is left out, and nonsense finds nothing.
        let early = contexts.recall(&key("c"), "thunder", 5, Some(8)).await.unwrap();
        assert!(early.is_empty(), "{early:?}");
        assert!(contexts.recall(&key("c"), "?!", 5, None).await.unwrap().is_empty());
    })
    .await;
}
