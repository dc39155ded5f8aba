"""A comparison as Markdown, JUnit XML and SARIF."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as xml

from fea_arch.report.blocks import shown
from fea_arch.results.comparison import ComparisonResult

__all__ = ["comparison_junit", "comparison_markdown", "comparison_sarif"]


def comparison_markdown(found: ComparisonResult) -> str:
    """Return a comparison as a Markdown text for a pull request."""
    verdict = "**weaker**" if found.regressed else "not weaker"
    lines = [f"### Architecture: {_cell(found.head)} is {verdict} than {_cell(found.base)}", ""]
    lines += ["| margin | before | after | change | 95 % interval | |", "|---|---:|---:|---:|---:|---|"]
    for k, name in enumerate(found.margins):
        row = found[name]
        unit = "" if row["unit"] == "1" else f" {row['unit']}"
        lines.append(
            f"| {found.titles[k]} | {row['before']:.4g}{unit} | {row['after']:.4g}{unit} | {row['change']:+.3g} "
            f"| {row['low']:+.3g} to {row['high']:+.3g} | {row['verdict']} |"
        )
    lines += ["", f"{len(found.changes)} edits:" if found.changes else "No edits.", ""]
    lines += [f"- `{_cell(str(c))}`" for c in list(found.changes)[:50]]
    if len(found.changes) > 50:
        lines.append(f"- and {len(found.changes) - 50} more")
    return "\n".join(lines).rstrip() + "\n"


def comparison_junit(found: ComparisonResult) -> str:
    """Return a comparison as JUnit XML: one test case a margin, a failure where it is worse."""
    suite = xml.Element(
        "testsuite", name="fea-arch compare", tests=str(len(found.margins)), failures=str(len(found.regressions))
    )
    for name in found.margins:
        case = xml.SubElement(suite, "testcase", classname=shown(found.head), name=name)
        if name in found.regressions:
            xml.SubElement(case, "failure", message=shown(found.sentence(name))).text = "\n".join(
                shown(str(c)) for c in list(found.changes)[:50]
            )
    return xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def comparison_sarif(found: ComparisonResult, path: str) -> dict[str, Any]:
    """Return a comparison as a SARIF 2.1.0 log: one result for each margin that is worse, at the file ``path``."""
    from fea_arch import __version__

    rules = [
        {"id": name, "shortDescription": {"text": found.titles[k]}} for k, name in enumerate(found.margins)
    ]
    edits = "; ".join(str(c) for c in list(found.changes)[:10])
    results = [
        {
            "ruleId": name,
            "level": "error",
            "message": {"text": f"{found.sentence(name)}. Edits: {edits}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": path.replace("\\", "/")}}}],
        }
        for name in found.regressions
    ]
    driver = {"name": "fea-arch", "version": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _cell(text: str) -> str:
    return shown(text).replace("|", "\\|").replace("`", "'")
