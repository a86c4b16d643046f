#!/usr/bin/env python3
"""check_sources_test.py: each rule of scripts/check_sources.py on small made-up trees, right ones and wrong ones."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))
import check_sources as rules  # noqa: E402
from source_text import Tree, code_only, cpp_functions  # noqa: E402

GUARD = "#pragma once\n"


class Rules(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def tree_of(self, files):
        """A tree of these files alone, {path: text}."""
        for path in sorted(self.root.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        return Tree(self.root)

    def accepts(self, rule, files):
        self.assertEqual(rule(self.tree_of(files)), [])

    def refuses(self, rule, files, *places):
        """The rule finds these places, and no others."""
        found = rule(self.tree_of(files))
        self.assertEqual([":".join(line.split(":")[:2]) for line in found], list(places), found)

    def test_format(self):
        if not rules.find_clang_format():
            self.skipTest("no clang-format")
        style = {".clang-format": "BasedOnStyle: Google\nColumnLimit: 120\n"}
        right, wrong = "int f() { return 1; }\n", "int a;\nint  f( ) { return 1; }\n"
        self.accepts(rules.check_format, {**style, "layers/a.cpp": right, "layers/a.py": "x  =  1\n"})
        self.refuses(rules.check_format, {**style, "layers/a.cpp": wrong}, "layers/a.cpp:2")
        self.refuses(rules.check_format, {**style, "layers/a.h": f"int {'a' * 70}, {'b' * 70};\n"}, "layers/a.h:1")

    def test_includes_that_are_allowed(self):
        allowed = {
            "kernels/a.h": ["<bytegate/backend.h>", "<xsimd/xsimd.hpp>", '"kernels/b.h"', "<cstdint>"],
            "backends/one/isa.h": ["<bytegate/backend.h>", '"kernels/b.h"', '"backends/common/c.h"',
                                   '"backends/one/d.h"'],
            "dispatch/a.cpp": ["<bytegate/backends.h>", "<bytegate/error.h>", "<cpuinfo.h>", '"dispatch/b.h"',
                               "<cpuid.h>"],
            "layers/core/a.cpp": ["<bytegate/backends.h>", "<bytegate/layers.h>", '"layers/quant/b.h"', "<vector>"],
            "io/a.cpp": ["<bytegate/layers.h>", '"io/b.h"', "<nlohmann/json.hpp>"],
            "capi/a.cpp": ["<bytegate/layers.h>", '"capi/b.h"'],
            "tools/a.cpp": ["<bytegate/layers.h>", "<CLI/CLI.hpp>", '"tools/b.h"'],
            "bench/ceiling.h": ['"backends/one/isa.h"', '"kernels/b.h"', '"bench/c.h"'],
            "bench/bench_kernels.cpp": ['"layers/packed_weights.h"', '"layers/core/buffer.h"'],
            "tests/a.cpp": ['"layers/core/buffer.h"', '"io/b.h"', "<cpuinfo.h>"],
        }
        for path, lines in allowed.items():
            self.accepts(rules.check_includes, {path: "".join(f"#include {line}\n" for line in lines)})

    def test_includes_that_are_not(self):
        refused = {
            "include/bytegate/a.h": ['"layers/b.h"', '"kernels/b.h"'],
            "kernels/a.h": ["<bytegate/layers.h>", '"backends/one/isa.h"', '"layers/b.h"', "<cpuinfo.h>"],
            "backends/one/isa.h": ['"backends/two/isa.h"', '"dispatch/a.h"', "<bytegate/layers.h>", "<cpuinfo.h>"],
            "backends/common/a.h": ['"backends/one/isa.h"'],
            "dispatch/a.cpp": ["<bytegate/layers.h>", '"kernels/b.h"', '"layers/b.h"'],
            "layers/a.cpp": ['"dispatch/b.h"', '"io/b.h"', '"kernels/b.h"', "<cpuinfo.h>", "<xsimd/xsimd.hpp>"],
            "io/a.cpp": ['"layers/b.h"', '"dispatch/b.h"', '"tools/b.h"'],
            "tools/a.cpp": ['"layers/b.h"', '"io/b.h"'],
            "examples/a.cpp": ['"layers/b.h"'],
            "bench/bench_layers.cpp": ['"layers/packed_weights.h"', '"kernels/b.h"'],
            "bench/bench_kernels.cpp": ['"layers/lstm_core.h"'],
        }
        for path, lines in refused.items():
            text = GUARD + "".join(f"#include {line}\n" for line in lines)
            self.refuses(rules.check_includes, {path: text}, *(f"{path}:{i + 2}" for i in range(len(lines))))

    def test_includes_beside_the_file(self):
        files = {"tools/b.h": GUARD, "tools/a.cpp": '#include "b.h"\n', "layers/b.h": GUARD}
        self.accepts(rules.check_includes, files)
        self.refuses(rules.check_includes, {**files, "tools/c.cpp": '#include "../layers/b.h"\n'}, "tools/c.cpp:1")

    def test_getenv(self):
        use = 'const char* a = std::getenv("A");\n'
        self.accepts(rules.check_getenv, {"dispatch/a.cpp": use, "tests/a.cpp": use, "io/a.cpp": "// getenv()\n"})
        self.refuses(rules.check_getenv, {"io/a.cpp": "\n" + use, "tools/a.h": use}, "io/a.cpp:2", "tools/a.h:1")

    def test_intrinsics(self):
        use = "auto a = _mm256_add_ps(b, c);\n"
        right = {"backends/one/isa.h": use, "layers/a.cpp": "_mm_pause(); _mm_getcsr(); div_u_(1);\n"}
        self.accepts(rules.check_intrinsics, right)
        wrong = {"dispatch/a.h": "// __m128\n", "include/bytegate/a.h": "vld1_s8(p);\n",
                 "io/a.h": "vaddq_f32(a, b); _mm_pause();\n", "kernels/a.h": use, "layers/a.cpp": "__m512i a;\n",
                 "tools/a.h": "_mm_pause(), _mm_add_ps(a, b);\n"}
        self.refuses(rules.check_intrinsics, wrong, *(f"{path}:1" for path in wrong))

    def test_layer_kinds(self):
        use = "if (std::get_if<LSTM>(&layer)) {}\n"
        self.accepts(rules.check_layer_kinds, {"tests/a.cpp": use, "io/a.cpp": "std::get_if<Json>(&a);\n"})
        files = {"io/a.cpp": use, "tools/a.cpp": "\nstd::holds_alternative<Conv1d>(a);\n", "layers/a.h": use}
        self.refuses(rules.check_layer_kinds, files, "io/a.cpp:1", "layers/a.h:1", "tools/a.cpp:2")

    def test_kind_names(self):
        table = {"layers/kinds.cpp": 'LayerKind{"lstm", "an LSTM"},\nLayerKind{"relu", "a ReLU"},\n'}
        use = 'if (kind == "lstm") return;\n'
        self.accepts(rules.check_kind_names, {"io/a.cpp": use})
        self.accepts(rules.check_kind_names, {**table, "layers/a.cpp": use, "tests/a.cpp": use,
                                              "io/a.cpp": r'fail("such as \"lstm\"");' + "  // \"lstm\"\n"})
        files = {**table, "io/a.cpp": use, "tools/a.cpp": '\nconst char* kind = "relu";\n',
                 "io/b.h": "LSTMConfig config;\n"}
        self.refuses(rules.check_kind_names, files, "io/a.cpp:1", "io/b.h:1", "tools/a.cpp:2")

    def test_backend_names(self):
        backends = {"backends/plain/backend.cmake": "", "backends/fast2/backend.cmake": "", "backends/common/a.h": ""}
        line = 'run("fast2")\n'
        most = rules.MAX_BACKEND_NAMES
        self.accepts(rules.check_backend_names, {**backends, "tests/a.py": line * most, "layers/a.cpp": line})
        others = 'run("fast", "common", fast2)\n'
        self.accepts(rules.check_backend_names, {**backends, "tests/a.py": others * 2 * most})
        tree = self.tree_of({**backends, "tests/a.py": line * most, "bench/b.cpp": "'plain'"})
        found = rules.check_backend_names(tree)
        self.assertEqual(found[0].split(": ")[0], "bench/b.cpp:1")
        self.assertTrue(found[-1].startswith(f"{most + 1} lines"), found)

    def test_library_calls(self):
        files = {"tools/a.cpp": "std::cout << 1; std::exit(1);\n", "tests/a.cpp": "abort();\n",
                 "layers/a.cpp": 'std::snprintf(a, 1, ""); // printf(\n'
                                 'f("abort()"); on_exit_(); /* exit(1) */ at.exits();\n'}
        self.accepts(rules.check_library_calls, files)
        for call in ("std::cout << 1;", "std::cerr << 1;", 'printf("");', 'std::fprintf(f, "");', "abort();",
                     "std::exit(1);", "_exit(1);", 'std::puts("");'):
            for folder in ("layers", "io", "dispatch", "kernels", "backends/one", "include/bytegate", "capi"):
                self.refuses(rules.check_library_calls, {f"{folder}/a.h": f"\nint a; {call}\n"}, f"{folder}/a.h:2")

    def test_file_sizes(self):
        at_most = "\n" * rules.MAX_FILE_LINES
        self.accepts(rules.check_file_sizes, {"a.cpp": at_most, "data.json": at_most * 2, "build/a.cpp": at_most * 2})
        for path in ("layers/a.cpp", "a.h", "a.py", "a.sh", "a.cmake", "tests/CMakeLists.txt", ".ci/run", "a.h.in"):
            self.refuses(rules.check_file_sizes, {path: at_most + "\n"}, f"{path}:{rules.MAX_FILE_LINES + 1}")

    def test_columns(self):
        at_most = "é" * rules.MAX_COLUMNS
        self.accepts(rules.check_columns, {"a.cpp": at_most, "a.md": at_most * 2})
        self.refuses(rules.check_columns, {"a.cpp": f"\n{at_most}x\n", "a.sh": at_most + "#"}, "a.cpp:2", "a.sh:1")

    def test_function_sizes(self):
        def of(lines, begin, line, end):
            return begin + line * (lines - 2) + end
        shapes = {
            "a.cpp": ("int f(int a = 1) {\n", "  g([] { return 1; });\n", "}\n"),
            "b.cpp": ("namespace {\nstruct A {\n", "  int f() const;\n", "};\n}\n"),  # no function: any length
            "a.py": ("def f():\n", "    g()\n", "    return 1\n"),
            "a.sh": ("f() {\n", "  g\n", "}\n"),
            "a.cmake": ("function(f a)\n", "  set(x y)\n", "endfunction()\n"),
        }
        for path, shape in shapes.items():
            self.accepts(rules.check_function_sizes, {path: of(rules.MAX_FUNCTION_LINES, *shape)})
            too_long = {path: of(rules.MAX_FUNCTION_LINES + 1, *shape)}
            if path == "b.cpp":
                self.accepts(rules.check_function_sizes, too_long)
            else:
                self.refuses(rules.check_function_sizes, too_long, f"{path}:1")
        values = "    1,\n" * 99
        tables = f"int f() {{\n  static const int a[] = {{\n{values}  }};\n}}\nconstexpr int b[] = {{\n{values}}};\n"
        self.accepts(rules.check_function_sizes, {"a.cpp": tables})


class Text(unittest.TestCase):
    def test_code_without_comments_and_strings(self):
        code = code_only("a /* { \n } */ b // {\nc \"{ \\\" }\" '{' 1'000 '}' R\"x({)\")x\" d")
        self.assertNotRegex(code, "[{}]")
        self.assertEqual(code.count("\n"), 2)
        for kept in ("a", "b", "c", "d", "1'000"):
            self.assertIn(kept, code)

    def test_functions(self):
        text = """#include <a>
