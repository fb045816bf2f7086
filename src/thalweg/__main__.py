"""`python -m thalweg` is the `thalweg` command."""

from thalweg.doors.cli.app import main

if __name__ == "__main__":
    main()
