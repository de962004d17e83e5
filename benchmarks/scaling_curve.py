"""Stage 1 at 8.14T tokens on 1 to 1,000 nodes: wall time and efficiency, simulated.

    python benchmarks/scaling_curve.py --cores-per-node 32 --bandwidth 12.5G --plot curve.png

The tasks are those that `smoltrove run` would have with the listings of scaling_inputs.py, whose docstring says what is
measured, what is published and what is assumed. Every task is a job of its own, in the order in which Slurm gets them
(sources with the largest task first), as pipelines/estimate/schedule.py simulates it; one node is a pool. The samples
take some minutes; `--samples` keeps them for another curve. Gives up: failures, other users of the cluster, disks, and
limits of the Hub.
"""

import argparse
import pickle
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scaling_inputs import CatalogueListings, merged, read_catalogue, samples_for  # noqa: E402 - the path comes first

NODES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
CATALOGUE = ROOT.parent / "shared" / "reference" / "smollm3_catalog.json"
STAGE_1 = ROOT / "configs" / "smollm3_weighted_config.yaml"
# Of profiles with several sources in the data pack, the one that stands for them.
STANDS_FOR = {"code": "pack/code/Python", "math": "pack/math/planetmath"}


def measure(rows: int) -> dict[str, Any]:
    """Samples of the data pack by profile, of blobs over HTTP, and what starting a worker costs."""
    from pipelines.config import load_config
    from pipelines.curriculum import profiles_of
    from pipelines.estimate.process import sample_sources, start_seconds
    from pipelines.plan import make_plan
    from pipelines.sources import Catalogue

    with tempfile.TemporaryDirectory() as name:
        # First: processes have the environment that the first of them found.
        blobs = _blobs(Path(name) / "blobs", rows)
        config = load_config(ROOT / "examples" / "local_mixture.yaml")
        plan = make_plan(config, profiles_of(config), catalogue=Catalogue(config_dir=config.path.parent))
        chosen = {source.source.profile: source for source in plan.sources}
        chosen |= {source.source.profile: source for source in plan.sources
                   if source.key == STANDS_FOR.get(source.source.profile)}  # fmt: skip
        part = plan.model_copy(update={"sources": tuple(chosen.values())})
        found = sample_sources(part, rows=rows, work_dir=Path(name) / "pack", say=_say)
    return {
        "by_profile": {profile: found[source.key] for profile, source in chosen.items()},
        "blobs": blobs,
        "start_seconds": start_seconds(),
    }


def _blobs(folder: Path, rows: int) -> Any:
    """Stack v2 on the mini hub, over HTTP: the reader's own requests, answered by this machine."""
    import os

    from pipelines.config import load_config
    from pipelines.curriculum import profiles_of
    from pipelines.estimate.process import sample_sources
    from pipelines.plan import make_plan
    from pipelines.sources import Catalogue
    from tests.hub import LocalHub

    mini = ROOT / "examples" / "mini_hub"
    config = load_config(STAGE_1)
    with LocalHub(mini) as hub:
        os.environ["SMOLTROVE_SWH_ENDPOINT"] = hub.environment["SMOLTROVE_SWH_ENDPOINT"]
        plan = make_plan(config, profiles_of(config), catalogue=Catalogue(mirror=mini), datasets="*smol-ids*")
        samples = sample_sources(plan, rows=rows, work_dir=folder, say=_say)
    if problems := [f"{key}: {sample.problem}" for key, sample in samples.items() if sample.problem]:
        raise RuntimeError("; ".join(problems))
    return merged(list(samples.values()))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def curve(
    measured: dict[str, Any], *, target: int, cores: int, bandwidth: float | None, catalogue: Path
) -> dict[str, Any]:
    """The plan, what it takes in all, and wall time for each number of nodes, as submitted and in other orders."""
    from pipelines.config import load_config
    from pipelines.curriculum import profiles_of
    from pipelines.estimate.cluster import Cluster
    from pipelines.estimate.command import load_seconds
    from pipelines.estimate.predict import predict
    from pipelines.estimate.schedule import simulate
    from pipelines.plan import make_plan

    config = load_config(STAGE_1)
    listings = CatalogueListings(config, read_catalogue(catalogue))
    plan = make_plan(config, profiles_of(config), catalogue=listings, target_tokens=target)
    samples = samples_for(plan, measured["by_profile"], measured["blobs"])
    start = measured["start_seconds"] + load_seconds(plan)
    found = predict(plan, samples, Cluster(nodes=2, cores_per_node=cores), start_seconds=start)
    network = found.fetched_bytes[0] / bandwidth if bandwidth else 0.0
    order = {"submitted": found.jobs, **other_orders(plan, found.jobs)}
    points = []
    for nodes in NODES:
        options = {"workers": nodes * cores, "start_seconds": start, "pooled": nodes == 1}
        points.append(
            {
                "nodes": nodes,
                **{name: simulate(jobs, **options) for name, jobs in order.items()},
                "wall": simulate(found.jobs, **options, network_seconds=network),
            }
        )
    return {"plan": plan, "prediction": found, "network": network, "start": start, "points": points, "cores": cores}


