//! What the socket tables say, about real sockets and about recorded lines.

use std::net::TcpListener;

#[cfg(target_os = "linux")]
use super::linux::{Row, from_files, read_row, split_stat};
use super::{holder, listeners, names_number, processes_naming, redact, table};

#[test]
fn a_listening_socket_is_found_with_this_process_as_owner() {
    for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
        let Ok(socket) = TcpListener::bind(bind) else { continue };
        let place = socket.local_addr().unwrap();
        let all = listeners().unwrap();
        let found = all.iter().find(|l| l.port == place.port() && l.address == place.ip()).unwrap();
        let owner = found.owner.as_ref().unwrap();
        assert_eq!(owner.pid, std::process::id());
        assert!(owner.started.as_ref().unwrap().ends_with('Z'));
        assert_eq!(holder(place.port()).unwrap().pid, std::process::id());
        drop(socket);
        let after = listeners().unwrap();
        assert!(!after.iter().any(|l| (l.port, l.inode) == (found.port, found.inode)));
    }
}

#[cfg(unix)]
#[test]
fn root_is_not_told_to_become_root() {
    assert!(super::hidden_from(false).contains("root"));
    assert!(!super::hidden_from(true).contains("root"), "{}", super::hidden_from(true));
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(super::why_hidden(), super::hidden_from(is_root));
}

#[test]
fn a_connection_is_no_listener() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let client_port = client.local_addr().unwrap().port();
    let table = table().unwrap();
    assert!(table.connections.iter().any(|c| c.port == client_port && c.remote_port == port));
    assert!(!table.listeners.iter().any(|l| l.port == client_port));
    let listening = table.listeners.iter().find(|l| l.port == port).unwrap();
    // Windows does not tell the queue.
    let waiting = u32::from(!cfg!(windows));
    assert_eq!(listening.waiting, waiting, "one connection waits to be accepted");
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_and_its_files_say_the_same_and_the_kernel_says_more() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let of = |all: &[super::Listener]| all.iter().find(|one| one.port == port).cloned().unwrap();
    let (asked, read) = (of(&table().unwrap().listeners), of(&from_files().unwrap().listeners));
    assert_eq!((asked.address, asked.uid, asked.inode), (read.address, read.uid, read.inode));
    assert!(asked.queue_limit.is_some() && asked.is_full() == Some(false), "{asked:?}");
    assert_eq!((read.queue_limit, read.is_full()), (None, None));
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_that_is_held_without_listening_is_seen_with_its_holder() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let table = table().unwrap();
    let bound = table.bound.iter().find(|one| one.port == port).unwrap();
    assert_eq!(bound.owner.as_ref().unwrap().pid, std::process::id());
    assert!(!table.listeners.iter().any(|one| one.port == port));
}

#[cfg(target_os = "linux")]
#[test]
fn recorded_lines_are_read() {
    let line = "   1: 0100007F:F1CC 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000 \
                       0 52345 1 0000000000000000 100 0 0 10 0";
    let Some(Row::Listening(listener)) = read_row(line) else { panic!("no listener") };
    assert_eq!((listener.place().as_str(), listener.uid), ("127.0.0.1:61900", 1000));
    assert_eq!((listener.inode, listener.waiting), (52345, 3));
    let line = "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 \
                0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0 100 0 0 10 0";
    let Some(Row::Listening(listener)) = read_row(line) else { panic!("no listener") };
    assert_eq!(listener.place(), "[::1]:8080");
    for broken in ["", "0:", "a b c d e f g h i j k", "1: 0100007F:XXXX 0:0 0A 0:0 0 0 0 0 0"] {
        assert_eq!(read_row(broken), None, "{broken:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_name_may_hold_anything() {
    assert_eq!(split_stat("7 (a) b (c)) S 1 2"), Some(("a) b (c)", " S 1 2")));
    assert_eq!(split_stat("7"), None);
}

#[test]
fn this_process_never_names_the_number_itself() {
    let pid = std::process::id();
    let found = processes_naming(&pid.to_string());
    assert!(!found.iter().any(|process| process.pid == pid));
}

#[test]
fn a_number_counts_only_when_it_stands_alone() {
    assert!(names_number("--port\u{0}619009\u{0}", "619009"));
    assert!(names_number("--port=619009", "619009"));
    assert!(!names_number("16190091", "619009"));
    assert!(names_number("6190090 619009", "619009"));
}

#[test]
fn secrets_of_a_command_line_are_left_out() {
    let words = [
        "server",
        "--api-key",
        "hunter2",
        "--token=hunter2",
        "sk-hunter2",
        "API_KEY=hunter2",
        "http://me:hunter2@host/",
        "--port",
        "61900",
    ];
    let line = redact::command_line(words.into_iter());
    assert!(!line.contains("hunter2"), "{line}");
    assert!(line.ends_with("--port 61900"), "{line}");
    let long = redact::command_line(std::iter::repeat_n("word", 500));
    assert!(long.chars().count() <= 161);
}
