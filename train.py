# PYTHON_ARGCOMPLETE_OK
"""Train an emulator: settings -> shards -> fit -> export. ``python train.py --help`` tells how."""

import sys

from balrog_keras.train_command import main

if __name__ == "__main__":
    sys.exit(main())
