"""Why a provider ended an answer, by the words of many servers, and what follows from it."""

from __future__ import annotations

from autoresearch.errors import BadAnswer
from autoresearch.records import Answer
from autoresearch.text import one_line

REFUSAL = "refusal"  # Anthropic's word; OpenAI's models refuse in a field of its own
NO_TEXT = "reasoning_only"  # ours: the model reasoned, and gave no answer

_DONE = frozenset(
    {"stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed", "end"}
)
_CUT_OFF = frozenset(
    [
        *("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length"),
        *("model_context_window_exceeded", "context_length_exceeded", "incomplete", "pause_turn"),
    ]
)
_REFUSED = frozenset(
    [
        *("refusal", "content_filter", "content_filtered", "guardrail_intervened", "sensitive"),
        *("safety", "recitation", "blocklist", "prohibited_content", "spii", "error_toxic"),
    ]
)
_FAULT = frozenset(
    [
        *(
            "error",
            "failed",
            "abort",
            "aborted",
            "cancelled",
            "canceled",
            "timeout",
            "network_error",
        ),
        *("insufficient_system_resource", "error_limit", "internal_error", "server_error"),
    ]
)
_TOOLS = frozenset(
    [
        *("tool_calls", "tool_call", "tool_use", "function_call", "malformed_function_call"),
        *("unexpected_tool_call",),
    ]
)
_NO_TEXT_REASONS = _DONE | _CUT_OFF


def is_fault(reason: str | None) -> bool:
    """Whether the provider ended the answer by a fault of its own, which waiting may mend."""
    return _word(reason) in _FAULT


def stopped(reason: str | None, text: str, reasoned: bool) -> str | None:
    """Returns why an answer is not the whole of what the model would say; None where it is.

    A reason that is not known here counts as the model's own end: the blocks must be whole anyway.
    """
    word = _word(reason)
    if not text.strip() and reasoned and (word is None or word in _NO_TEXT_REASONS):
        return NO_TEXT
    return word if word is not None and word in _CUT_OFF | _REFUSED | _TOOLS else None


def check(answer: Answer) -> None:
    """Raises BadAnswer for an answer that the provider ended before the model was done.

    One that was refused or filtered is final, since the same question would be refused again. So is
    reasoning without an answer: asked again, the model would mostly spend as much on it again; the
    next proposal's prompt says what happened.
    """
    if answer.stopped is None:
        return
    reason = one_line(answer.stopped, 60)
    if answer.stopped in _CUT_OFF:
        raise BadAnswer(
            f"The answer was cut off by the provider ({reason}), so nothing of it is applied. Answer "
            "shorter: the header, and the smallest blocks that make one change. No whole file, and no "
            "reasoning before the answer."
        )
    if answer.stopped in _REFUSED:
        raise BadAnswer(f"the provider stopped the answer ({reason})", final=True)
    if answer.stopped in _TOOLS:
        raise BadAnswer(
            f"The answer called a tool ({reason}), and there are none here. Answer in text: the header "
            "and the blocks."
        )
    raise BadAnswer(
        "the model reasoned and gave no answer, so its tokens were used up before the first word",
        final=True,
    )


def _word(reason: str | None) -> str | None:
    return reason.strip().lower().replace("-", "_").replace(" ", "_") if reason else None
