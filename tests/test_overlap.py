import threading

import pytest

from balrog_keras.overlap import ahead


def test_items_come_in_order():
    assert list(ahead(iter(range(50)))) == list(range(50))
    assert list(ahead([])) == []


def test_the_next_item_is_computed_while_one_is_used():
    begun = [threading.Event() for _ in range(3)]

    def items():
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number in ahead(items()):
        assert number == 2 or begun[number + 1].wait(10)


def test_errors_arrive_after_the_items_before():
    def items():
        yield 1
        raise ValueError("no more")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="no more"):
        next(found)


def test_stopping_early_closes_what_gave_the_items():
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    found = ahead(ahead(items()))
    next(found)
    found.close()
    assert closed == [True]
