//! Documents of any size: read and written piece by piece, whole or absent, honest about the rest.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;

use context::{
    Contexts, Filter, Format, ImportOrder, New, NewNote, NoteKind, Piece, Reading, Settings,
    StateEdit, Status, Tally, read_document, read_from,
};
use serde_json::{Value, json};
use storage::{Database, Place};
use wire::prompt::Role;
use wire::{Code, Fault};

use crate::{LOCAL, SCHEMAS, all, both, key, map, open, raw, reason, refused, said, text, texts};

/// A document that is made while it is read.
struct Endless {
    parts: Box<dyn Iterator<Item = String>>,
    part: Vec<u8>,
    at: usize,
    read: Rc<Cell<usize>>,
}

impl Endless {
    fn new(parts: impl Iterator<Item = String> + 'static) -> (Self, Rc<Cell<usize>>) {
        let read = Rc::new(Cell::new(0));
        let parts = Box::new(parts);
        (Self { parts, part: Vec::new(), at: 0, read: Rc::clone(&read) }, read)
    }
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.part.len() {
            let Some(next) = self.parts.next() else { return Ok(0) };
            (self.part, self.at) = (next.into_bytes(), 0);
        }
        let count =
            self.part.iter().skip(self.at).zip(buffer).map(|(from, to)| *to = *from).count();
        self.at += count;
        self.read.set(self.read.get() + count);
        Ok(count)
    }
}

/// Reads a document and hands every piece to `see`.
fn reads(
    from: impl Read,
    format: Option<Format>,
    skip_broken: bool,
    mut see: impl FnMut(&Piece),
) -> Result<Tally, Fault> {
    read_from(from, Reading { format, skip_broken }, &mut |piece| {
        see(&piece);
        Ok(())
    })
}

fn bytes_of(piece: &Piece) -> usize {
    match piece {
        Piece::Messages(messages) => messages.iter().map(|m| m.content.stored().len()).sum(),
        Piece::Begin(_) | Piece::End(_) => 0,
    }
}

#[test]
fn a_document_is_never_held_whole() {
    const COUNT: usize = 180;
    let long = "x".repeat(100_000);
    let messages = move |at: usize| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": long}).to_string()
    };
    let ours = json!({"format": "rapport.context/1", "context": {}}).to_string();
    let begin = ours.trim_end_matches('}').to_owned() + "},\"messages\":[";
    let (one, two, three) = (messages.clone(), messages.clone(), messages);
    let comma = |at: usize| if at == 0 { "" } else { "," };
    let list = move |start: String, of: Box<dyn Fn(usize) -> String>, end: &'static str| {
        let middle = (0..COUNT).map(move |at| format!("{}{}", comma(at), of(at)));
        Endless::new(std::iter::once(start).chain(middle).chain(std::iter::once(end.to_owned())))
    };
    let lines = (0..COUNT).map(move |at| format!("{}\n", three(at)));
    for (name, (document, read)) in [
        ("rapport", list(begin, Box::new(one), "]}")),
        ("anthropic", list("{\"messages\":[".to_owned(), Box::new(two), "]}")),
        ("jsonl", Endless::new(std::iter::once(format!("{ours}\n")).chain(lines))),
    ] {
        let mut taken = 0;
        let tally = reads(document, None, false, |piece| {
            let bytes = bytes_of(piece);
            assert!(bytes <= 5_000_000, "{name}: {bytes} bytes at once");
            taken += bytes;
            // What was looked at to find the format out, and two parts.
            let held = read.get() - taken;
            assert!(held < 14_000_000, "{name}: {held} bytes are held");
        });
        let tally = tally.unwrap();
        assert_eq!((tally.contexts, tally.messages), (1, COUNT as u64), "{name}");
        assert_eq!(tally.format.map(Format::as_str), Some(name));
    }
}

#[test]
fn a_piece_that_does_not_end_is_given_up() {
    let start = json!({"format": "rapport.context/1", "context": {}}).to_string() + "\n";
    let block = "x".repeat(1_000_000);
    let parts = [start, "{\"role\":\"user\",\"content\":\"".to_owned()].into_iter();
    let (document, read) = Endless::new(parts.chain(std::iter::repeat(block)));
    let fault = reads(document, Some(Format::JsonLines), true, |_| {}).unwrap_err();
    assert_eq!(fault.code(), Code::PayloadTooLarge, "{fault:?}");
    assert!(read.get() < 80_000_000, "{} bytes were read", read.get());
}

