//! Looks at an uploaded binary: what it is, and whether the host can call it.
//!
//! Only the outer structure is read, all of it, so that a truncated file is told as such; the compiler then validates
//! every byte. Nothing here trusts a length or a count of the input.

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload};

use crate::model::function::Shape;

/// The export that takes batches in the flat layout.
const BATCH: &str = "millstream:function/batch";
/// The typed export that takes one event.
const HANDLER: &str = "millstream:function/handler";
/// Interfaces that the host offers, each in any version that begins so.
const OFFERED: [(&str, &str); 9] = [
    ("wasi:cli/", "0.2."),
    ("wasi:clocks/", "0.2."),
    ("wasi:filesystem/", "0.2."),
    ("wasi:http/", "0.2."),
    ("wasi:io/", "0.2."),
    ("wasi:random/", "0.2."),
    ("wasi:sockets/", "0.2."),
    ("wasi:logging/logging", "0.1.0-draft"),
    ("millstream:function/", "0.1."),
];
/// How many names an error shows.
const NAMES_MAX: usize = 8;

/// What a binary is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// How the host calls it.
    pub shape: Shape,
    /// The name of the export that is called, version and all.
    pub(super) export: String,
}

/// Why a binary is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// No bytes.
    #[error("the module is empty; send a Wasm component that exports {BATCH} or {HANDLER}")]
    Empty,
    /// Machine code.
    #[error(
        "the module is precompiled machine code, which is never accepted; send the .wasm file that it was made from"
    )]
    Precompiled,
    /// Something else.
    #[error("the module is not WebAssembly: it begins with {0}; send a .wasm component")]
    NotWasm(String),
    /// Damaged.
    #[error("the module is damaged or truncated: {0}")]
    Malformed(String),
    /// A core module.
    #[error(
        "the module is a core module, not a component: it exports {exports}; build it for wasm32-wasip2 with the \
         Millstream SDK, or make it a component that exports {BATCH} or {HANDLER}"
    )]
    CoreModule {
        /// What it exports.
        exports: String,
    },
    /// A component without an export that the host calls.
    #[error("the component exports {exports}, but neither {BATCH}@0.1 nor {HANDLER}@0.1, one of which is called")]
    NoHandler {
        /// What it exports.
        exports: String,
    },
    /// The interface of another version.
    #[error("the component exports {found}, but this host calls version 0.1 of it; build it with a fitting SDK")]
    OtherVersion {
        /// What it exports.
        found: String,
    },
    /// Imports that nobody gives it.
    #[error("the component imports what this host does not offer: {0}; remove these imports")]
    MissingImports(String),
}

/// Looks at `module` and says how it is called, or why it is refused.
pub fn inspect(module: &[u8]) -> Result<Inspection, ShapeError> {
    if module.is_empty() {
        return Err(ShapeError::Empty);
    }
    if module.starts_with(b"\x7fELF") {
        return Err(ShapeError::Precompiled);
    }
    if !module.starts_with(b"\0asm") {
        let start = &module[..module.len().min(8)];
        return Err(ShapeError::NotWasm(format!("\"{}\"", start.escape_ascii())));
    }
    let surface = Surface::read(module).map_err(|error| ShapeError::Malformed(error.to_string()))?;
    if !surface.is_component {
        return Err(ShapeError::CoreModule { exports: listed(&surface.exports) });
    }
    let export = |interface| surface.exports.iter().find(|name| is_version(name, interface, "0.1."));
    let (shape, export) = if let Some(name) = export(BATCH) {
        (Shape::MillstreamBatch, name)
    } else if let Some(name) = export(HANDLER) {
        (Shape::MillstreamTyped, name)
    } else {
        let other = surface.exports.iter().find(|name| is_version(name, BATCH, "") || is_version(name, HANDLER, ""));
        return Err(match other {
            Some(found) => ShapeError::OtherVersion { found: shown(found) },
            None => ShapeError::NoHandler { exports: listed(&surface.exports) },
        });
    };
    let missing: Vec<&str> = surface.imports.iter().copied().filter(|name| !is_offered(name)).collect();
    if !missing.is_empty() {
        return Err(ShapeError::MissingImports(listed(&missing)));
    }
    Ok(Inspection { shape, export: (*export).to_owned() })
}

