"""Several logs as one: their events in the order of their times, each with the node that wrote it."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import msgspec

from wscheck.model.events import Event
from wscheck.observe.logs.sources import BATCH

Batches = Iterator[list[Event]]


def of_node(node: str | None, batches: Batches) -> Batches:
    """The same events, those that name no node with `node`."""
    if node is None:
        return batches
    return ([e if e.node is not None else msgspec.structs.replace(e, node=node) for e in batch] for batch in batches)


def merged(logs: Iterable[Batches]) -> Batches:
    """Several logs as one, in the order of their times; an event without a time stays behind the one before it."""
    each = list(logs)
    if len(each) == 1:
        yield from each[0]
        return
    events = (event for _, event in heapq.merge(*map(_timed, each), key=lambda timed: timed[0]))
    while batch := list(islice(events, BATCH)):
        yield batch


def _timed(batches: Batches) -> Iterator[tuple[float, Event]]:
    last = 0.0
    for event in chain.from_iterable(batches):
        last = event.at if event.at is not None else last
        yield last, event
