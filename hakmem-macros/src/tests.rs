//! What the macro emits, and how long that takes.

use proc_macro2::TokenStream;
use quote::quote;
use std::time::{Duration, Instant};

/// The expansion of an invocation, formatted.
fn expansion(invocation: TokenStream) -> String {
    let tokens = crate::expand(quote! { (::hakmem) #invocation });
    prettyplease::unparse(&syn::parse2(tokens).expect("the expansion is a list of items"))
}

#[test]
fn two_groups() {
    insta::assert_snapshot!(expansion(quote! {
        /// The heap of a test.
        pub(crate) struct TestHeap = "src/tests/two_groups.toml";
    }));
}
