//! The procedural macro behind `hakmem::allocator!`.
//!
//! Three steps, one module each: `input` reads the invocation, `hakmem-spec` reads and checks the spec it names
//! (`source` finds it), and `emit` writes the allocator. Use it through the `hakmem` crate, whose wrapper passes the
//! path under which the generated code finds the runtime.

#![forbid(unsafe_code)]

mod emit;
mod input;
mod source;

use input::Input;
use proc_macro2::TokenStream;

/// The implementation of `hakmem::allocator!`; its first token tree is the path of the `hakmem` crate in parentheses.
#[doc(hidden)]
#[proc_macro]
pub fn allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(tokens.into()).into()
}

/// The same under `--cfg hakmem_record`.
#[doc(hidden)]
#[proc_macro]
pub fn recorded_allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_as(tokens.into(), |input| Input { record: true, ..input }).into()
}

/// The same under `--cfg hakmem_anchors`.
#[doc(hidden)]
#[proc_macro]
pub fn anchored_allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_as(tokens.into(), |input| Input { anchors: true, ..input }).into()
}

fn expand(tokens: TokenStream) -> TokenStream {
    expand_as(tokens, |input| input)
}

fn expand_as(tokens: TokenStream, kind: impl FnOnce(Input) -> Input) -> TokenStream {
    let input = match syn::parse2(tokens) {
        Ok(input) => kind(input),
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
