"""Few cases that still bring every pair of parameter values together."""

from itertools import combinations, product
from typing import Any


def pairwise(parameters: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Greedy, deterministic: any two values of two different parameters meet in one of the cases."""
    names = list(parameters)
    indices = {name: range(len(values)) for name, values in parameters.items()}
    wanted = {((a, x), (b, y)) for a, b in combinations(names, 2) for x, y in product(indices[a], indices[b])}
    cases = []
    while wanted:
        (a, x), (b, y) = min(wanted)
        case = {a: x, b: y}
        for name in names:
            if name not in case:
                case[name] = max(indices[name], key=lambda value: _gain(name, value, case, names, wanted))
        cases.append({name: parameters[name][case[name]] for name in names})
        wanted -= {((a, case[a]), (b, case[b])) for a, b in combinations(names, 2)}
    return cases


def _gain(name: str, value: int, case: dict[str, int], names: list[str], wanted: set) -> int:
    """How many missing pairs this value would bring together with those already chosen."""
    gain = 0
    for other, chosen in case.items():
        pair = ((name, value), (other, chosen))
        gain += (pair if names.index(name) < names.index(other) else pair[::-1]) in wanted
    return gain
