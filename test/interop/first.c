/*
 * A client and a worker of nmid's first generation (G0: nmid-c and the PHP extension), as strict as the originals are
 * fragile. They cannot be had from a registry; this one is written from their behaviour on the wire alone.
 *
 *     first client PORT FUNCTION key:value...     one call; prints `return CODE MSG DATA` or `type N`
 *     first worker PORT FUNCTION...               serves ToUpper, Join, Sleep until it is killed
 *
 * It writes the header and the body of a frame in two writes, reads a header with one read and the body with one more,
 * has no time-out, and ends with status 1 and `refused: ...` wherever the originals would have crashed, stalled or read
 * garbage: a frame in pieces, two frames where one is due, params that are no array of "key:value", a result that is no
 * RetStruct PHP can take.
 */
#include <ctype.h>

#include "first_wire.h"

enum { ITEMS = 64, SEGMENT = 1400 };

/* ---- the client ---- */

/* Code, Msg and Data as the C and the PHP client take them; with anything else one of the two crashes or lies. */
static void show_ret(struct text ret)
{
    static const char *const names[] = {"Code", "Msg", "Data"};
    struct item item, key, field[3];
    int seen = 0;

    ret = next(ret, &item, "Ret");
    if ((item.kind != MAP && item.kind != ARRAY) || item.number != 3)
        refuse("Ret is no RetStruct");
    for (int i = 0; i < 3; i++) {
        int at = i;
        if (item.kind == MAP) {
            ret = next(ret, &key, "Ret");
            for (at = 0; at < 3; at++)
                if (key.kind == STR && key.text.len == strlen(names[at]) && !memcmp(key.text.bytes, names[at], key.text.len))
                    break;
            if (at == 3)
                refuse("Ret has a key that is none of Code, Msg, Data");
        }
        ret = next(ret, &field[at], "Ret");
        seen |= 1 << at;
    }
    if (seen != 7 || ret.len)
        refuse("Ret is no RetStruct");
    if (field[0].kind != INTEGER || field[0].number < 0)
        refuse("Code %lld, which is read as success", (long long)field[0].number);
    if (field[1].kind != STR)
        refuse("Msg is no string");
    if (field[2].kind != (item.kind == MAP ? BIN : STR))
        refuse("Data of a %s is of the wrong kind: it would be NULL or take the place of Msg", item.kind == MAP ? "map" : "array");
    printf("return %lld %.*s %.*s\n", (long long)field[0].number, (int)field[1].text.len, (const char *)field[1].text.bytes,
           (int)field[2].text.len, (const char *)field[2].text.bytes);
}

static void show_answer(struct frame frame, struct text name, struct writer params)
{
    struct text handle, echo, ret;

    if (frame.len < 12)
        refuse("a result of %u bytes", frame.len);
    handle = (struct text){frame.body + 12, word(frame.body)};
    echo = (struct text){NULL, word(frame.body + 4)};
    ret = (struct text){NULL, word(frame.body + 8)};
    if ((uint64_t)12 + handle.len + echo.len + ret.len != frame.len)
        refuse("lengths %zu, %zu, %zu in a result of %u bytes", handle.len, echo.len, ret.len, frame.len);
    echo.bytes = handle.bytes + handle.len;
    ret.bytes = echo.bytes + echo.len;
    if (handle.len != name.len || memcmp(handle.bytes, name.bytes, name.len))
        refuse("the result of another function: %.*s", (int)handle.len, (const char *)handle.bytes);
    if (echo.len && (echo.len != params.len || memcmp(echo.bytes, params.bytes, params.len)))
        refuse("the echo is not the params that were sent");
    show_ret(ret);
}

static int client(const char *port, const char *function, char **pairs, int count)
{
    struct text name = text_of(function);
    struct writer params = {0}, body = {0};
    uint8_t array = 0x90 | (uint8_t)count;
    int fd = connected(port);
    struct frame frame;

    put(&params, &array, 1);
    for (int i = 0; i < count; i++)
        put_str(&params, text_of(pairs[i]));
    put_word(&body, (uint32_t)name.len);
    put(&body, name.bytes, name.len);
    put_word(&body, (uint32_t)params.len);
    put(&body, params.bytes, params.len);
    send_frame(fd, CLIENT, DO_JOB, body);

    frame = read_frame(fd);
    if (readable(fd))
        refuse("%zu more bytes behind the answer", readable(fd));
    if (frame.type == S_RETURN)
        show_answer(frame, name, params);
    else if (frame.len)
        refuse("a frame of type %u with a body of %u bytes", frame.type, frame.len);
    else
        printf("type %u\n", frame.type);
    free(frame.body);
    free(params.bytes);
    close(fd);
    return 0;
}

/* ---- the worker ---- */

struct job {
    struct text handle, params;
    struct text values[ITEMS];
    int count;
};

/* An element as nmid-c can split it: exactly one colon, a value, no comma, no NUL. */
static struct text value_of(struct item item)
{
    const uint8_t *colon;
    size_t left;

