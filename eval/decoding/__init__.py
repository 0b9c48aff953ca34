"""Decoding methods against hallucination, for the transformers engine (option `--decoding`)."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from reward_fns.errors import UserError

NAMES = ("vcd", "opera")


class MethodByName:
    """A decoding method and how it is spelled, all parameters named.

    Args:
        text: "vcd", "opera:beams=5,alpha=1", ...; what is not named has its default.

    Raises:
        UserError: no such method or parameter, or a value out of range.
    """

    def __init__(self, text: str) -> None:
        name, _, given = text.partition(":")
        kind = _kind(name)
        types = {field.name: field.type for field in fields(kind)}
        values: dict[str, Any] = {}
        for pair in filter(None, given.split(",")):
            key, equals, value = pair.partition("=")
            if key not in types or not equals:
                raise UserError(
                    f"--decoding {text}: {pair!r} is no parameter of {name}; "
                    f"write NAME=VALUE with {', '.join(types)}"
                )
            values[key] = _number(value, types[key] is int, text)
        self.name, self.method = name, kind(**values)
        self.spelled = f"{name}:" + ",".join(
            f"{key}={value}" for key, value in asdict(self.method).items()
        )

    @property
    def settings(self) -> dict[str, str]:
        """For the records' settings."""
        return {"decoding": self.spelled}

    def check_temperature(self, temperature: float) -> None:
        """Raises UserError if answers would be drawn where the method draws none."""
        if self.name == "opera" and temperature > 0:
            raise UserError(
                "--decoding opera is a beam search and draws nothing: "
                f"give --temperature 0, not {temperature}"
            )


def with_decoding(
    config: str | Mapping[str, Any], method: MethodByName | None
) -> str | Mapping[str, Any]:
    """The configuration for `open_engine` that decodes by a method; transformers loads a spec.

    Raises:
        UserError: the configuration names another engine.
    """
    if method is None:
        return config
    options: dict[str, Any] = {"model": config} if isinstance(config, str) else dict(config)
    kind = options.setdefault("kind", "transformers")
    if kind != "transformers":
        raise UserError(
            f"--decoding {method.name} runs in the transformers engine, not in {kind!r}: "
            'name a model directory, or {"kind": "transformers", "model": ...}'
        )
    return {**options, "decoding": method.method}


def spelled_out(
    config: str | Mapping[str, Any],
) -> tuple[str | Mapping[str, Any], MethodByName | None]:
    """A model spec whose option `decoding` is text, such as "vcd:alpha=1", and the method
    that it names, None without.

    Raises:
        UserError: as `MethodByName` and `with_decoding`.
    """
    if isinstance(config, str) or "decoding" not in config:
        return config, None
    method = MethodByName(str(config["decoding"]))
    return with_decoding({k: v for k, v in config.items() if k != "decoding"}, method), method


def _kind(name: str) -> Any:
    if name == "vcd":
        from eval.decoding.vcd import Vcd

        return Vcd
    if name == "opera":
        from eval.decoding.opera import Opera

        return Opera
    raise UserError(f"--decoding: no method {name!r}; there are {' and '.join(NAMES)}")


def _number(text: str, whole: bool, spec: str) -> float | int:
    try:
        return int(text) if whole else float(text)
    except ValueError as error:
        kind = "a whole number" if whole else "a number"
        raise UserError(f"--decoding {spec}: {text!r} is not {kind}") from error
