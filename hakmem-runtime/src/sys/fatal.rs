//! Fatal errors: one line on standard error, then abort. Allocates nothing, takes no lock, does not unwind.
//!
//! The line is `hakmem: `, the error in a few words ("double free", "invalid free"), and in parentheses the pointer and
//! what else is known about it.

use super::libc_safe;
use super::program::{self, STANDARD_ERROR};

/// Writes `hakmem: MESSAGE (pointer 0x…)` and aborts.
#[cold]
#[inline(never)]
pub(crate) fn fatal(message: &str, pointer: usize) -> ! {
    Message::new().text(message).pointer(pointer).text(")").fatal()
}

/// A message under construction, truncated to its buffer.
///
/// # Invariants
/// `length < bytes.len()`: the last byte is left for the newline.
#[derive(Debug)]
pub(crate) struct Message {
    bytes: [u8; 256],
    length: usize,
}

impl Message {
    /// Starts with `hakmem: `.
    pub(crate) fn new() -> Message {
        let mut message = Message { bytes: [0; 256], length: 0 };
        message.text("hakmem: ");
        message
    }

    fn byte(&mut self, byte: u8) -> &mut Message {
        if self.length + 1 < self.bytes.len()
            && let Some(next) = self.bytes.get_mut(self.length)
        {
            *next = byte;
            self.length += 1;
        }
        self
    }

    #[inline(never)] // For size, as the next two: a line is made of many parts.
    pub(crate) fn text(&mut self, text: &str) -> &mut Message {
        for &byte in text.as_bytes() {
            self.byte(byte);
        }
        self
    }

    /// ` (pointer 0x…`. The caller adds the rest and the closing parenthesis.
    pub(crate) fn pointer(&mut self, pointer: usize) -> &mut Message {
        self.text(" (pointer ").hexadecimal(pointer, 12)
    }

    #[inline(never)]
    pub(crate) fn hexadecimal(&mut self, number: usize, digits: u32) -> &mut Message {
        self.text("0x");
        for position in (0..digits).rev() {
            let digit = (number >> (position * 4)) & 0xF;
            self.byte(*b"0123456789abcdef".get(digit).unwrap_or(&b'?'));
        }
        self
    }

    #[inline(never)]
    pub(crate) fn number(&mut self, number: usize) -> &mut Message {
        let mut divisor = 1;
        while number / divisor >= 10 {
            divisor *= 10;
        }
        while divisor > 0 {
            self.byte(b'0' + (number / divisor % 10) as u8);
            divisor /= 10;
        }
        self
    }

    /// Writes the line.
    pub(crate) fn write(&mut self) {
        if let Some(last) = self.bytes.get_mut(self.length) {
            *last = b'\n';
        }
        program::write(STANDARD_ERROR, self.bytes.get(..=self.length).unwrap_or_default());
    }

    /// Writes the line and aborts.
    pub(crate) fn fatal(&mut self) -> ! {
        self.write();
        // It is async-signal-safe.
        libc_safe::abort()
    }
}
