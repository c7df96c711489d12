"""`python -m runners.simulated_lift_wing`."""

import sys

from runners.simulated_lift_wing.server import main

if __name__ == "__main__":
    sys.exit(main())
