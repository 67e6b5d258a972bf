//! Files, images, audio, batches and whole providers, passed through.

use gateway::settings::{KeySettings, Limits, ProviderSettings, Secret, Settings};
use http::{Request, StatusCode};
use serde_json::json;

use crate::house::{Answer, House};
use crate::stub::Stub;
use crate::surfaces::before;

const FORM: &str = "\
--xx\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nthere/whisper-x\r\n\
--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n\
--xx--\r\n";

async fn form(house: &House, path: &str, body: String) -> Answer {
    let request = Request::post(path)
        .header("content-type", "multipart/form-data; boundary=xx")
        .header("authorization", "Bearer rap_ours")
        .header("content-length", body.len())
        .header("openai-beta", "some");
    house.send(request.body(axum::body::Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_form_goes_up_as_it_is_but_for_the_models_name_and_the_key() {
    let stub = Stub::start(200, "application/json", r#"{"text": "hello"}"#).await;
    let house = before("openai_chat", &stub, &["gpt-x"]).await;
    let answer = form(&house, "/v1/audio/transcriptions", FORM.to_owned()).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, r#"{"text": "hello"}"#));
    assert_eq!(answer.header("x-rapport-provider"), "there");
    assert_eq!(answer.header("x-some-limit"), "7");
    let sent = stub.last();
    assert_eq!(sent.path, "/v1/audio/transcriptions");
    assert_eq!(sent.text(), FORM.replace("there/whisper-x", "whisper-x"));
    assert_eq!(sent.header("content-length"), sent.body.len().to_string());
    assert_eq!(sent.header("authorization"), "Bearer sk-upstream-secret");
    assert_eq!(sent.header("openai-beta"), "some");
}

#[tokio::test]
async fn json_calls_and_lists_reach_the_only_provider() {
    let stub = Stub::start(404, "application/json", "{\"error\":{}}").await;
    let house = before("openai_chat", &stub, &["gpt-x"]).await;
    let body = json!({"model": "there/image-x", "prompt": "a cat", "odd": 1});
    let answer = house.post("/v1/images/generations", &body).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NOT_FOUND, "{\"error\":{}}"));
    assert_eq!(stub.last().text(), body.to_string().replace("there/image-x", "image-x"));
    let unlisted = json!({"model": "omni-moderation-latest", "input": "x"});
    house.post("/v1/moderations", &unlisted).await;
    assert_eq!(stub.last().text(), unlisted.to_string());
    for path in ["/v1/files?limit=2", "/v1/files/file-1/content", "/v1/batches/b/cancel"] {
        house.call("GET", path).await;
        assert_eq!((stub.last().path.as_str(), stub.last().method.as_str()), (path, "GET"));
    }
    house.call("DELETE", "/v1/files/file-1").await;
    assert_eq!(stub.last().method, "DELETE");
}

fn provider(name: &str, dialect: &str, stub: &Stub) -> ProviderSettings {
    ProviderSettings {
        keys: vec![KeySettings::new(Secret::new("sk-upstream-secret"), "a test")],
        retries: 0,
        ..ProviderSettings::new(name, dialect, &format!("http://{}", stub.addr))
    }
}

#[tokio::test]
async fn among_several_providers_the_header_chooses_and_nothing_is_guessed() {
    let one = Stub::start(200, "application/json", "{}").await;
    let two = Stub::start(200, "application/json", "{}").await;
    let claude = Stub::start(200, "application/json", "{}").await;
    let providers = vec![
        provider("one", "openai_chat", &one),
        provider("two", "openai_chat", &two),
        provider("claude", "anthropic", &claude),
    ];
    let house = House::with(Settings { providers, ..Settings::default() }).await;
    let unclear = house.call("GET", "/v1/files").await;
    assert_eq!(unclear.status, StatusCode::BAD_REQUEST);
    let text = unclear.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(text.contains("one, two") && text.contains("x-rapport-provider"), "{text}");
    let named = [("x-rapport-provider", "two")];
    house.with_headers("GET", "/v1/files", &named, &json!(null)).await;
    assert_eq!((one.count(), two.count()), (0, 1));
    // Who speaks Anthropic's API means its files.
    let version = [("anthropic-version", "2023-06-01")];
    house.with_headers("GET", "/v1/files", &version, &json!(null)).await;
    assert_eq!(claude.last().header("x-api-key"), "sk-upstream-secret");
    assert_eq!(claude.last().header("anthropic-version"), "2023-06-01");
    house.call("GET", "/v1/messages/batches?limit=1").await;
    assert_eq!(claude.last().path, "/v1/messages/batches?limit=1");
    let body = json!({"model": "claude/x", "prompt": "p"});
    let wrong = house.post("/v1/images/generations", &body).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text.contains("provider `claude` has no `images`"), "{wrong:?}");
    let nobody = [("x-rapport-provider", "three")];
    let nobody = house.with_headers("GET", "/v1/files", &nobody, &json!(null)).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    assert!(nobody.text.contains("one, two, claude"), "{nobody:?}");
}

#[tokio::test]
async fn without_a_provider_the_error_says_what_to_set() {
    let house = House::new().await;
    let none = house.post("/v1/images/generations", &json!({"model": "dall-e-3"})).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.text.contains("OPENAI_API_KEY"), "{none:?}");
    let batches = house.post("/v1/messages/batches", &json!({"requests": []})).await;
    assert_eq!(batches.json()["type"], "error", "{batches:?}");
    assert!(batches.text.contains("ANTHROPIC_API_KEY"), "{batches:?}");
    let offline = house.post("/v1/audio/speech", &json!({"model": "demo", "input": "x"})).await;
    assert!(offline.text.contains("`demo` has no `audio`"), "{offline:?}");
}

