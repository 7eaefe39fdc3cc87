"""Learning curves as inline SVG: no script, nothing from elsewhere, readable without colours."""

import html
from collections.abc import Sequence

from agent.evals.results import Curve

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 110, 12, 40
STYLES = {"none": ("#5f6b7a", ""), "memory": ("#0b7a4b", ""), "placebo": ("#b3541e", "6 4"), "random": ("#7a4fb3", "2 3")}
"""Colour and dashes of each arm's line."""
LABEL_GAP = 14  # between the names at the ends of lines


def curves_svg(curves: Sequence[Curve], *, title: str) -> str:
    """Return the curves as one SVG element, with 95 % bands; "" where there is nothing to draw."""
    drawn = [curve for curve in curves if curve.points]
    length = max((point.until for curve in drawn for point in curve.points), default=0)
    if not length:
        return ""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}" xmlns="http://www.w3.org/2000/svg"',
        ' font-family="inherit" font-size="12">',
        f"<title>{html.escape(title)}</title>",
        *_grid(length),
        *(_band(curve, length) for curve in drawn),
        *(_line(curve, length) for curve in drawn),
        *_labels(drawn),
        "</svg>",
    ]
    return "\n".join(parts)


def _x(position: float, length: int) -> float:
    return LEFT + position / length * (WIDTH - LEFT - RIGHT)


def _y(score: float) -> float:
    return HEIGHT - BOTTOM - score * (HEIGHT - TOP - BOTTOM)


def _grid(length: int) -> list[str]:
    lines: list[str] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = _y(share)
        lines.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="currentColor" stroke-opacity=".15"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="currentColor">{share * 100:.0f} %</text>')
    ticks = dict.fromkeys((0, length // 4, length // 2, length * 3 // 4, length))
    lines += [f'<text x="{_x(n, length):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="currentColor">{n}</text>' for n in ticks]
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [*lines, f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle" fill="currentColor">tasks so far</text>']


def _points(curve: Curve, length: int) -> list[tuple[float, float, float, float]]:
    """Return the middle of each piece: x, and y of the mean and of both ends of its interval."""
    found = []
    for point in curve.points:
        interval = point.score.interval
        found.append((_x((point.first + point.until) / 2, length), _y(interval.estimate), _y(interval.low), _y(interval.high)))
    return found


def _band(curve: Curve, length: int) -> str:
    points = _points(curve, length)
    edge = [(x, high) for x, _, _, high in points] + [(x, low) for x, _, low, _ in reversed(points)]
    colour, _ = STYLES.get(curve.arm, ("currentColor", ""))
    return f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in edge)}" fill="{colour}" fill-opacity=".12"/>'


def _line(curve: Curve, length: int) -> str:
    colour, dashes = STYLES.get(curve.arm, ("currentColor", ""))
    points = _points(curve, length)
    dotted = f' stroke-dasharray="{dashes}"' if dashes else ""
    line = f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)}" fill="none" stroke="{colour}" stroke-width="2"{dotted}/>'
    return line + "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y, _, _ in points)


def _labels(curves: Sequence[Curve]) -> list[str]:
    """Return the names at the right end, moved apart where they would cover each other."""
    ends = sorted((_y(curve.points[-1].score.interval.estimate), curve.arm) for curve in curves)
    placed: list[str] = []
    last = -float("inf")
    for y, arm in ends:
        last = max(y, last + LABEL_GAP)
        colour, _ = STYLES.get(arm, ("currentColor", ""))
        placed.append(f'<text x="{WIDTH - RIGHT + 8}" y="{last + 4:.1f}" fill="{colour}">{html.escape(arm)}</text>')
    return placed
