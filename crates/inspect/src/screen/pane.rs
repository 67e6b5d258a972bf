//! The panes of one exchange, as lines.

use std::time::Duration;

use crate::capture::Exchange;
use crate::decode::{self, Prices, Severity, View, dollars, size};
use crate::export::{self, Secrets};
use crate::http::{Head, Side};
use crate::{diff, visible};

/// Limit: characters of one line; longer ones go on in the next.
const LINE_MAX: usize = 2_000;
/// Limit: lines of a pane.
const LINES_MAX: usize = 50_000;

/// A pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Overview,
    Request,
    Answer,
    Messages,
    Frames,
    Difference,
}

impl Pane {
    /// Those with a number.
    pub(super) const ALL: [Self; 5] =
        [Self::Overview, Self::Request, Self::Answer, Self::Messages, Self::Frames];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Request => "request",
            Self::Answer => "answer",
            Self::Messages => "messages",
            Self::Frames => "frames",
            Self::Difference => "difference",
        }
    }

    /// The one to the right or to the left.
    pub(super) fn beside(self, by: isize) -> Self {
        let at = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(Self::ALL.len() - 1);
        Self::ALL.get(to).copied().unwrap_or(self)
    }
}

/// A line of a pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) kind: Kind,
}

/// How a line is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// A heading.
    Head,
    Bad,
    Odd,
    Good,
    Faint,
}

impl Line {
    pub(super) fn plain(text: String) -> Self {
        Self { text, kind: Kind::Plain }
    }
}

/// Lines, written one below the other.
#[derive(Default)]
struct Page(Vec<Line>);

