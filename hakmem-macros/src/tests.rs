//! What the macro emits, and how long that takes.

use proc_macro2::TokenStream;
use quote::quote;
use std::time::{Duration, Instant};

/// The expansion of an invocation, formatted.
fn expansion(invocation: TokenStream) -> String {
    let tokens = crate::expand(quote! { (::hakmem) #invocation });
    prettyplease::unparse(&syn::parse2(tokens).expect("the expansion is a list of items"))
}

/// The whole of it for a small spec of two groups, to be read: `cargo insta review`, or `INSTA_UPDATE=always`, accepts a
/// change.
#[test]
fn two_groups() {
    insta::assert_snapshot!(expansion(quote! {
        /// The heap of a test.
        pub(crate) struct TestHeap = "src/tests/two_groups.toml";
    }));
}

/// A broken invocation still defines the type, so that one mistake gives one error and not one at each use.
#[test]
fn mistakes_leave_the_type() {
    for (invocation, message) in [
        (quote! { pub struct Heap = "no-such.toml"; }, "cannot read the spec"),
        (quote! { pub struct Heap = "src/tests/broken.toml"; }, "--> src/tests/broken.toml:2:8"),
    ] {
        let text = expansion(invocation);
        assert!(text.contains("compile_error!") && text.contains(message), "{text}");
        assert!(text.contains("pub struct Heap;") && text.contains("GlobalAlloc for Heap"), "{text}");
    }
}

#[test]
fn the_default_spec_expands_in_milliseconds() {
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            let tokens = crate::expand(quote! { (::hakmem) pub struct Heap; });
            assert!(!tokens.is_empty());
            start.elapsed()
        })
        .collect();
    times.sort();
    let median = times[times.len() / 2];
    println!("the default spec expands in {median:?} (median of {})", times.len());
    assert!(median < Duration::from_millis(200), "the default spec takes {median:?} to expand");
}
