"""Modules left as they were by calls that change them."""

import torch

from bytegate.torch import folding

_TABLES = ("_parameters", "_buffers", "_modules")


def _tensors(module):
    """The tensors that a module holds by itself."""
    for table in ("_parameters", "_buffers"):
        yield from ((name, tensor) for name, tensor in vars(module)[table].items() if tensor is not None)
    yield from ((name, value) for name, value in vars(module).items() if isinstance(value, torch.Tensor))


def _version(tensor):
    """How often a tensor has been changed in place; None where that is not counted."""
    return None if tensor.is_inference() else tensor._version


class Unchanged:
    """Within it, modules below `module` may be changed by their forward(); afterwards, attributes and buffers are what
    they were. `changed()` names what has been changed so far, None for nothing."""

    def __init__(self, module):
        self._modules = [(name, m) for name, m in module.named_modules() if not isinstance(m, torch.jit.ScriptModule)]

    def __enter__(self):
        self._before = [(dict(vars(m)), [dict(vars(m)[table]) for table in _TABLES]) for _, m in self._modules]
        self._versions = [[(name, tensor, _version(tensor)) for name, tensor in _tensors(m)] for _, m in self._modules]
        self._buffers = [(b, b.detach().clone(), _version(b)) for _, m in self._modules for b in m._buffers.values()
                         if b is not None]
        return self

    def __exit__(self, *error):
        for (_, module), (attributes, tables) in zip(self._modules, self._before):
            vars(module).clear()
            vars(module).update(attributes)
            for name, table in zip(_TABLES, tables):
                if vars(module)[name] != table:
                    vars(module)[name].clear()
                    vars(module)[name].update(table)
        for buffer, values, version in self._buffers:
            if _version(buffer) != version:
                with torch.no_grad():
                    buffer.copy_(values)

    def changed(self):
        for (name, module), (attributes, tables), tensors in zip(self._modules, self._before, self._versions):
            if folding.is_folded_by_hooks(module):
                continue  # weight_norm of old sets the weight in each call
            now = [vars(module)] + [vars(module)[table] for table in _TABLES]
            for before, after in zip([attributes, *tables], now):
                for key in before.keys() | after.keys():
                    if before.get(key, self) is not after.get(key, self):
                        return f"{name}.{key}".lstrip(".")
            for key, tensor, version in tensors:
                if _version(tensor) != version:
                    return f"{name}.{key}".lstrip(".")
        return None
