//! Looks at an uploaded binary: what it is, and whether the host can call it.
//!
//! Only the outer structure is read, all of it, so that a truncated file is reported as such; the compiler then validates
//! every byte. Nothing here trusts a length or a count of the input.

use wasmparser::{ComponentExternalKind, Encoding, KnownCustom, Parser, Payload};

use crate::model::function::ModuleShape;

/// The export that takes batches in the flat layout.
const BATCH: &str = "millstream:function/batch";
/// The typed export that takes one event.
const HANDLER: &str = "millstream:function/handler";
/// The export of components that answer HTTP requests.
const INCOMING: &str = "wasi:http/incoming-handler";
/// The export of commands that are components.
const RUN: &str = "wasi:cli/run";
/// The function that runs a command.
pub(crate) const START: &str = "_start";
const PREVIEW1: &str = "wasi_snapshot_preview1";
/// How the custom sections begin that say which component a core module is to become.
const COMPONENT_TYPE: &str = "component-type";
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
/// Exports that are called, the first that is there, and how.
const CALLED: [(&str, &str, ModuleShape); 4] = [
    (BATCH, "0.1.", ModuleShape::MillstreamBatch),
    (HANDLER, "0.1.", ModuleShape::MillstreamTyped),
    (INCOMING, "0.2.", ModuleShape::WasiHttp),
    (RUN, "0.2.", ModuleShape::WasiCommand),
];
/// How many names an error shows.
const NAMES_MAX: usize = 8;
/// What every refusal of an export says.
const WANTED: &str = "a component that exports millstream:function/batch@0.1, millstream:function/handler@0.1, \
    wasi:http/incoming-handler@0.2 or wasi:cli/run@0.2, a core module with an embedded component type for one of \
    them, or a WASI preview 1 command, which exports _start (docs/languages.md)";

/// What a binary is, from the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryForm {
    /// A component that is called.
    Component(ModuleShape),
    /// A core module that a component is made of first; what that exports is seen then.
    Embedded,
    /// A WASI preview 1 command.
    Command,
}

/// How a component is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallInterface {
    pub(crate) shape: ModuleShape,
    /// The name of the export that is called, version and all.
    pub(crate) export: String,
}

/// Why a binary is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShapeError {
    /// No bytes.
    #[error("the module is empty; wanted is {WANTED}")]
    Empty,
    #[error(
        "the module is precompiled machine code, which is never accepted; send the .wasm file that it was made from"
    )]
    Precompiled,
    #[error("the module is not WebAssembly: it begins with {0}; wanted is {WANTED}")]
    NotWasm(String),
    #[error("the module is damaged or truncated: {0}")]
    Malformed(String),
    /// A core module that is neither a command nor carries a component type.
    #[error(
        "the module is a core module that exports {exports}, which is nothing that a host calls; wanted is {WANTED}"
    )]
    CoreModule { exports: String },
    /// A component without an export that the host calls.
    #[error("the component exports {exports}, which is nothing that a host calls; wanted is {WANTED}")]
    NoHandler { exports: String },
    /// The interface of another version.
    #[error("the component exports {found}, but this host calls version {called} of it; build it with a fitting SDK")]
    OtherVersion { found: String, called: &'static str },
    /// Imports that no one gives it.
    #[error("the {what} imports what this host does not offer: {names}; remove these imports")]
    MissingImports { what: &'static str, names: String },
    /// A component made of what Go's own compiler gives.
    #[error(
        "the module has a component type, but Go compiled it: Go's heap takes no notice of memory that the parts of a \
         component grow beside it, so such components crash under load; build a command instead, with GOOS=wasip1 \
         GOARCH=wasm go build and without -buildmode=c-shared (docs/languages.md#go)"
    )]
    GoReactor,
}

