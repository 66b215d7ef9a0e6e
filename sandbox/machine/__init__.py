"""One EC2 instance of the sandbox: a process that boots a cloud-config, installs RPMs and runs the service."""
