"""`python -m ancestral`: the command line, for where the command itself is not on the path."""

from ancestral.cli.__main__ import main

if __name__ == "__main__":
    main()
