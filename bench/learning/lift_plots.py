"""Plots as SVG, without a library: lines and bars, readable on light and dark."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")  # P. Tol's "bright", told apart also by the colour-blind
GREY = "#888888"


def lines(file: Path, series: Mapping[str, Sequence[tuple[float, float]]], *, title: str, x: str, floor: float) -> None:
    """Draw shares over a quantity (by its rank), from .8 to 1, with the floor that they are to keep."""
    width, height, left, top = 760, 330 + 18 * len(series), 60, 40
    ranks = sorted({at for points in series.values() for at, _ in points})

    def place(at: float, share: float) -> tuple[float, float]:
        return left + 40 + ranks.index(at) * (width - left - 120) / max(len(ranks) - 1, 1), top + (1 - max(share, 0.8)) / 0.2 * 240

    parts = [_text(left, 22, title, size=15)]
    for tick in (0.8, 0.85, 0.9, 0.95, 1.0):
        y = place(ranks[0], tick)[1]
        parts += [_line(left, y, width - 20, y, GREY, 0.5), _text(left - 8, y + 4, f"{tick:.2f}", anchor="end")]
    y = place(ranks[0], floor)[1]
    parts += [_line(left, y, width - 20, y, "#cc3311", 1.5, dash="6 4"), _text(width - 22, y - 5, f"bar: {floor}", anchor="end", fill="#cc3311")]
    parts += [_text(place(at, 0.8)[0], top + 260, f"{at:g}", anchor="middle") for at in ranks]
    parts.append(_text(width / 2, top + 280, x, anchor="middle"))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (place(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in (place(*point) for point in points)]
        parts += [_line(left, top + 302 + 18 * number, left + 24, top + 302 + 18 * number, colour, 3), _text(left + 32, top + 306 + 18 * number, name)]
    write(file, width, height + 10, parts, title)


def bars(file: Path, shares: Mapping[str, float], *, title: str) -> None:
    """Draw a share a name, from 0 to 1."""
    width, left, step = 760, 260, 22
    parts = [_text(20, 22, title, size=15)]
    for number, (name, share) in enumerate(shares.items()):
        y = 40 + number * step
        parts.append(_text(left - 10, y + 13, name, anchor="end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{max(share * (width - left - 80), 1):.1f}" height="16" fill="{COLOURS[0]}"/>')
        parts.append(_text(left + share * (width - left - 80) + 6, y + 13, f"{100 * share:.1f} %"))
    write(file, width, 50 + step * len(shares), parts, title)


def write(file: Path, width: float, height: float, parts: Sequence[str], title: str) -> None:
    """Write a drawing as a file."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="12" role="img">'
    back = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    file.write_text("\n".join([head, f"<title>{escape(title)}</title>", back, *parts, "</svg>", ""]), encoding="utf-8")


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, fill: str = "#222222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float, *, dash: str = "none") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>'
