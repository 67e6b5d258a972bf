//! What the proxy says of itself.

use inspect::capture::Way;
use inspect::export::Secrets;
use inspect::{Book, Ending, Kind, Room, Target, tell};
use serde_json::Value;

use crate::house::{Server, over, proxy, say};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn get(proxy: &inspect::Proxy, path: &str, host: &str) -> (String, String) {
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8(say(proxy.address(), ask.as_bytes()).await).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_list_and_the_details_hide_secrets() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let ask = b"GET /x?api_key=hush HTTP/1.1\r\nAuthorization: Bearer hush-hush\r\n\
                Connection: close\r\n\r\n";
    say(proxy.address(), ask).await;
    over(&proxy, 1).await;
    let (_, body) = get(&proxy, "/__rapport__/exchanges", "localhost:8888").await;
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(list["exchanges"][0]["title"], "GET /x?api_key=[hidden]");
    assert_eq!(list["exchanges"].as_array().unwrap().len(), 1, "its own requests are not listed");
    for path in [
        "/__rapport__/exchanges/1",
        "/__rapport__/exchanges/1/request",
        "/__rapport__/har",
        "/__rapport__/jsonl",
    ] {
        let (head, body) = get(&proxy, path, "127.0.0.1").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        assert!(body.contains("[hidden]") && !body.contains("hush"), "{path}: {body}");
    }
}

#[tokio::test]
async fn pages_of_elsewhere_get_nothing() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let (head, body) = get(&proxy, "/__rapport__/exchanges", "evil.example:8888").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(!body.contains("target"));
    let ask =
        b"GET /__rapport__/har HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
                Connection: close\r\n\r\n";
    assert!(say(proxy.address(), ask).await.starts_with(b"HTTP/1.1 403 "));
    for own in ["localhost", "127.0.0.1:8888", "[::1]:8888", "[::1]"] {
        let with_origin = format!("{own}\r\nOrigin: http://{own}");
        let (head, _) = get(&proxy, "/__rapport__/exchanges", &with_origin).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{own}: {head}");
    }
}

#[tokio::test]
async fn rules_are_changed_while_it_runs_and_a_wrong_one_changes_nothing() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let put = |body: &str| {
        format!(
            "PUT /__rapport__/rules HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let set = put("{\"rules\":[\"path=/x status=500\"]}");
    assert!(say(proxy.address(), set.as_bytes()).await.starts_with(b"HTTP/1.1 200 "));
    let wrong = put("{\"rules\":[\"path=/x stauts=500\"]}");
    let said = String::from_utf8(say(proxy.address(), wrong.as_bytes()).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("stauts=500"), "{said}");
    // Whoever asks for one answer gets one, and the end.
    let got = say(proxy.address(), b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(got.starts_with(b"HTTP/1.1 500 "));
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let (head, body) = get(&proxy, "/__rapport__/exchanges/99", "localhost").await;
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("there is no exchange `99`"));
    let (_, page) = get(&proxy, "/__rapport__/", "localhost").await;
    assert!(page.contains("<title>rapport inspect</title>"));
}

#[tokio::test]
async fn a_filter_is_read_as_pages_write_it() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    for path in ["/v1/a", "/v2/b"] {
        let ask = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
        say(proxy.address(), ask.as_bytes()).await;
    }
    over(&proxy, 2).await;
    for (filter, titles) in [
        ("path%3A%2Fv1%2F*", &["GET /v1/a"][..]),
        ("path:/v2/*+status%3A2xx", &["GET /v2/b"]),
        ("find%3A%22GET+%2Fv2%22", &["GET /v2/b"]),
        ("", &["GET /v1/a", "GET /v2/b"]),
    ] {
        let path = format!("/__rapport__/exchanges?filter={filter}");
        let (_, body) = get(&proxy, &path, "localhost").await;
        let list: Value = serde_json::from_str(&body).unwrap();
        let rows = list["exchanges"].as_array().unwrap();
        let found: Vec<&str> = rows.iter().map(|row| row["title"].as_str().unwrap()).collect();
        assert_eq!(found, titles, "{filter}");
    }
    let (head, body) = get(&proxy, "/__rapport__/exchanges?filter=speaks%3Ampc", "localhost").await;
    assert!(head.starts_with("HTTP/1.1 400 ") && body.contains("`speaks:mpc`"), "{body}");
}

