"""Settings of a runner, and the result of a single call."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.models.compaction import CompactionStrategy
from agent.models.policy import Policy

ANONYMOUS = "anonymous"
"""The tenant of the library and the command line where no uid is given."""

Embed = Callable[[list[str]], Sequence[Sequence[float]] | Awaitable[Sequence[Sequence[float]]]]
"""Gives a vector for each text, all of one length; a plain function runs in a thread."""

STORED_SETTINGS = frozenset(
    {
        "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "seed", "stop", "stop_sequences", "n",
        "presence_penalty", "frequency_penalty", "logit_bias", "response_format", "tool_choice", "parallel_tool_calls", "reasoning_effort", "reasoning",
        "thinking", "verbosity", "service_tier", "timeout", "timeout_s",
    }
)  # fmt: skip
"""Keywords for the model that are stored with a run, so that a resume needs nothing else. Any other is passed on and never stored."""


@dataclass
class AgentConfig:
    """Defaults and limits of a runner. The first four fields are the seed's."""

    agent_type: str = "default"
    max_iterations: int = 10
    enable_memory: bool = True
    auto_execute_tools: bool = True

    language: str = "en"  # en or zh: what the program itself says to the model
    memory_placement: Literal["user", "system"] = "user"
    memory_limit: int = 5  # experiences, and skills, that one run reads at most
    memory_relevance: float = 0.6  # part of the likeness of the best experience that another one has at least
    memory_max_chars: int = 8_000  # of the memory block
    memory_max_tokens: int = 1_000  # about, of the experiences in it together
    memory_max_rule_chars: int = 1_000  # of one experience; more is cut
    skill_limit: int = 20  # skills that a run is told of by name and description; it reads the rest of them on demand
    skill_whole_chars: int = 2_000  # of a skill without a folder that is told whole; a longer one is read on demand
    offer_skills: bool = True  # a run that was told of such skills is offered the tools use_skill and read_skill_file
    memory_timeout_s: float = 2.0  # then the run goes on without memory, and says so
    project: str | None = None  # its memory, the scope "project:NAME", is read besides those of the agent's type, the user and all
    withhold: float = 0.1  # share of runs whose advice is held back at random, so that its effect can be measured; 0: none
    withhold_from: int = 50  # the run of a scope and owner from which on that is done, counted among those that there is advice for
    withhold_rules: bool = False  # whether rules in a person's own words are held back, too
    withhold_seed: int | str = 0  # with the id of a run it decides
    embed: Embed | None = None  # texts to vectors: likeness is then the mean of BM25 and cosine. Try it on your own runs first
    extractor: Literal["verbatim", "llm"] | Callable[..., Any] = "verbatim"  # how a person's words become a rule: see agent.memory.extracting
    extractor_model: str | None = None  # that "llm" asks; None: the run's own
    extractor_timeout_s: float = 60.0  # then the person's words stand as they are
    tool_failure_ttl_days: float | None = 30.0  # how long a tool's failure speaks against it; then it is tried again. None: always
    parallel_tools: int = 8  # calls of one run that run at once
    tool_timeout_s: float | None = 120.0  # for tools that name none; None: no bound
    max_state_attempts: int = 10  # how often a transactional tool runs whose states others change meanwhile
    probe_timeout_s: float = 10.0  # for a tool's probe; then the call stays in doubt
    max_result_chars: int = 50_000  # of a tool result that the model is shown; the rest is kept as a blob
    offer_read_result: bool = True  # once a result was cut, the model is offered the tool read_result to read on in it
    max_tool_calls_per_turn: int = 1_000  # more are answered with an error, not run
    max_task_chars: int = 10_000_000
    max_agent_depth: int = 3  # how far agents may call agents: 1 is an agent as a tool of a run, 0 none at all
    max_repeated_calls: int | None = 10  # turns in a row with the same call and the same result; the next is not run. None: no bound
    max_output_repairs: int = 2  # how often a model is told what is wrong with an answer that does not fit the output type
    final_answer_timeout_s: float = 60.0  # of the one answer after max_wall_s
    cancel_grace_s: float = 1.0  # between asking running tools to stop and stopping them
    follow_interval_s: float = 0.05  # how often another process's steps are looked for while somebody watches
    control_interval_s: float = 0.25  # the same while a run is driven here: a pause or cancel from elsewhere
    watch_queue: int = 10_000  # events a slow reader may be behind before it is fed from the log
    max_append_attempts: int = 1_000  # how often an append that another process overtook is tried again
    policies: list[Policy] = field(default_factory=list)  # asked in this order before every call; each can only add a question or a refusal
    taint: Literal["off", "warn", "ask"] = "off"  # what an unsafe call meets after a result of a tool that is declared untrusted
    compaction: CompactionStrategy | Literal["summary", "off"] = "summary"  # how the oldest turns of a long run are folded
    context_window: int | Mapping[str, int] | None = None  # tokens; by the run's model, or for all; None: as the model itself knows it
    compact_at: float = 0.8  # share of the context window from which on the oldest turns are folded
    compact_keep: float = 0.3  # share of it that the turns that stay may have
    keep_turns: int = 2  # turns that stay in any case
    compact_retry_after: int = 5  # model calls after an attempt that failed
    limits: dict[str, Any] = field(default_factory=dict)  # by name, for every run: see docs/how-to/limits.md
    secrets: dict[str, str] = field(default_factory=dict)  # name → value: replaced by [secret:NAME] wherever text enters
    redact_environment: bool = True  # also values of environment variables whose names end in KEY, TOKEN, SECRET or PASSWORD


@dataclass
class CallResult:
    """What a single model call returned."""

    reply: str
    tool_calls: list[dict[str, Any]] | None = None
    trace_id: str | None = None
    step_id: str | None = None
    tokens: dict[str, int] | None = None
    cost: float | None = None  # USD; None: unknown
    output: Any = None
