# SPDX-License-Identifier: LGPL-2.1-or-later
"""The source is built as doc/architecture.md says: folders include what they
may, and no files include each other."""

import graphlib
import re

from harness.manuals import TOP

TABLE = TOP / "doc/architecture.md"


def allowed():
    """What each folder of src may include: folders and headers."""
    rows = re.findall(r"^\| (`src/[^|]*) \|([^|]*)\|", TABLE.read_text(), re.M)
    return {folder: set(re.findall(r"`(.*?)`", includes))
            for folders, includes in rows
            for folder in re.findall(r"`src/(.*?)`", folders)}


def includes_of(src):
    """The files of src that each one includes. As for the compiler, a header
    beside it comes first."""
    paths = {path.relative_to(src) for path in src.rglob("*.[ch]")}
    includes = {}
    for path in paths:
        names = re.findall(r'^\s*#\s*include\s+"(.+)"',
                           (src / path).read_text(), re.M)
        includes[path] = {
            found for name in names for found in
            ([path.parent / name] if path.parent / name in paths else
             [other for other in paths if other.name == name])}
    return includes


def faults(src, may):
    found = []
    used = set()
    includes = includes_of(src)
    for path, headers in sorted(includes.items()):
        folder = str(path.parent)
        for header in sorted(headers):
            others = {str(header), str(header.parent)} & may.get(folder, set())
            used |= {(folder, other) for other in others}
            if str(header.parent) != folder and not others:
                found.append(f"{path} includes {header}")
    found += [f"{folder} does not include {other}"
              for folder, others in sorted(may.items())
              for other in sorted(others) if (folder, other) not in used]
    for graph in includes, may:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            found.append("circle: " + " ".join(map(str, error.args[1])))
    return found


def test_folders_include_what_they_may():
    assert faults(TOP / "src", allowed()) == []


def test_what_may_not_be_is_found(tmp_path):
    for name, text in {"lib/a.h": '#include "b.h"', "lib/b.h": "",
                       "lib/c.c": '#include "lib.h"\n# include "x.h"',
                       "lib/d.h": '#include "e.h"', "lib/e.h": '#include "d.h"',
                       "top/x.h": '#include "a.h"', "top/b.h": "",
                       "new/y.c": '#include "b.h"', "new/b.h": "",
                       "new/z.c": '#include "d.h"'}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = faults(tmp_path, {"lib": set(), "top": {"lib", "old"}})
    assert found[:3] == ["lib/c.c includes top/x.h", "new/z.c includes lib/d.h",
                         "top does not include old"]
    assert re.fullmatch("circle: lib/([de]).h lib/[de].h lib/\\1.h", found[3])
    assert len(found) == 4
