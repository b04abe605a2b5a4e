// The headers serve C++17: a loop, a thread, a record, with string literals and no casts.
#include <check.h>
#include <client.h>
#include <msf_process.h>

#include <algorithm>

struct Reader {
    msf_event_base *base;
    int fd;
    int bytes;
};

static void on_read(void *args)
{
    Reader *reader = static_cast<Reader *>(args);
    char byte;

    if (read(reader->fd, &byte, 1) == 1 && ++reader->bytes == 2)
        msf_event_base_loopexit(reader->base);
}

static void *writes(void *args)
{
    return reinterpret_cast<void *>(write(*static_cast<int *>(args), "ab", 2));
}

int main()
{
    int pipe_fds[2];
    pthread_t writer;
    void *written = nullptr;

    CHECK_EQ(pipe(pipe_fds), 0);
    Reader reader = { msf_event_base_new(), pipe_fds[0], 0 };
    CHECK(reader.base != nullptr);
    msf_event *event = msf_event_new(pipe_fds[0], on_read, nullptr, nullptr, &reader);
    CHECK_EQ(msf_event_add(reader.base, event), 0);
    CHECK_EQ(pthread_spawn(&writer, writes, &pipe_fds[1]), 0);
    CHECK_EQ(msf_event_base_dispatch(reader.base), 0);
    CHECK_EQ(pthread_join(writer, &written), 0);
    CHECK_EQ(reinterpret_cast<intptr_t>(written), 2);
    CHECK_EQ(std::max(reader.bytes, 0), 2);
    msf_event_free(event);
    msf_event_base_free(reader.base);
    CHECK_EQ(msf_log_write(DBG_INFO, "CXX", MSF_FUNC_FILE_LINE, "%d bytes", reader.bytes), 0);
    sclose(pipe_fds[0]);
    sclose(pipe_fds[1]);
    return check_verdict();
}
