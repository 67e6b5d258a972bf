//! The client against servers of both eras, over pipes and HTTP, good ones and bad ones.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::Revision;
use crate::bridge::{Carried, Lost};
use crate::rpc::Refusal;
use crate::server::{About, Ask, Change, Offers, Page, Question, Serve, Server, Stop};

const WITHIN: Duration = Duration::from_secs(30);

/// A server as a script of the shell: `$ON` has its cases for `tools/call`.
const SCRIPT: &str = r#"
say() { printf '%s\n' "$1"; }
gives() { say '{"jsonrpc":"2.0","id":'$id',"result":'"$1"'}'; }
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\),"method".*/\1/p')
  case $line in
  *'"method":"server/discover"'*)
    [ -n "$DIES" ] && exit 3
    say '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"what?"}}';;
  *'"method":"initialize"'*)
    who='"serverInfo":{"name":"script","version":"1"}'
    gives '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},'"$who"'}';;
  *'"cursor":"2"'*)
    schema='"inputSchema":{"type":"object","$anchor":"x"}'
    gives '{"tools":[{"name":"b",'"$schema"',"vendor":{"k":18446744073709551615}}]}';;
  *'"method":"tools/list"'*)
    gives '{"tools":[{"name":"a"}],"nextCursor":"2"}';;
  *'"method":"tools/call"'*) eval "$ON";;
  esac
done
"#;

fn program(on: &str, env: &[(&str, &str)]) -> Program {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let own = [("PATH", "/usr/bin:/bin"), ("ON", on)];
    let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Program {
        command: "sh".to_owned(),
        args: vec!["-c".to_owned(), SCRIPT.to_owned()],
        env: own.chain(env).collect(),
        folder: None,
    }
}

fn opening(place: Place) -> Opening {
    let about = About { name: "test".to_owned(), ..About::default() };
    Opening { about, place, within: WITHIN, before: None, pulse: Pulse::default() }
}

async fn started(on: &str, env: &[(&str, &str)]) -> Upstream {
    let place = Place::Program(program(on, env), None);
    open(&opening(place)).await.expect("the script answers")
}

fn call(name: &str, told: Option<mpsc::Sender<Told>>) -> Call {
    let params = json!({"name": name, "arguments": {}});
    let Value::Object(params) = params else { panic!("an object") };
    Call { method: "tools/call".to_owned(), params, told, ..Call::default() }
}

#[tokio::test]
async fn a_child_is_asked_its_revision_its_pages_and_its_tools() {
    let answer = r#"say '{"jsonrpc":"2.0","id":'$id',"result":{"content":[],"extra":[1]}}'"#;
    let upstream = started(answer, &[]).await;
    assert_eq!(upstream.hello().revision, Revision::V2025_06_18);
    let tools = upstream.list("tools/list", "tools").await.unwrap();
    assert_eq!(tools.len(), 2, "all pages");
    assert_eq!(tools[1]["vendor"]["k"], json!(u64::MAX), "what nobody knows stays");
    let result = upstream.call(call("a", None)).await.unwrap();
    assert_eq!(result["extra"], json!([1]));
}

#[tokio::test]
async fn a_child_that_dies_of_a_modern_question_is_asked_in_the_old_words() {
    let upstream = started("", &[("DIES", "1")]).await;
    assert_eq!(upstream.hello().revision, Revision::V2025_06_18);
}

