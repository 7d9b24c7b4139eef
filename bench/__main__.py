"""Run the named benchmarks, or all of them: each module of this package with a `run` function."""

import argparse
import importlib
import inspect
import os
import pkgutil

import bench


def main() -> None:
    """Parse the names and run the benchmarks."""
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and print one table per benchmark.")
    parser.add_argument("name", nargs="*", help=f"benchmarks to run; without names, all: {', '.join(names)}")
    parser.add_argument("--jobs", type=int, metavar="N", help="cases at a time, of `counter` (default: 1)")
    parser.add_argument("--minutes", type=float, help="duration of `chaos` and `soak`")
    options = parser.parse_args()
    wanted = options.name or names
    if options.jobs is not None:
        os.environ["BENCH_JOBS"] = str(options.jobs)
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"there is no {', '.join(unknown)}: choose from {', '.join(names)}")
    for name in wanted:
        module = importlib.import_module(f"bench.{name}")
        print(f"\n{name}: {(module.__doc__ or '').strip()}\n")
        has_duration = options.minutes is not None and "minutes" in inspect.signature(module.run).parameters
        module.run(**({"minutes": options.minutes} if has_duration else {}))


if __name__ == "__main__":
    main()
