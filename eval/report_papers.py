"""What a page shows of a paper: its claims, its printed tables and its curves, each beside ours, ablations, figures.

Papers of one method and its successors share a section; those that the four papers compare with have one at the end.
"""

import html

from eval import (
    comparison,
    curves,
    exhibits,
    figures,
    published_numbers,
    report_claims,
    report_groups,
    report_page,
    report_pictures,
    tables,
)

BASELINES = "baselines"
# The papers of a section, under the section's name, which is that of `claims.PAPERS`.
MEMBERS = {
    "dsin": ("dsin",),
    "ndic": ("ndic", "ndic_preprint", "ndic_cam"),
    "dsc_msf": ("dsc_msf",),
    "multichannel": ("multichannel",),
    BASELINES: ("li2018", "lee2019"),
}
ABOUT = {
    "dsin": "Ayzik and Avidan, ECCV 2020. The decoder looks in y for a patch like each one of its picture, and a small "
    "network mends the picture with what was found.",
    "ndic": "Mital et al., DCC 2022, with its first preprint, and NDIC-CAM, WACV 2023. What y tells already, the "
    "common information, is not sent; NDIC-CAM’s decoder asks the features of y by cross-attention.",
    "dsc_msf": "Wang et al., DCC 2022. Similar images are decoded one after another; each is mended with a decoded "
    "neighbour by multi-scale fusion, and enhanced.",
    "multichannel": "Poster. Brightness and two colours are streams of their own, and brightness helps to decode the "
    "colours.",
    BASELINES: "What the papers compare with, as its own papers print it.",
}

_LEAST_DRAWN = 0.01  # bpp; what is published of lower rates stands in the tables


def section(page, name, checked, results, groups, known, style, drawn):
    """A section of a page, as HTML.

    Args:
      page: the `report_page.Page`; plots and tables are written beside it.
      name: one of `MEMBERS`.
      checked: list of `claims.Checked`.
      results: list of `RDResult`, ours.
      groups: the same as a list of `report_groups.Group`.
      known: published curves, a list of `RDResult`.
      style: of the plots; see `figures.styles`.
      drawn: the `report_pictures.Drawn` that belong here.
    """
    parts = [f"<p>{html.escape(ABOUT[name])}</p>"]
    if name != BASELINES:
        parts += ["<h3>Claims</h3>", report_claims.section(checked, name)]
    parts += [_published(page, paper, results, known, style) for paper in MEMBERS[name]]
    ablations = [_ablations(page, each, base, style) for each in groups for base in _bases(each, name)]
    if ablations:
        parts += ["<h3>Ablations</h3>", *ablations]
    listed = [each for paper in MEMBERS[name] for each in exhibits.load(paper)]
    if drawn:
        parts += ["<h3>Figures</h3>", report_pictures.by_exhibit(drawn, listed)]
    at_hand = [figure.path for figure in drawn]
    shown = "".join(tables.to_html(exhibits.table(paper, at_hand)) for paper in MEMBERS[name])
    about = f"Everything shown there: {report_page.counted(len(listed), 'exhibit')}, and what makes ours or why nothing"
    return "\n".join([*parts, report_page.fold(f"{about} does", shown)])


def section_of(figure):
    """The name of the section that a `report_pictures.Drawn` belongs to, one of `MEMBERS`, or None."""
    listed = exhibits.load()
    fitting = report_pictures.made_for(figure, listed) or [
        each for each in listed if each.command and report_pictures.command_of(each) in figure.path.parent.name
    ]
    return next((name for name, papers in MEMBERS.items() if fitting and fitting[0].paper in papers), None)


