//! The shipped stories pass; the mistakes of a file are told where they are.
