"""Floor 6: the ways in and out. The command line; estimators and adapters come here too."""
