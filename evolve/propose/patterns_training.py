"""Matchers for patterns in the loss, the schedules and the training loop.

Each returns the edits that make the change, or None where it does not fit; idioms, not names of one file. Pure;
see `patterns` for what they are for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evolve.propose.patterns_model import Edits, Matcher, is_name, is_number, is_plain_name
from evolve.propose.spans import Code

Scope = ast.Module | ast.FunctionDef


def z_loss(weight: float) -> Matcher:
    """Add a penalty on the log-normaliser to the cross-entropy."""

    def match(code: Code) -> Edits:
        if "logsumexp" in code.source:
            return None
        for call in code.find(ast.Call):
            if code.text(call.func).endswith("cross_entropy") and call.args:
                logits = code.text(call.args[0])
                if is_plain_name(call.args[0]) or isinstance(call.args[0], ast.Call):
                    penalty = f"{weight:g} * {logits}.logsumexp(-1).square().mean()"
                    return [code.replace(call, f"({code.text(call)} + {penalty})")]
        return None

    return match


def grad_clip(norm: float) -> Matcher:
    """Clip the gradients in front of `optimizer.step()`, or of the loop over several optimizers."""

    def match(code: Code) -> Edits:
        if "clip_grad" in code.source:
            return None
        for scope, step in optimizer_steps(code):
            model = _model_in(code, scope)
            if model:
                line = f"torch.nn.utils.clip_grad_norm_({model}.parameters(), {norm})"
                return [code.before(step, line + "\n")]
        return None

    return match


def warmdown_shape(template: str) -> Matcher:
    """Bend the linear `(1 - progress) / ratio` of the learning rate's warmdown, cut by `min` or not.

    {x} is that expression, which runs from 1 to 0.
    """

    def match(code: Code) -> Edits:
        for function in code.find(ast.FunctionDef):
            if "lr" not in function.name.split("_"):
                continue
            for statement in code.find(ast.Assign, function):
                if _is_warmdown(statement.value):
                    x = code.text(statement.value)
                    return [code.replace(statement.value, template.format(x=x))]
        return None

    return match


def _is_warmdown(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and is_name(node.func, "min"):
        return any(_is_warmdown(argument) for argument in node.args)
    return (
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _rest_of_budget(node.left)
    )


def decay_schedule(*, keep: bool) -> Matcher:
    """Weight decay that falls as `1 - progress`: keep it constant, or square the fall."""

    def match(code: Code) -> Edits:
        for function in code.find(ast.FunctionDef):
            words = function.name.split("_")
            if "wd" not in words and "decay" not in words:
                continue
            for node in code.find(ast.Return, function):
                value = node.value
                if value is not None and _rest_of_budget(value):
                    return [code.replace(value, "1.0" if keep else f"({code.text(value)}) ** 2")]
                if (
                    isinstance(value, ast.BinOp)
                    and isinstance(value.op, ast.Mult)
                    and _rest_of_budget(value.right)
                ):
                    new = code.text(value.left) if keep else f"{code.text(value)} ** 2"
                    return [code.replace(value, new)]
        return None

    return match


def momentum_warmdown(depth: float) -> Matcher:
    """Let the momentum fall by `depth` over the second half; fits a schedule of `progress`."""

    def match(code: Code) -> Edits:
        for function in _named(code, "momentum"):
            if "progress" not in {argument.arg for argument in function.args.args}:
                continue
            for node in code.find(ast.Return, function):
                if node.value is not None and "max(" not in code.text(node.value):
                    fall = f"{2 * depth:g} * max(0.0, progress - 0.5)"
                    return [code.replace(node.value, f"{code.text(node.value)} - {fall}")]
        return None

    return match


def fewer_polar_steps(count: int) -> Matcher:
    """`for a, b, c in COEFFICIENTS:`, a constant, runs over the first `count` only."""

    def match(code: Code) -> Edits:
        for loop in code.find(ast.For):
            target = loop.target
            if not (is_plain_name(loop.iter) and code.text(loop.iter).isupper()):
                continue
            if isinstance(target, ast.Tuple) and len(target.elts) == 3:
                return [code.replace(loop.iter, f"{code.text(loop.iter)}[:{count}]")]
        return None

    return match


def muon_rows(code: Code) -> Edits:
    """Give every row of the update the same length in front of the orthogonalisation's own scaling."""
    for node in code.find(ast.Assign):
        value = node.value
        if not (isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div)):
            continue
        x = code.text(node.targets[0])
        if code.text(value.left) == x and ".norm(dim=(-2, -1)" in code.text(value.right):
            line = f"{x} = {x} / ({x}.norm(dim=-1, keepdim=True) + 1e-6)\n"
            return None if ".norm(dim=-1" in code.source else [code.before(node, line)]
    return None


