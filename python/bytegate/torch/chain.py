"""The order in which a module calls its layers, and what its forward() does between them, followed by torch.fx."""

import dis
import operator
import sys

import torch
from torch import nn
from torch.nn import functional

from bytegate._error import Error
from bytegate.torch import in_place
from bytegate.torch import layers as _layers
from bytegate.torch.unchanged import Unchanged

try:
    from torch import fx
except ImportError:
    fx = None


class Broken(Exception):
    """Why a module is no chain of layers."""


class Chain:
    """Named layers in order, and sentences about them."""

    def __init__(self):
        self.layers, self.notes = [], []

    def add(self, name, layer):
        taken = {known for known, _ in self.layers}
        unique, count = name, 1
        while unique in taken:
            count += 1
            unique = f"{name}_{count}"
        self.layers.append((unique, layer))


class _Value:
    """What a node of the graph is: `what` is "tensor", "result" (of a recurrent layer), "states", "h" or "sizes"; `at`
    how many layers of the chain it is behind."""

    def __init__(self, what, at, module=None):
        self.what, self.at, self.module = what, at, module


class _Proxy(fx.Proxy if fx else object):
    """Old versions of torch.fx do not see `a, b = pair` in the bytecode of today's Python."""

    def __iter__(self):
        frame = sys._getframe(1)
        for instruction in dis.get_instructions(frame.f_code):
            if instruction.offset == frame.f_lasti and instruction.opname == "UNPACK_SEQUENCE":
                return (self[i] for i in range(instruction.argval))
        return super().__iter__()


class _Tracer(fx.Tracer if fx else object):
    def __init__(self):
        super().__init__()
        self.branched = False  # whether forward() asked for the truth of a tensor, and perhaps caught the exception

    def proxy(self, node):
        return _Proxy(node, self)

    def to_bool(self, obj):
        self.branched = True
        return super().to_bool(obj)

    def is_leaf_module(self, module, name):
        return _layers.is_known(module) or super().is_leaf_module(module, name)


def follow(module, examples):
    """The Chain of a module in eval mode that is called with those arguments. Raises Broken."""
    if fx is None:
        raise Broken("this PyTorch has no torch.fx, which follows forward()")
    if len(examples) != 1:
        raise Broken(f"it takes {len(examples)} inputs; a model in a file has one")
    if _layers.is_known(module):
        chain = Chain()
        _Walk(chain, {}, {}).module(_layers.lone_name(module), module, _rank(examples[0]))
        return chain
    traced = _trace(module)
    walk = _Walk(Chain(), dict(traced.named_modules()), _ranks(traced, examples[0]))
    for node in traced.graph.nodes:
        walk.visit(node)
    if walk.chain.layers and _first_takes_another_type(walk.chain, examples[0]):
        raise Broken(f"it takes {examples[0].dtype} and converts it before the layer {walk.chain.layers[0][0]!r}")
    return walk.chain


def _rank(value):
    return value.dim() if isinstance(value, torch.Tensor) else None


class _OneInput(nn.Module):
    """The module called with one argument, so that the others have their defaults."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.training = False

    def forward(self, x):
        return self.module(x)


def _trace(module):
    outer, tracer = _OneInput(module), _Tracer()
    try:
        with Unchanged(module):
            graph = tracer.trace(outer)
    except Exception as error:  # whatever a forward() does with values that are not there
        text = str(error).strip("'\"").splitlines()
        raise Broken(f"forward() cannot be followed: {text[0][:200] if text else error!r}") from error
    if tracer.branched:
        raise Broken("forward() has control flow that depends on a tensor or its shape")
    modules = dict(outer.named_modules())
    for node in graph.nodes:
        if in_place.is_used_besides(node, modules):
            raise Broken(f"{_title(node)} changes a tensor in place and does not pass it on alone")
    traced = fx.GraphModule(outer, graph)
    traced.graph.eliminate_dead_code()
    return traced


def _ranks(traced, example):
    """Dimensions of each node's tensor, from a run on the example."""
    ranks = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node):
            result = super().run_node(node)
            ranks[node] = _rank(result)
            return result

    with torch.no_grad(), Unchanged(traced):
        Recorder(traced).run(example.clone() if isinstance(example, torch.Tensor) else example)
    return ranks


def _own_name(target):
    """A name of the wrapped module as its own."""
    return str(target).partition("module.")[2] or str(target)


def _first_takes_another_type(chain, example):
    """Whether the first layer takes floats where the module takes other numbers, or the other way round."""
    accepted = (torch.int64, torch.int32) if chain.layers[0][1].takes_indices else (torch.float32,)
    return isinstance(example, torch.Tensor) and example.dtype not in accepted


