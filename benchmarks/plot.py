"""Draw the report's chart as `plot.py DATA IMAGE`, in the peers' environment."""

import json
import sys
from typing import TypedDict

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


class Chart(TypedDict):
    """See `benchmarks.report.Chart`, which the peers' environment cannot import."""

    unit: str
    workloads: dict[str, dict[str, float]]


def main(data: str, image: str) -> None:
    """Draw a bar for each server, in a diagram for each workload."""
    with open(data) as file:
        chart: Chart = json.load(file)
    figure, axes = plt.subplots(2, 3, figsize=(15, 7), layout="constrained")
    for axis, (workload, costs) in zip(axes.flat, chart["workloads"].items()):
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
