/*
 * msf_serial.h - serial lines: opened for one process, set, put back as they were.
 *
 * A struct msf_serial is used by one thread at a time. Its descriptor works with read, write, poll and msf_event_new.
 */
#ifndef MSF_SERIAL_H
#define MSF_SERIAL_H

#include <termios.h>

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Both directions at a speed of termios.h (B9600, B115200). 0; -1 and errno: EBADF, EINVAL not one of them, ENOTTY no terminal.
 */
MSF_EXPORT s32 msf_serial_baud(s32 fd, s32 speed);

/* Bytes pass unchanged and at once, both ways: no lines, no echo, no signals. 0; -1 and errno: EBADF, ENOTTY no terminal. */
MSF_EXPORT s32 msf_serial_rawmode(s32 fd);

#define MSF_SERIAL_FLOW_NONE 0
#define MSF_SERIAL_FLOW_HARDWARE 1 /* RTS and CTS */
#define MSF_SERIAL_FLOW_SOFTWARE 2 /* XON and XOFF */

struct msf_serial_settings {
    u32 size;       /* sizeof(struct msf_serial_settings), set by the caller */
    u32 baud;       /* bits per second, any number the driver can make; 0: 115200 */
    u8 data_bits;   /* 5 to 8; 0: 8 */
    u8 parity;      /* 'N', 'E', 'O', 'M' (always one) or 'S' (always zero); 0: 'N' */
    u8 stop_bits;   /* 1 or 2; 0: 1 */
    u8 flow;        /* MSF_SERIAL_FLOW_... */
    u8 read_least;  /* a read waits for so many bytes (VMIN)... */
    u8 read_wait;   /* ...and for so many tenths of a second (VTIME); both 0: for one byte */
    u8 nonblocking; /* 1: O_NONBLOCK, as an event source wants it */
    u8 shared;      /* 1: others may open the line too; heeded by msf_serial_open */
};

#define MSF_SERIAL_DTR 1  /* ours: data terminal ready */
#define MSF_SERIAL_RTS 2  /* ours: request to send */
#define MSF_SERIAL_CTS 4  /* theirs: clear to send */
#define MSF_SERIAL_DSR 8  /* theirs: data set ready */
#define MSF_SERIAL_DCD 16 /* theirs: carrier */
#define MSF_SERIAL_RING 32

struct msf_serial;

/*
 * Opens a line raw and with these settings; NULL is 115200 8N1 with reads that wait for one byte. It does not become the
 * process's terminal, is closed on exec, and is refused to others (but to root's programs that do not ask). NULL and errno:
 * EINVAL path is NULL, a number that is never right, or the driver cannot do it; ENOENT; EACCES; EBUSY another process has
 * it; ENOTTY it is no serial line.
 */
MSF_EXPORT struct msf_serial *msf_serial_open(const s8 *path, const struct msf_serial_settings *settings);

/* Puts the line back as it was found, and closes it. NULL is allowed. */
MSF_EXPORT void msf_serial_close(struct msf_serial *port);

/* Its descriptor, which stays the port's. -1 and errno: EINVAL NULL. */
MSF_EXPORT s32 msf_serial_fd(const struct msf_serial *port);

/* Other settings. 0; -1 and errno: EINVAL NULL, a number that is never right, or the driver cannot do it. */
MSF_EXPORT s32 msf_serial_set(struct msf_serial *port, const struct msf_serial_settings *settings);

/* What the driver says it is set to; size is the caller's. 0; -1 and errno: EINVAL NULL, or a size below 8. */
MSF_EXPORT s32 msf_serial_get(const struct msf_serial *port, struct msf_serial_settings *settings_out);

/* Waits until all that was written has left. 0; -1 and errno: EINVAL NULL, EIO the line is gone. */
MSF_EXPORT s32 msf_serial_drain(struct msf_serial *port);

/* Throws away what was received and not read, written and not sent. 0; -1 and errno: EINVAL NULL, EIO the line is gone. */
MSF_EXPORT s32 msf_serial_discard(struct msf_serial *port);

/* Holds the line at zero for so many milliseconds: a break. 0; -1 and errno: EINVAL NULL, EIO the line is gone. */
MSF_EXPORT s32 msf_serial_break(struct msf_serial *port, u32 ms);

/* The modem's lines, as MSF_SERIAL_ bits. 0; -1 and errno: EINVAL NULL, ENOTTY the device has none. */
MSF_EXPORT s32 msf_serial_lines(const struct msf_serial *port, u32 *lines_out);

/* Raises and drops DTR and RTS. 0; -1 and errno: EINVAL NULL or other lines than these, ENOTTY the device has none. */
MSF_EXPORT s32 msf_serial_set_lines(struct msf_serial *port, u32 raised, u32 dropped);

#ifdef __cplusplus
}
#endif

#endif /* MSF_SERIAL_H */
