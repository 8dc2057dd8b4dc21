"""What main.py, memory.py and MUMT.py need and the paper does not describe."""

FRAMES_PER_CALL = 500  # about: one call of the loop, after which the progress bar moves
