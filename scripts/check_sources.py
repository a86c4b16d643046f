#!/usr/bin/env python3
"""What the sources must keep to, apart from compiling: scripts/check_sources.py [ROOT]

Formatting, who may include whom, where intrinsics and names of backends and layers may stand, sizes of files, functions
and lines, and calls that a library must not make. Prints file:line for everything that is against a rule.

Exit code: 0 if nothing is, 1 if something is, 77 if only the formatting could not be checked, for lack of clang-format.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import source_text
from source_text import Tree

MAX_COLUMNS, MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_BACKEND_NAMES = 120, 400, 60, 12
LIBRARY = ("include", "kernels", "backends", "dispatch", "layers", "io", "capi")
CLANG_FORMAT = 14  # Debian 12's; another version formats a little differently

# Who may include whom: for files whose path matches the first pattern, what is included must match the second. The path
# of a file of the same folder counts as written from the root. Headers of the system and of the C++ library are not
# meant; of other packages' headers only those of FOREIGN.
INCLUDES = [
    (r"include/", r"bytegate/"),
    (r"kernels/", r"bytegate/backend\.h|xsimd/|kernels/"),
    (r"backends/common/", r"bytegate/backend\.h|xsimd/|kernels/|backends/common/"),
    (r"backends/(?P<name>\w+)/", r"bytegate/backend\.h|xsimd/|kernels/|backends/common/|backends/{name}/"),
    (r"dispatch/", r"bytegate/(backend|backends|error)\.h|cpuinfo\.h|dispatch/"),
    (r"layers/", r"bytegate/|layers/"),
    (r"io/", r"bytegate/|io/|nlohmann/"),
    (r"capi/", r"bytegate/|capi/"),
    (r"python/", r"bytegate/|capi/|python/"),
    (r"tools/", r"bytegate/|tools/|nlohmann/"),
    (r"examples/", r"bytegate/|examples/|nlohmann/"),
    # The ceilings are made of a backend's own vectors and products.
    (r"bench/ceiling", r"bytegate/|bench/|kernels/|backends/"),
    # Kernels are timed on packed weights, which only the layers make.
    (r"bench/bench_kernels\.cpp", r"bytegate/|bench/|layers/(\w+/)?(packed_weights|buffer)\.h"),
    (r"bench/", r"bytegate/|bench/"),
]
FOREIGN = re.compile(r"(cpuinfo\.h|xsimd/|nlohmann/)")

INTRINSIC = re.compile(r"_mm(256|512)?_[a-z]\w*|__m(128|256|512)\w*|\bv(ld1|st1|dup|add|mul|fma)q?_\w*")
ALLOWED_INTRINSICS = {"_mm_pause", "_mm_getcsr", "_mm_setcsr"}
LAYER_KIND = re.compile(r"(holds_alternative|get_if)<(Linear|LSTM|GRU|RNN|Embedding|Conv1d)")
NOT_IN_A_LIBRARY = re.compile(r"\bstd::(cout|cerr|clog)\b|"
                              r"\b(v?f?printf|f?puts|putchar|perror|abort|_?[eE]xit|quick_exit)\s*\(")
GETENV = re.compile(r"\b(secure_)?getenv\s*\(")


def find_clang_format():
    """The program of the right version, or None."""
    for name in (f"clang-format-{CLANG_FORMAT}", "clang-format"):
        if shutil.which(name):
            version = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
            if f"version {CLANG_FORMAT}." in version:
                return name
    return None


def check_format(tree):
    """C++ is as clang-format writes it."""
    program, files = find_clang_format(), tree.files("cpp", "h")
    if not program or not files:
        return []
    done = subprocess.run([program, "--dry-run", *files], cwd=tree.root, capture_output=True, text=True, check=False)
    found = {}
    for path, line in re.findall(r"(?m)^(\S+):(\d+):\d+: (?:warning|error):", done.stderr):
        found.setdefault(path, []).append(line)
    if done.returncode and not found:
        return [f"clang-format failed: {done.stderr.strip()}"]
    return [f"{path}:{lines[0]}: not as clang-format writes it ({len(lines)} places)" for path, lines in found.items()]


def include_fault(path, included):
    """Why a file may not include another (both as paths from the root), or None."""
    for who, whom in INCLUDES:
        match = re.match(who, path)
        if match:
            allowed = whom.format(**match.groupdict()) if match.groupdict() else whom
            return None if re.match(allowed, included) else f"may include {allowed.replace(chr(92), '')} only"
    return None


def check_includes(tree):
    """Nobody includes sideways or up, and cpuinfo is included by the dispatcher alone."""
    found = []
    for path in tree.files("cpp", "h", "in"):
        for number, line in enumerate(tree.lines(path), 1):
            match = re.match(r'\s*#\s*include\s*(<([^>]+)>|"([^"]+)")', line)
            if not match:
                continue
            included = match[2] or match[3]
            if match[3] and (tree.root / path).parent.joinpath(included).exists():
                included = os.path.normpath(Path(path).parent / included)
            if match[2] and not included.startswith("bytegate/") and not FOREIGN.match(included):
                continue  # of the system or the C++ library
            fault = include_fault(path, included)
            if fault:
                found.append(f"{path}:{number}: includes {included}, and {fault}")
    return found


def check_getenv(tree):
    """Only the dispatcher reads the environment."""
    others = [f for f in tree.files("cpp", "h", "in") if not f.startswith(("dispatch/", "tests/"))]
    return matches(tree, others, GETENV, "reads the environment outside of dispatch/")


def matches(tree, files, pattern, what):
    """What a pattern finds in code, without comments and strings."""
    found = []
    for path in files:
        for number, line in enumerate(source_text.code_only(tree.text(path)).split("\n"), 1):
            found += [f"{path}:{number}: {match[0].strip()} {what}" for match in pattern.finditer(line)]
    return found


def check_intrinsics(tree):
    """Intrinsics are in backends/ alone, comments included."""
    found = []
    for path in tree.under("kernels", "layers", "io", "tools", "include", "dispatch"):
        for number, line in enumerate(tree.lines(path), 1):
            names = [match[0] for match in INTRINSIC.finditer(line)]
            names = [name for name in names if name not in ALLOWED_INTRINSICS]
            found += [f"{path}:{number}: {name} outside of backends/" for name in names]
    return found


def check_layer_kinds(tree):
    """Nobody asks a layer of which kind it is."""
    return [f"{path}:{number}: {match[0]} asks for a kind of layer" for path in tree.under("io", "tools", "layers")
            for number, line in enumerate(tree.lines(path), 1) for match in LAYER_KIND.finditer(line)]


def check_kind_names(tree):
    """Files and tools learn the kinds of layers from layers/kinds.cpp; only messages and comments name them."""
    table = "layers/kinds.cpp"
    names = re.findall(r'LayerKind\{"(\w+)"', "\n".join(tree.lines(table))) if table in tree.all_files else []
    if not names:
        return []
    pattern = re.compile(r'(?<!\\)"(' + "|".join(names) + r')"|\b(lstm_suffix|LSTMConfig)\b')
    return [f"{path}:{number}: {match[0]} is known to layers/ alone" for path in tree.under("io", "tools")
            for number, line in enumerate(tree.lines(path), 1) for match in pattern.finditer(line.split("//")[0])]


def check_backend_names(tree):
    """Tests, scripts and benchmarks ask the registry or backends/ which backends there are."""
    names = {Path(file).parent.name for file in tree.all_files if re.fullmatch(r"backends/\w+/backend\.cmake", file)}
    if not names:
        return []
    pattern = re.compile("[\"'](" + "|".join(sorted(names)) + ")[\"']")
    found = [f"{path}:{number}: names a backend in quotes: {line.strip()}"
             for path in tree.under("tests", "scripts", "bench")
             for number, line in enumerate(tree.lines(path), 1) if pattern.search(line)]
    if len(found) <= MAX_BACKEND_NAMES:
        return []
    return [*found, f"{len(found)} lines name a backend in quotes, {MAX_BACKEND_NAMES} are allowed"]


def check_library_calls(tree):
    """The library neither prints nor ends the program."""
    files = [f for f in tree.files("cpp", "h") if f.startswith(tuple(f"{folder}/" for folder in LIBRARY))]
    return matches(tree, files, NOT_IN_A_LIBRARY, "in the library")


def check_file_sizes(tree):
    """Files of code are short."""
    sizes = {path: len(tree.lines(path)) for path in tree.code_files()}
    return [f"{path}:{lines}: a file of {lines} lines" for path, lines in sizes.items() if lines > MAX_FILE_LINES]


def check_columns(tree):
    """Lines of code are short."""
    return [f"{path}:{number}: {len(line)} columns" for path in tree.code_files()
            for number, line in enumerate(tree.lines(path), 1) if len(line) > MAX_COLUMNS]


def functions(path, text):
    """(name, first line, lines) of every function of a file."""
    if path.endswith((".cpp", ".h")):
        return source_text.cpp_functions(text)
    if path.endswith(".py"):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
        return [(node.name, node.lineno, node.end_lineno - node.lineno + 1) for node in found]
    if path.endswith((".cmake", "CMakeLists.txt")):
        return source_text.delimited(text, r"\s*(?:function|macro)\((\w+)", r"\s*end(?:function|macro)\(")
    return source_text.delimited(text, r"(\w+)\(\) \{", r"\}")


def check_function_sizes(tree):
    """Functions fit a screen. Tables of data are no functions."""
    return [f"{path}:{first}: {name} has {lines} lines" for path in tree.code_files()
            for name, first, lines in functions(path, tree.text(path)) if lines > MAX_FUNCTION_LINES]


RULES = [check_format, check_includes, check_getenv, check_intrinsics, check_layer_kinds, check_kind_names,
         check_backend_names, check_library_calls, check_file_sizes, check_columns, check_function_sizes]


def main(arguments):
    tree = Tree(Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent)
    if not tree.code_files():
        sys.exit(f"check_sources.py: no sources in {tree.root}")
    failed = False
    for rule in RULES:
        found = rule(tree)
        failed = failed or bool(found)
        print(f"{'FAIL' if found else 'ok  '} {rule.__name__}: {rule.__doc__}")
        for line in found:
            print(f"  {line}")
    if failed:
        return 1
    if not find_clang_format():
        print(f"skipped: the formatting, for lack of clang-format {CLANG_FORMAT}")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
