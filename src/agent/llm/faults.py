"""What a failed call means: may it be tried again, when, and in whose words; never with a key in them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from agent.clock import now
from agent.errors import ContextTooLong, ModelError, ModelRejected, ModelUnavailable

MAX_WORDS = 600
"""Characters kept of what a provider said."""

SHORTEST_SECRET = 6
"""Characters; a shorter key stands for "none" with local servers, and leaving it out would garble the words."""

MAX_READ = 10_000
"""Characters of an error's text that are read for what it means."""

# Conflict and "too early" are what gateways answer while they move a request elsewhere.
_MAY_PASS = frozenset({408, 409, 423, 425, 429})
_LAST_STATUS = 599
# Said with 429 by providers when no money is left: waiting does not help.
_NO_MONEY = ("insufficient_quota", "insufficient balance", "billing", "exceeded your current quota", "arrearage", "credit balance")
# How providers and servers say that a prompt is longer than the model takes; matched without case.
_TOO_LONG = re.compile(
    r"context[_ -]?(?:length|window|size)[^.]{0,40}exceed|exceed[^.]{0,80}context|maximum context|max_model_len|context_length"
    r"|(?:prompt|input|request|conversation|messages?)[^.]{0,40} (?:is|are|was) too long|too many (?:input )?tokens(?! per)"
    r"|range of input length should be|too large for model"
    r"|(?:prompt|input)[^.]{0,60}(?:exceeds?|longer than|larger than)[^.]{0,60}(?:token|context|limit|length)|input token count[^.]{0,40}exceeds"
    r"|reduce the length|上下文.{0,10}(?:超|过长)|(?:输入|提示).{0,10}(?:超过|过长)",
    re.IGNORECASE,
)
_CONCERNS_LENGTH = frozenset({400, 413, 422})
_SECRET = re.compile(r"\b(?:(?:sk|pk|rk|gsk|csk|xai|hf|key|nvapi)[-_]|AIza|Bearer\s+)[-A-Za-z0-9_*.]{8,}")


class Caller:
    """Who was called, as an error's sentence names them (`openai:gpt-… at api.openai.com`), with the secrets to leave out of it."""

    __slots__ = ("_name", "_secrets")

    def __init__(self, name: str, *secrets: str | None) -> None:
        self._name = name
        self._secrets = tuple(secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET)

    def __str__(self) -> str:
        return self._name

    __repr__ = __str__

    def scrub(self, words: str) -> str:
        """Return `words` shortened, in one line, without our key and without anything shaped like one."""
        for secret in self._secrets:
            words = words.replace(secret, "***")
        words = " ".join(_SECRET.sub("***", words).split())
        return words if len(words) <= MAX_WORDS else words[:MAX_WORDS] + "…"


def refused(caller: Caller, status: int, body: object, headers: Mapping[str, str] | None = None, *, hint: str = "") -> ModelError:
    """Return the error for an answer with HTTP `status`."""
    words = caller.scrub(words_of(body)) or "no reason given"
    headers = headers or {}
    retry_after_s = retry_after(headers)
    if status in _MAY_PASS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if status == HTTPStatus.TOO_MANY_REQUESTS and any(sign in words.lower() for sign in _NO_MONEY):
            return ModelRejected(f"{caller} refused for lack of credit (HTTP 429): {words}", status=status)
        return ModelUnavailable(f"{caller} is not available now (HTTP {status}): {words}", status=status, retry_after_s=retry_after_s)
    if status in _CONCERNS_LENGTH and (_TOO_LONG.search(words) or _code_of(body) == "context_length_exceeded"):
        return ContextTooLong(f"{caller} refused the request (HTTP {status}): {words}", status=status)
    advice = _ADVICE.get(status, "")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        advice = "; it redirects elsewhere: correct the base URL"
    return ModelRejected(f"{caller} refused the request (HTTP {status}): {words}{advice}{hint}", status=status)


def _code_of(body: object) -> object:
    error = body.get("error", body) if isinstance(body, dict) else None
    return error.get("code") if isinstance(error, dict) else None


def says_too_long(error: BaseException) -> bool:
    """Whether an error says that the prompt is longer than the model takes; also one of a caller's own model, by its words."""
    if isinstance(error, ContextTooLong):
        return True
    return not isinstance(error, ModelUnavailable) and _TOO_LONG.search(str(error)[:MAX_READ]) is not None


_ADVICE = {
    401: "; check the key",
    402: "; check the account's credit",
    403: "; check what the key may do",
    404: "; check the model's name and the base URL",
    413: "; the request is too large: shorten the conversation",
}


def said_in_answer(caller: Caller, error: object) -> ModelError:
    """Return the error for one told inside an answer that began well: `{"error": …}` in a body or a stream."""
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    status = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else None
    if status is not None and HTTPStatus.BAD_REQUEST <= status <= _LAST_STATUS:
        return refused(caller, status, {"error": error})
    words = caller.scrub(words_of({"error": error})) or "no reason given"
    kind = str(error.get("type", "")) if isinstance(error, dict) else ""
    if "invalid" in kind or "authentication" in kind or "permission" in kind:
        return ModelRejected(f"{caller} refused the request: {words}", status=400 if "invalid" in kind else 401)
    return ModelUnavailable(f"{caller} broke off its answer: {words}")


def words_of(body: object) -> str:
    """Return what a provider says went wrong, from any of the shapes in use: `error.message`, `message`, `detail`, a list of them, or text."""
    if isinstance(body, (list, tuple)):
        return "; ".join(filter(None, (words_of(item) for item in body[:3])))
    if isinstance(body, dict):
        for key in ("error", "message", "msg", "detail", "errors"):
            if words := words_of(body.get(key)):
                metadata = body.get("metadata")
                raw = metadata.get("raw") if isinstance(metadata, dict) else None  # OpenRouter: the words of the provider behind it
                return f"{words} ({raw})" if isinstance(raw, str) and raw else words
        return ""
    return body.strip() if isinstance(body, str) else ""


def retry_after(headers: Mapping[str, str], at: datetime | None = None) -> float | None:
    """Return the seconds that a provider asks to wait, from `retry-after-ms` or `Retry-After` (seconds or a date), or None.

    Source: RFC 9110, section 10.2.3.
    """
    found: dict[str, Any] = {key.lower(): value for key, value in headers.items()}
    for key, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = str(found.get(key, "")).strip()
        try:
            seconds = float(text) / scale
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        moment = parsedate_to_datetime(str(found.get("retry-after", "")))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (at or now())).total_seconds())
