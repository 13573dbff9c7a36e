"""Both providers through their own SDKs, against a server on loopback: answers and every fault."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from email.utils import formatdate

import pytest

from autoresearch.errors import AnswerTimeout, BadAnswer, Outage, ResearcherError
from autoresearch.ledger.codec import answer_fields, answer_of
from autoresearch.records import Answer, Edit, Usage
from autoresearch.researchers.anthropic import AnthropicResearcher
from autoresearch.researchers.base import Brief, Turn
from autoresearch.researchers.openai import OpenAIResearcher
from autoresearch.researchers.prices import Price, Tokens
from autoresearch.researchers.stop import NO_TEXT
from tests import loopback
from tests.loopback import Drip, Drop, ErrorEvent, Fault, Loopback, Raw, Stall, Step, Text
from tests.speeds import Reading

KEY = "sk-test-0123456789abcdefghij"
BRIEF = Brief(1, "", {}, (), frozenset(), (), "val_bpb", "minimize", 600.0)
Maker = Callable[..., "AnthropicResearcher | OpenAIResearcher"]


def claude(
    server: Loopback | FakeServer, key: str = KEY, **more: float | str
) -> AnthropicResearcher:
    model = str(more.pop("model", "claude-sonnet-4-5"))
    return AnthropicResearcher(model, key, base_url=server.url, **more)  # type: ignore[arg-type]


def gpt(server: Loopback | FakeServer, key: str = KEY, **more: float | str) -> OpenAIResearcher:
    model = str(more.pop("model", "gpt-5"))
    return OpenAIResearcher(model, key, base_url=server.url + "/v1", **more)  # type: ignore[arg-type]


@dataclass
class FakeServer:
    """An address, as Loopback has one."""

    url: str


both = pytest.mark.parametrize("make", [claude, gpt])


def answer_events(make: Maker, step: Text) -> list[str]:
    """The events of a whole answer, as the loopback server sends them."""
    return list(loopback._claude_events(step) if make is claude else loopback._gpt_events(step))


def ask(make: Maker, *steps: Step, timeout_s: float = 5.0, turns: tuple[Turn, ...] = ()) -> Answer:
    with Loopback(steps) as server:
        return make(server, timeout_s=timeout_s).propose("the prompt", BRIEF, turns)


@pytest.mark.slow
@both
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_comes_whole_with_its_price(make: Maker, stream: bool) -> None:
    text = "description: größer \u2028 width\n" * 200
    answer = ask(make, Text(text, stream=stream))
    assert answer.text == text
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 100)
    rate = (3, 15) if make is claude else (1.25, 10)
    assert answer.usage.usd == pytest.approx((1000 * rate[0] + 100 * rate[1]) / 1e6)


@both
def test_cached_tokens_cost_less_and_are_counted(make: Maker) -> None:
    answer = ask(make, Text("x", cached=600))
    assert answer.usage.input_tokens == 1000
    rate = (3, 15, 0.3) if make is claude else (1.25, 10, 0.125)
    expected = (400 * rate[0] + 100 * rate[1] + 600 * rate[2]) / 1e6
    assert answer.usage.usd == pytest.approx(expected)


@both
def test_the_conversation_holds_every_turn(make: Maker) -> None:
    turns = (Turn("my first try", "block 1 fails"), Turn(" ", "empty"))
    with Loopback([Text("x")]) as server:
        make(server).propose("the prompt", BRIEF, turns)
        asked = server.requests[0].json
    messages = [m for m in asked["messages"] if m["role"] != "system"]
    roles = ["user", "assistant", "user", "assistant", "user"]
    assert [m["role"] for m in messages] == roles
    assert messages[0]["content"] == "the prompt"
    assert messages[1]["content"] == "my first try"
    assert "block 1 fails" in messages[2]["content"]
    assert messages[3]["content"].strip()
    assert asked["stream"] is True


@both
@pytest.mark.parametrize("stream", [True, False])
def test_empty_and_cut_off_answers_are_answers(make: Maker, stream: bool) -> None:
    empty = ask(make, Text("", stream=stream))
    assert (empty.text, empty.stopped) == ("", None)
    half = ask(make, Text("half", stream=stream, stop="length"))
    assert (half.text, half.usage.output_tokens) == ("half", 100)
    assert half.stopped == ("max_tokens" if make is claude else "length")


GOOD = "description: d\n\na.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
A_FILE = replace(BRIEF, files={"a.py": b"x = 1\n"}, tree=frozenset({"a.py"}))


def refusal(make: Maker, step: Text) -> BadAnswer:
    """What is said of an answer whose blocks are whole, by the provider's reason alone."""
    with Loopback([step]) as server:
        researcher = make(server)
        answer = researcher.propose("p", A_FILE, ())
        assert answer == answer_of(answer_fields(answer)), "the journal keeps why it ended"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 100)
        with pytest.raises(BadAnswer) as caught:
            researcher.read(answer, A_FILE)
    return caught.value


