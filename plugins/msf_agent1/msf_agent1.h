/*
 * What callers of the AGENT1 service need to know of it.
 *
 * AGENT1_SET carries a struct agent1_nonce and, called with room for an
 * answer, brings it back transformed. AGENT1_GET brings a struct agent1_stats.
 */
#ifndef MSF_AGENT1_H
#define MSF_AGENT1_H

#include <stdint.h>

#include <msf_utils.h>

#define AGENT1_ID 0x31u
#define AGENT1_SET 0x101u
#define AGENT1_GET 0x102u

struct agent1_nonce {
    uint64_t value;
} MSF_PACKED_MEMORY;

struct agent1_stats {
    uint64_t answered; /* nonces transformed since AGENT1 started */
} MSF_PACKED_MEMORY;

/* Turns a nonce into the answer that proves AGENT1 saw it. Every step can be
 * undone, so two nonces never share an answer. */
static inline uint64_t agent1_transform(uint64_t nonce)
{
    nonce ^= UINT64_C(0x6d73665f61676e74);
    nonce *= UINT64_C(0x9e3779b97f4a7c15);
    return nonce ^ (nonce >> 29);
}

#endif
