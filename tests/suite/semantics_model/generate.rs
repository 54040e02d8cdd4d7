//! Random exchanges, by the grammars of their fields and off them: right and wrong directives, repeated and quoted
//! ones, lists where none belongs, dates in all forms, and now and then a stray character.

use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;

use super::rules::{Exchange, Ignores, Site};
use super::text::Message;

/// Seconds since 1970 around which all happens.
const NOON: u64 = 1_700_000_000;

/// An exchange, a later request and a 304 that may speak of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub site: Site,
    pub exchange: Exchange,
    pub later: Message,
    pub now: u64,
    pub not_modified: Message,
}

impl Case {
    /// The same for the same number.
    pub fn numbered(number: u64) -> Self {
        let mut rng = Rng::with_seed(number);
        let rng = &mut rng;
        let received = match rng.u8(..50) {
            0 => 0,
            1 => u64::MAX,
            2 => rng.u64(..),
            _ => NOON * 1000 + rng.u64(..1_000_000),
        };
        let delay = pick(rng, &[0, 0, 0, 5, 900, 1000, 10_000, 4_000_000]);
        let sent =
            if rng.u8(..20) == 0 { received.saturating_add(3000) } else { received.saturating_sub(delay) };
        let request = request(rng);
        let later = if rng.bool() { request.clone() } else { self::request(rng) };
        let response = response(rng, received / 1000);
        let not_modified =
            if rng.u8(..4) == 0 { response.clone() } else { self::response(rng, received / 1000) };
        let exchange = Exchange {
            method: if rng.u8(..25) == 0 {
                pick(rng, &["HEAD", "POST", "QUERY", "PUT", "get"])
            } else {
                "GET"
            },
            status: status(rng),
            request,
            response,
            sent,
            received,
        };
        let site = if rng.bool() { Site::default() } else { site(rng) };
        Self { site, exchange, later, now: now(rng, received), not_modified }
    }

