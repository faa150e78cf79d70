"""Where an engine looks for the tokens of a request and of its thinking, and how its server is recognised.

None of the servers named here but `transformers serve` was at hand: what is said of them is from their projects'
documentation and issues, and untested.
"""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

from walras.registry import Registry


@dataclass(frozen=True)
class Dialect(ABC):
    """A dialect says which fields of a request limit its tokens; concrete ones are final.

    Attributes:
        name: of the dialect.
        aliases: fields by which a client may limit tokens, besides those of OpenAI's API.
        thinking: fields of the budget for thinking; none where the engine has none.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    thinking: ClassVar[tuple[str, ...]] = ()

    def think(self, body: dict[str, Any], tokens: int) -> None:
        """Let a request think for so many tokens at most, and no longer than it says itself."""
        for field in self.thinking:
            body[field] = _within(body.get(field), tokens)

    def spoken(self, models: Any, version: Any, info: Any, props: Any) -> bool:
        """Whether a server speaks it, by what it answers, None where it does not.

        Args:
            models: to `/v1/models`.
            version: to `/version`.
            info: to `/get_server_info`.
            props: to `/props`.
        """
        del models, version, info, props
        return False


@final
@dataclass(frozen=True)
class OpenAI(Dialect):
    """OpenAI's own fields alone: of `transformers serve` (which refuses any other), and of servers not recognised."""

    name: ClassVar[str] = "openai"


@final
@dataclass(frozen=True)
class VLLM(Dialect):
    """vLLM's `thinking_token_budget` beside OpenAI's fields; its server needs `--reasoning-config` for it.

    From vLLM's documentation of reasoning outputs ("Thinking Budget Control", pull request 20859); untested here.
    """

    name: ClassVar[str] = "vllm"
    thinking: ClassVar[tuple[str, ...]] = ("thinking_token_budget",)

    def spoken(self, models: Any, version: Any, info: Any, props: Any) -> bool:
        """Its models are owned by `vllm`; `/version` answers with nothing but that."""
        alone = isinstance(version, Mapping) and [*version] == ["version"] and info is None and props is None
        return _owner(models) == "vllm" or alone


@final
@dataclass(frozen=True)
class SGLang(Dialect):
    """SGLang's `custom_params.thinking_budget` beside OpenAI's fields; its server needs `--enable-strict-thinking`.

    From SGLang's documentation ("Thinking Budget"), where its custom logit processors take the same parameter, from
    requests that name one themselves; untested here.
    """

    name: ClassVar[str] = "sglang"
    aliases: ClassVar[tuple[str, ...]] = ("max_new_tokens",)

    def think(self, body: dict[str, Any], tokens: int) -> None:
        """In the request's `custom_params`; others that are there stay."""
        own = body.get("custom_params")
        given = dict(own) if isinstance(own, Mapping) else {}
        body["custom_params"] = {**given, "thinking_budget": _within(given.get("thinking_budget"), tokens)}

    def spoken(self, models: Any, version: Any, info: Any, props: Any) -> bool:
        """Its models are owned by `sglang`; `/get_server_info` answers."""
        return _owner(models) == "sglang" or isinstance(info, Mapping)


@final
@dataclass(frozen=True)
class LlamaServer(Dialect):
    """llama-server's `thinking_budget_tokens` (and `reasoning_budget_tokens`, which builds differ in) beside OpenAI's.

    From llama.cpp's pull request 20297 and the README of its server; untested here.
    """

    name: ClassVar[str] = "llama-server"
    aliases: ClassVar[tuple[str, ...]] = ("n_predict",)
    thinking: ClassVar[tuple[str, ...]] = ("thinking_budget_tokens", "reasoning_budget_tokens")

    def spoken(self, models: Any, version: Any, info: Any, props: Any) -> bool:
        """Its models are owned by `llamacpp`; `/props` answers with settings of generation."""
        return _owner(models) == "llamacpp" or (isinstance(props, Mapping) and "default_generation_settings" in props)


DIALECTS: Registry[Dialect] = Registry("dialect", Dialect, own=False, texts=("name",))
for _dialect in (OpenAI, VLLM, SGLang, LlamaServer):
    DIALECTS.add(_dialect)

PROBES = ("{base}/models", "{root}/version", "{root}/get_server_info", "{root}/props")
"""What is asked, in the order of `spoken`; base ends with `/v1`, root does not."""


def recognised(answers: list[Any]) -> Dialect:
    """The dialect of a server that answered so to `PROBES`; OpenAI's where none is recognised."""
    known = [DIALECTS.make(name) for name in DIALECTS]
    return next((dialect for dialect in known if dialect.spoken(*answers)), OpenAI())


def _owner(models: Any) -> str:
    """Who owns the first model."""
    listed = models.get("data") if isinstance(models, Mapping) else None
    first = listed[0] if isinstance(listed, list) and listed else None
    owner = first.get("owned_by") if isinstance(first, Mapping) else None
    return owner if isinstance(owner, str) else ""


def _within(own: Any, tokens: int) -> int:
    """A budget, and the request's own where that is lower."""
    fits = isinstance(own, int) and not isinstance(own, bool) and 0 <= own < tokens
    return int(own) if fits else tokens
