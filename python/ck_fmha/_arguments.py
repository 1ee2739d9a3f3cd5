"""Checks of plain arguments, with messages that name the argument, the value received and what is accepted."""

from __future__ import annotations

import operator

INDEX_MAX = 2**31 - 1


def check_int(name: str, value: object, low: int, high: int = INDEX_MAX, meaning: str = "") -> int:
    """Return `value` as an int in [low, high]; raise TypeError or ValueError that names it.

    Args:
        name: What the user calls the argument, e.g. ``"BigBird: block_size"``.
        value: What was received. Anything with ``__index__`` except bool counts as an integer.
        low: Smallest accepted value.
        high: Largest accepted value.
        meaning: What special values stand for, appended to the message.
    """
    if type(value) is int:  # the usual case, and the one that torch.compile can trace
        number = value
    else:
        try:
            if isinstance(value, bool):
                raise TypeError
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"{name} must be an int, got {value!r} of type {type(value).__name__}") from None
    if not low <= number <= high:
        bounds = f"at least {low} and below 2**31" if high == INDEX_MAX else f"in [{low}, {high}]"
        raise ValueError(f"{name} must be {bounds}{meaning}, got {number}")
    return number


def check_bool(name: str, value: object) -> bool:
    """Return `value` if it is True or False, else raise TypeError that names it."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r} of type {type(value).__name__}")
    return value


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`, else raise TypeError or ValueError that lists them."""
    listed = " or ".join(f'"{c}"' for c in choices)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be {listed}, got {value!r} of type {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name} must be {listed}, got {value!r}")
    return value
