"""One worked example for the embedded model, made of tools that are offered: without one it does not find its way."""

import json
from collections.abc import Collection
from typing import Any

Message = dict[str, Any]

_ROOMS = (
    ("list_files", {"path": "."}, "README.txt 80\nroom_a.txt 32\nroom_b.txt 30"),
    ("read_file", {"path": "room_a.txt"}, "Room A\ntables: 1\nboxes: 4"),
    ("read_file", {"path": "room_b.txt"}, "Room B\nboxes: 9\nlamps: 2"),
)
_ROOM = (_ROOMS[0], ("read_file", {"path": "room_b.txt"}, "Room B\nTeacher: Maria\n4 tables\n9 boxes\nClosed on Sunday."))
_SUM = ("calculator", {"expression": "4 + 9"}, "13")
_PENS = (("calculator", {"expression": "3 * 12"}, "36"),)
_CAPITAL = (("find_country", {"person": "Anna"}, "France"), ("find_capital", {"country": "France"}, "Paris"))

# Which tools an example needs, its steps, and task and answer by language. The first that fits is shown.
_EXAMPLES: tuple[tuple[frozenset[str], tuple[tuple[str, dict[str, Any], str], ...], dict[str, tuple[str, str]]], ...] = (
    (
        frozenset({"list_files", "read_file", "calculator"}),
        (*_ROOMS, _SUM),
        {
            "en": ("How many boxes are in the two room files together?", "There are 13 boxes together: 4 in room_a.txt and 9 in room_b.txt."),
            "zh": ("两个房间文件里一共有多少个箱子?", "一共有 13 个箱子:room_a.txt 有 4 个,room_b.txt 有 9 个。"),
        },
    ),
    (
        frozenset({"list_files", "read_file"}),
        _ROOM,
        {
            "en": ("Look into the files: who is the teacher of room B, and what is in it?", "The teacher of room B is Maria. In it are 4 tables and 9 boxes."),
            "zh": ("请查看文件:B 房间的老师是谁,里面有什么?", "B 房间的老师是 Maria,里面有 4 张桌子和 9 个箱子。"),
        },
    ),
    (
        frozenset({"calculator"}),
        _PENS,
        {
            "en": ("There are 3 boxes with 12 pens each. How many pens are there?", "There are 36 pens."),
            "zh": ("有 3 个盒子,每个盒子里有 12 支笔。一共有多少支笔?", "一共有 36 支笔。"),
        },
    ),
    (
        frozenset(),
        _CAPITAL,
        {
            "en": ("What is the capital of the country where Anna lives?", "Anna lives in France; its capital is Paris."),
            "zh": ("安娜所在国家的首都是哪里?", "安娜住在法国,首都是巴黎。"),
        },
    ),
)


def example_for(offered: Collection[str], language: str) -> list[Message]:
    """Return a whole conversation that ends with an answer, as messages."""
    steps, words = next((steps, words) for needed, steps, words in _EXAMPLES if needed <= set(offered))
    task, answer = words.get(language, words["en"])
    messages: list[Message] = [{"role": "user", "content": task}]
    for number, (name, arguments, result) in enumerate(steps):
        call_id = f"example_{number}"
        call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        messages += [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": call_id, "content": result}]
    return [*messages, {"role": "assistant", "content": answer}]
