//! The languages in which a function can be scaffolded, and the files of each.

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GuestLanguage {
    /// A component, with the SDK
    Rust,
    /// A command
    #[value(alias = "golang")]
    Go,
    /// A component, with types of wit/
    #[value(alias = "javascript")]
    Js,
    /// A component, with types of wit/
    #[value(alias = "typescript")]
    Ts,
    /// A component, with types of wit/
    #[value(alias = "py")]
    Python,
    /// A command
    C,
}

/// A path in the new folder and its text, with placeholders.
type TemplateFile = (&'static str, &'static str);

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../templates/", $path))
    };
}

/// What an example and a new function share.
macro_rules! project {
    ($path:literal) => {
        include_str!(concat!("../../../../", $path))
    };
}

const TESTS: TemplateFile = ("tests/visitors.json", template!("tests/visitors.json"));
const TYPES: TemplateFile = ("wit/types.wit", project!("wit/types.wit"));
const WORLD: TemplateFile = ("wit/function.wit", project!("wit/function.wit"));

const RUST: &[TemplateFile] = &[
    ("millstream.toml", template!("rust/millstream.toml")),
    ("Cargo.toml", template!("rust/Cargo.toml.in")),
    (".cargo/config.toml", template!("rust/cargo-config.toml")),
    ("src/lib.rs", template!("rust/src/lib.rs")),
    (".gitignore", template!("rust/gitignore")),
    TESTS,
];
const GO: &[TemplateFile] = &[
    ("millstream.toml", template!("go/millstream.toml")),
    ("go.mod", template!("go/go.mod.in")),
    ("main.go", template!("go/main.go")),
    ("millstream.go", project!("examples/tally/millstream.go")),
    (".gitignore", template!("go/gitignore")),
    TESTS,
];
const JS: &[TemplateFile] = &[
    ("millstream.toml", template!("js/millstream.toml")),
    ("package.json", template!("js/package.json.in")),
    ("build.mjs", template!("js/build.mjs")),
    ("function.js", template!("js/function.js")),
    ("millstream.js", template!("js/millstream.js")),
    (".gitignore", template!("js/gitignore")),
    TESTS,
    TYPES,
    WORLD,
];
const TS: &[TemplateFile] = &[
    ("millstream.toml", template!("ts/millstream.toml")),
    ("package.json", template!("js/package.json.in")),
    ("build.mjs", template!("js/build.mjs")),
    ("function.ts", template!("ts/function.ts")),
    ("millstream.ts", template!("ts/millstream.ts")),
    (".gitignore", template!("js/gitignore")),
    TESTS,
    TYPES,
    WORLD,
];
const PYTHON: &[TemplateFile] = &[
    ("millstream.toml", template!("python/millstream.toml")),
    ("requirements.txt", template!("python/requirements.txt")),
    ("app.py", template!("python/app.py")),
    (".gitignore", template!("python/gitignore")),
    TESTS,
    TYPES,
    WORLD,
];
const C: &[TemplateFile] = &[
    ("millstream.toml", template!("c/millstream.toml")),
    ("main.c", template!("c/main.c")),
    ("millstream.h", project!("examples/drop-low-bids/millstream.h")),
    (".gitignore", template!("c/gitignore")),
    TESTS,
];

impl GuestLanguage {
    /// The files of a new function.
    pub(crate) fn files(self) -> &'static [TemplateFile] {
        match self {
            Self::Rust => RUST,
            Self::Go => GO,
            Self::Js => JS,
            Self::Ts => TS,
            Self::Python => PYTHON,
            Self::C => C,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Js => "JavaScript",
            Self::Ts => "TypeScript",
            Self::Python => "Python",
            Self::C => "C",
        }
    }

    /// The tools that a build needs.
    pub(crate) fn needs(self) -> &'static str {
        match self {
            Self::Rust => "Rust with the target wasm32-wasip2 (rustup target add wasm32-wasip2)",
            Self::Go => "Go 1.21 or newer",
            Self::Js | Self::Ts => "Node.js 20 or newer with npm",
            Self::Python => "componentize-py (pip install -r requirements.txt)",
            Self::C => "ziglang (pip install ziglang)",
        }
    }

    /// The file that is built.
    pub(crate) fn main(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Go => "main.go",
            Self::Js => "function.js",
            Self::Ts => "function.ts",
            Self::Python => "app.py",
            Self::C => "main.c",
        }
    }

    /// The outcome of an event that it can't handle: a command can only ask for a retry.
    pub(crate) fn failure(self) -> &'static str {
        match self {
            Self::Go | Self::C => "retry",
            Self::Rust | Self::Js | Self::Ts | Self::Python => "reject",
        }
    }
}
