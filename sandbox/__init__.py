"""The local stand-in for AWS: API, Pulumi provider and what runs behind them. Never needed on real AWS."""