    if (item.kind != STR)
        refuse("params: an element that is no string");
    colon = memchr(item.text.bytes, ':', item.text.len);
    if (!colon)
        refuse("params: an element without a colon");
    left = (size_t)(item.text.bytes + item.text.len - colon - 1);
    if (!left)
        refuse("params: an empty value");
    if (memchr(colon + 1, ':', left))
        refuse("params: a second colon");
    if (memchr(item.text.bytes, ',', item.text.len) || memchr(item.text.bytes, 0, item.text.len))
        refuse("params: a comma or a NUL");
    return (struct text){colon + 1, left};
}

static struct job parsed(struct frame frame)
{
    struct job job = {0};
    struct item item;
    struct text rest;

    if (frame.len <= HEADER)
        refuse("a job of %u bytes, which is taken for a header", frame.len);
    job.handle = (struct text){frame.body + 8, word(frame.body)};
    job.params = (struct text){NULL, word(frame.body + 4)};
    if ((uint64_t)8 + job.handle.len + job.params.len != frame.len)
        refuse("a job of another generation: lengths %zu and %zu in %u bytes", job.handle.len, job.params.len, frame.len);
    job.params.bytes = job.handle.bytes + job.handle.len;
    rest = next(job.params, &item, "params");
    if (item.kind != ARRAY)
        refuse("params are no array");
    if (item.number < 1 || item.number > ITEMS)
        refuse("params: an array of %lld", (long long)item.number);
    job.count = (int)item.number;
    for (int i = 0; i < job.count; i++) {
        rest = next(rest, &item, "params");
        job.values[i] = value_of(item);
    }
    if (rest.len)
        refuse("params: bytes behind the array");
    return job;
}

static struct writer computed(const struct job *job)
{
    struct writer data = {0};

    for (int i = 0; i < job->count; i++) {
        if (i)
            put(&data, " ", 1);
        put(&data, job->values[i].bytes, job->values[i].len);
    }
    if (job->handle.len == 7 && !memcmp(job->handle.bytes, "ToUpper", 7)) {
        for (size_t i = 0; i < data.len; i++)
            data.bytes[i] = (uint8_t)toupper(data.bytes[i]);
    } else if (job->handle.len == 5 && !memcmp(job->handle.bytes, "Sleep", 5)) {
        data.bytes[data.len] = 0;
        int millis = atoi((char *)data.bytes);
        if (millis)             /* a probe asks for none */
            puts("busy");
        usleep((useconds_t)millis * 1000);
    }
    return data;
}

/* While a job runs only a late OK may come, and that only behind a job of one segment: of others the end may be lost. */
static void check_behind(int fd, struct frame job)
{
    uint8_t header[HEADER];

    if (!readable(fd))
        return;
    if (recv(fd, header, HEADER, MSG_PEEK | MSG_DONTWAIT) != HEADER || word(header + 4) != OK || job.len > SEGMENT)
        refuse("%zu more bytes before the job was answered", readable(fd));
}

static void serve(int fd, struct frame frame, char **functions, int count)
{
    struct job job = parsed(frame);
    struct writer body = {0}, ret = {0}, data;
    int known = 0;

    for (int i = 0; i < count; i++)
        known |= strlen(functions[i]) == job.handle.len && !memcmp(functions[i], job.handle.bytes, job.handle.len);
    if (!known)
        refuse("a job for %.*s, which is not ours", (int)job.handle.len, (const char *)job.handle.bytes);
    data = computed(&job);
    check_behind(fd, frame);
    put(&ret, "\x93\x00", 2);
    put_str(&ret, text_of("OK"));
    put_str(&ret, (struct text){data.bytes, data.len});
    put_word(&body, (uint32_t)job.handle.len);
    put(&body, job.handle.bytes, job.handle.len);
    put_word(&body, (uint32_t)job.params.len);
    put(&body, job.params.bytes, job.params.len);
    put_word(&body, (uint32_t)ret.len);
    put(&body, ret.bytes, ret.len);
    send_frame(fd, WORKER, W_RETURN, body);
    free(ret.bytes);
    free(data.bytes);
}

static _Noreturn void worker(const char *port, char **functions, int count)
{
    int fd = connected(port);
    struct writer grab = {0};

    for (int i = 0; i < count; i++) {
        struct writer name = {0};
        put(&name, functions[i], strlen(functions[i]));
        send_frame(fd, WORKER, ADD_FUNC, name);
    }
    put(&grab, "1", 1);
    send_frame(fd, WORKER, GRAB_JOB, grab);
    puts("registered");
    for (;;) {
        struct frame frame = read_frame(fd);
        if (frame.type == GET_DATA)
            serve(fd, frame, functions, count);
        else if (frame.type != OK || frame.len)
            refuse("a frame of type %u with %u bytes", frame.type, frame.len);
        free(frame.body);
    }
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 4 && !strcmp(argv[1], "client") && argc - 4 < 16)
        return client(argv[2], argv[3], argv + 4, argc - 4);
    if (argc > 3 && !strcmp(argv[1], "worker"))
        worker(argv[2], argv + 3, argc - 3);
    fprintf(stderr, "usage: first client PORT FUNCTION key:value... | first worker PORT FUNCTION...\n");
    return 2;
}
