"""Which modules read a child's weights themselves and do not call the child."""

import dis
import functools
import types

_TENSORS = ("weight", "bias")


def _function(attribute):
    """The function behind a class's attribute; None if there is none."""
    if isinstance(attribute, property):
        attribute = attribute.fget
    attribute = getattr(attribute, "__func__", attribute)
    while hasattr(attribute, "__wrapped__"):
        attribute = attribute.__wrapped__
    return attribute if isinstance(attribute, types.FunctionType) else None


def _codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _reachable(cls):
    """The code of forward and of the methods that it names, and so on."""
    waiting, seen = ["forward"], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        function = _function(getattr(cls, name, None))
        if function is None or function.__module__ == "torch.nn.modules.module":
            continue
        for code in _codes(function.__code__):
            yield code
            waiting += code.co_names


@functools.lru_cache(maxsize=1024)
def _children_read(cls):
    """Names of attributes of which forward reads a weight: self.fc.weight."""
    found = set()
    for code in _reachable(cls):
        before = None
        for instruction in dis.get_instructions(code):
            if instruction.opname == "LOAD_ATTR":
                name = instruction.argval
                if before is not None and isinstance(name, str) and name.startswith(_TENSORS):
                    found.add(before)
                before = name
            else:
                before = None
    return frozenset(found)


def reads_weights(cls, child):
    """Whether forward of a module of that class reads the weights of its child of that name, as MultiheadAttention and
    the fast path of TransformerEncoderLayer do."""
    return child in _children_read(cls)
