"""Draws the rooms of the package and who imports whom, read off the code itself.

    python scripts/house.py docs/house.svg

A box is a room with its modules and lines; an arrow points from a room to one that it imports, as thick as
the number of such imports. Imports inside functions and for type checking count.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "swatchbook"
#: From the ground up: a room may import those before it.
ROOMS = (
    "ground", "data", "drawn", "evaluation", "labeller", "audit", "models", "labeller.training", "report",
    "pipeline", "studies", "bulk", "cli",
)  # fmt: skip
FACADES = {"swatchbook", "swatchbook.__main__", "swatchbook.colab"}  # what stands before all rooms


def module_of(path: Path) -> str:
    """A file's name as a module."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The innermost room that a module belongs to; what lies beside the rooms is the ground."""
    inside = f"{module.partition('.')[2]}."
    return max((room for room in ROOMS if inside.startswith(f"{room}.")), key=len, default="ground")


def import_graph() -> dict[str, set[str]]:
    """Module → the modules of the package that it imports, lazy and type-checking imports included."""
    paths = {module_of(path): path for path in PACKAGE.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                # `from a import b` imports a.b where that is a module, and else a.
                found |= {name if name in paths else node.module for name in inner}
        graph[module] = (found & set(paths)) - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules that import themselves by way of others."""
    found = []
    for start in graph:
        seen: set[str] = set()
        queue = list(graph[start])
        while queue:
            current = queue.pop()
            if current not in seen:
                seen.add(current)
                queue += graph[current]
        found += [start] if start in seen else []
    return found


def draw(out: Path) -> None:
    """Draw the house."""
    import matplotlib.pyplot as plt

    graph = import_graph()
    arrows = Counter(
        (room_of(a), room_of(b)) for a, found in graph.items() for b in found if a not in FACADES
    )
    sizes = {room: [0, 0] for room in ROOMS}
    for path in PACKAGE.rglob("*.py"):
        size = sizes[room_of(module_of(path))]
        size[0], size[1] = size[0] + 1, size[1] + path.read_text(encoding="utf-8").count("\n")
    level = {"ground": 0}
    for room in ROOMS[1:]:
        level[room] = 1 + max((level.get(b, 0) for (a, b) in arrows if a == room and b != room), default=0)
    places = {}
    for floor in set(level.values()):
        here = [room for room in ROOMS if level[room] == floor]
        places |= {room: ((k + 1) / (len(here) + 1), floor) for k, room in enumerate(here)}
    figure, axes = plt.subplots(figsize=(9, 1.05 * (max(level.values()) + 1)), layout="constrained")
    for (a, b), count in arrows.items():
        if a != b:
            style = {"arrowstyle": "-|>", "color": "#8a857e", "alpha": 0.55, "lw": 0.4 + count / 12}
            style |= {"connectionstyle": "arc3,rad=0.08", "shrinkA": 16, "shrinkB": 16}
            axes.annotate("", places[b], places[a], arrowprops=style)
    for room, (x, y) in places.items():
        modules, lines = sizes[room]
        box = {"boxstyle": "round,pad=0.45", "facecolor": "#f4f1ec", "edgecolor": "#5d5954"}
        axes.text(
            x, y, f"{room}\n{modules} modules, {lines:,} lines", ha="center", va="center", size=9, bbox=box
        )
    axes.set(xlim=(0, 1), ylim=(-0.5, max(level.values()) + 0.5))
    axes.set_axis_off()
    total = [sum(size[k] for size in sizes.values()) for k in (0, 1)]
    ring = circles(graph)
    axes.set_title(
        f"{total[0]} modules, {total[1]:,} lines, {len(ROOMS)} rooms on {max(level.values()) + 1} floors; "
        f"{f'{len(ring)} modules' if ring else 'no module'} in a circle of imports",
        size=10,
    )
    plt.rcParams["svg.hashsalt"] = "swatchbook"
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/house.py FILE.svg")
    draw(Path(sys.argv[1]))
