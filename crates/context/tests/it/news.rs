//! Following a context, and living as long as it is used.

use std::time::Duration;

use context::{Contexts, Edit, Lifetime, New, Seen, To};
use jiff::{SignedDuration, Timestamp};
use wire::Code;
use wire::prompt::Role;

use crate::{LOCAL, begin, both, echo, key, outcome, refused, said, text, texts, turn};

async fn look(contexts: &Contexts, seen: &mut Seen) -> (Vec<String>, Option<u32>) {
    let news = contexts.news(&key("c"), *seen).await.unwrap();
    *seen = news.seen;
    (texts(&news.entries), news.back_to)
}

#[tokio::test]
async fn a_follower_is_told_everything_once_and_what_was_taken_back() {
    both(async |contexts| {
        echo(&contexts, turn("c", "one")).await.unwrap();
        let mut seen = Seen::upto(1);
        assert_eq!(look(&contexts, &mut seen).await, (vec!["you said: one".to_owned()], None));
        assert_eq!(look(&contexts, &mut seen).await, (vec![], None));
        // A question is told when its turn has ended.
        let open = begin(&contexts, turn("c", "two")).await;
        assert_eq!(look(&contexts, &mut seen).await, (vec![], None));
        contexts.finish(&open, outcome(text("answer"))).await.unwrap();
        let both = vec!["two".to_owned(), "answer".to_owned()];
        assert_eq!(look(&contexts, &mut seen).await, (both, None));
        contexts.rollback(&key("c"), To::Seq(2), None).await.unwrap();
        for message in ["three", "four", "five"] {
            let entry = vec![said(Role::User, text(message))];
            contexts.append(&key("c"), entry, None, None).await.unwrap();
        }
        let (told, back_to) = look(&contexts, &mut seen).await;
        assert_eq!((told.join(" "), back_to), ("three four five".to_owned(), Some(2)));
        let mut far = Seen::upto(99);
        assert_eq!(look(&contexts, &mut far).await, (vec![], Some(5)));
    })
    .await;
}

#[tokio::test]
async fn a_write_wakes_those_who_wait_for_one() {
    both(async |contexts| {
        let mut writes = contexts.writes();
        let waiting = async {
            writes.changed().await.unwrap();
            contexts.news(&key("c"), Seen::default()).await.unwrap().entries.len()
        };
        let (told, _) = tokio::join!(waiting, echo(&contexts, turn("c", "one")));
        assert_eq!(told, 2);
    })
    .await;
}

#[tokio::test]
async fn every_change_renews_an_idle_time_and_no_other() {
    both(async |contexts| {
        let hour = Some(Duration::from_secs(3600));
        let new = New { id: Some("c".to_owned()), idle_for: hour, ..New::default() };
        let made = contexts.create(LOCAL, new).await.unwrap();
        let first = made.expires_at.unwrap();
        echo(&contexts, turn("c", "one")).await.unwrap();
        let second = contexts.get(&key("c")).await.unwrap().expires_at.unwrap();
        assert!(second > first);
        let edit = Edit { title: Some(Some("t".to_owned())), ..Edit::default() };
        let third = contexts.edit(&key("c"), edit, None).await.unwrap().expires_at.unwrap();
        assert!(third > second);
        let age = Edit { expires_in: Some(hour), ..Edit::default() };
        let fixed = contexts.edit(&key("c"), age, None).await.unwrap().expires_at;
        echo(&contexts, turn("c", "two")).await.unwrap();
        assert_eq!(contexts.get(&key("c")).await.unwrap().expires_at, fixed);
        let both = Edit { expires_in: Some(hour), idle_for: Some(hour), ..Edit::default() };
        refused(contexts.edit(&key("c"), both, None).await, Code::InvalidInput);
        let never = Edit { expires_in: Some(None), ..Edit::default() };
        assert_eq!(contexts.edit(&key("c"), never, None).await.unwrap().expires_at, None);
    })
    .await;
}

#[tokio::test]
async fn contexts_that_choose_no_lifetime_get_the_one_that_is_set() {
    both(async |contexts| {
        echo(&contexts, turn("before", "hi")).await.unwrap();
        let idle = Some(Duration::from_secs(3600));
        contexts.set_lifetime(Lifetime { idle, ..Lifetime::default() });
        echo(&contexts, turn("by use", "hi")).await.unwrap();
        let new = |id: &str| New { id: Some(id.to_owned()), ..New::default() };
        contexts.create(LOCAL, new("made")).await.unwrap();
        contexts.fork(&key("before"), None, new("forked")).await.unwrap();
        let longer = Some(Duration::from_secs(86_400));
        let own = New { expires_in: longer, ..new("own") };
        contexts.create(LOCAL, own).await.unwrap();
        // Who wants one for ever says so.
        let forever = Edit { idle_for: Some(None), ..Edit::default() };
        contexts.create(LOCAL, new("kept")).await.unwrap();
        contexts.edit(&key("kept"), forever, None).await.unwrap();
        let later = Timestamp::now() + SignedDuration::from_mins(61);
        assert_eq!(contexts.sweep(later).await.unwrap(), 3);
        for id in ["before", "own", "kept"] {
            assert!(contexts.get(&key(id)).await.is_ok(), "{id}");
        }
        contexts.set_lifetime(Lifetime { age: idle, idle: None });
        echo(&contexts, turn("aged", "hi")).await.unwrap();
        let end = contexts.get(&key("aged")).await.unwrap().expires_at;
        echo(&contexts, turn("aged", "hi")).await.unwrap();
        assert_eq!(contexts.get(&key("aged")).await.unwrap().expires_at, end);
    })
    .await;
}