    /// What is said in fewer words, for people.
    pub fn simpler(&self) -> impl Iterator<Item = Self> + '_ {
        type Part = fn(&mut Case) -> &mut Message;
        let parts: [Part; 4] = [
            |case| &mut case.exchange.request,
            |case| &mut case.exchange.response,
            |case| &mut case.later,
            |case| &mut case.not_modified,
        ];
        let fewer = parts.into_iter().flat_map(|part| {
            let mut whole = self.clone();
            let lines = part(&mut whole).0.len();
            (0..lines).map(move |line| {
                let mut case = whole.clone();
                part(&mut case).0.remove(line);
                case
            })
        });
        let plain = Self { site: Site::default(), ..self.clone() };
        let punctual = Self {
            exchange: Exchange { sent: self.exchange.received, ..self.exchange.clone() },
            ..self.clone()
        };
        fewer.chain([plain, punctual])
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

fn chance(rng: &mut Rng, of_hundred: u8) -> bool {
    rng.u8(..100) < of_hundred
}

fn now(rng: &mut Rng, received: u64) -> u64 {
    let after: u64 = pick(
        rng,
        &[
            0,
            0,
            1,
            4,
            5,
            6,
            9,
            10,
            11,
            30,
            59,
            60,
            61,
            65,
            119,
            120,
            3599,
            3600,
            3601,
            86_399,
            86_400,
            86_460,
            90_000,
            1 << 31,
            1 << 33,
        ],
    );
    let millis = after * 1000 + pick(rng, &[0, 0, 1, 999]);
    if chance(rng, 3) { received.saturating_sub(5000) } else { received.saturating_add(millis) }
}

fn status(rng: &mut Rng) -> u16 {
    if chance(rng, 60) {
        return 200;
    }
    if chance(rng, 10) {
        return rng.u16(100..1000);
    }
    pick(
        rng,
        &[
            100, 103, 201, 202, 203, 204, 205, 206, 226, 299, 300, 301, 302, 303, 304, 305, 307, 308, 400,
            401, 403, 404, 405, 410, 414, 418, 421, 431, 451, 500, 501, 502, 503, 504, 599, 600, 999,
        ],
    )
}

fn site(rng: &mut Rng) -> Site {
    let span = |rng: &mut Rng| if chance(rng, 30) { Some(pick(rng, &[0, 1, 5, 60, 70, 3600])) } else { None };
    let ignores = Ignores {
        no_store: chance(rng, 15),
        no_cache: chance(rng, 15),
        must_revalidate: chance(rng, 15),
        proxy_revalidate: chance(rng, 15),
        s_maxage_revalidates: chance(rng, 15),
    };
    Site {
        store_set_cookie: chance(rng, 30),
        personal_cookies: if chance(rng, 50) { vec!["sid", "user"] } else { Vec::new() },
        targets: pick(
            rng,
            &[
                &["cdn-cache-control", "surrogate-control"][..],
                &["surrogate-control"],
                &[],
                &["edge-control", "cdn-cache-control"],
            ],
        )
        .to_vec(),
        heeds_requests: chance(rng, 80),
        ahead: pick(rng, &[0, 5, 50, 100]),
        forced: if chance(rng, 10) { Some(pick(rng, &[0, 5, 60])) } else { None },
        by_status: if chance(rng, 20) { vec![(404, 404, 9), (400, 599, 1)] } else { Vec::new() },
        default: span(rng),
        percent: pick(rng, &[0, 10, 10, 33, 100, 255]),
        longest_guess: pick(rng, &[0, 60, 86_400]),
        min: span(rng),
        max: span(rng),
        grace: pick(rng, &[0, 5, 60, 86_400]),
        while_revalidate: pick(rng, &[0, 0, 5, 60]),
        keep: span(rng),
        ignores,
    }
}

fn number(rng: &mut Rng) -> &'static str {
    if chance(rng, 75) {
        return pick(rng, &["0", "1", "5", "10", "30", "59", "60", "61", "120", "3600", "86400", "0060"]);
    }
    pick(
        rng,
        &[
            "2147483647",
            "2147483648",
            "2147483649",
            "4294967296",
            "9223372036854775808",
            "99999999999999999999999",
            "",
            "-1",
            "+60",
            "60s",
            "6 0",
            "60.0",
            "0x1f",
            " 60",
            "\"60\"",
            "\"6\\0\"",
            "\"60",
            "60\"",
            "\"\"",
            "\"",
            "x",
            "\u{b2}",
            "\" 60\"",
            "60;x",
            "60 ;x",
            "\"5\", 7",
            "1e3",
        ],
    )
}

fn cased(rng: &mut Rng, name: &str) -> String {
    match rng.u8(..10) {
        0 => name.to_ascii_uppercase(),
        1 => name.chars().map(|c| if rng.bool() { c.to_ascii_uppercase() } else { c }).collect(),
        _ => name.to_owned(),
    }
}

fn fields_argument(rng: &mut Rng) -> &'static str {
    if chance(rng, 60) {
        return "";
    }
    pick(
        rng,
        &[
            "=\"set-cookie\"",
            "=set-cookie",
            "=\"Set-Cookie, x-a\"",
            "=\"x-a\"",
            "=\"\"",
            "=",
            "=\" \"",
            "=\"a b\"",
            "=\"set\\-cookie\"",
            "=\"cache-control\"",
            "=\"etag,, x-b\"",
            "=\"x-a",
            "=\"x-a\"b",
            "=x-a\"",
            "=\",\"",
            "=\"é\"",
            " =\"x-a\"",
            "=\"vary, date\"",
        ],
    )
}

