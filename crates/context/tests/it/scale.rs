//! A long context does everything that a short one does. How fast: `benches/large.rs`.

use context::{Budget, Filter, Format, New, Slice, Sort};
use storage::Stored as _;
use storage::rusqlite::Connection;
use wire::Code;
use wire::prompt::Role;

use crate::{LOCAL, both, echo, key, refused, said, text, turn};

/// Messages of the long context: far more than any page, window or slice holds.
const LONG: usize = 12_000;

#[tokio::test]
async fn a_long_context_is_appended_to_cut_forked_written_found_and_deleted() {
    both(async |contexts| {
        contexts.create(LOCAL, New { id: Some("c".to_owned()), ..New::default() }).await.unwrap();
        for from in (0..LONG).step_by(500) {
            let entries = (from..from + 500)
                .map(|n| {
                    let role = if n % 2 == 0 { Role::User } else { Role::Assistant };
                    said(role, text(&format!("about harbours, rare{n}")))
                })
                .collect();
            contexts.append(&key("c"), entries, None, None).await.unwrap();
        }
        echo(&contexts, turn("c", "and now?")).await.unwrap();
        let window = contexts.window(&key("c"), Budget { tokens: 1_000 }).await.unwrap();
        assert!(window.entries.len() < 200, "{} entries", window.entries.len());
        assert!(window.entries.iter().any(|entry| entry.content.plain() == "and now?"));

        let size = |c: &Connection| {
            c.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0)).stored()
        };
        let before = contexts.database().read(size).await.unwrap();
        let fork = New { id: Some("f".to_owned()), ..New::default() };
        let fork = contexts.fork(&key("c"), Some(9_000), fork).await.unwrap();
        assert_eq!(fork.size.messages, 9_000);
        assert_eq!(contexts.database().read(size).await.unwrap(), before, "nothing is copied");

        let mut export = contexts.exporting(&key("c"), Format::JsonLines).await.unwrap();
        let (mut lines, mut most) = (0, 0);
        while let Some(part) = export.next().await.unwrap() {
            lines += part.lines().count();
            most = most.max(part.len());
        }
        assert_eq!(lines, LONG + 2 + 1);
        assert!(most < 500_000, "{most} bytes at once");

        // The index follows in the background; a search puts a part of what waits into it.
        let mut hits = Vec::new();
        for _ in 0..10 {
            hits = contexts.search(LOCAL, "rare11999", 5).await.unwrap();
        }
        assert_eq!(hits.iter().map(|hit| hit.seq).collect::<Vec<_>>(), [12_000]);

        contexts.delete(&key("c")).await.unwrap();
        refused(contexts.get(&key("c")).await, Code::ContextNotFound);
        // What the fork shares is still there; the rest is gone.
        let slice = Slice { limit: 1, newest_first: true, ..Slice::default() };
        let newest = contexts.messages(&key("f"), slice).await.unwrap();
        assert_eq!(newest.items[0].content.plain(), "about harbours, rare8999");
        contexts.delete(&key("f")).await.unwrap();
        assert_eq!(contexts.database().read(size).await.unwrap(), 0);
        assert_eq!(contexts.counts().await.messages, 0);
    })
    .await;
}

#[tokio::test]
async fn pages_of_large_messages_end_early_and_lose_none() {
    both(async |contexts| {
        contexts.create(LOCAL, New { id: Some("c".to_owned()), ..New::default() }).await.unwrap();
        for n in 0..7 {
            let long = format!("{n}{}", "x".repeat(10_000_000));
            let entry = vec![said(Role::User, text(&long))];
            contexts.append(&key("c"), entry, None, None).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let slice = Slice { limit: 500, after, ..Slice::default() };
            let page = contexts.messages(&key("c"), slice).await.unwrap();
            assert!((1..=4).contains(&page.items.len()), "{} at once", page.items.len());
            seen.extend(page.items.iter().map(|entry| entry.seq));
            match page.next {
                Some(next) => after = Some(next.parse().unwrap()),
                None => break,
            }
        }
        assert_eq!(seen, (1..=7).collect::<Vec<u32>>());
    })
    .await;
}