const LINES: &str = "{\"format\":\"rapport.context/1\",\"context\":{\"id\":\"l\"}}
{\"role\":\"user\",\"content\":\"one\"}

{\"role\":\"user\",\"content\":\"cut
{\"role\":\"nobody\",\"content\":\"two\"}
{\"role\":\"assistant\",\"content\":\"three\"}
";

#[test]
fn broken_lines_are_named_or_left_out_by_wish() {
    let fault = reads(LINES.as_bytes(), None, false, |_| {}).unwrap_err();
    assert!(fault.text().starts_with("line 4 of the document"), "{}", fault.text());
    assert_eq!(fault.detail_values().unwrap()["place"], "line 4");
    let mut kept = Vec::new();
    let tally = reads(LINES.as_bytes(), None, true, |piece| {
        if let Piece::Messages(messages) = piece {
            kept.extend(messages.iter().map(|m| m.content.plain().into_owned()));
        }
    });
    let tally = tally.unwrap();
    assert_eq!(kept, ["one", "three"]);
    let places: Vec<&str> = tally.broken.iter().map(|broken| broken.place.as_str()).collect();
    assert_eq!((tally.skipped, places), (2, vec!["line 4", "line 5"]));
    assert!(tally.broken[1].why.contains("`nobody` is no role"), "{:?}", tally.broken);

    let request = json!({"tools": [], "messages": [
        {"role": "user", "content": "one"}, {"role": "user", "content": 7},
        {"role": "assistant", "content": "three"}]});
    let request = request.to_string();
    let fault = reads(request.as_bytes(), None, false, |_| {}).unwrap_err();
    assert_eq!(fault.detail_values().unwrap()["place"], "message 2", "{fault:?}");
    let tally = reads(request.as_bytes(), None, true, |_| {}).unwrap();
    assert_eq!((tally.messages, tally.skipped), (2, 1));
    assert!(tally.dropped.contains("tools"), "{tally:?}");

    let trees = json!([{"mapping": {}, "title": 5}, {"mapping": {}, "title": "good"}]).to_string();
    let tally = reads(trees.as_bytes(), None, true, |_| {}).unwrap();
    assert_eq!(tally.broken[0].place, "conversation 1");
}

#[test]
fn whole_documents_one_after_the_other_keep_their_messages() {
    let one = |id: &str| {
        json!({"format": "rapport.context/1", "context": {"id": id},
               "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]})
        .to_string()
    };
    for between in ["", "\n", "\n\n  "] {
        let file = format!("{}{between}{}", one("x"), one("y"));
        let mut messages = 0;
        let tally = reads(file.as_bytes(), None, false, |piece| {
            if let Piece::Messages(more) = piece {
                messages += more.len();
            }
        });
        assert!(tally.is_ok(), "{between:?}: {tally:?}");
        assert_eq!(messages, 4, "{between:?}");
    }
    let lines = format!("{}\n{}\n", one("x"), one("y"));
    let fault = reads(lines.as_bytes(), Some(Format::JsonLines), false, |_| {}).unwrap_err();
    assert!(fault.text().contains("line 1 is a whole document"), "{fault}");
}

#[test]
fn a_document_that_ends_early_is_none() {
    for format in ["rapport", "jsonl", "anthropic", "chatgpt"] {
        let whole = match format {
            "jsonl" => LINES.lines().take(2).collect::<Vec<_>>().join("\n"),
            "rapport" => json!({"format": "rapport.context/1", "context": {},
                       "messages": [{"role": "user", "content": "one"}]})
            .to_string(),
            "anthropic" => json!({"messages": [{"role": "user", "content": "one"}]}).to_string(),
            _ => json!([{"title": "x", "mapping": {"a": {"parent": null}}}]).to_string(),
        };
        assert!(reads(whole.as_bytes(), Format::parse(format), false, |_| {}).is_ok(), "{whole}");
        for end in (1..whole.len() - 1).filter(|end| whole.as_bytes()[*end] != b'\n') {
            let cut = whole.as_bytes().get(..end).unwrap();
            let first_line = whole.find('\n').unwrap_or(0);
            let is_line = (first_line..=first_line + 1).contains(&end);
            let result = reads(cut, Format::parse(format), false, |_| {});
            // Lines may end after any of them.
            assert!(result.is_err() || is_line, "{format}: {end} bytes of {whole}");
        }
    }
}

async fn noted(contexts: &Contexts) {
    let messages = (1..=6)
        .map(|n| {
            let role = if n % 2 == 1 { Role::User } else { Role::Assistant };
            said(role, text(&format!("message {n}")))
        })
        .collect();
    let state = map(r#"{"a":1}"#);
    let new = New { id: Some("n".to_owned()), state, messages, ..New::default() };
    contexts.create(LOCAL, new).await.unwrap();
    for (kind, name) in [(NoteKind::Fact, None), (NoteKind::Environment, Some("clock".to_owned()))]
    {
        let value = json!({"of": kind.as_str()});
        let note = NewNote { kind, name, value, expires_in: None };
        contexts.note(&key("n"), note).await.unwrap();
    }
    contexts.pin(&key("n"), 3, true).await.unwrap();
    contexts.pin(&key("n"), 5, true).await.unwrap();
}

#[tokio::test]
async fn notes_and_pins_go_round_and_what_has_no_place_is_named() {
    both(async |contexts| {
        for format in [Format::Rapport, Format::JsonLines] {
            noted(&contexts).await;
            let document = contexts.export(&key("n"), format).await.unwrap();
            assert!(document.left_out.is_empty(), "{:?}", document.left_out);
            contexts.delete(&key("n")).await.unwrap();
            let parcel = read_document(&document.text, None).unwrap();
            contexts.import(LOCAL, parcel).await.unwrap();
            assert_eq!(contexts.pins(&key("n")).await.unwrap(), [3, 5]);
            let notes = contexts.notes(&key("n")).await.unwrap();
            assert_eq!(notes.len(), 2);
            assert_eq!(
                (notes[1].kind, notes[1].name.as_deref()),
                (NoteKind::Environment, Some("clock"))
            );
            assert_eq!(notes[0].value, json!({"of": "fact"}));
            contexts.delete(&key("n")).await.unwrap();
        }
        noted(&contexts).await;
        contexts.checkpoint(&key("n"), "here", None).await.unwrap();
        let request = contexts.export(&key("n"), Format::OpenAiChat).await.unwrap();
        let left: Vec<(&str, u64)> = request.left_out.into_iter().collect();
        assert_eq!(left, [("checkpoints", 1), ("notes", 2), ("pins", 2), ("state", 1)]);
        let ours = contexts.export(&key("n"), Format::Rapport).await.unwrap();
        assert_eq!(ours.left_out.into_iter().collect::<Vec<_>>(), [("checkpoints", 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_context_without_a_model_goes_out_and_comes_back() {
    both(async |contexts| {
        for format in [Format::Anthropic, Format::OpenAiChat, Format::OpenAiResponses] {
            noted(&contexts).await;
            let document = contexts.export(&key("n"), format).await.unwrap();
            let written: Value = serde_json::from_str(&document.text).unwrap();
            assert_eq!(written.get("model"), None, "{format:?}");
            // Documents of earlier versions name an empty one.
            let old = document.text.replacen('{', "{\"model\":\"\",", 1);
            for text in [&document.text, &old] {
                let parcel = read_document(text, Some(format)).unwrap();
                let made = contexts.import(LOCAL, parcel).await.unwrap().remove(0);
                let expected: Vec<String> = (1..=6).map(|n| format!("message {n}")).collect();
                assert_eq!(texts(&all(&contexts, &made.id).await), expected, "{format:?}");
                let made = contexts.get(&key(&made.id)).await.unwrap();
                assert!(!made.metadata.contains_key("imported_model"), "{:?}", made.metadata);
            }
            contexts.delete(&key("n")).await.unwrap();
        }
    })
    .await;
}

/// A long conversation whose every third turn uses a tool, so that pages end in the middle of one.
fn with_tools(turns: usize) -> Vec<context::NewEntry> {
    let mut out = Vec::new();
    for n in 0..turns {
        out.push(said(Role::User, text(&format!("question {n}"))));
        if n % 3 == 0 {
            let call =
                json!([{"type": "tool_use", "id": format!("t{n}"), "name": "f", "input": {}}]);
            let result = json!([{"type": "tool_result", "tool_use_id": format!("t{n}"),
                                 "content": "r"}]);
            out.push(said(Role::Assistant, raw("anthropic", &call.to_string())));
            out.push(said(Role::User, raw("anthropic", &result.to_string())));
        }
        out.push(said(Role::Assistant, text(&format!("answer {n}"))));
    }
    out
}

#[tokio::test]
async fn a_request_that_is_written_in_parts_is_the_request_in_one() {
    both(async |contexts| {
        let messages = with_tools(450);
        let count = messages.len();
        let settings = Settings { model: Some("m".to_owned()), ..Settings::default() };
        let system = Some("be brief".to_owned());
        let new = New { id: Some("t".to_owned()), settings, system, messages, ..New::default() };
        contexts.create(LOCAL, new).await.unwrap();
        let entries = all(&contexts, "t").await;
        assert_eq!(entries.len(), count);
        for format in [Format::Anthropic, Format::OpenAiChat, Format::OpenAiResponses] {
            let mut export = contexts.exporting(&key("t"), format).await.unwrap();
            let before = export.dropped().await.unwrap();
            let (mut parts, mut written) = (0, String::new());
            while let Some(part) = export.next().await.unwrap() {
                written.push_str(&part);
                parts += 1;
            }
            assert!(parts > 2, "{format:?} came in {parts} parts");
            let prompt = wire::prompt::Prompt {
                model: "m".to_owned(),
                system: Some("be brief".to_owned()),
                messages: entries.iter().map(context::Entry::to_message).collect(),
                ..wire::prompt::Prompt::default()
            };
            let dialect = wire::dialect::named(format.as_str()).unwrap();
            let whole = dialect.render(&prompt, false);
            assert_eq!(before, whole.dropped);
            let shape = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
            assert!(shape(written.as_bytes()) == shape(&whole.body), "{format:?} differs");
            let parcel = read_document(&written, Some(format)).unwrap();
            let made = contexts.import(LOCAL, parcel).await.unwrap().remove(0);
            let again = contexts.export(&key(&made.id), format).await.unwrap().text;
            let inner = |text: &[u8]| {
                let value = shape(text);
                value.get("messages").or(value.get("input")).cloned().unwrap()
            };
            assert!(inner(again.as_bytes()) == inner(&whole.body), "{format:?} differs");
        }
    })
    .await;
}

/// An import that has got as far as this.
async fn begun(contexts: &Contexts) -> context::Import {
    let document = json!({"format": "rapport.context/1", "context": {"id": "i", "title": "t"},
                          "messages": [{"role": "user", "content": "violin"}]});
    let mut import = contexts.importing(LOCAL, ImportOrder::default()).unwrap();
    let mut pieces = Vec::new();
    read_from(document.to_string().as_bytes(), Reading::default(), &mut |piece| {
        pieces.push(piece);
        Ok(())
    })
    .unwrap();
    for piece in pieces {
        import.take(piece).await.unwrap();
    }
    import
}

#[tokio::test]
async fn nobody_sees_or_changes_what_is_being_imported() {
    both(async |contexts| {
        let import = begun(&contexts).await;
        let listed = contexts.list(LOCAL, Filter::default()).await.unwrap();
        assert_eq!(listed.items.len(), 0);
        let status = Some(Status::Importing);
        let listed = contexts.list(LOCAL, Filter { status, ..Filter::default() }).await.unwrap();
        assert_eq!(listed.items.len(), 1);
        assert!(contexts.search(LOCAL, "violin", 5).await.unwrap().is_empty());
        let message = vec![said(Role::User, text("mine"))];
        let fault = refused(contexts.append(&key("i"), message, None, None).await, Code::Conflict);
        assert_eq!(reason(&fault), "importing");
        let state = Some(StateEdit::Replace(map("{}")));
        let edit = context::Edit { state, ..context::Edit::default() };
        refused(contexts.edit(&key("i"), edit, None).await, Code::Conflict);
        refused(contexts.close(&key("i")).await, Code::Conflict);
        assert_eq!(import.so_far(), (1, 1));
        import.finish().await.unwrap();
        let found = contexts.get(&key("i")).await.unwrap();
        assert_eq!((found.status, found.title.as_deref()), (Status::Open, Some("t")));
        assert_eq!(contexts.search(LOCAL, "violin", 5).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_import_whose_context_is_deleted_fails_and_leaves_nothing() {
    both(async |contexts| {
        let import = begun(&contexts).await;
        contexts.delete(&key("i")).await.unwrap();
        refused(import.finish().await, Code::Conflict);
        let import = begun(&contexts).await;
        import.undo().await;
        refused(contexts.get(&key("i")).await, Code::ContextNotFound);
        let counts = contexts.counts().await;
        assert_eq!((counts.contexts, counts.messages, counts.bytes), (0, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_process_has_imported_in_part_is_gone_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("data");
    let contexts = open(&place).await;
    let import = begun(&contexts).await;
    // Nobody ends it, as after a kill.
    drop(import);
    contexts.database().close().await.unwrap();
    let db = Database::open(Place::Folder(place), SCHEMAS).await.unwrap();
    let contexts = Contexts::open(db, context::Limits::default()).await.unwrap();
    refused(contexts.get(&key("i")).await, Code::ContextNotFound);
    assert_eq!(contexts.counts().await.messages, 0);
    let report = contexts.verify(|_, _| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    begun(&contexts).await.finish().await.unwrap();
    contexts.database().close().await.unwrap();
}

#[tokio::test]
async fn a_dry_run_stores_nothing_and_finds_what_would_fail() {
    both(async |contexts| {
        let document = |id: &str| {
            let text = json!({"format": "rapport.context/1", "context": {"id": id},
                              "messages": [{"role": "user", "content": "hello"}]});
            read_document(&text.to_string(), None).unwrap()
        };
        contexts.import(LOCAL, document("there")).await.unwrap();
        let order = ImportOrder { dry_run: true, ..ImportOrder::default() };
        let mut import = contexts.importing(LOCAL, order.clone()).unwrap();
        let item = document("new").items.remove(0);
        let begin = context::Begin { new: item.new, fork: None };
        import.take(Piece::Begin(Box::new(begin.clone()))).await.unwrap();
        // The same id a second time.
        refused(import.take(Piece::Begin(Box::new(begin))).await, Code::Conflict);
        assert_eq!(import.finish().await.unwrap().len(), 1);
        refused(contexts.get(&key("new")).await, Code::ContextNotFound);
        let mut import = contexts.importing(LOCAL, order).unwrap();
        let item = document("there").items.remove(0);
        let begin = context::Begin { new: item.new, fork: None };
        refused(import.take(Piece::Begin(Box::new(begin))).await, Code::Conflict);
    })
    .await;
}

#[tokio::test]
async fn ids_are_chosen_or_new_and_only_some_imports_run_at_once() {
    both(async |contexts| {
        let begin = |id: &str| {
            let new = New { id: Some(id.to_owned()), ..New::default() };
            Piece::Begin(Box::new(context::Begin { new, fork: None }))
        };
        let order = ImportOrder { new_ids: true, ..ImportOrder::default() };
        let mut import = contexts.importing(LOCAL, order).unwrap();
        import.take(begin("a")).await.unwrap();
        assert_ne!(&*import.finish().await.unwrap()[0].id, "a");
        let order = ImportOrder { id: Some("chosen".to_owned()), ..ImportOrder::default() };
        let mut import = contexts.importing(LOCAL, order).unwrap();
        import.take(begin("a")).await.unwrap();
        refused(import.take(begin("b")).await, Code::InvalidInput);
        assert_eq!(&*import.finish().await.unwrap()[0].id, "chosen");
        let running: Vec<_> =
            (0..4).map(|_| contexts.importing(LOCAL, ImportOrder::default()).unwrap()).collect();
        refused(contexts.importing(LOCAL, ImportOrder::default()), Code::Overloaded);
        drop(running);
        assert!(contexts.importing(LOCAL, ImportOrder::default()).is_ok());
    })
    .await;
}