/// One directive of a response, as `Cache-Control` has it.
fn directive(rng: &mut Rng) -> String {
    let name = pick(
        rng,
        &[
            "max-age",
            "max-age",
            "max-age",
            "s-maxage",
            "stale-while-revalidate",
            "stale-if-error",
            "no-cache",
            "no-store",
            "private",
            "public",
            "must-revalidate",
            "proxy-revalidate",
            "must-understand",
            "immutable",
            "foo",
            "no-transform",
        ],
    );
    let mut text = cased(rng, name);
    match name {
        "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" if chance(rng, 98) => {
            text.push_str(pick(rng, &["=", "=", "=", "=", "=", "=", "=", "=", "=", "=", " =", "\t="]));
            text.push_str(number(rng));
        }
        "no-cache" | "private" => text.push_str(fields_argument(rng)),
        "foo" => text
            .push_str(pick(rng, &["", "=1", "=\"max-age=5, no-store\"", "=\"private", "=\"a\\\", public\""])),
        _ if chance(rng, 5) => text.push_str(pick(rng, &["=1", "=", "=\"x\"", " ", " =0"])),
        _ => {}
    }
    text
}

fn list(rng: &mut Rng, most: usize, one: impl Fn(&mut Rng) -> String) -> String {
    let mut text = String::new();
    for place in 0..rng.usize(1..=most) {
        if place > 0 {
            text.push_str(pick(rng, &[", ", ", ", ", ", ",", " , ", ",, ", "\t,\t"]));
        }
        text.push_str(&one(rng));
    }
    text
}

/// A member of a structured dictionary, right or wrong.
fn member(rng: &mut Rng) -> String {
    let name = pick(
        rng,
        &[
            "max-age",
            "max-age",
            "s-maxage",
            "stale-while-revalidate",
            "stale-if-error",
            "no-cache",
            "no-store",
            "private",
            "public",
            "must-revalidate",
            "must-understand",
            "immutable",
            "foo",
            "*a",
        ],
    );
    let value = if name.contains("age") || name.contains("stale") || chance(rng, 10) {
        pick(
            rng,
            &[
                "=60",
                "=60",
                "=60",
                "=5",
                "=0",
                "=3600;x",
                "=60;a=\"b\";c",
                "=-1",
                "=60.5",
                "=\"60\"",
                "=x",
                "",
                "=?0",
                "=999999999999999",
                "=1000000000000000",
                "=2147483649",
                "=1.2345",
                "=1.",
                "=@1700000000",
                "=@1.5",
                "=:YQ==:",
                "=:!:",
                "=%\"a%c3%a9\"",
                "=%\"%c3\"",
                "=%\"%C3\"",
                "=(1 2)",
                "=+5",
                "= 60",
                "=0060",
                "=1234567890123.1",
                "=-",
                "=?2",
            ],
        )
    } else {
        pick(
            rng,
            &[
                "",
                "",
                "",
                "",
                ";x",
                "=?1",
                "=?0",
                "=1",
                "=\"set-cookie\"",
                "=set-cookie",
                "=(\"set-cookie\" x-a)",
                "=()",
                "=(1)",
                "=\"a, b\"",
                "=\"a b\"",
                "=(\"a b\")",
                "=\"\"",
                "=(a",
                "=(a  b );q=1",
                "=(a;x b)",
                "=(a,b)",
                "=\"a\\\"\"",
                "=\"a\\b\"",
                "; x",
                " ;x",
                "=(\tb)",
            ],
        )
    };
    let name = if chance(rng, 3) { cased(rng, name) } else { name.to_owned() };
    format!("{name}{value}")
}

