"""Runs ONNX graphs, written naively in NumPy from the operators' specification: what the converter is compared with
where no ONNX Runtime is at hand. It knows the operations that the tests use."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


_TYPES = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64,
          TensorProto.INT32: np.int32, TensorProto.INT64: np.int64, TensorProto.BOOL: np.bool_}


def evaluate(model, feeds):
    """{output name: array}"""
    values = dict(feeds)
    for tensor in model.graph.initializer:
        values[tensor.name] = numpy_helper.to_array(tensor)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    _run(model.graph, values, opset)
    return {output.name: values[output.name] for output in model.graph.output}


def _run(graph, values, opset):
    for tensor in graph.initializer:
        values[tensor.name] = numpy_helper.to_array(tensor)
    for node in graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "If":
            branch = attributes["then_branch" if values[node.input[0]].item() else "else_branch"]
            inner = dict(values)
            _run(branch, inner, opset)
            results = [inner[output.name] for output in branch.output]
        else:
            inputs = [values[name] if name else None for name in node.input]
            results = globals()[f"op_{node.op_type}"](attributes, *inputs, opset=opset, outputs=len(node.output))
        results = results if isinstance(results, (list, tuple)) else [results]
        values.update((name, value) for name, value in zip(node.output, results) if name)


def _f32(value):
    return value.astype(np.float32) if value.dtype == np.float64 else value


def op_Constant(a, **_):
    for name, dtype in (("value_ints", np.int64), ("value_int", np.int64), ("value_floats", np.float32),
                        ("value_float", np.float32)):
        if name in a:
            return np.array(a[name], dtype)
    return numpy_helper.to_array(a["value"])


def _axes(a, axes):
    found = a.get("axes") if axes is None else axes.tolist()
    return None if found is None else tuple(np.atleast_1d(found).tolist())


def op_Squeeze(a, x, axes=None, **_):
    return np.squeeze(x, _axes(a, axes))


def op_Unsqueeze(a, x, axes=None, **_):
    found = _axes(a, axes)
    return np.expand_dims(x, found)


def op_Reshape(a, x, shape, **_):
    return x.reshape([x.shape[i] if s == 0 and not a.get("allowzero") else s for i, s in enumerate(shape.tolist())])


def op_Flatten(a, x, **_):
    axis = a.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def op_Transpose(a, x, **_):
    return x.transpose(a.get("perm"))


def op_Slice(a, x, starts=None, ends=None, axes=None, steps=None, **_):
    starts, ends = (a["starts"], a["ends"]) if starts is None else (starts.tolist(), ends.tolist())
    axes = a.get("axes") if axes is None else axes.tolist()
    index = [slice(None)] * x.ndim
    for i, (start, end) in enumerate(zip(starts, ends)):
        step = 1 if steps is None else int(steps[i])
        index[i if axes is None else axes[i]] = slice(start, end if step > 0 or end >= 0 else None, step)
    return x[tuple(index)]


def op_Split(a, x, split=None, outputs=1, **_):
    sizes = a.get("split") if split is None else split.tolist()
    return np.split(x, outputs if sizes is None else np.cumsum(sizes)[:-1].tolist(), a.get("axis", 0))


def op_Concat(a, *x, **_):
    x = [value for value in x if value is not None]
    return np.concatenate(x, a["axis"])


def op_Gather(a, x, index, **_):
    return np.take(x, index, a.get("axis", 0))


def op_Shape(a, x, **_):
    return np.array(x.shape[a.get("start", 0):a.get("end", x.ndim)], np.int64)


def op_ConstantOfShape(a, shape, **_):
    value = numpy_helper.to_array(a["value"]) if "value" in a else np.zeros(1, np.float32)
    return np.full(shape.tolist(), value[0], value.dtype)


def op_Expand(a, x, shape, **_):
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape.tolist())))


def op_Cast(a, x, **_):
    return x.astype(_TYPES[a["to"]])


def op_Identity(a, x, **_):
    return x


op_Dropout = op_Identity


def op_MatMul(a, x, y, **_):
    return _f32(x.astype(np.float64) @ y.astype(np.float64))


def op_Gemm(a, x, w, c=None, **_):
    x = x.T if a.get("transA") else x
    w = w.T if a.get("transB") else w
    y = a.get("alpha", 1.0) * (x.astype(np.float64) @ w)
    return _f32(y if c is None else y + a.get("beta", 1.0) * c)


def _binary(function):
    return lambda a, x, y, **_: _f32(np.asarray(function(x, y)))


op_Add, op_Sub, op_Mul, op_Pow = (_binary(f) for f in (np.add, np.subtract, np.multiply, np.power))
op_Div = _binary(lambda x, y: x / y if x.dtype.kind == "f" else x // y)
op_Equal = _binary(np.equal)


def _unary(function):
    return lambda a, x, **_: _f32(function(x.astype(np.float64)))


op_Sqrt, op_Tanh, op_Reciprocal = _unary(np.sqrt), _unary(np.tanh), _unary(lambda x: 1 / x)
op_Relu = _unary(lambda x: np.maximum(x, 0))
op_Sigmoid = _unary(lambda x: 1 / (1 + np.exp(-x)))


def op_LeakyRelu(a, x, **_):
    return np.where(x < 0, np.float32(a.get("alpha", 0.01)) * x, x)


def op_Elu(a, x, **_):
    return _f32(np.where(x < 0, a.get("alpha", 1.0) * np.expm1(x.astype(np.float64)), x))


def op_Clip(a, x, low=None, high=None, **_):
    low, high = a.get("min", low), a.get("max", high)
    return np.clip(x, low, high)


def op_Softmax(a, x, opset=13, **_):
    shape, axis = x.shape, a.get("axis", -1 if opset >= 13 else 1)
    if opset < 13:
        x, axis = op_Flatten({"axis": axis}, x), 1
    e = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    return _f32(e / e.sum(axis=axis, keepdims=True)).reshape(shape)


def op_LogSoftmax(a, x, opset=13, **_):
    return np.log(op_Softmax(a, x, opset=opset))


def op_ReduceMean(a, x, axes=None, **_):
    return _f32(x.astype(np.float64).mean(axis=_axes(a, axes), keepdims=bool(a.get("keepdims", 1))))


def op_LayerNormalization(a, x, scale, bias=None, **_):
    x64 = x.astype(np.float64)
    centred = x64 - x64.mean(axis=-1, keepdims=True)
    y = centred / np.sqrt((centred ** 2).mean(axis=-1, keepdims=True) + a.get("epsilon", 1e-5)) * scale
    return _f32(y if bias is None else y + bias)


def op_BatchNormalization(a, x, scale, bias, mean, variance, **_):
    shape = [1, -1] + [1] * (x.ndim - 2)
    scale, bias, mean, variance = (v.astype(np.float64).reshape(shape) for v in (scale, bias, mean, variance))
    return _f32((x - mean) / np.sqrt(variance + a.get("epsilon", 1e-5)) * scale + bias)


def op_Pad(a, x, pads=None, value=None, **_):
    pads = a["pads"] if pads is None else pads.tolist()
    return np.pad(x, list(zip(pads[:x.ndim], pads[x.ndim:])), a.get("mode", b"constant").decode())


def op_Conv(a, x, w, bias=None, **_):
    rank, groups = w.ndim - 2, a.get("group", 1)
    assert x.shape[1] == w.shape[1] * groups
    strides, dilations = a.get("strides", [1] * rank), a.get("dilations", [1] * rank)
    pads = list(a.get("pads", [0] * 2 * rank))
    if a.get("auto_pad", b"NOTSET") in (b"SAME_UPPER", b"SAME_LOWER"):  # of stride 1
        both = [d * (k - 1) for d, k in zip(dilations, w.shape[2:])]
        small = [p // 2 for p in both]
        large = [p - q for p, q in zip(both, small)]
        pads = small + large if a["auto_pad"] == b"SAME_UPPER" else large + small
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:])])
    if rank == 1:  # as two dimensions
        x, w, strides, dilations = x[:, :, None], w[:, :, None], [1, *strides], [1, *dilations]
    size = [(x.shape[2 + i] - dilations[i] * (w.shape[2 + i] - 1) - 1) // strides[i] + 1 for i in (0, 1)]
    y = np.zeros((x.shape[0], w.shape[0], *size))
    for o in range(w.shape[0]):
        first = o // (w.shape[0] // groups) * w.shape[1]
        for c in range(w.shape[1]):
            for k in np.ndindex(*w.shape[2:]):
                cut = tuple(slice(k[i] * dilations[i], k[i] * dilations[i] + (size[i] - 1) * strides[i] + 1, strides[i])
                            for i in (0, 1))
                y[:, o] += x[(slice(None), first + c, *cut)] * w[(o, c, *k)]
    y = y[:, :, 0] if rank == 1 else y
    return _f32(y if bias is None else y + bias.reshape([1, -1] + [1] * rank))


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _cell(op, a, gates, hidden, h, c, x, w, r, b, f):
    wb, rb = np.split(b, 2)
    if op == "LSTM":
        i, o, forget, g = np.split(x @ w.T + h @ r.T + wb + rb, 4, axis=1)
        c = f[0](forget) * c + f[0](i) * f[1](g)
        return f[0](o) * f[2](c), c
    if op == "RNN":
        return f[0](x @ w.T + h @ r.T + wb + rb), c
    wz, wr, wh = np.split(w, 3)
    rz, rr, rh = np.split(r, 3)
    (bz, br, bh), (cz, cr, ch) = np.split(wb, 3), np.split(rb, 3)
    z, reset = f[0](x @ wz.T + h @ rz.T + bz + cz), f[0](x @ wr.T + h @ rr.T + br + cr)
    if a.get("linear_before_reset", 0):
        n = f[1](x @ wh.T + reset * (h @ rh.T + ch) + bh)
    else:
        n = f[1](x @ wh.T + (reset * h) @ rh.T + ch + bh)
    return (1 - z) * n + z * h, c


def _recurrent(op, gates):
    def run(a, x, w, r, b=None, lengths=None, h0=None, c0=None, p=None, **_):
        assert lengths is None and p is None
        layout, direction = a.get("layout", 0), a.get("direction", b"forward")
        x, w, r = (v.astype(np.float64) for v in (x, w, r))
        x = x.swapaxes(0, 1) if layout else x
        directions, hidden = w.shape[0], r.shape[2]
        b = np.zeros((directions, 2 * gates * hidden)) if b is None else b.astype(np.float64)
        zeros = np.zeros((directions, x.shape[1], hidden))
        h0, c0 = (zeros if s is None else s.swapaxes(0, 1) if layout else s for s in (h0, c0))
        default = {"LSTM": [b"Sigmoid", b"Tanh", b"Tanh"], "GRU": [b"Sigmoid", b"Tanh"], "RNN": [b"Tanh"]}[op]
        names = [name.lower() for name in a.get("activations", default * directions)]
        functions = [{b"sigmoid": _sigmoid, b"tanh": np.tanh, b"relu": lambda v: np.maximum(v, 0)}[n] for n in names]
        y, hn, cn = np.zeros((x.shape[0], directions, x.shape[1], hidden)), [], []
        for d in range(directions):
            h, c = h0[d].astype(np.float64), c0[d].astype(np.float64)
            backwards = d == 1 or direction == b"reverse"
            f = functions[d * len(default):(d + 1) * len(default)]
            for t in reversed(range(len(x))) if backwards else range(len(x)):
                h, c = _cell(op, a, gates, hidden, h, c, x[t], w[d], r[d], b[d], f)
                y[t, d] = h
            hn.append(h)
            cn.append(c)
        hn, cn = np.stack(hn), np.stack(cn)
        if layout:
            y, hn, cn = y.transpose(2, 0, 1, 3), hn.swapaxes(0, 1), cn.swapaxes(0, 1)
        return [_f32(y), _f32(hn), _f32(cn)]
    return run


op_LSTM, op_GRU, op_RNN = _recurrent("LSTM", 4), _recurrent("GRU", 3), _recurrent("RNN", 1)
