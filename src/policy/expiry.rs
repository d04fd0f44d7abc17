//! Exceptions that end.
//!
//! Invariant: nobody is surprised: an exception is a warning for two weeks
//! before it ends and an error for `policy check` afterwards. The daemon goes
//! on either way: an exception that has ended just excepts nothing, since
//! refusing to start for it would leave everybody unprotected.

use jiff::civil::Date;

use super::problem::{Problem, Rule};
use super::{Exception, Policy};

/// How many days before its end an exception is warned of.
const NOTICE_DAYS: i32 = 14;
const EXPIRED: Rule = "expired-exception";
const EXPIRES: Rule = "exception-expires";

/// The exceptions that have ended by `today`, and those that end soon.
pub fn expiring(policies: &[Policy], today: Date) -> (Vec<Problem>, Vec<Problem>) {
    let (mut ended, mut ending) = (Vec::new(), Vec::new());
    for policy in policies {
        for exception in &policy.exceptions {
            let left = (exception.until - today).get_days();
            if left < 0 {
                ended.push(problem(policy, exception, EXPIRED, "ended on"));
            } else if left < NOTICE_DAYS {
                ending.push(problem(policy, exception, EXPIRES, "ends on"));
            }
        }
    }
    (ended, ending)
}

fn problem(policy: &Policy, exception: &Exception, rule: Rule, verb: &str) -> Problem {
    let (name, until) = (&exception.name, exception.until);
    let message = format!("the exception `{name}` of {} {verb} {until}", policy.name);
    let hint = format!(
        "ask {}: give it a later `until`, or take it out",
        exception.owner
    );
    exception.at.saying(rule, message, Some(hint))
}
