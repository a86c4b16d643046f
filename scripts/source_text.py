"""The sources as text, for check_sources.py: which files there are, C++ without comments, how long functions are."""

import re
import subprocess
from pathlib import Path

SKIPPED_FOLDERS = re.compile(r"(^|/)(build[^/]*|\.git|__pycache__|\.cache)/")
CODE = re.compile(r"\.(cpp|h|py|sh|cmake|in)$|(^|/)CMakeLists\.txt$|^\.ci/")


class Tree:
    """A source tree: what git tracks or would track, or, without git, all files outside of build folders."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        self.all_files = sorted(f for f in self._list() if not SKIPPED_FOLDERS.search(f) and (self.root / f).is_file())
        self._texts = {}

    def _list(self):
        if (self.root / ".git").exists():
            command = ["git", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                return set(done.stdout.split("\0")) - {""}
            except (OSError, subprocess.CalledProcessError):
                pass  # no git, or a checkout that belongs to another user
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*")}

    def files(self, *extensions):
        return [f for f in self.all_files if f.endswith(tuple(f".{e}" for e in extensions))]

    def under(self, *folders):
        """The text files of some folders."""
        prefixes = tuple(f"{folder}/" for folder in folders)
        return [f for f in self.all_files if f.startswith(prefixes) and self.text(f) is not None]

    def code_files(self):
        return [f for f in self.all_files if CODE.search(f)]

    def text(self, path):
        """None for a file that is no text."""
        if path not in self._texts:
            try:
                self._texts[path] = (self.root / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                self._texts[path] = None
        return self._texts[path]

    def lines(self, path):
        return self.text(path).splitlines()


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^()\\\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])+\'',
                   re.DOTALL)


def code_only(text):
    """C++ with blanks for comments and for what is in quotes; lines stay where they are."""
    def blank(match):
        kept = re.sub(r"[^\n]", " ", match[0])
        return '"' + kept[1:-1] + '"' if match[0].endswith('"') and len(kept) > 1 else kept
    return TOKEN.sub(blank, text)


def without_directives(code):
    """Blank lines for preprocessor directives and for every branch but the first: the braces of one branch match."""
    out, others, continued = [], [], False  # others: for each #if around, whether this is a later branch
    for line in code.split("\n"):
        directive = re.match(r"\s*#\s*(\w+)", line)
        if directive and not continued:
            if directive[1].startswith("if"):
                others.append(False)
            elif directive[1].startswith("el") and others:
                others[-1] = True
            elif directive[1] == "endif" and others:
                others.pop()
        hidden = continued or directive or any(others)
        out.append("" if hidden else line)
        continued = (continued or bool(directive)) and line.endswith("\\")
    return "\n".join(out)


def _closing(code, opening):
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, opening):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return len(code)


SCOPE = re.compile(r'(inline\s+)?namespace\b|extern\s*"|'
                   r'(template\s*<.*>\s*)?(class|struct|union)\b(?!.*\)\s*(const)?$)', re.DOTALL)


def _function_name(head):
    """The name in what stands before an opening brace, or None if that is no head of a function."""
    macro = re.match(r"\s*([A-Z_]+)\s*\(([^()]*)\)\s*$", head)  # TEST(Suite, Name)
    if macro:
        return f"{macro[1]}({macro[2]})"
    outside, inner = head, None
    while inner != outside:
        inner, outside = outside, re.sub(r"\([^()]*\)", "@", outside)  # one mark for each pair of outermost parentheses
    outside = re.sub(r"operator\s*(@|[^\w\s@]+)", "operator", outside)
    if "@" not in outside or "=" in re.sub(r"<[^<>]*>", "", outside):
        return None
    name = re.search(r"([~\w:]+)\s*@", re.sub(r"(__attribute__|alignas|requires|decltype|noexcept)\s*@", "", outside))
    return name[1] if name else "a function"


TABLE = re.compile(r"\b(?:static|constexpr)\b[^;{}()]*=\s*\{")


def _table_lines(body):
    """How many lines of a function belong to constant tables of data."""
    lines, position = 0, 0
    while match := TABLE.search(body, position):
        position = _closing(body, match.end() - 1)
        lines += body.count("\n", match.end(), position)
    return lines


def cpp_functions(text):
    """(name, first line, lines) of the functions of a file. Lambdas belong to the function around them; the lines of
    constant tables inside a function are not counted."""
    code = without_directives(code_only(text))
    found, start, position = [], 0, 0
    boundary = re.compile(r"[{};]|\b(?:public|private|protected)\s*:")
    while match := boundary.search(code, position):
        position = match.end()
        if match[0] != "{":
            start = position
            continue
        head = code[start:match.start()]
        if SCOPE.match(head.strip()):
            start = position  # look inside
            continue
        end = _closing(code, match.start())
        name = _function_name(head)
        if name:
            first = start + len(head) - len(head.lstrip())
            lines = code.count("\n", first, end) + 1 - _table_lines(code[match.end():end])
            found.append((name, code.count("\n", 0, first) + 1, lines))
        start = position = end + 1
    return found


def delimited(text, begin, end):
    """(name, first line, lines) of functions that begin and end with lines that match the patterns."""
    found, name, first = [], None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if name is None and (match := re.match(begin, line)):
            name, first = match[1], number
        if name is not None and (re.match(end, line) or (number == first and line.rstrip().endswith("}"))):
            found.append((name, first, number - first + 1))
            name = None
    return found
