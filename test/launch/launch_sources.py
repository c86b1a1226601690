"""Read launch files as source text, for machines where the package launch is missing."""

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILES = sorted((ROOT / 'launch').glob('*.launch.py'))


def calls(path: Path, name: str) -> list[ast.Call]:
    """Calls of ``name(...)`` in a launch file."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == name
    ]  # fmt: skip


def keywords(path: Path, name: str) -> list[dict[str, Any]]:
    """Keyword arguments of each call of ``name``; texts as texts, the rest as source."""
    return [
        {keyword.arg: _value(keyword.value) for keyword in call.keywords if keyword.arg}
        for call in calls(path, name)
    ]


def texts(path: Path) -> set[str]:
    """Every text in a launch file."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def remapped_names(path: Path) -> set[str]:
    """Names that the launch file remaps: the first of each pair in its lists of remappings."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        for key, value in _named_values(node):
            if key == 'remappings' and isinstance(value, ast.List):
                names.update(ast.literal_eval(pair.elts[0]) for pair in value.elts)  # type: ignore[attr-defined]
    return names


def declared_arguments(path: Path) -> set[str]:
    """Names of the launch arguments, from the calls and from tables called *ARGUMENTS."""
    names = {
        call.args[0].value
        for call in calls(path, 'DeclareLaunchArgument')
        if isinstance(call.args[0], ast.Constant)
    }
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith('ARGUMENTS'):
            names.update(row[0] for row in ast.literal_eval(node.value))
    return names


def _named_values(node: ast.AST) -> list[tuple[Any, ast.expr]]:
    if isinstance(node, ast.Call):
        return [(keyword.arg, keyword.value) for keyword in node.keywords]
    if isinstance(node, ast.Dict):
        return [
            (key.value, value)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant)
        ]
    return []


def _value(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)
