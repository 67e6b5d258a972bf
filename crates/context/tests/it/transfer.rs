//! Conversations out and in again: nothing is lost on the way.

use context::{Content, Contexts, Format, New, Settings, read_document};
use serde_json::{Value, json};
use wire::Code;
use wire::prompt::Role;

use crate::{LOCAL, all, both, key, map, raw, refused, said, text, texts};

const CALL: &str = r#"[{"type":"thinking","thinking":"","signature":"c2ln"},
  {"type":"tool_use", "id":"t1","name":"clock","input":{"zone": 1.50}}]"#;
const RESULT: &str = r#"[{"type":"tool_result","tool_use_id":"t1","content":"5 o\u00b4clock"}]"#;

async fn sample(contexts: &Contexts) {
    let model = Some("claude-opus-5-5".to_owned());
    let settings = Settings { model, ..Settings::default() };
    let messages = vec![
        said(Role::User, text("what time is it?\nNow, I mean: \"now\" – ünïcödé 🦀")),
        said(Role::Assistant, raw("anthropic", CALL)),
        said(Role::User, raw("anthropic", RESULT)),
        said(Role::Assistant, text("five")),
    ];
    let new = New {
        id: Some("s".to_owned()),
        title: Some("time".to_owned()),
        user: Some("ada".to_owned()),
        system: Some("be brief".to_owned()),
        settings,
        state: map(r#"{"b":1,"a":{"x":null}}"#),
        metadata: map(r#"{"k":"v"}"#),
        messages,
        expires_in: None,
        idle_for: None,
    };
    contexts.create(LOCAL, new).await.unwrap();
}

/// What is stored of every message.
async fn bytes(contexts: &Contexts, id: &str) -> Vec<(Role, Option<String>, String)> {
    let stored = |c: &Content| (c.dialect().map(str::to_owned), c.stored().to_owned());
    let entries = all(contexts, id).await.into_iter();
    entries
        .map(|e| {
            let (dialect, text) = stored(&e.content);
            (e.role, dialect, text)
        })
        .collect()
}

/// Writes, deletes, reads: says what the context is then.
async fn round(contexts: &Contexts, format: Format) -> context::Context {
    let document = contexts.export(&key("s"), format).await.unwrap();
    contexts.delete(&key("s")).await.unwrap();
    // The format is found out without its name.
    let parcel = read_document(&document.text, None).unwrap();
    let made = contexts.import(LOCAL, parcel).await.unwrap().remove(0);
    contexts.get(&key(&made.id)).await.unwrap()
}

#[tokio::test]
async fn our_own_formats_keep_everything() {
    both(async |contexts| {
        for format in [Format::Rapport, Format::JsonLines] {
            sample(&contexts).await;
            let before = (contexts.get(&key("s")).await.unwrap(), bytes(&contexts, "s").await);
            let after = round(&contexts, format).await;
            assert_eq!(
                (&after.id, &after.title, &after.user),
                (&before.0.id, &before.0.title, &before.0.user)
            );
            assert_eq!((&after.state, &after.metadata), (&before.0.state, &before.0.metadata));
            assert_eq!((&after.system, &after.settings), (&before.0.system, &before.0.settings));
            let mut expected = before.1;
            if format == Format::JsonLines {
                expected[1].2 = expected[1].2.replace('\n', " ");
            }
            assert_eq!(bytes(&contexts, "s").await, expected, "{format:?}");
            contexts.delete(&key("s")).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn requests_of_every_api_go_round() {
    for format in [Format::Anthropic, Format::OpenAiChat, Format::OpenAiResponses] {
        both(async |contexts| {
            sample(&contexts).await;
            let first = contexts.export(&key("s"), format).await.unwrap().text;
            let made = round(&contexts, format).await;
            assert_eq!(made.system.as_deref(), Some("be brief"), "{format:?}");
            assert_eq!(made.metadata["imported_model"], "claude-opus-5-5");
            // What is written of what was read is what was read.
            let again = contexts.export(&key(&made.id), format).await.unwrap().text;
            let shape = |text: &str| {
                let mut value: Value = serde_json::from_str(text).unwrap();
                for name in ["model", "max_tokens"] {
                    value.as_object_mut().unwrap().shift_remove(name);
                }
                value
            };
            assert_eq!(shape(&again), shape(&first), "{format:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn anthropic_messages_keep_their_bytes() {
    both(async |contexts| {
        let request = format!(
            "{{\"system\":\"s\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}},\
             {{\"role\":\"assistant\",\"content\":{CALL}}},\
             {{\"role\":\"user\",\"content\":{RESULT}}}]}}"
        );
        let parcel = read_document(&request, Some(Format::Anthropic)).unwrap();
        let made = contexts.import(LOCAL, parcel).await.unwrap().remove(0);
        let stored = bytes(&contexts, &made.id).await;
        assert_eq!(stored[1].2, CALL);
        assert_eq!(stored[2].2, RESULT);
        let written = contexts.export(&key(&made.id), Format::Anthropic).await.unwrap().text;
        assert!(written.contains(CALL) && written.contains(RESULT), "{written}");
    })
    .await;
}

fn node(id: &str, parent: Option<&str>, said: Option<(&str, &str)>) -> (String, Value) {
    let message = said.map(|(role, text)| {
        json!({"id": id, "author": {"role": role}, "create_time": 1.5,
               "content": {"content_type": "text", "parts": [text]},
               "metadata": {"model_slug": "gpt-x"}})
    });
    (id.to_owned(), json!({"id": id, "message": message, "parent": parent, "children": []}))
}

#[tokio::test]
async fn a_tree_of_chatgpt_becomes_a_context_and_forks() {
    both(async |contexts| {
        let nodes = [
            node("root", None, None),
            node("sys", Some("root"), Some(("system", ""))),
            node("q1", Some("sys"), Some(("user", "one"))),
            node("a1", Some("q1"), Some(("assistant", "first answer"))),
            node("a1b", Some("q1"), Some(("assistant", "another answer"))),
            node("q2", Some("a1b"), Some(("user", "two"))),
            node("a2", Some("q2"), Some(("assistant", "end"))),
            node("q2b", Some("a1b"), Some(("user", "or two?"))),
        ];
        let mapping: serde_json::Map<String, Value> = nodes.into_iter().collect();
        let export = json!([{"title": "Trip", "create_time": 1.0, "current_node": "a2",
                             "conversation_id": "abc", "mapping": mapping}]);
        let parcel = read_document(&export.to_string(), None).unwrap();
        assert_eq!(parcel.left_out, 0);
        let made = contexts.import(LOCAL, parcel).await.unwrap();
        assert_eq!(made.len(), 3);
        let logs = [
            texts(&all(&contexts, &made[0].id).await),
            texts(&all(&contexts, &made[1].id).await),
            texts(&all(&contexts, &made[2].id).await),
        ];
        assert_eq!(logs[0], ["one", "another answer", "two", "end"]);
        assert_eq!(logs[1], ["one", "first answer"]);
        assert_eq!(logs[2], ["one", "another answer", "or two?"]);
        assert_eq!(made[1].fork, Some((std::sync::Arc::clone(&made[0].id), 1)));
        assert_eq!(made[2].fork.as_ref().unwrap().1, 2);
        assert_eq!(made[0].title.as_deref(), Some("Trip"));
        let first = contexts.get(&key(&made[0].id)).await.unwrap();
        assert_eq!(first.metadata["imported_id"], "abc");
        let fork = contexts.get(&key(&made[1].id)).await.unwrap();
        assert_eq!((fork.parent.as_deref(), fork.fork_seq), (Some(&*made[0].id), Some(1)));
        let answer = contexts.entry(&key(&made[0].id), 2).await.unwrap();
        assert_eq!(answer.model.as_deref(), Some("gpt-x"));
        assert_eq!(answer.meta["chatgpt"]["create_time"], 1.5);
    })
    .await;
}

#[tokio::test]
async fn an_export_of_claude_becomes_contexts() {
    both(async |contexts| {
        let message = |uuid: &str, sender: &str, text: &str, parent: Option<&str>| {
            let mut out = json!({"uuid": uuid, "sender": sender, "text": text, "attachments": [],
                "content": [{"type": "text", "text": text}], "created_at": "2026-01-01T00:00:00Z"});
            if let Some(parent) = parent {
                out["parent_message_uuid"] = parent.into();
            }
            out
        };
        let plain = json!({"uuid": "c1", "name": "", "chat_messages": [
            message("1", "human", "hello", None), message("2", "assistant", "hi", None)]});
        let tree = json!({"uuid": "c2", "name": "Tree", "chat_messages": [
            message("1", "human", "hello", Some("0000")),
            message("2", "assistant", "hi", Some("1")),
            message("3", "assistant", "good day", Some("1"))]});
        let parcel = read_document(&json!([plain, tree]).to_string(), None).unwrap();
        let made = contexts.import(LOCAL, parcel).await.unwrap();
        assert_eq!(made.len(), 3);
        assert_eq!(texts(&all(&contexts, &made[0].id).await), ["hello", "hi"]);
        assert_eq!(texts(&all(&contexts, &made[1].id).await), ["hello", "good day"]);
        assert_eq!(texts(&all(&contexts, &made[2].id).await), ["hello", "hi"]);
        assert_eq!(made[2].fork.as_ref().unwrap().1, 1);
    })
    .await;
}

#[tokio::test]
async fn an_import_is_whole_or_absent_and_wrong_documents_say_why() {
    both(async |contexts| {
        for (document, part) in [
            ("", "not JSON"),
            ("[]", "an empty list"),
            ("{}", "no format known"),
            (r#"{"format":"rapport.context/9"}"#, "`rapport.context/9`"),
            (
                r#"{"format":"rapport.context/1","context":{},
                 "messages":[{"role":"x","content":"a"}]}"#,
                "message 1",
            ),
            (r#"{"messages":[{"role":"user","content":5}]}"#, "content"),
        ] {
            let fault = read_document(document, None).unwrap_err();
            assert!(fault.text().contains(part), "{document}: {}", fault.text());
        }
        sample(&contexts).await;
        let document = contexts.export(&key("s"), Format::Rapport).await.unwrap().text;
        let mut parcel = read_document(&document, None).unwrap();
        let mut fresh = parcel.items[0].clone();
        fresh.new.id = Some("fresh".to_owned());
        parcel.items.insert(0, fresh);
        refused(contexts.import(LOCAL, parcel).await, Code::Conflict);
        refused(contexts.get(&key("fresh")).await, Code::ContextNotFound);
        refused(contexts.export(&key("s"), Format::ChatGpt).await, Code::InvalidInput);
    })
    .await;
}
