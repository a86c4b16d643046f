"""What the dimensions of the graph's tensors and those of the library's tensor have in common.

ONNX moves dimensions about with Transpose, Reshape, Squeeze and Unsqueeze where the library's layers simply have
another order of dimensions. So a dimension is followed as an Atom, or as several that were joined: a View says of
which atoms each dimension of a tensor of the graph consists, and Tensor says the same of the library's tensor. The
nodes that move dimensions change a View alone. Only where a layer needs another order are layers inserted (permute,
flatten, last_step).

A dimension of size 1 may come and go in a view. The library's layers can drop one (last_step), and cannot add one.
"""


class Broken(Exception):
    """Why a graph is no chain of layers."""


class Atom:
    """A dimension that nothing has split so far. `size` is None where the graph does not say it."""

    def __init__(self, size=None, name=""):
        self.size, self.name = size, name
        self.parts = None  # the atoms it was split into

    def __repr__(self):
        return self.name or ("?" if self.size is None else str(self.size))


def atoms_of(dim):
    """A dimension's atoms without those of size 1 and with split ones replaced by their parts."""
    found = []
    for atom in dim:
        if atom.parts is not None:
            found += atoms_of(atom.parts)
        elif atom.size != 1:
            found.append(atom)
    return tuple(found)


def size_of(dim):
    """A dimension's size, None if it is unknown."""
    size = 1
    for atom in atoms_of(dim):
        if atom.size is None:
            return None
        size *= atom.size
    return size


def set_size(dim, size):
    """Notes what a layer says of a dimension. False if that is known to be wrong."""
    atoms = atoms_of(dim)
    if len(atoms) == 1 and atoms[0].size is None:
        atoms[0].size = size
    known = size_of(dim)
    return known is None or known == size


