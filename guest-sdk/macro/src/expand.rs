//! Leaves the handler as it is, and adds the export that calls it.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericParam, ItemFn, ReturnType, parse2};

const EXPECTED: &str = "#[millstream_sdk::function] stands on a function such as \
    `fn name(event: Event<'_>) -> Result<Emission<'_>, Failure>`";

pub(crate) fn function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let checked = no_arguments(&arguments).and_then(|()| {
        let handler: ItemFn = parse2(item.clone()).map_err(|_| Error::new_spanned(&item, EXPECTED))?;
        check(&handler)?;
        Ok(handler)
    });
    match checked {
        Ok(handler) => expand(&handler),
        // The item stays, so that one mistake is not followed by complaints about a function that is not there.
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn no_arguments(arguments: &TokenStream) -> Result<(), Error> {
    if arguments.is_empty() {
        return Ok(());
    }
    let message = "#[millstream_sdk::function] takes no arguments; topics, outputs and limits are in millstream.toml";
    Err(Error::new_spanned(arguments, message))
}

fn check(handler: &ItemFn) -> Result<(), Error> {
    let signature = &handler.sig;
    let refuse = |tokens: &dyn ToTokens, what: &str| Err(Error::new_spanned(tokens, format!("{what}; {EXPECTED}")));
    if let Some(token) = &signature.asyncness {
        return refuse(token, "a handler cannot be async: it is called and returns");
    }
    if let Some(token) = &signature.unsafety {
        return refuse(token, "a handler cannot be unsafe");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi, "a handler has no ABI of its own");
    }
    let is_lifetime = |parameter: &&GenericParam| matches!(parameter, GenericParam::Lifetime(_));
    if let Some(parameter) = signature.generics.params.iter().find(|parameter| !is_lifetime(parameter)) {
        return refuse(parameter, "a handler cannot be generic: nothing would choose the type");
    }
    if let Some(receiver) = signature.receiver() {
        return refuse(receiver, "a handler cannot be a method");
    }
    match signature.inputs.len() {
        0 => return refuse(&signature.ident, "a handler takes the event"),
        1 => {}
        _ => return refuse(&signature.inputs[1], "a handler takes the event and nothing else"),
    }
    if matches!(signature.output, ReturnType::Default) {
        return refuse(&signature.ident, "a handler returns a Result of emissions");
    }
    Ok(())
}

fn expand(handler: &ItemFn) -> TokenStream {
    let name = &handler.sig.ident;
    // Errors about a wrong type are to point at the handler's own.
    let input_span = handler.sig.inputs.first().map_or_else(Span::call_site, argument_span);
    let event = quote_spanned!(input_span=> event);
    let call = quote_spanned!(input_span=> #name(#event));
    let output_span = match &handler.sig.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => Span::call_site(),
    };
    let write = quote_spanned!(output_span=> verdict.write(result));
    quote! {
        #handler

        // A second handler in the same module meets this name, rather than a linker's error about symbols.
        #[doc(hidden)]
        #[allow(dead_code)]
        const __A_CRATE_HAS_ONE_MILLSTREAM_FUNCTION: () = ();

        const _: () = {
            // Not called on native targets, where it is there to check the handler's type.
            #[allow(dead_code)]
            fn answer(request: &[u8]) -> ::std::vec::Vec<u8> {
                ::millstream_sdk::__private::answer(request, |#event, verdict| {
                    let result = #call;
                    #write
                })
            }

            #[cfg(target_family = "wasm")]
            struct Exported;

            #[cfg(target_family = "wasm")]
            impl ::millstream_sdk::__private::Guest for Exported {
                fn handle(input: ::std::vec::Vec<u8>) -> ::std::vec::Vec<u8> {
                    answer(&input)
                }
            }

            #[cfg(target_family = "wasm")]
            ::millstream_sdk::__private::export_batch_function!(Exported with_types_in ::millstream_sdk::__private);
        };
    }
}

fn argument_span(argument: &FnArg) -> Span {
    match argument {
        FnArg::Typed(typed) => typed.ty.span(),
        FnArg::Receiver(receiver) => receiver.span(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: TokenStream, item: TokenStream) -> String {
        function(arguments, item).to_string()
    }

    fn refusal(item: TokenStream) -> String {
        let expanded = expanded(TokenStream::new(), item);
        assert!(expanded.contains("compile_error"), "{expanded}");
        expanded
    }

    #[test]
    fn a_handler_is_exported_and_stays() {
        let item = quote!(
            pub fn shout(event: Event<'_>) -> Result<(), Failure> {
                Ok(())
            }
        );
        let expanded = expanded(TokenStream::new(), item);
        assert!(!expanded.contains("compile_error"), "{expanded}");
        assert!(expanded.starts_with("pub fn shout"), "{expanded}");
        assert!(expanded.contains("export_batch_function"), "{expanded}");
    }

    #[test]
    fn misuse_is_told_and_the_item_stays() {
        let said = refusal(quote!(
            async fn f(event: Event<'_>) -> Result<(), Failure> {}
        ));
        assert!(said.contains("cannot be async") && said.contains("async fn f"), "{said}");
        assert!(
            refusal(quote!(
                fn f() -> Result<(), Failure> {}
            ))
            .contains("takes the event")
        );
        assert!(
            refusal(quote!(
                fn f(a: A, b: B) -> Result<(), Failure> {}
            ))
            .contains("nothing else")
        );
        assert!(
            refusal(quote!(
                fn f(&self) -> Result<(), Failure> {}
            ))
            .contains("cannot be a method")
        );
        assert!(
            refusal(quote!(
                fn f<T>(event: T) -> Result<(), Failure> {}
            ))
            .contains("cannot be generic")
        );
        assert!(
            refusal(quote!(
                fn f(event: Event<'_>) {}
            ))
            .contains("returns a Result")
        );
        assert!(
            refusal(quote!(
                unsafe fn f(event: Event<'_>) -> Result<(), Failure> {}
            ))
            .contains("unsafe")
        );
        assert!(
            refusal(quote!(
                struct S;
            ))
            .contains("stands on a function")
        );
    }

    #[test]
    fn arguments_belong_into_the_manifest() {
        let item = quote!(
            fn f(event: Event<'_>) -> Result<(), Failure> {
                Ok(())
            }
        );
        assert!(expanded(quote!(topic = "bids"), item).contains("millstream.toml"));
    }
}
