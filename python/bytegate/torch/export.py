"""export: a PyTorch module as a file that the library reads."""

import os
import tempfile

import numpy
import torch
from torch import nn

from bytegate import _core
from bytegate._error import Error
from bytegate.torch import chain as _chain
from bytegate.torch import layers as _layers
from bytegate.torch import tensors as _tensors
from bytegate.torch.unchanged import Unchanged

_TOLERANCE = 1e-5


class ExportReport:
    """What export wrote.

    `whole` says whether the file is a model that runs as the module does; otherwise it holds layers without an order,
    and `reason` names what in forward() is no chain of layers. `layers` are pairs of a name and the layer's printed
    form, `notes` further sentences, `verified` the largest difference from the module's outputs on the examples,
    divided by the largest output where that is above 1; None where nothing could be compared. Printed, a report is a
    text for people.
    """

    def __init__(self, path, layers, reason, notes, verified):
        self.path, self.whole, self.reason = path, reason is None, reason
        self.layers = [(name, repr(layer)) for name, layer in layers]
        self.notes, self.verified = list(notes), verified

    def __repr__(self):
        return f"<ExportReport: {'a whole model' if self.whole else 'layers'} of {len(self.layers)} in {self.path!r}>"

    def __str__(self):
        count = f"{len(self.layers)} layer{'' if len(self.layers) == 1 else 's'}"
        lines = [f"{self.path}: a whole model of {count}" if self.whole else
                 f"{self.path}: {count}, not a whole model: {self.reason}"]
        lines += [f"  {name}: {text}" for name, text in self.layers]
        lines += [f"note: {note}" for note in self.notes]
        if self.verified is not None:
            lines.append(f"verified: differs from the module by at most {self.verified:.1e}")
        return "\n".join(lines)


def export(module, path, example_inputs, *, name=None):
    """Writes a PyTorch module as one safetensors file that load() and the C++ library read. Returns an ExportReport.

    module: a torch.nn.Module, float32 on the CPU; int8 modules of quantize_dynamic are written as int8. It is run in
        eval mode and is not changed.
    path: the file to write; replaced if it exists.
    example_inputs: a tensor, or a tuple with the arguments of a call.
    name: the model's name in the file; None: the module's class.

    Where forward() is a chain of layers that the library has, the file is a whole model. The module and the model are
    run on the examples, and on longer and other inputs of their kind, before it is written. Where it is no chain, or an
    output differs by more than 1e-5 (times the largest output, if that is above 1), the file holds the layers by name
    without an order, and the report's `reason` names the operation. A layer that differs by itself is an Error, and
    nothing is written.

        report = bytegate.export(model, "model.safetensors", torch.zeros(1, 20, 64))
        print(report)
    """
    if not isinstance(module, nn.Module):
        raise Error("invalid_argument", f"export takes a torch.nn.Module, not {type(module).__name__}")
    path, examples = os.fspath(path), _chain.check_examples(example_inputs)
    with torch.no_grad(), Unchanged(module):
        return _export(module.eval(), path, examples, name or type(module).__name__)


def _export(module, path, examples, name):
    with Unchanged(module) as kept:
        expected = _copied(module(*_copied(examples)))  # an example that the module does not take is the caller's error
        changed = kept.changed()
    try:
        if changed:
            raise _chain.Broken(f"forward() changes what the module holds ({changed!r}), for a call that follows")
        chain = _chain.follow(module, examples)
        if not chain.layers:
            raise _chain.Broken("it has no layers")
        model = _core.Model.from_layers(name, chain.layers)
    except (_chain.Broken, Error) as error:
        return _export_layers(module, path, examples, str(error))
    with tempfile.TemporaryDirectory() as folder:
        trial = os.path.join(folder, "model.safetensors")
        model.save(trial)
        loaded = _core.Model.load(trial)
        verified, reason = _compare(loaded, examples[0], expected, "the example")
        reason = reason or _other_inputs(module, loaded, examples[0])
    if reason is not None:
        return _export_layers(module, path, examples, reason)
    model.save(path)
    return ExportReport(path, chain.layers, None, chain.notes, verified)


def _call(module, *examples):
    """The module's output; a forward() that changes its input changes a copy, and the module is as it was."""
    with Unchanged(module):
        return _copied(module(*_copied(examples)))


