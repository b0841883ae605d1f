# Run first in every Python of the venv: lets the cyclic garbage collector wait while a program starts.
#
# Imports make hundreds of thousands of objects and hardly any garbage, and by default the collector walks through all
# of them again and again: a fifth of the start of a Dagster code server. So the youngest generation is collected after
# some 50,000 new objects (a few MB), and the first collection of an older one, after thirty times as many or at the
# program's first gc.collect(), ends this: from then on everything is as Python has it. The sample project makes 900,000
# until it serves. A program that sets thresholds of its own keeps them. See https://docs.python.org/3/library/gc.html
import gc

before = gc.get_threshold()
# An odd number, so that it is not mistaken for the program's own.
starting = (50_021, 30, *before[2:])


def end_of_start(phase, info):
    global starting
    if starting and phase == "stop" and info["generation"] > 0:
        if gc.get_threshold() == starting:
            gc.set_threshold(*before)
        # The callback stays: taking one out while they are called would skip the next.
        starting = None


gc.set_threshold(*starting)
gc.callbacks.append(end_of_start)
