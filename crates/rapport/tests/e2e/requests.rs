//! The requests that are handed out for other tools are sent as they stand there.

use super::program::Home;

/// A request of the file, with its variables filled in.
struct Sent {
    line: String,
    text: String,
}

fn read(file: &str, host: &str) -> Vec<Sent> {
    let mut parts = file.split("\n### ");
    let head = parts.next().unwrap();
    let variables: Vec<(String, &str)> = head
        .lines()
        .filter_map(|line| line.strip_prefix('@')?.split_once(" = "))
        .map(|(name, value)| (format!("{{{{{name}}}}}"), value))
        .collect();
    assert!(variables.len() > 20, "{head}");
    parts
        .map(|part| {
            let mut text = part.split_once('\n').unwrap().1.to_owned();
            for (name, value) in &variables {
                text = text.replace(name, if name == "{{host}}" { "" } else { value });
            }
            let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
            let (line, headers) = head.trim_end().split_once('\n').unwrap();
            let body = body.trim_end();
            let mut text = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
            headers.lines().for_each(|header| text.extend([header, "\r\n"]));
            text += &format!("content-length: {}\r\n\r\n{body}", body.len());
            Sent { line: line.to_owned(), text }
        })
        .collect()
}

/// What the answers may be where an example cannot know a number, or what it names is not there.
fn is_expected(line: &str, status: &str) -> bool {
    match status {
        "404" => true,
        "400" => line.ends_with("/login/answer"),
        "401" => line.contains("/shared/"),
        "409" => line.ends_with("/turns/retry"),
        "501" => ["copy", "create", "delete", "pull", "push"]
            .iter()
            .any(|word| line.ends_with(&format!("/api/{word}"))),
        "503" => line.contains("/mcp/servers/files") || line.ends_with("/api/v1/mounts"),
        _ => status.starts_with('2'),
    }
}

#[tokio::test]
async fn every_request_that_is_handed_out_is_understood() {
    let home = Home::new();
    home.configure("debug: true\nmounts:\n  private: true\nwebhooks:\n  private: true\n");
    let printed = home.run(&["api", "http"]).await;
    let file = String::from_utf8(printed.stdout).unwrap();
    let server = home.serve(&[]).await;
    let host = server.addr.to_string();
    let (last, first): (Vec<_>, Vec<_>) = read(&file, &host)
        .into_iter()
        .partition(|sent| sent.line.starts_with("DELETE") || sent.line.ends_with("/close"));
    assert!(first.len() > 130 && last.len() > 15, "{} and {}", first.len(), last.len());
    let (mut fine, mut key) = (0, "Bearer none".to_owned());
    for sent in first.iter().chain(&last) {
        let mut wire = server.connect().await;
        wire.say(sent.text.replace("Bearer none", &key).as_bytes()).await;
        let answer = wire.line().await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(is_expected(&sent.line, status), "{}: {answer}\n{}", sent.line, sent.text);
        fine += usize::from(status.starts_with('2'));
        if sent.line == "POST /api/v1/keys" {
            // From now on the door asks for one.
            let rest = wire.rest().await;
            let (_, body) = rest.split_once("\r\n\r\n").unwrap();
            let made: serde_json::Value = serde_json::from_str(body).unwrap();
            key = format!("Bearer {}", made["secret"].as_str().unwrap());
        }
    }
    assert!(fine > 110, "only {fine} of {} found what they name", first.len() + last.len());
    server.stop().await;
}

#[tokio::test]
async fn the_files_of_the_docs_are_what_the_program_prints() {
    let home = Home::new();
    for (format, name) in [("http", "rapport.http"), ("postman", "rapport.postman_collection.json")]
    {
        let printed = home.run(&["api", format]).await;
        let file = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(&file).unwrap();
        assert!(
            kept.as_bytes() == printed.stdout,
            "docs/{name} is old: run `rapport api {format} > docs/{name}`"
        );
    }
}