_NAMES = {torch.relu: "relu", functional.relu: "relu", torch.sigmoid: "sigmoid", functional.sigmoid: "sigmoid",
          torch.tanh: "tanh", functional.tanh: "tanh", torch.softmax: "softmax", functional.softmax: "softmax",
          torch.log_softmax: "log_softmax", functional.log_softmax: "log_softmax",
          functional.leaky_relu: "leaky_relu", functional.elu: "elu", functional.dropout: "dropout",
          torch.flatten: "flatten", torch.transpose: "transpose", torch.permute: "permute", torch.reshape: "reshape",
          operator.getitem: "getitem", getattr: "getattr", torch.squeeze: "squeeze"}


_IN_PLACE = {name + "_": name for name in ("relu", "sigmoid", "tanh")}
_NAMES.update({getattr(module, name): _IN_PLACE[name] for module in (torch, functional) for name in _IN_PLACE
               if hasattr(module, name)})


def _title(node):
    """A node in a sentence."""
    if node.op == "call_module":
        return "the module itself" if node.target == "module" else f"the module {_own_name(node.target)!r}"
    if node.op == "call_method":
        return f"the method {node.target!r} of a tensor ({node.name})"
    if node.op == "get_attr":
        return f"the tensor {_own_name(node.target)!r} of the module, used outside of a layer"
    name = getattr(node.target, "__name__", str(node.target))
    return f"the operation {name!r} ({node.name})"


