//! The list by size follows sizes by an eighth, and stores from before it had that are taken over.

use context::{Contexts, Filter, Limits, Sort};
use storage::rusqlite::Connection;
use storage::{Database, Durability, Place, Schema, Stored as _};

use crate::{LOCAL, both, echo, turn, with_state};

/// The schema as it was before the list by size had a column of its own.
const BEFORE: Schema = Schema { steps: context::SCHEMA.steps.split_at(11).0, ..context::SCHEMA };

async fn by_size(contexts: &Contexts) -> Vec<(String, u64)> {
    let (mut out, mut cursor) = (Vec::new(), None);
    loop {
        let filter = Filter { sort: Sort::Size, limit: 3, cursor, ..Filter::default() };
        let page = contexts.list(LOCAL, filter).await.unwrap();
        out.extend(page.items.iter().map(|c| (c.id.to_string(), c.size.bytes)));
        cursor = page.next;
        if cursor.is_none() {
            return out;
        }
    }
}

#[tokio::test]
async fn the_order_is_that_of_the_sizes_but_for_an_eighth() {
    both(async |contexts| {
        for round in 0..40_usize {
            for n in 0..10_usize {
                let text = "x".repeat((n * 37 + round * 11) % 400);
                echo(&contexts, turn(&format!("c{n}"), &text)).await.unwrap();
            }
        }
        // One grows by a lot at once.
        echo(&contexts, turn("c4", &"y".repeat(100_000))).await.unwrap();
        let list = by_size(&contexts).await;
        let mut ids: Vec<&str> = list.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids[0], "c4");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10, "each once: {list:?}");
        for pair in list.windows(2) {
            assert!(pair[0].1 * 5 / 4 >= pair[1].1, "{list:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_of_contexts_with_long_states_ends_early_and_goes_on() {
    both(async |contexts| {
        // The last message is in the state, whatever its length.
        let long = "x".repeat(14 * 1024 * 1024);
        for n in 0..4 {
            echo(&contexts, with_state(turn(&format!("c{n}"), &long), "{}")).await.unwrap();
        }
        let first = contexts.list(LOCAL, Filter::default()).await.unwrap();
        assert_eq!(first.items.len(), 3);
        assert_eq!(first.items[0].state["last_message"], long.as_str());
        let filter = Filter { cursor: first.next, ..Filter::default() };
        let second = contexts.list(LOCAL, filter).await.unwrap();
        assert_eq!((second.items.len(), second.next), (1, None));
        assert!(first.items.iter().all(|context| context.id != second.items[0].id));
    })
    .await;
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_listed_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let place = || Place::Folder(folder.path().to_path_buf());
    let old = Database::open(place(), &[&BEFORE]).await.unwrap();
    let fill = |c: &Connection| {
        for (n, bytes) in [(1, 500), (2, 90_000), (3, 20)] {
            let sql = format!(
                "INSERT INTO ctx(tenant, id, status, created, updated, revision, head, turns, \
                 bytes, cum, start_seq, safe_seq, open_tools, scale)
                 VALUES (0, 'c{n}', 0, 1, {n}, 1, 0, 0, {bytes}, 0, 1, 0, 0, 1000)"
            );
            c.execute_batch(&sql).stored()?;
        }
        Ok(())
    };
    old.write(Durability::Group, fill).await.unwrap();
    old.close().await.unwrap();
    let new = Database::open(place(), &[&context::SCHEMA]).await.unwrap();
    let contexts = Contexts::open(new, Limits::default()).await.unwrap();
    let ids: Vec<String> = by_size(&contexts).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["c2", "c1", "c3"]);
    echo(&contexts, turn("c3", &"z".repeat(200_000))).await.unwrap();
    assert_eq!(by_size(&contexts).await[0].0, "c3");
    contexts.database().close().await.unwrap();
}