#[tokio::test]
async fn binary_answers_come_down_byte_for_byte() {
    // Valid UTF-8, because the house reads texts; the pieces are larger than any buffer.
    let sound = "\u{0}\u{7f}x".repeat(400_000);
    let stub = Stub::start(200, "audio/mpeg", sound.clone()).await;
    let house = before("openai_chat", &stub, &["tts"]).await;
    let body = json!({"model": "tts", "input": "hello", "voice": "v"});
    let answer = house.post("/v1/audio/speech", &body).await;
    assert_eq!(answer.header("content-type"), "audio/mpeg");
    assert_eq!(answer.header("content-length"), sound.len().to_string());
    assert!(answer.text == sound, "{} bytes", answer.text.len());
}

#[tokio::test]
async fn a_provider_is_reached_whole_below_its_name() {
    let stub = Stub::start(200, "application/json", "{}").await;
    let house = before("openai_chat", &stub, &["gpt-x"]).await;
    let request = Request::builder()
        .method("PATCH")
        .uri("/provider/there/v1/assistants/a%2Fb?x=1&key=rap_ours")
        .header("authorization", "Bearer rap_ours")
        .header("x-api-key", "rap_ours")
        .header("cookie", "c=1")
        .header("content-type", "text/plain");
    let answer = house.send(request.body(axum::body::Body::from("as it is")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let sent = stub.last();
    assert_eq!((sent.method.as_str(), sent.text()), ("PATCH", "as it is"));
    assert_eq!(sent.path, "/v1/assistants/a%2Fb?x=1");
    assert_eq!(sent.header("authorization"), "Bearer sk-upstream-secret");
    assert_eq!(sent.header("content-type"), "text/plain");
    assert!(!format!("{:?}", sent.headers).contains("rap_ours"), "{:?}", sent.headers);
    assert_eq!(sent.header("cookie"), "");
    let none = house.call("GET", "/provider/nobody/v1/x").await;
    assert_eq!(none.json()["code"], "not_found", "{none:?}");
}

#[tokio::test]
async fn an_upload_beyond_the_limit_is_refused_and_not_sent_whole() {
    let stub = Stub::start(200, "application/json", "{}").await;
    let limits = Limits { upload_bytes: 100_000, ..Limits::default() };
    let providers = vec![provider("there", "openai_chat", &stub)];
    let house = House::with(Settings { providers, limits, ..Settings::default() }).await;
    let told = form(&house, "/v1/files", "x".repeat(100_001)).await;
    assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE, "{told:?}");
    let pieces = (0..20).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 10_000]));
    let body = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
    let request = Request::post("/v1/files").header("content-type", "multipart/form-data");
    let counted = house.send(request.body(body).unwrap()).await;
    assert_eq!(counted.status, StatusCode::PAYLOAD_TOO_LARGE, "{counted:?}");
    let names = ["100000", "limits.upload_bytes"];
    assert!(names.iter().all(|name| counted.text.contains(name)), "{counted:?}");
    assert_eq!(stub.count(), 0);
}

#[tokio::test]
async fn the_built_in_embedding_answers_in_every_api() {
    let house = House::new().await;
    let model = json!({"model": "hash-embed", "input": ["a b", "b a"], "prompt": "a b",
                       "texts": ["a b"], "dimensions": 8});
    let openai = house.post("/v1/embeddings", &model).await;
    assert_eq!(openai.header("x-rapport-provider"), "offline");
    let data = openai.json()["data"].as_array().unwrap().clone();
    assert_eq!((data.len(), data[0]["embedding"].as_array().unwrap().len()), (2, 8), "{openai:?}");
    let vector = &data[0]["embedding"];
    let ollama = house.post("/api/embed", &model).await.json();
    assert_eq!(&ollama["embeddings"][0], vector);
    let one = house.post("/api/embeddings", &model).await.json();
    assert_eq!(one["embedding"].as_array().unwrap().len(), 512);
    let cohere = house.post("/v2/embed", &model).await.json();
    assert_eq!(cohere["embeddings"]["float"].as_array().unwrap().len(), 1, "{cohere}");
    let part = json!({"content": {"parts": [{"text": "a b"}]}, "outputDimensionality": 8});
    let path = "/v1beta/models/hash-embed";
    let gemini = house.post(&format!("{path}:embedContent"), &part).await.json();
    assert_eq!(&gemini["embedding"]["values"], vector, "{gemini}");
    let body = json!({"requests": [part]});
    let batch = house.post(&format!("{path}:batchEmbedContents"), &body).await.json();
    assert_eq!(&batch["embeddings"][0]["values"], vector);
    let long = json!({"model": "hash-embed", "input": "a", "dimensions": 4_097});
    let long = house.post("/v1/embeddings", &long).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST, "shorter ones are not what was asked for");
    assert!(long.text.contains("`4097`") && long.text.contains("1 to 4096"), "{long:?}");
    let chat = house.post("/v1/embeddings", &json!({"model": "demo", "input": "a"})).await;
    assert_eq!(chat.status, StatusCode::BAD_REQUEST);
    assert!(chat.text.contains("hash-embed"), "{chat:?}");
}

