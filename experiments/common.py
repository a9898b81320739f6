"""What the drivers share: flags and their help, progress, the end of a run."""

import contextlib
import logging as std_logging
import os
import shlex
import signal
import sys
import textwrap
from pathlib import Path
from typing import Optional

from absl import app, flags, logging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dsin_tf import data
from eval import tables

# Results go to stdout or into a file, everything else to stderr, so that a result can be piped.
console = Console(stderr=True)

_WIDEST = 400  # letters, of a table that is printed into a file

# What stands for folders of this machine in a command that results keep.
PLACES = {"data_dir": "DIR", "list_file": "LIST", "workdir": "RUN"}
# Flags that change no number.
_ASIDE = ("out", "pictures", "picture_bpp", "pictures_dir", "cache_dir", "jobs")

_groups = {}  # title -> names of its flags, in the order of their definition


class UserError(Exception):
    """Something the user asked for cannot be done; the message is all they need to see."""


@contextlib.contextmanager
def flag_group(title):
    """Flags defined inside the block stand under `title` in --help."""
    before = set(flags.FLAGS)
    yield
    _groups.setdefault(title, []).extend(name for name in flags.FLAGS if name not in before)


def define_data_flags():
    """Flags that choose a data set; the same names in every driver."""
    with flag_group("Data"):
        flags.DEFINE(
            DatasetParser(),
            "dataset",
            "street",
            "Data set; 'street' is rendered and needs no --data_dir. Several of one kind, with + between, are one: "
            "kitti_scenes+street_sets.",
        )
        flags.DEFINE_string("data_dir", None, "Folder that holds the data set as its owners distribute it.")
        flags.DEFINE_string("split", "test", "Part of the data set: train, val or test where it has such parts.")
        flags.DEFINE_string(
            "list_file",
            None,
            "Text file with two lines a pair, for list and for kitti_general's val and test; {split} in its name "
            "stands for the part.",
        )
        flags.DEFINE_integer(
            "set_size",
            None,
            "Images in a set, for data sets of sets; by default 8, and all of a folder in image_sets.",
            lower_bound=1,
        )
        flags.DEFINE_enum(
            "views",
            None,
            ("scattered", "drive"),
            "What a set of street_sets shows: one street from scattered places in changing light (the default), or "
            "from both cameras of a car that drives by.",
        )
        flags.DEFINE_string(
            "scenes",
            None,
            "Only these scenes of the part of kitti_scenes: names or their ends with commas between, such as "
            "training/000105.",
        )
        flags.DEFINE_string(
            "cache_dir", None, "Folder for street's pictures, so that each is rendered once and not in every run."
        )
        flags.DEFINE_enum(
            "protocol",
            "native",
            data.protocols.names(),
            "What becomes of an image first: dsin crops to 320x1224, ndic crops and shrinks to 128x256, native "
            "leaves it as it is.",
        )
        flags.DEFINE_bool("partial", False, "Go on with the images that are there when some of the list are missing.")
        flags.DEFINE_integer("limit", None, "Use only the first so many items of the list.", lower_bound=1)


def load_data(split=None, dataset=None, **options):
    """The data set that the flags choose.

    Args:
      split: another part than the flags say.
      dataset: another name than the flags say.
      **options: of `data.load`.
    """
    values = flags.FLAGS
    # What the data set has no use for, it refuses by name.
    given = {name: getattr(values, name) for name in ("list_file", "set_size", "views", "scenes", "cache_dir")}
    options.update((name, value) for name, value in given.items() if value is not None)
    return data.load(
        dataset or values.dataset,
        split=split or values.split,
        data_dir=values.data_dir,
        partial=values.partial,
        limit=values.limit,
        **options,
    )


def singly(source):
    """The data set, of sets every image by itself: for what measures one image after the other."""
    return data.chains.Flat(source) if source.kind == "sets" else source


def folders_in(folder, deep=3):
    """A folder and those below it, so many levels deep; none where it is None."""
    if folder is None:
        return []
    top, found = Path(folder).resolve(), []
    for path, below, _ in os.walk(top):
        found.append(Path(path))
        below[:] = sorted(below) if len(found[-1].relative_to(top).parts) < deep else []
    return found


def command(**replaced):
    """The command line of the driver that runs, as results keep it: what one types in a checkout for the same numbers.

    Flags are those that were given, in the order of --help, without those that only say where to write. Folders of
    this machine are DIR, LIST and RUN; names of shipped weights and relative paths of runs stay.

    Args:
      **replaced: {flag: its text}; None leaves it out.

    Returns:
      Such as "python -m experiments.dsin --mode=evaluate --workdir=RUN"; None where no driver was started.
    """
    module = getattr(sys.modules["__main__"], "__spec__", None)
    if module is None or not module.name.startswith("experiments."):
        return None
    words = ["python", "-m", module.name]
    for name in (name for names in _groups.values() for name in names):
        if name in replaced:
            words += [] if replaced[name] is None else [f"--{name}={replaced[name]}"]
        elif flags.FLAGS[name].present and name not in _ASIDE:
            words.append(_word(name, flags.FLAGS[name].value))
    return shlex.join(words)