impl Page {
    fn put(&mut self, kind: Kind, text: &str) {
        for line in visible(text).replace('\t', "    ").lines() {
            let mut rest = line;
            loop {
                let end = rest.char_indices().nth(LINE_MAX).map_or(rest.len(), |(at, _)| at);
                let (now, later) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if self.0.len() < LINES_MAX {
                    self.0.push(Line { text: now.to_owned(), kind });
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }

    fn head(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push(Line::plain(String::new()));
        }
        self.put(Kind::Head, text);
    }

    fn plain(&mut self, text: &str) {
        self.put(Kind::Plain, text);
    }
}

/// The lines of a pane.
pub(super) fn lines(
    pane: Pane,
    exchange: &Exchange,
    prices: &Prices,
    secrets: Secrets,
) -> Vec<Line> {
    let line = export::line(exchange, secrets);
    let seen = export::read(&line).unwrap_or_else(|_unread| exchange.clone());
    let mut page = Page::default();
    match pane {
        Pane::Overview => overview(&seen, &decode::priced(&seen, prices), &mut page),
        Pane::Request => side(&seen, (Side::Ask, seen.ask.as_ref()), &mut page),
        Pane::Answer => side(&seen, (Side::Answer, seen.answer.as_ref()), &mut page),
        Pane::Messages => messages(&seen, &decode::priced(&seen, prices), &mut page),
        Pane::Frames => frames(&decode::view(&seen), &mut page),
        Pane::Difference => {}
    }
    if page.0.is_empty() {
        page.put(Kind::Faint, "nothing");
    }
    page.0
}

fn overview(exchange: &Exchange, view: &View, page: &mut Page) {
    page.head(&format!("#{} {}", exchange.number, exchange.title()));
    for finding in &view.findings {
        let kind = if finding.severity == Severity::Error { Kind::Bad } else { Kind::Odd };
        page.put(kind, &format!("! {}  ({})", finding.text, finding.id));
    }
    for rule in &exchange.rules {
        page.put(Kind::Odd, &format!("rule: {rule}"));
    }
    let status = match view.status {
        0 => exchange.ending.as_str().replace('_', " "),
        status => format!("{status}, {}", exchange.ending.as_str().replace('_', " ")),
    };
    page.plain(&format!("answer    {status}"));
    page.plain(&format!("speaks    {}", view.speaks));
    page.plain(&format!("from, to  {} → {}", exchange.peer, exchange.target));
    page.plain(&format!("began     {}", exchange.begun));
    let (up, down) = (size(exchange.asked.passed()), size(exchange.answered.passed()));
    page.plain(&format!("bytes     {up} up, {down} down"));
    times(exchange, page);
    if let Some(model) = &view.model {
        page.head("call of a model");
        page.plain(&format!("model     {} in {}", model.model, model.dialect));
        let about = if model.estimated { "~" } else { "" };
        let cached = match model.tokens_cached {
            0 => String::new(),
            cached => format!(" ({cached} of them from the cache)"),
        };
        page.plain(&format!(
            "tokens    {about}{} in{cached}, {about}{} out",
            model.tokens_in, model.tokens_out
        ));
        let cost = match model.cost {
            Some(cost) if cost.is_upper_bound => {
                format!("{} at most", dollars(cost.micro_usd))
            }
            Some(cost) => format!("{about}{}", dollars(cost.micro_usd)),
            None => "not known".to_owned(),
        };
        page.plain(&format!("cost      {cost}"));
        page.plain(&format!("messages  {}", model.messages));
        if !model.tools.is_empty() {
            page.plain(&format!("tools     {}", model.tools.join(", ")));
        }
        if let Some(stop) = &model.stop {
            page.plain(&format!("stopped   {stop}"));
        }
    }
    if !view.rpc.is_empty() {
        page.head("JSON-RPC");
        for rpc in &view.rpc {
            page.plain(&rpc.line());
        }
    }
}

/// Each step with a bar from its beginning to its end.
fn times(exchange: &Exchange, page: &mut Page) {
    const WIDTH: u32 = 40;
    let times = exchange.times;
    let over = times.over.or(times.first_body).or(times.first).or(times.sent);
    let Some(over) = over.filter(|over| !over.is_zero()) else { return };
    page.head("times");
    let mut since = Duration::ZERO;
    let steps = [
        ("connected", times.connected),
        ("asked", times.sent),
        ("answered", times.first),
        ("body", times.first_body),
        ("over", times.over),
    ];
    for (name, at) in steps {
        let Some(at) = at else { continue };
        let place = |time: Duration| {
            let share = time.as_secs_f64() / over.as_secs_f64() * f64::from(WIDTH);
            (0..=WIDTH).take_while(|step| f64::from(*step) <= share).count().saturating_sub(1)
        };
        let (from, to) = (place(since.min(at)), place(at));
        let bar = format!("{}{}", " ".repeat(from), "█".repeat((to - from).max(1)));
        page.plain(&format!("{name:<10}{:>9}  {bar}", decode::shown(at)));
        since = at;
    }
}

fn side(exchange: &Exchange, (side, head): (Side, Option<&Head>), page: &mut Page) {
    if let Some(head) = head {
        let version = head.version.as_str();
        page.head(&match side {
            Side::Ask => format!("{} {} {version}", head.method(), head.path()),
            Side::Answer => format!("{version} {}", head.status()),
        });
        for (name, value) in &head.headers {
            page.plain(&format!("{name}: {value}"));
        }
    }
    let body = decode::body(exchange, side);
    if body.bytes > 0 {
        let packed = body.packed.as_ref();
        let packed = packed.map(|packed| format!(", {packed}: {} bytes sent", body.sent_bytes));
        page.head(&format!(
            "body: {}, {} bytes{}",
            body.kind,
            body.bytes,
            packed.unwrap_or_default()
        ));
    }
    if let Some(why) = &body.broken {
        page.put(Kind::Odd, &format!("! {why}"));
    }
    page.plain(&body.text);
    if !body.trailers.is_empty() {
        page.head("trailers");
        for (name, value) in &body.trailers {
            page.plain(&format!("{name}: {value}"));
        }
    }
}

fn messages(exchange: &Exchange, view: &View, page: &mut Page) {
    for (role, text) in decode::prompt(exchange) {
        page.head(&role);
        page.plain(&text);
    }
    if let Some(model) = &view.model {
        for (name, text) in [("thought", &model.thought), ("said", &model.said)] {
            if !text.is_empty() {
                page.head(&format!("{name} by {}", model.model));
                page.put(Kind::Good, text);
            }
        }
        for call in &model.calls {
            page.head("calls a tool");
            page.put(Kind::Good, call);
        }
        if let Some(failed) = &model.failed {
            page.put(Kind::Bad, failed);
        }
    }
    for rpc in &view.rpc {
        let way = if rpc.from_caller { '→' } else { '←' };
        let took = rpc.took_ms.map(|took| format!(" after {took:.1} ms")).unwrap_or_default();
        page.head(&format!("{:>9.1} ms {way} {} {}{took}", rpc.at_ms, rpc.kind, rpc.line()));
        let text = serde_json::to_string_pretty(&rpc.body).unwrap_or_default();
        page.put(if rpc.error.is_some() { Kind::Bad } else { Kind::Plain }, &text);
    }
}

fn frames(view: &View, page: &mut Page) {
    for item in &view.items {
        let way = if item.from_caller { '→' } else { '←' };
        let name = item.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
        let text = item.text.replace('\n', "\\n");
        page.plain(&format!("{:>9.1} ms {way} {name}{text}", item.at_ms));
    }
}

/// What is different between two exchanges.
pub(super) fn differences(first: &Exchange, second: &Exchange) -> Vec<Line> {
    let mut page = Page::default();
    page.head(&format!("#{} and #{}", first.number, second.number));
    let all = diff(first, second);
    if all.is_empty() {
        page.plain("no difference");
    }
    for one in all {
        page.put(Kind::Head, &one.place);
        for (mark, kind, text) in [("-", Kind::Bad, one.first), ("+", Kind::Good, one.second)] {
            if let Some(text) = text {
                page.put(kind, &format!("  {mark} {text}"));
            }
        }
    }
    page.0
}
