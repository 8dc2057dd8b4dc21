"""Progress bars: on a terminal and in a notebook, and none where nobody looks."""

import sys
from importlib.util import find_spec

from tqdm import tqdm


def progress_bar(disable=False, **options):
    """Return tqdm's progress bar with these options: in a notebook with widgets a notebook's."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    if kernel and kernel.IPKernelApp.initialized() and find_spec("ipywidgets"):
        from tqdm.notebook import tqdm as notebook_tqdm

        return notebook_tqdm(disable=disable, **options)
    return tqdm(disable=disable or None, **options)
