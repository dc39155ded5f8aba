"""The report as one HTML page that needs nothing else: no network, no script to be readable."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fea_arch import __version__
from fea_arch.report import wording
from fea_arch.report.blocks import shown
from fea_arch.report.drawing import drawing
from fea_arch.report.further import fracture_part, score_part

if TYPE_CHECKING:
    from fea_arch.report.overview import Overview

__all__ = ["page"]

_TEMPLATES = Path(__file__).with_name("templates")
#: Findings that are listed.
FINDINGS = 100


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=2)
def _part(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def page(o: Overview) -> str:
    """Return the report page as HTML text.

    Every text from outside is escaped; a content security policy admits the page's own script by its hash and no
    request to anywhere.

    Parameters
    ----------
    o : Overview

    Examples
    --------
    >>> import fea_arch as fa
    >>> from fea_arch.report.overview import overview
    >>> page(overview(fa.load_sample("shop"), quick=True))[:15]
    '<!DOCTYPE html>'
    """
    from markupsafe import Markup

    script, style = _part("page.js"), _part("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    components = wording.component_table(o)
    text: str = _environment().get_template("page.html.j2").render(
        o=o,
        name=shown(o.arch.name),
        source=shown(o.source),
        version=__version__,
        script=Markup(script),  # noqa: S704  # ours, not from outside
        style=Markup(style),  # noqa: S704
        digest=digest,
        headline=wording.headline(o),
        verdict=wording.verdict(o),
        figures=wording.key_figures(o),
        limits=wording.limits(o),
        conditions=wording.condition_table(o),
        stress=wording.stress_table(o),
        steps=wording.step_table(o),
        entries=wording.entry_table(o),
        hosts=wording.host_table(o),
        components=components,
        anchors=[f"c{o.arch.index.get(name, -1)}" for name in _in_order(o)],
        calls=wording.call_rows(o),
        all_calls=o.arch.graph.n_edges,
        origins=wording.origin_table(o),
        basis=wording.basis(o),
        methods=wording.methods(o),
        findings=[(f.level, shown(str(f).removeprefix(f"{f.level}: "))) for f in o.arch.check()[:FINDINGS]],
        picture=drawing(o),
        score=score_part(o.further["score"]) if "score" in o.further else None,
        fracture=fracture_part(o.further["fracture"]) if "fracture" in o.further else None,
    )
    return text


def _in_order(o: Overview) -> list[str]:
    import numpy as np

    if o.result is None:
        return []
    return [o.result.components[i] for i in np.argsort(-o.result.utilisation, kind="stable").tolist()]
