"""Draw the report's chart as `plot.py DATA IMAGE`, in the peers' environment."""

import json
import math
import sys
from typing import TypedDict

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

COLUMNS = 3


class Chart(TypedDict):
    """See `benchmarks.report.Chart`, which the peers' environment cannot import."""

    unit: str
    workloads: dict[str, dict[str, float]]


def main(data: str, image: str) -> None:
    """Draw a bar for each server, in a diagram for each workload."""
    with open(data) as file:
        chart: Chart = json.load(file)
    rows = math.ceil(len(chart["workloads"]) / COLUMNS)
    figure = plt.figure(figsize=(5 * COLUMNS, 3.5 * rows), layout="constrained")
    for position, (workload, costs) in enumerate(chart["workloads"].items(), 1):
        axis = figure.add_subplot(rows, COLUMNS, position)
        servers = list(reversed(costs))
        axis.barh(
            servers,
            [costs[server] for server in servers],
            color=[
                "tab:orange" if server.startswith("this") else "tab:blue"
                for server in servers
            ],
        )
        axis.set_title(workload)
        axis.set_xlabel(f"{chart['unit']} per request")
    figure.savefig(image, dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
