/* mimalloc.c - mi_malloc and mi_free of mimalloc's shared library. */
#define _GNU_SOURCE
#include <mimalloc.h>
#define TAKE mi_malloc
#define GIVE mi_free
#include "general.h"
#include "work.h"
