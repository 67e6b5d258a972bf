//! The live view, drawn on a terminal of the tests' own.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{Act, App, Mode};
use super::pane::Pane;
use super::{draw, keys};
use crate::capture::{Book, Ending, Kind, Room, Way};
use crate::decode::{Cost, Prices};
use crate::export::Secrets;
use crate::http::{Head, Side};

const ANSWER: &str = "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\
    \"model\":\"claude-x\",\"content\":[{\"type\":\"text\",\"text\":\"Hello \\u001b[31mred\"}],\
    \"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":12,\"output_tokens\":5}}";

fn call(book: &Book, path: &str, status: u16) -> u64 {
    let body = "{\"model\":\"claude-x\",\"max_tokens\":9,\"system\":\"be kind\",\
                \"messages\":[{\"role\":\"user\",\"content\":\"who are you\"}]}";
    let ask = format!(
        "POST {path} HTTP/1.1\r\nx-api-key: sk-ant-api03-hush-hush-hush\r\n\
         anthropic-version: 1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let entry = book.open(Kind::Http, "127.0.0.1:5".into(), "127.0.0.1:61900".into());
    entry.push(Way::Asked, ask.as_bytes());
    entry.push(Way::Answered, answer.as_bytes());
    entry.change(|page| {
        page.ask = Head::read(ask.as_bytes(), Side::Ask).unwrap();
        page.ask_framing = page.ask.as_ref().unwrap().ask_framing();
        page.answer = Head::read(answer.as_bytes(), Side::Answer).unwrap();
        page.answer_framing = page.answer.as_ref().unwrap().answer_framing("POST");
    });
    entry.end(Ending::Whole);
    entry.number()
}

struct Seat {
    app: App,
    book: Book,
    terminal: Terminal<TestBackend>,
}

impl Seat {
    fn new(width: u16, height: u16) -> Self {
        let cost = Cost { micro_usd: 1_234, is_upper_bound: false };
        let prices = Prices::new(move |_| Some(cost));
        let title = "rapport inspect  127.0.0.1:8888 → 127.0.0.1:61900".to_owned();
        let mut seat = Self {
            app: App::new(title, prices, Secrets::Hidden),
            book: Book::new(Room::default()),
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
        };
        for number in 0..3 {
            call(&seat.book, "/v1/messages", if number == 1 { 529 } else { 200 });
        }
        seat.book.each(0, |exchange| {
            seat.app.take(exchange);
            true
        });
        seat
    }

    fn press(&mut self, code: KeyCode) -> Option<Act> {
        keys::key(&mut self.app, KeyEvent::new(code, KeyModifiers::NONE), &self.book)
    }

    fn type_in(&mut self, text: &str) -> Option<Act> {
        for c in text.chars() {
            assert_eq!(self.press(KeyCode::Char(c)), None);
        }
        self.press(KeyCode::Enter)
    }

    fn drawn(&mut self) -> Vec<String> {
        self.app.read_if_seen(&self.book);
        self.terminal.draw(|frame| draw::draw(frame, &mut self.app)).unwrap();
        let buffer = self.terminal.backend().buffer();
        let area = buffer.area;
        let line = |y: u16| -> String {
            (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>()
        };
        (0..area.height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[track_caller]
    fn shows(&mut self, text: &str) {
        let drawn = self.drawn().join("\n");
        assert!(drawn.contains(text), "no `{text}` in\n{drawn}");
    }

    #[track_caller]
    fn hides(&mut self, text: &str) {
        let drawn = self.drawn().join("\n");
        assert!(!drawn.contains(text), "`{text}` in\n{drawn}");
    }
}

#[test]
fn the_list_fits_a_terminal_of_eighty_columns() {
    let mut seat = Seat::new(80, 24);
    let drawn = seat.drawn();
    assert!(drawn[0].starts_with("rapport inspect  127.0.0.1:8888"), "{drawn:?}");
    assert!(drawn[2].contains("#1 POST /v1/messages") && drawn[2].contains("200"), "{drawn:?}");
    assert!(drawn[3].contains("529"), "{drawn:?}");
    assert!(drawn[2].contains("claude-x 12→5 tokens, $"), "{drawn:?}");
    assert!(drawn.iter().all(|line| line.chars().count() <= 80));
    assert!(drawn[23].ends_with("q quit"), "{drawn:?}");
    for (width, height) in [(20, 4), (40, 10), (300, 100), (1, 1)] {
        Seat::new(width, height).drawn();
    }
}

#[test]
fn a_key_shows_one_and_its_panes() {
    let mut seat = Seat::new(80, 24);
    assert_eq!(seat.press(KeyCode::Enter), None);
    for text in
        ["1 overview", "tokens    12 in, 5 out", "cost      $0.001234", "stopped   end_turn"]
    {
        seat.shows(text);
    }
    seat.press(KeyCode::Char('2'));
    seat.shows("x-api-key: [hidden]");
    seat.shows("\"model\": \"claude-x\"");
    seat.hides("hush");
    seat.press(KeyCode::Right);
    seat.shows("HTTP/1.1 200");
    seat.press(KeyCode::Char('4'));
    for text in ["system", "be kind", "who are you", "said by claude-x"] {
        seat.shows(text);
    }
    // What would colour the terminal is shown, and does nothing.
    seat.shows("Hello \\x1b[31mred");
    seat.press(KeyCode::Char('5'));
    seat.shows("nothing");
    seat.press(KeyCode::Esc);
    assert_eq!(seat.app.mode, Mode::List);
    assert_eq!(seat.press(KeyCode::Char('q')), Some(Act::Quit));
}

#[test]
fn a_filter_and_a_search_narrow_what_is_seen() {
    let mut seat = Seat::new(80, 24);
    seat.press(KeyCode::Char('f'));
    seat.type_in("status:5xx");
    seat.shows("filter status:5xx  (1 of 3)");
    seat.hides("#1 POST");
    assert_eq!(seat.app.selected, 2);
    seat.press(KeyCode::Char('f'));
    seat.type_in("nonsense:7");
    seat.shows("`status:5xxnonsense:7`");
    seat.press(KeyCode::Char('f'));
    for _ in 0..60 {
        seat.press(KeyCode::Backspace);
    }
    seat.press(KeyCode::Enter);
    seat.shows("#1 POST");
    seat.press(KeyCode::Char('/'));
    seat.type_in("529");
    assert_eq!(seat.app.selected, 2);
    seat.press(KeyCode::Char('2'));
    seat.press(KeyCode::Char('/'));
    seat.type_in("who are");
    assert!(seat.app.scroll > 3, "{}", seat.app.scroll);
    seat.press(KeyCode::Char('/'));
    seat.type_in("nobody says this");
    seat.shows("is not in this pane");
}

#[test]
fn two_are_compared_and_what_is_asked_for_is_told() {
    let mut seat = Seat::new(160, 40);
    seat.press(KeyCode::Char('d'));
    seat.shows("mark one with m first");
    seat.press(KeyCode::Home);
    seat.press(KeyCode::Char('m'));
    seat.press(KeyCode::Down);
    seat.press(KeyCode::Char('d'));
    assert_eq!((seat.app.mode.clone(), seat.app.pane), (Mode::Detail, Pane::Difference));
    seat.shows("answer.status");
    seat.press(KeyCode::Esc);
    assert_eq!(seat.press(KeyCode::Char('r')), Some(Act::Replay(2, None)));
    seat.press(KeyCode::Char('R'));
    let to = "localhost:3000".to_owned();
    assert_eq!(seat.type_in("localhost:3000"), Some(Act::Replay(2, Some(to))));
    assert_eq!(seat.press(KeyCode::Char('e')), Some(Act::Edit(2)));
    assert_eq!(seat.press(KeyCode::Char('x')), Some(Act::Drop(2)));
    assert_eq!(seat.press(KeyCode::Char('p')), Some(Act::Hold));
    seat.press(KeyCode::Char('w'));
    assert_eq!(seat.press(KeyCode::Enter), Some(Act::Export("rapport-inspect.har".to_owned())));
    seat.press(KeyCode::Char('?'));
    seat.shows("hold every request from now on");
    seat.press(KeyCode::Char('z'));
    assert_eq!(seat.app.mode, Mode::List);
}

#[test]
fn the_newest_is_followed_until_another_is_chosen_and_the_forgotten_go() {
    let mut seat = Seat::new(80, 24);
    assert_eq!(seat.app.selected, 3);
    seat.press(KeyCode::Up);
    let number = call(&seat.book, "/later", 200);
    seat.app.take(&seat.book.get(number).unwrap());
    assert_eq!(seat.app.selected, 2);
    seat.press(KeyCode::End);
    let number = call(&seat.book, "/last", 200);
    seat.app.take(&seat.book.get(number).unwrap());
    assert_eq!(seat.app.selected, 5);
    seat.app.forget_before(5);
    seat.hides("#4");
    seat.shows("#5 POST /last");
    for code in [KeyCode::Up, KeyCode::PageUp, KeyCode::Home, KeyCode::PageDown] {
        seat.press(code);
        assert_eq!(seat.app.selected, 5);
    }
}

#[test]
fn a_narrow_terminal_keeps_what_matters_in_sight() {
    let mut seat = Seat::new(40, 12);
    for part in ["3 seen  127.0.0.1:8888 → 127.0.0.1:61900", "POST /v1/mes", "529", "q quit"] {
        seat.shows(part);
    }
    seat.press(KeyCode::Enter);
    seat.press(KeyCode::Char('4'));
    for part in [" 1  2  3  4 messages  5", "? keys  Esc back"] {
        seat.shows(part);
    }
    seat.press(KeyCode::Char('?'));
    seat.hides("this; quit");
    for _ in 0..40 {
        seat.press(KeyCode::Down);
    }
    seat.shows("this; quit");
    seat.press(KeyCode::Char('z'));
    assert_eq!(seat.app.mode, Mode::Detail);
}

#[test]
fn what_had_no_answer_says_so_in_the_room_of_a_status() {
    let mut seat = Seat::new(80, 24);
    let ask = b"GET /x HTTP/1.1\r\n\r\n";
    let entry = seat.book.open(Kind::Http, "127.0.0.1:5".into(), "127.0.0.1:1".into());
    entry.push(Way::Asked, ask);
    entry.change(|page| page.ask = Head::read(ask, Side::Ask).unwrap());
    entry.end(Ending::Unreached("refused the connection".to_owned()));
    seat.app.take(&seat.book.get(4).unwrap());
    seat.shows("none ");
    seat.hides("unre");
}

#[test]
fn a_line_is_edited_as_in_a_shell() {
    let mut seat = Seat::new(100, 20);
    seat.press(KeyCode::Char('f'));
    assert_eq!(seat.type_in("status:529"), None);
    assert_eq!(seat.app.filter_text, "status:529");
    let control = |seat: &mut Seat, letter| {
        let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        assert_eq!(keys::key(&mut seat.app, key, &seat.book), None);
    };
    seat.press(KeyCode::Char('f'));
    control(&mut seat, 'a');
    assert_eq!(seat.type_in(" bad worse"), None);
    assert_eq!(seat.app.filter_text, "status:529 bad worse", "other keys write nothing");
    seat.press(KeyCode::Char('f'));
    control(&mut seat, 'w');
    seat.press(KeyCode::Enter);
    assert_eq!(seat.app.filter_text.trim_end(), "status:529 bad");
    seat.press(KeyCode::Char('f'));
    control(&mut seat, 'u');
    assert_eq!(seat.type_in("bad"), None);
    assert_eq!(seat.app.filter_text, "bad");
}
