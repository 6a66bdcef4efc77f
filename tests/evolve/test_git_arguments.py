"""Every git command of the engine, read from its source: no argument can be an option or a ref that others chose."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

EVOLVE = Path(__file__).parents[2] / "evolve"
CALLS = ("run", "read", "ask")
OWNERS = ("git", "_git", "there")
# Ids and names that git itself has told, refs and paths that we made from a counter.
OURS = {
    *("branch", "tip", "commit", "path", "script", "self.script", "self.ref", "self._prefix"),
    *("self.tip()", "str(path)", "str(_aside(path))"),
    *("str(folder / SOURCES)", "str(folder / '.git')"),  # a recording's own scratch folder
}


def commands() -> list[tuple[str, ast.Call]]:
    found = []
    for path in sorted(EVOLVE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                is_git = owner.split(".")[-1] in OWNERS or ".at(" in owner
                if node.func.attr in CALLS and is_git:
                    found.append((path.name, node))
    return found


def assigned(module: str, name: str) -> list[str]:
    """The right-hand sides that a name gets anywhere in the module."""
    tree = ast.parse((EVOLVE / module).read_text(encoding="utf-8"))
    return [
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(ast.unparse(target) == name for target in node.targets)
    ]


def is_safe(module: str, argument: ast.expr) -> bool:
    """A literal; an id that is checked on the spot; what git told us or we counted; or a tuple of such."""
    if isinstance(argument, ast.Constant):
        return True
    if isinstance(argument, ast.Starred):
        values = assigned(module, ast.unparse(argument.value))
        return bool(values) and all(is_safe_list(module, value) for value in values)
    if isinstance(argument, ast.JoinedStr):
        holes = [v.value for v in argument.values if isinstance(v, ast.FormattedValue)]
        return all(is_known(hole) or is_constant(module, hole) for hole in holes)
    return is_known(argument)


def is_known(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text in OURS or text.startswith(("check_oid(", "int("))


def is_constant(module: str, node: ast.expr) -> bool:
    """A constant of the module, made of literals and of other constants."""
    values = assigned(module, ast.unparse(node))
    names = [
        name.id
        for value in values
        for name in ast.walk(ast.parse(value, mode="eval"))
        if isinstance(name, ast.Name)
    ]
    return bool(values) and all(name.isupper() for name in names)


def is_safe_list(module: str, text: str) -> bool:
    value = ast.parse(text, mode="eval").body
    if isinstance(
        value, ast.ListComp
    ):  # [part for parent in … for part in ("-p", check_oid(parent))]
        inner = value.generators[-1].iter
        return isinstance(inner, ast.Tuple) and is_safe_list(module, ast.unparse(inner))
    return isinstance(value, ast.Tuple) and all(is_safe(module, part) for part in value.elts)


def before_the_dashes(call: ast.Call) -> list[ast.expr]:
    """The arguments that git may read as options, revisions or refs: those before a literal `--`."""
    for position, argument in enumerate(call.args):
        if isinstance(argument, ast.Constant) and argument.value == "--":
            return call.args[:position]
        if isinstance(argument, ast.Starred) and ast.unparse(argument.value) == "end":
            return call.args[: position + 1]  # ends with git's --end-of-options
    return call.args


def test_there_is_something_to_look_at() -> None:
    names = {module for module, _ in commands()}
    assert {"lineage.py", "branch.py", "refs.py", "trees.py", "worktrees.py", "halfway.py"} <= names
    assert len(commands()) > 30


@pytest.mark.parametrize(
    ("module", "call"), [pytest.param(m, c, id=f"{m}:{c.lineno}") for m, c in commands()]
)
def test_every_argument_is_literal_checked_or_ours(module: str, call: ast.Call) -> None:
    assert isinstance(call.args[0], ast.Constant), "the command itself is a literal"
    for argument in before_the_dashes(call):
        assert is_safe(module, argument), ast.unparse(argument)


@pytest.mark.parametrize(
    "text", ["title", "f'{title}'", "f'--x={title}'", "*words", "proposal.title"]
)
def test_what_others_wrote_would_be_found(text: str) -> None:
    call = ast.parse(f"git.run('log', {text})", mode="eval").body
    assert isinstance(call, ast.Call)
    assert not is_safe("lineage.py", call.args[1])


def test_gitpython_is_used_through_one_door_and_no_repository_is_kept() -> None:
    users = {}
    for path in EVOLVE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if any("git" in names for names in imported(text)):
            users[path.name] = text.count("Repo")
            assert text.count("Repo") == text.count("with git.Repo.init(")
    assert users == {"gitrun.py": 0, "workspace.py": 1}


def imported(text: str) -> list[list[str]]:
    return [
        [alias.name for alias in node.names]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
    ]
