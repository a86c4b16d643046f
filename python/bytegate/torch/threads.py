"""How many threads int8 modules use."""

import torch

from bytegate._error import Error

_LIMIT = 256
_of_torch = torch.get_num_threads
_chosen = None


def set_num_threads(num_threads):
    """Threads that the int8 layers of PyTorch modules use, 1 to 256; None: torch.get_num_threads(), the default. A
    module's own attribute `num_threads`, where it is set, goes first."""
    global _chosen
    if num_threads is not None and not 1 <= num_threads <= _LIMIT:
        raise Error("invalid_argument", f"num_threads is {num_threads}; 1 to {_LIMIT} are accepted, or None")
    _chosen = num_threads


def num_threads():
    """The number that holds now."""
    if _chosen is not None:
        return _chosen
    threads = _of_torch()
    return threads if threads < _LIMIT else _LIMIT
