/*
 * msf_list.h - a doubly linked ring whose links live inside the things it holds.
 *
 * The head is a link like any other; an empty list points at itself. Nothing here locks or allocates.
 * An entry that was taken out with list_del points nowhere and must not be taken out again; one taken
 * out with list_del_init may.
 */
#ifndef MSF_LIST_H
#define MSF_LIST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct list_head {
    struct list_head *next;
    struct list_head *prev;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#ifndef LIST_HEAD
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)
#endif

static inline void INIT_LIST_HEAD(struct list_head *head)
{
    head->next = head->prev = head;
}

/* Puts entry right behind place, which may be the head or any member. */
static inline void list_add(struct list_head *entry, struct list_head *place)
{
    entry->prev = place;
    entry->next = place->next;
    entry->next->prev = entry;
    place->next = entry;
}

/* Puts entry right before place; before the head means at the end. */
static inline void list_add_tail(struct list_head *entry, struct list_head *place)
{
    list_add(entry, place->prev);
}

static inline void list_del(struct list_head *entry)
{
    entry->next->prev = entry->prev;
    entry->prev->next = entry->next;
    entry->next = entry->prev = NULL;
}

static inline void list_del_init(struct list_head *entry)
{
    list_del(entry);
    INIT_LIST_HEAD(entry);
}

static inline int list_empty(const struct list_head *head)
{
    return head->next == head;
}

/* Counts the members by walking them. */
static inline size_t list_size(const struct list_head *head)
{
    const struct list_head *at;
    size_t members = 0;

    for (at = head->next; at != head; at = at->next)
        members++;
    return members;
}

/* Moves all members of from to the front of to; from is empty afterwards. */
static inline void list_splice_init(struct list_head *from, struct list_head *to)
{
    if (list_empty(from))
        return;
    from->prev->next = to->next;
    to->next->prev = from->prev;
    to->next = from->next;
    from->next->prev = to;
    INIT_LIST_HEAD(from);
}

/* The thing around a member of it. */
#ifndef container_of
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#endif
#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_first_entry_or_null(head, type, member) \
    (list_empty(head) ? (type *)NULL : list_first_entry(head, type, member))
#define list_next_entry(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)

/* The _safe forms allow the loop's body to take the current member out. */
#define list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_safe(pos, ahead, head) \
    for (pos = (head)->next, ahead = pos->next; pos != (head); pos = ahead, ahead = pos->next)
#define list_for_each_entry(pos, head, member)                           \
    for (pos = list_entry((head)->next, __typeof__(*pos), member);       \
         &pos->member != (head);                                         \
         pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_for_each_entry_safe(pos, ahead, head, member)               \
    for (pos = list_entry((head)->next, __typeof__(*pos), member),       \
        ahead = list_entry(pos->member.next, __typeof__(*pos), member);  \
         &pos->member != (head);                                         \
         pos = ahead, ahead = list_entry(ahead->member.next, __typeof__(*ahead), member))

#ifdef __cplusplus
}
#endif

#endif /* MSF_LIST_H */
