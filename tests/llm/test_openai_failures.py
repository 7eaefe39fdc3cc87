"""The adapter for chat completions: what goes wrong, and how it is told."""

import asyncio
import pickle
from typing import Any

import pytest

from agent.errors import BadInput, ModelError, ModelRejected, ModelUnavailable
from agent.llm.openai import OpenAICompatible

USER = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


def model_at(server: Any, provider: str = "openai", name: str | None = "m", **options: Any) -> OpenAICompatible:
    return OpenAICompatible(name, provider=provider, base_url=server.url, api_key=options.pop("api_key", "sk-test-0123456789abcdef"), **options)


@pytest.mark.parametrize(
    "message",
    [{"content": None}, {"content": ""}, {"content": [], "tool_calls": []}, {"content": None, "tool_calls": None, "reasoning_content": "hm"}],
)
async def test_an_empty_answer_may_be_tried_again(chat_server: Any, message: dict[str, Any]) -> None:
    chat_server.says(message)

    with pytest.raises(ModelUnavailable, match="empty answer"):
        await model_at(chat_server)(USER)


@pytest.mark.parametrize("choices", [[], [{}], [{"message": None}], ["no"]])
async def test_an_answer_without_choices_may_be_tried_again(chat_server: Any, choices: list[Any]) -> None:
    chat_server.sends({"id": "x", "choices": choices})

    with pytest.raises(ModelUnavailable, match="without any choice"):
        await model_at(chat_server)(USER)


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
async def test_an_ending_that_would_repeat_is_told_instead(chat_server: Any, finish_reason: str) -> None:
    chat_server.says({"content": None}, finish_reason=finish_reason)

    reply = await model_at(chat_server)(USER)

    assert (reply["content"], reply["finish_reason"]) == (None, finish_reason)


@pytest.mark.parametrize("payload", ["<html>welcome</html>", [], {"detail": "moved"}, "null", "3", {"choices": "none"}, ""])
async def test_what_is_no_chat_completion_points_at_the_base_url(chat_server: Any, payload: Any) -> None:
    chat_server.sends(payload)

    with pytest.raises(ModelRejected, match=r"not a chat completion.*base URL"):
        await model_at(chat_server)(USER)


async def test_an_error_inside_an_answer_counts_by_its_code(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "rate limited upstream"}}})
    chat_server.sends({"error": {"message": "bad field", "type": "invalid_request_error"}})

    with pytest.raises(ModelUnavailable, match="rate limited upstream") as passing:
        await model_at(chat_server)(USER)
    with pytest.raises(ModelRejected, match="bad field"):
        await model_at(chat_server)(USER)
    assert passing.value.status == 429


async def test_an_error_inside_a_choice_counts_too(chat_server: Any) -> None:
    choice = {"index": 0, "error": {"code": 502, "message": "upstream is down"}, "finish_reason": "error"}
    chat_server.sends({"choices": [{**choice, "message": {"content": "half"}}]})
    chat_server.streams({"content": "half"}, finish_reason=None, tail=({"choices": [{**choice, "delta": {"content": ""}}]},))

    with pytest.raises(ModelUnavailable, match="upstream is down"):
        await model_at(chat_server)(USER)
    with pytest.raises(ModelUnavailable, match="upstream is down"):
        [part async for part in model_at(chat_server).stream(USER)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, ModelUnavailable) for status in (408, 409, 429, 500, 503, 529)),
        *((status, ModelRejected) for status in (307, 400, 401, 402, 403, 404, 422)),
    ],
)
async def test_a_status_says_whether_to_try_again_in_the_providers_own_words(chat_server: Any, status: int, kind: type[ModelError]) -> None:
    chat_server.sends({"error": {"message": "because of the moon"}}, status=status, headers={"location": "http://127.0.0.1:1/"})

    with pytest.raises(ModelError, match="because of the moon") as failed:
        await model_at(chat_server)(USER)

    assert type(failed.value) is kind
    assert failed.value.status == status
    assert len(chat_server.requests) == 1


async def test_a_rate_limit_says_how_long_to_wait(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "7"})

    with pytest.raises(ModelUnavailable) as failed:
        await model_at(chat_server)(USER)

    assert failed.value.retry_after_s == 7


async def test_a_rate_limit_for_lack_of_money_is_final(chat_server: Any) -> None:
    chat_server.sends({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, status=429)

    with pytest.raises(ModelRejected, match="credit"):
        await model_at(chat_server)(USER)


@pytest.mark.parametrize("key", ["sk-test-0123456789abcdef", "0f9e8d7c6b5a4321.zhipu", "quite+unlike/any=other"])
@pytest.mark.parametrize("status", [401, 500])
async def test_no_error_holds_the_key(chat_server: Any, key: str, status: int) -> None:
    words = f"Incorrect API key provided: {key}; header was 'Authorization: Bearer {key}', yours looks like sk-te**************cdef"
    chat_server.sends({"error": {"message": words}}, status=status)

    with pytest.raises(ModelError) as failed:
        await model_at(chat_server, api_key=key)(USER)

    error: BaseException | None = failed.value
    told = repr(model_at(chat_server, api_key=key)) + repr(pickle.loads(pickle.dumps(failed.value)).__dict__)
    while error is not None:
        assert error.__suppress_context__ or error.__context__ is None
        told += repr(error) + str(error) + repr(error.__dict__)
        error = error.__cause__
    assert key not in told
    assert "cdef" not in told
    assert "OPENAI_API_KEY" in told or status == 500


async def test_a_server_that_is_not_there_may_be_tried_again() -> None:
    model = OpenAICompatible("m", provider="vllm", base_url="http://127.0.0.1:9/v1")

    with pytest.raises(ModelUnavailable, match=r"vllm:m at 127\.0\.0\.1:9 cannot be reached"):
        await model(USER)


@pytest.mark.parametrize("how", ["by option", "by setting"])
async def test_a_slow_server_runs_out_of_time(chat_server: Any, how: str) -> None:
    chat_server.hangs()
    model = model_at(chat_server, timeout_s=0.05 if how == "by option" else 60)
    setting: dict[str, Any] = {} if how == "by option" else {"timeout": 0.05}

    with pytest.raises(ModelUnavailable, match=r"within 0.05 s|in time"):
        await model(USER, **setting)


@pytest.mark.parametrize("seconds", [0, -1, "soon", True])
async def test_a_timeout_that_is_none_is_refused(chat_server: Any, seconds: Any) -> None:
    with pytest.raises(BadInput, match="seconds, more than 0"):
        await model_at(chat_server)(USER, timeout=seconds)


async def test_a_cancelled_call_is_cancelled(chat_server: Any) -> None:
    chat_server.hangs()
    running = asyncio.create_task(model_at(chat_server)(USER))
    await asyncio.wait_for(chat_server.asked.wait(), 10)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_connection_that_breaks_off_may_be_tried_again(chat_server: Any) -> None:
    chat_server.answers.append(lambda writer: writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"))

    with pytest.raises(ModelUnavailable, match="broke the connection"):
        await model_at(chat_server)(USER)


async def test_what_cannot_be_sent_is_refused_without_being_sent(chat_server: Any) -> None:
    with pytest.raises(ModelRejected, match="could not be built"):
        await model_at(chat_server)(USER, temperature=object())

    assert chat_server.requests == []
