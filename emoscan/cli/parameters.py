"""Command line options made from the fields of option classes, so that each is declared once."""

import inspect
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from emoscan.errors import UsageError


def _path(text: str) -> Path:
    """A path; an empty one would be the current folder, which nobody asked for."""
    if not text:
        raise UsageError("One of the paths is empty; name a file or a folder.")
    return Path(text)


@dataclass(frozen=True, slots=True)
class Argument:
    """What a command is given without a name: one path, or `several` at least one."""

    name: str
    metavar: str
    help: str
    several: bool = False

    def parameter(self) -> inspect.Parameter:
        """It as typer wants it."""
        declared = typer.Argument(
            metavar=self.metavar, help=self.help, parser=_path, show_default=False
        )
        kind = list[Path] if self.several else Path
        return _keyword(self.name, Annotated[kind, declared], inspect.Parameter.empty)


PATHS = Argument("paths", "PATH...", "Files, folders or patterns.", several=True)
OUT = Argument("out", "OUT", "What was given as --out: a folder, a table of photos; or a manifest.")
TIMELINE = Argument("timeline", "TIMELINE", "A table that emoscan wrote: parquet, csv or jsonl.")
MEDIA = Argument("media", "VIDEO|FOLDER", "The video, or the folder of photos, that was scanned.")
TIMELINES = Argument(
    "timelines", "TIMELINE...", "Tables that emoscan wrote: parquet, csv or jsonl.", several=True
)


def takes_options(
    *classes: type,
    without: frozenset[str] = frozenset(),
    arguments: tuple[Argument, ...] = (PATHS,),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command `(*arguments, *instances)` one option for each field of the classes.

    Fields in `without` are not offered and keep their defaults.
    """
    offered = {
        kind: [field for field in fields(kind) if field.name not in without] for kind in classes
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**values: Any) -> None:
            named = [values.pop(argument.name) for argument in arguments]
            built = [
                kind(**{field.name: values[field.name] for field in offered[kind]})
                for kind in classes
            ]
            command(*named, *built)

        parameters = [argument.parameter() for argument in arguments]
        for kind in classes:
            hints = get_type_hints(kind)
            parameters += [_parameter(field, hints[field.name], kind) for field in offered[kind]]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def _parameter(field: Field[Any], hint: Any, kind: type) -> inspect.Parameter:
    about = field.metadata
    parse, default = about["parse"], field.default
    declared = typer.Option(
        *(about["flags"] or (f"--{field.name.replace('_', '-')}",)),
        help=about["help"],
        metavar=about["metavar"],
        parser=parse,
        show_default=default is not None and not isinstance(default, bool),
        rich_help_panel=kind.__name__.replace("Options", " options"),
    )
    # click parses the default as well, so it has to be what a user would type.
    shown: Any = str(default) if parse and default is not None else default
    if get_origin(hint) is tuple:  # an option that may be repeated: typer knows lists alone
        repeated = GenericAlias(list, get_args(hint)[:1])
        return _keyword(field.name, Annotated[repeated, declared], list(shown or ()))
    return _keyword(field.name, Annotated[hint, declared], shown)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)
