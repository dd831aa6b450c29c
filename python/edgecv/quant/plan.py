"""Plans: how a model becomes int8, as a small text file (docs/doctor.md).

The text is TOML 1.0: [options], and a table of its own for each rule of layers and activations.
"""

from __future__ import annotations

import hashlib
import math
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from edgecv.errors import Error
from edgecv.quant.lanes import GROUPS
from edgecv.quant.ranges import METHODS, Range

if sys.version_info >= (3, 11):
    import tomllib  # novm: only where it is
else:
    import tomli as tomllib

VERSION = 1
WEIGHTS = ("lane-safe", "plain")


@dataclass(frozen=True)
class LayerPlan:
    """What a plan says of a layer; None: as the options say.

    lane_group: 2, 4 or 8, kept whatever it costs the layer, or 1: no bound on lanes at all.
    weights: "plain" rounds to nearest. is_float: the layer stays f32.
    """

    weights: Optional[str] = None
    lane_group: Optional[int] = None
    weight_bits: Optional[int] = None
    is_float: bool = False


@dataclass(frozen=True)
class ActivationPlan:
    """What a plan says of an activation: its range, or the method that finds it."""

    method: Optional[str] = None
    percent: Optional[float] = None
    range: Optional[Range] = None


@dataclass(frozen=True)
class Plan:
    """How a model becomes int8: the options of :func:`edgecv.convert`, and what differs from them.

    ``layers`` and ``activations`` are named by rules (see quant.precision.float_nodes); of several
    that fit, what a later one says wins. ``equalize``: how far channels of an activation are scaled
    to ranges alike, 0 to 1 (quant.equalize). ``correct_bias``: whether the mean error of linear
    layers, measured, goes into their biases (quant.bias). ``model`` and ``fingerprint`` tell which
    model a plan was made for; without a fingerprint it is for any.
    """

    method: str = "auto"
    percent: float = 99.99
    weights: str = "lane-safe"
    lane_group: int = 4
    weight_bits: int = 8
    activation_bits: int = 8
    equalize: float = 0.0
    correct_bias: bool = False
    keep_float: Tuple[str, ...] = ()
    layers: Mapping[str, LayerPlan] = field(default_factory=dict)
    activations: Mapping[str, ActivationPlan] = field(default_factory=dict)
    model: str = ""
    fingerprint: str = ""

    def check(self) -> Plan:
        """Returns the plan itself; raises Error for a value out of its domain."""
        _one_of("method", self.method, ("auto", *METHODS))
        _check_percent("percent", self.percent)
        _one_of("weights", self.weights, WEIGHTS)
        _one_of("lane_group", self.lane_group, GROUPS)
        _one_of("weight_bits", self.weight_bits, (8, 7, 6, 5, 4))
        _one_of("activation_bits", self.activation_bits, (8, 7))
        if not 0.0 <= self.equalize <= 1.0:
            raise Error(f"equalize is {self.equalize}: it takes 0 (not at all) to 1")
        for rule, layer in self.layers.items():
            _one_of(f"layer {rule!r}: weights", layer.weights, (None, *WEIGHTS))
            _one_of(f"layer {rule!r}: lane_group", layer.lane_group, (None, 1, *GROUPS))
            _one_of(f"layer {rule!r}: weight_bits", layer.weight_bits, (None, 8, 7, 6, 5, 4))
        for rule, one in self.activations.items():
            what = f"activation {rule!r}"
            _one_of(f"{what}: method", one.method, (None, *METHODS))
            if (one.method is None) == (one.range is None):
                raise Error(f"{what}: give either a method or a range")
            if one.percent is not None:
                if one.method != "percentile":
                    raise Error(f"{what}: percent is for the method 'percentile'")
                _check_percent(f"{what}: percent", one.percent)
            if one.range is not None and not (
                all(map(math.isfinite, one.range)) and one.range[0] < one.range[1]
            ):
                raise Error(f"{what}: range is {list(one.range)}: it takes [low, high], low < high")
        return self

    def check_model(self, fingerprint: str, name: str) -> None:
        """Raises Error when the plan was made for another model."""
        if self.fingerprint and self.fingerprint != fingerprint:
            made = self.model or "a model"
            raise Error(
                f"the plan was made for {made} ({self.fingerprint}), and {name} is another model "
                f"({fingerprint}): make a plan for it with `edgecv doctor`"
            )

    def digest(self) -> str:
        """A short digest of what the plan says, comments aside."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()[:12]

    def to_text(self) -> str:
        """The plan as the text that :func:`parse` reads; what is the default stays out."""
        lines = [f"edgecv_plan = {VERSION}"]
        lines += [f"{key} = {_text(getattr(self, key))}" for key in _TOP if getattr(self, key)]
        default = Plan()
        options = [
            f"{key} = {_text(getattr(self, key))}"
            for key in _OPTIONS
            if getattr(self, key) != getattr(default, key)
        ]
        if options:
            lines += ["", "[options]", *options]
        for kind, entries in (("layer", self.layers), ("activation", self.activations)):
            for rule, entry in entries.items():
                lines += ["", f"[{kind}.{_quoted(rule)}]"]
                for one in fields(entry):
                    value = getattr(entry, one.name)
                    if value is not None and value is not False:
                        lines.append(f"{_key(one.name)} = {_text(value)}")
        return "\n".join(lines) + "\n"


_TOP = ("model", "fingerprint")
_OPTIONS: Dict[str, type] = {
    "method": str, "percent": float, "weights": str, "lane_group": int, "weight_bits": int,
    "activation_bits": int, "equalize": float,
    "correct_bias": bool, "keep_float": list,
}  # fmt: skip
_LAYER: Dict[str, type] = {"weights": str, "lane_group": int, "weight_bits": int, "float": bool}
_ACTIVATION: Dict[str, type] = {"method": str, "percent": float, "range": list}


def _key(attribute: str) -> str:
    return "float" if attribute == "is_float" else attribute


def _one_of(what: str, value: Any, allowed: Tuple[Any, ...]) -> None:
    if value not in allowed:
        words = [repr(one) for one in allowed if one is not None]
        raise Error(f"{what} is {value!r}: it takes {', '.join(words[:-1])} or {words[-1]}")


def _check_percent(what: str, value: float) -> None:
    if not 50.0 < value <= 100.0:
        raise Error(f"{what} is {value}: it takes more than 50, at most 100")


def load(path: Path) -> Plan:
    """Reads a plan file; raises Error naming the file and what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise Error(f"{path}: cannot read the plan ({cause})") from cause
    try:
        return parse(text)
    except Error as cause:
        raise Error(f"{path}: {cause}") from None


