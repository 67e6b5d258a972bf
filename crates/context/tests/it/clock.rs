//! Clocks that jump: what was written by a wrong clock stands in the right order, and lives on.

use std::time::Duration;

use context::{Changes, Contexts, Edit, Filter, Moment, New, NewNote, NoteKind, StateEdit};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use storage::{Durability, Stored as _};
use wire::Code;

use crate::{LOCAL, all, both, echo, key, map, refused, turn, with_state};

const DAY: i64 = 86_400 * 1_000_000;

/// Moves every time that the store holds: as if another clock had written it.
async fn written_by_a_clock(contexts: &Contexts, ahead: i64) {
    let jobs = [
        "UPDATE ctx SET created = created + ?1, updated = updated + ?1, expires = expires + ?1",
        "UPDATE entry SET at = at + ?1",
        "UPDATE note SET at = at + ?1, expires = expires + ?1",
        "UPDATE state_change SET at = at + ?1",
        "UPDATE epoch SET at = at + ?1",
    ];
    contexts
        .database()
        .write(Durability::Group, move |connection| {
            for sql in jobs {
                connection.execute(sql, [ahead]).stored()?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

fn living(id: &str, idle: u64) -> New {
    let idle_for = Some(Duration::from_secs(idle));
    New { id: Some(id.to_owned()), idle_for, ..New::default() }
}

#[tokio::test]
async fn a_clock_that_went_back_disorders_nothing() {
    both(async |contexts| {
        contexts.create(LOCAL, living("a", 3600)).await.unwrap();
        for n in 0..3 {
            let state = format!(r#"{{"n":{n}}}"#);
            echo(&contexts, with_state(turn("a", "before"), &state)).await.unwrap();
        }
        // Those were written by a clock a day ahead; now it is right again.
        written_by_a_clock(&contexts, DAY).await;
        let wrong = contexts.get(&key("a")).await.unwrap();
        echo(&contexts, with_state(turn("a", "after"), r#"{"n":3}"#)).await.unwrap();
        let log = all(&contexts, "a").await;
        assert!(log.windows(2).all(|pair| pair[0].at <= pair[1].at), "messages keep their order");
        let now = contexts.get(&key("a")).await.unwrap();
        assert!(now.last_updated >= wrong.last_updated);
        assert_eq!(now.created_at, wrong.created_at);
        assert!(now.expires_at >= wrong.expires_at, "a use never shortens a life");
        for (seq, n) in [(1, 0), (4, 1), (6, 2), (7, 3)] {
            let seen = contexts.state_at(&key("a"), Moment::Seq(seq)).await.unwrap();
            assert_eq!(seen["n"], n, "message {seq}");
        }
        let patch = Some(StateEdit::MergePatch(map(r#"{"n":4}"#)));
        contexts.edit(&key("a"), Edit { state: patch, ..Edit::default() }, None).await.unwrap();
        assert_eq!(contexts.state_changes(&key("a"), None, 0).await.unwrap().items[0].number, 5);
        // A list by the last change still shows everything, page by page.
        contexts.create(LOCAL, living("b", 3600)).await.unwrap();
        let mut cursor = None;
        let mut seen = Vec::new();
        loop {
            let filter = Filter { limit: 1, cursor, ..Filter::default() };
            let page = contexts.list(LOCAL, filter).await.unwrap();
            seen.extend(page.items.iter().map(|found| found.id.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b"]);
        assert!(contexts.check_changes(LOCAL).await.unwrap().broken.is_none());
        assert!(!contexts.changes(LOCAL, Changes::default()).await.unwrap().items.is_empty());
        assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_was_behind_lets_live_what_is_used_and_ends_what_is_not() {
    both(async |contexts| {
        contexts.create(LOCAL, living("used", 7200)).await.unwrap();
        contexts.create(LOCAL, living("idle", 7200)).await.unwrap();
        let note = |seconds| NewNote {
            kind: NoteKind::Fact,
            name: None,
            value: json!("it holds"),
            expires_in: Some(Duration::from_secs(seconds)),
        };
        contexts.note(&key("used"), note(60)).await.unwrap();
        // An hour passes at once: the clock was behind.
        written_by_a_clock(&contexts, -3_600_000_000).await;
        assert!(contexts.notes(&key("used")).await.unwrap().is_empty(), "the fact is over");
        echo(&contexts, turn("used", "still here")).await.unwrap();
        // And another one and a half.
        let later = Timestamp::now() + SignedDuration::from_mins(90);
        assert_eq!(contexts.sweep(later).await.unwrap(), 1);
        refused(contexts.get(&key("idle")).await, Code::ContextExpired);
        assert_eq!(contexts.get(&key("used")).await.unwrap().size.messages, 2);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_by_a_clock_in_the_past_removes_nothing() {
    both(async |contexts| {
        contexts.create(LOCAL, living("a", 1)).await.unwrap();
        let past = Timestamp::now() - SignedDuration::from_hours(24 * 365);
        assert_eq!(contexts.sweep(past).await.unwrap(), 0);
        assert_eq!(contexts.sweep(Timestamp::MIN).await.unwrap(), 0);
        let future = Timestamp::now() + SignedDuration::from_secs(5);
        assert_eq!(contexts.sweep(future).await.unwrap(), 1);
        refused(contexts.get(&key("a")).await, Code::ContextExpired);
    })
    .await;
}