@both
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reason", ["end", "stop_sequence", "eos_token", "a_new_word"])
def test_an_answer_that_the_model_ended_is_read(make: Maker, stream: bool, reason: str) -> None:
    with Loopback([Text(GOOD, stream=stream, stop=reason, reasoning="hm")]) as server:
        researcher = make(server)
        answer = researcher.propose("p", A_FILE, ())
    assert answer.stopped is None
    assert researcher.read(answer, A_FILE).edits == (Edit("a.py", b"x = 2\n"),)


@both
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "reason",
    [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "model_context_window_exceeded",
        "model_length",
        "pause_turn",
    ],
)
def test_half_an_answer_is_told_to_be_one(make: Maker, stream: bool, reason: str) -> None:
    said = refusal(make, Text(GOOD, stream=stream, stop=reason))
    assert "cut off by the provider" in str(said) and "shorter" in str(said)
    assert not said.final


@both
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reason", ["refusal", "content_filter", "content-filter", "SAFETY"])
def test_a_refused_or_filtered_answer_is_not_asked_again(
    make: Maker, stream: bool, reason: str
) -> None:
    said = refusal(make, Text(GOOD, stream=stream, stop=reason))
    assert "the provider stopped the answer" in str(said)
    assert said.final


@both
@pytest.mark.parametrize("reason", ["tool_calls", "tool_use", "function_call"])
def test_a_call_of_a_tool_is_told_that_there_is_none(make: Maker, reason: str) -> None:
    said = refusal(make, Text(GOOD, stop=reason))
    assert "tool" in str(said)
    assert not said.final


@both
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reason", ["end", "length"])
def test_reasoning_without_an_answer_is_not_asked_again(
    make: Maker, stream: bool, reason: str
) -> None:
    said = refusal(make, Text(" ", stream=stream, stop=reason, reasoning="let me see " * 99))
    assert "reasoned and gave no answer" in str(said)
    assert said.final


@both
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "abort"])
def test_an_answer_that_ends_in_the_providers_error_is_an_outage(
    make: Maker, stream: bool, reason: str
) -> None:
    with pytest.raises(Outage, match=reason) as caught:
        ask(make, Text(GOOD, stream=stream, stop=reason))
    assert not isinstance(caught.value, AnswerTimeout)
    assert caught.value.usage is not None
    assert (caught.value.usage.input_tokens, caught.value.usage.output_tokens) == (1000, 100)


@both
def test_a_stream_without_a_reason_to_end_is_no_answer(make: Maker) -> None:
    with pytest.raises(AnswerTimeout, match="without a reason"):  # may have cost a whole answer
        ask(make, Text(GOOD, done=False))


def test_a_stream_whose_usage_came_but_no_reason_is_no_answer() -> None:
    chunks = [
        {"choices": [{"delta": {"content": GOOD}}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}},
    ]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    with pytest.raises(AnswerTimeout) as caught:
        ask(gpt, Raw(stream.encode(), "text/event-stream"))
    assert caught.value.usage is not None
    assert (caught.value.usage.input_tokens, caught.value.usage.output_tokens) == (7, 9)
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 9}}},
        {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {}},
        {"type": "message_stop"},
    ]
    stream = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    with pytest.raises(AnswerTimeout):
        ask(claude, Raw(stream.encode(), "text/event-stream"))