fn date(rng: &mut Rng, around: u64) -> String {
    if chance(rng, 8) {
        return pick(
            rng,
            &[
                "0",
                "-1",
                "",
                "yesterday",
                "Thu, 18 Aug 2050 02:01:18 UTC",
                "Thu, 18 Aug 50 02:01:18 GMT",
                "Thu 18 Aug 2050 02:01:18 GMT",
                "Thu, 32 Aug 2050 02:01:18 GMT",
                "Mon, 29 Feb 2100 02:01:18 GMT",
                "Sat, 31 Dec 2016 23:59:60 GMT",
                "Fri, 01 Jan 1960 00:00:00 GMT",
                "Mon, 01 Jan 0000 00:00:00 GMT",
                "Fri, 31 Dec 9999 23:59:59 GMT",
                "Thu, 18-Aug-2050 02:01:18 GMT",
                "Sun Nov  6 08:49:37 1994",
                "Sun Nov 06 08:49:37 1994",
                "Sunday, 06-Nov-69 08:49:37 GMT",
                "Sunday, 06-Nov-70 08:49:37 GMT",
                "Thu, 18  Aug  2050 02:01:18 GMT",
                "Tue, 29 Feb 2000 00:00:00 GMT",
                "Sun Nov 6 08:49:37 1994",
            ],
        )
        .to_owned();
    }
    let offset = pick(rng, &[0, 1, 5, 10, 60, 600, 1000, 3600, 86_400, 864_000, 100_000_000]);
    let at = if rng.bool() { around.saturating_add(offset) } else { around.saturating_sub(offset) };
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at.min(253_402_300_799)));
    let part = |from: usize, to: usize| &text[from..to];
    match rng.u8(..12) {
        0 => format!("Sunday, {}-{}-{} {} GMT", part(5, 7), part(8, 11), part(14, 16), part(17, 25)),
        1 => format!(
            "Sun {} {:>2} {} {}",
            part(8, 11),
            part(5, 7).trim_start_matches('0'),
            part(17, 25),
            part(12, 16)
        ),
        2 => text.to_ascii_uppercase(),
        3 => text.to_ascii_lowercase(),
        _ => text,
    }
}

fn etag(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "\"a\"",
            "\"a\"",
            "W/\"a\"",
            "\"b\"",
            "W/\"b\"",
            "\"a,b\"",
            "\"\"",
            "a",
            "w/\"a\"",
            "\"a\" ",
            "\"a\\\"",
            "\"é\"",
            "\"a b\"",
            "\"a\"\"b\"",
        ],
    )
}

/// Fields that a response may vary by here. `Accept-Encoding` is among them.
const SELECTING: [&str; 6] = ["x-a", "x-b", "user-agent", "accept-encoding", "origin", "cookie"];

fn response(rng: &mut Rng, around: u64) -> Message {
    let mut message = Message::default();
    if chance(rng, 85) {
        let lines = if chance(rng, 85) { 1 } else { rng.usize(1..4) };
        for _ in 0..lines {
            let text = list(rng, 4, directive);
            message.push("cache-control", text);
        }
    }
    for target in ["cdn-cache-control", "surrogate-control", "edge-control"] {
        if chance(rng, 8) {
            let separator = pick(rng, &[", ", ", ", ",", "\t,\t", ", , "]);
            let members: Vec<String> = (0..rng.usize(1..4)).map(|_| member(rng)).collect();
            let end = pick(rng, &["", "", "", "", "", "", ",", " ", "\t"]);
            message.push(target, format!("{}{end}", members.join(separator)));
            if chance(rng, 15) {
                let more = if rng.bool() { member(rng) } else { String::new() };
                message.push(target, more);
            }
        }
    }
    for (name, likely) in [("date", 70), ("expires", 30), ("last-modified", 40)] {
        if chance(rng, likely) {
            message.push(name, date(rng, around));
            if chance(rng, 4) {
                message.push(name, date(rng, around));
            }
        }
    }
    if chance(rng, 20) {
        let most = pick(rng, &[1, 1, 1, 3]);
        message.push("age", list(rng, most, |rng| number(rng).to_owned()));
        if chance(rng, 10) {
            message.push("age", number(rng));
        }
    }
    if chance(rng, 40) {
        message.push("etag", etag(rng));
    }
    if chance(rng, 30) {
        let vary = |rng: &mut Rng| {
            let name = pick(rng, &SELECTING);
            if chance(rng, 95) {
                return cased(rng, name);
            }
            pick(rng, &["*", "x-a;q=1", "a b", "\"origin\"", "**", "x-a\"", "(x)", "é", "~"]).to_owned()
        };
        message.push("vary", list(rng, 3, vary));
        if chance(rng, 10) {
            message.push("vary", list(rng, 2, vary));
        }
    }
    let others = [
        ("set-cookie", "id=1", 12),
        ("content-length", "7", 30),
        ("content-encoding", "gzip", 10),
        ("connection", "x-a, Cache-Control", 6),
        ("connection", "close, etag", 3),
        ("x-a", "1", 20),
        ("x-a", "2", 10),
        ("x-b", "3", 20),
        ("transfer-encoding", "chunked", 3),
        ("keep-alive", "5", 3),
        ("content-range", "bytes 0-1/2", 3),
        ("content-digest", "a=:YQ==:", 5),
        ("content-md5", "YQ==", 3),
        ("repr-digest", "a=:YQ==:", 5),
        ("repr-digest", "b=:Yg==:", 5),
        ("connection", "cdn-loop", 1),
        ("cdn-loop", "a", 2),
        ("pragma", "no-cache", 5),
        ("content-type", "text/plain", 20),
    ];
    for (name, value, likely) in others {
        if chance(rng, likely) {
            message.push(name, value);
        }
    }
    strayed(rng, message)
}

