"""The command line. `app` holds the commands' signatures and loads a command's module when it is called."""
