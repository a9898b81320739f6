"""Every exhibit is complete, and what its command names is there: the module, its flags, its figure."""

import ast
import functools
import json
import re
import shlex
from pathlib import Path

import pytest

from eval import exhibits, published_numbers, tables

ROOT = Path(__file__).parents[2]
RATES = ast.Name("RATE_SETTINGS")  # flags that codec_driver defines in a loop
ALL = exhibits.load()
COMMANDS = [each for each in ALL if each.command]
ENTRY = {"paper": "p", "exhibit": "Fig. 1", "shows": "It.", "command": "", "files": [], "reason": "So.", "note": ""}
FIG5 = "python -m experiments.dsin_figures --figure=5"


def name(exhibit):
    return f"{exhibit.paper}-{exhibit.exhibit}"


@functools.cache
def tree_of(module):
    """The syntax tree of a module, which is not imported: drivers import TensorFlow."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(tree, prefix):
    """Calls such as `flags.DEFINE_enum(...)` of functions whose dotted name begins with a prefix."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if ast.unparse(call.func).startswith(prefix)]


def strings(tree, node):
    """The strings of a list as it is written in a module; of a dict its keys, of a name what was assigned to it."""
    if isinstance(node, ast.Constant):
        return {node.value}
    if isinstance(node, ast.Name):
        assigned = [n for n in ast.walk(tree) if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == node.id]
        return set().union(*(strings(tree, each.value) for each in assigned))
    if isinstance(node, ast.Starred):
        return strings(tree, node.value)
    parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    return set().union(*(strings(tree, part) for part in parts))


@functools.cache
def flags_of(module):
    """The names of a driver's flags: its own, and those of the modules that define some for it."""
    tree = tree_of(module)
    names = set()
    for call in calls(tree, "flags.DEFINE"):
        texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        names |= set(texts[:1])
    if calls(tree, "common.define_data_flags"):
        names |= flags_of("experiments.common")
    if calls(tree, "codec_driver.define_flags"):
        names |= flags_of("experiments.codec_driver") | strings(tree_of("experiments.codec_driver"), RATES)
    return names


def figures_of(module):
    """The values of a driver's --figure."""
    tree = tree_of(module)
    (values,) = (c.args[2] for c in calls(tree, "flags.DEFINE_enum") if ast.unparse(c.args[0]) == "'figure'")
    return strings(tree, values)


def options(exhibit):
    """{flag: value} of an exhibit's command."""
    python, m, module, *given = shlex.split(exhibit.command)
    assert (python, m, module) == ("python", "-m", exhibit.module)
    assert all(re.fullmatch(r"--\w+=.+", each) for each in given), exhibit.command
    return dict(each.removeprefix("--").split("=", 1) for each in given)


@pytest.mark.parametrize("exhibit", ALL, ids=name)
def test_every_exhibit_is_told_in_whole_sentences(exhibit):
    for text in filter(None, (exhibit.shows, exhibit.reason, exhibit.note)):
        assert text[0].isupper() or text.startswith("y_syn"), text
        assert text.endswith("."), text
        assert not re.search(r"—| -- |  |\b(\w+) \1\b|\.\.", text), text
    assert not re.search(r"\. [A-Z]", exhibit.shows), "one sentence was expected"
    assert exhibit.exhibit == exhibit.exhibit.strip()
    assert len(set(exhibit.files)) == len(exhibit.files)


@pytest.mark.parametrize("exhibit", COMMANDS, ids=name)
def test_commands_name_modules_flags_and_figures_that_exist(exhibit):
    given = options(exhibit)
    assert set(given) <= flags_of(exhibit.module)
    if "figure" in given:
        assert given["figure"] in figures_of(exhibit.module)
    # Figures leave files, other commands results.
    assert bool(exhibit.files) == ("figure" in given)
    assert not any("/" in each or each.endswith((".json", ".png")) for each in exhibit.files)


@pytest.mark.parametrize("exhibit", ALL, ids=name)
def test_modules_and_flags_in_the_texts_exist_too(exhibit):
    text = f"{exhibit.reason} {exhibit.note}"
    paths = re.findall(r"[\w/]+\.py\b|\w+\.md\b", text)
    paths += [f"{module.replace('.', '/')}.py" for module in re.findall(r"\b(?:eval|experiments)\.\w+", text)]
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    modules = {"experiments.ndic", "experiments.dsin", "experiments.dsc_msf", "experiments.multichannel"}
    modules |= {exhibit.module} - {""}
    known = set().union(*(flags_of(m) for m in modules if (ROOT / f"{m.replace('.', '/')}.py").is_file()))
    assert set(re.findall(r"--(\w+)", text)) <= known
    for figure in re.findall(r"--figure=(\w+)", text):
        assert figure in figures_of(exhibit.module)


