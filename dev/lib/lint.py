"""Checks of our addons that no linter makes; prints what is wrong.

Manifests  series, licence; files listed that are not there, and the other way round
XML        well-formed, no identifier twice, nothing that Odoo 19 no longer knows
CSV        no identifier twice
PO         parses, no message twice, placeholders kept
JavaScript parses
All        UTF-8, line feeds, no trailing blanks, no marks of a merge
"""

import ast
import csv
import re
import subprocess
import sys
from pathlib import Path

import polib
import tree_sitter
import tree_sitter_javascript
from lxml import etree

ROOT = Path(__file__).resolve().parents[2]
MUST_BE_LISTED = ("data", "views", "security", "wizards", "reports", "demo")
TEXT = {
    ".py",
    ".xml",
    ".js",
    ".scss",
    ".css",
    ".csv",
    ".md",
    ".po",
    ".pot",
    ".sh",
    ".toml",
    ".txt",
    ".cfg",
    ".yml",
}
VERSION = re.compile(r"19\.0\.\d+\.\d+\.\d+")
PLACEHOLDER = re.compile(r"%\([a-z_]\w*\)[sdif]", re.IGNORECASE)

problems = []


def problem(path, message, line=1):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {message}")


def our_files():
    """What git has or would take."""
    listed = subprocess.run(
        [
            "git",
            "-C",
            ROOT,
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    return sorted({ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def check_manifest(path, files):
    addon = path.parent
    try:
        manifest = ast.literal_eval(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        problem(path, f"not a literal dictionary: {error}")
        return
    if not VERSION.fullmatch(str(manifest.get("version"))):
        problem(path, "version must be 19.0.x.y.z")
    if manifest.get("license") != "LGPL-3":
        problem(path, "license must be LGPL-3")
    for key in ("name", "summary", "author", "depends"):
        if not manifest.get(key):
            problem(path, f"{key} is missing")
    check_listed(path, manifest, files)
    for bundle, entries in manifest.get("assets", {}).items():
        for entry in entries:
            target = entry if isinstance(entry, str) else entry[-1]
            if target.startswith(f"{addon.name}/") and not list(ROOT.glob(target)):
                problem(path, f"assets: {bundle}: {target} matches no file")


def check_listed(path, manifest, files):
    addon = path.parent
    listed = set()
    for key in ("data", "demo"):
        for name in manifest.get(key, []):
            if name in listed:
                problem(path, f"{name} is listed twice")
            listed.add(name)
            if not (addon / name).is_file():
                problem(path, f"{name} is listed in {key} and does not exist")
    for file in files:
        name = file.relative_to(addon).as_posix()
        loaded = name.split("/")[0] in MUST_BE_LISTED and file.suffix in (".xml", ".csv")
        if loaded and name not in listed:
            problem(path, f"{name} is not listed")


def check_text(path):
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problem(path, f"not UTF-8: {error}")
        return
    if "\r" in text:
        problem(path, "has carriage returns")
    if text and not text.endswith("\n"):
        problem(path, "does not end with a line feed", text.count("\n") + 1)
    elif text.endswith("\n\n"):
        problem(path, "ends with empty lines", text.count("\n"))
    for number, line in enumerate(text.split("\n"), 1):
        if line.endswith((" ", "\t")) and path.suffix not in (".po", ".pot"):
            problem(path, "trailing blanks", number)
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            problem(path, "mark of a merge", number)
        if path.suffix == ".py" and "\t" in line:
            problem(path, "tab", number)


DEPRECATED = {
    "//tree": "<tree> is <list> now",
    "//openerp": "<openerp> is <odoo> now",
    "//*[@t-raw]": "t-raw is t-out now",
    "//*[@t-esc]": "t-esc is t-out now",
    "//*[@attrs]": "attrs is gone: write the expression in invisible, readonly …",
    "//field[@states]": "states is gone: write the expression in invisible",
    "/odoo/data[not(@noupdate)]": "<data> is not needed",
    "/odoo[count(*) = 1]/data[@noupdate]": "noupdate goes on <odoo>",
}


def check_xml(path):
    try:
        tree = etree.parse(path)
    except etree.XMLSyntaxError as error:
        problem(path, f"not well-formed: {error.msg}", error.lineno or 1)
        return
    for expression, message in DEPRECATED.items():
        for node in tree.xpath(expression):
            problem(path, message, node.sourceline)
    seen = {}
    module = path.relative_to(ROOT).parts[0]
    for node in tree.iter("record", "template", "menuitem"):
        key = node.get("id", "")
        if key.startswith(f"{module}."):
            problem(path, f"identifier {key} needs no module name", node.sourceline)
        if key and key in seen and node.getparent().tag != "data":
            problem(path, f"identifier {key} is also on line {seen[key]}", node.sourceline)
        elif key:
            seen[key] = node.sourceline


def check_po(path):
    try:
        catalog = polib.pofile(str(path), check_for_duplicates=True)
    except (OSError, ValueError) as error:
        problem(path, str(error))
        return
    if path.name == "en.po":
        problem(path, "English is the source; there must be no en.po")
    for entry in catalog:
        if not entry.msgstr or entry.obsolete:
            continue
        lost = set(PLACEHOLDER.findall(entry.msgid)) ^ set(PLACEHOLDER.findall(entry.msgstr))
        if lost:
            problem(path, f"placeholders differ: {', '.join(sorted(lost))}", entry.linenum)


def check_javascript(path):
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_javascript.language()))
    nodes = [parser.parse(path.read_bytes()).root_node]
    while nodes:
        node = nodes.pop()
        if node.is_error or node.is_missing:
            problem(path, "syntax error", node.start_point[0] + 1)
            return
        if node.has_error:
            nodes += reversed(node.children)


def check_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seen = set()
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            problem(path, "number of columns differs from the first line", number)
        if row.get("id") in seen:
            problem(path, f"identifier {row['id']} twice", number)
        seen.add(row.get("id"))


def main():
    files = our_files()
    for path in files:
        if path.suffix in TEXT:
            check_text(path)
        if path.suffix in (".xml", ".svg"):
            check_xml(path)
        elif path.suffix == ".js":
            check_javascript(path)
        elif path.suffix in (".po", ".pot"):
            check_po(path)
        elif path.suffix == ".csv" and path.parent.name == "security":
            check_csv(path)
        if path.name == "__manifest__.py":
            check_manifest(path, [file for file in files if path.parent in file.parents])
        if path.parent == ROOT / "dev" and not path.suffix and path.name[0] != "." and not path.stat().st_mode & 0o100:
            problem(path, "is not executable")
        if path.suffix in (".py", ".xml") and path.stat().st_mode & 0o100 and not path.read_bytes().startswith(b"#!"):
            problem(path, "is executable and has no #! line")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
