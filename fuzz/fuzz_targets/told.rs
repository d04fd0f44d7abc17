//! What every refusal must be: short, safe for a terminal, and of a place that
//! is in the file.

use evictd::policy::{Problem, Source};

/// # Panics
/// When one is not.
pub fn check(problems: &[Problem], sources: &[Source]) {
    let texts: Vec<String> = sources
        .iter()
        .map(|s| s.text.replace("\r\n", "\n"))
        .collect();
    let lines = texts
        .iter()
        .map(|text| text.split(['\n', '\r']).collect::<Vec<_>>());
    let lines: Vec<Vec<&str>> = lines.collect();
    for problem in problems {
        let told = problem.to_string();
        assert!(told.len() < 64 * 1024, "{} bytes", told.len());
        assert!(
            !told.contains(|c: char| c.is_control() && c != '\n'),
            "{told:?}"
        );
        let Some(place) = problem.place else { continue };
        let line = lines[usize::from(place.file)].get(place.line as usize - 1);
        let columns = line
            .unwrap_or_else(|| panic!("no such line: {told}"))
            .chars()
            .count();
        assert!(
            (1..=columns + 1).contains(&(place.column as usize)),
            "{told}"
        );
    }
}
