"""What the addons of this repository say about themselves; standard library only.

names            our addons, each after those it depends on
needs            Odoo's modules that ours depend on
extra KIND       modules beside, from extra-modules.txt (KIND: test or demo)
key KIND         a hash of the sources that a database of this kind is built from
select [WHAT…]   Odoo's --test-tags for an addon, a file, a class or a test
missing-python   packages that the manifests ask for and this Python lacks
check-tests      complain about tests that would silently never run
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from pathlib import Path

LIB = Path(__file__).resolve().parent
ROOT = LIB.parents[1]

# Read from disk when the server runs, or never: a database does not depend on them.
NOT_IN_DATABASE = {
    "test": {
        "__pycache__",
        "demo",
        "i18n",
        "migrations",
        "readme",
        "static",
        "tests",
    },
    "demo": {"__pycache__", "readme", "static", "tests"},
}
IGNORED = (".pyc", ".orig", ".rej", "~", ".swp")


def stop(message):
    sys.exit(f"\nCannot go on: {message}")


def manifests():
    found = {}
    for path in sorted(ROOT.glob("*/__manifest__.py")):
        try:
            manifest = ast.literal_eval(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            stop(f"{path.relative_to(ROOT)} is not a literal dictionary: {error}")
        manifest.setdefault("depends", [])
        if manifest.get("installable", True):
            found[path.parent.name] = manifest
    return found


def names():
    found, ordered = manifests(), []

    def visit(name, path=()):
        if name in path:
            stop(f"these addons depend on each other: {' > '.join([*path, name])}")
        if name in found and name not in ordered:
            for other in found[name]["depends"]:
                visit(other, (*path, name))
            ordered.append(name)

    for name in found:
        visit(name)
    return ordered


def needs():
    found = manifests()
    wanted = {name for manifest in found.values() for name in manifest["depends"]}
    return sorted(wanted - set(found))


def extra(kind):
    lines = (LIB / "extra-modules.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("#")[0].split() for line in lines]
    return sorted(row[0] for row in rows if kind in row[1:])


def key(kind):
    digest = hashlib.sha256()
    for name in names():
        for folder, folders, files in os.walk(ROOT / name):
            folders[:] = sorted(set(folders) - NOT_IN_DATABASE[kind])
            for file in sorted(files):
                if file.startswith((".", "README")) or file.endswith(IGNORED):
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
        if os.path.isabs(path) and Path(path).is_relative_to(ROOT):
            path = str(Path(path).relative_to(ROOT))
        path = path.rstrip("/").removeprefix("./").removesuffix("/tests")
        test = f":{test}" if test else ""
        if path in found:
            tags.append(f"/{path}{test}")
        elif path.endswith(".py"):
            is_test = re.fullmatch(r"(\w+)/tests/(\w+/)*test_\w+\.py", path)
            if not is_test or is_test[1] not in found or not (ROOT / path).is_file():
                stop(f"{path} is no test file of ours.")
            tags.append(f"/{path}{test}")
        elif re.fullmatch(r"[A-Z]\w*(\.\w+)?", word):
            tags += [f"/{name}:{word}" for name in found]
        elif re.fullmatch(r"test_\w+", word):
            tags += [f"/{name}:.{word}" for name in found]
        else:
            stop(f"{word} is no addon, test file, class or test of ours. Addons: {', '.join(found)}")
    return ",".join(tags)


def missing_python():
    wanted = {
        package
        for manifest in manifests().values()
        for package in manifest.get("external_dependencies", {}).get("python", [])
    }
    missing = []
    for package in sorted(wanted):
        name = re.split(r"[<>=!~ ;\[]", package)[0]
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if importlib.util.find_spec(name) is None:
                missing.append(package)
    return missing


def check_tests():
    """Odoo runs only what tests/__init__.py imports; dev/test only post_install."""
    problems = []
    classes = {}
    for name in names():
        folder = ROOT / name / "tests"
        imported = imports(folder / "__init__.py")
        for path in sorted(folder.glob("**/*.py")):
            shown = path.relative_to(ROOT)
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except SyntaxError as error:
                problems.append(f"{shown}:{error.lineno}: {error.msg}")
                continue
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    classes[node.name, shown] = node
            if path.match("test_*.py") and path.stem not in imported:
                problems.append(f"{shown}: not imported by {name}/tests/__init__.py")
    by_name = {name: node for (name, _shown), node in classes.items()}
    for (name, shown), node in classes.items():
        if has_tests(node) and not is_tagged(node, by_name):
            problems.append(f"{shown}:{node.lineno}: {name} lacks @tagged('post_install', '-at_install')")
    if problems:
        stop("tests that would silently never run:\n  " + "\n  ".join(problems))


def has_tests(node):
    return any(isinstance(item, ast.FunctionDef) and item.name.startswith("test_") for item in node.body)


def is_tagged(node, by_name, seen=()):
    """By itself or, as Odoo inherits tags, by one of our classes it is based on."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            called = ast.unparse(decorator.func).split(".")[-1]
            words = {arg.value for arg in decorator.args if hasattr(arg, "value")}
            if called == "tagged" and {"post_install", "-at_install"} <= words:
                return True
    bases = {ast.unparse(base).split(".")[-1] for base in node.bases} - set(seen)
    return any(is_tagged(by_name[base], by_name, (*seen, base)) for base in bases if base in by_name)


def imports(path):
    if not path.is_file():
        return set()
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
            found.add((node.module or "").split(".")[-1])
    return found


def main():
    command, *arguments = sys.argv[1:] or ["help"]
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
