"""Take commands and printed output out of the README, so that neither can drift from what is tested.

readme_commands.py README.md N               print the N-th line of all ``sh`` blocks (from 1)
readme_commands.py README.md --compare FILE  compare the first ``text`` block with a real output
readme_commands.py README.md --write FILE    put a real output into the first ``text`` block
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def shape(text: str) -> list[str]:
    """Return the words of each line; a residual, the time taken and column spacing may differ."""
    exact = [NUMBER.sub("#", line) if re.search("holds to|computed in", line) else line for line in text.splitlines()]
    return [" ".join(line.split()) for line in exact]


def main(readme: str, what: str, *rest: str) -> int:
    """Run one of the two tasks."""
    text = Path(readme).read_text(encoding="utf-8")
    if what == "--write":
        output = Path(rest[0]).read_text(encoding="utf-8").rstrip()
        Path(readme).write_text(text.replace(blocks(text, "text")[0], output + "\n", 1), encoding="utf-8")
        return 0
    if what != "--compare":
        commands = "".join(blocks(text, "sh")).splitlines()
        lines = [line for line in commands if line and not line.startswith("#")]
        print(lines[int(what) - 1])
        return 0
    printed, real = shape(blocks(text, "text")[0]), shape(Path(rest[0]).read_text(encoding="utf-8"))
    if printed == real:
        return 0
    from difflib import unified_diff

    print("\n".join(unified_diff(printed, real, "README.md", "real output", lineterm="")))
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
