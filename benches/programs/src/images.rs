//! Images and archives: buffers of 8 to 512 KiB filled, compressed, decompressed, some kept.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use miniz_oxide::{deflate, inflate};
use png::{BitDepth, ColorType, Compression, Decoder, Encoder};
use std::collections::VecDeque;
use std::io::Cursor;

/// Images of one round.
const IMAGES: usize = 12;
/// Compressed images and texts alive at a time.
const KEPT: usize = 400;
/// Decoded images alive at a time.
const SHOWN: usize = 100;

/// Bands, a gradient and specks, in RGBA.
fn draw(rng: &mut Rng, width: usize, height: usize) -> Vec<u8> {
    let mut pixels = vec![0; width * height * 4];
    let (slope, band) = (1 + rng.below(7), 1 + rng.below(40));
    for (y, row) in pixels.chunks_exact_mut(width * 4).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            let shade = (x / slope + y) as u8;
            pixel.copy_from_slice(&[shade, (y / band * 16) as u8, 255 - shade, 255]);
        }
        let speck = rng.below(width) * 4;
        row[speck..speck + 3].fill(rng.next() as u8);
    }
    pixels
}

fn encode(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header().expect("written to memory");
    writer.write_image_data(pixels).expect("written to memory");
    writer.finish().expect("written to memory");
    file
}

fn decode(file: &[u8]) -> Vec<u8> {
    let mut reader = Decoder::new(Cursor::new(file)).read_info().expect("just written");
    let mut pixels = vec![0; reader.output_buffer_size().expect("fits in memory")];
    reader.next_frame(&mut pixels).expect("just written");
    pixels
}

/// Half the width and height.
fn halve(pixels: &[u8], width: usize) -> Vec<u8> {
    let rows = pixels.chunks_exact(width * 4).step_by(2);
    rows.flat_map(|row| row.chunks_exact(4).step_by(2).flatten().copied()).collect()
}

pub(crate) fn run(scale: u32) -> u64 {
    let mut rng = Rng::new(13);
    let mut sum = Checksum::default();
    let mut kept = VecDeque::new();
    let mut shown = VecDeque::new();
    for _ in 0..scale {
        for _ in 0..IMAGES {
            // 8 KiB to 512 KiB of pixels.
            let (width, height) = (32 + 16 * rng.skewed(21), 64 + 16 * rng.skewed(21));
            let pixels = draw(&mut rng, width, height);
            let file = encode(&pixels, width, height);
            let again = decode(&file);
            sum.count(usize::from(again == pixels));
            let thumbnail = halve(&again, width);
            shown.push_back(again);
            if shown.len() > SHOWN {
                shown.pop_front();
            }
            sum.bytes(&thumbnail);
            kept.push_back(encode(&thumbnail, width.div_ceil(2), height.div_ceil(2)));

            let length = 8_192 + rng.skewed(input::DOCS.len() - 8_192);
            let text = &input::DOCS.as_bytes()[..length];
            let packed = deflate::compress_to_vec(text, 3);
            let unpacked = inflate::decompress_to_vec(&packed).expect("just packed");
            sum.count(usize::from(unpacked == text));
            kept.push_back(packed);
        }
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }
    // How well it packs is the library's affair; that everything came back is not.
    sum.count(kept.len());
    sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x67eb_9210_6c48_f59c);
}
