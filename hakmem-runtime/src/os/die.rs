//! The end: one line on standard error, then abort. No allocation, no formatting machinery, no unwinding.

/// Writes `hakmem: MESSAGE (pointer 0x…)` and aborts.
#[cold]
#[inline(never)]
pub(crate) fn die(message: &str, pointer: usize) -> ! {
    let mut line = [0_u8; 256];
    let mut length = 0_usize;
    let mut put = |byte: u8| {
        if let Some(place) = line.get_mut(length) {
            *place = byte;
            length = length.wrapping_add(1);
        }
    };
    for byte in b"hakmem: ".iter().chain(message.as_bytes().iter().take(200)).chain(b" (pointer 0x") {
        put(*byte);
    }
    for shift in (0..12).rev() {
        let digit = (pointer >> (shift * 4)) & 0xF;
        put(*b"0123456789abcdef".get(digit).unwrap_or(&b'?'));
    }
    put(b')');
    put(b'\n');
    // SAFETY: `line` has `length` bytes, and neither call comes back into the allocator.
    unsafe {
        libc::write(2, line.as_ptr().cast(), length);
        libc::abort()
    }
}