/// Looks at `module` and says what it is, or why it is refused.
pub(crate) fn inspect(module: &[u8]) -> Result<BinaryForm, ShapeError> {
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
    let surface = BinarySurface::read(module).map_err(|error| ShapeError::Malformed(error.to_string()))?;
    if surface.is_component {
        return called(&surface.exports, &surface.imports).map(|called| BinaryForm::Component(called.shape));
    }
    if surface.has_component_type {
        return if surface.is_from_go { Err(ShapeError::GoReactor) } else { Ok(BinaryForm::Embedded) };
    }
    if !surface.exports.contains(&START) {
        return Err(ShapeError::CoreModule { exports: listed(&surface.exports) });
    }
    if !surface.foreign_imports.is_empty() {
        return Err(ShapeError::MissingImports { what: "command", names: joined(&surface.foreign_imports) });
    }
    Ok(BinaryForm::Command)
}

/// How a component with these names is called.
pub(crate) fn called(exports: &[&str], imports: &[&str]) -> Result<CallInterface, ShapeError> {
    let found = CALLED.iter().find_map(|(interface, version, shape)| {
        Some((exports.iter().find(|name| is_version(name, interface, version))?, *shape))
    });
    let Some((export, shape)) = found else {
        let other = CALLED.iter().find_map(|(interface, version, _)| {
            Some((exports.iter().find(|name| is_version(name, interface, ""))?, version.trim_end_matches('.')))
        });
        return Err(match other {
            Some((found, called)) => ShapeError::OtherVersion { found: shown(found), called },
            None => ShapeError::NoHandler { exports: listed(exports) },
        });
    };
    let missing: Vec<&str> = imports.iter().copied().filter(|name| !is_offered(name)).collect();
    if !missing.is_empty() {
        return Err(ShapeError::MissingImports { what: "component", names: listed(&missing) });
    }
    Ok(CallInterface { shape, export: (*export).to_owned() })
}

/// The outermost names of a binary.
#[derive(Default)]
struct BinarySurface<'a> {
    is_component: bool,
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
    /// Of a core module, what it imports from elsewhere than WASI preview 1.
    foreign_imports: Vec<String>,
    has_component_type: bool,
    is_from_go: bool,
}

