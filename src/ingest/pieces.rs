//! Takes JSON text apart into its values without parsing them.
//!
//! The typed decoder stops at the first byte that is not JSON, and with it
//! every record behind. This scanner knows only brackets and strings, works on
//! bytes that need not be UTF-8, and so still finds where a broken record ends
//! and the next one begins.
//!
//! Invariant: what it returns are slices of the input in their order; bytes
//! that hold a record are in exactly one of them. On text that is JSON, the
//! slices are exactly the values.

/// Finds the end of one value that may arrive in several chunks.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Scan {
    /// Reads on in the value. Returns the position just past its last byte
    /// once that is known; `None` when `bytes` end before the value does.
    ///
    /// A number, `true` or anything else without brackets or quotes ends
    /// before the next comma, bracket or white space.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if self.depth > 1 => self.depth -= 1,
                b'}' | b']' if self.depth == 1 => return Some(at + 1),
                // A bare word ends here; a value has at least one byte, so
                // that whoever loops over values always moves on.
                b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 => {
                    return Some(if self.begun { at } else { at + 1 });
                }
                _ => {}
            }
            self.begun = true;
        }
        None
    }
}

/// A message taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces<'a> {
    /// The records, in their order, each from its first to its last byte.
    pub(super) records: Vec<&'a [u8]>,
    /// What could not be taken apart.
    pub(super) rest: Option<Rest<'a>>,
}

/// A stretch of bytes that is not a whole record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rest<'a> {
    /// From the first byte behind the last whole record to the end.
    pub(super) bytes: &'a [u8],
    /// What is wrong with it.
    pub(super) reason: &'static str,
}

/// Takes a message apart: `{"records":[…]}`, a bare array, single records,
/// or several of these in a row. At most `records_max` records; what follows
/// them is the rest.
pub(super) fn take_apart(body: &[u8], records_max: usize) -> Pieces<'_> {
    let mut cursor = Cursor {
        body,
        at: 0,
        records_max,
        records: Vec::new(),
    };
    let rest = cursor.message().err().map(|stop| Rest {
        bytes: body.get(stop.from..).unwrap_or_default(),
        reason: stop.reason,
    });
    Pieces {
        records: cursor.records,
        rest,
    }
}

struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
    records_max: usize,
    records: Vec<&'a [u8]>,
}

/// Where and why the taking apart stopped.
struct Stop {
    from: usize,
    reason: &'static str,
}

const CUT: &str = "the message ends before its JSON does";
const TOO_MANY: &str = "too many records in one message";
const NOT_RECORDS: &str = "records: expected an array";

impl<'a> Cursor<'a> {
    fn message(&mut self) -> Result<(), Stop> {
        if self.peek().is_none() {
            return Err(self.stop("the message is empty"));
        }
        while let Some(byte) = self.peek() {
            match byte {
                b'[' => self.array()?,
                b'{' => self.envelope_or_record()?,
                _ => return Err(self.stop("expected a JSON object or array")),
            }
        }
        Ok(())
    }

