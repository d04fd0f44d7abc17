//! A file of stories: from YAML to what is to happen and what is expected.
//!
//! Invariant: every problem of a file is found in one reading and told with
//! its place, down to the word within a sentence; a file with one is not run
//! at all. Nothing is read that the file does not name, and what it names is
//! bounded before it is read.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::cast::Cast;
use super::expectation::{self, Expectation, Names};
use super::sentence::{self, What, When};
use super::troupe;
use super::words::Fault;
use crate::ingest::recorded;
use crate::model::Event;
use crate::policy::fields::{Fields, list, text};
use crate::policy::problem::Sink;
use crate::policy::yaml::{self, Node, Value};
use crate::policy::{Place, PolicySet, Problem, Source};

/// A story's first day, unless it says `on`: a Tuesday.
const FIRST_DAY: Date = jiff::civil::date(2026, 11, 24);
/// The years in which a story may be: an exception's end lies in them.
const YEARS: std::ops::RangeInclusive<i16> = 2020..=2099;
pub(super) const DAY_SECONDS: i64 = 86_400;
/// Stories in one file, sentences in one story.
const STORIES_MAX: usize = 1_000;
const MOMENTS_MAX: usize = 1_000;
/// Sentences of an ordinary day: a quarter of an hour each, they end by night.
const GIVEN_MAX: usize = 40;

/// The stories of one file.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The file, as messages name it.
    pub path: String,
    pub(super) cast: Cast,
    pub(super) stories: Vec<Story>,
}

impl Suite {
    /// The names of its stories, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stories.iter().map(|story| story.name.as_str())
    }
}

/// One story.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) name: String,
    pub(super) line: u32,
    /// Midnight of its first day, UTC.
    pub(super) first: Timestamp,
    /// What its people did on each day of the fortnight before.
    pub(super) given: Vec<What>,
    pub(super) moments: Vec<Moment>,
}

/// What happens next in a story, or is expected by then.
#[derive(Debug, Clone)]
pub(super) enum Moment {
    Happens {
        at: Timestamp,
        what: Box<What>,
        /// When its record comes.
        arrives: Timestamp,
    },
    /// Records as they were written down.
    Recorded(Vec<Event>),
    Expected {
        line: u32,
        words: String,
        expectation: Expectation,
    },
}

/// Reads one file. `read` finds a file of records that it names.
///
/// # Errors
/// Every problem of the file.
pub fn parse(
    source: &Source,
    policies: &PolicySet,
    read: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Suite, Vec<Problem>> {
    let mut reader = Reader {
        source,
        policies,
        read,
        sink: Sink::new(&source.path, &source.text),
    };
    let suite = reader.file();
    let problems = reader.sink.finish();
    match suite {
        Some(suite) if problems.is_empty() => Ok(suite),
        _ => Err(problems),
    }
}

struct Reader<'a> {
    source: &'a Source,
    policies: &'a PolicySet,
    read: &'a dyn Fn(&str) -> Result<String, String>,
    sink: Sink<'a>,
}

