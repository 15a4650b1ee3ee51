"""The parameters of the estimators, for ``--set``: names, types, choices, defaults and a sentence on each.

All of this is read from the source text of the constructors. Help and shell completion therefore do not import the
estimators, which takes seconds.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepjive.persistence import CLASSES as MODULES

CLASSES = {"deepjive": "DeepJIVE", "ajive": "AJIVE", "jive": "JIVE", "heterojive": "HeteroJIVE"}
OPTIONS = {
    "joint_rank": "--joint-rank",
    "individual_ranks": "--individual-rank",
    "signal_ranks": "--signal-rank",
    "subsets": "--subsets",
    "identity": "--identity",
    "orthogonality": "--orthogonality",
    "objective": "--objective",
    "max_epochs": "--max-epochs",
    "batch_size": "--batch-size",
    "learning_rate": "--learning-rate",
    "device": "--device",
    "devices": "--devices",
    "missing": "--missing",
    "transformation": "--transformation",
    "scale": "--scale",
    "random_state": "--seed",
    "verbose": "--quiet",
}
PLAIN: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float,),
    "str": (str,),
    "Any": (bool, int, float, str),
}
WORDS: dict[type, str] = {bool: "true|false", int: "integer", float: "number", str: "text"}

OWN_OPTION = "--set {name}: this parameter has an option of its own. Use {option}."
NOT_TEXT = (
    "--set {name}: its values are arrays or code, which the command line cannot give. Fit the model from Python "
    "instead."
)
UNKNOWN = "--set {name}: --method {method} has no such parameter.{guess} Its parameters are {known}."
NOT_ALLOWED = "--set {name}: {given!r} is not allowed. The value must be {allowed}; the default is {default}."


@dataclass(frozen=True)
class Parameter:
    """A parameter of an estimator.

    Attributes
    ----------
    name : str
        Its name in Python.
    default : object
        Its default.
    types : tuple of type
        The plain types of its values: bool, int, float, str.
    choices : tuple
        Single values that it may also take: names, None.
    description : str
        The first sentence of its documentation.
    holder : str, optional
        The parameter whose settings object has it as a field; None for a parameter of the constructor itself.
    """

    name: str
    default: Any
    types: tuple[type, ...]
    choices: tuple[Any, ...]
    description: str
    holder: str | None = None

    @property
    def has_text(self) -> bool:
        """Whether its values can be written on the command line."""
        return bool(self.types) or any(choice is not None for choice in self.choices)

    @property
    def allowed(self) -> str:
        """The allowed values, as help and errors show them."""
        if self.types == PLAIN["Any"]:
            return "any value"
        return "|".join([*map(as_text, self.choices), *(WORDS[kind] for kind in self.types)])

    def parse(self, text: str) -> Any:
        """The value that a text stands for.

        Raises
        ------
        ValueError
            If the parameter cannot have such a value.
        """
        for choice in self.choices:
            if text == as_text(choice):
                return choice
        for kind in self.types:
            if kind is bool and text.lower() in ("true", "false"):
                return text.lower() == "true"
            if kind in (int, float, str):
                try:
                    return kind(text)
                except ValueError:
                    continue
        raise ValueError(
            NOT_ALLOWED.format(name=self.name, given=text, allowed=self.allowed, default=as_text(self.default))
        )


def as_text(value: Any) -> str:
    """A value as it is written after ``--set name=``."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_settings(method: str, settings: Sequence[str]) -> dict[str, Any]:
    """Values of the parameters named by ``--set``.

    Parameters
    ----------
    method : str
        Name of the estimator on the command line.
    settings : sequence of str
        ``"name=value"`` each.

    Returns
    -------
    dict of str to object

    Raises
    ------
    ValueError
        For a setting of another form, a name that is unknown, repeated or has an option of its own, or a value that the
        parameter cannot have.
    """
    parameters = parameters_of(method)
    values: dict[str, Any] = {}
    for setting in settings:
        name, separator, text = (part.strip() for part in setting.partition("="))
        name = name.replace("-", "_")
        if not separator or not name:
            raise ValueError(f"--set {setting!r} is not of the form name=value; write e.g. --set dropout=0.1.")
        if name in values:
            raise ValueError(f"--set names {name!r} more than once. Give each parameter one value.")
        values[name] = _parameter(method, name, parameters).parse(text)
    return values


