"""The ``edgecv`` command: one file a command, listed in main.py."""
