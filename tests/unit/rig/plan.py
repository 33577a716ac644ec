"""Which steps fail, and of what: all of them in the full form, a sample of them in the short one.

The full form lets each step fail, which takes minutes: `make test-all`. The short one is for each
day: of each kind of step in each place of the package's code the first, and some of the others. It
is the same at each run.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from rounds import EACH_STEP

from .faults import Effect, Fault, Step, Trial, faults_of

_STRIDE = 40
"""Of as many further steps one is tried in the short form."""


def pair(step: Step) -> tuple[str, str, bool]:
    """Return a step's kind and place: what the short form tries at least once."""
    return step.function, step.place, bool(step.child)


def chosen(steps: Iterable[Step], covered: Collection[object] = ()) -> list[Step]:
    """Return the steps that are to fail; in the short form no more of the pairs in *covered*."""
    candidates = list(steps)
    if EACH_STEP:
        return candidates
    firsts = {pair(step): step for step in reversed(candidates)}
    first = {step.key for at, step in firsts.items() if at not in covered}
    others = [step for step in candidates if step.key not in first]
    first |= {step.key for step in islice(others, _STRIDE - 1, None, _STRIDE)}
    return [step for step in candidates if step.key in first]


def trials(
    steps: Iterable[Step], *, thorough: bool = False, covered: Collection[object] = ()
) -> Iterator[Trial]:
    """Yield the chosen() of the steps with one fault each, taken in turn from all there are.

    *thorough*, in the full form: the first step of each site with all faults there are.
    """
    sites: dict[tuple[str, str, bool], int] = {}
    for number, step in enumerate(chosen(steps, covered)):
        faults = faults_of(step)
        before = sites.get(step.site)
        sites[step.site] = 0 if before is None else before + 1
        if EACH_STEP and thorough and before is None:
            yield from (Trial(step, fault) for fault in faults)
        else:
            turn = (before or 0) if EACH_STEP else number
            yield Trial(step, faults[turn % len(faults)])


def killed(steps: Iterable[Step]) -> Iterator[Trial]:
    """Yield the chosen of the steps with a kill; in the short form every other."""
    yield from (Trial(each, Fault(Effect.KILL)) for each in chosen(steps)[:: 1 if EACH_STEP else 2])


def fatal(steps: Iterable[Step], *effects: Effect) -> Iterator[Trial]:
    """Yield the first step of each function in a child with *effects* that end or stop it.

    Also in the full form, as who is stopped takes all the time that a call may. In the short form
    each function has one of the effects.
    """
    functions: set[str] = set()
    for step in steps:
        if step.child and step.function not in functions:
            functions.add(step.function)
            turn = len(functions) % len(effects)
            for effect in effects if EACH_STEP else (effects[turn],):
                yield Trial(step, Fault(effect))


def some(values: Sequence[int]) -> Sequence[int]:
    """Return *values*, in the short form every third of them."""
    return values[:: 1 if EACH_STEP else 3]
