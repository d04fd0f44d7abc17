//! What holds of a policy about service principals beyond what holds of all.
//!
//! Invariant: such a policy can only ask, and only whether to confirm: what an
//! application is used for is not in its sign-ins, so stopping one is never a
//! machine's decision, and nothing else that evictd does fits a service
//! principal. What would do more does not compile.

use super::{Compiler, PlacedRung};
use crate::model::{ActionKind, Intent, Mode};
use crate::policy::Scope;
use crate::policy::problem::quoted;
use crate::policy::yaml::{Node, Value};

impl Compiler<'_> {
    pub(super) fn workloads(&mut self, node: &Node) -> Option<bool> {
        if let Value::Bool(workloads) = node.value {
            return Some(workloads);
        }
        let message = format!("`workloads` is {}", node.seen());
        self.errors
            .report_with_hint(node.place, message, "expected `true` or `false`");
        None
    }

    /// A service principal has no principal name to be found by.
    pub(super) fn check_names(&mut self, node: &Node, scope: &Scope) {
        if !scope.workloads {
            return;
        }
        let lists = scope.only.iter().chain([&scope.exclude]);
        for name in lists.flat_map(|list| list.principal_names()) {
            let message = format!("{} names no service principal", quoted(name));
            let hint = "expected its object id (a GUID)";
            self.errors.report_with_hint(node.place, message, hint);
        }
    }

    /// It confirms only, and only after a human's yes.
    pub(super) fn check_workloads(&mut self, mode: Option<Mode>, rungs: &[PlacedRung]) {
        for placed in rungs {
            let other = placed.actions.iter();
            for (kind, place) in other.filter(|(kind, _)| !kind.fits_workloads()) {
                let message = format!("`{kind}` cannot be done to a service principal");
                let hint = format!("expected `{}`", ActionKind::ConfirmCompromised);
                self.errors.report_with_hint(*place, message, hint);
            }
            if mode == Some(Mode::Enforce) && placed.rung.intent == Intent::Do {
                let message = "nothing is done to a service principal without a human's yes";
                let hint = "let the rung `ask`, or give the policy `mode: approve`";
                self.errors.report_with_hint(placed.at, message, hint);
            }
        }
    }
}
