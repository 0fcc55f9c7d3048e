"""medutils: the package under the book *Deep learning in medicine, checked*.

Research and teaching only. Not for clinical use.
"""

import os

# Idle OpenMP threads must sleep: on few cores, spinning threads slow small networks down. It has to be set
# before torch is imported, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

NOT_FOR_CLINICAL_USE = "Not for clinical use: research and teaching only."