#[tokio::test]
async fn embeddings_pass_untouched_or_are_translated_and_short_answers_are_refused() {
    let reply = r#"{"object":"list", "data":[{"index":0,"embedding":[0.50,1]}],"model":"e"}"#;
    let stub = Stub::start(200, "application/json", reply).await;
    let house = before("openai_chat", &stub, &["e"]).await;
    let same = house.post("/v1/embeddings", &json!({"model": "there/e", "input": "a"})).await;
    assert_eq!(same.text, reply);
    assert_eq!(stub.last().text(), r#"{"model":"e","input":"a"}"#);
    let ollama = house.post("/api/embed", &json!({"model": "e", "input": "a"})).await;
    assert_eq!(ollama.json()["embeddings"], json!([[0.5, 1.0]]), "{ollama:?}");
    assert_eq!(stub.last().path, "/v1/embeddings");
    let two = house.post("/api/embed", &json!({"model": "e", "input": ["a", "b"]})).await;
    assert_eq!(two.status, StatusCode::BAD_GATEWAY);
    assert!(two.text.contains("1 embeddings of 2"), "{two:?}");
    let gemini = Stub::start(200, "application/json", r#"{"embeddings":[{"values":[1]}]}"#).await;
    let house = before("gemini", &gemini, &["g"]).await;
    let openai = house.post("/v1/embeddings", &json!({"model": "g", "input": "a"})).await;
    assert_eq!(openai.json()["data"][0]["embedding"], json!([1.0]), "{openai:?}");
    assert_eq!(gemini.last().path, "/v1beta/models/g:batchEmbedContents");
    let limit = r#"{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#;
    let broken = Stub::start(429, "application/json", limit).await;
    let house = before("gemini", &broken, &["g"]).await;
    let limited = house.post("/v1/embeddings", &json!({"model": "g", "input": "a"})).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS, "{limited:?}");
}

#[tokio::test]
async fn documents_are_ranked_offline_and_by_providers() {
    let house = House::new().await;
    let body = json!({"model": "lexical-rerank", "query": "red house", "top_n": 1,
                      "documents": ["a blue car", {"text": "the red house"}],
                      "return_documents": true});
    for path in ["/v1/rerank", "/v2/rerank"] {
        let ranked = house.post(path, &body).await.json();
        assert_eq!(ranked["results"].as_array().unwrap().len(), 1, "{ranked}");
        assert_eq!(ranked["results"][0]["index"], 1);
        assert_eq!(ranked["results"][0]["document"]["text"], "the red house");
    }
    let voyage = json!({"model": "lexical-rerank", "query": "x", "top_k": 2, "documents": ["x"]});
    let voyage = house.post("/v1/rerank", &voyage).await.json();
    assert_eq!(voyage["data"][0]["index"], 0);
    let wrong = house.post("/v2/rerank", &json!({"query": "x"})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.json()["message"].as_str().unwrap().contains("documents"), "{wrong:?}");
    let stub = Stub::start(200, "application/json", "{\"results\":[]}").await;
    let house = before("openai_chat", &stub, &["r"]).await;
    let body = json!({"model": "there/r", "query": "x", "documents": ["y"]});
    assert_eq!(house.post("/v1/rerank", &body).await.text, "{\"results\":[]}");
    assert_eq!(stub.last().text(), body.to_string().replace("there/r", "r"));
}

#[tokio::test]
async fn results_of_anthropics_batches_are_asked_here() {
    let theirs = "https://api.anthropic.com/v1/messages/batches/b/results";
    let body = format!(r#"{{"id":"b","results_url":"{theirs}","n":1.50}}"#);
    let stub = Stub::start(200, "application/json", body.clone()).await;
    let house = before("anthropic", &stub, &["claude-x"]).await;
    let request = Request::get("/v1/messages/batches/b").header("host", "localhost:61900");
    let answer = house.send(request.body(axum::body::Body::empty()).unwrap()).await;
    let ours = body.replace("https://api.anthropic.com", "http://localhost:61900");
    assert_eq!(answer.text, ours);
    assert_eq!(answer.header("content-length"), ours.len().to_string());
    let results = Request::get("/v1/messages/batches/b/results").header("host", "localhost:61900");
    let answer = house.send(results.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.text, body, "results are the provider's own bytes");
}
