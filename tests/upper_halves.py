"""Whether functions leave the upper halves of vector registers in use, after which a caller's SSE code is slow.

g++ puts a vzeroupper at the end of each function, but takes note of the first 16 registers alone: instructions on
others may come after it.
"""
import re


def functions(listing):
    """{name: [(address, instruction)]} of objdump's output."""
    found, current = {}, None
    for line in listing.splitlines():
        if match := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            current = found.setdefault(match[1], [])
        elif (match := re.match(r"\s*([0-9a-f]+):\s+(\S.*)", line)) and current is not None:
            current.append((int(match[1], 16), match[2]))
    return found


def left_in_use(instructions):
    """An instruction on 256 or 512 bits from which a path without vzeroupper leads out of the function, or None. A
    function that is called ends with its own.
    """
    at = {address: i for i, (address, _) in enumerate(instructions)}
    seen, paths = set(), [(0, None)]
    while paths:
        i, wide = paths.pop()
        while i < len(instructions) and (i, wide is None) not in seen:
            seen.add((i, wide is None))
            text = instructions[i][1]
            if text.startswith("ret"):
                if wide:
                    return wide
                break
            if text.startswith(("vzeroupper", "call")):
                wide = None
            elif re.search(r"%[yz]mm", text):
                wide = wide or text
            if jump := re.match(r"(j\w+)\s+([0-9a-f]+)", text):
                target = at.get(int(jump[2], 16))
                if target is not None:
                    paths.append((target, wide))
                elif wide:  # another function takes over
                    return wide
                if jump[1] == "jmp":
                    break
            i += 1
    return None
