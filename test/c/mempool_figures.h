/*
 * mempool_figures.h - what a pool tells of its blocks of one size.
 */
#ifndef MEMPOOL_FIGURES_H
#define MEMPOOL_FIGURES_H

#include <msf_mempool.h>

#include "check.h"

static inline struct msf_mempool_slab figures(struct msf_mempool *pool, size_t block)
{
    struct msf_mempool_slab slab = { .size = sizeof slab };

    for (u32 i = 0; msf_mempool_stats(pool, i, &slab) == 0; i++)
        if (slab.block == block)
            return slab;
    CHECK(!"a size with such blocks");
    return slab;
}

#endif /* MEMPOOL_FIGURES_H */
