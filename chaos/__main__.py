"""The command line: `python -m chaos`."""

import sys

import click

from chaos.clients import raise_open_file_limit
from chaos.scenarios import SCENARIOS


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SCENARIOS)))
@click.option("--short", is_flag=True, help="Omit the long scenarios.")
def main(names: tuple[str, ...], short: bool) -> None:
    """Run the service under load, break something, and print the result.

    NAMES are the scenarios to run, by default all. The exit status is 1 if the service
    gave a response that it must not give, or lost a write.
    """
    if not names:
        names = tuple(
            name
            for name, scenario in SCENARIOS.items()
            if not (short and scenario.is_long)
        )
    raise_open_file_limit()
    click.echo("| fault | sent | wrong | lost writes | recovered after | |")
    click.echo("| --- | ---: | ---: | ---: | ---: | --- |")
    failed = False
    for name in names:
        scenario = SCENARIOS[name]
        result = scenario.run()
        failed = failed or result.violations > 0 or result.lost_writes > 0
        click.echo(
            f"| {scenario.label} | {result.requests} | {result.violations} |"
            f" {result.lost_writes} | {result.recovery_seconds:.1f} s | {result.note} |"
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