impl Reader<'_> {
    fn file(&mut self) -> Option<Suite> {
        let node = yaml::read(0, &mut self.sink)?;
        let keys = ["people", "places", "devices", "apps", "stories"];
        let fields = Fields::of(&node, "a file of stories", &keys, &mut self.sink)?;
        let cast = troupe::read(&fields, &mut self.sink);
        let stories = fields.require("stories", &mut self.sink)?;
        let stories = list(stories, "`stories`", STORIES_MAX, &mut self.sink)?;
        let mut names = std::collections::BTreeSet::new();
        let mut read = Vec::with_capacity(stories.len());
        for node in stories {
            let Some(story) = self.story(node, &cast) else {
                continue;
            };
            if !names.insert(story.name.clone()) {
                let message = format!("a second story is named `{}`", story.name);
                self.sink.report(node.place, message);
            }
            read.push(story);
        }
        Some(Suite {
            path: self.source.path.clone(),
            cast,
            stories: read,
        })
    }

    fn story(&mut self, node: &Node, cast: &Cast) -> Option<Story> {
        let keys = ["story", "on", "given", "when", "expect"];
        let fields = Fields::of(node, "a story", &keys, &mut self.sink)?;
        let name = fields
            .require("story", &mut self.sink)
            .and_then(|name| text(name, "the story's name", &mut self.sink));
        let mut given = Vec::new();
        if let Some(node) = fields.get("given") {
            for node in list(node, "`given`", GIVEN_MAX, &mut self.sink).unwrap_or_default() {
                given.extend(self.sentence(node, |text| sentence::untimed(text, cast)));
            }
        }
        let first = self.first_day(fields.get("on"));
        let mut clock = Clock {
            first,
            second: 0,
            arrived: 0,
        };
        let mut moments = Vec::new();
        if let Some(node) = fields.require("when", &mut self.sink) {
            for node in list(node, "`when`", MOMENTS_MAX, &mut self.sink).unwrap_or_default() {
                moments.extend(self.moment(node, cast, &mut clock));
            }
        }
        if let Some(node) = fields.get("expect") {
            self.expect(node, cast, &mut moments);
        }
        self.ends_expecting(node.place, &fields, &moments);
        Some(Story {
            name: name?.to_owned(),
            line: node.place.line,
            first,
            given: given.into_iter().map(|sentence| sentence.what).collect(),
            moments,
        })
    }

    /// Midnight of the day that `on` names; of the usual one where it does not.
    fn first_day(&mut self, on: Option<&Node>) -> Timestamp {
        let mut day = FIRST_DAY;
        if let Some(node) = on {
            let date = match &node.value {
                Value::Text(text) => text.parse::<Date>().ok(),
                _ => None,
            };
            match date.filter(|date| YEARS.contains(&date.year())) {
                Some(date) => day = date,
                None => {
                    let message = format!("`on` is {}", node.seen());
                    let hint = "expected the story's first day, `2027-02-01`; from 2020 to 2099";
                    self.sink.report_with_hint(node.place, message, hint);
                }
            }
        }
        let midnight = Offset::UTC.to_timestamp(day.at(0, 0, 0, 0));
        midnight.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// A story that ends with something nobody checks is no test of it.
    fn ends_expecting(&mut self, place: Place, fields: &Fields<'_>, moments: &[Moment]) {
        if fields.get("expect").is_some() {
            return;
        }
        let hint = "add `expect:`, e.g. `expect: act by stolen-session, score >= 85`, or `nothing`";
        let expects = |moment: &Moment| matches!(moment, Moment::Expected { .. });
        if !moments.iter().any(expects) {
            let message = "the story expects nothing";
            self.sink.report_with_hint(place, message, hint);
        } else if moments.last().is_some_and(|last| !expects(last)) {
            let message = "nothing is expected of how the story ends";
            self.sink.report_with_hint(place, message, hint);
        }
    }

    fn sentence(
        &mut self,
        node: &Node,
        read: impl FnOnce(&str) -> Result<sentence::Sentence, Fault>,
    ) -> Option<sentence::Sentence> {
        let words = text(node, "a sentence", &mut self.sink)?;
        match read(words) {
            Ok(sentence) => Some(sentence),
            Err(fault) => {
                self.tell(node, words, fault);
                None
            }
        }
    }

    fn tell(&mut self, node: &Node, words: &str, fault: Fault) {
        let place = place_in(&self.source.text, node.place, words, &fault);
        self.sink.report_with_hint(place, fault.message, fault.hint);
    }

    fn moment(&mut self, node: &Node, cast: &Cast, clock: &mut Clock) -> Vec<Moment> {
        if !matches!(node.value, Value::Map(_)) {
            let sentence = self.sentence(node, |text| sentence::timed(text, cast));
            return sentence
                .into_iter()
                .map(|sentence| clock.moment(sentence))
                .collect();
        }
        let keys = ["expect", "record", "records"];
        let mut moments = Vec::new();
        let what = "a line of a story";
        let Some(fields) = Fields::of(node, what, &keys, &mut self.sink) else {
            return moments;
        };
        if let Some(node) = fields.get("record") {
            let json = match &node.value {
                // A record may also be written as one text of JSON.
                Value::Text(text) if is_object(text) => text.clone(),
                _ => node.json().to_string(),
            };
            moments.push(self.recorded(node.place, &json));
        }
        if let Some(node) = fields.get("records")
            && let Some(path) = text(node, "`records`", &mut self.sink)
        {
            match (self.read)(path) {
                Ok(text) => moments.push(self.recorded(node.place, &text)),
                Err(why) => self.sink.report(node.place, format!("`{path}`: {why}")),
            }
        }
        for moment in &moments {
            if let Moment::Recorded(events) = moment {
                clock.seen(events);
            }
        }
        if let Some(node) = fields.get("expect") {
            self.expect(node, cast, &mut moments);
        }
        moments
    }

    fn recorded(&mut self, place: Place, json: &str) -> Moment {
        let mut events = Vec::new();
        let mut reasons = Vec::new();
        let read = recorded::read(json.as_bytes(), |located| {
            events.extend(located.content.events.into_iter().map(|(_, event)| event));
            for record in located.content.quarantined {
                reasons.push(format!("line {}: {}", located.line, record.reason));
            }
        });
        if let Err(error) = read {
            reasons.push(error.to_string());
        }
        if reasons.is_empty() && events.is_empty() {
            reasons.push("no record that evictd judges".to_owned());
        }
        for reason in reasons {
            self.sink.report(place, format!("not decoded: {reason}"));
        }
        Moment::Recorded(events)
    }

    /// One expectation, or a list of them that hold together.
    fn expect(&mut self, node: &Node, cast: &Cast, moments: &mut Vec<Moment>) {
        let nodes = match &node.value {
            Value::List(_) => {
                list(node, "`expect`", MOMENTS_MAX, &mut self.sink).unwrap_or_default()
            }
            _ => std::slice::from_ref(node),
        };
        let names = Names {
            cast,
            policies: self.policies,
        };
        for node in nodes {
            let Some(words) = text(node, "an expectation", &mut self.sink) else {
                continue;
            };
            match expectation::read(words, names) {
                Ok(expectation) => moments.push(Moment::Expected {
                    line: node.place.line,
                    words: words.to_owned(),
                    expectation,
                }),
                Err(faults) => {
                    for fault in faults {
                        self.tell(node, words, fault);
                    }
                }
            }
        }
    }
}

