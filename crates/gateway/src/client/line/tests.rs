//! Answers are framed right however they are cut, and a connection is used again only when it is
//! clean.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use wire::frame::body::{Framing, Meter, Next, Pieces};

use super::framing::framing;
use super::{Broken, Kept, Line};

/// A line and the other end of it.
async fn pair() -> (Line, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    (Line::new(near), far)
}

/// Plays an answer, cut at every given place, and reads it.
async fn played(answer: &[u8], cut: usize, closes: bool) -> (Line, Result<Vec<u8>, Broken>) {
    let (mut line, mut far) = pair().await;
    line.ask("POST / HTTP/1.1\r\n\r\n".into(), Bytes::new());
    line.sent().await.unwrap();
    let (first, second) = answer.split_at(cut.min(answer.len()));
    far.write_all(first).await.unwrap();
    far.flush().await.unwrap();
    let second = second.to_vec();
    let reading = async {
        line.answered().await?;
        let mut body = Vec::new();
        while let Some(bytes) = line.chunk().await? {
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    };
    let writing = async {
        tokio::task::yield_now().await;
        far.write_all(&second).await.unwrap();
        if closes {
            far.shutdown().await.unwrap();
        }
        far
    };
    let (body, _far) = tokio::join!(reading, writing);
    (line, body)
}

#[tokio::test]
async fn every_framing_is_read_to_its_end_wherever_it_is_cut() {
    let answers: [(&[u8], bool); 5] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 11, 11\r\n\r\nhello world", false),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
              5;x=\"y\"\r\nhello\r\n06\r\n world\r\n0\r\ntrailer: 1\r\n\r\n",
            false,
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
              HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\nb\nhello world\n0\n\n",
            false,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello world", true),
    ];
    for (answer, closes) in answers {
        for cut in 0..=answer.len() {
            let (line, body) = played(answer, cut, closes).await;
            let shown = String::from_utf8_lossy(answer);
            assert_eq!(body.unwrap(), b"hello world", "cut at {cut}: {shown}");
            assert_eq!(line.is_free(), !closes, "cut at {cut}: {shown}");
        }
    }
}

#[tokio::test]
async fn what_is_no_http_is_named_and_what_is_cut_is_no_end() {
    for (answer, why) in [
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP/1.1"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "two content"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "no number"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "not framed as"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
            "not framed as it says",
        ),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "switched"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", "end of file"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", "end of file"),
        ("HTTP/1.1 200", "end of file"),
        ("", "end of file"),
    ] {
        let (line, body) = played(answer.as_bytes(), 9, true).await;
        let text = body.unwrap_err().to_string();
        assert!(text.contains(why), "{answer:?}: {text}");
        assert!(!line.is_free(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_question_is_out_is_read() {
    let (mut line, mut far) = pair().await;
    // More than the buffers of both ends take.
    line.ask("POST / HTTP/1.1\r\n\r\n".into(), vec![b'x'; 32 << 20].into());
    far.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
    line.sent().await.unwrap();
    assert_eq!(line.answered().await.unwrap().status, 413);
    assert_eq!(line.chunk().await.unwrap().unwrap(), "no");
    assert_eq!(line.chunk().await.unwrap(), None);
    assert!(!line.is_free(), "half a question stands on the line");
}

#[tokio::test]
async fn a_long_question_and_a_long_answer_pass_each_other() {
    let (mut line, mut far) = pair().await;
    let size = 16_usize << 20;
    line.ask("POST / HTTP/1.1\r\n\r\n".into(), vec![b'x'; size].into());
    let echo = async {
        far.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut head = vec![0_u8; 19];
        far.read_exact(&mut head).await.unwrap();
        let (mut from, mut to) = far.split();
        let mut held = vec![0_u8; 65_536];
        let mut left = size;
        while left > 0 {
            let count = from.read(&mut held).await.unwrap();
            to.write_all(&held[..count]).await.unwrap();
            left -= count;
        }
    };
    let ask = async {
        line.sent().await.unwrap();
        line.answered().await.unwrap();
        let mut came = 0;
        while let Some(bytes) = line.chunk().await.unwrap() {
            came += bytes.len();
        }
        came
    };
    let (came, ()) = tokio::join!(ask, echo);
    assert_eq!(came, size);
    assert!(line.is_free());
}

#[tokio::test]
async fn a_connection_that_was_left_or_spoke_unasked_is_not_used_again() {
    let kept = Kept::default();
    let (line, far) = pair().await;
    kept.put(line);
    let mut taken = kept.take().expect("it is free and open");
    assert!(kept.take().is_none());
    drop(far);
    while taken.is_quiet() {
        tokio::task::yield_now().await;
    }
    kept.put(taken);
    assert!(kept.take().is_none(), "the other side has left");
    let (mut line, mut far) = pair().await;
    far.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    while line.is_quiet() {
        tokio::task::yield_now().await;
    }
    kept.put(line);
    assert!(kept.take().is_none(), "an answer nobody asked for is none to the next question");
}

#[test]
fn statuses_without_a_body_have_none_whatever_the_head_says() {
    let mut headers = http::HeaderMap::new();
    headers.insert("content-length", "5".parse().unwrap());
    for status in [204, 304] {
        let status = http::StatusCode::from_u16(status).unwrap();
        assert_eq!(framing(status, &headers).unwrap(), Framing::Empty);
    }
    headers.insert("transfer-encoding", "gzip, chunked".parse().unwrap());
    assert_eq!(framing(http::StatusCode::OK, &headers).unwrap(), Framing::Chunked);
}

#[test]
fn the_end_of_a_chunk_is_taken_with_it_when_it_is_there() {
    let mut body = Pieces::new(Meter::new(Framing::Chunked));
    let mut came = BytesMut::from("3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(body.next(&mut came).unwrap(), Next::Data("abc".into()));
    assert!(body.is_over() && came.is_empty());
}

#[test]
fn what_stands_between_two_chunks_has_an_end() {
    let endless =
        [("5;".to_owned(), "x".repeat(1_000)), ("0\r\n".to_owned(), "a: b\r\n".repeat(200))];
    for (begin, more) in endless {
        let mut body = Pieces::new(Meter::new(Framing::Chunked));
        assert_eq!(body.next(&mut BytesMut::from(&*begin)).unwrap(), Next::More);
        let went = (0..100).map(|_| body.next(&mut BytesMut::from(&*more)));
        let why = Broken::from(went.collect::<Result<Vec<_>, _>>().unwrap_err());
        assert!(why.to_string().contains("no end"), "{why}");
    }
}