#[tokio::test]
async fn progress_and_questions_of_a_child_reach_the_one_who_called() {
    let on = r#"
      t=$(printf '%s' "$line" | sed -n 's/.*"progressToken":\([0-9]*\).*/\1/p')
      m='"method":"notifications/progress"'
      say '{"jsonrpc":"2.0",'$m',"params":{"progressToken":'$t',"progress":1}}'
      say '{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?"}}'
      IFS= read -r got
      case $got in *'"id":"q"'*'"name":"Ann"'*) ok=true;; *) ok=false;; esac
      say '{"jsonrpc":"2.0","id":'$id',"result":{"ok":'$ok'}}'"#;
    let upstream = started(on, &[]).await;
    let (told, mut tells) = mpsc::channel(8);
    let asking = upstream.call(call("a", Some(told)));
    let listening = async {
        let Some(Told::Notification { method, params }) = tells.recv().await else {
            panic!("progress comes first")
        };
        assert_eq!((method.as_str(), &params["progress"]), ("notifications/progress", &json!(1)));
        let Some(Told::Question { params, answer, .. }) = tells.recv().await else {
            panic!("then the question")
        };
        assert_eq!(params["message"], "who?");
        answer.send(Ok(json!({"action": "accept", "content": {"name": "Ann"}}))).unwrap();
    };
    let (result, ()) = tokio::join!(asking, listening);
    assert_eq!(result.unwrap(), json!({"ok": true}));
}

#[tokio::test]
async fn a_child_that_ends_in_a_call_says_how_and_what_it_said_last() {
    let upstream = started("echo 'out of ideas' >&2; exit 7", &[]).await;
    let failure = upstream.call(call("a", None)).await.unwrap_err();
    assert!(!failure.is_unsent(), "it may have done something");
    let text = failure.to_string();
    assert!(text.contains("exit status: 7") && text.contains("out of ideas"), "{text}");
    let after = upstream.call(call("a", None)).await.unwrap_err();
    assert!(after.is_unsent(), "{after:?}");
}

#[tokio::test]
async fn bad_programs_are_told_apart() {
    let failed = async |args: &[&str], within: u64| {
        let program = Program {
            command: args[0].to_owned(),
            args: args[1..].iter().map(|a| (*a).to_owned()).collect(),
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            folder: None,
        };
        let within = Duration::from_secs(within);
        let opening = Opening { within, ..opening(Place::Program(program, None)) };
        open(&opening).await.unwrap_err().to_string()
    };
    let text = failed(&["/no/such/program"], 30).await;
    assert!(text.contains("`/no/such/program` is not there"), "{text}");
    let text = failed(&["sh", "-c", "while :; do echo hello; done"], 30).await;
    assert!(text.contains("no messages") && text.contains("`hello`"), "{text}");
    let text = failed(&["cat"], 30).await;
    assert!(text.contains("it refuses"), "an echo is no server: {text}");
    let text = failed(&["sleep", "60"], 1).await;
    assert!(text.contains("did not answer within 1s"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_whole_family_of_a_child_ends_with_it() {
    let on = r#"sleep 300 & say '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$!'}}'"#;
    let upstream = started(on, &[]).await;
    let result = upstream.call(call("a", None)).await.unwrap();
    let grandchild = i32::try_from(result["pid"].as_i64().unwrap()).unwrap();
    let grandchild = rustix::process::Pid::from_raw(grandchild).unwrap();
    let lives = || rustix::process::test_kill_process(grandchild).is_ok();
    assert!(lives());
    drop(upstream);
    let ended = async {
        while lives() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, ended).await.expect("nothing is left behind");
}

/// A server in this process, behind the same HTTP that a socket would carry.
#[derive(Debug)]
struct Here {
    server: Server<Small>,
    legacy: bool,
}

impl Web for Here {
    fn send(&self, request: Request<Bytes>) -> Pending<'_, Result<Carried, Lost>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            if self.legacy && head.headers.contains_key("mcp-method") {
                let text = Bytes::from_static(b"unknown request");
                let pieces: crate::bridge::Pieces = futures_util::stream::iter([Ok(text)]).boxed();
                return Ok(http::Response::builder().status(400).body(pieces).unwrap());
            }
            let asked = (&head.method, &head.headers);
            let answer = crate::http::answer(&self.server, (), asked, body).await;
            let pieces = |body: crate::http::Body| -> crate::bridge::Pieces {
                let text = |never: std::convert::Infallible| -> String { match never {} };
                body.into_data_stream().map(move |piece| piece.map_err(text)).boxed()
            };
            Ok(answer.map(pieces))
        })
    }
}

/// One tool, which asks a name and tells how far it is.
#[derive(Debug)]
struct Small;

