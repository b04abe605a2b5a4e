//! msf_event.h: timers, the global ones and those of a base.
