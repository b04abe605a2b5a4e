/*
 * nmid_call: calls an nmid function from the command line. What the function returns goes to stdout as it is.
 */
#include <limits.h>

#include "../broker.h"

static const char help[] =
    "usage: nmid_call [-s BROKER] [-t MS] FUNCTION [KEY=VALUE... | JSON]\n"
    "Calls FUNCTION with params of texts, or with a JSON object, and prints the Data it returns.\n"
    "  -s BROKER  HOST, HOST:PORT or the path of a unix socket (default 127.0.0.1:6808)\n"
    "  -t MS      how long to wait (default 35000)\n"
    "Exit: 0 it succeeded, 1 it did not (stderr says why), 2 wrong usage.\n";

struct options {
    struct broker broker;
    u32 ms;
    char **rest;
};

static int wrong(const char *what, const char *word)
{
    fprintf(stderr, "nmid_call: %s \"%s\"\n%s", what, word, help);
    return 2;
}

/* 0, or the exit status of a command line that is wrong. */
static int read_options(char **word, struct options *options_out)
{
    for (word++; *word != NULL && **word == '-'; word += 2) {
        char *end = NULL;

        if (word[1] == NULL)
            return wrong("no value behind", *word);
        if (strcmp(*word, "-s") == 0) {
            if (broker_of(word[1], &options_out->broker) != 0)
                return wrong("not a broker:", word[1]);
        } else if (strcmp(*word, "-t") == 0) {
            unsigned long ms = strtoul(word[1], &end, 10);

            if (end == word[1] || *end != '\0' || ms == 0 || ms > UINT_MAX)
                return wrong("not a time in milliseconds:", word[1]);
            options_out->ms = (u32)ms;
        } else {
            return wrong("unknown option", *word);
        }
    }
    if (*word == NULL) {
        fprintf(stderr, "nmid_call: which function?\n%s", help);
        return 2;
    }
    options_out->rest = word;
    return 0;
}

/* Adds KEY=VALUE; -1 when it is none. */
static int add(struct nmid_params *params, char *word)
{
    char *equals = strchr(word, '=');

    if (equals == NULL || equals == word)
        return -1;
    *equals = '\0';
    return nmid_params_add_string(params, word, equals + 1);
}

static int called(struct nmid_client *client, const struct options *options)
{
    const char *function = options->rest[0], *json = options->rest[1];
    struct nmid_params *params = nmid_params_new();
    struct nmid_ret *ret = NULL;
    u32 type = NMID_MSGPACK, len = 0;
    const void *data;
    char **word;
    int code;

    for (word = options->rest + 1; *word != NULL && **word != '{'; word++)
        if (add(params, *word) != 0) {
            nmid_params_free(params);
            return wrong("not KEY=VALUE:", *word);
        }
    data = nmid_params_data(params, &len);
    if (json != NULL && *json == '{') {
        type = NMID_JSON;
        data = json;
        len = (u32)strlen(json);
    }
    code = nmid_client_call(client, function, type, data, len, &ret);
    if (code != 0)
        fprintf(stderr, "nmid_call: %s: %s\n", function, errno == ENOENT ? "no worker offers it" : strerror(errno));
    nmid_params_free(params);
    if (code != 0)
        return 1;
    if (ret->is_struct && ret->code != 0)
        fprintf(stderr, "nmid_call: %s: code %lld: %s\n", function, (long long)ret->code, ret->msg);
    code = ret->is_struct && ret->code != 0;
    fwrite(ret->is_struct ? ret->data : ret->raw, 1, ret->is_struct ? ret->data_len : ret->raw_len, stdout);
    putchar('\n');
    nmid_ret_free(ret);
    return code;
}

int main(int argc, char **argv)
{
    struct options options = { { "127.0.0.1", NMID_PORT }, 35000, NULL };
    struct nmid_client *client;
    int status;

    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    status = read_options(argv, &options);
    if (status != 0)
        return status;
    client = nmid_client_new(options.broker.host, options.broker.port);
    if (client == NULL || nmid_client_timeout(client, options.ms) != 0) {
        fprintf(stderr, "nmid_call: %s\n", strerror(errno));
        return 1;
    }
    status = called(client, &options);
    nmid_client_free(client);
    return status;
}
