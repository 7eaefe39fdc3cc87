"""Arithmetic on what a model writes: read as a syntax tree, never evaluated as Python."""

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

from agent.errors import ToolFailed

MAX_EXPRESSION_CHARS = 1_000
MAX_BITS = 10_000  # of an integer: about 3000 digits
MAX_FACTORIAL = 1_000
MAX_DIGITS = 100  # that round() may be asked for

Number: TypeAlias = int | float

_WRITTEN = str.maketrans(
    {"×": "*", "÷": "/", "−": "-", "–": "-", "（": "(", "）": ")", "，": ",", "＋": "+", "＊": "*", "／": "/", "。": "."}
)  # what people type
_CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau}


def calculator(expression: str) -> str:
    """Calculate an arithmetic expression, such as "(3 + 4) * 2 ** 5" or "round(sqrt(2), 3)".

    Args:
        expression: + - * / // % ** and parentheses; abs round min max sum sqrt floor ceil log log2 log10 exp sin cos tan factorial gcd; pi e
    """
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise ToolFailed(f"the expression has {len(expression)} characters; at most {MAX_EXPRESSION_CHARS} are accepted: calculate it in parts")
    try:
        tree = ast.parse(expression.translate(_WRITTEN).strip().removesuffix("=").strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ToolFailed(f"{expression!r} is no arithmetic expression: {reason}") from None
    try:
        return _written(_value(tree.body))
    except ToolFailed:
        raise
    except ZeroDivisionError:
        raise ToolFailed(f"{expression!r} divides by zero") from None
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise ToolFailed(f"{expression!r} cannot be calculated: {error}") from None


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(op, _value(left), _value(right))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _called(name, [_value(argument) for argument in arguments])
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case _:
            raise ToolFailed(_not_understood(node))


def _combined(op: ast.operator, left: Number, right: Number) -> Number:
    function = _OPERATORS.get(type(op))
    if function is None:
        hint = ": write powers with **" if isinstance(op, ast.BitXor) else ""
        raise ToolFailed(f"the operator {type(op).__name__} is not known{hint}")
    return _bounded(function(left, right))


def _called(name: str, arguments: list[Number]) -> Number:
    function = _FUNCTIONS.get(name)
    if function is None:
        raise ToolFailed(f"the function {name!r} is not known; there are {', '.join(_FUNCTIONS)}")
    return _bounded(function(*arguments))


def _bounded(value: Any) -> Number:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ToolFailed(_too_large())
    if isinstance(value, complex):
        raise ToolFailed("the result is no real number")
    if not isinstance(value, int | float):
        raise ToolFailed("the result is no number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ToolFailed("the result is too large for a decimal number")
    return value


def _power(base: Number, exponent: Number) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0 and base.bit_length() * exponent > 2 * MAX_BITS and abs(base) > 1:
        raise ToolFailed(_too_large())
    return base**exponent


def _factorial(value: Number) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_FACTORIAL:
        raise ToolFailed(f"factorial takes a whole number from 0 to {MAX_FACTORIAL}, not {value}")
    return math.factorial(value)


def _round(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > MAX_DIGITS:
        raise ToolFailed(f"round takes a whole number of digits, at most {MAX_DIGITS}, not {digits}")
    return round(value, digits) if digits else round(value)


def _sum(*values: Number) -> Number:
    return sum(values)


def _too_large() -> str:
    return f"the result is too large: more than {MAX_BITS} bits"


def _not_understood(node: ast.expr) -> str:
    if isinstance(node, ast.Tuple):
        return "a comma separates the arguments of a function; write numbers without thousands separators"
    if isinstance(node, ast.Name):
        return f"the name {node.id!r} is not known: write numbers; the constants are {', '.join(_CONSTANTS)}"
    return f"{type(node).__name__} is not arithmetic: numbers, + - * / // % ** and the named functions are"


def _written(value: Number) -> str:
    """Fifteen digits are what a double holds for certain: 0.1 + 0.2 is 0.3 to a reader."""
    return str(value) if isinstance(value, int) else format(value, ".15g")


_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "round": _round,
    "min": min,
    "max": max,
    "sum": _sum,
    "sqrt": math.sqrt,
    "floor": math.floor,
    "ceil": math.ceil,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "factorial": _factorial,
    "gcd": math.gcd,
}
