//! Every API's requests and answers through every other.

use super::*;

fn asked() -> Asked {
    Asked {
        inputs: vec![Input::Text("one \"1\"".into()), Input::Text("two".into())],
        dimensions: Some(8),
        ..Asked::default()
    }
}

#[test]
fn a_request_written_is_the_request_read() {
    for embedder in EMBEDDERS {
        let written = embedder.write(&asked(), "m").unwrap();
        let read = embedder.request(&written).unwrap();
        let is_one = embedder.name().ends_with("_one");
        let count = if is_one { 1 } else { 2 };
        assert_eq!(read.inputs, asked().inputs[..count], "{}", embedder.name());
        if embedder.name() != "ollama_one" {
            assert_eq!(read.dimensions, Some(8), "{}", embedder.name());
        }
    }
}

#[test]
fn an_answer_written_is_the_answer_read_also_as_base64() {
    let vectors = Vectors {
        model: "m".into(),
        vectors: vec![vec![0.5, -0.25, 0.125], vec![1.0, 0.0, -2.0]],
        tokens: Some(3),
    };
    for embedder in EMBEDDERS {
        let read = embedder.read(&embedder.reply(&vectors, &asked())).unwrap();
        let count = if embedder.name().ends_with("_one") { 1 } else { 2 };
        assert_eq!(read.vectors, vectors.vectors[..count], "{}", embedder.name());
    }
    let packed = Asked { is_base64: true, ..asked() };
    let body = OpenAi.reply(&vectors, &packed);
    let text = String::from_utf8(body.clone()).unwrap();
    assert!(text.contains(r#""embedding":"AAAAPwAAgL4AAAA+""#), "{text}");
    assert_eq!(OpenAi.read(&body).unwrap().vectors, vectors.vectors);
}

#[test]
fn base64_keeps_every_length() {
    for length in 0..9_u32 {
        let vector: Vec<f64> = (0..length).map(|n| f64::from(n) - 1.5).collect();
        assert_eq!(base64::read(&base64::write(&vector)).unwrap(), vector);
    }
    assert_eq!(base64::read("not base64!"), None);
    assert_eq!(base64::read("AAA="), None, "two bytes are no number");
}

#[test]
fn tokens_are_read_and_only_openai_can_write_them() {
    let one = OpenAi.request(br#"{"model":"m","input":[1,2]}"#).unwrap();
    assert_eq!(one.inputs, [Input::Tokens(vec![1, 2])]);
    let two = OpenAi.request(br#"{"model":"m","input":[[1],[2,3]]}"#).unwrap();
    assert_eq!(two.inputs.len(), 2);
    OpenAi.write(&two, "m").unwrap();
    let fault = Ollama.write(&two, "m").unwrap_err();
    assert!(fault.hint_text().unwrap().contains("check_embedding_ctx_length"));
}

#[test]
fn errors_name_the_field() {
    for (embedder, body, field) in [
        (EMBEDDERS[0], "{}", "input"),
        (EMBEDDERS[0], r#"{"input":5}"#, "input"),
        (EMBEDDERS[0], r#"{"input":["a",{}]}"#, "input"),
        (EMBEDDERS[0], r#"{"input":"a","dimensions":0}"#, "dimensions"),
        (EMBEDDERS[0], r#"{"input":"a","encoding_format":"x"}"#, "encoding_format"),
        (EMBEDDERS[1], r#"{"input":[1]}"#, "input"),
        (EMBEDDERS[2], "{}", "prompt"),
        (EMBEDDERS[3], "{}", "requests"),
        (EMBEDDERS[4], r#"{"content":{"parts":[{"inlineData":{}}]}}"#, "content.parts"),
        (EMBEDDERS[5], "{}", "texts"),
        (EMBEDDERS[5], r#"{"texts":["a"],"embedding_types":["int8"]}"#, "embedding_types"),
    ] {
        let fault = embedder.request(body.as_bytes()).unwrap_err();
        assert_eq!(fault.detail_values().unwrap()["field"], field, "{body}");
    }
    for embedder in EMBEDDERS {
        let fault = embedder.request(b"[1").unwrap_err();
        assert_eq!(fault.code(), Code::InvalidJson);
        for body in ["{}", "<html>", r#"{"data":[{"embedding":["x"]}],"embeddings":[5]}"#] {
            let fault = embedder.read(body.as_bytes()).unwrap_err();
            assert_eq!(fault.code(), Code::UpstreamInvalid, "{} {body}", embedder.name());
        }
    }
}
