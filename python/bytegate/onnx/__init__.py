"""The converter from ONNX. `bytegate.convert_onnx` is its one entry; the modules are its parts:

    read        the file, checked, as a Graph
    fold        the values of constants and of what is computed from constants alone
    blocks      which nodes make a layer (linear, conv, norms, recurrent, int8: a module each)
    layout      which dimensions a tensor of the graph and the library's own tensor have in common
    chain       the graph as a chain of layers, if it is one
    collect     the layers of any other graph
    report      what became of the graph, in words
"""
