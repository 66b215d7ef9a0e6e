"""Serves the policy pack to the Pulumi engine. Nothing may be printed before: the engine reads the port from the first
line.
"""

from pulumi_policy import EnforcementLevel, PolicyPack

from lockstep_policies import POLICIES

PolicyPack(
    name="lockstep",
    display_name="Lockstep: disaster recovery across two regions",
    provider="aws",
    tags=["disaster-recovery"],
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=list(POLICIES),
)