/// The outermost names of a binary.
#[derive(Default)]
struct Surface<'a> {
    is_component: bool,
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
}

impl<'a> Surface<'a> {
    fn read(module: &'a [u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut surface = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    surface.is_component = encoding == Encoding::Component
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ExportSection(section) if depth == 0 => {
                    for export in section {
                        surface.exports.push(export?.name);
                    }
                }
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        surface.imports.push(import?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export?;
                        if matches!(export.kind, ComponentExternalKind::Instance | ComponentExternalKind::Func) {
                            surface.exports.push(export.name.name);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

/// Whether `name` is `interface` in a version that begins with `version`.
fn is_version(name: &str, interface: &str, version: &str) -> bool {
    name.strip_prefix(interface).and_then(|rest| rest.strip_prefix('@')).is_some_and(|rest| rest.starts_with(version))
}

fn is_offered(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    OFFERED.iter().any(|(name, versions)| interface.starts_with(name) && version.starts_with(versions))
}

fn shown(name: &str) -> String {
    name.chars().take(120).collect::<String>().escape_debug().to_string()
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let mut list = names.iter().take(NAMES_MAX).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_MAX {
        list.push_str(&format!(" and {} more", names.len() - NAMES_MAX));
    }
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn component(body: &str) -> Vec<u8> {
        wat::parse_str(format!("(component {body})")).expect("valid text")
    }

    fn exporting(name: &str) -> Vec<u8> {
        component(&format!(r#"(instance) (export "{name}" (instance 0))"#))
    }

    #[test]
    fn the_export_tells_the_shape() {
        let batch = inspect(&exporting("millstream:function/batch@0.1.0")).expect("accepted");
        assert_eq!(batch.shape, Shape::MillstreamBatch);
        let typed = inspect(&exporting("millstream:function/handler@0.1.7")).expect("accepted");
        assert_eq!((typed.shape, &*typed.export), (Shape::MillstreamTyped, "millstream:function/handler@0.1.7"));
    }

    #[test]
    fn refusals_say_what_was_found() {
        let said = |bytes: &[u8]| inspect(bytes).expect_err("refused").to_string();
        assert_eq!(inspect(b""), Err(ShapeError::Empty));
        assert_eq!(inspect(b"\x7fELF\x02\x01\x01"), Err(ShapeError::Precompiled));
        assert!(said(b"#!/bin/sh").contains("#!/bin/s"));
        let core = wat::parse_str(r#"(module (func (export "run")))"#).expect("valid text");
        assert!(said(&core).contains("exports run"), "{}", said(&core));
        assert!(said(&component("")).contains("exports nothing"));
        assert!(said(&exporting("acme:shop/till@1.0.0")).contains("acme:shop/till@1.0.0"));
        assert!(said(&exporting("millstream:function/batch@0.2.0")).contains("version 0.1"));
    }

    #[test]
    fn missing_imports_are_named() {
        let module = component(
            r#"(import "acme:shop/till@1.0.0" (instance)) (import "wasi:io/poll@0.2.99" (instance))
               (instance $i) (export "millstream:function/batch@0.1.0" (instance $i))"#,
        );
        let error = inspect(&module).expect_err("refused");
        assert_eq!(error, ShapeError::MissingImports("acme:shop/till@1.0.0".to_owned()));
    }

    #[test]
    fn every_truncation_is_refused() {
        let module = exporting("millstream:function/batch@0.1.0");
        // A cut between two sections leaves a shorter whole; it lacks the export, which comes last.
        for length in 0..module.len() {
            assert!(inspect(&module[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = inspect(&bytes);
            let _ = inspect(&[b"\0asm\x0d\0\x01\0", &bytes[..]].concat());
            let _ = inspect(&[b"\0asm\x01\0\0\0", &bytes[..]].concat());
        }
    }
}