def _published(page, paper, results, known, style):
    """The printed tables and the curves of a paper beside ours; those of data that nothing was measured on folded."""
    found, covered, plots, shown = [], set(), {True: [], False: []}, {True: [], False: []}  # with and without ours
    for i, printed in enumerate(published_numbers.tables(paper), 1):
        table, rows = comparison.printed_table(printed, known, results)
        covered |= rows
        found.append((table, f"published_{paper}_{i}"))
    for on, theirs in comparison.curve_sets(known).items():
        if on[0] == paper:
            name, ours = f"published_{'_'.join(on)}", _ours(on, theirs, results)
            plots[bool(ours)].append(_plot(page, name, on, theirs, ours, style))
            if on not in covered:
                found.append((comparison.curve_table(theirs, on[-1], results), name))
    for table, name in found:
        shown[_is_compared(table)].append(page.table(report_page.filled(table), name))
    title, parts = html.escape(report_groups.paper(paper)), []
    if plots[True] or shown[True]:
        parts += [f"<h3>Published and measured: {title}</h3>", report_page.plots(plots[True]), *shown[True]]
    counts = ((len(plots[False]), "plot"), (len(shown[False]), "table"))
    counts = " and ".join(report_page.counted(count, noun) for count, noun in counts if count)
    folded = report_page.plots(plots[False]) + "".join(shown[False])
    parts.append(report_page.fold(f"{report_groups.paper(paper)}: {counts} with nothing of ours on such data", folded))
    return "\n".join(parts)


def _ours(on, theirs, results):
    """Results on the data of published curves, of the methods of these, as those count."""
    _, *data, key = on
    methods = {p.meta["method"] for p in theirs}
    fitting = [r for r in results if list(report_groups.published_as(r.meta)) == data and r.meta["method"] in methods]
    return [comparison.on_published_terms(r, theirs, key) for r in fitting]


def _plot(page, name, on, theirs, ours, style):
    """Published curves and ours."""
    _, dataset, protocol, key = on
    caption = f"{report_groups.dataset(dataset)}, {report_groups.protocol(protocol)}."
    if ours:
        on_what = "; ".join(dict.fromkeys(map(comparison.measured_on, ours)))
        caption += f" Dashed: published; solid: ours, on {on_what}."
        caption += report_groups.on_other_terms(ours)
    else:
        caption += " Published values only: none of these methods was measured on these data."
    title = f"{curves.metric(key).label}, {report_groups.dataset(dataset)}"
    rates = [rate for r in theirs for rate in r.results["bpp"] if rate >= _LEAST_DRAWN]
    limits = min(rates) / 1.1, max(rates) * 1.1
    figure = figures.rate_distortion(ours, key, theirs, title, limits=limits, style=style)
    return page.plot(figure, name, f"{title}, as published: numbers in the tables.", caption)


def _is_compared(table):
    """Whether a published number has one of ours, on data of the same family, beside it."""
    return any(row.labels[-1] == "difference" for row in table.rows)


def _bases(group, name):
    """The models of a section's papers of which the group has ablations, whose methods are called MODEL-WHAT."""
    methods = {r.meta["method"] for r in group.results}
    bases = {method.partition("-")[0] for method in methods if "-" in method} & methods
    return sorted(base for base in bases if base in MEMBERS[name])


def _ablations(page, group, base, style):
    """A model and its ablations on the same images: plots and values at equal rate."""
    results = [r for r in group.results if r.meta["method"].partition("-")[0] == base]
    drawn, shown = [], []
    for key in (key for key in report_groups.MAIN_METRICS if key in group.keys):
        name = f"ablations_{base}_{group.slug}_{key}"
        title = f"{curves.metric(key).label}, parts left out"
        caption = f"{group.title}, {report_groups.protocol(group.meta['protocol'])}; mean of {group.images}."
        figure = figures.rate_distortion(results, key, title=title, style=style)
        drawn.append(page.plot(figure, name, f"{title}: numbers in the table.", caption))
        table = tables.rate_table(results, key, report_groups.reached(results, key), common=True)
        shown.append(page.table(table, name))
    return report_page.plots(drawn) + "".join(shown)
