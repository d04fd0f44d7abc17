//! `evictd lab evaluate`: how good the detection is, measured.
//!
//! A labelled population is generated from a seed and judged by the daemon's
//! own engine and the shipped policies; the table says what every attack came
//! to and whom ordinary life would have locked out. It repeats: everything
//! follows from the seed.

mod attacks;
mod people;
mod world;
