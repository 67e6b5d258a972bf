//! Stores of every earlier version of the tables, opened by this one.

use context::{Budget, Contexts, Edit, Filter, Limits, Moment, New, Slice, Sort, StateEdit};
use storage::rusqlite::{Connection, params};
use storage::{Database, Durability, Place, Schema, Stored as _};
use wire::Fault;

use crate::{LOCAL, all, echo, key, texts, turn};

/// The versions before there was an index of words; the next one puts all logs into it.
const SEARCHED: usize = 3;

/// What the oldest version wrote: a context of two turns, the second of which has failed.
fn fill(connection: &Connection) -> Result<(), Fault> {
    let sql =
        "INSERT INTO ctx(n, tenant, id, title, user, status, created, updated, revision, head,
                 turns, bytes, cum, start_seq, safe_seq, turn_seq, open_tools, scale)
               VALUES (1, 0, 'old', 'An old one', 'ada', 0, 1000, 4000, 5, 3, 2, ?1, 14, 1, 3, 3,
                 0, 1000)";
    let said = ["the violin of the harbour", "it is old", "and who plays it"];
    let bytes = i64::try_from(said.concat().len()).unwrap();
    connection.execute(sql, [bytes]).stored()?;
    let state = "INSERT INTO ctx_state VALUES (1, '{\"b\":1,\"a\":2}')";
    storage::prepare_insert(connection, state)?.execute([]).stored()?;
    let doc = "INSERT INTO ctx_doc VALUES (1, 'be brief', '{\"temperature\":0.5}', '{\"x\":1}')";
    storage::prepare_insert(connection, doc)?.execute([]).stored()?;
    let sql = "INSERT INTO entry(k, role, status, safe, tok, cum, at, hash, model, meta, body)
               VALUES (?1, ?2, ?3, ?4, 7, ?5, ?6, ?7, NULL, NULL, ?8)";
    let rows = [(1, 0, 1, 7), (2, 0, 1, 14), (1, 1, 1, 14)];
    for (at, ((role, status, safe, cum), text)) in rows.into_iter().zip(said).enumerate() {
        let body = text.as_bytes();
        let digest = blake3::hash(body);
        let hash = i64::from_le_bytes(*digest.as_bytes().first_chunk().unwrap());
        let seq = i64::try_from(at).unwrap() + 1;
        let values = params![(1_i64 << 32) + seq, role, status, safe, cum, seq * 1000, hash, body];
        connection.execute(sql, values).stored()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_store_of_every_earlier_version_opens_and_goes_on() {
    for steps in 1..=context::SCHEMA.steps.len() {
        let folder = tempfile::tempdir().unwrap();
        let place = || Place::Folder(folder.path().to_path_buf());
        let schema = Schema { steps: context::SCHEMA.steps.split_at(steps).0, ..context::SCHEMA };
        let before: &'static [&'static Schema] = Box::leak(Box::new([&*Box::leak(schema.into())]));
        let old = Database::open(place(), before).await.unwrap();
        old.write(Durability::Group, fill).await.unwrap();
        if steps > SEARCHED {
            // From then on every message notes that the index does not have it.
            let note = |c: &Connection| {
                c.execute("INSERT INTO unindexed VALUES (1, 1)", []).map(drop).stored()
            };
            old.write(Durability::Group, note).await.unwrap();
        }
        old.close().await.unwrap();

        let new = Database::open(place(), &[&context::SCHEMA]).await.unwrap();
        let backups = std::fs::read_dir(folder.path().join("backups")).map_or(0, Iterator::count);
        let changed = steps < context::SCHEMA.steps.len();
        assert_eq!(backups, usize::from(changed), "{steps} steps: a backup before a migration");
        let contexts = Contexts::open(new, Limits::default()).await.unwrap();
        Box::pin(used(&contexts, steps)).await;
        let report = contexts.verify(|_, _| {}).await.unwrap();
        assert!(report.is_sound(), "{steps} steps: {report:?}");
        contexts.database().close().await.unwrap();
    }
}

/// Everything that later versions added works on what the old one left.
#[expect(clippy::indexing_slicing, reason = "a test may end by a panic")]
async fn used(contexts: &Contexts, steps: usize) {
    let found = contexts.get(&key("old")).await.unwrap();
    assert_eq!((found.title.as_deref(), found.user.as_deref()), (Some("An old one"), Some("ada")));
    assert_eq!((found.system.as_deref(), found.revision), (Some("be brief"), 5), "{steps} steps");
    assert_eq!(serde_json::to_string(&found.state).unwrap(), r#"{"b":1,"a":2}"#);
    let said = texts(&all(contexts, "old").await);
    assert_eq!(said, ["the violin of the harbour", "it is old", "and who plays it"]);

    let again = contexts.reopen(&key("old")).await.unwrap();
    contexts.finish(&again, crate::outcome(crate::text("nobody"))).await.unwrap();
    echo(contexts, turn("old", "a new question")).await.unwrap();
    let window = contexts.window(&key("old"), Budget { tokens: 10_000 }).await.unwrap();
    assert_eq!(window.entries.len(), 6, "{steps} steps");
    let fork = New { id: Some("fork".to_owned()), ..New::default() };
    contexts.fork(&key("old"), Some(2), fork).await.unwrap();
    echo(contexts, turn("fork", "another way")).await.unwrap();
    let slice = Slice { last: Some(3), ..Slice::default() };
    let newest = contexts.messages(&key("fork"), slice).await.unwrap();
    assert_eq!(texts(&newest.items)[..2], ["it is old", "another way"]);
    contexts.rollback(&key("old"), context::To::Seq(2), None).await.unwrap();
    assert_eq!(all(contexts, "old").await.len(), 2);

    let hits = contexts.search(LOCAL, "violin", 5).await.unwrap();
    assert_eq!(hits[0].seq, 1, "{steps} steps: what is old is found");
    let patch = Some(StateEdit::MergePatch(crate::map(r#"{"a":null}"#)));
    let edit = Edit { state: patch, ..Edit::default() };
    contexts.edit(&key("old"), edit, None).await.unwrap();
    let kept = contexts.state_at(&key("old"), Moment::Change(1)).await.unwrap();
    assert_eq!(kept["a"], 2, "{steps} steps: what was there before changes were kept");
    for sort in [Sort::Updated, Sort::Created, Sort::Size] {
        let filter = Filter { sort, user: Some("ada".to_owned()), ..Filter::default() };
        let page = contexts.list(LOCAL, filter).await.unwrap();
        assert_eq!(page.items.len(), 2, "{steps} steps");
    }
}
