/* A connection of the load: what has come in and is not yet parsed, and the blocking calls on it. */
#ifndef STREAM_H
#define STREAM_H

#include <stddef.h>
#include <stdint.h>

enum { BUFFER = 256 * 1024 };

struct stream {
    int fd;
    size_t used;
    char bytes[BUFFER];
};

/* End the program: with errno's text, and with their own. */
_Noreturn void die(const char *what);
_Noreturn void bad(const char *what);

/* `address` is the path of a unix socket or a TCP port of this machine. */
struct stream *stream_open(const char *address);

void send_all(int fd, const char *bytes, size_t length);

/* Waits for at least one byte more. */
void fill(struct stream *in);

/* Forgets the first `length` bytes. */
void drop(struct stream *in, size_t length);

/* Words of a frame: in the machine's order (librpc) and big-endian (nmid, gearman). */
uint32_t word_at(const char *bytes);
uint32_t word_be(const char *bytes);
void put_be(char *bytes, uint32_t value);

#endif
