"""`make demo`: both sites in the sandbox, a release published and deployed to both, then the next one, and gone again.

The sandbox's timers run six times faster than AWS's: health checks, how long a first instance is watched, draining.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKSTEP = str(ROOT / ".venv" / "bin" / "lockstep")
RPMS = "examples/orders/rpms"
SPEED = "6"
QUESTIONS = r"""
import boto3
route53 = boto3.client("route53", region_name="us-east-1")
zone = route53.list_hosted_zones()["HostedZones"][0]
print("Records of", zone["Name"].rstrip("."))
for record in route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]:
    if record["Type"] in ("NS", "SOA"):
        continue
    target = record["AliasTarget"]["DNSName"] if "AliasTarget" in record else record["ResourceRecords"][0]["Value"]
    how = "alias"
    if "Weight" in record:
        how = f"weight {record['Weight']}, health check {record.get('HealthCheckId')}"
    print(f"  {record['Name'].rstrip('.')} ({how})\n    {record['Type']} {target.rstrip('.')}")
"""


def in_sandbox(line: str) -> str:
    """`line`, run by a shell in the sandbox's environment, or not at all."""
    return f'variables=$({shlex.quote(LOCKSTEP)} sandbox env) && eval "$variables" && {line}'


def step(title: str, *command: str) -> None:
    """Say what comes and run it in the sandbox's environment; end the demo if it fails."""
    print(f"\n== {title}\n$ {' '.join(command)}", flush=True)
    subprocess.run(["bash", "-c", in_sandbox('"$@"'), "demo", *command], cwd=ROOT, check=True)


def main() -> int:
    """Run the demo; the exit status is that of the step that failed."""
    print(f"== A local AWS, its timers {SPEED} times faster\n$ lockstep sandbox up --speed {SPEED}", flush=True)
    project = (ROOT / "Pulumi.yaml").read_bytes()
    try:
        command = [LOCKSTEP, "sandbox", "up", "--speed", SPEED]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        step("Plan all stacks under the policies, then bring them up", "lockstep", "up", "--yes")
        for version in ("1.0.0", "1.1.0"):
            step(
                f"Packages of {version} into both regions", "lockstep", "publish", version, f"{RPMS}/{version}", "--yes"
            )
            step(f"Both sites run {version}, or neither", "lockstep", "deploy", version, "--yes")
        step("Each site at its own name", "lockstep", "sandbox", "request", "http://primary.orders.example.com/")
        step("What every site wants and runs", "lockstep", "status")
        step("Once more: nothing changes, and no policy has anything left to say", "lockstep", "preview")
        print("\n== What the world sees", flush=True)
        subprocess.run(
            ["bash", "-c", f'eval "$({LOCKSTEP} sandbox env)" && python - <<"END"\n{QUESTIONS}\nEND'],
            cwd=ROOT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        return error.returncode
    finally:
        if os.environ.get("KEEP") == "1":
            print('\nIt stays up. Try:\n  eval "$(.venv/bin/lockstep sandbox env)"\n  pulumi stack -s primary')
            print(f"  lockstep publish 1.2.0 {RPMS}/1.2.0 --yes; lockstep deploy 1.2.0 --yes   # its health path fails")
            print("  lockstep deploy 1.0.0 --yes   # back\n  lockstep sandbox down; git checkout Pulumi.yaml")
        else:
            subprocess.run([LOCKSTEP, "sandbox", "down"], cwd=ROOT, check=False)
            # `deploy` writes the release that is wanted; that one is gone with the sandbox.
            (ROOT / "Pulumi.yaml").write_bytes(project)
    return 0


if __name__ == "__main__":
    sys.exit(main())
