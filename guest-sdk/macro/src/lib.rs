//! The attribute macro of `millstream-sdk`, which documents it.

mod expand;

use proc_macro::TokenStream;

/// See `millstream_sdk::function`.
#[proc_macro_attribute]
pub fn function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::function(arguments.into(), item.into()).into()
}
