/* general.h - a malloc of either kind, TAKE and GIVE, as work.h wants it. */
static void allocator_begin(void) {}
static void thread_begin(size_t length) { (void)length; }
static void thread_end(void) {}
static inline void *take(size_t length) { return TAKE(length); }
static inline void give(void *block) { GIVE(block); }

static void take_many(size_t length, void **blocks, int count)
{
    for (int i = 0; i < count; i++)
        blocks[i] = TAKE(length);
}

static void give_many(void **blocks, int count)
{
    for (int i = 0; i < count; i++)
        GIVE(blocks[i]);
}
