//! The procedural macro behind `hakmem::allocator!`.
//!
//! Three steps, one module each: `input` reads the invocation, `hakmem-spec` reads and checks the spec it names
//! (`source` finds it), and `emit` writes the allocator. Use it through the `hakmem` crate, whose wrapper passes the
//! path under which the generated code finds the runtime.

#![forbid(unsafe_code)]

mod emit;
mod input;
mod source;

use proc_macro2::TokenStream;

/// The implementation of `hakmem::allocator!`; its first token tree is the path of the `hakmem` crate in parentheses.
#[doc(hidden)]
#[proc_macro]
pub fn allocator_impl(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(tokens.into()).into()
}

fn expand(tokens: TokenStream) -> TokenStream {
    let input: input::Input = match syn::parse2(tokens) {
        Ok(input) => input,
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