    /// The elements of the array that begins here.
    fn array(&mut self) -> Result<(), Stop> {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let start = self.at;
            let value = self.value()?;
            self.keep(start, value)?;
            let behind = self.at;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                found => {
                    self.at = behind;
                    return Err(self.stop(match found {
                        None => CUT,
                        Some(_) => "expected a comma or the end of the array",
                    }));
                }
            }
        }
    }

    /// The object that begins here: if it has a member `records`, that one's
    /// elements, else the object itself.
    fn envelope_or_record(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let mut enveloped = false;
        let members = self.members(&mut enveloped);
        if enveloped {
            return members;
        }
        self.at = start;
        let value = self.value()?;
        self.keep(start, value)
    }

    /// The members of the object that begins here, as an envelope's.
    fn members(&mut self, enveloped: &mut bool) -> Result<(), Stop> {
        let start = self.at;
        self.at += 1;
        while self.peek() == Some(b'"') {
            let key = self.value()?;
            if self.peek() != Some(b':') {
                break;
            }
            self.at += 1;
            if key.eq_ignore_ascii_case(br#""records""#) {
                *enveloped = true;
                if self.peek() != Some(b'[') {
                    self.at = start;
                    return Err(self.stop(NOT_RECORDS));
                }
                self.array()?;
            } else {
                self.value()?;
            }
            let behind = self.at;
            if self.peek() == Some(b',') {
                self.at += 1;
            } else {
                self.at = behind;
            }
        }
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.stop("expected the end of the envelope")),
            None => Err(self.stop(CUT)),
        }
    }

    /// Skips white space; the byte that follows it.
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.body.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// The value that begins at the next byte that is not white space.
    fn value(&mut self) -> Result<&'a [u8], Stop> {
        self.peek();
        let from_here = self.body.get(self.at..).unwrap_or_default();
        let length = Scan::default()
            .feed(from_here)
            .ok_or_else(|| self.stop(CUT))?;
        self.at += length;
        Ok(from_here.get(..length).unwrap_or_default())
    }

    fn keep(&mut self, start: usize, record: &'a [u8]) -> Result<(), Stop> {
        if self.records.len() == self.records_max {
            return Err(Stop {
                from: start,
                reason: TOO_MANY,
            });
        }
        self.records.push(record);
        Ok(())
    }

    fn stop(&self, reason: &'static str) -> Stop {
        Stop {
            from: self.at,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &Pieces<'_>) -> (Vec<String>, Option<String>) {
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            pieces.records.iter().map(|r| show(r)).collect(),
            pieces.rest.as_ref().map(|rest| show(rest.bytes)),
        )
    }

    #[test]
    fn whole_messages_leave_no_rest() {
        for (body, records) in [
            (
                r#"{"records":[{"a":1},{"b":[2]}]}"#,
                &[r#"{"a":1}"#, r#"{"b":[2]}"#][..],
            ),
            (
                r#" [ {"a":"]"} , 5 , "x" ] "#,
                &[r#"{"a":"]"}"#, "5", r#""x""#],
            ),
            (r#"{"a":"\"}\\"}"#, &[r#"{"a":"\"}\\"}"#]),
            (r#"{"x":1,"Records":[{}],"y":{"records":[1]}}"#, &["{}"]),
            (r#"{"records":[]}"#, &[]),
            ("[]", &[]),
            ("{}\n{\"a\":1}\n", &["{}", r#"{"a":1}"#]),
        ] {
            let (found, rest) = text(&take_apart(body.as_bytes(), 100));
            assert_eq!(found, records, "{body}");
            assert_eq!(rest, None, "{body}");
        }
    }

    #[test]
    fn a_cut_message_keeps_its_whole_records() {
        for (body, records, rest) in [
            (r#"{"records":[{"a":1},{"b"#, 1, r#"{"b"#),
            (r#"{"records":[{"a":1},"#, 1, ""),
            (r#"{"records":[{"a":1}"#, 1, ""),
            (r#"{"records":[{"a":1}]"#, 1, ""),
            (r#"[{"a":1},{"a":"#, 1, r#"{"a":"#),
            (r#"{"a":1,"b"#, 0, r#"{"a":1,"b"#),
            ("{}\n{\"a\":1,\"b", 1, r#"{"a":1,"b"#),
            (r#"{"records":[{"a":1}],"b"#, 1, r#""b"#),
            (r#"{"records":[{"a":1}] 5}"#, 1, "5}"),
            (r#"{"a":"#, 0, r#"{"a":"#),
            (r#"{"a":"x"#, 0, r#"{"a":"x"#),
            ("", 0, ""),
            ("hello", 0, "hello"),
            (r#"{"records":5}"#, 0, r#"{"records":5}"#),
        ] {
            let (found, left) = text(&take_apart(body.as_bytes(), 100));
            assert_eq!(found.len(), records, "{body}");
            assert_eq!(left.as_deref(), Some(rest), "{body}");
        }
    }

    #[test]
    fn a_broken_record_does_not_take_its_neighbours_along() {
        let (found, rest) = text(&take_apart(br#"[{"a":tru},{"a" 1},{"b":1}]"#, 100));
        assert_eq!(found, [r#"{"a":tru}"#, r#"{"a" 1}"#, r#"{"b":1}"#]);
        assert_eq!(rest, None);
    }

    #[test]
    fn what_follows_the_last_allowed_record_is_one_piece() {
        let pieces = take_apart(b"[1,2,3,4]", 2);
        assert_eq!(
            text(&pieces),
            (
                vec!["1".to_owned(), "2".to_owned()],
                Some("3,4]".to_owned())
            )
        );
    }

    #[test]
    fn a_value_is_found_across_chunks() {
        let mut scan = Scan::default();
        assert_eq!(scan.feed(br#"{"a":"}\"#), None);
        assert_eq!(scan.feed(br#"""#), None);
        assert_eq!(scan.feed(br#"}"} tail"#), Some(3));
    }
}