def test_a_refusal_in_a_field_of_its_own_is_one() -> None:
    chunks = [
        {"choices": [{"delta": {"refusal": "I can't "}}]},
        {"choices": [{"delta": {"refusal": "do that."}, "finish_reason": "stop"}]},
    ]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    answer = ask(gpt, Raw(stream, "text/event-stream"))
    assert (answer.text, answer.stopped) == ("I can't do that.", "refusal")
    body = {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}
    assert ask(gpt, Raw(json.dumps(body).encode())).stopped == "refusal"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "reasoning_details"])
def test_reasoning_by_the_names_of_other_servers(name: str) -> None:
    message = {"content": "", name: [{"text": "hm"}] if name.endswith("s") else "hm"}
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    assert ask(gpt, Raw(json.dumps(body).encode())).stopped == NO_TEXT
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 9}}
    counted = {"choices": [{"message": {"content": ""}, "finish_reason": "length"}], "usage": usage}
    assert ask(gpt, Raw(json.dumps(counted).encode())).stopped == NO_TEXT


def test_an_old_journals_answer_has_no_reason() -> None:
    assert answer_of({"text": "x", "usage": {}}).stopped is None
    assert "stopped" not in answer_fields(Answer("x"))


@both
def test_a_long_answer_is_not_sent_back_whole(make: Maker) -> None:
    with Loopback([Text("x")]) as server:
        make(server).propose("p", BRIEF, (Turn("a" * 50_000 + "b" * 50_000, "cut off"),))
        asked = [m for m in server.requests[0].json["messages"] if m["role"] == "assistant"]
    (sent,) = (message["content"] for message in asked)
    assert len(sent) < 41_000
    assert sent.startswith("aaa") and "60000 characters" in sent and sent.endswith("bbb")


@both
def test_usage_that_is_not_told_is_none(make: Maker) -> None:
    usage = ask(make, Text("x", usage=None)).usage
    assert usage.usd is None
    assert usage.output_tokens is None


@both
def test_an_unknown_model_has_no_price(make: Maker) -> None:
    with Loopback([Text("x")]) as server:
        usage = make(server, model="my-own-7b").propose("p", BRIEF, ()).usage
    assert (usage.input_tokens, usage.output_tokens, usage.usd) == (1000, 100, None)


