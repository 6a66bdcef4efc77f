"""Matchers for patterns in the model: each returns the edits that make the change, or None where it does not fit.

They look for idioms, not for names of one file, so that they fit this trainer, the ancestor's and its forks.
Pure; see `patterns` for what they are for.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from evolve.propose.spans import Code, Edit

Edits = list[Edit] | None
Matcher = Callable[[Code], Edits]


def activation(template: str) -> Matcher:
    """Replace relu(x)², written as `.square()`, `** 2` or `.pow(2)`, by `template` of {x}."""

    def match(code: Code) -> Edits:
        return [
            code.replace(node, template.format(x=code.text(inner)))
            for node in code.find(ast.expr)
            if (inner := _relu_squared(code, node)) is not None
        ]

    return match


def _relu_squared(code: Code, node: ast.expr) -> ast.expr | None:
    """The argument of relu when `node` is the square of relu."""
    base: ast.expr | None = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and is_number(node.right, 2):
        base = node.left
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        squares = node.func.attr == "square" and not node.args
        powers = node.func.attr == "pow" and len(node.args) == 1 and is_number(node.args[0], 2)
        if squares or powers:
            base = node.func.value
    if isinstance(base, ast.Call) and len(base.args) == 1 and not base.keywords:
        name = code.text(base.func)
        return base.args[0] if name in {"F.relu", "torch.relu"} else None
    return None


def uncapped(code: Code) -> Edits:
    """`cap * tanh(x / cap)` becomes `x`."""
    edits: list[Edit] = []
    for node, inner, _ in _softcaps(code):
        statement, x = code.statement_of(node), code.text(inner)
        if isinstance(statement, ast.Assign) and code.text(statement.targets[0]) == x:
            edits.append(code.delete(statement))  # no `logits = logits`
        else:
            edits.append(code.replace(node, x))
    return edits


def softcap(factor: float) -> Matcher:
    """Multiply the literal cap of `cap * tanh(x / cap)`, or the variable that holds it; 60 is the most."""

    def match(code: Code) -> Edits:
        edits: list[Edit] = []
        for node, inner, cap in _softcaps(code):
            new = _grown(cap, factor)
            if new:
                x = code.text(inner)
                edits.append(code.replace(node, f"{new} * torch.tanh({x} / {new})"))
            for assigned in code.find(ast.Assign):
                new = _grown(assigned.value, factor)
                if new and code.text(assigned.targets[0]) == code.text(cap):
                    edits.append(code.replace(assigned.value, new))
        return edits

    return match


def _grown(cap: ast.expr, factor: float) -> str | None:
    """The literal `cap` times `factor`, when it is one and stays within reason."""
    if not isinstance(cap, ast.Constant) or type(cap.value) not in {int, float}:
        return None
    value = float(str(cap.value)) * factor
    if value > 60:
        return None
    return str(round(value)) if type(cap.value) is int else repr(value)


def _softcaps(code: Code) -> Iterator[tuple[ast.expr, ast.expr, ast.expr]]:
    """(whole, x, cap) of each `cap * torch.tanh(x / cap)`."""
    for node in code.find(ast.BinOp):
        if not (isinstance(node.op, ast.Mult) and isinstance(node.right, ast.Call)):
            continue
        call, cap = node.right, node.left
        if code.text(call.func) not in {"torch.tanh", "F.tanh"} or len(call.args) != 1:
            continue
        inner = call.args[0]
        if not (isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div)):
            continue
        if code.text(inner.right) == code.text(cap):
            yield node, inner.left, cap


def qk_gain(gain: float) -> Matcher:
    """`q, k = norm(q), norm(k)` becomes `q, k = norm(q) * gain, norm(k)`."""

    def match(code: Code) -> Edits:
        for node in code.find(ast.Assign):
            if isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
                first, second = node.value.elts
                if _norm_of(first, "q") and _norm_of(second, "k"):
                    return [code.replace(first, f"{code.text(first)} * {gain}")]
        for node in code.find(ast.Assign):
            if _norm_of(node.value, "q") and is_name(node.targets[0], "q"):
                return [code.replace(node.value, f"{code.text(node.value)} * {gain}")]
        return None

    return match


def _norm_of(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and is_name(node.func, "norm")
        and len(node.args) == 1
        and is_name(node.args[0], name)
    )


def attention_norm(code: Code) -> Edits:
    """`self.c_proj(y)` of the attention becomes `self.c_proj(norm(y))`."""
    for definition in code.find(ast.ClassDef):
        if "attention" not in definition.name.lower() or not has_function(code, "norm"):
            continue
        for call in code.find(ast.Call, definition):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            if (
                name in {"c_proj", "proj", "out", "out_proj", "o_proj", "wo"}
                and len(call.args) == 1
            ):
                heads = code.text(call.args[0])
                if not heads.startswith("norm("):
                    return [code.replace(call.args[0], f"norm({heads})")]
    return None


def value_gate_range(code: Code) -> Edits:
    """`gate = 2 * torch.sigmoid(…)` becomes `3 * …`."""
    for node in code.find(ast.Assign):
        value = node.value
        if (
            is_name(node.targets[0], "gate")
            and isinstance(value, ast.BinOp)
            and is_number(value.left, 2)
            and code.text(value.right).startswith("torch.sigmoid(")
        ):
            return [code.replace(value.left, "3")]
    return None


def by_depth(word: str, first: float, last: float) -> Matcher:
    """`self.…word….fill_(c)` becomes a straight line over the layers."""

    def match(code: Code) -> Edits:
        for call in code.find(ast.Call):
            if not (isinstance(call.func, ast.Attribute) and call.func.attr == "fill_"):
                continue
            owner = code.text(call.func.value)
            if word in owner:
                line = f"{owner}.copy_(torch.linspace({first}, {last}, {owner}.numel()))"
                return [code.replace(call, line)]
        return None

    return match


def embedding_norm(code: Code) -> Edits:
    """Norm what the embedding returns, where that is not done yet."""
    found = _embedding_lookup(code)
    if found is None or not has_function(code, "norm"):
        return None
    statement, call, normed = found
    del statement
    return None if normed else [code.replace(call, f"norm({code.text(call)})")]


def smear(share: float) -> Matcher:
    """Add a share of the previous token's embedding behind the lookup; it looks back only."""

    def match(code: Code) -> Edits:
        found = _embedding_lookup(code)
        if found is None or "smear" in code.source.lower():
            return None
        x = code.text(found[0].targets[0])
        line = f"{x} = torch.cat(({x}[:, :1], {x}[:, 1:] + {share} * {x}[:, :-1]), dim=1)  # smear"
        return [code.after(found[0], line)]

    return match


