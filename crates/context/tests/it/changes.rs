//! The audit of changes, and the webhooks that are told of them.

use std::time::Duration;

use context::{
    Attempt, AuditMode, Changes, Contexts, Edit, HookEdit, New, NewHook, StateEdit, Tenant, To,
    Vault, What, acting,
};
use jiff::Timestamp;
use wire::Code;

use crate::{LOCAL, begin, both, echo, key, map, outcome, refused, said, text, turn};

async fn lines(contexts: &Contexts) -> Vec<(String, Option<String>)> {
    let page = contexts.changes(LOCAL, Changes::default()).await.unwrap();
    page.items.into_iter().map(|line| (line.what, line.who)).collect()
}

async fn damage(contexts: &Contexts, sql: &'static str) {
    let run = move |c: &storage::rusqlite::Connection| Ok(c.execute(sql, []).unwrap());
    contexts.database().write(storage::Durability::Group, run).await.unwrap();
}

async fn some_changes(contexts: &Contexts) {
    let ann = Some("key ann".into());
    let new = New { id: Some("a".to_owned()), ..New::default() };
    acting(ann.clone(), contexts.create(LOCAL, new)).await.unwrap();
    echo(contexts, turn("a", "hello")).await.unwrap();
    let state = Some(StateEdit::MergePatch(map("{\"topic\":\"tea\"}")));
    let edit = Edit { state, ..Edit::default() };
    acting(ann, contexts.edit(&key("a"), edit, None)).await.unwrap();
    contexts.rollback(&key("a"), To::Seq(0), None).await.unwrap();
    contexts.close(&key("a")).await.unwrap();
    contexts.close(&key("a")).await.unwrap();
    contexts.delete(&key("a")).await.unwrap();
}

#[tokio::test]
async fn the_audit_says_who_changed_what_and_hashes_before_and_after() {
    both(async |contexts| {
        some_changes(&contexts).await;
        let ann = Some("key ann".to_owned());
        let names: Vec<_> = lines(&contexts).await;
        assert_eq!(
            names,
            [
                ("context.created".to_owned(), ann.clone()),
                ("context.updated".to_owned(), ann),
                ("context.rolled_back".to_owned(), None),
                // The second close changed nothing.
                ("context.closed".to_owned(), None),
                ("context.deleted".to_owned(), None),
            ]
        );
        let page = contexts.changes(LOCAL, Changes::default()).await.unwrap();
        assert!(page.items[0].before.is_none() && page.items[0].after.is_some());
        assert!(page.items[4].after.is_none());
        assert_eq!(page.items[2].after, page.items[3].before);
        let text = format!("{:?}", page.items);
        assert!(!text.contains("tea") && !text.contains("hello"), "{text}");
        let check = contexts.check_changes(LOCAL).await.unwrap();
        assert_eq!((check.lines, &check.broken), (5, &None));
        assert_eq!(check.newest.as_ref(), Some(&page.items[4].hash));
        assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());
    })
    .await;
}

