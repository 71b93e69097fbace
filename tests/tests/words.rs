//! Plain English and searchable names, measured: the rules of `docs/style.md` that a program can check.

mod words {
    mod prose;
    mod rules;
    mod rust;
    mod tree;
}
