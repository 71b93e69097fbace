//! A random number generator: the same seed gives the same numbers.

use std::time::Duration;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct SeededRng {
    state: u64,
}

/// The seed of this run: `MILLSTREAM_TEST_SEED`, else the clock's.
pub fn seed_of_this_run() -> u64 {
    match std::env::var("MILLSTREAM_TEST_SEED") {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("MILLSTREAM_TEST_SEED={text} is not a number")),
        Err(_) => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            // Short enough to type.
            now.as_nanos() as u64 % 1_000_000
        }
    }
}

impl SeededRng {
    /// Prints the seed.
    pub fn of_this_run() -> Self {
        let seed = seed_of_this_run();
        println!("seed {seed}: MILLSTREAM_TEST_SEED={seed} reproduces this run");
        Self::new(seed)
    }

    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let room = longest.saturating_sub(shortest).as_millis() as u64;
        shortest + Duration::from_millis(self.below(room + 1))
    }

    #[track_caller]
    pub fn choose<'a, T>(&mut self, these: &'a [T]) -> &'a T {
        assert!(!these.is_empty(), "there is nothing to choose from");
        &these[self.below(these.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_does_not() {
        let numbers = |seed| {
            let mut rng = SeededRng::new(seed);
            (0..20).map(|_| rng.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
    }

    #[test]
    fn what_is_drawn_lies_between_its_limits() {
        let mut rng = SeededRng::new(1);
        let (shortest, longest) = (Duration::from_millis(3), Duration::from_millis(9));
        for _ in 0..200 {
            assert!(rng.below(5) < 5);
            assert!((shortest..=longest).contains(&rng.between(shortest, longest)));
            assert!([1, 2, 3].contains(rng.choose(&[1, 2, 3])));
        }
    }
}
