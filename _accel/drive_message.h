/* What the load generator says, as bytes on the wire: one message, and pieces of many for one sendmsg.
 *
 * A message is a function of its connection and its number, the same one as in reactor/load/messages.py: change
 * both together.  Functions only, no state; drive.c includes it, and whoever else does gets copies of his own.
 */
#ifndef REACTOR_DRIVE_MESSAGE_H
#define REACTOR_DRIVE_MESSAGE_H

#include "drive.h"

#include <string.h>
#include <sys/uio.h>

#define VECTORS 32          /* pieces of one sendmsg */
#define BY_REFERENCE 2048   /* a body of so many bytes is not copied into scratch */

/* Head, body and tail follow each other on the wire. */
typedef struct {
    char head[4 + DRIVE_HEADER];
    const char *body;
    size_t head_size, body_size, tail_size, size, payload;
} message;

/* Write `value` below 2^40 as `count` digits of base 32, at most 8, lowest first: 0-9 and A-V.  All at once: its bits
 * are spread, five to a byte, and to each byte is added what makes a digit of it. */
static inline void write_digits(char *at, uint64_t value, size_t count)
{
    value = (value & 0xFFFFF) | (value & 0xFFFFF00000) << 12;
    value = (value & 0x000003FF000003FF) | (value & 0x000FFC00000FFC00) << 6;
    value = (value & 0x001F001F001F001F) | (value & 0x03E003E003E003E0) << 3;
    const uint64_t is_letter = (value + 0x7676767676767676) >> 7 & 0x0101010101010101;
    value += 0x3030303030303030 + 7 * is_letter;
    for (size_t i = 0; i < count; i++)
        at[i] = (char)(unsigned char)(value >> 8 * i);
}

/* Message `number` of connection `id`, its body taken from `pool`.  The header names both, lowest digit first, so
 * that a message too short for all of it still differs from its neighbours. */
static inline void describe(const drive *d, const char *pool, uint32_t id, uint64_t number, message *m)
{
    const uint32_t mix = (uint32_t)number * 0x9E3779B1u + id * 0x85EBCA6Bu;
    const size_t payload = d->sizes[mix >> 6 & (DRIVE_SIZES - 1)];
    const size_t named = payload < DRIVE_HEADER ? payload : DRIVE_HEADER;
    const size_t prefix = d->framing == DRIVE_FRAMED ? 4 : 0;
    char *at = m->head + prefix;

    for (size_t i = 0; i < prefix; i++)
        m->head[i] = (char)(unsigned char)(payload >> (24 - 8 * i));
    write_digits(at, number, 8);
    write_digits(at + 8, id, 4);
    m->head_size = prefix + named;
    m->body = pool + (mix >> 18);
    m->body_size = payload - named;
    m->tail_size = d->framing == DRIVE_LINE;
    m->size = m->head_size + m->body_size + m->tail_size;
    m->payload = payload;
}

/* Do the `size` bytes of `data` continue the message from its byte `from` on?  from + size <= m->size. */
static inline int continues(const message *m, size_t from, const char *data, size_t size)
{
    if (from < m->head_size) {
        const size_t part = size < m->head_size - from ? size : m->head_size - from;

        if (memcmp(m->head + from, data, part) != 0)
            return 0;
        from += part, data += part, size -= part;
    }
    from -= m->head_size;
    if (from < m->body_size) {
        const size_t part = size < m->body_size - from ? size : m->body_size - from;

        if (memcmp(m->body + from, data, part) != 0)
            return 0;
        data += part, size -= part;
    }
    return size == 0 || *data == '\n';
}

/* -- many messages, for one sendmsg ----------------------------------------------------------------------------- */

/* Pieces for one sendmsg: small ones are copied behind each other into scratch, large bodies are pointed to. */
typedef struct {
    struct iovec vector[VECTORS];
    size_t count, used, total;
    size_t messages, payload;  /* how many whole messages these are the rest of, and their bytes without framing */
    const char *open;          /* where the last piece in scratch ends, NULL if the last piece is elsewhere */
} pieces;

static inline void point_to(pieces *p, const char *data, size_t size)
{
    p->vector[p->count].iov_base = (char *)(uintptr_t)data;
    p->vector[p->count++].iov_len = size;
    p->total += size;
}

static inline void copy(const drive *d, pieces *p, const char *data, size_t size)
{
    char *at = d->outbox + p->used;

    if (size == 0)
        return;
    memcpy(at, data, size);
    if (p->open == at) {
        p->vector[p->count - 1].iov_len += size;
        p->total += size;
    } else {
        point_to(p, at, size);
    }
    p->used += size;
    p->open = at + size;
}

/* Add bytes [from .. size) of a message; false if there is no room for them. */
static inline int add(const drive *d, pieces *p, const message *m, size_t from)
{
    const size_t skip = from < m->head_size ? 0 : from - m->head_size;
    const size_t body = skip < m->body_size ? m->body_size - skip : 0;
    const size_t tail = skip <= m->body_size ? m->tail_size : 0;
    const int is_large = body >= BY_REFERENCE && !d->datagrams;

    if (p->count + 3 > VECTORS || m->head_size + (is_large ? 0 : body) + tail > d->out_room - p->used)
        return 0;
    if (from < m->head_size)
        copy(d, p, m->head + from, m->head_size - from);
    if (is_large) {
        point_to(p, m->body + skip, body);
        p->open = NULL;
    } else {
        copy(d, p, m->body + skip, body);
    }
    copy(d, p, "\n", tail);
    return 1;
}

#endif
