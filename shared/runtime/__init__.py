"""The shape of a service: settings, signals, exit codes, HTTP, and what ends a process that hangs or stalls."""