def split(atom, size):
    """Splits an atom in two, of which the first has this size. False if that cannot be."""
    if atom.size is None or size < 1 or atom.size % size:
        return False
    atom.parts = (Atom(size), Atom(atom.size // size))
    return True


class Sym:
    """A size that only the running graph knows: a factor times sizes of atoms."""

    def __init__(self, factor, atoms):
        self.factor, self.atoms = factor, tuple(atoms)

    @staticmethod
    def of(dim):
        """An integer where the size is known."""
        size = size_of(dim)
        return size if size is not None else Sym.times([Sym(1, atoms_of(dim))])

    @staticmethod
    def times(values):
        """The product of integers and Syms."""
        factor, atoms = 1, []
        for value in values:
            if isinstance(value, Sym):
                atoms += [atom for atom in value.atoms if atom.size is None]
                factor *= value.factor
                for atom in value.atoms:
                    factor *= 1 if atom.size is None else atom.size
            else:
                factor *= value
        return Sym(factor, atoms) if atoms else factor


def _take(queue, target, from_end):
    """The next atoms of a queue whose sizes multiply to `target`, an integer or a Sym; None if they do not."""
    symbols = list(target.atoms) if isinstance(target, Sym) else []
    left = target.factor if isinstance(target, Sym) else target
    taken = []
    while left != 1 or symbols:
        if not queue or left < 1:
            return None
        atom = queue[-1 if from_end else 0]
        if atom in symbols:
            symbols.remove(atom)
        elif atom.size is None:
            return None
        elif left % atom.size == 0:
            left //= atom.size
        elif from_end or not split(atom, left):
            if not from_end or atom.size % left or not split(atom, atom.size // left):
                return None
            queue.pop()
            queue.extend(atom.parts)
            continue
        else:
            queue[0:1] = atom.parts
            continue
        taken.append(queue.pop(-1 if from_end else 0))
    return tuple(reversed(taken)) if from_end else tuple(taken)


def reshaped(dims, target, allow_zero=False):
    """The dimensions after a Reshape to `target`, a list of integers and Syms. Raises Broken."""
    target = [Sym.of(dims[i]) if size == 0 and not allow_zero and i < len(dims) else size
              for i, size in enumerate(target)]
    queue = [atom for dim in dims for atom in atoms_of(dim)]
    rest = next((i for i, size in enumerate(target) if isinstance(size, int) and size == -1), len(target))
    out = [None] * len(target)
    for i in [*range(rest), *range(len(target) - 1, rest, -1)]:
        size = target[i]
        if size is None or (isinstance(size, int) and size < 0):
            raise Broken("reshapes to a shape that cannot be told from the graph")
        # A dimension that was unknown may be stated here.
        out[i] = _take(queue, size, i > rest)
        if out[i] is None:
            raise Broken("reshapes in a way that does not only join or split dimensions in their order")
    if rest < len(target):
        out[rest], queue = tuple(queue), []
    if queue:
        raise Broken("reshapes in a way that does not only join or split dimensions in their order")
    return out


class View:
    """A tensor of the graph: dimensions, each a tuple of atoms, of the library's tensor at some version. `indices` says
    that it holds integers, which only an embedding reads."""

    def __init__(self, dims, version, indices=False):
        self.dims, self.version, self.indices = list(dims), version, indices
        self.half = False  # whether a cast to half precision was seen there
        self.part = None  # (atom, index): one place along an atom that is none of the dimensions


class Tensor:
    """The library's tensor at the end of the layers so far. `insert(kind, fields)` adds a layer that moves
    dimensions."""

    def __init__(self, dims, insert):
        self.dims, self.insert = list(dims), insert
        self.version = 0  # counts the layers that computed something
        # How many channels of the last dimension precede those of the graph's tensor: the output of a direction that
        # the graph does not have, which nothing may read.
        self.zeros = 0

    def stripped(self):
        return [atoms_of(dim) for dim in self.dims]

    def permute(self, order):
        if order != list(range(len(self.dims))):
            self.insert("permute", {"dims": order})
            self.dims = [self.dims[i] for i in order]

    def drop(self, position):
        """Leaves out the dimension at position 0 or 1 by taking its last place."""
        self.insert("last_step", {"batch_first": True} if position == 1 else {})
        del self.dims[position]

    def arrange(self, want):
        """Brings the dimensions into the order and grouping of a view. Raises Broken."""
        target = [atoms_of(dim) for dim in want]
        if self.stripped() == target:
            return
        have = [dim for dim in self.stripped() if dim]
        if sorted(map(_key, have)) == sorted(_key(dim) for dim in target if dim):
            self._reorder(target)
        elif len(target) == 2:
            self._flatten(target)
        else:
            raise Broken("joins or splits dimensions as no layer of the library does")

    def _reorder(self, target):
        extra = len(self.dims) - len(target)
        if extra < 0:
            raise Broken("adds a dimension of size 1, which no layer of the library does")
        for _ in range(extra):
            stripped = self.stripped()
            position = stripped.index(())
            if position > 1:
                self.permute([position, *(i for i in range(len(self.dims)) if i != position)])
                position = 0
            self.drop(position)
        self.permute(_order(self.stripped(), target))

    def _flatten(self, target):
        """[D0, D1, ...] to [D0, D1 * ...]"""
        dims = self.stripped()
        if target[0] not in dims:
            raise Broken("joins dimensions as no layer of the library does")
        order = [dims.index(target[0])]
        place = 0
        while place < len(target[1]):
            found = [i for i, dim in enumerate(dims)
                     if i not in order and dim and dim == target[1][place:place + len(dim)]]
            if not found:
                raise Broken("joins dimensions as no layer of the library does")
            order.append(found[0])
            place += len(dims[found[0]])
        order += [i for i, dim in enumerate(dims) if i not in order and not dim]
        if len(order) != len(dims) or len(dims) < 2:
            raise Broken("joins dimensions as no layer of the library does")
        self.permute(order)
        self.insert("flatten", {})
        self.dims = [self.dims[0], tuple(atom for dim in self.dims[1:] for atom in dim)]

    def arrange_last(self, view, position):
        """Brings one dimension of a view to the end, where most layers work; the others may stay as they are."""
        wanted = atoms_of(view[position])
        stripped = self.stripped()
        if wanted and stripped and stripped[-1] == wanted:
            return
        if wanted and wanted in stripped and position != len(view) - 1:
            place = stripped.index(wanted)
            self.permute([*(i for i in range(len(stripped)) if i != place), place])
            return
        try:
            self.arrange(view if position == len(view) - 1 else [*view[:position], *view[position + 1:],
                                                                view[position]])
        except Broken:
            if not wanted or wanted not in stripped:
                raise
            place = stripped.index(wanted)
            self.permute([*(i for i in range(len(stripped)) if i != place), place])


def _key(dim):
    return tuple(id(atom) for atom in dim)


def _order(have, target):
    """Which dimension of `have` comes to each place of `target`; those of size 1 stay where they can."""
    order, used = [], set()
    for i, dim in enumerate(target):
        same = i if i < len(have) and have[i] == dim and i not in used else None
        place = same if same is not None else next(j for j, other in enumerate(have) if other == dim and j not in used)
        used.add(place)
        order.append(place)
    return order
