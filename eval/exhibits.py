"""Every table and figure of the papers, with the command that makes ours or the reason why there is none.

They are listed in `eval/published/exhibits.json`, and are the papers that `published_numbers` has numbers of, under the
same names. What a paper says in its text about its results is listed, too. DIR stands for a folder of data, RUN for a
run directory.
"""

import dataclasses
import fnmatch
import json
from pathlib import Path

from eval import published_numbers, tables

PATH = published_numbers.FOLDER / "exhibits.json"

_COMMAND = "python -m "


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """A table, figure or statement of a paper.

    `shows` says in one sentence what it shows. Either `command` makes ours or `reason` says why none can be made.
    `files` are the names of what the command writes into its folder, without endings; they may hold *, and there are
    none where it makes no figure. `note` says what differs from the published one, or is empty.
    """

    paper: str
    exhibit: str
    shows: str
    command: str
    files: tuple[str, ...]
    reason: str
    note: str

    def __post_init__(self):
        where = f"{self.paper or 'no paper'}, {self.exhibit or 'no name'}"
        lacking = [field for field in ("paper", "exhibit", "shows") if not getattr(self, field)]
        if lacking:
            raise ValueError(f"{where}: {', '.join(lacking)} is empty. Say whose it is, what it is called and shows.")
        if bool(self.command) == bool(self.reason):
            found = "both" if self.command else "neither"
            raise ValueError(f"{where}: has {found} of command and reason; exactly one was expected. Leave one empty.")
        if self.command and not self.command.startswith(_COMMAND):
            raise ValueError(f"{where}: command {self.command!r} does not begin with {_COMMAND!r}. Name a module.")
        if self.files and not self.command:
            raise ValueError(f"{where}: has files {', '.join(self.files)} and no command that writes them. Name it.")

    @property
    def module(self):
        """The module that the command runs, such as "experiments.dsin_figures"; empty where there is no command."""
        return self.command.removeprefix(_COMMAND).partition(" ")[0]

    def made(self, figures):
        """The names of those of some figures that the command makes.

        Several commands write files of the same names, so folders are looked at, too: theirs are by default called as
        the command, and a name without a folder is any command's.

        Args:
          figures: paths such as "runs/dsin_figures/fig5_kitti_small_test_native.json", with or without the ending.

        Returns:
          List of names without folder and ending.
        """
        command = self.module.rpartition(".")[2]
        paths = [Path(str(figure).removesuffix(".json")) for figure in figures]
        paths = [path for path in paths if command in path.parent.name or not path.parent.name]
        return [path.name for path in paths if any(fnmatch.fnmatchcase(path.name, name) for name in self.files)]


def load(paper=None, path=PATH):
    """What the papers show, in the order of the papers.

    Args:
      paper: only of this paper, such as "dsin".
      path: the list, a JSON file.

    Returns:
      List of `Exhibit`.

    Raises:
      ValueError: no such paper, or an entry of the list is not what it should be.
    """
    found = {}
    for at, entry in enumerate(json.loads(Path(path).read_text(encoding="utf-8"))["exhibits"], 1):
        expected = [field.name for field in dataclasses.fields(Exhibit)]
        if set(entry) != set(expected):
            raise ValueError(
                f"{path}: entry {at} has {', '.join(entry)}; {', '.join(expected)} were expected. Leave empty what "
                "there is nothing to say of."
            )
        exhibit = Exhibit(**{**entry, "files": tuple(entry["files"])})
        if found.setdefault((exhibit.paper, exhibit.exhibit), exhibit) is not exhibit:
            raise ValueError(f"{path}: {exhibit.paper}, {exhibit.exhibit} is there twice. Give one another name.")
    papers = list(dict.fromkeys(exhibit.paper for exhibit in found.values()))
    if paper is not None and paper not in papers:
        raise ValueError(f"Nothing is listed of paper {paper!r}; there is {', '.join(papers)}.")
    return [exhibit for exhibit in found.values() if paper in (None, exhibit.paper)]


def table(paper, figures=()):
    """What a paper shows, and ours.

    Args:
      paper: such as "dsin".
      figures: paths of figures that are at hand; those of an exhibit are named beside it. See `Exhibit.made`.

    Returns:
      A `tables.Table`.

    Raises:
      ValueError: no such paper.
    """
    rows = []
    for exhibit in load(paper):
        cells = [tables.Cell(exhibit.shows), tables.Cell(exhibit.command or exhibit.reason, note=exhibit.note)]
        if figures:
            cells.append(tables.Cell(", ".join(exhibit.made(figures)) or tables.MISSING))
        rows.append(tables.Row((exhibit.exhibit,), tuple(cells)))
    columns = ("what it shows", "ours", *(["figures at hand"] if figures else []))
    note = "DIR is a folder of data, RUN a run directory. What to train and evaluate first is in each command's --help."
    return tables.Table(f"What {paper} shows, and what makes ours", ("exhibit",), columns, tuple(rows), note)
