"""The code's habits, held by a machine: lengths, words, the map, reasons, and tests that test.

Each checker is a function over names and texts that returns its findings. Beside the test of the
real tree stands one that feeds it a bad sample, so that no checker can go blind unseen.
"""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import tokenize
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Texts = Mapping[str, str]  # a file's path from the root of the tree -> its text
    Checker = Callable[[Texts], list[str]]

ROOT = Path(__file__).parent.parent
THIS = "tests/test_tidy.py"
SOURCE = "src/crossfade/"

MODULE_LINES = 400
MODULE_LINES_MAX = 700
FUNCTION_LINES = 35
FUNCTION_LINES_MAX = 60
ONE_IN = 10  # so many may be longer than wanted
REASON_WORDS_MIN = 3

BANNED_MODULES = {"base", "common", "helpers", "misc", "types", "utils"}
BANNED_WORDS = re.compile(
    r"(?:^|_)(double_writes?|journals?|manifests?|debts?|outbox|phases?|finalised?|legacy|unified)"
    r"(?=_|$)"
)
COMPATIBLE_WORDS = {"legacy", "unified"}
COMPATIBLE_MODULES = {"compat", "status"}

MACHINE_PATH = re.compile(r"(?<![\w.:-])/(?:work|root)/")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|--(?:extra-)?index-url"
    r"|--find-links"
)
LEFT_OVER = re.compile(r"\b(?:TODO|FIXME)\b")
SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
RULE = re.compile(r'"([A-Z]+[0-9]*)"')
NAMED_FILE = re.compile(r"`([\w./-]+\.py)`")
ASSERTING_NAME = re.compile(r"^(?:assert|check|expect|raises|warns|fail)(?:_|$)")


# -- the checkers ----------------------------------------------------------------------------------


def long_modules(texts: Texts) -> list[str]:
    """Nine modules in ten are at most MODULE_LINES long, and none over MODULE_LINES_MAX."""
    lines = {path: len(text.splitlines()) for path, text in sources(texts)}
    return too_long(lines, MODULE_LINES, MODULE_LINES_MAX)


def long_functions(texts: Texts) -> list[str]:
    """Nine functions in ten are at most FUNCTION_LINES long, and none over FUNCTION_LINES_MAX."""
    lines = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, text in sources(texts)
        for node in functions(ast.parse(text))
    }
    return too_long(lines, FUNCTION_LINES, FUNCTION_LINES_MAX)


def too_long(lines: Mapping[str, int], wanted: int, limit: int) -> list[str]:
    found = [f"{name}: {n} lines, at most {limit}" for name, n in lines.items() if n > limit]
    over = [f"{name}: {n} lines" for name, n in lines.items() if n > wanted]
    if len(over) * ONE_IN > len(lines):
        found.append(f"{len(over)} of {len(lines)} are longer than {wanted} lines: {over}")
    return found


def banned_identifiers(texts: Texts) -> list[str]:
    """One word, one meaning: a word that has a better one here is no part of a name."""
    found = []
    for path, text in texts.items():
        if not path.endswith(".py") or path.startswith("tests/"):
            continue
        compatible = bool(COMPATIBLE_MODULES & set(path.removesuffix(".py").split("/")))
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.NAME:
                continue
            words = set(BANNED_WORDS.findall(SNAKE.sub("_", token.string).lower()))
            if words - (COMPATIBLE_WORDS if compatible else set()):
                found.append(f"{path}:{token.start[0]}: {token.string}")
    return found


def banned_modules(texts: Texts) -> list[str]:
    """A module is named after its concept."""
    return [
        f"{path}: a name that says nothing"
        for path, _ in sources(texts)
        if BANNED_MODULES & set(path.removesuffix(".py").split("/"))
    ]


def holes_in_the_map(texts: Texts) -> list[str]:
    """ARCHITECTURE.md names every module and package of the source, and no file that is not."""
    named = set(NAMED_FILE.findall(texts["ARCHITECTURE.md"]))
    modules = {path.removeprefix(SOURCE) for path, _ in sources(texts)}
    folders = {
        module.removesuffix("__init__.py") for module in modules if module.endswith("/__init__.py")
    }
    inner = {module for module in modules if not module.endswith("/__init__.py")}
    missing = [f"{module} is not in ARCHITECTURE.md" for module in sorted(inner - named)]
    missing += [
        f"{folder} is not in ARCHITECTURE.md"
        for folder in sorted(folders)
        if f"`{folder}`" not in texts["ARCHITECTURE.md"]
    ]
    gone = [name for name in sorted(named) if name not in modules and name not in texts]
    return missing + [f"ARCHITECTURE.md names {name}, which is not there" for name in gone]


def left_over_notes(texts: Texts) -> list[str]:
    """What is still to be done is an issue, not a comment."""
    return matching(LEFT_OVER, texts)


