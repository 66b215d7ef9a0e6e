"""One Application Load Balancer of the sandbox: a process that checks targets and passes requests on to them."""
