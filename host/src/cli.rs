//! L6: one file a verb.
