"""``fea-arch schema``."""

from __future__ import annotations

import click

from fea_arch.cli.files import as_json


@click.command("schema", short_help="Print the JSON Schema of a document.")
@click.argument("document", type=click.Choice(["architecture", "comprehensive"]), default="architecture")
@click.option("--json", "as_json_", is_flag=True, help="Accepted for symmetry: the output is always JSON.")
def command(document: str, as_json_: bool) -> None:
    """Print the JSON Schema (draft 2020-12) of the native document, or of the comprehensive report.

    \b
    Examples:
      fea-arch schema > architecture.schema.json
      fea-arch schema comprehensive > comprehensive.schema.json
    """
    if document == "comprehensive":
        from fea_arch.report.comprehensive import comprehensive_schema

        click.echo(as_json(comprehensive_schema()), nl=False)
        return
    from fea_arch.architecture.document import schema

    click.echo(as_json(schema()), nl=False)
