//! For scripts. The keys are documented in docs/policy-reference.md; one is
//! added at times, none is renamed or taken away without another `version`.

use serde::Serialize;

use super::{Findings, end_column, permissions};
use crate::policy::{Level, Problem};

/// Of the keys below.
const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    version: u32,
    /// How many files were read.
    files: usize,
    errors: usize,
    warnings: usize,
    /// The set's hash; null where it does not compile.
    set: Option<&'a str>,
    problems: Vec<Told<'a>>,
    policies: Vec<Sound<'a>>,
}

#[derive(Serialize)]
struct Told<'a> {
    /// `error` or `warning`.
    level: &'static str,
    rule: &'static str,
    file: &'a str,
    /// From 1; null where the file as a whole is meant, as are the columns.
    line: Option<u32>,
    /// In characters, from 1.
    column: Option<u32>,
    /// The first one behind the place.
    end_column: Option<u32>,
    message: &'a str,
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct Sound<'a> {
    name: &'a str,
    mode: &'static str,
    owner: &'a str,
    /// The Graph application permissions that its actions need.
    permissions: Vec<&'static str>,
}

pub(super) fn report(findings: &Findings) -> Report<'_> {
    Report {
        version: VERSION,
        files: findings.files,
        errors: findings.errors.len(),
        warnings: findings.warnings.len(),
        set: findings.set.as_deref(),
        problems: findings
            .all()
            .map(|(level, problem)| told(level, problem))
            .collect(),
        policies: findings
            .policies
            .iter()
            .map(|policy| Sound {
                name: policy.name.as_str(),
                mode: policy.mode.as_str(),
                owner: &policy.owner,
                permissions: permissions::of(policy),
            })
            .collect(),
    }
}

fn told(level: Level, problem: &Problem) -> Told<'_> {
    let place = problem.place;
    Told {
        level: level.as_str(),
        rule: problem.rule,
        file: &problem.path,
        line: place.map(|place| place.line),
        column: place.map(|place| place.column),
        end_column: place.map(end_column),
        message: &problem.message,
        hint: problem.hint.as_deref(),
    }
}