/// The time of a story, line by line.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// The first midnight.
    first: Timestamp,
    /// Seconds since then.
    second: i64,
    /// When the latest record came: the daemon's clock never goes back.
    arrived: i64,
}

impl Clock {
    fn moment(&mut self, sentence: sentence::Sentence) -> Moment {
        self.second = match sentence.when {
            Some(When::Clock { day, second }) => {
                let day = day.map_or(self.second.div_euclid(DAY_SECONDS), |day| day - 1);
                day * DAY_SECONDS + second
            }
            Some(When::After(seconds)) => self.second + seconds,
            None => self.second,
        };
        self.arrived = self.arrived.max(self.second + sentence.late);
        Moment::Happens {
            at: time(self.first, self.second),
            what: Box::new(sentence.what),
            arrives: time(self.first, self.arrived),
        }
    }

    /// What was recorded sets the clock.
    fn seen(&mut self, events: &[Event]) {
        if let Some(latest) = events.iter().map(Event::at).max() {
            self.second = latest.as_second() - self.first.as_second();
            self.arrived = self.arrived.max(self.second);
        }
    }
}

/// So many seconds after the first midnight of a story.
pub(super) fn time(first: Timestamp, second: i64) -> Timestamp {
    first
        .saturating_add(SignedDuration::from_secs(second))
        .unwrap_or(first)
}

/// Where a part of a scalar stands, if the scalar stands in the file as it
/// reads; else where the scalar begins.
fn place_in(file: &str, place: Place, words: &str, fault: &Fault) -> Place {
    let line = file
        .lines()
        .nth((place.line as usize).saturating_sub(1))
        .unwrap_or_default();
    let before = (place.column as usize).saturating_sub(1);
    let start = line
        .char_indices()
        .nth(before)
        .map_or("", |(at, _)| &line[at..]);
    let quotes = ['\'', '"'];
    let opened = usize::from(start.starts_with(quotes));
    if !start[opened..].starts_with(words) {
        return place;
    }
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        file: place.file,
        line: place.line,
        column: place.column + clamp(opened + fault.from),
        width: clamp(fault.width),
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}
