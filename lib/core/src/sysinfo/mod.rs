//! What the machine and its processes use: processors, memory, disks.
