//! The end: one line on standard error, then abort. No allocation, no formatting machinery, no unwinding.

/// Writes `hakmem: MESSAGE (pointer 0x…)` and aborts.
#[cold]
#[inline(never)]
pub(crate) fn fatal(message: &str, pointer: usize) -> ! {
    Message::new().text(message).pointer(pointer).text(")").fatal()
}

/// A line in the making. What does not fit is cut off.
#[derive(Debug)]
pub(crate) struct Message {
    bytes: [u8; 256],
    length: usize,
}

impl Message {
    /// `hakmem: `, and whatever follows.
    pub(crate) fn new() -> Message {
        let mut line = Message { bytes: [0; 256], length: 0 };
        line.text("hakmem: ");
        line
    }

    fn byte(&mut self, byte: u8) -> &mut Message {
        // The last place is for the end of the line.
        if self.length + 1 < self.bytes.len()
            && let Some(place) = self.bytes.get_mut(self.length)
        {
            *place = byte;
            self.length += 1;
        }
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Message {
        for &byte in text.as_bytes() {
            self.byte(byte);
        }
        self
    }

    /// ` (pointer 0x…`: the bracket is open for more.
    pub(crate) fn pointer(&mut self, pointer: usize) -> &mut Message {
        self.text(" (pointer ").hexadecimal(pointer, 12)
    }

    pub(crate) fn hexadecimal(&mut self, number: usize, digits: u32) -> &mut Message {
        self.text("0x");
        for place in (0..digits).rev() {
            let digit = (number >> (place * 4)) & 0xF;
            self.byte(*b"0123456789abcdef".get(digit).unwrap_or(&b'?'));
        }
        self
    }

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

    /// Writes the line and aborts.
    pub(crate) fn fatal(&mut self) -> ! {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = b'\n';
        }
        // SAFETY: `bytes` has one place behind `length`, and neither call comes back into the allocator.
        unsafe {
            libc::write(2, self.bytes.as_ptr().cast(), self.length + 1);
            libc::abort()
        }
    }
}
