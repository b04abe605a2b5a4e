//! msf_os.h: the machine, its processors, priorities.
