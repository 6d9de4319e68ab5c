//! The invocation: `ATTRIBUTES VISIBILITY struct NAME`, then `;`, `= "FILE";` or `{ SPEC }`.

use proc_macro2::{Group, Span, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Ident, LitStr, Token, Visibility};

/// A parsed invocation.
pub(crate) struct Input {
    /// The path of the `hakmem` crate: `$crate` of its wrapper macro.
    pub(crate) hakmem: TokenStream,
    pub(crate) build: Build,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) name: Ident,
    pub(crate) spec: SpecAt,
}

/// What the allocator is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The program.
    Plain,
    /// `cargo hakmem record`: the allocator's methods go through the recorder.
    Recorded,
    /// `cargo hakmem asm`: each class's hit paths are also emitted as separate functions.
    Anchored,
    /// Tools that look at each block: the allocator's methods are those of the system's allocator.
    System,
}

/// Where the spec is.
pub(crate) enum SpecAt {
    /// `struct Heap;`
    Default,
    /// `struct Heap = "classes.toml";`
    File(LitStr),
    /// `struct Heap { … }`
    Inline(Group),
}

impl Input {
    /// The span of errors about the spec as a whole.
    pub(crate) fn spec_span(&self) -> Span {
        match &self.spec {
            SpecAt::Default => self.name.span(),
            SpecAt::File(path) => path.span(),
            SpecAt::Inline(group) => group.span_open(),
        }
    }
}

impl Parse for Input {
    fn parse(input: ParseStream) -> syn::Result<Input> {
        let hakmem: Group = input.parse()?;
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        input.parse::<Token![struct]>().map_err(|error| {
            syn::Error::new(
                error.span(),
                "expected `struct NAME;`, `struct NAME = \"classes.toml\";` or `struct NAME { SPEC }`",
            )
        })?;
        let name = input.parse()?;
        let spec = if input.peek(syn::token::Brace) {
            SpecAt::Inline(input.parse()?)
        } else if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            SpecAt::File(input.parse().map_err(|error| {
                syn::Error::new(error.span(), "expected the path of a spec in quotes, as in `= \"classes.toml\";`")
            })?)
        } else {
            SpecAt::Default
        };
        if !matches!(spec, SpecAt::Inline(_)) {
            input.parse::<Token![;]>()?;
        }
        if !input.is_empty() {
            return Err(input.error("one invocation makes one allocator; write another `allocator!` for the next"));
        }
        Ok(Input { hakmem: hakmem.stream(), build: Build::Plain, attributes, visibility, name, spec })
    }
}
