//! Buffered text output without allocations, locks or `core::fmt`, so that a signal handler can use it.

use crate::sys::program;

/// A file descriptor with a buffer.
#[derive(Debug)]
pub(super) struct Output {
    file: i32,
    bytes: [u8; 4096],
    length: usize,
    lines: u64,
}

impl Output {
    pub(super) fn new(file: i32) -> Output {
        Output { file, bytes: [0; 4096], length: 0, lines: 0 }
    }

    fn byte(&mut self, byte: u8) {
        if self.length == self.bytes.len() {
            self.flush();
        }
        if let Some(free) = self.bytes.get_mut(self.length) {
            *free = byte;
            self.length = self.length.wrapping_add(1);
        }
    }

    pub(super) fn text(&mut self, text: &[u8]) -> &mut Output {
        text.iter().for_each(|&byte| self.byte(byte));
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Output {
        let mut digits = [0; 20];
        let mut rest = number;
        let mut count = 0_usize;
        for digit in digits.iter_mut().rev() {
            *digit = b'0'.wrapping_add((rest % 10) as u8);
            rest /= 10;
            count = count.wrapping_add(1);
            if rest == 0 {
                break;
            }
        }
        let start = digits.len().wrapping_sub(count);
        self.text(digits.get(start..).unwrap_or_default())
    }

    /// ` NAME=NUMBER`. Negative numbers become 0: counters that threads are changing may be inconsistent.
    pub(super) fn field(&mut self, name: &str, number: i64) -> &mut Output {
        self.text(b" ").text(name.as_bytes()).text(b"=").number(u64::try_from(number).unwrap_or(0))
    }

    pub(super) fn end_line(&mut self) {
        self.lines = self.lines.wrapping_add(1);
        self.byte(b'\n');
    }

    /// How many lines have ended.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Writes the buffer to the file. What cannot be written is lost.
    pub(super) fn flush(&mut self) {
        let mut rest = self.bytes.get(..self.length).unwrap_or_default();
        while !rest.is_empty() {
            let written = program::write(self.file, rest);
            let Some(after) = usize::try_from(written).ok().filter(|&count| count > 0) else { break };
            rest = rest.get(after..).unwrap_or_default();
        }
        self.length = 0;
    }
}
