"""What a failed call through pydantic-ai means, in our errors and the provider's own words; never with a key in them."""

import contextlib
from collections.abc import Iterator

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, ModelRequestRejectedError, UnexpectedModelBehavior, UserError

from agent.errors import AgentError, ModelError, ModelNotConfigured, ModelRejected, ModelUnavailable
from agent.llm.faults import Caller, refused

# Our side of the request could not be built, or the answer not be read: the same call fails again.
_WRONG = (TypeError, ValueError, KeyError, AttributeError, AssertionError, NotImplementedError)


@contextlib.contextmanager
def mapped(caller: Caller, key_hint: str = "") -> Iterator[None]:
    """Turn what pydantic-ai and the vendors' clients raise into our errors; the originals, which hold the request, are not kept."""
    try:
        yield
    except (AgentError, Warning):  # a warning, where a program made errors of them
        raise
    except Exception as error:  # noqa: BLE001  # seven vendors' clients and their transports share no other root
        raise _ours(error, caller, key_hint) from None


def _ours(error: Exception, caller: Caller, key_hint: str) -> ModelError:
    if isinstance(error, ModelHTTPError):
        return _from_http(error, caller, key_hint)
    words = caller.scrub(getattr(error, "message", "") or str(error)) or type(error).__name__
    if isinstance(error, ModelRequestRejectedError):
        return ModelRejected(f"{caller} refused the request: {words}")
    if isinstance(error, ModelAPIError):
        return ModelUnavailable(f"{caller} cannot be reached, or broke off: {words}", retry_after_s=error.retry_after)
    if isinstance(error, UnexpectedModelBehavior):
        return ModelUnavailable(f"{caller} answered something that cannot be read: {words}")
    if type(error).__module__.startswith("botocore"):
        return _from_boto(error, f"{caller}: {words}")
    if isinstance(error, (UserError, *_WRONG)):
        return ModelRejected(f"{caller}: the request could not be built, or its answer not be read: {words}")
    return ModelUnavailable(f"{caller} cannot be reached, or broke off: {words} ({type(error).__name__})")


def _from_boto(error: Exception, words: str) -> ModelError:
    from botocore import exceptions as boto  # type: ignore[import-untyped]  # it has no types

    if isinstance(error, (boto.NoAuthTokenError, boto.NoCredentialsError, boto.NoRegionError, boto.PartialCredentialsError)):
        return ModelNotConfigured(f"{words}: set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_DEFAULT_REGION")
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError)):
        return ModelUnavailable(words)
    return ModelRejected(words)


def _from_http(error: ModelHTTPError, caller: Caller, key_hint: str) -> ModelError:
    hint = key_hint if error.status_code in (401, 403) else ""
    body = error.body if error.body is not None else error.hint
    if isinstance(body, dict) and isinstance(body.get("Error"), dict):  # as boto3 tells it
        body = {"message": body["Error"].get("Message") or body.get("message") or body["Error"].get("Code")}
    mine = refused(caller, error.status_code, body, error.headers, hint=hint)
    if isinstance(mine, ModelUnavailable) and mine.retry_after_s is None:
        mine.retry_after_s = error.retry_after
    return mine
