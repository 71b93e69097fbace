"""Lesson 8: a function in Python.

componentize-py makes a component of this file and the interpreter, with the interpreter already started: an instance is
there in less than a millisecond. Bindings for the types are made of wit/.

An item that is placed is enriched with what is known of its category. What is of no known category is a result too: it
goes to another output, where somebody may look at it.
"""

import json

from wit_world import exports
from wit_world.imports.types import Emission, EmissionKey_Inherit, Event, Failure_Reject
from componentize_py_types import Err

CATEGORIES = {
    "lamp": {"category": "light", "fee_percent": 5},
    "clock": {"category": "time", "fee_percent": 7},
}


class Handler(exports.Handler):
    def handle(self, event: Event) -> list[Emission]:
        try:
            item = json.loads(event.data or b"")
            name = item["item"]
        except (ValueError, KeyError, TypeError) as error:
            # The same again would be as wrong: no more attempts, a dead letter at once.
            raise Err(Failure_Reject(f"the data is no item: {error!r}")) from error
        known = CATEGORIES.get(name)
        return [emission("default" if known else "unknown", {**item, **(known or {})})]


def emission(output: str, data: dict) -> Emission:
    """An event with this data. The host fills in what is None; the key is that of the record."""
    return Emission(
        output=output,
        key=EmissionKey_Inherit(),
        id=None,
        source=None,
        type="auction.item.enriched",
        subject=None,
        time=None,
        datacontenttype="application/json",
        dataschema=None,
        extensions=[],
        headers=[],
        data=json.dumps(data).encode(),
    )
