"""`python -m bench [NAME ...]`: run the named benchmarks, or all, and print a table for each."""

import sys

from bench import components, deploy, memory, model, name_server, parallel, policies, preview, provider, publish

BENCHMARKS = {
    "preview": preview.run,
    "components": components.run,
    "policies": policies.run,
    "provider": provider.run,
    "parallel": parallel.run,
    "memory": memory.run,
    "publish": publish.run,
    "deploy": deploy.run,
    "model": model.run,
    "name-server": name_server.run,
}


def main(names: list[str]) -> int:
    """Run and print; the exit status is 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"\n{name}", flush=True)
        for result in BENCHMARKS[name]():
            aim = f"   (aim: {result.aim})" if result.aim else ""
            print(f"  {result.what:<55} {result.value:>9.2f} {result.unit}{aim}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