impl Serve for Small {
    type Caller = ();

    fn about(&self) -> About {
        About { name: "small".to_owned(), ..About::default() }
    }

    fn offers(&self) -> Offers {
        Offers { tools: true, ..Offers::default() }
    }

    async fn tools(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        let schema = json!({"type": "object",
            "properties": {"who": {"type": "string", "x-mcp-header": "Who"}}});
        Ok(vec![json!({"name": "greet", "description": "d", "inputSchema": schema})].into())
    }

    async fn call(&self, ask: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Stop> {
        ask.link.progress(1.0, Some(2.0), None);
        let params = json!({"message": "who?", "requestedSchema": {"type": "object"}});
        let (key, method) = ("k".to_owned(), "elicitation/create".to_owned());
        let answer = ask.link.ask(Question { key, method, params }).await?;
        Ok(json!({"content": [], "answer": answer}))
    }

    async fn resources(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn templates(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn read(&self, _: &Ask<()>, _: &str) -> Result<Option<Value>, Stop> {
        Ok(None)
    }

    async fn prompts(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn prompt(&self, _: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Stop> {
        Err(Refusal::params("none").into())
    }

    async fn complete(&self, _: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Refusal> {
        Err(Refusal::params("none"))
    }
}

async fn behind_http(legacy: bool) -> (Upstream, Server<Small>) {
    let server = Server::new(Small, [1; 32]);
    let web = Arc::new(Here { server: server.clone(), legacy });
    let place = Place::Address {
        web,
        url: "http://127.0.0.1:1/mcp".parse().unwrap(),
        headers: HeaderMap::new(),
        login: None,
        transport: Transport::Auto,
    };
    (open(&opening(place)).await.expect("it is there"), server)
}

#[tokio::test]
async fn a_server_of_the_legacy_era_asks_while_the_call_runs() {
    let (upstream, _server) = behind_http(true).await;
    assert_eq!(upstream.hello().revision, Revision::LEGACY);
    let (told, mut tells) = mpsc::channel(8);
    let asking = upstream.call(call("greet", Some(told)));
    let listening = async {
        while let Some(told) = tells.recv().await {
            if let Told::Question { answer, .. } = told {
                answer.send(Ok(json!({"action": "decline"}))).unwrap();
                return;
            }
        }
        panic!("it asks");
    };
    let (result, ()) = tokio::join!(asking, listening);
    assert_eq!(result.unwrap()["answer"], json!({"action": "decline"}));
}

#[tokio::test]
async fn a_server_of_the_modern_era_asks_with_its_answer() {
    let (upstream, _server) = behind_http(false).await;
    assert_eq!(upstream.hello().revision, Revision::NEWEST);
    upstream.list("tools/list", "tools").await.unwrap();
    let mut first = call("greet", None);
    // The server holds the header against this argument.
    first.params.insert("arguments".to_owned(), json!({"who": "Zoë"}));
    first.capabilities.insert("elicitation".to_owned(), json!({}));
    let mut second = Call { params: first.params.clone(), ..call("greet", None) };
    second.capabilities = first.capabilities.clone();
    let asked = upstream.call(first).await.unwrap();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let answers = json!({"k": {"action": "accept", "content": {"name": "Ann"}}});
    second.params.insert("inputResponses".to_owned(), answers);
    let done = upstream.call(second).await.unwrap();
    assert_eq!(done["answer"]["content"]["name"], "Ann", "{done}");
}

#[tokio::test]
async fn changes_are_heard_in_both_eras() {
    for legacy in [true, false] {
        let (upstream, server) = behind_http(legacy).await;
        let mut changes = upstream.changes().unwrap();
        let heard = async {
            loop {
                // It may not listen yet: told until it is heard.
                server.changed(Change::Tools);
                let wait = Duration::from_millis(20);
                if let Ok(change) = tokio::time::timeout(wait, changes.recv()).await {
                    return change;
                }
            }
        };
        let change = tokio::time::timeout(WITHIN, heard).await.unwrap();
        assert_eq!(change, Some(Change::Tools));
    }
}
