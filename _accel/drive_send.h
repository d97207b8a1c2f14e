/* The load generator's sending half: what is queued for a peer goes out, and what is due is queued.
 *
 * Nothing that was sent is remembered.  What the kernel did not take is made again when it has room, from the number
 * of the message and the bytes of it that are gone.  Functions only, no state; Linux.
 */
#ifndef REACTOR_DRIVE_SEND_H
#define REACTOR_DRIVE_SEND_H

#include "drive_measure.h"
#include "drive_message.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static inline void gather(drive *d, const drive_peer *peer, uint32_t id, pieces *p)
{
    message m;
    size_t from = peer->sent_offset;

    p->count = p->used = p->total = p->messages = p->payload = 0;
    p->open = NULL;
    for (uint64_t number = peer->sent; number < peer->queued; number++, from = 0) {
        describe(d, d->pool, id, number, &m);
        if (!add(d, p, &m, from))
            break;
        p->messages++;
        p->payload += m.payload;
        if (d->datagrams)
            break;
    }
}

/* Note that the kernel took `size` bytes of the pieces: all of them, as a rule, or some, and then it is counted. */
static inline void advance(drive *d, drive_peer *peer, uint32_t id, const pieces *p, size_t size)
{
    message m;

    if (size == p->total) {
        peer->sent += p->messages;
        peer->sent_offset = 0;
        d->messages_out += p->messages;
        d->bytes_out += p->payload;
        return;
    }
    for (size += peer->sent_offset; peer->sent < peer->queued; peer->sent++) {
        describe(d, d->pool, id, peer->sent, &m);
        if (size < m.size)
            break;
        size -= m.size;
        d->messages_out++;
        d->bytes_out += m.payload;
    }
    peer->sent_offset = size;
}

/* Streams are watched for edges: the kernel then need not look again at each one that it has reported.  The price is
 * that whatever is left unread has to be asked for again, by rearm(): to modify an entry makes epoll look. */
static inline int watch(const drive *d, int operation, size_t id)
{
    const uint32_t kind = d->datagrams ? EPOLLIN : EPOLLIN | EPOLLRDHUP | EPOLLET;
    const uint32_t room = d->peers[id].wants_room ? EPOLLOUT : 0;
    struct epoll_event event = {.events = kind | room, .data = {.u32 = (uint32_t)id}};

    return epoll_ctl(d->epoll_fd, operation, d->peers[id].fd, &event) ? errno : 0;
}

static inline void rearm(const drive *d, size_t id)
{
    if (id < d->peer_count && d->peers[id].state != DRIVE_GONE)
        watch(d, EPOLL_CTL_MOD, id);
}

static inline void await_room(const drive *d, drive_peer *peer, uint32_t id, int flag)
{
    if (peer->wants_room != flag) {
        peer->wants_room = flag;
        watch(d, EPOLL_CTL_MOD, id);
    }
}

static inline ssize_t transmit(int fd, const pieces *p)
{
    if (p->count == 1)
        return send(fd, p->vector[0].iov_base, p->vector[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    const struct msghdr header = {.msg_iov = (struct iovec *)(uintptr_t)p->vector, .msg_iovlen = p->count};
    return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Give the kernel what is queued.  A failure is noted in the peer and told later: first come the replies. */
static inline void flush(drive *d, drive_peer *peer, uint32_t id)
{
    while (peer->sent < peer->queued && peer->error == 0) {
        pieces p;
        gather(d, peer, id, &p);
        if (p.count == 0)
            return;
        const ssize_t size = transmit(peer->fd, &p);

        if (size >= 0) {
            advance(d, peer, id, &p, (size_t)size);
            if ((size_t)size < p.total) {
                await_room(d, peer, id, 1);
                return;
            }
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            await_room(d, peer, id, 1);
            return;
        } else if (errno != EINTR) {
            peer->error = errno;
        }
    }
    if (peer->wants_room)
        await_room(d, peer, id, 0);
}

static inline void queue(drive *d, size_t id, int64_t due, int64_t now)
{
    int64_t *start = start_of(d, id, d->peers[id].queued++);

    start[0] = due;
    start[1] = now;
    d->budget--;
}

static inline int may_send(const drive *d, const drive_peer *peer)
{
    return peer->state != DRIVE_GONE && peer->queued - peer->settled < d->window
        && peer->queued - peer->expected < d->ring;
}

/* Closed loop: a peer that owes less than a window is sent the next messages. */
static inline void refill(drive *d, size_t id, int64_t now)
{
    drive_peer *peer = &d->peers[id];

    if (d->gaps == NULL)
        while (d->budget && may_send(d, peer))
            queue(d, id, now, now);
    if (peer->sent < peer->queued && !peer->wants_room && peer->state != DRIVE_GONE)
        flush(d, peer, (uint32_t)id);
}

/* Open loop: whose turn it is among those that have room; peer_count if nobody has. */
static inline size_t next_peer(drive *d)
{
    for (size_t tries = 0; tries < d->peer_count; tries++) {
        const size_t id = d->turn;

        d->turn = id + 1 < d->peer_count ? id + 1 : 0;
        if (may_send(d, &d->peers[id]))
            return id;
    }
    return d->peer_count;
}

/* Open loop: send what is due, whatever the replies are doing.  One round at most, so that replies are read too. */
static inline void send_due(drive *d, int64_t now)
{
    for (size_t i = 0; i < d->peer_count && d->budget && d->due <= (double)now; i++) {
        const size_t id = next_peer(d);

        if (id == d->peer_count) {
            d->held += !d->is_held;
            d->is_held = 1;
            return;
        }
        d->is_held = 0;
        queue(d, id, (int64_t)d->due, now);
        if ((int64_t)d->due >= d->record_from)
            record(&d->lateness, now - (int64_t)d->due);
        d->due += d->gaps[d->gap++ & (DRIVE_GAPS - 1)];
        refill(d, id, now);
    }
}

#endif