def _copied(value):
    """Tensors as they are now; what follows a layer may change them in place."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    return tuple(_copied(item) for item in value) if type(value) in (tuple, list) else value


def _first(result):
    while isinstance(result, (tuple, list)) and result:
        result = result[0]
    return result


def _difference(got, expected):
    """The largest difference, divided by the largest output where that is above 1, and whether it is too large."""
    expected = expected.detach().numpy()
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return float("inf"), True
    both = numpy.isfinite(got) & numpy.isfinite(expected)
    if not numpy.array_equal(got[~both], expected[~both], equal_nan=True):
        return float("inf"), True
    if not both.any():
        return 0.0, False
    got, expected = got[both].astype("d"), expected[both].astype("d")
    difference = float(abs(got - expected).max()) / max(1.0, float(abs(expected).max()))
    return difference, not difference <= _TOLERANCE


def _compare(model, x, expected, what):
    """The difference, and a sentence where it is too large; None where it is not."""
    array = _tensors.to_indices(x, "export") if model.takes_indices else _tensors.to_array(x, "export")
    expected = _first(expected)
    if not isinstance(expected, torch.Tensor) or expected.dtype is not torch.float32:
        return None, "forward() returns something else than a float32 tensor"
    difference, wrong = _difference(model.run(array), expected)
    return difference, ("forward() does something besides calling the layers that torch.fx saw one after another: on "
                        f"{what} the outputs differ by {difference:.2g}") if wrong else None


def _other_inputs(module, model, x):
    """Why the module is no chain after all, by inputs of other sizes and values; None if nothing shows it."""
    others = [torch.cat([x, x], dim) for dim in range(x.dim() - (not model.takes_indices))]
    others.append(x.flip(0) if model.takes_indices else torch.rand_like(x) * 4 - 2)
    for other in others:
        try:
            expected = _call(module, other)
        except Exception:  # the module takes inputs of one size only
            continue
        try:
            reason = _compare(model, other, expected, f"an input of shape {list(other.shape)}")[1]
        except Error as error:  # the file's model takes fewer inputs than the module
            reason = f"for an input of shape {list(other.shape)}, {error}"
        if reason is not None:
            return f"forward() does not do the same for every input ({reason})"
    return None


def _export_layers(module, path, examples, reason):
    """Writes the layers by name, each compared with the module's own on the examples."""
    found = {name or _layers.lone_name(m): m for name, m in module.named_modules() if _layers.has_weights(m)}
    if not found:
        raise Error("invalid_argument", f"nothing in the module can be written: {reason}, and it has no layer that the "
                    "library has")
    layers = {name: _layers.layer_of(m) for name, m in found.items()}
    calls = []
    hooks = [m.register_forward_hook(lambda m, args, out, name=name: calls.append((name, _copied(args), _copied(out))))
             for name, m in found.items()]
    try:
        _call(module, *examples)
    finally:
        for hook in hooks:
            hook.remove()
    largest, notes = None, []
    for name, args, out in calls:
        difference, wrong = _compare_layer(layers[name], found[name], args, out)
        if wrong:
            raise Error("invalid_argument", f"layer {name!r} as the library computes it differs by {difference:.2g} on "
                        "the examples. Nothing was written")
        if difference is not None:
            largest = max(largest or 0.0, difference)
    if largest is None:
        notes.append("no layer was called with plain tensors, so nothing was compared")
    _core.write_layers(list(layers.items()), path)
    return ExportReport(path, list(layers.items()), reason, notes, largest)


def _compare_layer(layer, module, args, out):
    if not args or not isinstance(args[0], torch.Tensor):
        return None, False
    if layer.takes_indices:
        return _difference(layer.run(_tensors.to_indices(args[0], "export")), out)
    x = args[0].detach().numpy()
    if not (_layers.is_recurrent(module) or _layers.is_cell(module)):
        return _difference(layer.run(x), out)
    hx = args[1] if len(args) > 1 else None
    if hx is not None:
        hx = [h.detach().numpy() for h in (hx if isinstance(hx, (tuple, list)) else (hx,))]
    return _difference(layer.run_with_state(x, hx)[0], _first(out))
