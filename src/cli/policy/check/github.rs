//! Workflow commands of GitHub Actions: the runner shows each beside its line.
//!
//! Invariant: one problem is one line, whatever is in it: a message that could
//! break out of its command could give the runner another.

use std::io::{self, Write};
use std::path::Path;

use super::{Findings, end_column, relative};
use crate::policy::{Level, Problem};

/// The commands, then a summary for the log.
pub(super) fn write(out: &mut dyn Write, findings: &Findings, working: &Path) -> io::Result<()> {
    for (level, problem) in findings.all() {
        writeln!(out, "{}", command(level, problem, working))?;
    }
    writeln!(out, "{}", findings.summary())
}

fn command(level: Level, problem: &Problem, working: &Path) -> String {
    let file = property(&relative(&problem.path, working));
    let mut command = format!("::{} file={file}", level.as_str());
    if let Some(place) = problem.place {
        let end = end_column(place);
        command.push_str(&format!(
            ",line={},col={},endColumn={end}",
            place.line, place.column
        ));
    }
    let text = match &problem.hint {
        Some(hint) => format!("{}\n{hint}", problem.message),
        None => problem.message.clone(),
    };
    let (title, text) = (property(problem.rule), data(&text));
    format!("{command},title={title}::{text}")
}

/// As the runner unescapes a message.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// As the runner unescapes a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_command() {
        let problem = Problem::of_file("a,b:c%.yaml", "50% of\r\nthis: that, ::error::x");
        assert_eq!(
            command(Level::Error, &problem, Path::new("/work")),
            "::error file=a%2Cb%3Ac%25.yaml,title=invalid\
             ::50%25 of%0D%0Athis: that, ::error::x"
        );
    }
}
