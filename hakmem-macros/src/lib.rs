//! The procedural macro behind `hakmem::allocator!`.
//!
//! Three steps: `input` parses the invocation; `source` loads the spec that it names, which `hakmem-spec` parses and
//! checks; `emit` generates the allocator. Use it through the `hakmem` crate, whose wrapper macro passes its own path,
//! by which generated code reaches the runtime.

#![forbid(unsafe_code)]

mod emit;
mod input;
mod source;

use input::{Build, Input};
use proc_macro2::TokenStream;

/// The implementation of `hakmem::allocator!`; its first token tree is the path of the `hakmem` crate in parentheses.
#[doc(hidden)]
#[proc_macro]
pub fn allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(tokens.into()).into()
}

/// `allocator_impl` under `--cfg hakmem_record`: the allocator's methods go through the recorder.
#[doc(hidden)]
#[proc_macro]
pub fn recorded_allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_as(tokens.into(), Build::Recorded).into()
}

/// `allocator_impl` under `--cfg hakmem_anchors`: each class's hit paths are also emitted as separate functions.
#[doc(hidden)]
#[proc_macro]
pub fn anchored_allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_as(tokens.into(), Build::Anchored).into()
}

/// `allocator_impl` under `--cfg hakmem_system`: the allocator's methods are those of `std::alloc::System`.
#[doc(hidden)]
#[proc_macro]
pub fn system_allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_as(tokens.into(), Build::System).into()
}

fn expand(tokens: TokenStream) -> TokenStream {
    expand_as(tokens, Build::Plain)
}

fn expand_as(tokens: TokenStream, build: Build) -> TokenStream {
    let input = match syn::parse2::<Input>(tokens) {
        Ok(input) => Input { build, ..input },
        Err(error) => return error.into_compile_error(),
    };
    let found = match source::find(&input) {
        Ok(found) => found,
        Err(error) => return emit::failed(&input, None, &[error.to_string()]),
    };
    match hakmem_spec::parse(&found.source) {
        Ok(spec) => emit::allocator(&input, &found, &spec),
        Err(diagnostics) => {
            let messages: Vec<String> = diagnostics.iter().map(|error| error.render(&found.source)).collect();
            emit::failed(&input, found.tracked.as_deref(), &messages)
        }
    }
}

#[cfg(test)]
mod tests;