/// One directive of a request.
fn wish(rng: &mut Rng) -> String {
    let name = pick(
        rng,
        &[
            "max-age",
            "max-age",
            "min-fresh",
            "max-stale",
            "stale-if-error",
            "no-cache",
            "no-store",
            "only-if-cached",
            "foo",
        ],
    );
    let mut text = cased(rng, name);
    if text.contains(['x', 'X']) || name == "min-fresh" || name == "stale-if-error" {
        match rng.u8(..12) {
            0 => {}
            1 => text.push_str(" =5"),
            _ => {
                text.push('=');
                text.push_str(number(rng));
            }
        }
    }
    text
}

fn request(rng: &mut Rng) -> Message {
    let mut message = Message::default();
    if chance(rng, 30) {
        message.push("cache-control", list(rng, 3, wish));
        if chance(rng, 10) {
            message.push("cache-control", list(rng, 2, wish));
        }
    }
    let pragma = pick(rng, &["no-cache", "No-Cache, x", "x", "no-cache=1", ""]);
    let cookie = pick(rng, &["sid=1", "a=b; user=2; c", " sid ; x=y", "SID=1", "a=sid", ""]);
    let tag = etag(rng);
    let others = [
        ("pragma", pragma, 8),
        ("authorization", "Basic YTpi", 12),
        ("cookie", cookie, 20),
        ("accept-encoding", "gzip", 30),
        ("user-agent", "me", 20),
        ("origin", "http://a.example", 20),
    ];
    for (name, value, likely) in others {
        if chance(rng, likely) {
            message.push(name, value);
        }
    }
    for name in ["x-a", "x-b"] {
        while chance(rng, 35) {
            message.push(
                name,
                pick(
                    rng,
                    &[
                        "1", "1", "2", "", "1, 2", "1,2", "1 ,2", "2, 1", "\"1,2\"", "\"1, 2\"", "1,", "A",
                        "a",
                    ],
                ),
            );
        }
    }
    if chance(rng, 12) {
        let tags = |rng: &mut Rng| pick(rng, &["*", "\"a\" x", "x", "\"a\"\"b\"", tag, tag, tag]).to_owned();
        message.push("if-none-match", list(rng, 3, tags));
    }
    if chance(rng, 12) {
        message.push("if-modified-since", date(rng, NOON));
        if chance(rng, 5) {
            message.push("if-modified-since", date(rng, NOON));
        }
    }
    strayed(rng, message)
}

/// The message, now and then with one character changed.
fn strayed(rng: &mut Rng, mut message: Message) -> Message {
    if chance(rng, 10) && !message.0.is_empty() {
        let at = rng.usize(..message.0.len());
        let mut text: Vec<char> = message.0[at].1.chars().collect();
        let stray = pick(rng, &[',', '"', '=', ';', '\\', ' ', '\t', '*', 'é', '0', 'a', '(', '?']);
        let place = rng.usize(..=text.len());
        if rng.bool() && place < text.len() {
            text[place] = stray;
        } else {
            text.insert(place, stray);
        }
        message.0[at].1 = text.into_iter().collect();
    }
    message.legal()
}
