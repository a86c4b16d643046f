"""Runs the blocks of Python in README.md and the documents, those of a page one after the other in one module."""

import contextlib
import io
import os
import re
import sys
import tempfile
import unittest

from package_testing import SOURCE, need_torch

need_torch()

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
ELSEWHERE = {"docs/onnx.md"}  # convert_onnx_test runs its example


def pages():
    names = ["README.md"] + sorted(f"docs/{name}" for name in os.listdir(os.path.join(SOURCE, "docs"))
                                   if name.endswith(".md"))
    for name in names:
        with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
            blocks = list(BLOCK.finditer(file.read()))
        if blocks and name not in ELSEWHERE:
            yield name, blocks


class DocsTest(unittest.TestCase):
    def test_blocks(self):
        ran = []
        for name, blocks in pages():
            namespace, before = {"__name__": "page"}, os.getcwd()
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                os.chdir(folder)
                try:
                    for match in blocks:
                        line = match.string.count("\n", 0, match.start(1))
                        code = compile("\n" * line + match[1], os.path.join(SOURCE, name), "exec")
                        exec(code, namespace)  # noqa: S102 - the documents are the project's own
                finally:
                    os.chdir(before)
            ran.append(name)
        self.assertIn("docs/python.md", ran)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
