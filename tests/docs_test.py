#!/usr/bin/env python3
"""docs_test.py BUILD WORK CMAKE CXX COMMAND-LINE: the blocks of code in README.md, CONTRIBUTING.md and docs/.

Each block is compiled, configured, run or read, by its language. A block of a language without a line in HANDLERS, and
a command without one in CONSOLE, fail the test, unless ELSEWHERE says which test has them. A console block must print
what the page shows, times and what depends on the CPU apart. WORK is a folder of this test.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
CMAKE, CXX = sys.argv[3:5]
BUILD, WORK, COMMAND_LINE = (Path(sys.argv[i]).resolve() for i in (1, 2, 5))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob("docs/**/*.md")))
ELSEWHERE = {
    "python": "tests/python/docs_test.py runs them",
    "c": "tests/capi/docs_test.py compiles and runs them",
    "mermaid": "a picture",
    "scripts/test.sh": "runs this test",
    "scripts/get_silero.sh": "tests/python/public_models_test.py runs it with an npm of its own, and the example",
    "mkdir -p build/peers": "takes another library from the network; only its words are checked",
    "cmake -S cpuinfo": "builds another project, whose sources are not here; only its words are checked",
}
# tests/capi/docs_test.py has the page's own.
PROGRAM_IN_C = """#include <bytegate/bytegate.h>
#include <stdio.h>

