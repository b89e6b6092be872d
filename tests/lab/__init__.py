"""Real boxes for end-to-end tests: systemd as PID 1, sshd and Podman, in systemd-nspawn, up in a second or two.

A box is an overlay of a base image (mmdebstrap) with a cgroup, a network namespace and a loopback address of its own.
It is started by a keeper process, which ends it when the process that asked for it is gone, however that ended.

    errors       what can go wrong, as place: fault; remedy
    machine      what this machine must have, and what of it is missing
    mirror       this machine's apt sources, authorities and pip settings, for the boxes to use too
    release      the distributions that boxes run
    root_folder  a bare root folder made into a box's
    layer        cached images: bases, and boxes saved on top of them
    process      whether a process is still the one that it was
    cgroup       a box's processes, to be ended all at once
    lock         one process at a time
    record       what is written down about each box
    network      a box's way out and the way in to it
    keeper       the process that runs one box
    ssh          commands, files and tunnels
    box          one box, as a test sees it
    lab          boxes made, counted and taken away

Only the standard library is used, so that a box can be had without the project's own environment.
"""
