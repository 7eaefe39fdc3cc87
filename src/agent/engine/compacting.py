"""Making the history of a long run shorter: the window of its model, the strategy that is asked, and the step that says what came of it."""

import inspect
import time
from collections.abc import Mapping
from typing import Any

import agent.models.payloads as said
from agent.config import AgentConfig
from agent.core.compact import Folding, Window, cuts_of, folding_of, prompt_tokens, scale_of, transcript
from agent.core.estimate import Tally, cut_to, message_tokens, text_tokens
from agent.core.state import RunState
from agent.core.wording import wording
from agent.engine.asking import payload_of_reply, text_of, unless_cancelled
from agent.engine.shop import RunNeeds, Shop
from agent.errors import BadInput
from agent.llm.contract import KnowsWindow
from agent.llm.faults import says_too_long
from agent.models.compaction import CompactionAnswer, CompactionRequest, Summary

LOOK_FROM_TOKENS = 500
"""A prompt below this needs no look at what the model takes."""
LOOK_FIRST_FROM_TOKENS = 3_000
"""The same before the first call of a process, which a look would hold up: price data may have to be loaded."""
SUMMARY_SHARE = 0.15
"""Of the window: the longest summary; more is cut off."""
SUMMARY_WORDS = 600
"""The words that a model is asked for at most."""
TRANSCRIPT_SHARE = 0.6
"""Of the window: the longest transcript that the summarising model is shown."""
MESSAGE_CHARS = 4_000
"""Of one message in the transcript; halved until the whole fits."""
LEAST_MESSAGE_CHARS = 60
MAX_ERROR_CHARS = 1_000
NOT_FOR_SUMMARY = frozenset({"response_format", "tool_choice", "parallel_tool_calls", "stop", "stop_sequences", "n", "logit_bias"})
"""Settings of a run that would spoil a summary."""


class Compactor:
    """Knows the window of one run's model, and folds its history. `window` is None while it is not known, or nothing is to be folded."""

    def __init__(self, shop: Shop, asked: said.Input | None, needs: RunNeeds) -> None:
        self.shop, self.needs = shop, needs
        self.is_on = shop.config.compaction != "off" and asked is not None
        self.window: Window | None = None
        self.look_from: float = LOOK_FROM_TOKENS if self.is_on else float("inf")  # a prompt of more tokens is worth a look at the window
        if self.is_on and asked is not None and (told := told_window(shop.config, asked.model)) is not None:
            self._know(told)

    def _know(self, tokens: int | None) -> None:
        self.look_from = float("inf")
        if tokens:
            config = self.shop.config
            self.window = Window(
                tokens=tokens,
                at=config.compact_at,
                keep=config.compact_keep,
                keep_turns=config.keep_turns,
                retry_after=config.compact_retry_after,
                tally=Tally(),
            )

    async def look_first(self, state: RunState) -> None:
        """Ask before the first call, where that has a long history already."""
        if self.look_from == LOOK_FROM_TOKENS and prompt_tokens(state) > LOOK_FIRST_FROM_TOKENS:
            await self.look(state)

    async def look(self, state: RunState) -> None:
        """Ask the model object once what it takes; one that does not know leaves the history as it is."""
        model = self.shop.llm_call
        self._know(await model.context_window(state.input.model if state.input is not None else "") if isinstance(model, KnowsWindow) else None)

    async def compact(self, state: RunState) -> said.Compaction:
        """Return the step that folds the oldest turns, or one that says why they were not. Raises only when cancelled."""
        assert self.window is not None
        return await self._attempt(state, self.window)

    async def rescue(self, state: RunState, error: Exception) -> said.Compaction | None:
        """Return the step that makes a prompt shorter which the provider refused as too long; None where that was tried, or cannot help."""
        last = state.compacted
        is_tried = last is not None and last.is_done and last.iteration == state.used.iterations
        if not self.is_on or is_tried or not says_too_long(error):
            return None
        tokens = self.window.tokens if self.window is not None else int(prompt_tokens(state))
        window = Window(tokens=min(tokens, int(prompt_tokens(state))), at=0.0, keep=self.shop.config.compact_keep, keep_turns=1)
        return await self._attempt(state, window) if folding_of(state, window) is not None else None

    async def _attempt(self, state: RunState, window: Window) -> said.Compaction:
        folding = folding_of(state, window)
        assert folding is not None
        began = time.perf_counter()
        tally = Summary(text="")
        try:
            request = self._request(state, window, folding)
            tally = await self._summary(request)
            return self._fact(state, window, _place(request, folding, tally), tally)
        except Exception as error:  # noqa: BLE001  a strategy, or the model, did not manage: the run goes on with all it has
            told = self.shop.redactor.text(f"{type(error).__name__}: {error}")[:MAX_ERROR_CHARS]
            return _counted(state, tally, error=told, took_s=round(time.perf_counter() - began, 6))

    def _request(self, state: RunState, window: Window, folding: Folding) -> CompactionRequest:
        items, scale = state.messages.to_list(), scale_of(state)
        gone = [items[n] for n in folding.positions]
        chars = MESSAGE_CHARS
        while text_tokens(text := transcript(gone, chars)) * scale > TRANSCRIPT_SHARE * window.tokens and chars > LEAST_MESSAGE_CHARS:
            chars //= 2
        text = cut_to(text, TRANSCRIPT_SHARE * window.tokens / scale)

        async def summarise() -> Summary:
            """Ask the run's own model."""
            return await self._by_model(state, text)

        return CompactionRequest(
            messages=items,
            fold=folding.positions,
            cuts=cuts_of(items, folding.positions[0]),
            transcript=text,
            tokens=int(prompt_tokens(state)),
            window=self.window.tokens if self.window is not None else None,
            keep_tokens=int(window.keep * window.tokens),
            language=state.input.language if state.input is not None else "en",
            summarise=summarise,
        )

    async def _summary(self, request: CompactionRequest) -> Summary:
        strategy = self.shop.config.compaction
        if isinstance(strategy, str):
            return await request.summarise()
        given = strategy(request)
        answer: CompactionAnswer = await given if inspect.isawaitable(given) else given
        if answer is None:
            raise BadInput("the strategy left the history as it is")
        summary = Summary(text=answer) if isinstance(answer, str) else answer
        if not isinstance(summary, Summary):
            raise BadInput(f"a strategy returns a Summary, text, or None, not {type(answer).__name__}")
        return summary

    async def _by_model(self, state: RunState, shown: str) -> Summary:
        asked = state.input
        assert asked is not None
        assert self.shop.llm_call is not None
        task = cut_to(text_of(asked.task), text_tokens(shown) + MESSAGE_CHARS)
        messages = [
            {"role": "system", "content": wording("compact_system", asked.language)},
            {"role": "user", "content": wording("compact_task", asked.language, task=task, transcript=shown, words=SUMMARY_WORDS)},
        ]
        keywords: dict[str, Any] = {name: value for name, value in {**asked.settings, **self.needs.passing}.items() if name not in NOT_FOR_SUMMARY}
        began = time.perf_counter()
        reply = await unless_cancelled(self.shop.llm_call(messages=messages, model=asked.model, tools=None, **keywords))
        told = payload_of_reply(self.shop, reply, model=asked.model, prompt_hash=b"", took_s=round(time.perf_counter() - began, 6))
        return Summary(
            text=told.response or "",
            is_model_call=True,
            model=told.model,
            prompt_tokens=told.prompt_tokens or 0,
            completion_tokens=told.completion_tokens or 0,
            cost=told.cost,
            took_s=told.took_s,
        )

    def _fact(self, state: RunState, window: Window, place: Folding, summary: Summary) -> said.Compaction:
        text = self.shop.redactor.text(str(summary.text)).strip()
        if not text:
            return _counted(state, summary, error="the summary is empty")
        scale = scale_of(state)
        text = cut_to(text, SUMMARY_SHARE * window.tokens / scale)
        items, before = state.messages.to_list(), prompt_tokens(state)
        gone = scale * sum(message_tokens(items[n]) for n in place.positions)
        if scale * text_tokens(text) >= gone:
            return _counted(state, summary, error="the summary is no shorter than what it sums up")
        fact = _counted(state, summary)
        return said.Compaction(
            **{name: getattr(fact, name) for name in fact.__struct_fields__ if name not in _PLACED},
            summary=text,
            first=place.first,
            until=place.until,
            pinned=list(place.pinned),
            scale=scale,
            tokens_after=max(0, int(before - gone + scale * text_tokens(text))),
        )


