//! A cursor over a command's arguments.

use super::error::{CommandError, NOT_INTEGER, SYNTAX};
use crate::types::number::parse_i64;

/// Walks arguments from left to right.
pub struct Cursor<'a> {
    args: &'a [&'a [u8]],
    next: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at `first`.
    pub fn new(args: &'a [&'a [u8]], first: usize) -> Self {
        Self { args, next: first }
    }

    /// Number of arguments left.
    pub fn remaining(&self) -> usize {
        self.args.len().saturating_sub(self.next)
    }

    /// The next argument, if there is one.
    pub fn next_arg(&mut self) -> Option<&'a [u8]> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        Some(arg)
    }

    /// The next argument, or a syntax error.
    pub fn required(&mut self) -> Result<&'a [u8], CommandError> {
        self.next_arg().ok_or(SYNTAX)
    }

    /// The next argument as an integer, or Redis's errors.
    pub fn integer(&mut self) -> Result<i64, CommandError> {
        parse_i64(self.required()?).ok_or(NOT_INTEGER)
    }

    /// Consumes the next argument if it is this word in any case.
    pub fn accept(&mut self, word: &str) -> bool {
        let matched = self.args.get(self.next).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        self.next += usize::from(matched);
        matched
    }
}
