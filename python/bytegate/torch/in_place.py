"""Operations in a graph of torch.fx that change a tensor in place."""

import inspect


def _changes_its_input(node, modules):
    """Whether a node of the graph computes in place."""
    if node.op == "call_module":
        return bool(getattr(modules.get(node.target), "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = str(getattr(node.target, "__name__", node.target))
    if node.kwargs.get("inplace") or "out" in node.kwargs or name.endswith("_") and not name.endswith("__"):
        return True
    try:
        parameters = list(inspect.signature(node.target).parameters)
    except (TypeError, ValueError):  # a method, or a function of C
        return False
    return "inplace" in parameters[:len(node.args)] and bool(node.args[parameters.index("inplace")])


def _asks_for_sizes(node):
    return node.op == "call_method" and node.target in ("size", "dim") or node.target is getattr


def is_used_besides(node, modules):
    """Whether a node computes in place, and the tensor that it changes is used other than as its result."""
    if not _changes_its_input(node, modules) or not node.args:
        return False
    others = [user for user in getattr(node.args[0], "users", ()) if user is not node and not _asks_for_sizes(user)]
    return bool(others) or not node.users
