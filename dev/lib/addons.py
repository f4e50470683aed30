"""What the addons of this repository say about themselves. Only the standard library is used.

addons.py names                 our addons, each after those it depends on
addons.py needs                 Odoo's modules that ours depend on
addons.py extra test|demo       modules beside, from extra-modules.txt
addons.py key test|demo         a hash of the sources that a database of this kind is built from
addons.py select [WHAT…]        Odoo's --test-tags for an addon, a file, a class or a test
addons.py missing-python        Python packages that the manifests ask for and this Python lacks
addons.py check-tests           complain about tests that would silently never run
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIB = Path(__file__).resolve().parent

# Read from disk when the server runs, or never: a database does not depend on them.
NOT_IN_DATABASE = {
    "test": {"tests", "static", "i18n", "demo", "migrations", "readme", "__pycache__"},
    "demo": {"tests", "static", "readme", "__pycache__"},
}


def stop(message):
    sys.exit(f"\nCannot go on: {message}")


def manifests():
    found = {}
    for path in sorted(ROOT.glob("*/__manifest__.py")):
        try:
            manifest = ast.literal_eval(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            stop(f"{path.relative_to(ROOT)} is not a literal dictionary: {error}")
        if manifest.get("installable", True):
            found[path.parent.name] = manifest
    return found


def names():
    """Our addons in the order of their dependencies."""
    found, ordered = manifests(), []

    def visit(name, path=()):
        if name in path:
            stop(f"these addons depend on each other: {' > '.join([*path, name])}")
        if name in found and name not in ordered:
            for other in found[name].get("depends", []):
                visit(other, (*path, name))
            ordered.append(name)

    for name in found:
        visit(name)
    return ordered


def needs():
    found = manifests()
    return sorted({other for manifest in found.values() for other in manifest.get("depends", [])} - set(found))


def extra(kind):
    lines = (LIB / "extra-modules.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("#")[0].split() for line in lines]
    return sorted(row[0] for row in rows if kind in row[1:])


def missing_python():
    wanted = {
        package
        for manifest in manifests().values()
        for package in manifest.get("external_dependencies", {}).get("python", [])
    }
    missing = []
    for package in sorted(wanted):
        requirement = re.split(r"[<>=!~ ;\[]", package)[0]
        try:
            importlib.metadata.distribution(requirement)
        except importlib.metadata.PackageNotFoundError:
            if importlib.util.find_spec(requirement) is None:
                missing.append(package)
    return missing


def key(kind):
    digest = hashlib.sha256()
    for name in names():
        for folder, folders, files in os.walk(ROOT / name):
            folders[:] = sorted(f for f in folders if f not in NOT_IN_DATABASE[kind] and not f.startswith("."))
            for file in sorted(files):
                if file.startswith((".", "README")) or file.endswith((".pyc", ".orig", ".rej", "~")):
                    continue
                path = Path(folder, file)
                digest.update(f"{path.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def select(*wanted):
    found = names()
    if not wanted:
        return ",".join(f"/{name}" for name in found)
    tags = []
    for word in wanted:
        path, _, test = word.partition(":")
        path = path.rstrip("/").removeprefix("./")
        if os.path.isabs(path) and Path(path).is_relative_to(ROOT):
            path = str(Path(path).relative_to(ROOT))
        test = f":{test}" if test else ""
        if path in found:
            tags.append(f"/{path}{test}")
        elif path.removesuffix("/tests") in found:
            tags.append(f"/{path.removesuffix('/tests')}{test}")
        elif path.endswith(".py") and path.split("/")[0] in found:
            if not re.fullmatch(r"\w+/tests/(\w+/)*test_\w+\.py", path) or not (ROOT / path).is_file():
                stop(f"{path} is no test file of ours.")
            tags.append(f"/{path}{test}")
        elif re.fullmatch(r"[A-Z]\w*(\.\w+)?", word):
            tags += [f"/{name}:{word}" for name in found]
        elif re.fullmatch(r"test_\w+", word):
            tags += [f"/{name}:.{word}" for name in found]
        else:
            stop(f"{word} is no addon, test file, class or test of ours. Addons: {', '.join(found)}")
    return ",".join(tags)


def check_tests():
    """Odoo runs only what tests/__init__.py imports; dev/test runs only what is tagged post_install, -at_install."""
    problems = []
    classes = {}
    for name in names():
        folder = ROOT / name / "tests"
        for path in sorted(folder.glob("**/*.py")):
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except SyntaxError as error:
                problems.append(f"{path.relative_to(ROOT)}:{error.lineno}: {error.msg}")
                continue
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    classes.setdefault(node.name, (path, node))
        imported = imports(folder / "__init__.py")
        for path in sorted(folder.glob("test_*.py")):
            if path.stem not in imported:
                problems.append(f"{path.relative_to(ROOT)}: not imported by {name}/tests/__init__.py, so it never runs")

    def tagged(node, seen=()):
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "tagged":
                words = {arg.value for arg in decorator.args if isinstance(arg, ast.Constant)}
                if {"post_install", "-at_install"} <= words:
                    return True
        for base in node.bases:
            base = ast.unparse(base).split(".")[-1]
            if base in classes and base not in seen and tagged(classes[base][1], (*seen, base)):
                return True
        return False

    for name, (path, node) in classes.items():
        has_tests = any(isinstance(item, ast.FunctionDef) and item.name.startswith("test_") for item in node.body)
        if has_tests and not tagged(node):
            problems.append(
                f"{path.relative_to(ROOT)}:{node.lineno}: {name} lacks @tagged('post_install', '-at_install'), so it never runs"
            )
    if problems:
        stop("tests that would silently never run:\n  " + "\n  ".join(problems))


def imports(path):
    if not path.is_file():
        return set()
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names} | {(node.module or "").split(".")[-1]}
    return found


def main():
    command, *arguments = sys.argv[1:] or ["names"]
    if command in ("names", "needs", "extra"):
        print(",".join(globals()[command](*arguments)))
    elif command == "missing-python":
        print(" ".join(missing_python()))
    elif command in ("key", "select"):
        print(globals()[command](*arguments))
    elif command == "check-tests":
        check_tests()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
