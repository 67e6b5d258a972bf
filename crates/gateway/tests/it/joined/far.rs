//! A server behind an address that a test plays: of either era, with resources that change and
//! tasks that end when the test says so.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use axum::response::IntoResponse as _;
use gateway::joined::{Reach, ServerSettings};
use mcp::client::Transport;
use mcp::rpc::Refusal;
use mcp::server::{About, Ask, Change, Offers, Page, Question, Serve, Server, Stop, TaskChange};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The era that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    Legacy,
    Modern,
}

/// A task of the legacy era, or a call of the modern one that became a task.
#[derive(Debug, Default)]
struct Job {
    /// `working`, `input_required`, `completed`, `cancelled`.
    status: watch::Sender<&'static str>,
    asks: bool,
    answer: Mutex<String>,
}

#[derive(Debug, Default)]
pub(super) struct Far {
    jobs: Mutex<HashMap<String, Arc<Job>>>,
    /// What calls wait for in the modern era.
    pub(super) released: watch::Sender<bool>,
    /// Every list has one more item.
    pub(super) more: AtomicBool,
    /// Requests for anything but the endpoint.
    pub(super) strays: AtomicUsize,
    address: OnceLock<SocketAddr>,
    /// Methods and parameters, as they came.
    pub(super) seen: Mutex<Vec<(String, Value)>>,
}

const URIS: [&str; 2] = ["a://1", "a://2"];

impl Far {
    fn job(&self, id: &str) -> Result<Arc<Job>, Refusal> {
        self.jobs.lock().get(id).cloned().ok_or_else(|| Refusal::params("no such task"))
    }

    /// Where it is.
    pub(super) fn at(&self, address: SocketAddr) {
        self.address.set(address).unwrap();
    }

    /// Ends a task of the legacy era.
    pub(super) fn finish(&self, id: &str) {
        self.job(id).unwrap().status.send_replace("completed");
    }

    /// How many requests of this method came.
    pub(super) fn count(&self, method: &str, of: impl Fn(&Value) -> bool) -> usize {
        let seen = self.seen.lock();
        seen.iter().filter(|(name, params)| name == method && of(params)).count()
    }

    fn one_more(&self, mut items: Vec<Value>, more: Value) -> Page {
        if self.more.load(Ordering::Relaxed) {
            items.push(more);
        }
        items.into()
    }
}

fn shape(id: &str, job: &Job) -> Value {
    json!({"taskId": id, "status": *job.status.borrow(), "ttl": 60_000, "pollInterval": 50,
           "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:01Z"})
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text},
                       {"type": "resource_link", "uri": "a://1", "name": "one"}]})
}

fn question() -> Question {
    let params = json!({"message": "sure?", "requestedSchema": {"type": "object"}});
    Question { key: "q".to_owned(), method: "elicitation/create".to_owned(), params }
}

impl Serve for Far {
    type Caller = ();

    fn about(&self) -> About {
        About { name: "far".to_owned(), version: "1".to_owned(), ..About::default() }
    }

    fn offers(&self) -> Offers {
        Offers { tools: true, resources: true, prompts: true, ..Offers::default() }
    }

    fn has_tasks(&self, _: &()) -> bool {
        true
    }

    fn has_session_tasks(&self, _: &()) -> bool {
        true
    }

    async fn tools(&self, ask: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        let tool = |name: &str, support: &str| {
            let mut tool = json!({"name": name, "description": name,
                                  "inputSchema": {"type": "object"}});
            let place = self.address.get().unwrap();
            let field = json!({"$ref": format!("http://{place}/schema.json")});
            tool["inputSchema"]["properties"] = json!({"x": field});
            if !ask.revision.is_modern() {
                tool["execution"] = json!({"taskSupport": support});
            }
            tool
        };
        let all = vec![
            tool("plain", "forbidden"),
            tool("job", "optional"),
            tool("must", "required"),
            tool("asks", "required"),
        ];
        Ok(self.one_more(all, tool("more", "forbidden")))
    }

    async fn call(&self, ask: &Ask<()>, params: &Map<String, Value>) -> Result<Value, Stop> {
        let name = params["name"].as_str().unwrap();
        if ask.revision.is_modern() {
            if matches!(name, "must" | "asks") {
                ask.link.only_later()?;
            } else if name == "job" {
                ask.link.later()?;
            }
            if name == "asks" {
                let answer = ask.link.ask(question()).await?;
                return Ok(text(answer["content"]["name"].as_str().unwrap()));
            }
            if name != "plain" {
                let mut released = self.released.subscribe();
                tokio::select! {
                    _ = released.wait_for(|released| *released) => {}
                    () = ask.link.cancelled().cancelled() => {}
                }
            }
            return Ok(text("done"));
        }
        let is_task = params.get("task").is_some();
        if matches!(name, "must" | "asks") && !is_task {
            return Err(Refusal::method("this needs a task").into());
        }
        if !is_task {
            return Ok(text("done"));
        }
        let mut jobs = self.jobs.lock();
        // Numbers that anybody could guess.
        let id = (jobs.len() + 1).to_string();
        let first = if name == "asks" { "input_required" } else { "working" };
        let status = watch::Sender::new(first);
        let job = Job { status, asks: name == "asks", ..Job::default() };
        let task = shape(&id, &job);
        jobs.insert(id, Arc::new(job));
        Ok(json!({"task": task}))
    }

