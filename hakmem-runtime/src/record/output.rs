//! A file that is written without an allocation, a lock or a formatting machinery: from a signal handler, too.

/// Bytes on their way to a file.
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
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
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
        for place in digits.iter_mut().rev() {
            *place = b'0'.wrapping_add((rest % 10) as u8);
            rest /= 10;
            count = count.wrapping_add(1);
            if rest == 0 {
                break;
            }
        }
        let start = digits.len().wrapping_sub(count);
        self.text(digits.get(start..).unwrap_or_default())
    }

    /// ` NAME=NUMBER`; what is less than 0 for want of order between threads is 0.
    pub(super) fn field(&mut self, name: &str, number: i64) -> &mut Output {
        self.text(b" ").text(name.as_bytes()).text(b"=").number(u64::try_from(number).unwrap_or(0))
    }

    pub(super) fn end_line(&mut self) {
        self.lines = self.lines.wrapping_add(1);
        self.byte(b'\n');
    }

    /// Lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn flush(&mut self) {
        let mut rest = self.bytes.get(..self.length).unwrap_or_default();
        while !rest.is_empty() {
            // SAFETY: the bytes are readable for as long as they are.
            let written = unsafe { libc::write(self.file, rest.as_ptr().cast(), rest.len()) };
            let Some(after) = usize::try_from(written).ok().filter(|&count| count > 0) else { break };
            rest = rest.get(after..).unwrap_or_default();
        }
        self.length = 0;
    }
}