#[tokio::test]
async fn every_order_of_the_list_goes_on_page_by_page() {
    both(async |contexts| {
        for n in 0..45_u32 {
            let user = Some(format!("u{}", n % 3));
            let new = New { id: Some(format!("c{n:02}")), user, ..New::default() };
            contexts.create(LOCAL, new).await.unwrap();
            if n % 5 == 0 {
                let size = usize::try_from(n).unwrap() + 1;
                let entry = vec![said(Role::User, text(&"x".repeat(size)))];
                contexts.append(&key(&format!("c{n:02}")), entry, None, None).await.unwrap();
            }
            if n % 9 == 0 {
                contexts.close(&key(&format!("c{n:02}"))).await.unwrap();
            }
        }
        let any = Filter::default;
        let user = Some("u1".to_owned());
        let closed = Some(context::Status::Closed);
        let prefix = Some("c1".to_owned());
        for (filter, count) in [
            (any(), 45),
            (Filter { sort: Sort::Created, ascending: true, ..any() }, 45),
            (Filter { sort: Sort::Size, ..any() }, 45),
            (Filter { user: user.clone(), ..any() }, 15),
            (Filter { user, sort: Sort::Size, ascending: true, ..any() }, 15),
            (Filter { status: closed, ..any() }, 5),
            (Filter { status: closed, sort: Sort::Created, ..any() }, 5),
            (Filter { id_prefix: prefix, sort: Sort::Created, ..any() }, 10),
        ] {
            let mut ids = Vec::new();
            let mut cursor = None;
            loop {
                let page = Filter { limit: 4, cursor, ..filter.clone() };
                let page = contexts.list(LOCAL, page).await.unwrap();
                ids.extend(page.items.iter().map(|context| context.id.to_string()));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            let all = contexts.list(LOCAL, Filter { limit: 500, ..filter.clone() }).await.unwrap();
            let whole: Vec<String> = all.items.iter().map(|c| c.id.to_string()).collect();
            assert_eq!(ids, whole, "{filter:?}");
            assert_eq!(ids.len(), count, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn of_words_that_are_everywhere_the_newest_messages_are_ranked_and_rare_ones_always_found() {
    both(async |contexts| {
        contexts.create(LOCAL, New { id: Some("c".to_owned()), ..New::default() }).await.unwrap();
        let other = context::Key::new(context::Tenant(7), "theirs").unwrap();
        contexts
            .create(other.tenant, New { id: Some("theirs".to_owned()), ..New::default() })
            .await
            .unwrap();
        let theirs = vec![said(Role::User, text("a harbour of theirs"))];
        contexts.append(&other, theirs, None, None).await.unwrap();
        for from in (1..=2_500).step_by(500) {
            let entries = (from..from + 500)
                .map(|n| match n {
                    3 => text("harbour harbour harbour: the oldest says it best"),
                    5 => text("the harbours of Zanzibar, and Zanzibar itself"),
                    9 => text("Zanzibar is a harbour, they say, among much else that they say"),
                    2_100 => text("harbour by harbour, harbours"),
                    _ => text("a day on which the harbour lay as quiet as on all other days"),
                })
                .map(|content| said(Role::User, content))
                .collect();
            contexts.append(&key("c"), entries, None, None).await.unwrap();
        }
        let seqs = async |words: &str| {
            let hits = contexts.search(LOCAL, words, 100).await.unwrap();
            hits.iter().map(|hit| hit.seq).collect::<Vec<_>>()
        };
        let common = seqs("harbour").await;
        assert_eq!((common.len(), common[0], common[1]), (100, 2_100, 2_500));
        assert!(!common.contains(&3), "only the newest are looked at");
        // A rare word is found wherever it is, alone and beside a common one.
        assert_eq!(seqs("zanzibar").await, [5, 9]);
        assert_eq!(seqs("harbour zanzibar").await, [5, 9]);
        assert!(seqs("harbour zeppelin").await.is_empty());
        // What is common elsewhere hides nobody's own messages.
        let found = contexts.search(other.tenant, "harbour", 10).await.unwrap();
        assert_eq!(found.iter().map(|hit| &*hit.context).collect::<Vec<_>>(), ["theirs"]);
        assert!(contexts.search(other.tenant, "zanzibar", 10).await.unwrap().is_empty());
    })
    .await;
}
