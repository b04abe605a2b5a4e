/* glibc.c - malloc and free of the C library. */
#define _GNU_SOURCE
#include <stdlib.h>
#define TAKE malloc
#define GIVE free
#include "general.h"
#include "work.h"
