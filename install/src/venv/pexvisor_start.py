# Run first in every Python of the venv: lets the cyclic garbage collector wait while a program starts.
#
# Imports make hundreds of thousands of objects and hardly any garbage, and by default the collector walks through all
# of them again and again: a fifth of the start of a Dagster code server. So the youngest generation may grow to some
# 50,000 objects (a few MB) before it is collected, up to the first collection of an older one: that is after eleven
# times as many, or at the program's first gc.collect(). From then on everything is as Python has it. A program that
# sets thresholds of its own keeps them. See https://docs.python.org/3/library/gc.html
import gc

before = gc.get_threshold()
# An odd number, so that it is not mistaken for the program's own.
starting = (50_021, *before[1:])


def end_of_start(phase, info):
    global starting
    if starting and phase == "stop" and info["generation"] > 0:
        if gc.get_threshold() == starting:
            gc.set_threshold(*before)
        # The callback stays: taking one out while they are called would skip the next.
        starting = None


gc.set_threshold(*starting)
gc.callbacks.append(end_of_start)
