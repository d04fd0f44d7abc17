//! stub
use super::Decoded; use std::io::BufRead;
pub struct Located { pub line: usize, pub content: Decoded }
pub fn read(_r: impl BufRead, mut _e: impl FnMut(Located)) -> anyhow::Result<()> { Ok(()) }
