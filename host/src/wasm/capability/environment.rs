//! `wasi:cli/environment`: the variables of the manifest and no others, no arguments, no folder.
//!
//! All instances of a revision share the variables; they are copied only when a guest asks for them.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::cli::environment::{self, Host};

use crate::wasm::state::GuestState;

/// The variables of a revision.
#[derive(Clone)]
pub(crate) struct GuestEnvironment(Arc<[(String, String)]>);

impl GuestEnvironment {
    pub(crate) fn new<'a>(variables: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Offers the interface in place of the one that is linked already.
pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    environment::add_to_linker::<GuestState, GuestEnvironment>(linker, |state| &mut state.environment)
}

impl HasData for GuestEnvironment {
    type Data<'a> = &'a mut GuestEnvironment;
}

impl Host for GuestEnvironment {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.0.to_vec())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}
