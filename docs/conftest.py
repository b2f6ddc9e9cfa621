"""What pytest leaves alone here: the built site, and the modules that only Sphinx runs."""

collect_ignore_glob = ["_build/*", "conf.py", "_ext/*"]
