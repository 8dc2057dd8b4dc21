"""What main.py, memory.py and MUMT.py need and the paper does not describe."""

FRAMES_PER_CALL = 500  # about, in a call of the loop, after which a progress bar moves