def _parameter(method: str, name: str, parameters: Mapping[str, Parameter]) -> Parameter:
    if name not in parameters:
        known = [other.name for other in settable(method)]
        close = difflib.get_close_matches(name, known, 1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(UNKNOWN.format(name=name, method=method, guess=guess, known=", ".join(known)))
    if name in OPTIONS:
        raise ValueError(OWN_OPTION.format(name=name, option=OPTIONS[name]))
    if not parameters[name].has_text:
        raise ValueError(NOT_TEXT.format(name=name))
    return parameters[name]


def settable(method: str) -> list[Parameter]:
    """The parameters of a method that ``--set`` sets: all parameters without a separate option."""
    return [
        parameter for name, parameter in parameters_of(method).items() if name not in OPTIONS and parameter.has_text
    ]


def completions(method: str, incomplete: str) -> list[tuple[str, str]]:
    """Shell completions after ``--set``: parameter names, or the choices of a complete parameter name.

    Returns
    -------
    list of (str, str)
        The completed word, and a description.
    """
    name, separator, text = incomplete.partition("=")
    if not separator:
        return [(f"{p.name}=", p.description) for p in settable(method) if p.name.startswith(name)]
    for parameter in settable(method):
        if parameter.name == name:
            values = [*map(as_text, parameter.choices), *(("true", "false") if bool in parameter.types else ())]
            return [(f"{name}={value}", parameter.description) for value in values if value.startswith(text)]
    return []


def arguments_of(method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of parameters as arguments of the constructor: fields of a settings object become that object."""
    parameters, arguments = parameters_of(method), dict(values)
    fields: dict[str, dict[str, Any]] = {}
    for holder in {parameter.holder for parameter in parameters.values()} & set(values):
        whole = values[str(holder)]
        if whole is not None:
            fields[str(holder)] = dict(whole) if isinstance(whole, Mapping) else vars(whole)
    for name in values:
        holder = parameters[name].holder if name in parameters else None
        if holder is not None:
            fields[holder] = {**fields.get(holder, {}), name: arguments.pop(name)}
    for holder, of_holder in fields.items():
        module, name = _settings_class(MODULES[CLASSES[method]], CLASSES[method], holder)
        arguments[holder] = getattr(importlib.import_module(module), name)(**of_holder)
    return arguments


@functools.cache
def parameters_of(method: str) -> dict[str, Parameter]:
    """All parameters of a method by name; fields of a settings object stand beside the constructor's own."""
    return {p.name: p for p in read_parameters(MODULES[CLASSES[method]], CLASSES[method])}


def read_parameters(module: str, name: str) -> list[Parameter]:
    """The parameters of a class, from the source of its module.

    Parameters
    ----------
    module, name : str
        Where the class is defined, and its name.

    Returns
    -------
    list of Parameter
    """
    parameters: list[Parameter] = []
    sentences = _sentences(module, name)
    for argument, annotation, default, where in _constructor(module, name):
        values = _Values(where, annotation)
        own = Parameter(argument, default, *values.plain(), sentences.get(argument, ""))
        parameters += [own] if values.settings is None else list(_fields(*values.settings, holder=argument))
    return parameters


def _fields(module: str, name: str, holder: str) -> Iterator[Parameter]:
    sentences, node = _sentences(module, name), _class(module, name)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            field, plain = item.target.id, _Values(module, item.annotation).plain()
            yield Parameter(field, _value(item.value), *plain, sentences.get(field, ""), holder)


def _settings_class(module: str, name: str, holder: str) -> tuple[str, str]:
    for argument, annotation, _, where in _constructor(module, name):
        if argument == holder and (settings := _Values(where, annotation).settings) is not None:
            return settings
    raise KeyError(f"{name} has no parameter {holder!r} that holds settings.")


def _constructor(module: str, name: str) -> Iterator[tuple[str, ast.expr | None, Any, str]]:
    """Name, annotation and default of each argument of a class's constructor, and the module it stands in."""
    node = _class(module, name)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            spec = item.args
            positional = [*spec.posonlyargs, *spec.args][1:]
            missing = [None] * (len(positional) - len(spec.defaults))
            arguments = zip(positional, [*missing, *spec.defaults], strict=True)
            for argument, default in [*arguments, *zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]:
                yield argument.arg, argument.annotation, _value(default), module
            return
    for base in _bases(module, node):
        yield from _constructor(*base)
        return


class _Values:
    """The values that an annotation allows.

    Attributes
    ----------
    types, choices : list
        Plain types, and single values.
    settings : tuple of (str, str), optional
        Module and name of a class of settings.
    """

    def __init__(self, module: str, annotation: ast.expr | None) -> None:
        self.types: list[type] = []
        self.choices: list[Any] = []
        self.settings: tuple[str, str] | None = None
        if annotation is not None:
            self._add(module, annotation)

    def plain(self) -> tuple[tuple[type, ...], tuple[Any, ...]]:
        """Types in the order in which they are tried for a text, and choices with None last."""
        types = tuple(kind for kind in WORDS if kind in self.types)
        choices = dict.fromkeys(self.choices)
        return types, (*(choice for choice in choices if choice is not None), *([None] if None in choices else []))

    def _add(self, module: str, node: ast.expr) -> None:
        match node:
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                self._add(module, left)
                self._add(module, right)
            case ast.Subscript(value=ast.Name(id="Literal"), slice=content):
                for element in content.elts if isinstance(content, ast.Tuple) else [content]:
                    if isinstance(element, ast.Constant):
                        self.choices.append(element.value)
                    else:
                        self._add(module, element)
            case ast.Constant(value=None):
                self.choices.append(None)
            case ast.Name(id="Any"):
                self.types += PLAIN["Any"]
                self.choices.append(None)
            case ast.Name(id=name) if name in PLAIN:
                self.types += PLAIN[name]
            case ast.Name(id=name):
                self._add_named(module, name)

    def _add_named(self, module: str, name: str) -> None:
        where = _defined(module, name)
        node = None if where is None else _definitions(where[0]).get(where[1])
        if where is not None and isinstance(node, ast.ClassDef):
            if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
                self.settings = where
        elif where is not None and isinstance(node, ast.expr):
            self._add(where[0], node)


@functools.cache
def _definitions(module: str) -> dict[str, ast.ClassDef | ast.expr | tuple[str, str]]:
    """The meaning of each name in a module: a class, an assigned expression, or a name of another module."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return {}
    statements = ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
    statements += [inner for outer in statements if isinstance(outer, ast.If) for inner in outer.body]
    names: dict[str, ast.ClassDef | ast.expr | tuple[str, str]] = {}
    for statement in statements:
        match statement:
            case ast.ClassDef(name=name):
                names[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = value
            case ast.ImportFrom(module=str(source), names=aliases):
                names |= {alias.asname or alias.name: (source, alias.name) for alias in aliases}
    return names


def _defined(module: str, name: str) -> tuple[str, str] | None:
    """The module of this package that defines a name, and the name there."""
    root = module.partition(".")[0]
    while isinstance(place := _definitions(module).get(name), tuple):
        module, name = place
        if module.partition(".")[0] != root:
            return None
    return None if place is None else (module, name)


def _class(module: str, name: str) -> ast.ClassDef:
    node = _definitions(module).get(name)
    if not isinstance(node, ast.ClassDef):
        raise KeyError(f"{module} defines no class {name!r}.")
    return node


def _bases(module: str, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for base in node.bases:
        place = _defined(module, base.id) if isinstance(base, ast.Name) else None
        if place is not None:
            yield place


def _value(node: ast.expr | None) -> Any:
    """The value of a default, or its source text."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _sentences(module: str, name: str) -> dict[str, str]:
    """The first sentence on each parameter, from the docstrings of a class and its bases."""
    node = _class(module, name)
    sentences: dict[str, str] = {}
    for base in _bases(module, node):
        sentences |= _sentences(*base)
    for parameter, sentence in _documented(inspect.cleandoc(ast.get_docstring(node) or "")):
        other = re.match(r"As in deepjive\.(\w+)", sentence)
        known = _sentences(MODULES[other[1]], other[1]) if other is not None and other[1] in MODULES else {}
        sentences[parameter] = known.get(parameter, sentence)
    return sentences


def _documented(docstring: str) -> Iterator[tuple[str, str]]:
    section = re.search(r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\w+(?: \w+)?\n--|\Z)", docstring, re.M | re.S)
    for entry in re.finditer(r"^(\S[^\n]*)\n((?:[ \t][^\n]*\n?|\n)+)", section[1] if section else "", re.M):
        names, text = entry[1].partition(" : ")[0], " ".join(entry[2].split())
        sentence = re.split(r"(?<!e\.g\.)(?<!i\.e\.)(?<=\.) (?=[A-Z\"0-9])", text.replace("`", ""))[0]
        for name in names.split(","):
            yield name.strip(), re.split(r"[:;,] see ", sentence)[0].rstrip(".") + "."


def same_parameters(methods: Iterable[str]) -> dict[tuple[str, ...], list[Parameter]]:
    """The parameters that ``--set`` sets, by the methods that have exactly these parameters."""
    groups: dict[tuple[Parameter, ...], list[str]] = {}
    for method in methods:
        groups.setdefault(tuple(settable(method)), []).append(method)
    return {tuple(members): list(parameters) for parameters, members in groups.items()}