def _embedding_lookup(code: Code) -> tuple[ast.Assign, ast.Call, bool] | None:
    """(statement, call, already normed) of `x = self.…wte(idx)` or `x = norm(self.embed(idx))`."""
    for function in code.find(ast.FunctionDef):
        if function.name != "forward" or len(function.args.args) < 2:
            continue
        tokens = function.args.args[1].arg
        body = [s for s in function.body if isinstance(s, ast.Assign) and len(s.targets) == 1]
        for index, statement in enumerate(body):
            for call in code.find(ast.Call, statement.value):
                if not (
                    call.args
                    and is_name(call.args[0], tokens)
                    and isinstance(call.func, ast.Attribute)
                ):
                    continue
                if call.func.attr in {"wte", "embed", "embedding", "tok_emb", "token_embedding"}:
                    following = body[index + 1 : index + 2]
                    normed = any("norm(" in code.text(s) for s in [statement, *following])
                    if is_plain_name(statement.targets[0]):
                        return statement, call, normed
    return None


def backout(share: float) -> Matcher:
    """Remember the stream in the middle of the blocks and take a share of it out behind them."""

    def match(code: Code) -> Edits:
        for function in code.find(ast.FunctionDef):
            if function.name != "forward" or "backout" in code.source.lower():
                continue
            for loop in (s for s in function.body if isinstance(s, ast.For)):
                found = _enumerated_blocks(code, loop)
                if found:
                    index, blocks, x = found
                    return [
                        code.after(
                            loop.body[-1], f"if {index} == len({blocks}) // 2:\n    middle = {x}"
                        ),
                        code.after(loop, f"{x} = {x} - {share} * middle  # backout"),
                    ]
        return None

    return match


