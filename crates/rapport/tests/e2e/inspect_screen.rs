//! `rapport inspect` on a terminal: the live view, key by key.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use tokio::time::Instant;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::house::{House, PATIENCE};

/// A terminal of 80 by 24, and the program before it.
struct Seat {
    child: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    /// All that was written to the terminal.
    all: Vec<u8>,
    terminal: File,
}

impl Seat {
    fn start(command: &mut Command) -> Self {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let open = || File::options().read(true).write(true).open(&name).unwrap();
        let terminal = open();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        command.env("TERM", "xterm").env("EDITOR", "sh edit.sh");
        let child = command.stdin(open()).stdout(open()).stderr(Stdio::piped()).spawn().unwrap();
        let keys = File::from(master);
        let mut from = keys.try_clone().unwrap();
        let (to, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if to.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, shown, all: Vec::new(), terminal }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the terminal shows a text in one of its lines.
    #[track_caller]
    fn see(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let lines = screen(&String::from_utf8_lossy(&self.all));
            if lines.iter().any(|line| line.contains(text)) {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.all.extend(bytes),
                Err(_) => panic!("no `{text}` in\n{}", lines.join("\n")),
            }
        }
    }

    /// Waits until something was written to the terminal.
    #[track_caller]
    fn written(&mut self, bytes: &str) {
        while !String::from_utf8_lossy(&self.all).contains(bytes) {
            self.all.extend(self.shown.recv_timeout(PATIENCE).expect("it is written"));
        }
    }

    fn is_line_by_line(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a terminal of 80 by 24 shows after these bytes, as far as the view uses one.
fn screen(bytes: &str) -> Vec<String> {
    let mut grid = vec![vec![' '; 80]; 24];
    let (mut y, mut x) = (0, 0);
    let mut rest = bytes.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                let mut command = String::new();
                for c in rest.by_ref() {
                    command.push(c);
                    if c.is_ascii_alphabetic() {
                        break;
                    }
                }
                let command = command.trim_start_matches('[');
                if let Some(place) = command.strip_suffix('H') {
                    let mut numbers = place.split(';').map(|n| n.parse().unwrap_or(1_usize));
                    y = numbers.next().unwrap_or(1) - 1;
                    x = numbers.next().unwrap_or(1) - 1;
                } else if command.ends_with('J') {
                    grid = vec![vec![' '; 80]; 24];
                }
            }
            '\r' => x = 0,
            '\n' => y = (y + 1).min(23),
            c => {
                if x >= 80 {
                    (y, x) = ((y + 1).min(23), 0);
                }
                grid[y][x] = c;
                x += 1;
            }
        }
    }
    grid.into_iter().map(|line| line.into_iter().collect()).collect()
}

/// Where the inspector listens, as it says it before the view begins.
fn port(child: &mut Child) -> u16 {
    use std::io::BufRead as _;
    let mut said = String::new();
    std::io::BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    said.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

fn ask(port: u16, body: &str) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /api/mcp/interact HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream
}

#[test]
fn a_key_shows_the_detail_a_held_request_is_edited_and_q_restores_the_terminal() {
    let house = House::new();
    let server = house.serve(&[]);
    house.write("edit.sh", "sed -i s/hello/goodbye/ \"$1\"\n");
    let to = format!("127.0.0.1:{}", server.port);
    let mut command = house.command(&["inspect", "--listen", "127.0.0.1:0", "--to", &to]);
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let mut seat = Seat::start(&mut command);
    let port = port(&mut seat.child);
    seat.see("nothing was asked yet");
    assert!(!seat.is_line_by_line(), "keys are read one by one");
    let body = "{\"sessionId\":\"s\",\"message\":\"hello \u{1b}[2J\"}".replace('\u{1b}', "\\u001b");
    let mut answer = String::new();
    ask(port, &body).read_to_string(&mut answer).unwrap();
    seat.see("POST /api/mcp/interact");
    seat.press("\r");
    seat.see("times");
    seat.press("3");
    seat.see("You said 'hello");
    seat.see("\\u001b[2J");
    // Every request is held from now on; this one goes on as the editor leaves it.
    seat.press("\u{1b}");
    seat.see("all of them");
    seat.press("p");
    seat.see("HOLDING");
    let mut held = ask(port, "{\"sessionId\":\"s\",\"message\":\"hello\"}");
    seat.see("#2 POST");
    seat.see("1 wait");
    seat.press("G");
    seat.press("e");
    seat.see("was let go with another body");
    let mut answer = String::new();
    held.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("You said 'goodbye'"), "{answer}");
    seat.press("q");
    assert!(seat.child.wait().unwrap().success());
    assert!(seat.is_line_by_line(), "the terminal is as it was");
    // The other screen was left.
    seat.written("\u{1b}[?1049l");
}

#[test]
fn a_signal_restores_the_terminal_and_lines_are_printed_where_they_are_asked_for() {
    let house = House::new();
    let server = house.serve(&[]);
    let to = format!("127.0.0.1:{}", server.port);
    let mut seat =
        Seat::start(&mut house.command(&["inspect", "--listen", "127.0.0.1:0", "--to", &to]));
    seat.see("nothing was asked yet");
    let id = rustix::process::Pid::from_child(&seat.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(seat.child.wait().unwrap().success());
    assert!(seat.is_line_by_line());
    let plain = ["inspect", "--no-tui", "--listen", "127.0.0.1:0", "--to", &to];
    let mut seat = Seat::start(&mut house.command(&plain));
    let port = port(&mut seat.child);
    let mut answer = String::new();
    ask(port, "{\"sessionId\":\"s\",\"message\":\"hi\"}").read_to_string(&mut answer).unwrap();
    seat.see("#1 POST /api/mcp/interact  200");
}
