# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the manuals say, for tests that hold it against the software.

In their examples a line that begins with "# " or "$ " is a command, which goes
on in the next line after a backslash; what follows is its output, in which a
number stands for any number and "..." for anything.
"""

import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parents[2]
MAN = TOP / "man"

ESCAPES = {r"\e": "\\", r"\-": "-", r"\&": "", r"\(aq": "'", r"\(dq": '"'}


def unescape(text):
    return re.sub(r"\\(\(..|.)", lambda m: ESCAPES[m.group()], text)


def blocks(path):
    """The blocks of literal text in a man page, README or Markdown file, each
    with the comment that is before it."""
    text = path.read_text()
    if path.suffix == ".md":
        found = re.findall(r"(?:<!-- (.*?) -->\n)?^```\n(.*?)^```$", text,
                           re.M | re.S)
    elif path.suffix:
        found = [(comment, unescape(block)) for comment, block in re.findall(
            r'(?:^\.\\" (.*)\n)?^\.Bd -literal.*\n((?:(?!\.Ed).*\n)*)\.Ed',
            text, re.M)]
    else:
        found = [("", re.sub("^\t", "", block, flags=re.M)) for block in
                 re.findall(r"(?:^\t.*\n|^\n(?=\t))+", text, re.M)]
    return found


def configuration(path, line):
    """The example of a configuration for this line of Dovecot, which is marked
    by a comment; in README by its words."""
    mark = "configuration " + line
    marked = [block for comment, block in blocks(path) if comment == mark]
    if not marked:
        word = {"2.3": "push_notification_driver =",
                "2.4": "push_notification_ox_url ="}[line]
        marked = [block for _, block in blocks(path) if word in block]
    block, = marked
    return block


def block_of(path, mark, beginning=None):
    """The one that is marked by a comment; where there are no comments, as in
    README, the one with this beginning."""
    block, = [block for comment, block in blocks(path)
              if comment == mark or not comment and beginning is not None
              and path.suffix == "" and block.strip("\n").startswith(beginning)]
    return block


def examples(path):
    """[(command, output)], in the order of the file."""
    found = []
    for _, block in blocks(path):
        lines = iter(block.splitlines(keepends=True))
        command = None
        for line in lines:
            if line[:2] in ("# ", "$ "):
                command = line[2:]
                while command.endswith("\\\n"):
                    command += next(lines)
                found.append((command.rstrip("\n"), []))
            elif command is not None:
                found[-1][1].append(line)
    return [(command, "".join(output).strip()) for command, output in found]


def matches(expected, output):
    """Is this the output, whatever its spaces, numbers and what "..." is?"""
    words = []
    # a table of later versions has these where a field is empty
    output = " ".join(word for word in output.split() if word != "-")
    for word in expected.split():
        pieces = [re.sub("[0-9]+", "[0-9]+", re.escape(piece))
                  for piece in word.split("...")]
        words.append(".*".join(pieces))
    pattern = r"\s+".join(words).replace(r"\s+.*", r"\s*.*")
    return re.fullmatch(pattern, output) is not None


def section(path, title):
    """Of a page, to the next section."""
    return re.search(r'^\.S[hs] "?%s"?\n(.*?)(?=^\.Sh|\Z)' % re.escape(title),
                     path.read_text(), re.M | re.S).group(1)


def items(text, comment):
    """[(head, first sentence or so)] of the list behind a comment; not of lists
    in it."""
    text = text.split('.\\" %s\n' % comment)[1]
    depth, found = 0, []
    for line in text.splitlines():
        if line.startswith(".Bl"):
            depth += 1
        elif line.startswith(".El"):
            depth -= 1
            if depth == 0:
                break
        elif line.startswith(".It ") and depth == 1:
            found.append([line[4:], ""])
        elif line.startswith(".It "):
            found[-1][1] += line + "\n"
        elif found:
            found[-1][1] += line + "\n"
    return [tuple(item) for item in found]


# -- the source --

def sources(*directories):
    return [path for directory in directories
            for path in sorted((TOP / "src" / directory).rglob("*.[ch]"))]


def macros():
    """What is defined to be a string."""
    found = {}
    for path in sources("."):
        for name, value in re.findall(
                r'^#define (\w+)(?: |\s*\\\n\s*)"(.*?)"$', path.read_text(),
                re.M):
            # with different values they depend on Dovecot's version
            found[name] = value if found.get(name, value) == value else "..."
    return found


STRING = r'"((?:[^"\\]|\\.)*)"'
LITERAL = re.compile(r"(?:(?:%s|\b[A-Z][A-Z0-9_]{3,}\b|PRI[du]64)\s*)+" %
                     STRING)


def literals(text, defined):
    """The string literals in C source, joined, with "..." for what printf
    fills in."""
    for found in LITERAL.finditer(text):
        parts = re.findall(STRING + r"|(\w+)", found.group())
        if not any('"' in piece for piece in [found.group()]):
            continue
        joined = "".join(
            string if not name else
            "d" if name.startswith("PRI") else defined.get(name, "...")
            for string, name in parts)
        yield re.sub(r"%[-0-9.]*[a-z]", "...",
                     joined.replace('\\"', '"').replace("\\n", "\n"))


def is_instance(pattern, message):
    """Is a message as the manual has it, with "..." for anything in both? One
    that is little else says nothing."""
    return any(re.fullmatch(".*".join(map(re.escape, one.split("..."))), other)
               for one, other in ((pattern, message), (message, pattern))
               if len(one.replace("...", "")) > 8)
