//! Rungs: at which score, what.

use super::Compiler;
use crate::model::{ActionKind, Family, Intent};
use crate::policy::fields::{Fields, choice, duration, list, number, or_default};
use crate::policy::problem::Place;
use crate::policy::yaml::Node;
use crate::policy::{Ask, Rung};

/// Rungs in one policy.
const RUNGS_MAX: usize = 10;
/// The number of families there are.
const FAMILIES_MAX: i64 = Family::ALL.len() as i64;
/// How long a question may stand, in seconds: up to a week.
const EXPIRES_SECONDS: std::ops::RangeInclusive<i64> = 60..=7 * 24 * 3_600;

/// A rung and where it says so.
pub(super) struct PlacedRung {
    pub(super) rung: Rung,
    pub(super) at: Place,
    pub(super) families: Place,
    /// The actions and where each stands.
    pub(super) actions: Vec<(ActionKind, Place)>,
}

impl Compiler<'_> {
    /// The rungs, highest first.
    pub(super) fn rungs(&mut self, node: &Node) -> Option<Vec<PlacedRung>> {
        let before = self.errors.count();
        let items = list(node, "`rungs`", RUNGS_MAX, &mut self.errors)?;
        let mut rungs: Vec<PlacedRung> = Vec::with_capacity(items.len());
        for item in items {
            let Some(placed) = self.rung(item) else {
                continue;
            };
            let twin = rungs.iter().find(|other| other.rung.at == placed.rung.at);
            if let Some(twin) = twin {
                let message = format!(
                    "a rung at {} is already in line {}",
                    placed.rung.at, twin.at.line
                );
                self.errors.report(placed.at, message);
            }
            rungs.push(placed);
        }
        rungs.sort_by_key(|placed| std::cmp::Reverse(placed.rung.at));
        (self.errors.count() == before).then_some(rungs)
    }

    fn rung(&mut self, node: &Node) -> Option<PlacedRung> {
        const KEYS: &[&str] = &["at", "families", "do", "ask"];
        let fields = Fields::of(node, "the rung", KEYS, &mut self.errors)?;
        let at_node = fields.require("at", &mut self.errors);
        let at = at_node.and_then(|node| number(node, "`at`", 1..=100, &mut self.errors));
        let families = or_default(fields.get("families"), 1, |node| {
            number(node, "`families`", 1..=FAMILIES_MAX, &mut self.errors)
        });
        let actions = fields
            .require("do", &mut self.errors)
            .and_then(|node| self.actions(node));
        let intent = or_default(fields.get("ask"), Intent::Do, |node| self.ask(node));
        let at_place = at_node.unwrap_or(node).place;
        let actions = actions?;
        Some(PlacedRung {
            rung: Rung {
                at: at?,
                families: families?,
                intent: intent?,
                actions: actions.iter().map(|(kind, _)| *kind).collect(),
                at_actions: actions
                    .iter()
                    .map(|(_, place)| self.errors.blank(*place))
                    .collect(),
            },
            at: at_place,
            families: fields.get("families").map_or(at_place, |node| node.place),
            actions,
        })
    }

    /// The actions and where each stands.
    fn actions(&mut self, node: &Node) -> Option<Vec<(ActionKind, Place)>> {
        let before = self.errors.count();
        let choices = ActionKind::ALL.map(|kind| (kind.as_str(), kind));
        let mut actions: Vec<(ActionKind, Place)> = Vec::new();
        for item in list(node, "`do`", ActionKind::ALL.len(), &mut self.errors)? {
            let Some(kind) = choice(item, "the action", &choices, &mut self.errors) else {
                continue;
            };
            if actions.iter().any(|(other, _)| *other == kind) {
                let message = format!("`{kind}` stands twice in `do`");
                self.errors.report(item.place, message);
            }
            actions.push((kind, item.place));
        }
        (self.errors.count() == before).then_some(actions)
    }

    fn ask(&mut self, node: &Node) -> Option<Intent> {
        const KEYS: &[&str] = &["approvers", "expires", "on_silence"];
        let terms = Ask::default();
        let fields = Fields::of(node, "`ask`", KEYS, &mut self.errors)?;
        let approvers = or_default(fields.get("approvers"), terms.approvers, |node| {
            number(node, "`approvers`", 1..=5, &mut self.errors)
        });
        let expires_seconds = or_default(fields.get("expires"), terms.expires_seconds, |node| {
            let expires = duration(node, "`expires`", EXPIRES_SECONDS, &mut self.errors)?;
            u32::try_from(expires.as_secs()).ok()
        });
        // Only one answer to silence is safe; the key lets authors say so.
        or_default(fields.get("on_silence"), (), |node| {
            choice(node, "`on_silence`", &[("deny", ())], &mut self.errors)
        })?;
        Some(Intent::Ask {
            approvers: approvers?,
            expires_seconds: expires_seconds?,
        })
    }
}