class _Walk:
    def __init__(self, chain, modules, ranks):
        self.chain, self.modules, self.ranks, self.values = chain, modules, ranks, {}

    def visit(self, node):
        if node.op == "placeholder":
            if not any(value.what == "tensor" for value in self.values.values()):
                self.values[node] = _Value("tensor", 0)
            return
        if node.op == "output":
            self.output(node.args[0])
            return
        known = None
        if node.op == "call_module":
            if not node.args:
                raise Broken(f"{_title(node)} is called with keywords alone")
            self.tensor(node, node.args[0])
            others = [arg for arg in (*node.args[1:], node.kwargs.get("hx")) if arg is not None]
            if others:
                raise Broken(f"{_title(node)} is given a state or another input besides the tensor")
            known = self.module(_own_name(node.target), self.modules[node.target], self.rank(node.args[0]))
        elif node.op == "call_function" and node.target in _NAMES:
            known = self.operation(node, _NAMES[node.target])
        elif node.op == "call_method":
            known = self.operation(node, _IN_PLACE.get(node.target, node.target))
        if known is None:
            raise Broken(f"{_title(node)} is no layer that a file can have")
        self.values[node] = known

    def value(self, argument):
        return self.values.get(argument) if isinstance(argument, fx.Node) else None

    def rank(self, argument):
        return self.ranks.get(argument) if isinstance(argument, fx.Node) else None

    def tensor(self, node, argument):
        """The value of an argument that must be the chain's last tensor."""
        value = self.value(argument)
        if value is None or value.what != "tensor":
            raise Broken(f"{_title(node)} takes what is no output of the layer before it")
        if value.at != len(self.chain.layers):
            raise Broken(f"{_title(node)} uses a tensor that a layer behind it has used already")
        return value

    def here(self):
        return _Value("tensor", len(self.chain.layers))

    def add(self, kind, **fields):
        self.chain.add(kind, _layers.plain(kind, fields))
        return self.here()

    def module(self, name, module, rank):
        """The value of a known module's output; None for an unknown one."""
        if _layers.has_hooks(module):
            raise Broken(f"the module {name!r} has hooks, which may change what it computes")
        if "forward" in vars(module):
            return None
        if _layers.does_nothing(module):
            return self.here()
        if isinstance(module, nn.BatchNorm1d):
            self.fold(name, module, rank)
            return self.here()
        if isinstance(module, (nn.Softmax, nn.LogSoftmax)) and not self.last(module.dim, rank):
            raise Broken(f"the module {name!r} is a softmax over another dimension than the last")
        if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) != (1, -1):
            return None
        layer = _layers.layer_of(module)
        if layer is None:
            return None
        self.chain.add(name, layer)
        if _layers.is_cell(module):
            raise Broken(f"the module {name!r} is a cell, whose state a chain does not carry")
        if _layers.is_recurrent(module):
            return _Value("result", len(self.chain.layers), module)
        return self.here()

    @staticmethod
    def last(dim, rank):
        return dim == -1 or (rank is not None and dim == rank - 1)

    def fold(self, name, norm, rank):
        """A batch normalization goes into the weights of the layer before it."""
        if not self.chain.layers:
            raise Broken(f"the module {name!r} has no layer in front of it that it can be folded into")
        before, layer = self.chain.layers[-1]
        folded = _layers.fold_batch_norm(layer, norm, rank)
        if folded is None:
            raise Broken(f"the module {name!r} cannot be folded into {before!r}, which is no float Linear or Conv1d")
        self.chain.layers[-1] = (before, folded)
        self.chain.notes.append(f"{name} is folded into the weights of {before}")

    def operation(self, node, name):
        source = self.value(node.args[0]) if node.args else None
        if source is None:
            return None
        rest, options = node.args[1:], dict(node.kwargs)
        if name == "getitem":
            return self.item(node, source, rest[0])
        if name == "getattr":
            return _Value("sizes", source.at) if rest[0] == "shape" else None
        if name in ("size", "dim"):
            return _Value("sizes" if not rest else "size 0" if rest[0] == 0 else "size", source.at)
        if name == "squeeze" and source.what == "h":
            single = source.module.num_layers == 1 and not source.module.bidirectional
            return self.last_state(source, -1) if single and tuple(rest) == (0,) else None
        rank = self.rank(node.args[0])
        source = self.tensor(node, node.args[0])
        if name in ("contiguous", "clone", "detach", "dropout", "float"):
            return None if name == "dropout" and options.get("training", rest[1] if len(rest) > 1 else True) \
                else _Value("tensor", source.at)
        if name in ("relu", "sigmoid", "tanh"):
            return self.add(name)
        if name in ("softmax", "log_softmax"):
            if options.get("dtype") is not None or len(rest) > 2:
                return None
            return self.add(name) if self.last(options.get("dim", rest[0] if rest else None), rank) else None
        if name in ("leaky_relu", "elu"):
            field, default = ("negative_slope", 0.01) if name == "leaky_relu" else ("alpha", 1.0)
            return self.add(name, **{field: float(options.get(field, rest[0] if rest else default))})
        if name in ("transpose", "permute") and rank is not None:
            return self.permutation(name, rest, options, rank)
        if name in ("flatten", "view", "reshape"):
            return self.flattening(name, rest, options)
        return None

    def permutation(self, name, rest, options, rank):
        dims = list(range(rank))
        if name == "transpose":
            a, b = (*rest, *options.values())[:2]
            dims[a], dims[b] = dims[b], dims[a]
        else:
            given = rest[0] if rest and isinstance(rest[0], (tuple, list)) else rest or options.get("dims", ())
            dims = [d % rank for d in given]
        return self.add("permute", dims=dims)

    def flattening(self, name, rest, options):
        """[D0, D1 * ...], however it is said; sizes that are numbers are those of one input only."""
        if name == "flatten":
            start = options.get("start_dim", rest[0] if rest else 0)
            end = options.get("end_dim", rest[1] if len(rest) > 1 else -1)
            return self.add("flatten") if (start, end) == (1, -1) else None
        sizes = rest[0] if rest and isinstance(rest[0], (tuple, list)) else rest
        first = self.values.get(sizes[0]) if len(sizes) == 2 and isinstance(sizes[0], fx.Node) else None
        if first is None or first.what != "size 0" or sizes[1] != -1:
            return None
        return self.add("flatten")

    def item(self, node, source, index):
        if source.what == "result":
            if index == 0:
                return _Value("tensor", source.at)
            return _Value("states" if _layers.has_pair(source.module) else "h", source.at, source.module)
        if source.what == "states":
            return _Value("h" if index == 0 else "c", source.at, source.module)
        if source.what == "h":
            return self.last_state(source, index)
        if source.what == "sizes":
            return _Value("size 0" if index == 0 else "size", source.at)
        if source.what != "tensor":
            return None
        self.tensor(node, node.args[0])
        if index == -1:
            return self.add("last_step", batch_first=False)
        if isinstance(index, tuple) and len(index) >= 2 and index[1] == -1 and \
                all(i == slice(None) for i in (index[0], *index[2:])):
            return self.add("last_step", batch_first=True)
        return None

    def last_state(self, source, index):
        """h of the last layer is the last step of the output, where the layer runs forwards alone."""
        module = source.module
        if source.at != len(self.chain.layers) or module.bidirectional or index not in (-1, module.num_layers - 1):
            return None
        return self.add("last_step", batch_first=module.batch_first)

    def output(self, result):
        rest = ()
        if isinstance(result, (tuple, list)):
            result, rest = result[0], result[1:]
        value = self.value(result)
        if value is not None and value.what == "result":
            rest, value = ("the state",), _Value("tensor", value.at)
        if value is None or value.what != "tensor" or value.at != len(self.chain.layers):
            raise Broken("its output is not the output of the last layer alone")
        for other in rest:
            known = self.values.get(other) if isinstance(other, fx.Node) else None
            if other != "the state" and not isinstance(other, (tuple, list)) and \
                    (known is None or known.what not in ("states", "h", "c")):
                raise Broken("it returns more than one tensor")
        if rest:
            self.chain.notes.append("forward() returns states besides its output, which a model in a file does not")


def check_examples(examples):
    """The arguments of a call as a tuple."""
    if isinstance(examples, torch.Tensor):
        return (examples,)
    if isinstance(examples, (tuple, list)) and examples:
        return tuple(examples)
    raise Error("invalid_argument", f"example_inputs must be a tensor or a tuple of arguments, not "
                f"{type(examples).__name__}")
