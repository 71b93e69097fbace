//! L3: from chunks to lanes, in the order the function asked for.
