"""Everything the sandbox changes in moto's Elastic Load Balancing. The modules beside this one each hold one subject.

| module | subject |
|---|---|
| `elbv2_error` | the form of a refusal, names, ports |
| `elbv2_load_balancers`, `elbv2_attributes` | load balancers, attributes of both kinds |
| `elbv2_listeners`, `elbv2_rules`, `elbv2_actions` | listeners, rules, and which target groups they use |
| `elbv2_target_groups` | target groups, and which targets they take |
| `elbv2_unsupported`, `elbv2_live` | what the processes behind it don't do |
| `balancers`, `elbv2_configuration`, `elbv2_draining` | the processes, what they are told, and targets that leave |
| `elbv2_metrics` | what the processes measure, in CloudWatch |

Only application load balancers: the sandbox's balancers speak HTTP.
"""

from sandbox.api import (
    elbv2_actions,
    elbv2_attributes,
    elbv2_listeners,
    elbv2_load_balancers,
    elbv2_rules,
    elbv2_target_groups,
    elbv2_unsupported,
)

# Of wraps around one method the later is the outer one: what a process can't do is refused before anything else, and
# associations follow what was done.
CHANGES = (
    *elbv2_load_balancers.CHANGES,
    *elbv2_attributes.CHANGES,
    *elbv2_listeners.CHANGES,
    *elbv2_rules.CHANGES,
    *elbv2_target_groups.CHANGES,
    *elbv2_actions.CHANGES,
    *elbv2_unsupported.CHANGES,
)