def parse(text: str) -> Plan:
    """A plan from its text; raises Error naming what is wrong, and where."""
    tables = _tables(text)
    top = tables.pop(("", ""), {})
    version = top.pop("edgecv_plan", None)
    if version != VERSION:
        raise Error(f"not a plan: it has to say `edgecv_plan = {VERSION}` before any table")
    known = _typed("the plan", top, dict.fromkeys(_TOP, str))
    layers: Dict[str, LayerPlan] = {}
    activations: Dict[str, ActivationPlan] = {}
    for (kind, rule), table in tables.items():
        if (kind, rule) == ("options", ""):
            known.update(_typed("[options]", table, _OPTIONS))
            known["keep_float"] = tuple(_strings(known.get("keep_float", [])))
        elif kind == "layer" and rule:
            values = _typed(f"layer {rule!r}", table, _LAYER)
            values["is_float"] = values.pop("float", False)
            layers[rule] = LayerPlan(**values)
        elif kind == "activation" and rule:
            values = _typed(f"activation {rule!r}", table, _ACTIVATION)
            if "range" in values:
                values["range"] = _pair(rule, values["range"])
            activations[rule] = ActivationPlan(**values)
        else:
            raise Error(
                f"unknown table [{kind}{'.' if rule else ''}{rule}]: a plan has [options], "
                '[layer."NAME"] and [activation."NAME"]'
            )
    return Plan(layers=layers, activations=activations, **known).check()


def _typed(where: str, table: Dict[str, Any], types: Mapping[str, type]) -> Dict[str, Any]:
    for key, value in table.items():
        if key not in types:
            raise Error(f"{where}: unknown key {key!r}, known are {', '.join(types)}")
        wanted = types[key]
        number = wanted is float and isinstance(value, int) and not isinstance(value, bool)
        if not number and type(value) is not wanted:
            raise Error(f"{where}: {key} is {value!r}, not {_NAMES[wanted]}")
    return dict(table)


_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false",
          list: "a list"}  # fmt: skip


def _strings(values: List[Any]) -> List[str]:
    if not all(isinstance(value, str) for value in values):
        raise Error("[options]: keep_float is not a list of strings")
    return values


def _pair(rule: str, values: List[Any]) -> Range:
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(values) != 2 or len(numbers) != 2:
        raise Error(f"activation {rule!r}: range is {values!r}: it takes [low, high]")
    return float(values[0]), float(values[1])


# -- TOML


def _tables(text: str) -> Dict[Tuple[str, str], Dict[str, Any]]:
    """(table, name in it) -> keys and values, in order; ("", "") is what stands before any."""
    try:
        document = tomllib.loads(text.lstrip("\ufeff"))
    except tomllib.TOMLDecodeError as cause:
        raise Error(f"not TOML: {cause}") from None
    tables: Dict[Tuple[str, str], Dict[str, Any]] = {("", ""): {}}
    for key, value in document.items():
        if not isinstance(value, dict):
            tables["", ""][key] = value
        elif key in ("layer", "activation") and all(isinstance(v, dict) for v in value.values()):
            tables.update(((key, rule), table) for rule, table in value.items())
        else:
            tables[key, ""] = value
    return tables


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in escaped)
    return f'"{escaped}"'


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_text, value)) + "]"
    return repr(value)
