"""The modal report: frequencies, shapes by component, damping, vibration, as text and as a document for ``jq``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fea_arch import __version__
from fea_arch.report.blocks import Block, Table, shown
from fea_arch.report.quantities import number_text, share_text, time_text
from fea_arch.results.base import plain

if TYPE_CHECKING:
    from fea_arch.architecture import Architecture
    from fea_arch.results.modal import ModalResult

__all__ = ["modal_document", "modal_text"]


def modal_document(
    arch: Architecture, structural: ModalResult | None, opened: ModalResult, *, reason: str = "", source: str = ""
) -> dict[str, Any]:
    """Return the modal report as plain data.

    Parameters
    ----------
    arch : Architecture
    structural : ModalResult or None
        Backpressure modes; None where nothing has a mass, with the ``reason``.
    opened : ModalResult
        Modes of the directed flow.

    Returns
    -------
    dict
        Sections ``natural_frequencies``, ``mode_shapes``, ``damping_analysis``, ``vibration_characteristics``.
    """
    both = {"open": opened} if structural is None else {"backpressure": structural, "open": opened}
    document = {
        "report_type": "modal_analysis",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fea_arch": __version__,
        "architecture": arch.name,
        "source": source,
        "load_factor": opened.load_factor,
        "natural_frequencies": {
            name: [
                {"mode": k + 1, "frequency_hz": r.frequencies_hz[k], "ringing_hz": r.ringing_hz[k],
                 "rigid": bool(r.rigid[k]), "residual": r.residuals[k]}
                for k in range(r.frequencies_hz.size)
            ]
            for name, r in both.items()
        },
        "mode_shapes": {
            name: [
                {"mode": k + 1, "dominant": dict(r.dominant(k, 5)), "participation": r.participation[k]}
                for k in range(r.frequencies_hz.size)
            ]
            for name, r in both.items()
        },
        "damping_analysis": {
            name: [
                {"mode": k + 1, "damping_ratio": r.damping_ratios[k], "drain_time_s": r.drain_times_s[k],
                 "growth_per_s": r.growth_per_s[k]}
                for k in range(r.frequencies_hz.size)
            ]
            for name, r in both.items()
        },
        "vibration_characteristics": {
            "stable": opened.stable,
            "stability_margin_per_s": opened.stability_margin_per_s,
            "instability": opened.instability,
            "drivers": dict(opened.drivers),
            "dependency_drivers": dict(opened.dependency_drivers),
            "groups": [list(g) for g in (structural or opened).groups],
            "condensed_components": list(structural.condensed) if structural is not None else [],
            "structural_modes_complete": structural.complete if structural is not None else None,
            "structural_modes_missing_because": reason,
        },
    }  # fmt: skip
    return dict(plain(document))


def modal_text(
    arch: Architecture, structural: ModalResult | None, opened: ModalResult, *, reason: str = ""
) -> list[Block]:
    """Return the modal report as text and tables."""
    state = "stable" if opened.stable else f"not stable ({opened.instability})"
    blocks: list[Block] = [
        f"{shown(arch.name)} at load factor {opened.load_factor:g}: {state}, the slowest disturbance drains in "
        f"{time_text(float(opened.drain_times_s.max(initial=0.0)))}.",
        "Least stable mode: " + ", ".join(f"{shown(n)} {share_text(s)}" for n, s in opened.drivers[:3]) + ".",
    ]
    titles = {"backpressure": "Structural modes (backpressure)", "open": "Open modes (directed flow)"}
    for result in (structural, opened):
        if result is None:
            blocks += ["", f"No structural modes: {shown(reason)}"]
            continue
        rows = [
            [str(k + 1), number_text(float(result.frequencies_hz[k])), number_text(float(result.damping_ratios[k])),
             time_text(float(result.drain_times_s[k])), ", ".join(shown(n) for n, _ in result.dominant(k, 3))]
            for k in range(result.frequencies_hz.size)
        ]  # fmt: skip
        headers = ("mode", "Hz", "damping", "drains in", "moves")
        blocks += ["", Table(headers, rows, titles[result.coupling], (0, 1, 2, 3))]
    groups = (structural or opened).groups
    if groups:
        blocks += ["", "Move together: " + "; ".join(", ".join(map(shown, g[:6])) for g in groups[:3]) + "."]
    return blocks