def test_every_paper_with_published_numbers_is_there_and_says_what_it_draws():
    assert {each.paper for each in ALL} == set(published_numbers.papers())
    for paper in ("dsin", "ndic", "ndic_cam", "dsc_msf", "multichannel"):
        reasons = [each.reason for each in exhibits.load(paper) if each.reason]
        assert any("rawing" in reason for reason in reasons)


def test_all_figures_of_dsin_are_there_in_order():
    numbers = [re.findall(r"\d+", each.exhibit) for each in exhibits.load("dsin") if each.exhibit.startswith("Fig.")]
    assert [int(number) for of_one in numbers for number in of_one] == list(range(1, 12))


@pytest.mark.parametrize("module", ["dsin_figures", "ndic_figures", "dsc_msf_figures", "multichannel_figures"])
def test_every_figure_of_a_driver_belongs_to_an_exhibit_or_is_beyond_the_papers(module):
    beyond = {
        "dsin_figures": {"match"},
        "ndic_figures": {"bd"},
        "dsc_msf_figures": {"reference", "depth", "set_size"},
        "multichannel_figures": {"curves", "side", "sweep", "map"},
    }[module]
    module = f"experiments.{module}"
    made = {options(each)["figure"] for each in COMMANDS if each.module == module}
    assert figures_of(module) - made == beyond


@pytest.mark.parametrize(
    ("paper", "exhibit", "figures", "made"),
    [
        ("dsin", "Fig. 7", ["eval/results/dsin_figures/fig7_0.08.json"], ["fig7_0.08"]),
        ("dsin", "Fig. 7", ["runs/dsin_figures/fig7.json", "runs/dsin_figures/match.json"], ["fig7"]),
        ("dsin", "Fig. 1", ["runs/dsin_figures/fig1_a", "runs/dsin_figures/fig10_a"], ["fig10_a"]),
        ("dsin", "Fig. 2", ["runs/dsin_figures/fig2"], []),
        ("ndic", "Slides, weights alpha and beta", ["alpha_beta", "alpha_beta_000028_10"], ["alpha_beta"]),
        ("ndic", "Slides, what the latents hold", ["alpha_beta", "alpha_beta_0.5_a"], ["alpha_beta_0.5_a"]),
        # Several commands write files of these names.
        ("ndic", "Pictures of the slides", ["a/ndic_figures/visual_a", "a/dsc_msf_figures/visual_b"], ["visual_a"]),
        ("multichannel", "Poster, example picture", ["a/multichannel_figures_2/visual_a.json"], ["visual_a"]),
    ],
)
def test_figures_are_found_by_name_and_folder(paper, exhibit, figures, made):
    (found,) = (each for each in exhibits.load(paper) if each.exhibit == exhibit)
    assert found.made(figures) == made


def test_a_table_has_a_row_for_each_exhibit_with_its_command_or_reason_and_its_note():
    table = exhibits.table("dsin")
    rows = {row.labels[0]: row.cells for row in table.rows}
    assert table.columns == ("what it shows", "ours")
    assert list(rows) == [each.exhibit for each in exhibits.load("dsin")]
    assert rows["Fig. 8"][1].value.startswith("python -m experiments.dsin_figures --figure=8 ")
    assert "A drawing" in rows["Fig. 2"][1].value
    assert "stand-in" in rows["Fig. 5"][1].note
    assert "figure=8" in tables.to_html(table)


def test_a_table_names_the_figures_at_hand():
    table = exhibits.table("dsin", ["runs/dsin_figures/fig5_a.json", "runs/dsin_figures/fig5_b.json"])
    at_hand = {row.labels[0]: row.cells[2].value for row in table.rows}
    assert table.columns[2] == "figures at hand"
    assert at_hand["Fig. 5"] == "fig5_a, fig5_b"
    assert at_hand["Fig. 8"] == tables.MISSING


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": FIG5}, "p, Fig. 1: has both of command and reason"),
        ({"reason": ""}, "p, Fig. 1: has neither of command and reason"),
        ({"shows": ""}, "p, Fig. 1: shows is empty"),
        ({"exhibit": ""}, "p, no name: exhibit is empty"),
        ({"files": ["fig5_*"]}, r"has files fig5_\* and no command"),
        ({"command": "make reproduce", "reason": ""}, "command 'make reproduce' does not begin with 'python -m '"),
        ({"why": "So."}, "entry 2 has paper, .*, why; paper, exhibit, .* were expected"),
        ({}, "p, Fig. 2 is there twice"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(tmp_path, changes, message):
    path = tmp_path / "exhibits.json"
    first = {**ENTRY, "exhibit": "Fig. 2"}
    second = {**ENTRY, **changes} if changes else first
    path.write_text(json.dumps({"exhibits": [first, second]}))
    with pytest.raises(ValueError, match=message):
        exhibits.load(path=path)


def test_an_unknown_paper_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match="Nothing is listed of paper 'dsim'; there is dsin, ndic, "):
        exhibits.table("dsim")
