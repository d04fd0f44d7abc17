//! The functions that a condition may call, and how.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr as Tree, LiteralValue, operators as op};
use regex::RegexBuilder;

use super::{Checker, Typed, a};
use crate::policy::condition::eval::{Clock, Expr, TextTest};
use crate::policy::condition::fields::Type;
use crate::policy::lists;
use crate::policy::problem::{quoted, suggestion};

/// What a regular expression may cost, in bytes of its compiled form.
const REGEX_BYTES_MAX: usize = 256 * 1024;
/// Regular expressions in one condition: each may cost a millisecond to build.
const REGEXES_MAX: usize = 8;

/// The functions there are, for "did you mean" and for the reference.
pub(in crate::policy::condition) const FUNCTIONS: &[&str] = &[
    "has",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "exists",
    "all",
    "ip",
    "cidr",
    "containsIP",
    "timestamp",
    "getHours",
    "getDayOfWeek",
];

impl Checker<'_, '_> {
    pub(super) fn function(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Typed> {
        let name = call.func_name.as_str();
        let argument = match &call.args[..] {
            [argument] => Some(argument),
            _ => None,
        };
        match (name, call.target.as_deref(), argument) {
            ("contains" | "startsWith" | "endsWith", Some(of), Some(with)) => {
                let (of, with) = (self.text_of(of), self.text_of(with));
                let (of, with) = (of?, Box::new(with?));
                let test = match name {
                    "contains" => TextTest::Contains(with),
                    "startsWith" => TextTest::StartsWith(with),
                    _ => TextTest::EndsWith(with),
                };
                Some((Expr::Test(Box::new(of), test), Type::Bool))
            }
            ("matches", Some(of), Some(pattern)) => self.matches(of, pattern),
            ("size", Some(of), None) if call.args.is_empty() => self.size(of),
            ("size", None, Some(of)) => self.size(of),
            ("getHours" | "getDayOfWeek", Some(of), None) if call.args.is_empty() => {
                let part = if name == "getHours" {
                    Clock::Hour
                } else {
                    Clock::Weekday
                };
                self.clock(part, of)
            }
            ("ip", None, Some(text)) => {
                let address = self.constant_text(text)?;
                match address.parse() {
                    Ok(address) => Some((Expr::Address(address), Type::Address)),
                    Err(_) => {
                        let message = format!("{} is no address", quoted(&address));
                        self.fault(text, message, "expected one such as `203.0.113.7`")
                    }
                }
            }
            ("timestamp", None, Some(text)) => {
                let time = self.constant_text(text)?;
                match time.parse() {
                    Ok(time) => Some((Expr::Time(time), Type::Time)),
                    Err(_) => {
                        let message = format!("{} is no time", quoted(&time));
                        self.fault(text, message, "expected one such as `2026-11-24T08:00:00Z`")
                    }
                }
            }
            ("containsIP", Some(network), Some(address)) => self.contains_ip(network, address),
            ("cidr", None, Some(_)) => {
                let hint = "write `cidr(\"203.0.113.0/24\").containsIP(event.network.address)`";
                self.fault(node, "a network is no value of its own", hint)
            }
            _ => self.no_function(node, call),
        }
    }

    fn no_function<T>(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<T> {
        let name = call.func_name.as_str();
        if FUNCTIONS.contains(&name) {
            let usage = match name {
                "size" => "`event.sign_in.methods.size() > 1`",
                "getHours" | "getDayOfWeek" => "`event.time.getHours() >= 20`, in UTC",
                "ip" => "`event.network.address == ip(\"203.0.113.7\")`",
                "timestamp" => "`event.time < timestamp(\"2026-11-24T08:00:00Z\")`",
                "containsIP" => "`cidr(\"203.0.113.0/24\").containsIP(event.network.address)`",
                _ => "`event.sign_in.user_agent.contains(\"python\")`",
            };
            let message = format!("{} is not called like this", quoted(name));
            return self.fault(node, message, format!("for example: {usage}"));
        }
        let hint = match name {
            op::INDEX => {
                "look in a list by `\"…\" in event.…` or `event.….exists(x, …)`".to_owned()
            }
            op::DIVIDE | op::MODULO => "there are `+`, `-` and `*`".to_owned(),
            _ => suggestion(name, FUNCTIONS),
        };
        let shown = if name == op::INDEX {
            "[…]"
        } else {
            name.trim_matches('_')
        };
        self.fault(node, format!("there is no {}", quoted(shown)), hint)
    }

    fn text_of(&mut self, node: &IdedExpr) -> Option<Expr> {
        match self.expr(node)? {
            (expr, Type::Text(_)) => Some(expr),
            (_, ty) => self.fault(node, format!("this is {}", a(ty)), "expected a string"),
        }
    }

    fn constant_text(&mut self, node: &IdedExpr) -> Option<String> {
        if let Tree::Literal(LiteralValue::String(text)) = &node.expr {
            return Some(text.inner().to_owned());
        }
        self.fault(
            node,
            "only a text in quotes can stand here",
            "expected `\"…\"`",
        )
    }

    fn matches(&mut self, of: &IdedExpr, pattern: &IdedExpr) -> Option<Typed> {
        let of = self.text_of(of);
        let written = self.constant_text(pattern)?;
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            let message = format!("more than {REGEXES_MAX} regular expressions");
            return self.fault(pattern, message, "join them by `|`");
        }
        let regex = RegexBuilder::new(&written)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .nest_limit(32)
            .build();
        match regex {
            Ok(regex) => {
                let test = TextTest::Matches(regex);
                Some((Expr::Test(Box::new(of?), test), Type::Bool))
            }
            Err(error) => {
                let message = match &error {
                    regex::Error::CompiledTooBig(_) => {
                        "the regular expression is too large".to_owned()
                    }
                    _ => format!("{} is no regular expression", quoted(&written)),
                };
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim();
                self.fault(pattern, message, why.trim_start_matches("error: "))
            }
        }
    }

    fn size(&mut self, of: &IdedExpr) -> Option<Typed> {
        match self.expr(of)? {
            (expr, Type::Text(_) | Type::Texts) => {
                Some((Expr::Size(Box::new(expr)), Type::Int(0, i64::MAX)))
            }
            (_, ty) => self.fault(
                of,
                format!("this is {}", a(ty)),
                "expected a string or a list",
            ),
        }
    }

    fn clock(&mut self, part: Clock, of: &IdedExpr) -> Option<Typed> {
        let last = match part {
            Clock::Hour => 23,
            Clock::Weekday => 6,
        };
        match self.expr(of)? {
            (expr, Type::Time) => Some((Expr::Clock(part, Box::new(expr)), Type::Int(0, last))),
            (_, ty) => self.fault(of, format!("this is {}", a(ty)), "expected `event.time`"),
        }
    }

    fn contains_ip(&mut self, network: &IdedExpr, address: &IdedExpr) -> Option<Typed> {
        let written = match &network.expr {
            Tree::Call(call) if call.func_name == "cidr" && call.args.len() == 1 => {
                self.constant_text(&call.args[0])?
            }
            _ => {
                let hint = "write `cidr(\"203.0.113.0/24\").containsIP(event.network.address)`";
                return self.fault(network, "this is no network", hint);
            }
        };
        let network = match lists::parse_network(&written) {
            Ok(network) => network,
            Err(hint) => {
                return self.fault(network, format!("{} is no network", quoted(&written)), hint);
            }
        };
        match self.expr(address)? {
            (expr, Type::Address) => Some((Expr::Within(Box::new(expr), network), Type::Bool)),
            (_, ty) => self.fault(
                address,
                format!("this is {}", a(ty)),
                "expected `event.network.address`",
            ),
        }
    }
}
