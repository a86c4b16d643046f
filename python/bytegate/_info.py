"""What the library and files are."""

import json
import os

from bytegate import _core

__version__ = _core.version


class Info(dict):
    """A dict that prints as lines."""

    def __str__(self):
        lines = []
        for name, value in self.items():
            if isinstance(value, dict):
                lines.append(f"{name}:")
                lines += [f"  {key}: {item}" for key, item in value.items()]
            else:
                lines.append(f"{name}: {value}")
        return "\n".join(lines)

    __repr__ = __str__


def info():
    """The version, the backends (best first, each with "supported" or what it needs and this CPU lacks), the one that
    layers get by default, and the CPU's features. A dict; print(info()) is text."""
    backends = {name: "supported" if supported else f"needs {missing}"
                for name, supported, missing in _core.backends()}
    return Info(version=_core.version, default_backend=_core.default_backend(), backends=backends,
                cpu_features=_core.cpu_features())


def inspect(path):
    """What a safetensors file holds, without reading its weights: `metadata`, `architecture` (a list, None where the
    file states none), and `tensors`, name -> "I8 [4, 3]". A dict; print(inspect(path)) is text."""
    metadata, tensors = _core.read_header(os.fspath(path))
    architecture = None
    try:
        stated = json.loads(metadata.get("architecture", "null"))
        architecture = stated if isinstance(stated, list) else None
    except ValueError:
        pass
    size = sum(entry[2] for entry in tensors.values())
    return Info(path=os.fspath(path), bytes=size, architecture=architecture, metadata=metadata,
                tensors={name: f"{dtype} {list(shape)}" for name, (dtype, shape, _) in tensors.items()})
