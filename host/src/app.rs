//! L6: the composition root: the only place where parts meet.
