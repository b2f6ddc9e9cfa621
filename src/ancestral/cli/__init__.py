"""The command line: one file a command, which parses, calls and prints.

A new command is a file of its name that holds a click command called `command`, and a row in
`commands.COMMANDS`. What commands share: `data` (what they read, and options on reading), `facts`
(what is said of a model), `outputs` (where they write), `terminal` (what is printed, and how a
command ends). `__main__` is the way in.
"""

from ancestral._moved import names_of

__getattr__ = names_of("ancestral.cli.commands", "main", "cli")