def machine_names(texts: Texts) -> list[str]:
    """No file knows the machine that it was made on, or where packages come from."""
    return matching(MACHINE_PATH, texts) + matching(REGISTRY, texts)


def matching(pattern: re.Pattern[str], texts: Texts) -> list[str]:
    return [
        f"{path}:{number}: {match[0]}"
        for path, text in texts.items()
        if path != THIS
        for number, line in enumerate(text.splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def ignores_without_reason(texts: Texts) -> list[str]:
    """Beside each lint rule that is not followed stands why."""
    found, section, ignoring = [], "", False
    for number, line in enumerate(texts["pyproject.toml"].splitlines(), 1):
        if line.startswith("["):
            section, ignoring = line, False
        if re.match(r"(?:extend-)?ignore\s*=", line):
            ignoring = True
        if (ignoring or "per-file-ignores" in section) and section.startswith("[tool.ruff"):
            rules = RULE.findall(line.partition("#")[0].rpartition("= ")[2])
            reason = line.partition("#")[2].split()
            if len(rules) > 1 or (rules and len(reason) < REASON_WORDS_MIN):
                found.append(f"pyproject.toml:{number}: {rules} without a reason of its own")
        if line.rstrip().endswith("]") and not line.startswith("["):
            ignoring = False
    return found


def idle_tests(texts: Texts) -> list[str]:
    """A test asserts, waits for an error, or calls something in its file that does."""
    found = []
    for path, text in texts.items():
        if not re.fullmatch(r"tests/(?:.+/)?test_\w+\.py", path):
            continue
        named = {node.name: node for node in functions(ast.parse(text))}
        asserting = {name for name, node in named.items() if asserts(node)}
        while True:
            more = {name for name, node in named.items() if called(node) & asserting} - asserting
            if not more:
                break
            asserting |= more
        found += [
            f"{path}:{node.lineno}: {node.name} asserts nothing"
            for node in functions(ast.parse(text))
            if node.name.startswith("test_") and not (asserts(node) or called(node) & asserting)
        ]
    return found


def asserts(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Assert) for part in ast.walk(node)) or any(
        ASSERTING_NAME.match(name) for name in called(node)
    )


def called(node: ast.AST) -> set[str]:
    targets = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names | {target.attr for target in targets if isinstance(target, ast.Attribute)}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def sources(texts: Texts) -> Iterator[tuple[str, str]]:
    for path, text in texts.items():
        if path.startswith(SOURCE) and path.endswith(".py"):
            yield path, text


# -- the real tree ---------------------------------------------------------------------------------


@cache
def tree() -> Texts:
    """Read every text file that git knows; without git, every one that is no cache."""
    texts = {}
    for path in tracked() or walked():
        try:
            texts[path] = (ROOT / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return texts


def tracked() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [path for path in listed.stdout.split("\0") if path]


def walked() -> list[str]:
    found = []
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [
            name
            for name in inner
            if name == ".ci" or not (name.startswith(".") or name in {"__pycache__", "dist"})
        ]
        found += [(Path(folder) / name).relative_to(ROOT).as_posix() for name in files]
    return sorted(found)


# -- the tests -------------------------------------------------------------------------------------


def function_of(lines: int, name: str = "act") -> str:
    if lines == 1:
        return f"def {name}(): ...\n"
    return f"def {name}():\n" + "    x = 1\n" * (lines - 1)


MAP = "`core/` decides, `core/records.py` remembers, `ports.py` asks"
MAPPED = {
    f"{SOURCE}core/__init__.py": "",
    f"{SOURCE}core/records.py": "",
    f"{SOURCE}ports.py": "",
}
LINT = "[tool.ruff.lint]\nignore = [\n    {}\n]\n"
PER_FILE = '[tool.ruff.lint.per-file-ignores]\n"tests/**" = [\n    {}\n]\n'

GOOD: list[tuple[Checker, Texts]] = [
    (long_modules, {f"{SOURCE}plan.py": "x = 1\n" * MODULE_LINES}),
    (long_modules, {"tests/plan.py": "x = 1\n" * (MODULE_LINES_MAX + 1)}),
    (long_functions, {f"{SOURCE}plan.py": function_of(FUNCTION_LINES)}),
    (
        long_functions,
        {f"{SOURCE}a.py": function_of(1) * 9 + function_of(FUNCTION_LINES_MAX, "rare")},
    ),
    (banned_identifiers, {f"{SOURCE}plan.py": 'name = "ENABLE_FALLBACK_TO_LEGACY"  # legacy\n'}),
    (banned_identifiers, {f"{SOURCE}setup/compat.py": "legacy_name = 1\n"}),
    (banned_identifiers, {f"{SOURCE}faces/status.py": "unified = 1\n"}),
    (banned_identifiers, {f"{SOURCE}plan.py": "emphases = indebted = 1\n"}),
    (banned_modules, {f"{SOURCE}core/records.py": "", "tests/utils.py": ""}),
    (holes_in_the_map, {"ARCHITECTURE.md": MAP, **MAPPED}),
    (left_over_notes, {"a.md": "todo lists"}),
    (machine_names, {"a.md": "https://example.com/work/a, network/root/b, ./work/"}),
    (ignores_without_reason, {"pyproject.toml": LINT.format('"S101",  # it states a fact')}),
    (ignores_without_reason, {"pyproject.toml": PER_FILE.format('"S101",  # it states a fact')}),
    (ignores_without_reason, {"pyproject.toml": '[tool.ruff.lint]\nselect = ["ALL"]\n'}),
    (idle_tests, {"tests/test_a.py": "def test_it():\n    assert act()\n"}),
    (
        idle_tests,
        {"tests/test_a.py": "def test_it():\n    with pytest.raises(E):\n        act()\n"},
    ),
    (
        idle_tests,
        {"tests/test_a.py": "def same():\n    assert 1\n\ndef test_it():\n    same()\n"},
    ),
]

BAD: list[tuple[Checker, Texts]] = [
    (long_modules, {f"{SOURCE}plan.py": "x = 1\n" * (MODULE_LINES + 1)}),
    (
        long_modules,
        {f"{SOURCE}{n}.py": "" for n in range(20)}
        | {f"{SOURCE}plan.py": "x = 1\n" * (MODULE_LINES_MAX + 1)},
    ),
    (long_functions, {f"{SOURCE}plan.py": function_of(FUNCTION_LINES + 1)}),
    (
        long_functions,
        {f"{SOURCE}a.py": function_of(1) * 20 + function_of(FUNCTION_LINES_MAX + 1)},
    ),
    *(
        (banned_identifiers, {f"{SOURCE}plan.py": code})
        for code in (
            "fallback_to_legacy = 1\n",
            "def act(*, unified): ...\n",
            "class DoubleWrite: ...\n",
            "plan.journal.write()\n",
            "manifests = []\n",
            "debt = 1\n",
            "import outbox\n",
            "PHASE_MAX = 1\n",
            "def finalise(): ...\n",
        )
    ),
    (banned_identifiers, {f"{SOURCE}setup/compat.py": "journal = 1\n"}),
    *((banned_modules, {f"{SOURCE}core/{name}.py": ""}) for name in sorted(BANNED_MODULES)),
    (banned_modules, {f"{SOURCE}utils/__init__.py": ""}),
    (holes_in_the_map, {"ARCHITECTURE.md": MAP, **MAPPED, f"{SOURCE}core/new.py": ""}),
    (holes_in_the_map, {"ARCHITECTURE.md": MAP, **MAPPED, f"{SOURCE}files/__init__.py": ""}),
    (holes_in_the_map, {"ARCHITECTURE.md": f"{MAP} `core/gone.py`", **MAPPED}),
    (left_over_notes, {"a.py": "x = 1  # TODO: more\n"}),
    (left_over_notes, {"docs/a.md": "FIXME\n"}),
    (machine_names, {"a.md": "see /work/a\n"}),
    (machine_names, {"a.md": "see `/root/a`\n"}),
    (machine_names, {"requirements/dev.txt": "--index-url https://example.com/simple\n"}),
    (machine_names, {"a.toml": "https://files.pythonhosted.org/packages\n"}),
    (ignores_without_reason, {"pyproject.toml": LINT.format('"S101",')}),
    (ignores_without_reason, {"pyproject.toml": LINT.format('"S101", "D100",  # not just one')}),
    (ignores_without_reason, {"pyproject.toml": PER_FILE.format('"S101",')}),
    (ignores_without_reason, {"pyproject.toml": '[tool.ruff.lint]\nignore = ["S101"]\n'}),
    (idle_tests, {"tests/a/test_a.py": "def test_it():\n    act()\n"}),
    (
        idle_tests,
        {"tests/test_a.py": "class TestA:\n    async def test_it(self): ...\n"},
    ),
]

CHECKERS: list[Checker] = list(dict.fromkeys(checker for checker, _ in BAD))


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda checker: checker.__name__)
def test_the_tree_is_tidy(checker: Checker) -> None:
    assert checker(tree()) == []


@pytest.mark.parametrize(("checker", "texts"), BAD)
def test_a_bad_sample_is_found(checker: Checker, texts: Texts) -> None:
    assert len(checker(texts)) == 1


@pytest.mark.parametrize(("checker", "texts"), GOOD)
def test_a_good_sample_is_let_pass(checker: Checker, texts: Texts) -> None:
    assert checker(texts) == []


def test_the_tree_is_read_with_and_without_git() -> None:
    for path in ("pyproject.toml", THIS, ".ci/run"):
        assert path in walked()
        assert path in tree()