    async fn task(
        &self,
        ask: &Ask<()>,
        method: &str,
        params: &Map<String, Value>,
    ) -> Option<Result<Value, Refusal>> {
        if ask.revision.is_modern() {
            return None;
        }
        let id = params["taskId"].as_str().unwrap();
        let job = match self.job(id) {
            Ok(job) => job,
            Err(refusal) => return Some(Err(refusal)),
        };
        Some(match method {
            "tasks/get" => Ok(shape(id, &job)),
            "tasks/cancel" => {
                job.status.send_replace("cancelled");
                Ok(shape(id, &job))
            }
            _ => {
                if job.asks && *job.status.borrow() == "input_required" {
                    let Ok(answer) = ask.link.ask(question()).await else {
                        return Some(Err(Refusal::request("nobody answers")));
                    };
                    let name = answer["content"]["name"].as_str().unwrap_or("nobody");
                    *job.answer.lock() = name.to_owned();
                    job.status.send_replace("completed");
                }
                let mut status = job.status.subscribe();
                status.wait_for(|status| *status != "working").await.unwrap();
                let answer = job.answer.lock().clone();
                Ok(text(if answer.is_empty() { "done" } else { &answer }))
            }
        })
    }

    async fn resources(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        let all = URIS.map(|uri| json!({"uri": uri, "name": uri}));
        Ok(self.one_more(all.to_vec(), json!({"uri": "a://3", "name": "3"})))
    }

    async fn templates(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn read(&self, _: &Ask<()>, _: &str) -> Result<Option<Value>, Stop> {
        Ok(None)
    }

    async fn prompts(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(self.one_more(vec![json!({"name": "p"})], json!({"name": "p2"})))
    }

    async fn prompt(&self, _: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Stop> {
        Ok(json!({"messages": []}))
    }

    async fn complete(&self, _: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Refusal> {
        Ok(json!({"completion": {"values": []}}))
    }
}

/// A life of the server at its address.
pub(super) struct Life {
    pub(super) server: Server<Far>,
    pub(super) address: SocketAddr,
    end: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Life {
    pub(super) async fn begin(era: Era) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), era).await
    }

    async fn at(address: SocketAddr, era: Era) -> Self {
        let server = Server::new(Far::default(), [3; 32]);
        let end = CancellationToken::new();
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        server.at(address);
        let (own, token) = (server.clone(), end.clone());
        let router = axum::Router::new().fallback(move |request: Request| {
            let server = own.clone();
            async move { answer(&server, era, request).await }
        });
        let ended = gateway::tasks::spawn("far", async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = token.cancelled() => return,
                };
                let (stream, _) = accepted.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service);
                let token = token.clone();
                gateway::tasks::spawn("far connection", async move {
                    tokio::select! {
                        _ = serving => {}
                        () = token.cancelled() => {}
                    }
                });
            }
        });
        Self { server, address, end, ended }
    }

    /// Everything of it goes away at once.
    pub(super) async fn die(self) -> SocketAddr {
        self.end.cancel();
        self.ended.await.unwrap();
        self.address
    }

    /// It comes back, knowing nothing.
    pub(super) async fn again(address: SocketAddr, era: Era) -> Self {
        Self::at(address, era).await
    }

    /// How it is joined.
    pub(super) fn settings(&self) -> ServerSettings {
        let url = format!("http://{}/mcp", self.address);
        let reach = Reach::Address { url, headers: Vec::new(), transport: Transport::Http };
        ServerSettings::new("far", reach)
    }

    /// Tells its session of a task.
    pub(super) fn tell_task(&self, id: &str) {
        let task = shape(id, &self.server.job(id).unwrap());
        let change =
            TaskChange { id: id.to_owned(), legacy: Some(task.clone()), modern: Some(task) };
        self.server.changed(Change::Task(Box::new(change)));
    }
}

async fn answer(server: &Server<Far>, era: Era, request: Request) -> axum::response::Response {
    if request.uri().path() != "/mcp" {
        server.strays.fetch_add(1, Ordering::Relaxed);
    }
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if let Ok(message) = serde_json::from_slice::<Value>(&body) {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        if method == "server/discover" && era == Era::Legacy {
            let error = json!({"code": -32601, "message": "what?"});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
            return axum::Json(answer).into_response();
        }
        server.seen.lock().push((method, message["params"].clone()));
    }
    let answer = mcp::http::answer(server, (), (&head.method, &head.headers), body).await;
    answer.map(axum::body::Body::new)
}
