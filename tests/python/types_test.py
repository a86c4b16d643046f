"""__init__.pyi says what the package has: the same names, and parameters with the same names, order and defaults."""

import ast
import inspect
import os
import sys
import unittest

from package_testing import SOURCE, PackageTest, bytegate

with open(os.path.join(SOURCE, "python", "bytegate", "__init__.pyi"), encoding="utf-8") as file:
    STUB = ast.parse(file.read())


def stated(function):
    """[(name, kind, default as text), ...] of a function of the stub."""
    arguments = function.args
    plain = [(a.arg, "positional") for a in arguments.posonlyargs] + [(a.arg, "any") for a in arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    found = [(name, kind, default) for (name, kind), default in zip(plain, defaults)]
    found += [(arguments.vararg.arg, "rest", None)] if arguments.vararg else []
    found += [(a.arg, "keyword", default) for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    found += [(arguments.kwarg.arg, "named", None)] if arguments.kwarg else []
    return [(name, kind, repr(ast.literal_eval(default)) if default is not None else None)
            for name, kind, default in found]


def actual(function):
    kinds = {inspect.Parameter.POSITIONAL_ONLY: "positional", inspect.Parameter.POSITIONAL_OR_KEYWORD: "any",
             inspect.Parameter.VAR_POSITIONAL: "rest", inspect.Parameter.KEYWORD_ONLY: "keyword",
             inspect.Parameter.VAR_KEYWORD: "named"}
    return [(p.name, kinds[p.kind], None if p.default is p.empty else repr(p.default))
            for p in inspect.signature(function).parameters.values()]


class TypesTest(PackageTest):
    def compare(self, function, implementation, what):
        expected, got = stated(function), actual(implementation)
        if ("values", "rest", None) in got:  # layers without tensors, whose options are in a table
            return
        self.assertEqual(expected, got, what)

    def test_stub(self):
        names = {node.name for node in STUB.body if hasattr(node, "name") and not node.name.startswith("_")}
        self.assertEqual(names, set(bytegate.__all__))
        compared = 0
        for node in STUB.body:
            if isinstance(node, ast.FunctionDef) and node.name != "load_backend":
                if not node.decorator_list:
                    self.compare(node, getattr(bytegate, node.name), node.name)
                else:  # overloads differ in types alone
                    self.assertEqual([n for n, _, _ in stated(node)], [n for n, _, _ in actual(getattr(
                        bytegate, node.name))], node.name)
                compared += 1
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                cls = getattr(bytegate, node.name)
                for member in node.body:
                    if not isinstance(member, ast.FunctionDef):
                        continue
                    what = f"{node.name}.{member.name}"
                    if member.decorator_list:
                        self.assertIsInstance(inspect.getattr_static(cls, member.name), property, what)
                    else:
                        self.compare(member, getattr(cls, member.name), what)
                    compared += 1
        self.assertGreater(compared, 50)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