def run(main):
    """Runs `main(argv)` under absl; a mistake of the user ends in one line on stderr and exit status 1."""

    def guarded(argv):
        if len(argv) > 1:
            _fail(f"Unexpected argument {argv[1]!r}; every setting is a flag (--name=value). See --help.")
        try:
            status = main(argv)
            print(end="", flush=True)  # a pipe that nobody reads any more shows here, not after the end
            return status
        except BrokenPipeError:
            _stop_printing()
        except (UserError, OSError, ValueError) as error:
            if os.environ.get("DSIN_TF_TRACEBACK"):
                raise
            _fail(str(error))
        except KeyboardInterrupt:
            _fail("Stopped. What was finished is kept; the same command goes on from there.", status=130)

    if {"--help", "-help", "-h", "--helpshort"} & set(sys.argv[1:]):
        try:
            print(help_text(sys.modules["__main__"].__doc__), flush=True)
        except BrokenPipeError:
            _stop_printing()
        sys.exit(0)
    # TensorFlow's own warnings are for who writes models, not for who runs them.
    std_logging.getLogger("tensorflow").setLevel(std_logging.ERROR)
    logging.use_absl_handler()
    logging.get_absl_handler().setFormatter(_Notes())
    # What absl's app.run does, but for what it calls afterwards: TensorFlow 2.14, imported later than that, takes
    # itself for version 1 inside of functions, and the == of tensors for "is".
    app.define_help_flags()
    argv = _parse_flags(sys.argv)
    if flags.FLAGS["verbosity"].using_default_value:
        flags.FLAGS.verbosity = logging.INFO
    sys.exit(guarded(argv))


def _stop_printing():
    """Ends the process as other tools end when who reads them, `head` say, has read enough: without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + signal.SIGPIPE)


def help_text(description):
    """What --help prints: the driver's docstring, then its flags by group with type and default."""
    lines = [(description or "").strip(), ""]
    for title, names in _groups.items():
        lines.append(f"{title}:")
        for name in names:
            lines.extend(_flag_help(flags.FLAGS[name]))
        lines.append("")
    lines.append("Also: --helpfull lists absl's own flags, --flagfile=FILE reads flags from a file.")
    return "\n".join(lines)


@contextlib.contextmanager
def progress(description, total: Optional[int] = None):
    """Yields `advance(n=1, note="")`: a progress bar on a terminal, nothing where stderr is a file."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(description, total=total, note="")
        yield lambda n=1, note="": bar.update(task, advance=n, note=note)


def show_table(table):
    """Prints a `tables.Table` to stdout: on a terminal as wide as that is, elsewhere as wide as nothing is cut off."""
    out, shown = Console(), tables.to_terminal(table)
    if not out.is_terminal:
        out.width = max(out.width, out.measure(shown, options=out.options.update(max_width=_WIDEST)).maximum)
    out.print(shown)


class DatasetParser(flags.EnumParser):
    """Of flags that name a data set, or several joined by "+"."""

    def __init__(self):
        super().__init__(data.names())

    def parse(self, argument):
        for name in argument.split("+"):
            super().parse(name)
        return argument


class _Notes(std_logging.Formatter):
    """What the library logs, as lines for a person: no date, process or place in the code."""

    def format(self, record):
        word = "note" if record.levelno < std_logging.WARNING else record.levelname.lower()
        return f"{word}: {record.getMessage()}"


def _flag_help(flag):
    """A flag's lines in --help: name and form, then the wrapped sentence with its default."""
    kind, sentence = flag.flag_type(), flag.help
    if kind == "bool":
        form = f"--[no]{flag.name}"
    elif getattr(flag.parser, "enum_values", None):
        values = f"<{'|'.join(flag.parser.enum_values)}>"
        form = f"--{flag.name}={values}"
        sentence = sentence.replace(f"{values}: ", "", 1)  # absl puts the values before the sentence
    else:
        form = f"--{flag.name}=<{kind.replace('comma separated list of strings', 'list,of,values')}>"
    default = "none" if flag.default is None else flag.default_as_str.strip("'")
    wrap = {"width": 100, "subsequent_indent": " " * 8, "break_on_hyphens": False}
    return [
        *textwrap.wrap(form.replace("|", " | "), initial_indent="    ", **wrap),
        *textwrap.wrap(f"{sentence} (default: {default})", initial_indent=" " * 8, **wrap),
    ]


def _word(name, value):
    """A flag in a command that is kept."""
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    is_place = name in PLACES and (name != "workdir" or os.path.isabs(text))
    return f"--{name}={PLACES[name] if is_place else text}"


def _parse_flags(argv):
    """absl's parsing, but a wrong flag ends in one line instead of the whole help."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        return _fail(f"{error}. See --help.")


def _fail(message, status=1):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)