int main(void) { return puts(bytegate_version()) < 0; }
"""


def run(*command, folder, env=None):
    done = subprocess.run([str(word) for word in command], cwd=folder, env={**os.environ, **(env or {})}, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def blocks(language=None):
    """(where, language, text) of each block of the documents."""
    for page in PAGES:
        text = (SOURCE / page).read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if language in (None, match[1]):
                yield f"{page}:{text.count(chr(10), 0, match.start()) + 1}", match[1], match[2]


def commands(text):
    """[(command, output), ...] of a console block."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def stable(text):
    """Without times, and without what is true of one CPU only."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"\d+\.\d us", "# us", line)
        line = re.sub(r"(% +)\d+\.\d\d", r"\1#", line)
        line = re.sub(r"^(3\. All of this ran on|usable CPU features|selected:|bytegate \d).*", r"\1", line)
        columns = re.split(" {2,}", line.strip(" *"))
        if len(columns) > 1 and re.match("yes|no$", columns[1]):  # a backend in `bytegate info`
            line = f"{columns[0]} {columns[-1]}"
        elif len(columns) == 2 and re.match("cannot|AMX|AVX|plain", columns[1]):  # a backend in the demo
            line = columns[0]
        lines.append(" ".join(line.split()))
    return "\n".join(lines).strip()


class Blocks(unittest.TestCase):
    def folder(self, name):
        """A new folder that has the files that the documents name."""
        folder = WORK / re.sub(r"\W+", "_", name)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "bin").mkdir(parents=True)
        for known in ("examples", "scripts", "python"):
            (folder / known).symlink_to(SOURCE / known)
        (folder / "bin" / "bytegate").symlink_to(COMMAND_LINE)
        (folder / "bin" / "python3").symlink_to(sys.executable)
        return folder

    def test_no_block_is_left_out(self):
        known = {"cpp", "cmake", "console", "json", *ELSEWHERE}
        for where, language, _ in blocks():
            self.assertIn(language, known, where)
        self.assertLessEqual({"cpp", "cmake", "console", "json", "python"}, {language for _, language, _ in blocks()})

    def compile(self, text, folder, where):
        (folder / "program.cpp").write_text(f"#line 1 \"{where}\"\n{text}", encoding="utf-8")
        run(CXX, "-std=c++20", "-O1", "-Wall", "-Wextra", "program.cpp", f"-I{SOURCE / 'include'}",
            f"-I{BUILD / 'include'}", f"-L{BUILD}", "-lbytegate", f"-Wl,-rpath,{BUILD}", "-lcpuinfo", "-lpthread", "-o",
            "program", folder=folder)

    def test_cpp(self):
        for where, _, text in blocks("cpp"):
            with self.subTest(block=where):
                folder = self.folder(where)
                self.compile(text, folder, where)
                self.assertTrue(run("./program", folder=folder).strip())

    def test_cmake(self):
        """Each way to the target that a block shows: the others' lines are left out."""
        for where, _, text in blocks("cmake"):
            ways = [line for line in text.splitlines() if line.startswith(("find_package(", "add_subdirectory("))]
            self.assertTrue(ways, where)
            for way in ways:
                with self.subTest(block=where, way=way):
                    self.configure(where, way, "\n".join(line for line in text.splitlines()
                                                         if line == way or line not in ways))

    def configure(self, where, way, lines):
        folder = self.folder(f"{where} {way.partition('(')[0]}")
        in_c = where.startswith("docs/c.md")
        _, _, program = (None, None, PROGRAM_IN_C) if in_c else next(blocks("cpp"))
        source = "program.c" if in_c else "program.cpp"
        (folder / source).write_text(program, encoding="utf-8")
        (folder / "bytegate").symlink_to(SOURCE)
        (folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\n"
                                               f"project(program {'C' if in_c else 'CXX'})\n"
                                               f"add_executable(program {source})\n{lines}\n", encoding="utf-8")
        options = ["-S", ".", "-B", "build", f"-DCMAKE_CXX_COMPILER={CXX}", "-DCMAKE_BUILD_TYPE=Release"]
        if not way.startswith("find_package"):  # consumers_test builds the library below another project
            run(CMAKE, *options, folder=folder)
            return
        run(CMAKE, "--install", BUILD, "--prefix", folder / "installed", folder=folder)
        run(CMAKE, *options, f"-DCMAKE_PREFIX_PATH={folder / 'installed'}", folder=folder)
        run(CMAKE, "--build", "build", folder=folder)
        self.assertTrue(run("build/program", folder=folder).strip())

    def test_json(self):
        """Each is an architecture whose kinds the library knows."""
        for where, _, text in blocks("json"):
            with self.subTest(block=where):
                layers = json.loads(text)
                self.assertTrue(layers and all({"name", "kind"} <= set(layer) for layer in layers))
                kinds = (SOURCE / "docs" / "file-format.md").read_text(encoding="utf-8")
                for layer in layers:
                    self.assertIn(f"`{layer['kind']}`", kinds)

    def test_console(self):
        ran = 0
        for where, _, text in blocks("console"):
            self.assertTrue(text.startswith("$ "), where)
            first = text[2:].splitlines()[0]
            with self.subTest(block=where, first=first):
                for command, _ in commands(text):
                    run("bash", "-n", "-c", command, folder=WORK)
                if any(first.startswith(start) for start in ELSEWHERE):
                    continue
                prepare = next((name for start, name in CONSOLE.items() if first.startswith(start)), None)
                self.assertIsNotNone(prepare, "a command that no line of CONSOLE has")
                folder = self.folder(where)
                getattr(self, prepare)(folder)
                for command, expected in commands(text):
                    printed = run("bash", "-c", self.here(command), folder=folder,
                                  env={"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"})
                    if expected.strip():
                        self.assertEqual(stable(printed), stable(expected))
                ran += 1
        self.assertGreaterEqual(ran, 3)

    @staticmethod
    def here(command):
        """What a command of the documents is in this build."""
        if command == "scripts/demo.sh":  # it builds the demo, which is built
            return f"{BUILD / 'examples' / 'demo_model'} --data examples/data"
        return command.replace("build/release", str(BUILD)).replace("/usr/bin/python3", sys.executable)

    def nothing(self, folder):
        pass

    def checkpoint(self, folder):
        """A state dict of the layers that the README's JSON names, and an input."""
        try:
            import torch
        except ImportError:
            self.skipTest("this Python has no PyTorch, which makes the checkpoint")
        (folder / "layers.json").write_text(next(text for _, _, text in blocks("json")), encoding="utf-8")
        model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(16, 32, batch_first=True), "fc": torch.nn.Linear(32, 5)})
        torch.save(model.state_dict(), folder / "model.pt")
        x = torch.randn(2, 7, 16).numpy().tobytes()
        header = json.dumps({"input": {"dtype": "F32", "shape": [2, 7, 16], "data_offsets": [0, len(x)]}}).encode()
        (folder / "input.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + x)

    def package(self, folder):
        if not (BUILD / "python" / "bytegate").exists():
            self.skipTest("this build has no Python package")


# What is done before a block whose first command begins so.
CONSOLE = {
    "scripts/demo.sh": "nothing",
    "bytegate info": "nothing",
    "python3 scripts/torch_to_safetensors.py": "checkpoint",
    "PYTHONPATH=build/release/python": "package",
}

if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