#[tokio::test]
async fn what_another_tells_of_a_pipe_grows_and_ends_as_one_exchange() {
    let elsewhere = Book::new(Room::default());
    let entry = elsewhere.open(Kind::Stdio, "standard input".into(), "tool".into());
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let address = proxy.address();
    let here = Target::new(&address.ip().to_string(), address.port(), false);
    let mut ends = proxy.book().ends();
    for (line, is_last) in
        [("{\"id\":1,\"method\":\"ping\"}\n", false), ("{\"id\":1,\"result\":{}}\n", true)]
    {
        entry.push(if is_last { Way::Answered } else { Way::Asked }, line.as_bytes());
        if is_last {
            entry.end(Ending::Whole);
        }
        let now = elsewhere.get(1).unwrap();
        tell(&here, "7-1", &now, Secrets::Hidden).await.unwrap();
        let seen = proxy.book().get(1).unwrap();
        assert_eq!((seen.kind, seen.is_open()), (Kind::Stdio, !is_last));
        assert_eq!(seen.answered.bytes().is_empty(), !is_last);
    }
    assert_eq!(ends.recv().await, Ok(1), "its end is told once, and to all");
    assert_eq!(proxy.book().size().0, 1);
    tell(&here, "7-1", &elsewhere.get(1).unwrap(), Secrets::Hidden).await.unwrap();
    assert_eq!(proxy.book().size().0, 2, "after its end the name is free");
    let broken = b"POST /__rapport__/told/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\
                   Connection: close\r\n\r\n{}";
    assert!(say(address, broken).await.starts_with(b"HTTP/1.1 400 "));
}

/// What a shell makes of a command for curl: its words, then what came through the pipe.
#[cfg(unix)]
fn words_of(command: &str) -> Vec<String> {
    let script =
        format!("curl() {{ printf '%s\\n' \"$@\"; case \"$*\" in *@-) cat; esac; }}\n{command}");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[tokio::test]
async fn a_request_is_given_as_curl_and_a_shell_reads_it_as_it_was() {
    let server = Server::start(b"}", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let bodies = [&b"{\"say\": \"it's $HOME\"}"[..], b"\x1b\x00}"];
    for (number, body) in (1..).zip(bodies) {
        let head = format!(
            "PUT /v1/x?key=hush&q='1' HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Api-Key: hush\r\n\
             Accept: a/b\r\nX-Empty:\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            server.address.port(),
            body.len()
        );
        say(proxy.address(), &[head.as_bytes(), body].concat()).await;
        over(&proxy, number).await;
    }
    let url = format!("http://{}/v1/x?key=[hidden]&q='1'", server.address);
    let (head, command) = get(&proxy, "/__rapport__/exchanges/1/curl", "localhost").await;
    assert!(head.contains("text/plain"), "{head}");
    let begin = ["-sS", "--noproxy", "*", "-X", "PUT", &url, "-H", "X-Api-Key: [hidden]"];
    let middle = ["-H", "Accept: a/b", "-H", "X-Empty;", "-H", "Content-Type:"];
    let text = [&begin[..], &middle, &["--data-raw", "{\"say\": \"it's $HOME\"}"]].concat();
    assert_eq!(words_of(&command), text);
    let (_, command) = get(&proxy, "/__rapport__/exchanges/2/curl", "localhost").await;
    let piped = [&begin[..], &middle, &["--data-binary", "@-", "\x1b\x00}"]].concat();
    assert_eq!(words_of(&command), piped);
    assert!(!command.contains('\x1b'), "a terminal shows it as it is");
}
