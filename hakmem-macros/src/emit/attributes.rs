//! What the attributes of the struct mean for the other items of the expansion.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// The attributes that an item beside the struct needs: it exists where the struct does, and names it without a warning.
pub(super) fn of_items(attributes: &[Attribute]) -> TokenStream {
    let meant = attributes.iter().flat_map(|attribute| meant(&attribute.meta));
    quote! { #(#[#meant])* }
}

/// What one attribute means for other items: a condition as it is, `allow(deprecated)` for a deprecation, and what
/// `cfg_attr` says of either.
fn meant(attribute: &Meta) -> Option<TokenStream> {
    if attribute.path().is_ident("cfg") {
        return Some(attribute.to_token_stream());
    }
    if attribute.path().is_ident("deprecated") {
        return Some(quote! { allow(deprecated) });
    }
    if !attribute.path().is_ident("cfg_attr") {
        return None;
    }
    // What is not well-formed is an error on the struct itself.
    let (condition, applied) = attribute.require_list().ok()?.parse_args_with(cfg_attr).ok()?;
    let meant: Vec<_> = applied.iter().filter_map(self::meant).collect();
    (!meant.is_empty()).then(|| quote! { cfg_attr(#condition, #(#meant),*) })
}

/// The condition of a `cfg_attr`, and the attributes that it applies.
fn cfg_attr(input: ParseStream) -> syn::Result<(TokenStream, Punctuated<Meta, Token![,]>)> {
    let mut condition = TokenStream::new();
    while !input.peek(Token![,]) {
        condition.extend([input.parse::<TokenTree>()?]);
    }
    input.parse::<Token![,]>()?;
    Ok((condition, Punctuated::parse_terminated(input)?))
}
