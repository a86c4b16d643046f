"""Tensors that are cut along a dimension and joined again in another place, as the two directions of a recurrent layer
are where an exporter splits them and concatenates them over the channels."""

from bytegate.onnx.layout import Atom, Broken, View, atoms_of, size_of
from bytegate.onnx.moves import as_array

_MAX_PARTS = 64


def part_of(view, axis, index, keeps_dimension):
    """The place `index` along a dimension. Raises Broken for a dimension that is no single atom of known size."""
    atoms, size = atoms_of(view.dims[axis]), size_of(view.dims[axis])
    if len(atoms) != 1 or size is None or size > _MAX_PARTS or not -size <= index < size or view.part is not None:
        raise Broken("takes another place along a dimension than its last")
    dims = [*view.dims[:axis], *([(Atom(1),)] if keeps_dimension else []), *view.dims[axis + 1:]]
    part = View(dims, view.version)
    part.part = (atoms[0], index % size)
    return part


def split(node, values, view):
    """The Views of a Split into single places."""
    axis = node.integer("axis", 0)
    if not -len(view.dims) <= axis < len(view.dims):
        raise Broken(f"has the axis {axis}")
    sizes = node.integers("split")
    if sizes is None and len(values) > 1:
        sizes = as_array(values[1])
        if sizes is None:
            raise Broken("splits a tensor at places that cannot be told from the graph")
        sizes = sizes.reshape(-1).tolist()
    count = len(node.outputs)
    if size_of(view.dims[axis]) != count or (sizes is not None and sizes != [1] * count):
        raise Broken("splits a tensor as no layer of the library does")
    return [part_of(view, axis % len(view.dims), i, True) for i in range(count)]


def concat(node, values):
    """The View of a Concat of all parts of one, in their order."""
    first, axis = values[0], node.integer("axis", 0)
    for index, view in enumerate(values):
        whole = isinstance(view, View) and view.part is not None and first.part is not None and (
            view.part == (first.part[0], index) and view.version == first.version)
        if not whole or list(map(atoms_of, view.dims)) != list(map(atoms_of, first.dims)):
            raise Broken("brings two tensors together: the graph branches")
    if first.part[0].size != len(values) or not -len(first.dims) <= axis < len(first.dims):
        raise Broken("joins some parts of a tensor and not all")
    dims = list(first.dims)
    dims[axis] = (first.part[0], *atoms_of(dims[axis]))
    return View(dims, first.version)
