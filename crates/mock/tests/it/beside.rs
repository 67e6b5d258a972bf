//! What providers have beside conversations: embeddings, rankings, files, batches, media.

use crate::client::{Seen, scripted, send, start};
use mock::{Mock, Script};
use serde_json::{Value, json};

const FORM: &str = "content-type: multipart/form-data; boundary=xx\r\n";

async fn post(mock: &Mock, path: &str, body: &Value) -> Seen {
    send(mock, &format!("POST {path}"), "", &body.to_string()).await.unwrap()
}

fn form(fields: &[(&str, &str)], file: (&str, &str)) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        out +=
            &format!("--xx\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    let (name, body) = file;
    out + &format!(
        "--xx\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"a.jsonl\"\r\n\r\n\
         {body}\r\n--xx--\r\n"
    )
}

#[tokio::test]
async fn the_same_text_has_the_same_vector_in_every_shape() {
    let mock = start(Script::default()).await;
    let ask = json!({"model": "e", "input": ["a", "b"], "dimensions": 4});
    let one = post(&mock, "/v1/embeddings", &ask).await.json();
    let vector = one["data"][0]["embedding"].clone();
    assert_eq!((one["data"][1]["index"].as_u64(), vector.as_array().unwrap().len()), (Some(1), 4));
    assert_ne!(vector, one["data"][1]["embedding"]);
    let ask = json!({"model": "e", "input": "a", "dimensions": 4});
    let two = post(&mock, "/api/embed", &ask).await.json();
    assert_eq!(two["embeddings"][0], vector);
    let ask = json!({"model": "e", "texts": ["a"], "output_dimension": 4, "input_type": "x"});
    let three = post(&mock, "/v2/embed", &ask).await.json();
    assert_eq!(three["embeddings"]["float"][0], vector);
    let ask = json!({"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 4});
    let four = post(&mock, "/v1beta/models/e:embedContent", &ask).await.json();
    assert_eq!(four["embedding"]["values"], vector);
    let ask = json!({"requests": [ask]});
    let five = post(&mock, "/v1beta/models/e:batchEmbedContents", &ask).await.json();
    assert_eq!(five["embeddings"][0]["values"], vector);
    let old = post(&mock, "/api/embeddings", &json!({"model": "e", "prompt": "a"})).await.json();
    assert_eq!(old["embedding"].as_array().unwrap().len(), 8);
    let packed = json!({"model": "e", "input": [[1, 2]], "encoding_format": "base64"});
    let packed = post(&mock, "/v1/embeddings", &packed).await.json();
    assert_eq!(packed["data"][0]["embedding"].as_str().unwrap().len(), 44, "8 numbers of 4 bytes");
    for wrong in [json!({"model": "e"}), json!({"model": "e", "input": []}), json!({"input": "a"})]
    {
        assert_eq!(post(&mock, "/v1/embeddings", &wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn rankings_moderations_pictures_and_sound_are_answered() {
    let mock = start(Script::default()).await;
    let ask = json!({"model": "r", "query": "red car", "documents": ["a car", "a red car", "tea"],
                     "top_n": 2});
    let ranked = post(&mock, "/v2/rerank", &ask).await.json();
    let order: Vec<u64> = ranked["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["index"].as_u64().unwrap())
        .collect();
    assert_eq!(order, [1, 0]);
    let said = post(&mock, "/v1/moderations", &json!({"input": "violence"})).await.json();
    assert_eq!(said["results"][0]["flagged"], true);
    let drawn = post(&mock, "/v1/images/generations", &json!({"prompt": "x", "n": 2})).await.json();
    assert_eq!(drawn["data"].as_array().unwrap().len(), 2);
    let spoken = json!({"model": "t", "input": "hi", "voice": "v"});
    let spoken = post(&mock, "/v1/audio/speech", &spoken).await;
    assert_eq!(
        (spoken.header("content-type"), spoken.text().ends_with("hi")),
        ("audio/mpeg", true)
    );
    let body = form(&[("model", "w")], ("file", "RIFF"));
    let heard = send(&mock, "POST /v1/audio/transcriptions", FORM, &body).await.unwrap();
    assert_eq!(heard.json()["text"], "4 bytes of a.jsonl");
    let none = send(&mock, "POST /v1/audio/transcriptions", "", "{}").await.unwrap();
    assert_eq!(none.status, 400);
}

#[tokio::test]
async fn a_file_is_kept_and_a_batch_of_it_is_answered_by_the_script() {
    let mock = scripted("default.text = \"to {message}\"").await;
    let call = |name: &str, text: &str| {
        json!({"custom_id": name, "method": "POST", "url": "/v1/chat/completions",
               "body": {"model": "m", "messages": [{"role": "user", "content": text}]}})
    };
    let lines = format!("{}\n{}", call("one", "first"), call("two", "second"));
    let body = form(&[("purpose", "batch")], ("file", &lines));
    let file = send(&mock, "POST /v1/files", FORM, &body).await.unwrap().json();
    let id = file["id"].as_str().unwrap();
    assert_eq!((&file["filename"], &file["bytes"]), (&json!("a.jsonl"), &json!(lines.len())));
    let content = send(&mock, &format!("GET /v1/files/{id}/content"), "", "").await.unwrap();
    assert_eq!(content.text(), lines);
    let ask = json!({"input_file_id": id, "endpoint": "/v1/chat/completions"});
    let batch = post(&mock, "/v1/batches", &ask).await.json();
    assert_eq!(
        (&batch["status"], &batch["request_counts"]["completed"]),
        (&json!("completed"), &json!(2))
    );
    let output = batch["output_file_id"].as_str().unwrap();
    let output = send(&mock, &format!("GET /v1/files/{output}/content"), "", "").await.unwrap();
    let told: Vec<Value> =
        output.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told[1]["custom_id"], "two");
    assert_eq!(told[1]["response"]["body"]["choices"][0]["message"]["content"], "to second");
    let start = format!("GET /v1/batches/{}", batch["id"].as_str().unwrap());
    assert_eq!(send(&mock, &start, "", "").await.unwrap().json(), batch);
    let gone = send(&mock, &format!("DELETE /v1/files/{id}"), "", "").await.unwrap().json();
    assert_eq!(gone["deleted"], true);
    let none = send(&mock, &format!("GET /v1/files/{id}"), "", "").await.unwrap();
    assert_eq!(
        (none.status, none.json()["error"]["type"].as_str()),
        (404, Some("invalid_request_error"))
    );
    let list = send(&mock, "GET /v1/files", "", "").await.unwrap().json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "the output stays: {list}");
}

#[tokio::test]
async fn anthropics_batches_name_the_address_of_their_results() {
    let mock = scripted("default.text = \"to {message}\"").await;
    let params =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
    let ask = json!({"requests": [{"custom_id": "one", "params": params}]});
    let batch = post(&mock, "/v1/messages/batches", &ask).await.json();
    let id = batch["id"].as_str().unwrap();
    let path = format!("/v1/messages/batches/{id}/results");
    assert_eq!(batch["results_url"], format!("http://mock{path}"));
    let results = send(&mock, &format!("GET {path}"), "", "").await.unwrap();
    let line: Value = serde_json::from_str(results.text().trim()).unwrap();
    assert_eq!(line["result"]["message"]["content"][0]["text"], "to x");
    let gone = send(&mock, &format!("DELETE /v1/messages/batches/{id}"), "", "").await.unwrap();
    assert_eq!(gone.json()["type"], "message_batch_deleted");
    let none = send(&mock, &format!("GET {path}"), "", "").await.unwrap();
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn a_rule_that_names_the_path_still_decides() {
    let script = "[[rule]]\nwhen = { path = \"/v1/embeddings\" }\nreply = { status = 429 }";
    let mock = scripted(script).await;
    let ask = json!({"model": "e", "input": "a"});
    assert_eq!(post(&mock, "/v1/embeddings", &ask).await.status, 429);
    assert_eq!(post(&mock, "/v1/rerank", &json!({})).await.status, 400);
    assert_eq!(post(&mock, "/v1/nothing", &ask).await.status, 404);
}
