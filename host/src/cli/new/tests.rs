use clap::ValueEnum as _;

use crate::cli::new::*;

fn arguments(lang: GuestLanguage, path: PathBuf) -> NewArgs {
    NewArgs { name: FunctionName::new("greet-all").expect("a name"), lang, path: Some(path), sdk: None }
}

fn code_of(result: Result<(), VerbFailure>) -> (String, String) {
    match result {
        Err(VerbFailure::Reported(reported)) => (reported.code, reported.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_language_has_a_manifest_that_is_valid_and_no_mark_is_left() {
    for lang in GuestLanguage::value_variants() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("a/b");
        let mut out = Vec::new();
        run(&arguments(*lang, folder.clone()), &mut out).expect("made");
        assert_eq!(String::from_utf8(out).expect("text").trim_end(), folder.to_str().expect("text"));
        let project = crate::cli::project::read_folder(&folder).expect("a valid manifest").project;
        assert_eq!(project.manifest.name.as_str(), "greet-all", "{lang:?}");
        assert!(project.build.is_some() && project.module.is_some(), "{lang:?}");
        for (path, text) in files(&arguments(*lang, folder), None) {
            let has_mark = text.split("{{").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
            assert!(!has_mark || path.contains("/src/"), "{lang:?}: {path}: {text}");
        }
    }
}

#[test]
fn a_folder_that_has_something_in_it_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    run(&arguments(GuestLanguage::C, folder.path().to_owned()), &mut Vec::new()).expect("an empty one is taken");
    let before = fs::read_to_string(folder.path().join("main.c")).expect("there");
    let (code, detail) = code_of(run(&arguments(GuestLanguage::C, folder.path().to_owned()), &mut Vec::new()));
    assert_eq!(code, "MS0521");
    assert!(detail.contains("not empty"), "{detail}");
    assert_eq!(fs::read_to_string(folder.path().join("main.c")).expect("there"), before);
    let (code, _) = code_of(run(&arguments(GuestLanguage::C, folder.path().join("main.c")), &mut Vec::new()));
    assert_eq!(code, "MS0521", "a file is no folder");
}

#[test]
fn the_sdk_is_a_copy_or_the_one_that_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
    let with = |sdk: &Path, lang| NewArgs { sdk: Some(sdk.to_owned()), ..arguments(lang, folder.path().join("new")) };
    assert_eq!(code_of(run(&with(&clone, GuestLanguage::Go), &mut Vec::new())).0, "MS0521");
    assert_eq!(code_of(run(&with(folder.path(), GuestLanguage::Rust), &mut Vec::new())).0, "MS0521");
    run(&with(&clone, GuestLanguage::Rust), &mut Vec::new()).expect("made");
    let cargo = fs::read_to_string(folder.path().join("new/Cargo.toml")).expect("there");
    let path = clone.canonicalize().expect("there");
    assert!(cargo.contains(&format!("path = \"{}\"", path.display())), "{cargo}");
    assert!(!folder.path().join("new/millstream-sdk").exists());

    let copied = files(&arguments(GuestLanguage::Rust, PathBuf::new()), None);
    for path in ["millstream-sdk/guest-sdk/src/lib.rs", "millstream-sdk/wit/types.wit", "millstream-sdk/Cargo.toml"] {
        assert!(copied.iter().any(|(file, _)| file == path), "{path}");
    }
}

#[test]
fn names_that_are_none_get_a_suggestion() {
    for (text, name) in
        [("MyFunc", "my-func"), ("my_func", "my-func"), ("3 Ways!", "ways"), ("HTTPServer", "httpserver")]
    {
        let said = function_name(text).expect_err("no name");
        assert!(said.ends_with(&format!("; how about \"{name}\"?")), "{said}");
    }
    assert!(function_name(&"a".repeat(70)).expect_err("too long").contains(&"a".repeat(63)));
    assert!(!function_name("123").expect_err("no name").contains("how about"));
}