#[tokio::test]
async fn profiles_and_webhooks_are_in_the_same_chain() {
    both(async |contexts| {
        contexts.set_vault(Vault::new(Box::new(|| Ok([5; 32]))));
        let likes = map(r#"{"likes":"tea"}"#);
        contexts.edit_profile(LOCAL, "ada", likes, None).await.unwrap();
        contexts.edit_profile(LOCAL, "ada", map(r#"{"likes":null}"#), None).await.unwrap();
        contexts.delete_profile(LOCAL, "ada").await.unwrap();
        let new = NewHook {
            url: "https://example.com/hidden-path".to_owned(),
            events: Vec::new(),
            context: None,
            name: None,
            secret: None,
        };
        let (hook, _secret) = contexts.add_hook(LOCAL, new).await.unwrap();
        let off = HookEdit { enabled: Some(false), ..Default::default() };
        contexts.edit_hook(LOCAL, hook.number, off).await.unwrap();
        contexts.delete_hook(LOCAL, hook.number).await.unwrap();
        let page = contexts.changes(LOCAL, Changes::default()).await.unwrap();
        let whats: Vec<&str> = page.items.iter().map(|change| change.what.as_str()).collect();
        let wanted = [
            "profile.updated",
            "profile.updated",
            "profile.deleted",
            "webhook.created",
            "webhook.updated",
            "webhook.deleted",
        ];
        assert_eq!(whats, wanted);
        let items = &page.items;
        assert_eq!((&items[0].before, items[1].before.is_some()), (&None, true));
        assert_eq!(items[0].after, items[1].before);
        assert_eq!((&items[1].after, &items[2].after), (&items[2].before, &None));
        assert_ne!(items[4].before, items[4].after);
        assert_eq!(items[0].detail["user"], "ada");
        assert_eq!(items[3].detail["webhook"], hook.number);
        let all = format!("{page:?}");
        assert!(!all.contains("tea") && !all.contains("hidden-path"), "figures only: {all}");
        assert!(contexts.check_changes(LOCAL).await.unwrap().broken.is_none());
        contexts.set_audit(AuditMode::Off);
        contexts.edit_profile(LOCAL, "bob", map("{}"), None).await.unwrap();
        let page = contexts.changes(LOCAL, Changes::default()).await.unwrap();
        assert_eq!(page.items.len(), wanted.len());
    })
    .await;
}

#[tokio::test]
async fn messages_are_audited_only_when_asked_for_and_nothing_when_it_is_off() {
    both(async |contexts| {
        contexts.set_audit(AuditMode::All);
        echo(&contexts, turn("a", "hello")).await.unwrap();
        let open = begin(&contexts, turn("a", "again")).await;
        contexts.finish(&open, outcome(text("there"))).await.unwrap();
        let open = begin(&contexts, turn("a", "and again")).await;
        contexts.fail(&open, "x", None).await.unwrap();
        let names: Vec<_> = lines(&contexts).await.into_iter().map(|(what, _)| what).collect();
        let wanted = ["turn.completed", "turn.started", "turn.completed", "turn.started"];
        assert_eq!(names[..4], wanted);
        assert_eq!(names[4], "turn.failed");
        contexts.set_audit(AuditMode::Off);
        contexts.delete(&key("a")).await.unwrap();
        assert_eq!(lines(&contexts).await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_tampering_breaks_the_chain() {
    for (sql, line) in [
        ("UPDATE audit SET who = 'key eve' WHERE no = 2", 2),
        ("UPDATE audit SET after = x'00' WHERE no = 3", 3),
        ("UPDATE audit SET at = at + 1 WHERE no = 1", 1),
        ("DELETE FROM audit WHERE no = 4", 4),
        ("DELETE FROM audit WHERE no = 5", 5),
        ("DELETE FROM audit", 1),
        ("UPDATE audit SET no = 9 WHERE no = 5", 5),
    ] {
        both(async |contexts| {
            some_changes(&contexts).await;
            damage(&contexts, sql).await;
            let broken = contexts.check_changes(LOCAL).await.unwrap().broken;
            assert_eq!(broken.map(|(line, _)| line), Some(line), "{sql}");
            let report = contexts.verify(|_, _| {}).await.unwrap();
            assert!(report.listed[0].what.contains("of the audit"), "{sql}: {report:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn old_lines_go_and_the_rest_of_the_chain_still_holds() {
    both(async |contexts| {
        some_changes(&contexts).await;
        assert_eq!(contexts.forget_changes(Duration::from_secs(3600)).await.unwrap(), 0);
        damage(&contexts, "UPDATE audit SET at = 0 WHERE no <= 3").await;
        assert_eq!(contexts.forget_changes(Duration::from_secs(3600)).await.unwrap(), 3);
        let check = contexts.check_changes(LOCAL).await.unwrap();
        assert_eq!((check.lines, check.broken), (2, None));
        assert_eq!(contexts.forget_changes(Duration::ZERO).await.unwrap(), 2);
        contexts.create(LOCAL, New::default()).await.unwrap();
        let check = contexts.check_changes(LOCAL).await.unwrap();
        assert_eq!((check.lines, check.broken), (1, None));
    })
    .await;
}

fn hook(events: &[What]) -> NewHook {
    NewHook {
        url: "https://example.com/".to_owned(),
        events: events.to_vec(),
        context: None,
        name: None,
        secret: None,
    }
}

async fn due(contexts: &Contexts) -> Vec<context::DueDelivery> {
    contexts.due_deliveries(10).await.unwrap().0
}

#[tokio::test]
async fn a_webhook_is_told_what_it_asked_for_until_it_takes_it() {
    both(async |contexts| {
        contexts.set_vault(Vault::new(Box::new(|| Ok([7; 32]))));
        let (made, secret) =
            contexts.add_hook(LOCAL, hook(&[What::Created, What::Expired])).await.unwrap();
        contexts.add_hook(Tenant(1), hook(&[])).await.unwrap();
        let new = New {
            id: Some("a".to_owned()),
            expires_in: Some(Duration::from_secs(60)),
            messages: vec![said(wire::prompt::Role::User, text("a secret word"))],
            ..New::default()
        };
        contexts.create(LOCAL, new).await.unwrap();
        echo(&contexts, turn("a", "hello")).await.unwrap();
        let later = Timestamp::now() + jiff::SignedDuration::from_secs(120);
        contexts.sweep(later).await.unwrap();
        let first = due(&contexts).await;
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].delivery.kind, "context.created");
        assert_eq!(first[0].secret.expose(), secret.expose());
        let body: serde_json::Value = serde_json::from_str(&first[0].delivery.body).unwrap();
        assert_eq!(body["data"]["context_id"], "a");
        assert!(!first[0].delivery.body.contains("secret word"));

        // It fails: the one behind it goes first, and it comes again when its wait is over.
        let wait = Some(Duration::from_secs(3600));
        let failed = Attempt::Failed("it answered 500".to_owned(), wait);
        contexts.settle_delivery(first[0].delivery.clone(), failed).await.unwrap();
        let second = due(&contexts).await;
        assert_eq!(second[0].delivery.kind, "context.expired");
        contexts.settle_delivery(second[0].delivery.clone(), Attempt::Taken).await.unwrap();
        assert!(due(&contexts).await.is_empty());
        let waiting = contexts.deliveries(LOCAL, made.number, false).await.unwrap();
        assert_eq!((waiting.len(), waiting[0].tries), (1, 1));
        assert_eq!(waiting[0].error.as_deref(), Some("it answered 500"));

        let given_up = Attempt::Failed("no".to_owned(), None);
        contexts.settle_delivery(waiting[0].clone(), given_up).await.unwrap();
        let found = contexts.hook(LOCAL, made.number).await.unwrap();
        assert_eq!((found.waiting, found.dead), (0, 1));
        assert_eq!(contexts.deliver_again(LOCAL, made.number, None).await.unwrap(), 1);
        let again = due(&contexts).await;
        assert_eq!(again[0].delivery.id, first[0].delivery.id);
        let gone = Attempt::Gone("410".to_owned());
        contexts.settle_delivery(again[0].delivery.clone(), gone).await.unwrap();
        assert!(!contexts.hook(LOCAL, made.number).await.unwrap().enabled);
        contexts.create(LOCAL, New::default()).await.unwrap();
        assert!(due(&contexts).await.is_empty());
        let on = HookEdit { enabled: Some(true), ..HookEdit::default() };
        contexts.edit_hook(LOCAL, made.number, on).await.unwrap();
        contexts.create(LOCAL, New::default()).await.unwrap();
        assert_eq!(due(&contexts).await.len(), 1);
        refused(contexts.hook(Tenant(1), made.number).await, Code::NotFound);
        contexts.delete_hook(LOCAL, made.number).await.unwrap();
        assert!(due(&contexts).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_a_webhook_survives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = crate::open(folder.path()).await;
    contexts.set_vault(Vault::new(Box::new(|| Ok([7; 32]))));
    let (_, secret) = contexts.add_hook(LOCAL, hook(&[])).await.unwrap();
    contexts.create(LOCAL, New::default()).await.unwrap();
    contexts.database().close().await.unwrap();
    let again = crate::open(folder.path()).await;
    refused(again.due_deliveries(10).await, Code::ConfigurationError);
    again.set_vault(Vault::new(Box::new(|| Ok([7; 32]))));
    let waiting = due(&again).await;
    assert_eq!(waiting[0].secret.expose(), secret.expose());
    again.database().close().await.unwrap();
    // With another key the secret is lost: the webhook is switched off and says why.
    let other = crate::open(folder.path()).await;
    other.set_vault(Vault::new(Box::new(|| Ok([8; 32]))));
    assert!(due(&other).await.is_empty());
    let found = other.hooks(LOCAL).await.unwrap();
    assert!(!found[0].enabled);
    let dead = other.deliveries(LOCAL, found[0].number, true).await.unwrap();
    assert!(dead[0].error.as_deref().unwrap().contains("another key"));
    other.database().close().await.unwrap();
}