namespace a {
enum class E { one };
constexpr int kTable[] = {1, 2};
template <class T>
struct S : Base<T> {
  S(int a) : Base<T>(a) {}
  int value() const { return 1; }
  bool operator==(const S&) const { return true; }
  int member_{3};
};
#ifdef X
int f(int a) {
#else
int f(long a) {
#endif
  if (a) {
    return [&](int b) { return b; }(1);
  }
  return 0;
}
auto g = [](int) { return 1; };
TEST(Suite, Name) {
}
}
"""
        expected = [("S", 7, 1), ("value", 8, 1), ("operator", 9, 1), ("f", 13, 9), ("TEST(Suite, Name)", 23, 2)]
        self.assertEqual(cpp_functions(text), expected)


class Program(unittest.TestCase):
    def run_on(self, files, git=False):
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files.items():
                Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, path).write_text(text)
            if git:
                subprocess.run(["git", "-C", folder, "init", "-q"], check=True)
            command = [sys.executable, SCRIPTS / "check_sources.py", folder]
            return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_exit_codes(self):
        bad = {"layers/a.cpp": f"// {'x' * 130}\n"}
        good = {"layers/a.cpp": "// x\n", "build/a.cpp": bad["layers/a.cpp"], ".gitignore": "/build/\n"}
        for git in (False, True):
            done = self.run_on(good, git)
            self.assertEqual(done.returncode, 0 if rules.find_clang_format() else 77, done.stdout)
            done = self.run_on(bad, git)
            self.assertEqual(done.returncode, 1)
            self.assertIn("  layers/a.cpp:1: ", done.stdout)
        self.assertEqual(self.run_on({}).returncode, 1)  # nothing to check is no success


if __name__ == "__main__":
    unittest.main()
