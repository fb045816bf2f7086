"""Floor 6: the front ends. The command line; estimators and adapters also belong here."""
