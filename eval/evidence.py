"""Finds what claims are checked with: results and figures' numbers in folders, by what they say they are.

Results files (`eval/rd_results.py`) are found by method, settings and data set, so that the names of files and folders
do not matter; numbers that commands of figures wrote as JSON by the name of the file and the data set.
"""

import collections
import dataclasses
import fnmatch
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eval import rd_results

# What results must share to be compared.
_SAME = ("dataset", "split", "protocol", "data_digest", "rate")


class Missing(Exception):
    """Something cannot be computed; the message says why, `found` how many of its sources are there."""

    def __init__(self, message, found=0):
        super().__init__(message)
        self.found = found


@dataclasses.dataclass(frozen=True)
class Method:
    """A codec as claims name it: results whose meta has this method and these settings; commands that make them."""

    name: str
    method: str
    settings: Mapping = dataclasses.field(default_factory=dict)
    commands: tuple = ()

    def fits(self, result):
        """Whether a result is of this codec."""
        found = result.meta.get("settings", {})
        return result.meta["method"] == self.method and all(found.get(k) == v for k, v in self.settings.items())


@dataclasses.dataclass(frozen=True)
class Figure:
    """The JSON that a figure's command writes: a pattern of the file's name; commands that make it."""

    name: str
    file: str
    commands: tuple = ()


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Images as claims name them.

    Attributes:
      name: of the data set.
      meta: what the meta of results must say (dataset, protocol, split).
      flags: of commands, that choose these images.
      weights: what names of shipped weights that were trained on such images hold.
      training: flags that choose the images of a training, and what else is to be said of one on them.
      commands: {name of a method: list of commands} where these are not the method's own.
    """

    name: str
    meta: Mapping
    flags: str = ""
    weights: str = "kitti-small"
    training: str = "--dataset=kitti_small --data_dir=DIR"
    commands: Mapping = dataclasses.field(default_factory=dict)

    def commands_of(self, source):
        """What makes a `Method` or `Figure` of these images."""
        return self.commands.get(source.name, source.commands)

    def fits(self, meta):
        """Whether a result or a figure with this meta is of these images."""
        return all(meta.get(key) == value for key, value in self.meta.items())


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the folders hold: `results` are `RDResult`s, `figures` pairs of a file's name and its document."""

    results: tuple = ()
    figures: tuple = ()

    def results_of(self, methods, data):
        """The results of several methods on the same images, with rates of one kind.

        Of a method's results on the same images the one with the most operating points counts: that of a sweep, not
        that of one of its runs. Of a data set in several forms the one with the most images counts.

        Args:
          methods: list of `Method`.
          data: a `DataSet`.

        Returns:
          A list of `RDResult`, in the order of `methods`.

        Raises:
          Missing: there is none of a method, or it is not clear which one.
        """
        groups = collections.defaultdict(list)
        for result in self.results:
            if result.images and data.fits(result.meta):
                groups[tuple(result.meta.get(key) for key in _SAME)].append(result)
        complete, closest = [], Missing(_absent(methods, data))
        for group in groups.values():
            fitting = [[result for result in group if method.fits(result)] for method in methods]
            absent = [method for method, found in zip(methods, fitting) if not found]
            if absent:
                closest = max(closest, Missing(_absent(absent, data), len(methods) - len(absent)), key=_count_found)
            else:
                complete.append([_richest(method, found, data) for method, found in zip(methods, fitting)])
        if not complete:
            raise closest
        return max(complete, key=lambda results: min(len(result.images) for result in results))

    def values_of(self, figure, path, data):
        """Numbers of single images out of a figure's JSON.

        Args:
          figure: a `Figure`.
          path: keys with / between, down to the number. Of a list every entry counts, or those that fit a condition:
            "runs[alpha=1,beta=0]/images/bpp". An entry with the key "image" is that image's.
          data: a `DataSet`.

        Returns:
          ({image: number}, meta, steps of training). Of several numbers of an image, as of a model at several rates,
          it is the mean.

        Raises:
          Missing: there is no such file, or no such number in it.
        """
        documents = [
            document
            for name, document in self.figures
            if fnmatch.fnmatch(name, figure.file) and data.fits(_measured_on(document))
        ]
        if not documents:
            raise Missing(f"no {figure.file} of {data.name}")
        found, steps = collections.defaultdict(list), set()
        for document in documents:
            for image, value, trained in _walk(document, path.split("/")):
                found[image].append(value)
                steps.add(trained)
        if not found:
            raise Missing(f"{figure.file} of {data.name} has no number of single images at {path}", 1)
        means = {image: float(np.mean(values)) for image, values in found.items()}
        return means, _measured_on(documents[0]), tuple(sorted(steps - {None}))


def load(folders):
    """Reads every JSON file below the folders: results files, and others as numbers of figures.

    Returns:
      An `Evidence`.

    Raises:
      ResultError: a file is damaged.
      ValueError: a folder is not there.
    """
    results, figures = [], []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ValueError(f"{folder}: is no folder; one that holds results was expected. Name one that is there.")
        for path in sorted(folder.rglob("*.json")):
            try:
                document = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise rd_results.ResultError(f"{path}: is not JSON ({error}). Make it again.") from error
            if isinstance(document, dict) and {"meta", "results"} <= set(document):
                results.append(rd_results.load(path))
            elif isinstance(document, dict):
                figures.append((path.name, document))
    return Evidence(tuple(results), tuple(figures))


def _richest(method, results, data):
    """The one of a method's results on the same images that has the most operating points."""
    count = max(len(result.results["bpp"]) for result in results)
    richest = [result for result in results if len(result.results["bpp"]) == count]
    if len(richest) > 1:
        raise Missing(
            f"{len(richest)} results of {method.name} on {data.name} fit, leave one of them in the folders", 2
        )
    return richest[0]


def _absent(methods, data):
    return f"{', '.join(method.name for method in methods)} not measured on {data.name}"


def _count_found(missing):
    return missing.found


def _measured_on(document):
    """The part of a figure's JSON that says what it is of: all of it, or the first of its models."""
    models = document.get("models")
    return models[0] if "dataset" not in document and isinstance(models, list) and models else document


def _walk(node, path, image=None, steps=None):
    """Yields (image, number, steps of training) for each end of a path; see `Evidence.values_of`."""
    if isinstance(node, list):
        for entry in node:
            yield from _walk(entry, path, image, steps)
    elif isinstance(node, dict) and path:
        image, steps = node.get("image", image), node.get("settings", {}).get("steps", steps)
        key, conditions = re.fullmatch(r"([^\[]+)(?:\[(.*)\])?", path[0]).groups()
        found = node.get(key, [])
        if conditions:
            wanted = dict(condition.split("=") for condition in conditions.split(","))
            found = [entry for entry in found if all(_text(entry.get(k)) == v for k, v in wanted.items())]
        yield from _walk(found, path[1:], image, steps)
    elif not path and image is not None and isinstance(node, (int, float)):
        yield image, node, steps


def _text(value):
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
