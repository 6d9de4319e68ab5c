//! A spec that begins on the line of the brace, behind letters of more than a byte.

#[rustfmt::skip]
mod heap { hakmem::allocator! { /** Größe – ☃ */ pub struct Heap { huge_pages = "☃" # über
        class = [{ size = 64 , bacth = 16 }] } } }

fn main() {}
