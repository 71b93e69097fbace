"""Greets whoever an event names.

The module `wit_world` is made of wit/ while this is built; `componentize-py -d wit -w function bindings .` writes it here
for an editor to read.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Emission, EmissionKey_Inherit, Event, Failure_Reject


class Handler(exports.Handler):
    def handle(self, event: Event) -> list[Emission]:
        try:
            name = json.loads(event.data or b"")["name"]
        except (ValueError, KeyError, TypeError) as error:
            # What is no visitor will never be one: a dead letter at once. Failure_Retry asks for another attempt.
            raise Err(Failure_Reject(f"the data is no visitor: {error!r}")) from error
        return [emission("visitor.greeted", {"greeting": f"Hello, {name}"})]


def emission(type: str, data: dict) -> Emission:
    """An event with this data for the output "default", with the key of the record. The host fills in what is None."""
    return Emission(
        output=None,
        key=EmissionKey_Inherit(),
        id=None,
        source=None,
        type=type,
        subject=None,
        time=None,
        datacontenttype="application/json",
        dataschema=None,
        extensions=[],
        headers=[],
        data=json.dumps(data).encode(),
    )
