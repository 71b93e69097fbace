//! L3: publishes outcomes and commits offsets, one committer a shard.
