"""`bench data`: look at a dataset before anything is trained on it, or write it as a COCO folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import UserError

if TYPE_CHECKING:
    from bench.data.found import Found
    from bench.data.options import Options
    from bench.data.split import Role

app = typer.Typer(no_args_is_help=True, help="Look at data, or convert them into a COCO folder.")

Classes = Annotated[str | None, typer.Option(help="Comma-separated class names; all that have a box when left out.")]
Split = Annotated[
    str | None, typer.Option(help="80/10/10 deals all images anew; 90/10 divides train, what is held out becomes test.")
]
SplitBy = Annotated[
    str | None,
    typer.Option(help="What is never divided: image, folder, or a regular expression on image names."),
]
SplitSeed = Annotated[int | None, typer.Option(help="Seed of the dealing; 0 when left out.")]
LAYOUTS = ("coco", "yolo", "voc", "mot")
FORMER = {"mot17": "mot"}  # layouts by the names they had as commands


@app.command("show")
def show_command(
    data: Annotated[str, typer.Argument(help="A folder, LAYOUT:DIR, a TOML file, or shapes (docs/data.md).")],
    classes: Classes = None,
    split: Split = None,
    split_by: SplitBy = None,
    split_seed: SplitSeed = None,
    images: Annotated[int, typer.Option(help="Images on the contact sheet.", min=1, max=200)] = 24,
    seed: Annotated[int, typer.Option(help="Which images are drawn.")] = 0,
    format: Annotated[str, typer.Option(help="table, markdown, csv, latex or json.")] = "table",
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("results/data"),
) -> None:
    """Say what was read, and draw it: counts and changes, sizes and classes, and images with their boxes.

    Examples:

      bench data show my-export

      bench data show yolo:my-export --split 80/10/10 --images 48
    """
    from bench.data.deal import EXAMPLE, NotDivided
    from bench.data.spec import load
    from bench.report.contact_sheet import contact_sheet
    from bench.report.data_figures import sizes_figure
    from bench.report.data_page import data_page
    from bench.report.formats import FORMATS, formatted
    from bench.report.style import save

    FORMATS.check(format)
    asked = names(classes)
    try:
        found = load(data, classes=asked, split=split, split_by=split_by, split_seed=split_seed)
    except NotDivided as error:
        typer.echo(f"bench: {error}; shown as --split {EXAMPLE} would deal it", err=True)
        found = load(data, classes=asked, split=EXAMPLE)
    typer.echo(formatted(data_page(found, 30 if format == "table" else None), format), nl=False)
    if format == "table":
        drawn = {"images": contact_sheet(found, images=images, seed=seed), "sizes": sizes_figure(found)}
        paths = [save(figure, out / f"{found.name}-{name}.png") for name, figure in drawn.items()]
        typer.echo(f"\npictures: {', '.join(map(str, paths))}")


@app.command("convert")
def convert_command(
    source: Annotated[list[str], typer.Argument(help="What to read, and where to write: [LAYOUT] DIR OUT.")],
    classes: Classes = None,
    split: Split = None,
    split_by: SplitBy = None,
    split_seed: SplitSeed = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy images; otherwise hard links where possible.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
    train: Annotated[str | None, typer.Option(help="MOT17: sequence numbers, comma-separated.")] = None,
    val: Annotated[str | None, typer.Option(help="MOT17: sequence numbers, comma-separated.")] = None,
    test: Annotated[str | None, typer.Option(help="MOT17: sequence numbers, comma-separated.")] = None,
    visibility: Annotated[
        float | None, typer.Option(help="MOT17: pedestrians less visible (0..1) become ignore regions.")
    ] = None,
    every: Annotated[int | None, typer.Option(help="MOT17: take one of so many frames.")] = None,
) -> None:
    """Write OUT/images and OUT/instances_{train,val,test}.json: COCO's format, whatever layout was read.

    Examples:

      bench data convert my-export data/mine --split 80/10/10

      bench data convert yolo parts data/parts

      bench data convert mot MOT17 data/mot17 --val 09,11 --train 02,04,05,10 --every 5
    """
    from bench.data.dataset import dataset, settled
    from bench.data.options import Options
    from bench.data.spec import find
    from bench.data.split import Dataset
    from bench.data.summary import summary
    from bench.data.write import check_free, write

    spec, out = places(source)
    options = Options(names(classes), split=split, split_by=split_by, split_seed=split_seed)
    asked: dict[Role, str | None] = {"train": train, "val": val, "test": test}
    sequences = {role: text for role, text in asked.items() if text is not None}
    check_free(out, force)
    if sequences or visibility is not None or every is not None:
        found = _mot(spec, options, sequences, visibility, every)
    else:
        read = find(spec, options)
        if isinstance(read, Dataset):
            raise UserError("these data are made, not read", where=spec, fix="use them as they are: --data shapes")
        found = read
    what = settled(found, found.options or options)
    data = dataset(what)
    write(what, out, copy)
    for line in summary(data):
        typer.echo(line)
    typer.echo(f"use it: --data coco:{out}")


def places(arguments: list[str]) -> tuple[str, Path]:
    """What to read, as `--data` takes it, and where to write.

    Args:
        arguments: SOURCE OUT, or LAYOUT DIR OUT.

    Raises:
        UserError: there are fewer or more of them, or no such layout.
    """
    if len(arguments) == 2:
        return arguments[0], Path(arguments[1])
    if len(arguments) != 3:
        fix = "give the folder to read and the one to write: bench data convert DIR OUT"
        raise UserError(f"there are {len(arguments)} arguments", where="bench data convert", fix=fix)
    layout = FORMER.get(arguments[0], arguments[0])
    if layout not in LAYOUTS:
        fix = f"one of {', '.join(LAYOUTS)}; or leave it out, and the folder is looked at"
        raise UserError(f"there is no layout {layout!r}", where="bench data convert", fix=fix)
    return f"{layout}:{arguments[1]}", Path(arguments[2])


def names(text: str | None) -> tuple[str, ...] | None:
    """Class names out of text with commas; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _mot(spec: str, options: Options, sequences: dict[Role, str], visibility: float | None, every: int | None) -> Found:
    from bench.data.readers.mot import EVERY, SEQUENCES, VISIBILITY, read_mot17
    from bench.data.spec import reader_of

    name, place = reader_of(spec)
    if name != "mot":
        where = "--train, --val, --test, --visibility, --every"
        raise UserError("these are for MOT17 only", where=where, fix="leave them out, or write mot:DIR")
    return read_mot17(
        options.folder(place, "mot"),
        sequences={**SEQUENCES, **{role: numbers(text, f"--{role}") for role, text in sequences.items()}},
        visibility=VISIBILITY if visibility is None else visibility,
        every=EVERY if every is None else every,
    )


def numbers(text: str, option: str) -> list[int]:
    """Comma-separated sequence numbers.

    Args:
        text: such as "02,04,05".
        option: whose value it is.

    Raises:
        UserError: the text is something else.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{text!r} is no list of sequence numbers", where=option, fix="such as 02,04,05") from None
