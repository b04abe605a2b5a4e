/*
 * msf_mem.h - a piece of memory handed out by the library.
 */
#ifndef MSF_MEM_H
#define MSF_MEM_H

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a pool knows about memory it registered; never looked into from outside. */
struct msf_mr;

struct msf_reg_mem {
    void *addr;        /* the memory */
    size_t length;     /* the bytes that were asked for */
    struct msf_mr *mr; /* not NULL only in pools with MSF_MEMPOOL_FLAG_REG_MR */
    void *priv;        /* the library's own; NULL when there is nothing to free */
};

#ifdef __cplusplus
}
#endif

#endif /* MSF_MEM_H */
