"""Messages in the shape of OpenAI's chat format: the one shape inside this program."""

from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
"""Keys: `role` (system, user, assistant, tool), `content` (text or content parts), `tool_calls`, `tool_call_id`, `name`,
`provider_state`. A plain dict, because models are plain callables; never changed once made."""


def user_message(content: Any) -> Message:
    """Return a user's message; `content` is text or a list of parts."""
    return {"role": "user", "content": content}


def system_message(content: str) -> Message:
    """Return a system message."""
    return {"role": "system", "content": content}


def tool_message(tool_call_id: str, name: str, content: str) -> Message:
    """Return the answer to one tool request; Gemini needs the name."""
    return {"role": "tool", "tool_call_id": tool_call_id, "name": name, "content": content}


def task_text(task: Any) -> str:
    """Return the words of a task that may also hold images."""
    if isinstance(task, str):
        return task
    return "\n".join(str(part.get("text", "")) for part in task if isinstance(part, dict) and part.get("type", "text") == "text")