OUTAGES: list[Step] = [
    *(Fault(status) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
    Fault(529, "overloaded_error"),
    Fault(502, body="<html><body>Bad gateway</body></html>"),
    Fault(429, "rate_limit_error"),
    ErrorEvent("overloaded_error"),
    ErrorEvent("server_error"),
    ErrorEvent("something_new"),
    Text("never ends", done=False),
    Drop("before"),
    Drop("head"),
    Drop("middle"),
    Raw(b"<html>sign in to the network</html>", "text/html"),
    Raw(b"{not json"),
    Raw(b"[1, 2]"),
    Raw(b'{"error": {"message": "try later", "type": "unavailable"}}'),
    Raw(b"data: {broken\n\n", "text/event-stream"),
    Raw(b"", "text/event-stream"),
]


@both
@pytest.mark.parametrize("step", OUTAGES, ids=repr)
def test_what_waiting_may_mend_is_an_outage(make: Maker, step: Step) -> None:
    with pytest.raises(Outage) as caught:
        ask(make, step)
    assert caught.value.retry_after_s is None
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@both
@pytest.mark.parametrize("when", ["before", "middle"])
def test_silence_is_an_outage(make: Maker, when: str) -> None:
    began = Reading.now()
    with pytest.raises(Outage):
        ask(make, Stall(10, when), timeout_s=0.3)
    assert Reading.now().since(began) < 5


@both
def test_a_stream_that_never_ends_is_given_up(make: Maker) -> None:
    began = Reading.now()
    with pytest.raises(Outage, match="not complete after"):
        ask(make, Drip(10), timeout_s=0.5)
    assert Reading.now().since(began) < 5


@both
@pytest.mark.parametrize("step", [Stall(10), Stall(10, "middle"), Drip(10)], ids=repr)
def test_an_answer_that_is_not_there_in_time_is_told_from_a_server_that_is_not(
    make: Maker, step: Step
) -> None:
    with pytest.raises(AnswerTimeout):
        ask(make, step, timeout_s=0.3)
    with pytest.raises(Outage) as caught:
        ask(make, Fault(529))
    assert not isinstance(caught.value, AnswerTimeout)


@both
def test_a_connection_that_is_not_taken_is_no_time_out_of_an_answer(make: Maker) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, ExitStack() as waiting:
        for _ in range(8):  # until nobody else is let in
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        researcher = make(FakeServer(url), timeout_s=0.5)
        with pytest.raises(Outage, match=r"no answer from .* for 0.5 s") as caught:
            researcher.propose("p", BRIEF, ())
    assert not isinstance(caught.value, AnswerTimeout)


BROKEN: list[Step] = [
    Drop("middle"),
    Stall(10, "middle"),
    Drip(10),
    Text("never ends", done=False),
    ErrorEvent("overloaded_error"),
]


@pytest.mark.parametrize("step", BROKEN, ids=repr)
def test_what_is_known_of_a_broken_answers_usage_is_kept(step: Step) -> None:
    with pytest.raises(Outage) as caught:
        ask(claude, step, timeout_s=0.3)
    assert caught.value.usage == Usage(1000, 1, pytest.approx((1000 * 3 + 1 * 15) / 1e6))


def test_the_last_count_that_came_is_a_broken_answers_usage() -> None:
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 500, "output_tokens": 2}}},
        {"type": "message_delta", "usage": {"output_tokens": 40, "cache_read_input_tokens": 100}},
    ]
    stream = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
    with pytest.raises(Outage) as caught:
        ask(claude, Raw(stream, "text/event-stream"))
    usd = (500 * 3 + 40 * 15 + 100 * 0.3) / 1e6
    assert caught.value.usage == Usage(600, 40, pytest.approx(usd))
    chunk = {"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 700}}
    with pytest.raises(Outage) as caught:
        ask(gpt, Raw(f"data: {json.dumps(chunk)}\n\n".encode(), "text/event-stream"))
    assert caught.value.usage == Usage(700, None, pytest.approx(700 * 1.25 / 1e6))


@both
@pytest.mark.parametrize("step", [Fault(529), Drop("before"), Drop("head"), Stall(10)], ids=repr)
def test_where_nothing_is_known_of_the_usage_nothing_is_said(make: Maker, step: Step) -> None:
    with pytest.raises(Outage) as caught:
        ask(make, step, timeout_s=0.3)
    assert caught.value.usage is None


def test_a_connection_that_breaks_behind_the_answer_costs_nothing() -> None:
    chunk = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}
    broken = f"data: {json.dumps(chunk)}\n\ndata: {{broken\n\n".encode()
    assert ask(gpt, Raw(broken, "text/event-stream")).text == "x"


ODD = [": a comment", "event: news\ndata: 5", "data: null", "data: [1]", 'data: {"choices": null}']
ODD += ['event: content_block_delta\ndata: {"type": "content_block_delta", "delta": null}']
ODD += ['event: message_start\ndata: {"type": "message_start"}', 'data: {"choices": [null]}', ""]


@both
def test_odd_events_between_the_answers_own_are_passed_over(make: Maker) -> None:
    events = [event.encode() for event in answer_events(make, Text("one and two" * 100))]
    odd = "".join(f"{event}\n\n" for event in ODD).encode()
    stream = odd + odd.join(events)
    answer = ask(make, Raw(stream, "text/event-stream"))
    assert answer.text == "one and two" * 100
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 100)


@both
def test_the_sdk_is_made_once_and_its_faults_come_with_the_first_question(make: Maker) -> None:
    with Loopback([Text("x"), Text("y")]) as server:
        researcher = make(server)
        researcher.warm_up()
        researcher.warm_up()
        assert researcher.propose("p", BRIEF, ()).text == "x"
        client = researcher._connected().client
        researcher.warm_up()
        assert researcher.propose("p", BRIEF, ()).text == "y"
        assert researcher._connected().client is client
    researcher = make(FakeServer("http://127.0.0.1:9"))
    researcher.kind = "no_such_sdk"
    researcher.warm_up()
    with pytest.raises(ModuleNotFoundError):
        researcher.propose("p", BRIEF, ())


@both
def test_a_server_that_is_not_there_is_an_outage(make: Maker) -> None:
    with Loopback() as server:
        pass
    with pytest.raises(Outage, match="can't reach"):
        make(server).propose("p", BRIEF, ())