def momentum_peak(value: float) -> Matcher:
    """Raise the 0.95 of a momentum schedule."""

    def match(code: Code) -> Edits:
        for function in _named(code, "momentum"):
            return [
                code.replace(node, str(value))
                for node in code.find(ast.Constant, function)
                if is_number(node, 0.95)
            ]
        return None

    return match


def momentum_warmup(divisor: int) -> Matcher:
    """Shorten the `step / 300` of a momentum schedule."""

    def match(code: Code) -> Edits:
        for function in _named(code, "momentum"):
            return [
                code.replace(node.right, str(node.right.value // divisor))
                for node in code.find(ast.BinOp, function)
                if isinstance(node.op, ast.Div)
                and isinstance(node.right, ast.Constant)
                and isinstance(node.right.value, int)
                and node.right.value >= 2 * divisor
            ]
        return None

    return match


def tail_average(code: Code) -> Edits:
    """Average the weights over the last tenth of the budget and leave the average in the model.

    Fits where one scope holds the loop, the optimizer's step and the progress, as a variable or as
    `loader.progress`.
    """
    if "average" in code.source.lower():
        return None
    for scope, step in optimizer_steps(code):
        model, loop = _model_in(code, scope), _loop_around(scope, step)
        progress = _progress_in(code, loop) if loop else None
        if loop is None or model is None or progress is None:
            continue
        return [
            code.before(loop, "average, averaged = [], 0\n"),
            code.after(step, _COLLECT.format(model=model, progress=progress)),
            code.after(loop, _RESTORE.format(model=model)),
        ]
    return None


_COLLECT = """\
if {progress} > 0.9:  # average the last tenth
    averaged += 1
    with torch.no_grad():
        if not average:
            average = [p.detach().float().clone() for p in {model}.parameters()]
        for mean, p in zip(average, {model}.parameters()):
            mean.lerp_(p.float(), 1 / averaged)
"""
_RESTORE = """\
with torch.no_grad():
    for mean, p in zip(average, {model}.parameters()):
        p.copy_(mean)
"""


# ---- small questions -----------------------------------------------------------------------------------


def _rest_of_budget(node: ast.expr) -> bool:
    """True for `1 - progress` and `1.0 - t`."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and is_number(node.left, 1)
        and is_plain_name(node.right)
    )


def _named(code: Code, word: str) -> Iterator[ast.FunctionDef]:
    return (f for f in code.find(ast.FunctionDef) if word in f.name.split("_"))


def optimizer_steps(code: Code) -> Iterator[tuple[Scope, ast.stmt]]:
    """(scope, statement) of each `optimizer.step()`; where several optimizers step, the loop over them."""
    scopes: list[Scope] = [*code.find(ast.FunctionDef), code.tree]
    for scope in scopes:
        for call in _calls_in(code, scope, "step"):
            owner = code.text(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            statement = code.statement_of(call)
            if not owner.startswith("opt") or not isinstance(statement, ast.Expr):
                continue
            loops = (loop for loop in code.find(ast.For, scope) if is_name(loop.target, owner))
            yield scope, next((s for s in loops if any(n is call for n in ast.walk(s))), statement)


def _calls_in(code: Code, scope: Scope, name: str) -> Iterator[ast.Call]:
    """Calls of `name` or `….name` that belong to the scope itself, not to a function inside it."""
    inner = {
        id(node)
        for function in code.find(ast.FunctionDef, scope)
        if function is not scope
        for node in ast.walk(function)
    }
    for call in code.find(ast.Call, scope):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else code.text(call.func)
        if called == name and id(call) not in inner:
            yield call


def _model_in(code: Code, scope: Scope) -> str | None:
    """The model's name in a scope: its parameter `model`, or what is cleared of gradients or scored there."""
    if isinstance(scope, ast.FunctionDef) and "model" in {a.arg for a in scope.args.args}:
        return "model"
    for name in ("zero_grad", "evaluate_bpb"):
        for call in _calls_in(code, scope, name):
            owner = call.func.value if isinstance(call.func, ast.Attribute) else None
            target = owner or (call.args[0] if call.args else None)
            if isinstance(target, ast.Name) and not target.id.startswith("opt"):
                return target.id
    return None


def _progress_in(code: Code, loop: ast.For | ast.While) -> str | None:
    """How the share of the budget that is spent reads inside a loop."""
    for name in code.find(ast.Name, loop):
        if name.id == "progress" and isinstance(name.ctx, ast.Store):
            return "progress"
    for attribute in code.find(ast.Attribute, loop):
        if attribute.attr == "progress" and is_plain_name(attribute.value):
            return code.text(attribute)
    return None


def _loop_around(scope: Scope, step: ast.stmt) -> ast.For | ast.While | None:
    """The loop of the scope's own body that contains a statement."""
    for statement in scope.body:
        inside = any(node is step for node in ast.walk(statement))
        if isinstance(statement, (ast.For, ast.While)) and inside and statement is not step:
            return statement
    return None
