"""Evaluate an emulator: export + held-out shards -> report. ``python evaluate.py --help`` tells."""

import sys

from balrog_keras.evaluate_command import main

if __name__ == "__main__":
    sys.exit(main())