def other_orders(plan: Any, jobs: Sequence[Any]) -> dict[str, list[Any]]:
    """The submitted tasks in other orders: sources as the configuration has them, and the longest task first, which
    would take an estimate to know."""
    from pipelines.plan import largest_task_first

    left = iter(jobs)
    by_source = {
        index: list(islice(left, len(plan.sources[index].tasks))) for index in largest_task_first(plan.sources)
    }
    return {
        "plan_order": [job for index in sorted(by_source) for job in by_source[index]],
        "longest_first": sorted(jobs, key=lambda job: -(job.seconds + job.load_seconds)),
    }


def table(found: dict[str, Any]) -> str:
    """Markdown: the totals, the curve, and the sources whose tasks are longest."""
    from pipelines.dedup.cost import show_seconds
    from pipelines.quantities import show_bytes, show_count

    plan, prediction = found["plan"], found["prediction"]
    base = found["points"][0]["submitted"]
    cpu, low, high = (show_seconds(value) for value in prediction.cpu_seconds)
    lines = [
        f"{show_count(plan.planned_tokens)} tokens, {len(plan.sources)} sources, {plan.num_tasks:,} tasks; {cpu} of "
        f"CPU ({low} to {high}), {show_bytes(prediction.fetched_bytes[0])} to fetch, "
        f"{show_bytes(prediction.written_bytes[0])} to write; a process starts in {found['start']:.1f} s",
        "",
        f"| nodes of {found['cores']} cores | CPU alone | efficiency | in the plan's order | longest first | with the "
        "network | bound |",
        "|---:|---:|---:|---:|---:|---:|---|",
    ]
    for point in found["points"]:
        alone, wall = point["submitted"], point["wall"]
        others = " | ".join(
            f"{show_seconds(point[name].wall_seconds)} ({point[name].efficiency:.0%})"
            for name in ("plan_order", "longest_first")
        )
        lines.append(
            f"| {point['nodes']:,} | {show_seconds(alone.wall_seconds)} | {alone.efficiency:.0%} | "
            f"{others} | {show_seconds(wall.wall_seconds)} | {wall.work_bound} |"
        )
    lines += [
        "",
        f"all work, waiting for blobs included: {show_seconds(base.busy_seconds - base.start_seconds)}",
        "",
        "| source | tasks | CPU | share | longest task | memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    total = sum(source.cpu_seconds[0] for source in prediction.sources)
    for source in sorted(prediction.sources, key=lambda s: -s.cpu_seconds[0])[:12]:
        lines.append(
            f"| {source.source} | {source.tasks:,} | {show_seconds(source.cpu_seconds[0])} | "
            f"{source.cpu_seconds[0] / total:.0%} | {show_seconds(source.longest_task_seconds[0])} | "
            f"{show_bytes(source.worker_bytes)} |"
        )
    return "\n".join(lines)


def write_plot(found: dict[str, Any], path: Path) -> None:
    """Wall time over nodes, both axes logarithmic, with what no cluster can beat; efficiency below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    nodes = [point["nodes"] for point in found["points"]]
    for name, label, style in (
        ("submitted", "as submitted", "o-"),
        ("longest_first", "longest task first", "s--"),
    ):
        above.plot(nodes, [point[name].wall_seconds / 3600 for point in found["points"]], style, label=label)
        below.plot(nodes, [100 * point[name].efficiency for point in found["points"]], style, label=label)
    work = found["points"][0]["submitted"].busy_seconds / found["cores"] / 3600
    above.plot(nodes, [work / number for number in nodes], ":", color="grey", label="no waiting at all")
    longest = found["points"][-1]["submitted"].longest_seconds / 3600
    above.axhline(longest, color="tab:red", alpha=0.5, label="longest task")
    if found["network"]:
        above.axhline(found["network"] / 3600, color="tab:green", alpha=0.5, label="all bytes over the network")
    above.set(xscale="log", yscale="log", ylabel="wall time, hours")
    below.set(xlabel=f"nodes of {found['cores']} cores", ylabel="efficiency, %", ylim=(0, 100))
    for axes in (above, below):
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    figure.savefig(path, format="png", dpi=120)


def main() -> None:
    from pipelines.quantities import parse_quantity

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target-tokens", default="8.14T")
    parser.add_argument("--cores-per-node", type=int, default=32)
    parser.add_argument("--bandwidth", default="12.5G", help="bytes a second that all nodes share")
    parser.add_argument("--rows", type=int, default=1000, help="rows to sample of each source")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE)
    parser.add_argument("--samples", type=Path, help="a file of your own for the samples: read if there, else written")
    parser.add_argument("--without", default=None, help="leave out a profile's costs (web-ko): as if it cost nothing")
    parser.add_argument("--plot", type=Path, help="write a PNG file")
    options = parser.parse_args()
    if options.samples is not None and options.samples.is_file():
        measured = pickle.loads(options.samples.read_bytes())  # noqa: S301 - a file that this program has written
    else:
        measured = measure(options.rows)
        if options.samples is not None:
            options.samples.write_bytes(pickle.dumps(measured))
    if options.without:
        sample = measured["by_profile"][options.without]
        free = tuple(replace(document, work_seconds=0.0) for document in sample.documents)
        measured["by_profile"][options.without] = replace(sample, documents=free)
    found = curve(
        measured, target=parse_quantity(options.target_tokens), cores=options.cores_per_node,
        bandwidth=float(parse_quantity(options.bandwidth)), catalogue=options.catalogue,
    )  # fmt: skip
    print(table(found))
    if options.plot is not None:
        write_plot(found, options.plot)


if __name__ == "__main__":
    main()