_PLACED = frozenset({"summary", "first", "until", "pinned", "scale", "tokens_after"})


def _counted(state: RunState, summary: Summary, *, error: str | None = None, took_s: float | None = None) -> said.Compaction:
    """Return the step without what it folds: what the attempt took, and what became of it."""
    return said.Compaction(
        through=state.next_sequence - 1,
        summary="",
        scale=scale_of(state),
        tokens_before=int(prompt_tokens(state)),
        error=error,
        is_model_call=summary.is_model_call,
        model=summary.model,
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
        cost=summary.cost,
        took_s=summary.took_s if took_s is None else took_s,
    )


def _place(request: CompactionRequest, proposed: Folding, summary: Summary) -> Folding:
    """Return what is folded: as proposed, or up to where the strategy says."""
    until = summary.until
    if until is None or until == proposed.until:
        return proposed
    if until not in request.cuts:
        raise BadInput(f"until={until!r} is none of the cuts at which no call is parted from its result: {list(request.cuts)}")
    return Folding(first=proposed.first, until=until, pinned=tuple(n for n in proposed.pinned if n < until))


def check_compaction(config: AgentConfig, model: str) -> None:
    """Return where the settings for long runs can be used.

    Raises:
        BadInput: one of them cannot; says which.
    """
    told_window(config, model)
    if config.compaction not in ("summary", "off") and not callable(config.compaction):
        raise BadInput(f"compaction={config.compaction!r:.100} is neither 'summary' nor 'off', nor a function that sums up")
    for name in ("compact_at", "compact_keep"):
        share = getattr(config, name)
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
            raise BadInput(f"{name}={share!r:.100} is to be a share of the context window, from above 0 to 1")
    for name in ("keep_turns", "compact_retry_after"):
        count = getattr(config, name)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise BadInput(f"{name}={count!r:.100} is to be a whole number from 0 on")


def told_window(config: AgentConfig, model: str) -> int | None:
    """Return the context window that the configuration names for a model.

    Raises:
        BadInput: it is no number of tokens.
    """
    given = config.context_window
    tokens = given.get(model) if isinstance(given, Mapping) else given
    if tokens is not None and (not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1):
        raise BadInput(f"context_window of {model!r} is {tokens!r}: it is to be a whole number of tokens")
    return tokens
