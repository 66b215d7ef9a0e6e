"""How long a failover by DNS takes: closed forms, a simulation by events, and what a change of the settings buys.

It knows Route 53's rules from AWS's documents and nothing of the sandbox, which knows nothing of it: where the two
agree, neither has been made to.
"""

from lockstep.failover_model.changes import Change, changes
from lockstep.failover_model.order_statistics import OrderStatistic
from lockstep.failover_model.prediction import Prediction, predict
from lockstep.failover_model.report import Loss, Report, make_report
from lockstep.failover_model.settings import Fault, Settings, has_fixed_ttl, of_config, shares
from lockstep.failover_model.simulation import Flapping, Losses, simulate_flapping, simulate_losses

__all__ = [
    "Change",
    "Fault",
    "Flapping",
    "Loss",
    "Losses",
    "OrderStatistic",
    "Prediction",
    "Report",
    "Settings",
    "changes",
    "has_fixed_ttl",
    "make_report",
    "of_config",
    "predict",
    "shares",
    "simulate_flapping",
    "simulate_losses",
]