@both
def test_the_providers_wait_is_passed_on(make: Maker) -> None:
    def waits(headers: dict[str, str]) -> float | None:
        with pytest.raises(Outage) as caught:
            ask(make, Fault(429, headers=headers))
        return caught.value.retry_after_s

    assert waits({"retry-after": "17"}) == 17
    assert waits({"retry-after-ms": "2500", "retry-after": "9"}) == 2.5
    soon = waits({"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert soon is not None
    assert 95 <= soon <= 101
    assert waits({"retry-after": formatdate(time.time() - 100, usegmt=True)}) == 0
    assert waits({"retry-after": "soon"}) is None


MENDABLE: list[tuple[Step, str]] = [
    (Fault(401, "authentication_error"), "MY_KEY"),
    (Fault(403, "permission_error"), "MY_KEY"),
    (ErrorEvent("authentication_error"), "MY_KEY"),
    (Fault(404, "not_found_error"), "my-model"),
    (Fault(404, "model_not_found"), "my-model"),
    (Fault(400, message="Your credit balance is too low to access the API"), "no credit"),
    (Fault(429, "insufficient_quota", "You exceeded your current quota"), "no credit"),
    (ErrorEvent("insufficient_quota"), "no credit"),
    (Fault(402), "no credit"),
    (Fault(400, message="max_tokens: " + "x" * 9000), "max_tokens"),
    (Fault(413, "request_too_large"), "my-model"),
    (Fault(422), "scripted fault"),
    (ErrorEvent("invalid_request_error"), "scripted fault"),
]


@both
@pytest.mark.parametrize(("step", "says"), MENDABLE, ids=repr)
def test_what_only_a_person_mends_stops(make: Maker, step: Step, says: str) -> None:
    with Loopback([step]) as server, pytest.raises(ResearcherError, match=says) as caught:
        make(server, model="my-model", key_name="MY_KEY").propose("p", BRIEF, ())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    assert len(server.requests) == 1, "the SDK must not ask again by itself"


@both
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_key_is_never_in_an_error(make: Maker, status: int) -> None:
    said = f"Incorrect API key provided: {KEY}; did you mean sk-te*********ghij?\n\x1b[31m{KEY}"
    for step in (Fault(status, message=said), Fault(status, body=said)):
        with pytest.raises((Outage, ResearcherError)) as caught:
            ask(make, step)
        assert KEY not in str(caught.value)
        assert "ghij" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


@both
def test_a_key_that_is_none_is_refused_without_showing_it(make: Maker) -> None:
    with Loopback([Text("x")]) as server:
        for key in ("sk-secret one", "sk-secret\nInjected: yes", "sk-gehëim"):
            with pytest.raises(ResearcherError, match="MY_KEY") as caught:
                make(server, key=key, key_name="MY_KEY")
            assert "sk-" not in str(caught.value)
        assert make(server, key=f" {KEY}\n").propose("p", BRIEF, ()).text == "x"


@both
def test_another_server_gets_its_own_key_and_no_other(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "ANTHROPIC_API_KEY": "leak-1",
        "ANTHROPIC_AUTH_TOKEN": "leak-2",
        "ANTHROPIC_CUSTOM_HEADERS": "X-Gateway: leak-3\nAuthorization: Bearer leak-4",
        "OPENAI_API_KEY": "leak-5",
        "OPENAI_ORG_ID": "leak-6",
        "OPENAI_PROJECT_ID": "leak-7",
        "OPENAI_ADMIN_KEY": "leak-8",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway: leak-9\nAuthorization: Bearer leak-10",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    for key in (KEY, ""):
        with Loopback([Text("x")]) as server:
            make(server, key=key).propose("p", BRIEF, ())
            headers = server.requests[0].headers
        assert "leak" not in repr(headers)
        sent = {name: headers[name] for name in ("x-api-key", "authorization") if name in headers}
        wanted = key or "no-key"
        also = {"x-api-key": wanted} if make is claude else {}
        assert sent == {"authorization": f"Bearer {wanted}"} | also


@both
def test_a_redirect_to_another_server_carries_no_key(make: Maker) -> None:
    with Loopback([Text("x")]) as other:
        tail = "/v1/messages" if make is claude else "/v1/chat/completions"
        step = Fault(307, headers={"location": other.url + tail})
        with Loopback([step]) as server:
            make(server).propose("p", BRIEF, ())
        assert KEY in repr(server.requests[0].headers)
        assert KEY not in repr(other.requests[0].headers)


@both
def test_the_sdks_own_base_url_is_honoured(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback([Text("x")]) as server:
        if make is claude:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
            monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "leak")
            assert AnthropicResearcher("", KEY).propose("p", BRIEF, ()).text == "x"
        else:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/v1")
            assert OpenAIResearcher("", KEY).propose("p", BRIEF, ()).text == "x"
        assert "leak" not in repr(server.requests[0].headers)


@pytest.mark.parametrize("make", [AnthropicResearcher, OpenAIResearcher])
def test_no_key_and_no_server_is_an_error(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ResearcherError, match="no key"):
        make("", "")
    for url in (
        "api.example.org/v1",
        "ftp://x",
        "https://",
        "http://u:secret@host/v1",
        "http://h?k=1",
    ):
        with pytest.raises(ResearcherError, match="base_url") as caught:
            make("", KEY, base_url=url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_stream_options_is_asked_without(status: int) -> None:
    refusal = Fault(status, message="Unknown parameter: 'stream_options'.")
    with Loopback([refusal, Text("x"), Text("y")]) as server:
        researcher = gpt(server)
        assert researcher.propose("p", BRIEF, ()).text == "x"
        assert researcher.propose("p", BRIEF, ()).text == "y"
    assert ["stream_options" in r.json for r in server.requests] == [True, False, False]


def test_a_stream_without_done_is_whole_once_it_gave_its_reason() -> None:
    lines = (
        b'data: {"choices": [{"delta": {"content": "he"}}]}\r\n\r\n'
        b'data: {"choices": [{"delta": {"content": [{"text": "llo"}]}, "finish_reason": "stop"}]}'
        b"\r\n\r\n"
    )
    assert ask(gpt, Raw(lines, "text/event-stream")).text == "hello"


def test_half_a_character_in_an_answer_reaches_no_file() -> None:
    body = b'{"choices": [{"message": {"content": "a\\ud800b"}}]}'
    assert ask(gpt, Raw(body)).text == "a?b"


def test_prices_go_by_the_longest_name() -> None:
    def usd(model: str, *tokens: int) -> float | None:
        return Price("anthropic", model).usd(Tokens(*tokens))

    assert usd("claude-sonnet-4-5-20250929", 100_000, 0) == pytest.approx(0.3)
    assert usd("gpt-4o-2024-08-06", 0, 100_000) == pytest.approx(1)
    assert usd("gpt-4o-mini-2024-07-18", 0, 100_000) == pytest.approx(0.06)
    assert usd("gpt-4o-audio-preview", 0, 100_000) == pytest.approx(1)  # not by gpt-4o's name
    assert usd("claude-sonnet-4-5", 0, 0, 50_000, 50_000) == pytest.approx(0.2025)
    assert Price("openai", "gpt-5").known
    assert not Price("openai", "gpt-5.9").known
    assert not Price("openai", "llama").known


@pytest.mark.parametrize("maker", [AnthropicResearcher, OpenAIResearcher])
def test_the_default_models_have_prices(maker: type[AnthropicResearcher]) -> None:
    assert maker("", KEY).price.known


def test_a_price_of_the_configuration_goes_before_the_list() -> None:
    own = Price("openai", "mine-7b", "http://127.0.0.1:9/v1", (0.5, 2.0))
    assert own.known
    assert own.usd(Tokens(1_000_000, 1_000_000)) == 2.5
    assert own.usd(Tokens(0, 0, 500_000, 500_000)) == 0.5, "cached tokens are input"
    assert own.usd(Tokens(None, 5)) is None
    assert Price("openai", "gpt-5", None, (0.0, 0.0)).usd(Tokens(9, 9)) == 0


def test_a_server_that_has_its_own_price_list_is_looked_up_there() -> None:
    here = Price("openai", "anthropic/claude-sonnet-4.5", "https://openrouter.ai/api/v1")
    assert here.known
    assert not Price("openai", "anthropic/claude-sonnet-4.5").known
