"""Progress bars: on a terminal and in a notebook, and none where nobody looks."""

import sys

from tqdm import tqdm


def progress_bar(**options):
    """Return tqdm's progress bar with these options: a notebook's in a notebook."""
    kernel = sys.modules.get("ipykernel")
    if kernel is None or not kernel.kernelapp.IPKernelApp.initialized():
        return tqdm(disable=options.pop("disable", False) or None, **options)
    from tqdm.notebook import tqdm as notebook_tqdm

    return notebook_tqdm(**options)
