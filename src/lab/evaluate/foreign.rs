//! Somebody else's records, with their labels beside them.
//!
//! Invariant: a record without a label is judged, since it may matter to
//! another, and counts for nothing; what the label file names and no record
//! has is a warning. A victim is one run of one scenario, as in the made-up
//! population: whoever was missed shows, however many others were found.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::judge::{Engine, Tally};
use super::people::{Delivery, Label};
use super::population::Truth;
use super::report::{Attack, UserDays};
use crate::ingest::recorded;
use crate::model::{Event, UserId, day_of};

/// How a benign record is labelled in the files, and here as a habit.
const BENIGN: &str = "benign";
/// The habit that records without a label are judged under.
const UNLABELLED: &str = "unlabelled";
/// The most bytes of a label file that are read.
const LABELS_BYTES_MAX: u64 = 1 << 30;

/// What files came to.
pub(super) struct Scored {
    pub(super) tally: Tally,
    pub(super) users: u64,
    pub(super) days: UserDays,
    pub(super) attacks: Vec<Attack>,
    pub(super) warnings: Vec<String>,
}

/// Judges the files one after the other, records in their order.
///
/// # Errors
/// When a file or the label file beside it cannot be read.
pub(super) fn score(
    files: &[PathBuf],
    mut engine: Engine<'_>,
    keep: bool,
) -> anyhow::Result<Scored> {
    let mut read = Read::default();
    for file in files {
        read.file(file)
            .with_context(|| file.display().to_string())?;
    }
    let truths: HashMap<UserId, Truth> = read
        .victims
        .iter()
        .map(|(victim, run)| (victim.clone(), Truth::Victim(*run)))
        .collect();
    let mut benign: HashSet<&UserId> = HashSet::new();
    let mut user_days: HashSet<(&UserId, i32)> = HashSet::new();
    for delivery in &read.deliveries {
        let user = &delivery.event.user().id;
        // The ordinary days of a victim are nobody's.
        if delivery.label == Label::Benign(BENIGN) && !truths.contains_key(user) {
            benign.insert(user);
            user_days.insert((user, day_of(delivery.event.at())));
        }
    }
    let days = UserDays {
        all: user_days.len() as u64,
        by_habit: BTreeMap::from([(BENIGN, user_days.len() as u64)]),
    };
    let users = benign.len() as u64;
    let mut tally = Tally::new(truths, read.runs.len(), keep);
    for delivery in read.deliveries {
        tally.take(&mut engine, delivery);
    }
    tally.disregard(UNLABELLED);
    let mut attacks: Vec<Attack> = read
        .runs
        .iter()
        .zip(&tally.runs)
        .map(|((scenario, victim), counted)| {
            let unrated = ("", "", false);
            Attack::new(scenario.clone(), unrated, victim.clone(), counted)
        })
        .collect();
    // A table groups what stands together.
    attacks.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    Ok(Scored {
        tally,
        users,
        days,
        attacks,
        warnings: read.warnings,
    })
}

/// The files, read.
#[derive(Default)]
struct Read {
    deliveries: Vec<Delivery>,
    /// Scenario, and as its variation the victim's id, of each run.
    runs: Vec<(String, String)>,
    /// The run of each victim, by their first label.
    victims: HashMap<UserId, usize>,
    warnings: Vec<String>,
}

impl Read {
    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        let file = File::open(path).context("cannot be read")?;
        let labels = labels_beside(path)?;
        let name = path
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let mut used: HashSet<String> = HashSet::new();
        let (mut unlabelled, mut unread, mut mixed) = (0_u64, 0_u64, 0_u64);
        recorded::read(BufReader::with_capacity(1 << 20, file), |located| {
            unread += located.content.quarantined.len() as u64;
            for (_, event) in located.content.events {
                let label = match label_of(&event, &labels) {
                    Some((id, BENIGN)) => {
                        used.insert(id.to_owned());
                        Label::Benign(BENIGN)
                    }
                    Some((id, scenario)) => {
                        used.insert(id.to_owned());
                        let run = self.run_of(&event.user().id, scenario);
                        mixed += u64::from(self.runs.get(run).is_some_and(|r| r.0 != scenario));
                        Label::Attack(run)
                    }
                    None => {
                        unlabelled += 1;
                        Label::Benign(UNLABELLED)
                    }
                };
                self.deliveries.push(Delivery {
                    arrives: event.at(),
                    event,
                    label,
                });
            }
        })?;
        anyhow::ensure!(
            !used.is_empty(),
            "none of its {} labels names a record of it by its properties.id",
            labels.len()
        );
        let unknown = labels.len() - used.len();
        for (count, what) in [
            (
                unlabelled,
                "records have no label (by their properties.id) and count for nothing",
            ),
            (unread, "records were not decoded"),
            (unknown as u64, "labels name no record of the file"),
            (
                mixed,
                "records of a second scenario against one user count for the first",
            ),
        ] {
            if count > 0 {
                self.warnings.push(format!("{name}: {count} {what}"));
            }
        }
        Ok(())
    }

    /// The run of that victim; of this scenario, where it is their first.
    fn run_of(&mut self, victim: &UserId, scenario: &str) -> usize {
        *self.victims.entry(victim.clone()).or_insert_with(|| {
            let variation = victim.as_str().to_owned();
            self.runs.push((scenario.to_owned(), variation));
            self.runs.len() - 1
        })
    }
}

/// `FILE.labels.json`: `{record id: "benign" or the scenario's name}`.
fn labels_beside(path: &Path) -> anyhow::Result<HashMap<String, String>> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".labels.json");
    let beside = PathBuf::from(beside);
    let file = File::open(&beside).with_context(|| {
        format!(
            "its labels are expected in {}: {{\"record id\": \"benign\" or a scenario, …}}",
            beside.display()
        )
    })?;
    let bounded = std::io::Read::take(file, LABELS_BYTES_MAX);
    serde_json::from_reader(BufReader::new(bounded))
        .with_context(|| format!("{} is not an object of texts", beside.display()))
}

/// The label of an event and the id it stands under. A risk record is known by
/// its detection's id, since its own id here tells the update too.
fn label_of<'a>(event: &Event, labels: &'a HashMap<String, String>) -> Option<(&'a str, &'a str)> {
    let of = |id: &str| {
        labels
            .get_key_value(id)
            .map(|(id, label)| (id.as_str(), label.as_str()))
    };
    of(event.record().as_str()).or_else(|| match event {
        Event::RiskDetection(detection) => of(&detection.detection),
        Event::RiskyUser(risky) => of(risky.user.id.as_str()),
        _ => None,
    })
}
