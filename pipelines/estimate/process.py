"""Each source's sample in a process of its own, one after the other, and what starting such a process costs.

A server process has the imports of a worker and nothing else; each sample is forked from it. So the CPU seconds of
loading models and the peak of memory are those of a worker that does this source alone, and a crash or a server that
answers nothing costs one source. Gives up: measuring several at a time, which would have them disturb each other.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines.estimate.sample import SourceSample, sample_source
from pipelines.executors import without_secrets
from pipelines.plan import Plan

SOURCE_SECONDS = 600.0
"""For one source, loading models and reading over the Hub included."""
# What a worker has imported when it says that it is ready (pipelines/worker.py).
_IMPORTS = ["pipelines.worker", "pipelines.manifest", "pipelines.stages", "pipelines.estimate.sample"]


def sample_sources(
    plan: Plan, *, rows: int, work_dir: Path, mirror: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> dict[str, SourceSample]:
    """The sample of every source of a plan, by its key; `say` is told which one is being measured.

    A source that cannot be sampled has a `problem` and no documents; nothing is raised for it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTS)
    samples = {}
    for number, source in enumerate(plan.sources, start=1):
        say(f"sampling {number} of {len(plan.sources)}: {source.key}")
        options = {
            "rows": rows, "seed": plan.seed, "output": plan.output, "work_dir": work_dir / f"{number:05d}",
            "mirror": mirror,
        }  # fmt: skip
        samples[source.key] = _in_a_process(context, source, options)
    return samples


def _in_a_process(context: Any, source: Any, options: dict[str, Any]) -> SourceSample:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, source, options), daemon=False)
    process.start()
    theirs.close()
    problem = f"no sample within {SOURCE_SECONDS:g} s; look at it alone with --datasets {source.key}"
    try:
        if ours.poll(SOURCE_SECONDS):
            sample: SourceSample = ours.recv()
            return sample
    except EOFError:
        process.join()
        problem = f"the process that sampled it ended with {process.exitcode}"
    finally:
        if process.is_alive():
            process.join(1.0)
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()
    return SourceSample(source=source.key, problem=problem)


def _child(answer: Connection, source: Any, options: dict[str, Any]) -> None:
    from dataclasses import replace

    from loguru import logger

    logger.remove()
    # Word splitters say on their way what they load; a worker's words go into its log (pipelines/worker.py).
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    sample = sample_source(source, **options)
    if sample.problem is not None:
        sample = replace(sample, problem=without_secrets(sample.problem))
    answer.send(sample)


def start_seconds() -> float:
    """CPU seconds until a worker process can take its first task, measured by starting one's imports."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", "import " + ", ".join(_IMPORTS[:-1])]
    subprocess.run(command, check=True, cwd=Path(__file__).resolve().parent.parent.parent)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
