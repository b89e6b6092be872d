"""The switch of a box from one profile to another, as a program that runs on the box itself.

It needs Python 3.9 and the standard library alone, since a box has nothing of gpubox; `gpubox.switch_archive` packs it
and the few modules of gpubox that it shares into one file. It runs as a transient systemd unit: whoever asked for the
switch may go away. `transaction` tells the order of things, `state` what is remembered over a loss of power.
"""
