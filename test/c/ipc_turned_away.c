/*
 * An agent that closes before it answers the login, one that is none at all, and one that leaves: what init returns,
 * and what the log says of it, once.
 */
#include "ipc_agent.h"

#define LOG "./turned_away.log"

static int logged(const char *words)
{
    static char text[1 << 20];
    FILE *file = fopen(LOG, "r");
    const char *at = text;
    int times = 0;

    CHECK(file != NULL);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    while ((at = strstr(at, words)) != NULL) {
        times++;
        at++;
    }
    return times;
}

/* Takes everybody in, says `arg`, and closes. */
static void rude(void *arg)
{
    int listener = listening("./rude.sock");

    ready(0);
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (write(fd, arg, strlen(arg)) < 0)
            _exit(6);
        /* With something unread the kernel says reset, else the end: both are met. */
        if (*(char *)arg != '\0')
            usleep(20000);
        close(fd);
    }
}

static void turned_away(const char *says, int number)
{
    pid_t pid = peer(rude, (void *)says);

    setenv("MSF_AGENT_SOCK", "./rude.sock", 1);
    CHECK_EQ(client_agent_wait(400), 0);
    CHECK_FAILS(log_in(ID_A, "A", nothing, nothing), number);
    end_peer(pid);
}

/* Says yes, and goes. */
static void brief(void *arg)
{
    int fd, listener = listening("./brief.sock");

    (void)arg;
    ready(0);
    fd = accept(listener, NULL, NULL);
    unlink("./brief.sock");
    close(listener);
    welcome(fd);
    _exit(0);
}

static void left(void)
{
    pid_t pid = peer(brief, NULL);
    int i;

    setenv("MSF_AGENT_SOCK", "./brief.sock", 1);
    CHECK_EQ(client_agent_wait(5000), 0);
    CHECK_EQ(log_in(ID_A, "A", nothing, nothing), 0);
    waitpid(pid, NULL, 0);
    for (i = 0; i < 1000 && logged("the agent has closed the connection") == 0; i++)
        usleep(10000);
    CHECK_EQ(logged("the agent has closed the connection"), 1);
    CHECK_EQ(logged("reset by peer"), 0);
    client_agent_deinit();
}

int main(void)
{
    unlink(LOG);
    CHECK_EQ(msf_log_init(LOG), 0);
    setenv("MSF_AGENT_SOCK", "./no.sock", 1);
    CHECK_EQ(client_agent_wait(200), 0);
    CHECK_FAILS(log_in(ID_A, "A", nothing, nothing), ENOENT);
    CHECK_EQ(logged("no agent yet: ./no.sock does not answer: No such file or directory"), 1);
    turned_away("", EACCES);
    CHECK_EQ(logged("the agent at ./rude.sock closed the connection before answering the login"), 1);
    turned_away("HTTP/1.0 400 this is not the protocol that you look for, and it is longer than one head", EPROTO);
    CHECK_EQ(logged("what the agent at ./rude.sock sends is not a frame"), 1);
    left();
    return 0;
}