impl<'a> BinarySurface<'a> {
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
                Payload::ImportSection(section) if depth == 0 => {
                    for import in section.into_imports() {
                        let import = import?;
                        if import.module != PREVIEW1 && surface.foreign_imports.len() <= NAMES_MAX {
                            surface.foreign_imports.push(shown(&format!("{}.{}", import.module, import.name)));
                        }
                    }
                }
                Payload::CustomSection(section) if depth == 0 => {
                    surface.has_component_type |= section.name().starts_with(COMPONENT_TYPE);
                    if let KnownCustom::Producers(producers) = section.as_known() {
                        surface.is_from_go |= is_from_go(producers);
                    }
                }
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

/// Whether Go's own compiler is among the producers. TinyGo has a heap that knows its place. What can't be read says
/// nothing: the section is a courtesy.
fn is_from_go(producers: wasmparser::ProducersSectionReader<'_>) -> bool {
    producers.into_iter().flatten().any(|field| {
        let names = || field.values.clone().into_iter().flatten();
        match field.name {
            "language" => names().any(|value| value.name == "Go"),
            "processed-by" => names().any(|value| value.name.starts_with("Go cmd/")),
            _ => false,
        }
    })
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
    joined(&names.iter().map(|name| shown(name)).collect::<Vec<_>>())
}

fn joined(names: &[String]) -> String {
    let mut list = names[..names.len().min(NAMES_MAX)].join(", ");
    if names.len() > NAMES_MAX {
        list.push_str(" and more");
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

    fn core(body: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {body})")).expect("valid text")
    }

    /// A custom section; its content is given as the text format has it.
    fn custom(name: &str, content: &str) -> String {
        format!(r#"(@custom "{name}" "{content}")"#)
    }

    const COMMAND: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
        (memory (export "memory") 1) (func (export "_start"))"#;

    #[test]
    fn the_export_tells_the_shape() {
        for (export, shape) in [
            ("millstream:function/batch@0.1.0", ModuleShape::MillstreamBatch),
            ("millstream:function/handler@0.1.7", ModuleShape::MillstreamTyped),
            ("wasi:http/incoming-handler@0.2.12", ModuleShape::WasiHttp),
            ("wasi:cli/run@0.2.3", ModuleShape::WasiCommand),
        ] {
            assert_eq!(inspect(&exporting(export)), Ok(BinaryForm::Component(shape)));
            let called = called(&["other:thing/x@1.0.0", export], &[]).expect("called");
            assert_eq!((called.shape, &*called.export), (shape, export));
        }
        assert_eq!(inspect(&core(COMMAND)), Ok(BinaryForm::Command));
        assert_eq!(inspect(&core(&custom("component-type:function", ""))), Ok(BinaryForm::Embedded));
        let both = ["wasi:http/incoming-handler@0.2.0", "millstream:function/handler@0.1.0"];
        assert_eq!(called(&both, &[]).expect("called").shape, ModuleShape::MillstreamTyped, "one's own comes first");
    }

    #[test]
    fn refusals_say_what_was_found() {
        let said = |bytes: &[u8]| inspect(bytes).expect_err("refused").to_string();
        assert_eq!(inspect(b""), Err(ShapeError::Empty));
        assert_eq!(inspect(b"\x7fELF\x02\x01\x01"), Err(ShapeError::Precompiled));
        assert!(said(b"#!/bin/sh").contains("#!/bin/s"));
        let module = said(&core(r#"(func (export "run"))"#));
        assert!(module.contains("exports run") && module.contains("which exports _start"), "{module}");
        assert!(said(&component("")).contains("exports nothing"));
        assert!(said(&exporting("acme:shop/till@1.0.0")).contains("acme:shop/till@1.0.0"));
        assert!(said(&exporting("millstream:function/batch@0.2.0")).contains("version 0.1"));
        assert!(said(&exporting("wasi:http/incoming-handler@0.3.0")).contains("version 0.2"));
    }

    #[test]
    fn missing_imports_are_named() {
        let module = component(
            r#"(import "acme:shop/till@1.0.0" (instance)) (import "wasi:io/poll@0.2.99" (instance))
               (instance $i) (export "millstream:function/batch@0.1.0" (instance $i))"#,
        );
        let error = inspect(&module).expect_err("refused").to_string();
        assert!(error.contains("component imports") && error.contains("offer: acme:shop/till@1.0.0;"), "{error}");
        let foreign = core(r#"(import "env" "abort" (func)) (func (export "_start"))"#);
        let error = inspect(&foreign).expect_err("refused").to_string();
        assert!(error.contains("command imports") && error.contains("offer: env.abort;"), "{error}");
    }

    #[test]
    fn a_component_type_on_what_go_compiled_is_refused() {
        let go = r"\01\08language\01\02Go\061.26.0";
        let section = custom("producers", go);
        assert_eq!(
            inspect(&core(&format!("{COMMAND} {section}"))),
            Ok(BinaryForm::Command),
            "a command of Go is welcome"
        );
        let reactor = core(&format!("{section} {}", custom("component-type:x", "")));
        assert_eq!(inspect(&reactor), Err(ShapeError::GoReactor));
        let rust = custom("producers", r"\01\08language\01\04Rust\042024");
        assert_eq!(inspect(&core(&format!("{rust} {}", custom("component-type:x", "")))), Ok(BinaryForm::Embedded));
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

    #[test]
    fn fuzzed_uploads_are_refused_with_a_reason_or_have_a_form() {
        let foreign = r#"(import "acme:shop/till@1.0.0" (instance)) (instance $i)
            (core module (func (export "a"))) (component (import "b" (func)))
            (export "millstream:function/batch@0.1.0" (instance $i))"#;
        let good = [
            exporting("millstream:function/batch@0.1.0"),
            exporting("wasi:http/incoming-handler@0.2.12"),
            component(foreign),
            core(COMMAND),
            core(&custom("component-type:function", "")),
            core(&format!("{COMMAND} {}", custom("producers", r"\01\08language\01\02Go\061.26.0"))),
            crate::wasm::testing::guest("", crate::wasm::testing::ECHO).to_vec(),
        ];
        let good: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
        crate::fuzzing::fuzz(&good, |bytes| {
            match inspect(bytes) {
                Ok(_) => prop_assert!(bytes.starts_with(b"\0asm")),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
            Ok(())
        });
    }
}
