"""``fea-arch schema``."""

from __future__ import annotations

import click

from fea_arch.cli.files import as_json


@click.command("schema", short_help="Print the JSON Schema of a document.")
@click.option("--json", "as_json_", is_flag=True, help="Accepted for symmetry: the output is always JSON.")
def command(as_json_: bool) -> None:
    """Print the JSON Schema of the native document (draft 2020-12).

    \b
    Example:
      fea-arch schema > architecture.schema.json
    """
    from fea_arch.architecture.document import schema

    click.echo(as_json(schema()), nl=False)
