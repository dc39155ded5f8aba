"""``fea-arch warm-up``."""

from __future__ import annotations

import click


@click.command("warm-up", short_help="Compile the kernels once, so that later calls are quick.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def command(as_json: bool) -> None:
    """Compile every kernel and keep the result in the cache.

    The first analysis of a large system otherwise pays for this. Run it once after installing.
    """
    import time

    from fea_arch.cli.console import progress
    from fea_arch.cli.files import as_json as to_json
    from fea_arch.cli.warming import kernels_compiled, tasks

    started = time.perf_counter()
    with progress() as line:
        steps = tasks()
        for number, (name, run) in enumerate(steps, 1):
            line.say(f"warming up {number}/{len(steps)}: {name}", (number - 1) / len(steps))
            run()
    compiled, idle = kernels_compiled()
    seconds = time.perf_counter() - started
    if as_json:
        click.echo(to_json({"compiled": compiled, "not_reached": idle, "seconds": seconds}), nl=False)
    else:
        click.echo(f"{len(compiled)} kernels ready in {seconds:.1f} s")
