//! All that a function emits for one event.

use crate::Emission;

/// What a handler emits: nothing, one event or many.
///
/// A handler seldom names it, for `()`, [`Emission`], `Option<Emission>`, `Vec<Emission>` and arrays of emissions all
/// become one.
#[derive(Debug, Clone, Default)]
pub struct Emissions<'a> {
    // One emission, which most events lead to, needs no list of its own.
    first: Option<Emission<'a>>,
    rest: Vec<Emission<'a>>,
}

impl<'a> Emissions<'a> {
    /// No emissions.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one behind the others.
    pub fn push(&mut self, emission: Emission<'a>) {
        match self.first {
            None => self.first = Some(emission),
            Some(_) => self.rest.push(emission),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The emissions in order.
    pub fn iter(&self) -> impl Iterator<Item = &Emission<'a>> {
        self.into_iter()
    }
}

impl<'s, 'a> IntoIterator for &'s Emissions<'a> {
    type Item = &'s Emission<'a>;
    type IntoIter = std::iter::Chain<std::option::Iter<'s, Emission<'a>>, std::slice::Iter<'s, Emission<'a>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.iter().chain(&self.rest)
    }
}

impl<'a> FromIterator<Emission<'a>> for Emissions<'a> {
    fn from_iter<I: IntoIterator<Item = Emission<'a>>>(emissions: I) -> Self {
        let mut emissions = emissions.into_iter();
        Self { first: emissions.next(), rest: emissions.collect() }
    }
}

impl From<()> for Emissions<'_> {
    fn from((): ()) -> Self {
        Self::none()
    }
}

impl<'a> From<Emission<'a>> for Emissions<'a> {
    fn from(emission: Emission<'a>) -> Self {
        Self { first: Some(emission), rest: Vec::new() }
    }
}

impl<'a> From<Option<Emission<'a>>> for Emissions<'a> {
    fn from(emission: Option<Emission<'a>>) -> Self {
        Self { first: emission, rest: Vec::new() }
    }
}

impl<'a> From<Vec<Emission<'a>>> for Emissions<'a> {
    fn from(emissions: Vec<Emission<'a>>) -> Self {
        emissions.into_iter().collect()
    }
}

impl<'a, const N: usize> From<[Emission<'a>; N]> for Emissions<'a> {
    fn from(emissions: [Emission<'a>; N]) -> Self {
        emissions.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handler_returns_becomes_emissions_in_order() {
        assert!(Emissions::from(()).is_empty());
        assert!(Emissions::from(None).is_empty());
        assert_eq!(Emissions::from(Some(Emission::new("a"))).len(), 1);
        let outputs = |emissions: Emissions<'static>| {
            let outcome = crate::testing::event().run(|_| Ok(emissions));
            outcome.outputs().join(" ")
        };
        let named = |name| Emission::new("x").output(name);
        assert_eq!(outputs(vec![named("a"), named("b"), named("c")].into()), "a b c");
        assert_eq!(outputs([named("a"), named("b")].into()), "a b");
        let mut pushed = Emissions::from(named("a"));
        pushed.push(named("b"));
        assert_eq!(pushed.len(), 2);
        assert_eq!(outputs(pushed), "a b");
    }
}
