"""What a process has once it is ready stays until it ends."""

import gc


def keep_for_good() -> None:
    """Tell Python's collector that what there is now will not become garbage.

    A hundred thousand objects of libraries and settings are looked at in each full collection otherwise, which comes
    every few thousand requests and stops the process for 50 to 180 ms. Memory that a fork shares also stays shared.
    """
    gc.collect()
    gc.freeze()
