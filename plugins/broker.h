/*
 * Where an nmid broker is, on a command line: HOST, HOST:PORT, [V6]:PORT or the path of a unix socket.
 */
#ifndef MSF_BROKER_H
#define MSF_BROKER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nmid_client.h>

/* What nmid_client_new and nmid_worker_add_server take. */
struct broker {
    char host[256];
    u16 port;
};

/* 0; -1 when the text is none of these. */
static inline int broker_of(const char *text, struct broker *broker_out)
{
    const char *colon = strrchr(text, ':'), *end = colon;
    char *rest = NULL;
    unsigned long port = NMID_PORT;

    if (*text == '/' || colon == NULL || (*text == '[' && text[strlen(text) - 1] == ']')) {
        end = text + strlen(text);
    } else {
        port = strtoul(colon + 1, &rest, 10);
        if (colon[1] < '0' || colon[1] > '9' || *rest != '\0' || port == 0 || port > UINT16_MAX)
            return -1;
    }
    if (end == text || (size_t)(end - text) >= sizeof(broker_out->host))
        return -1;
    memcpy(broker_out->host, text, (size_t)(end - text));
    broker_out->host[end - text] = '\0';
    broker_out->port = (u16)port;
    return 0;
}

#endif
