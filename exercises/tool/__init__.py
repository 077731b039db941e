"""The classroom: exercises that check themselves, and the grader. `python3 -m exercises.tool --help`."""
