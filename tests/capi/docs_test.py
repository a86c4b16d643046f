#!/usr/bin/env python3
"""docs_test.py BUILD CC: compiles and runs the blocks of C in README.md and docs/c.md.

A block with a main is a program. The others of a page are the body of one, in their order and in a scope for each
section, behind the function `check` of the page's first program.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
PAGES = ("README.md", "docs/c.md")
BLOCK = re.compile(r"^```c\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")
CHECK = re.compile(r"^static void check\(.*?^}\n", re.MULTILINE | re.DOTALL)


def run_program(build, cc, text, what, folder):
    source, program = Path(folder, "program.c"), Path(folder, "program")
    source.write_text(text, encoding="utf-8")
    library = "bytegate_c" if Path(build, "libbytegate_c.so").exists() else "bytegate"  # BYTEGATE_SHARED
    for command in ([cc, *FLAGS, source, f"-I{SOURCE / 'include'}", f"-L{build}", f"-l{library}",
                     f"-Wl,-rpath,{build}", "-o", program], [program]):
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode != 0:
            print(f"FAILED {what}: {done.stdout}")
            return False
    print(f"ok     {what}: {done.stdout.strip()}")
    return bool(done.stdout)


def programs(name):
    """(what, text) of each program of a page."""
    page = (SOURCE / name).read_text(encoding="utf-8")
    whole, others = [], sections(page, name)
    for match in BLOCK.finditer(page):
        line = page.count("\n", 0, match.start(1)) + 1
        if "int main(" in match[1]:
            whole.append((f"{name}:{line}", f'#line {line} "{name}"\n{match[1]}'))
    if others:
        check = CHECK.search(whole[0][1])[0]
        includes = "".join(f"#include <{header}.h>\n" for header in ("assert", "bytegate/bytegate", "stdio", "stdlib",
                                                                      "string"))
        body = "".join(f"{{\n{text}\n}}\n" for text in others)
        whole.append((f"{name}: the other blocks", f"{includes}{check}int main(void) {{\n{body}return 0;\n}}\n"))
    return whole


def sections(page, name):
    """The blocks without a main, those of a section of the page joined."""
    found, line = [], 1
    for section in re.split(r"(?m)^(?=## )", page):
        text = ""
        for match in BLOCK.finditer(section):
            if "int main(" not in match[1]:
                text += f'#line {line + section.count(chr(10), 0, match.start(1))} "{name}"\n{match[1]}'
        line += section.count("\n")
        if text:
            found.append(text)
    return found


def main():
    build, cc = Path(sys.argv[1]).resolve(), sys.argv[2]
    good = True
    for name in PAGES:
        found = programs(name)
        if not found:
            print(f"FAILED {name}: no block of C")
            good = False
        for what, text in found:
            with tempfile.TemporaryDirectory() as folder:
                os.symlink(SOURCE / "examples", Path(folder, "examples"))
                good = run_program(build, cc, text, what, folder) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
