//! CloudEvents Subscriptions 1.0 filters, evaluated on an event's attributes before any Wasm runs.

use std::borrow::Cow;

use crate::model::function::EventFilter;

/// Whether an event passes all `filters`. `attribute` gives a context attribute or extension by its name.
pub(crate) fn passes<'a>(filters: &[EventFilter], attribute: &impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
    filters.iter().all(|filter| holds(filter, attribute))
}

fn holds<'a>(filter: &EventFilter, attribute: &impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
    let every = |wanted: &std::collections::BTreeMap<String, String>, fits: fn(&str, &str) -> bool| {
        wanted.iter().all(|(name, text)| attribute(name).is_some_and(|value| fits(&value, text)))
    };
    match filter {
        EventFilter::Exact(wanted) => every(wanted, |value, text| value == text),
        EventFilter::Prefix(wanted) => every(wanted, |value, text| value.starts_with(text)),
        EventFilter::Suffix(wanted) => every(wanted, |value, text| value.ends_with(text)),
        EventFilter::All(filters) => filters.iter().all(|filter| holds(filter, attribute)),
        EventFilter::Any(filters) => filters.iter().any(|filter| holds(filter, attribute)),
        EventFilter::Not(filter) => !holds(filter, attribute),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str) -> Option<Cow<'static, str>> {
        match name {
            "type" => Some("auction.bid.placed".into()),
            "source" => Some("/bids".into()),
            _ => None,
        }
    }

    fn one(name: &str, text: &str) -> std::collections::BTreeMap<String, String> {
        [(name.to_owned(), text.to_owned())].into()
    }

    #[test]
    fn each_dialect_decides() {
        let cases = [
            (EventFilter::Exact(one("type", "auction.bid.placed")), true),
            (EventFilter::Exact(one("type", "auction.bid")), false),
            (EventFilter::Prefix(one("type", "auction.")), true),
            (EventFilter::Suffix(one("type", ".placed")), true),
            (EventFilter::Suffix(one("type", ".won")), false),
            (EventFilter::Exact(one("subject", "")), false),
            (EventFilter::Not(Box::new(EventFilter::Exact(one("subject", "")))), true),
            (
                EventFilter::Any(vec![EventFilter::Exact(one("type", "x")), EventFilter::Prefix(one("source", "/"))]),
                true,
            ),
            (
                EventFilter::All(vec![EventFilter::Exact(one("type", "x")), EventFilter::Prefix(one("source", "/"))]),
                false,
            ),
        ];
        for (filter, expected) in cases {
            assert_eq!(passes(std::slice::from_ref(&filter), &event), expected, "{filter:?}");
        }
        assert!(passes(&[], &event));
    }

    fn filters() -> impl Strategy<Value = EventFilter> {
        let leaf = prop_oneof![Just("type"), Just("source"), Just("subject")]
            .prop_flat_map(|name| ("[a-z./]{0,4}").prop_map(move |text| one(name, &text)));
        let leaf = prop_oneof![
            leaf.clone().prop_map(EventFilter::Exact),
            leaf.clone().prop_map(EventFilter::Prefix),
            leaf.prop_map(EventFilter::Suffix)
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(EventFilter::All),
                prop::collection::vec(inner.clone(), 0..3).prop_map(EventFilter::Any),
                inner.prop_map(|filter| EventFilter::Not(Box::new(filter))),
            ]
        })
    }

    proptest! {
        #[test]
        fn not_turns_every_filter_over(filter in filters()) {
            let not = EventFilter::Not(Box::new(filter.clone()));
            prop_assert_ne!(passes(&[filter], &event), passes(&[not], &event));
        }

        #[test]
        fn all_and_any_are_duals(filters in prop::collection::vec(filters(), 0..4)) {
            let negated = filters.iter().cloned().map(|filter| EventFilter::Not(Box::new(filter))).collect();
            let not_any = EventFilter::Not(Box::new(EventFilter::Any(negated)));
            prop_assert_eq!(passes(&[EventFilter::All(filters)], &event), passes(&[not_any], &event));
        }
    }
}
