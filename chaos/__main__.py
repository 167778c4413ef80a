"""The command line: `python -m chaos`."""

import os
import sys

import click

from chaos import migration, scenarios
from chaos.clients import raise_open_file_limit
from chaos.cluster.events import missing_programs, run_events
from chaos.scenarios import Result

SCENARIOS = scenarios.SCENARIOS | migration.SCENARIOS
CLUSTER = "cluster"


def print_row(label: str, result: Result) -> bool:
    """Print the row of a result, and return whether the service passed."""
    click.echo(
        f"| {label} | {result.requests} | {result.violations} | {result.lost_writes} |"
        f" {result.recovery_seconds:.1f} s | {result.note} |"
    )
    return result.violations == 0 and result.lost_writes == 0


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*SCENARIOS, CLUSTER]))
@click.option("--short", is_flag=True, help="Omit the long scenarios.")
@click.option("--pgbouncer", is_flag=True, help="Run `cluster` with PgBouncer.")
def main(names: tuple[str, ...], short: bool, pgbouncer: bool) -> None:
    """Run the service under load, break something, and print the result.

    NAMES are the scenarios to run, by default all. `cluster` breaks several parts of a
    PostgreSQL cluster under Patroni. The exit status is 1 if the service gave a
    response that it must not give, or lost a write.
    """
    selected = names or tuple(
        name for name, scenario in SCENARIOS.items() if not (short and scenario.is_long)
    )
    raise_open_file_limit()
    click.echo("| fault | sent | wrong | lost writes | recovered after | |")
    click.echo("| --- | ---: | ---: | ---: | ---: | --- |")
    passed = True
    for name in selected:
        if name != CLUSTER:
            scenario = SCENARIOS[name]
            passed &= print_row(scenario.label, scenario.run())
    if not names or CLUSTER in names:
        if missing := missing_programs():
            message = f"`cluster` needs the Debian packages {', '.join(missing)}"
            if "CI" in os.environ:
                raise click.ClickException(message)
            click.echo(f"skipped: {message}", err=True)
        else:
            for label, result in run_events(short, pgbouncer):
                passed &= print_row(label, result)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