def _enumerated_blocks(code: Code, loop: ast.For) -> tuple[str, str, str] | None:
    """(index, blocks, x) of `for i, block in enumerate(blocks): … x = block(x, …)`."""
    call, target = loop.iter, loop.target
    if not (isinstance(call, ast.Call) and is_name(call.func, "enumerate") and len(call.args) == 1):
        return None
    if not (isinstance(target, ast.Tuple) and all(map(is_plain_name, target.elts))):
        return None
    last = loop.body[-1]
    index, block = (code.text(name) for name in target.elts)
    if (
        isinstance(last, ast.Assign)
        and isinstance(last.value, ast.Call)
        and code.text(last.value.func) == block
        and is_plain_name(last.targets[0])
    ):
        return index, code.text(call.args[0]), code.text(last.targets[0])
    return None


def mlp_expansion(factor: int) -> Matcher:
    """Replace every `4 * width` inside the MLP."""

    def match(code: Code) -> Edits:
        for definition in code.find(ast.ClassDef):
            if definition.name.lower() in {"mlp", "feedforward", "ffn"}:
                return [
                    code.replace(node.left, str(factor))
                    for node in code.find(ast.BinOp, definition)
                    if isinstance(node.op, ast.Mult) and is_number(node.left, 4)
                ]
        return None

    return match


def value_embeddings_everywhere(code: Code) -> Edits:
    """`layer % 2 == …` of the rule that places value embeddings becomes `layer % 1 == …`."""
    for function in code.find(ast.FunctionDef):
        if "ve" in function.name.split("_") or "value_embed" in function.name:
            return [
                code.replace(node.right, "1")
                for node in code.find(ast.BinOp, function)
                if isinstance(node.op, ast.Mod) and is_number(node.right, 2)
            ]
    return None


def short_window(factor: int) -> Matcher:
    """`short = long // n` becomes `long // (factor n)`."""

    def match(code: Code) -> Edits:
        for node in code.find(ast.Assign):
            value = node.value
            if (
                "short" in code.text(node.targets[0])
                and isinstance(value, ast.BinOp)
                and isinstance(value.op, ast.FloorDiv)
                and isinstance(value.right, ast.Constant)
                and isinstance(value.right.value, int)
                and value.right.value * factor <= 16
            ):
                return [code.replace(value.right, str(value.right.value * factor))]
        return None

    return match


def init_scale(factor: float) -> Matcher:
    """Scale the bound of the matrices' uniform initialisation: `s = 3**0.5 * width**-0.5`."""

    def match(code: Code) -> Edits:
        for function in code.find(ast.FunctionDef):
            draws = " ".join(
                code.text(call)
                for call in code.find(ast.Call, function)
                if "uniform_" in code.text(call.func)
            )
            for node in code.find(ast.Assign, function):
                name, value = node.targets[0], node.value
                used = isinstance(name, ast.Name) and f"-{name.id}, {name.id}" in draws
                if used and isinstance(value, ast.BinOp) and not _scaled(value):
                    return [code.replace(value, f"{factor} * {code.text(value)}")]
        return None

    return match


def _scaled(node: ast.expr) -> bool:
    """True when the leftmost factor is a plain fraction, or a constant in capitals, already."""
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        node = node.left
    if isinstance(node, ast.Name):
        return node.id.isupper()
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


# ---- small questions -----------------------------------------------------------------------------------


def is_number(node: ast.expr, value: float) -> bool:
    """True for that literal."""
    return (
        isinstance(node, ast.Constant) and type(node.value) in {int, float} and node.value == value
    )


def is_name(node: ast.expr, name: str) -> bool:
    """True for that plain name."""
    return isinstance(node, ast.Name) and node.id == name


def is_plain_name(node: ast.expr) -> bool:
    """True for any plain name."""
    return isinstance(node, ast.Name)


def has_function(code: Code, name: str) -> bool:
    """True when the module defines that function."""
    return any(isinstance(s, ast.FunctionDef) and s.name == name for s in code.tree.body)
