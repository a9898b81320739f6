"""Claims of the papers on a page: an overview of the headline claims, and of each paper all that was measured.

The tables of `eval/claims.py` have a column for everything; here what belongs together stands in one cell, what was
not measured is folded, and each command is named once.
"""

import collections
import html

from eval import claims, report_page, tables

_MEANINGS = {
    "reproduced": "the interval lies on the claimed side of zero, and the published number, if there is one, within a "
    "factor of two of ours; of “no gain”, the interval does not lie above zero",
    "same sign": "on the claimed side, but the number is another one",
    "not seen": "the interval holds zero",
    "contradicted": "the interval lies on the other side of zero",
    "not measured": "something is missing, and the row says what",
}
_NOTE = (
    "Measured: value [95 % interval], of the bootstrap over images. Rates are those of whole files; steps are those of "
    "the last stage of training, of each model."
)


def reading():
    """What the verdicts mean, as HTML."""
    rows = (f"<dt>{_verdict(verdict)}</dt><dd>{_MEANINGS[verdict]}</dd>" for verdict in claims.VERDICTS)
    return (
        "<p><strong>A claim</strong> is measured with a 95&nbsp;% interval, and the interval gives the verdict:</p>\n"
        f'<dl class="verdicts">{"".join(rows)}</dl>'
    )


def overview(checked):
    """The headline claims and how many claims of each paper have which verdict, as HTML; papers link to their sections.

    Args:
      checked: list of `claims.Checked`.
    """
    rows = []
    for paper, name in claims.PAPERS.items():
        of_paper = [each for each in checked if each.claim.paper == paper]
        for each in (each for each in of_paper if each.claim.headline):
            cells = (
                _head(f'<a href="#{address(paper)}">{html.escape(name)}</a>'),
                _cell("headline claim", html.escape(each.claim.statement)),
                _published(each.claim),
                _measured(each),
                _cell("verdict", _verdict(each.verdict)),
                _cell("all claims", _counts(of_paper)),
            )
            rows.append("".join(cells))
    heads = ("paper", "headline claim", "published", "measured", "verdict", "all claims")
    return _table("Headline claims", heads, rows, f"Each paper’s headline claim, then all its claims. {_NOTE}")


def summary(checked):
    """How many claims have which verdict, as HTML; nothing where nothing was measured."""
    if all(each.value is None for each in checked):
        return ""
    return f'<div class="summary">{_counts(checked, f"{len(checked)} claims: ")}</div>'


def section(checked, paper):
    """All claims of a paper as HTML: a table of those that were measured; the others, and all commands, folded.

    Args:
      checked: list of `claims.Checked`.
      paper: one of `claims.PAPERS`.
    """
    numbered = list(enumerate((each for each in checked if each.claim.paper == paper), 1))
    there = [(at, each) for at, each in numbered if each.value is not None]
    absent = [(at, each) for at, each in numbered if each.value is None]
    parts = [f'<p class="counts">{_words([each for _, each in numbered])}</p>']
    if there:
        rows = [
            _head(f"{_numbered(at, each)}{_small(each.explanation)}")
            + _published(each.claim)
            + _measured(each)
            + _cell("verdict", _verdict(each.verdict))
            for at, each in there
        ]
        title = f"Claims of {claims.PAPERS[paper]} that were measured"
        parts.append(_table(title, ("claim", "published", "measured", "verdict"), rows, _NOTE))
    if absent:
        rows = [
            _head(_numbered(at, each))
            + _published(each.claim)
            + _cell("why there is nothing", html.escape(each.missing))
            for at, each in absent
        ]
        title = f"Claims of {claims.PAPERS[paper]} that were not measured"
        shown = _table(title, ("claim", "published", "why there is nothing"), rows)
        parts.append(report_page.fold(f"{len(absent)} not measured here: which, and what is missing", shown))
    parts.append(_commands(numbered))
    return "\n".join(parts)


def address(paper):
    """Where the section of a paper is, within the page."""
    return f"paper_{paper}"


def _commands(numbered):
    """What measures the claims again, each command once, with the numbers of its claims, folded."""
    uses = collections.defaultdict(list)
    for at, each in numbered:
        for command in each.commands:
            uses[command].append(at)
    rows = [
        f"<li><code>{_words_of(command)}</code> <span class=soft>{_claims(places)}</span></li>"
        for command, places in uses.items()
    ]
    note = (
        "<p class=soft>DIR is a folder of data, RUN one to write to; what they measured is checked by <code>python -m "
        "eval.claims --results=RUN</code>. A model that comes with the package is named as it is, others are run "
        "directories.</p>"
    )
    shown = f'<ol class="commands">{"".join(rows)}</ol>\n{note}' if rows else ""
    return report_page.fold(f"Measure it again: {report_page.counted(len(uses), 'command')}", shown)


def _words_of(command):
    """A command whose lines end between its words, and not within."""
    return " ".join(f"<span>{html.escape(word)}</span>" for word in command.split(" "))


def _claims(places):
    return f"claim{'s' if len(places) > 1 else ''} {', '.join(map(str, places))}"


def _table(title, heads, rows, note=""):
    """A table of claims; on a narrow screen each row becomes a block, its cells with their headings (`data-head`)."""
    title = html.escape(title)
    return (
        f'<figure class="table claims"><table><caption class="unseen">{title}</caption>'
        f"<thead><tr>{''.join(f'<th scope=col>{html.escape(head)}</th>' for head in heads)}</tr></thead>"
        f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
        + (f"<figcaption><p>{html.escape(note)}</p></figcaption>" if note else "")
        + "</figure>\n"
    )


def _head(text):
    return f"<th scope=row>{text}</th>"


def _cell(head, text):
    return f'<td data-head="{head}"><div>{text}</div></td>'


def _numbered(at, each):
    return f'<span class="at">{at}</span> {html.escape(each.claim.statement)}'


def _published(claim):
    return _cell("published", html.escape(claim.published.text) + _small(claim.source))


def _measured(each):
    """The value with its interval, and below it what it is of."""
    if each.value is None:
        return _cell("measured", tables.MISSING)
    value, _, interval = claims.measured(each).partition(" [")
    about = [f"{each.data}; {each.images} images"]
    about += [f"{each.steps} steps"] if each.steps else []
    text = f'<strong>{html.escape(value)}</strong> <span class="interval">[{html.escape(interval)}</span>'
    return _cell("measured", text + _small("; ".join(about)))


def _small(text):
    return f"<small>{html.escape(text)}</small>" if text else ""


def _verdict(verdict, count=""):
    return f'<span class="verdict {_kind(verdict)}">{f"{count} {verdict}".strip()}</span>'


def _kind(verdict):
    """The class that the style sheet has for a verdict."""
    return verdict.replace(" ", "-")


def _counts(checked, before=""):
    """A bar of the verdicts' shares, and their counts in words."""
    counts = collections.Counter(each.verdict for each in checked)
    shares = [f'<span class="{_kind(v)}" style="flex-grow: {counts[v]}"></span>' for v in claims.VERDICTS if counts[v]]
    return f'<div class="shares" aria-hidden="true">{"".join(shares)}</div><p>{before}{_words(checked)}</p>'


def _words(checked):
    """ "10 reproduced 2 same sign"."""
    counts = collections.Counter(each.verdict for each in checked)
    return " ".join(_verdict(v, counts[v]) for v in claims.VERDICTS if counts[v])
