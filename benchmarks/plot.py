"""Draw the report's figures. It runs in the peers' environment: `plot.py IN OUT`."""

import json
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402


def main(source, target):
    """Draw bars for each work, one a server.

    Args:
        source: a JSON file; see `report.bars`.
        target: the picture.
    """
    with open(source) as file:
        bars = json.load(file)
    figure, axes = plt.subplots(2, 3, figsize=(15, 7), layout="constrained")
    for axis, (work, costs) in zip(axes.flat, bars["works"].items()):
        names = list(costs)[::-1]
        colors = ["tab:orange" if n.startswith("this") else "tab:blue" for n in names]
        axis.barh(names, [costs[name] for name in names], color=colors)
        axis.set_title(work)
        axis.set_xlabel(f"{bars['unit']} per request")
    figure.savefig(target, dpi=80)


if __name__ == "__main__":
    main(*sys.argv[1:])
