//! The text of a profile, as `cargo hakmem` reads it: no text makes it panic, and what is read can be written, read again
//! and added up.

#![no_main]
// The modules of the command have more functions than are used here.
#![allow(dead_code, unused_imports, unused_macros)]

#[path = "../../../cargo-hakmem/src/failure.rs"]
mod failure;
#[path = "../../../cargo-hakmem/src/files.rs"]
mod files;
#[path = "../../../cargo-hakmem/src/profile/mod.rs"]
mod profile;

use libfuzzer_sys::fuzz_target;
use profile::Profile;

fuzz_target!(|text: &str| {
    let Ok(profile) = Profile::parse(text) else { return };
    let again = Profile::parse(&profile.to_string()).expect("what was written can be read");
    assert_eq!(again, profile);
    let mut sum = Profile::default();
    sum.merge(&profile);
    sum.merge(&again);
    assert_eq!(sum.requests.len(), profile.requests.len());
    _ = (sum.allocations(), sum.bytes_at_peak(), sum.busy_threads());
    assert!((0.0..=0.5).contains(&sum.idle_part()), "{}", sum.idle_part());
});
