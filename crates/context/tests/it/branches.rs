//! Checkpoints, rollbacks that can be undone, comparison and merge.

use std::collections::HashMap;

use context::{Contexts, Edit, Limits, New, NewShare, OnConflict, StateEdit, To};
use proptest::prelude::{Strategy, any, prop, proptest};
use storage::{Database, Place};
use wire::Code;
use wire::prompt::Role;

use crate::{
    LOCAL, SCHEMAS, all, begin, both, echo, key, map, reason, refused, said, text, texts, turn,
};

fn called(id: &str) -> New {
    New { id: Some(id.to_owned()), ..New::default() }
}

async fn say(contexts: &Contexts, id: &str, what: &str) {
    let entry = vec![said(Role::User, text(what))];
    contexts.append(&key(id), entry, None, None).await.unwrap();
}

async fn log(contexts: &Contexts, id: &str) -> Vec<String> {
    texts(&all(contexts, id).await)
}

async fn set_state(contexts: &Contexts, id: &str, json: &str) {
    let edit = Edit { state: Some(StateEdit::MergePatch(map(json))), ..Edit::default() };
    contexts.edit(&key(id), edit, None).await.unwrap();
}

#[tokio::test]
async fn a_rollback_goes_back_to_an_entry_and_can_be_undone() {
    both(async |contexts| {
        for i in 0..3 {
            echo(&contexts, turn("c", &format!("q{i}"))).await.unwrap();
        }
        let before = contexts.get(&key("c")).await.unwrap();
        let back = contexts.rollback(&key("c"), To::Seq(2), None).await.unwrap();
        assert_eq!((back.size.messages, back.size.turns), (2, 1));
        assert_eq!(back.revision, before.revision + 1);
        let done = echo(&contexts, turn("c", "other")).await.unwrap();
        assert_eq!((done.number, done.message.seq), (2, 4));
        assert_eq!(log(&contexts, "c").await, ["q0", "you said: q0", "other", "you said: other"]);
        let branches = contexts.branches(&key("c")).await.unwrap();
        let left = &branches.left[0];
        assert_eq!((left.number, left.head, left.shared), (1, 6, 2));
        assert_eq!(left.cause, "rollback to 2");
        let again = contexts.rollback(&key("c"), To::Undo, None).await.unwrap();
        assert_eq!((again.size, again.size.messages), (before.size, 6));
        assert_eq!(log(&contexts, "c").await[4], "q2");
        // Undoing twice comes back to the other branch: nothing was lost on the way.
        contexts.rollback(&key("c"), To::Undo, None).await.unwrap();
        assert_eq!(log(&contexts, "c").await[2], "other");
        assert_eq!(contexts.branches(&key("c")).await.unwrap().left.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_restores_the_state_and_is_found_on_other_branches() {
    both(async |contexts| {
        echo(&contexts, turn("c", "one")).await.unwrap();
        set_state(&contexts, "c", r#"{"step":1}"#).await;
        let note = Some("before the experiment".to_owned());
        let point = contexts.checkpoint(&key("c"), "safe", note).await.unwrap();
        assert_eq!((point.seq, point.on_branch), (2, true));
        echo(&contexts, turn("c", "two")).await.unwrap();
        set_state(&contexts, "c", r#"{"step":2,"more":true}"#).await;
        contexts.checkpoint(&key("c"), "later", None).await.unwrap();
        let to = |name: &str| To::Checkpoint(name.to_owned());
        let back = contexts.rollback(&key("c"), to("safe"), None).await.unwrap();
        assert_eq!((back.state.clone(), back.size.messages), (map(r#"{"step":1}"#), 2));
        let listed = contexts.checkpoints(&key("c")).await.unwrap();
        let on: Vec<_> = listed.iter().map(|c| (c.name.as_str(), c.on_branch)).collect();
        assert_eq!(on, [("safe", true), ("later", false)]);
        echo(&contexts, turn("c", "three")).await.unwrap();
        let forth = contexts.rollback(&key("c"), to("later"), None).await.unwrap();
        assert_eq!(forth.state, map(r#"{"step":2,"more":true}"#));
        assert_eq!(log(&contexts, "c").await[2], "two");
        contexts.forget_checkpoint(&key("c"), "safe").await.unwrap();
        refused(contexts.rollback(&key("c"), to("safe"), None).await, Code::NotFound);
        refused(contexts.forget_checkpoint(&key("c"), "safe").await, Code::NotFound);
        let fault = refused(contexts.checkpoint(&key("c"), "later", None).await, Code::Conflict);
        assert_eq!(reason(&fault), "exists");
    })
    .await;
}

#[tokio::test]
async fn a_rollback_is_refused_where_it_would_lose_or_mean_nothing() {
    both(async |contexts| {
        echo(&contexts, turn("c", "one")).await.unwrap();
        let fault = refused(contexts.rollback(&key("c"), To::Undo, None).await, Code::Conflict);
        assert_eq!(reason(&fault), "nothing_to_undo");
        refused(contexts.rollback(&key("c"), To::Seq(9), None).await, Code::InvalidInput);
        refused(contexts.rollback(&key("c"), To::Branch(1), None).await, Code::NotFound);
        let stale = contexts.rollback(&key("c"), To::Seq(1), Some(77)).await;
        refused(stale, Code::PreconditionFailed);
        let open = begin(&contexts, turn("c", "two")).await;
        let fault = refused(contexts.rollback(&key("c"), To::Seq(1), None).await, Code::Conflict);
        assert_eq!(reason(&fault), "busy");
        contexts.fail(&open, "x", None).await.unwrap();
        contexts.rollback(&key("c"), To::Seq(2), None).await.unwrap();
        // The failed turn lies on the branch that was left.
        refused(contexts.reopen(&key("c")).await, Code::Conflict);
        contexts.rollback(&key("c"), To::Undo, None).await.unwrap();
        contexts.reopen(&key("c")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_merge_brings_state_and_names_the_messages() {
    both(async |contexts| {
        echo(&contexts, turn("p", "where to?")).await.unwrap();
        set_state(&contexts, "p", r#"{"city":"Rome","days":3,"seat":"aisle"}"#).await;
        contexts.fork(&key("p"), None, called("f")).await.unwrap();
        echo(&contexts, turn("f", "make it Oslo")).await.unwrap();
        set_state(&contexts, "f", r#"{"city":"Oslo","seat":null,"hotel":"harbour"}"#).await;
        set_state(&contexts, "p", r#"{"city":"Bern","days":4}"#).await;

        let compared = contexts.compare(&key("p"), &key("f")).await.unwrap();
        assert_eq!((compared.shared, compared.left_head, compared.right_head), (2, 2, 4));
        let paths: Vec<_> = compared.state.iter().map(|d| d.path.as_str()).collect();
        assert_eq!(paths, ["/city", "/days", "/seat", "/hotel"]);

        let refuse = contexts.merge(&key("p"), &key("f"), OnConflict::Refuse, None).await;
        let fault = refused(refuse, Code::Conflict);
        assert_eq!(fault.detail_values().unwrap()["conflicts"][0]["path"], "/city");
        assert_eq!(log(&contexts, "p").await.len(), 2);

        let merged = contexts.merge(&key("p"), &key("f"), OnConflict::Ours, None).await.unwrap();
        assert_eq!(merged.context.state, map(r#"{"city":"Bern","days":4,"hotel":"harbour"}"#));
        let conflict = &merged.conflicts[0];
        assert_eq!((merged.conflicts.len(), conflict.path.as_str()), (1, "/city"));
        assert_eq!(conflict.right.as_ref().unwrap(), "Oslo");
        let entry = merged.entry.unwrap();
        assert_eq!((entry.seq, entry.role), (3, Role::User));
        assert_eq!(entry.meta["merge"]["context"], "f");
        assert_eq!(entry.meta["merge"]["first_seq"], 3);
        let quoted = entry.content.plain().into_owned();
        assert!(quoted.contains("user: make it Oslo\nassistant: you said: make it Oslo"));
        // The other branch is as it was, and theirs may win another time.
        assert_eq!(log(&contexts, "f").await.len(), 4);
        let theirs = contexts.merge(&key("p"), &key("f"), OnConflict::Theirs, None).await.unwrap();
        assert_eq!(theirs.context.state["city"], "Oslo");
        refused(
            contexts.merge(&key("p"), &key("p"), OnConflict::Ours, None).await,
            Code::InvalidInput,
        );
    })
    .await;
}

#[tokio::test]
async fn a_long_branch_is_quoted_within_bounds() {
    both(async |contexts| {
        contexts.create(LOCAL, called("p")).await.unwrap();
        contexts.fork(&key("p"), None, called("f")).await.unwrap();
        let long = "ä".repeat(5000);
        let messages = (0..300).map(|_| said(Role::User, text(&long))).collect();
        contexts.append(&key("f"), messages, None, None).await.unwrap();
        let merged = contexts.merge(&key("p"), &key("f"), OnConflict::Ours, None).await.unwrap();
        let quoted = merged.entry.unwrap().content.plain().into_owned();
        assert!(quoted.len() < 20_000, "{}", quoted.len());
        assert!(quoted.contains("messages=\"1-300\"") && quoted.contains("left out"));
    })
    .await;
}

/// One step of the model below; the numbers choose among what is there.
#[derive(Clone, Debug)]
enum Op {
    Say(u8),
    Rollback(u8, u8),
    Undo(u8),
    Checkpoint(u8),
    Return(u8, u8),
    Fork(u8, u8),
    Delete(u8),
}

fn op() -> impl Strategy<Value = Op> {
    (0..12_u8, any::<u8>(), any::<u8>()).prop_map(|(kind, a, b)| match kind {
        0..=4 => Op::Say(a),
        5 => Op::Rollback(a, b),
        6 => Op::Undo(a),
        7 => Op::Checkpoint(a),
        8 => Op::Return(a, b),
        9 | 10 => Op::Fork(a, b),
        _ => Op::Delete(a),
    })
}

/// What every context should hold, kept as plain lists.
#[derive(Default)]
struct Model {
    logs: Vec<(String, Branch)>,
    made: usize,
}

#[derive(Clone, Default)]
struct Branch {
    now: Vec<String>,
    left: Vec<Vec<String>>,
    points: HashMap<String, Vec<String>>,
}

#[expect(clippy::indexing_slicing, reason = "a test may end by a panic")]
impl Model {
    fn pick(&self, number: u8) -> Option<usize> {
        (!self.logs.is_empty()).then(|| usize::from(number) % self.logs.len())
    }

    async fn run(&mut self, contexts: &Contexts, op: Op) {
        let chosen = match op {
            Op::Say(a) | Op::Undo(a) | Op::Checkpoint(a) | Op::Delete(a) => a,
            Op::Rollback(a, _) | Op::Return(a, _) | Op::Fork(a, _) => a,
        };
        self.made += 1;
        let made = self.made;
        let Some(i) = self.pick(chosen) else {
            let id = format!("c{made}");
            contexts.create(LOCAL, called(&id)).await.unwrap();
            self.logs.push((id, Branch::default()));
            return;
        };
        let (id, branch) = &mut self.logs[i];
        let id = id.clone();
        match op {
            Op::Say(_) => {
                say(contexts, &id, &format!("m{made}")).await;
                branch.now.push(format!("m{made}"));
            }
            Op::Rollback(_, b) => {
                let to = usize::from(b) % (branch.now.len() + 1);
                contexts.rollback(&key(&id), To::Seq(to as u64), None).await.unwrap();
                branch.left.push(branch.now.clone());
                branch.now.truncate(to);
            }
            Op::Undo(_) => {
                let done = contexts.rollback(&key(&id), To::Undo, None).await;
                assert_eq!(done.is_ok(), !branch.left.is_empty());
                if let Some(back) = branch.left.pop() {
                    branch.left.push(std::mem::replace(&mut branch.now, back));
                }
            }
            Op::Checkpoint(_) => {
                let name = format!("p{made}");
                contexts.checkpoint(&key(&id), &name, None).await.unwrap();
                branch.points.insert(name, branch.now.clone());
            }
            Op::Return(_, b) => {
                let mut names: Vec<_> = branch.points.keys().cloned().collect();
                names.sort();
                if !names.is_empty() {
                    let name = names[usize::from(b) % names.len()].clone();
                    let to = branch.points[&name].clone();
                    contexts.rollback(&key(&id), To::Checkpoint(name), None).await.unwrap();
                    branch.left.push(std::mem::replace(&mut branch.now, to));
                }
            }
            Op::Fork(_, b) => {
                let at = usize::from(b) % (branch.now.len() + 1);
                let child = format!("c{made}");
                contexts.fork(&key(&id), Some(at as u64), called(&child)).await.unwrap();
                let now = branch.now[..at].to_vec();
                self.logs.push((child, Branch { now, ..Branch::default() }));
            }
            Op::Delete(_) => {
                contexts.delete(&key(&id)).await.unwrap();
                self.logs.remove(i);
            }
        }
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    #[test]
    fn any_order_of_forks_rollbacks_and_deletions_keeps_every_log(
        ops in prop::collection::vec(op(), 1..120)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = Database::open(Place::Memory, SCHEMAS).await.unwrap();
            let contexts = Contexts::open(db.clone(), Limits::default()).await.unwrap();
            let mut model = Model::default();
            for op in ops {
                model.run(&contexts, op).await;
            }
            for (id, branch) in &model.logs {
                assert_eq!(log(&contexts, id).await, branch.now, "{id}");
            }
            for (id, _) in &model.logs {
                contexts.delete(&key(id)).await.unwrap();
            }
            let left = db.read(|c| {
                let sql = "SELECT (SELECT count(*) FROM entry) + (SELECT count(*) FROM link)
                             + (SELECT count(*) FROM kept) + (SELECT count(*) FROM view)";
                Ok(c.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap())
            });
            assert_eq!(left.await.unwrap(), 0);
            let counts = contexts.counts().await;
            assert_eq!((counts.contexts, counts.messages, counts.bytes), (0, 0, 0));
            db.close().await.unwrap();
        });
    }
}

#[tokio::test]
async fn a_share_opens_one_context_until_it_ends() {
    both(async |contexts| {
        echo(&contexts, turn("c", "one")).await.unwrap();
        let new = NewShare { name: Some("a colleague".to_owned()), ..NewShare::default() };
        let (token, share) = contexts.share(&key("c"), new).await.unwrap();
        let (opened, found) = contexts.opened_by(&token).await.unwrap();
        assert_eq!((opened, &found), (key("c"), &share));
        assert_eq!(contexts.shares(&key("c")).await.unwrap(), [share]);
        refused(contexts.opened_by("rap_share_nothing").await, Code::Unauthorized);
        let beyond = NewShare { upto: Some(9), ..NewShare::default() };
        refused(contexts.share(&key("c"), beyond).await, Code::InvalidInput);
        let over = NewShare { expires_in: Some(std::time::Duration::ZERO), ..NewShare::default() };
        let (late, _) = contexts.share(&key("c"), over).await.unwrap();
        refused(contexts.opened_by(&late).await, Code::Unauthorized);
        contexts.end_share(&key("c"), 1).await.unwrap();
        refused(contexts.opened_by(&token).await, Code::Unauthorized);
        refused(contexts.end_share(&key("c"), 1).await, Code::NotFound);
        let (token, _) = contexts.share(&key("c"), NewShare::default()).await.unwrap();
        contexts.delete(&key("c")).await.unwrap();
        echo(&contexts, turn("c", "another")).await.unwrap();
        refused(contexts.opened_by(&token).await, Code::Unauthorized);
    })
    .await;
}
