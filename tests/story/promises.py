"""What we promise, by id: each is kept by a test in this folder that names it with `@keeps`."""

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])

PROMISES = {
    # defects of the seed that do not come back
    "memory-without-system-prompt": "Memory that was read reaches the model also where there is no system prompt.",
    "callers-messages": "The caller's messages are not changed.",
    "no-alias": "A step keeps what was true at its moment, whatever happens to the lists it was made from.",
    "linear-log": "The log grows with what is new, not with the whole history at every step.",
    "intent-first": "A tool is announced on the record before it gets control.",
    "confirmation-is-no-end": "A run that waits for a person is waiting, not completed.",
    "limit-is-no-completion": "A run that reached its limit says so, and is not completed.",
    "manual-is-no-conclusion": "Tool requests that are not executed by themselves are requests, not a conclusion.",
    "arguments-malformed": "Malformed arguments go back to the model.",
    "arguments-empty": "Empty arguments are no arguments.",
    "arguments-no-object": "Arguments that are no object go back to the model.",
    "tool-unknown": "A tool that does not exist is an answer to the model.",
    "tool-not-offered": "A tool that was not offered does not run.",
    "ids-missing": "A call without an id is answered.",
    "ids-repeated": "Calls that share an id are answered one by one.",
    "tool-raises": "An exception in a tool is an answer to the model.",
    "tool-too-slow": "A tool that takes too long is an answer to the model.",
    "harmless-goes-on": "A call that needs a person does not hold up harmless ones.",
    "none-content": "A reply without content or token counts is a reply.",
    "zero-iterations": "max_iterations=0 means none.",
    "aware-times": "Times are aware and in UTC; naive ones handed in are local.",
    "totals-on-failure": "What a failed run used is on its record.",
    "error-on-failure": "Why a run failed is on its record.",
    "call-closes": "A single call that fails closes its trace.",
    "disconnect": "A reader that goes away does not leave its run running for ever.",
    "no-races-for-numbers": "Two writers never take the same number.",
    "keys-not-stored": "Keywords that may be keys are not stored.",
    "anonymous-is-a-tenant": "Without a uid a run belongs to the tenant 'anonymous', and tools are told so.",
    "reads-by-uid": "A trace can be read as a uid; another uid's is not there.",
    "feedback-unknown-trace": "Feedback on an unknown trace is refused, not lost.",
    "feedback-unknown-step": "Feedback on an unknown step is refused, not lost.",
    "memory-may-fail": "A run whose memory fails goes on and says so.",
    "memory-is-linked": "The model calls that saw a memory rest on its step.",
    "events-have-ids": "Every event names its trace, and its step where there is one.",
    "last-answer": "At the limit one last answer without tools is asked for, outside the budget.",
    # it learns
    "words-are-told": "What a person said of a run is told to the next one that it fits, and leads back to the step and the person.",
    "decisions-are-feedback": "A person's refusal or edit of a call is learnt from without being asked twice.",
    "returning-says-nothing": "A tool that returned and a run that ended teach nothing.",
    "learnt-once": "What a crash left unlearnt is learnt by whoever comes next, once.",
    "nobody-elses-words": "Another uid's words never reach a prompt, however many there are.",
    "taken-back": "What was said can be taken back and given again, and what was learnt of it follows.",
}


def keeps(promise: str) -> Callable[[F], F]:
    """Say that a test keeps a promise."""
    assert promise in PROMISES, promise
    return lambda test: test
