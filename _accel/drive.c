/* The load generator's hot path; read drive.h first for what it is and what it promises.
 *
 * Read from below: drive_slice() is the loop, serve() what it does for a descriptor that is ready, receive() and
 * flush() (drive_send.h) the two directions, describe() (drive_message.h) what a message is.
 *
 * THE INVARIANT of a peer: settled <= queued and expected <= queued, sent <= queued, sent_offset < the wire size of
 * message `sent`, expected_offset < that of reply `expected`, and queued - expected <= ring.  Messages of a size
 * that is not in the table do not exist, so whatever Python writes into a peer, describe() stays inside the pool.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll */
#endif
#include "drive.h"

#if DRIVE_WORKS

#include <poll.h>
#include <sys/prctl.h>
#include <time.h>

#include "drive_send.h"

#define EVENTS 256          /* taken from epoll at once */
#define DATAGRAMS 64        /* received from one peer before the others have their turn */

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* -- receiving --------------------------------------------------------------------------------------------- */

static void answered(drive *d, size_t id, const message *m, int64_t now)
{
    drive_peer *peer = &d->peers[id];
    const int64_t *start = start_of(d, id, peer->expected);

    if (start[0] >= d->record_from) {
        record(&d->latency, now - start[0]);
        if (d->gaps)
            record(&d->service, now - start[1]);
    }
    peer->expected++;
    peer->settled++;
    peer->expected_offset = 0;
    d->messages_in++;
    d->bytes_in += m->payload;
}

static int halt(drive *d, size_t id, int why, int error)
{
    d->peer = id;
    d->error = error;
    if (why == DRIVE_ENDED) {
        d->peers[id].state = DRIVE_GONE;
        epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, d->peers[id].fd, NULL);
    }
    return why;
}

/* Compare inbox[0 .. size) with the replies that are due; returns how much of it is as it should be, to the start of
 * the first piece that is not. */
static size_t compare(drive *d, size_t id, size_t size, int64_t now)
{
    drive_peer *peer = &d->peers[id];
    message m;
    size_t at = 0;

    while (at < size && peer->expected < peer->queued) {
        describe(d, d->replies, (uint32_t)id, peer->expected, &m);
        if (peer->expected_offset >= m.size || (d->datagrams && size != m.size))
            break;
        const size_t left = m.size - peer->expected_offset;
        const size_t part = left < size - at ? left : size - at;

        if (!continues(&m, peer->expected_offset, d->inbox + at, part))
            break;
        at += part;
        peer->expected_offset += part;
        if (part == left)
            answered(d, id, &m, now);
    }
    return at;
}

static int receive(drive *d, size_t id)
{
    drive_peer *peer = &d->peers[id];

    for (int rounds = d->datagrams ? DATAGRAMS : 1; rounds > 0; rounds--) {
        const ssize_t size = recv(peer->fd, d->inbox, d->in_room, MSG_DONTWAIT);

        if (size < 0 && errno == EAGAIN)
            break;
        if (size < 0 || (size == 0 && !d->datagrams))
            return halt(d, id, DRIVE_ENDED, size < 0 ? errno : 0);
        const int64_t now = now_ns();
        const size_t good = peer->state == DRIVE_CLEAN ? compare(d, id, (size_t)size, now) : 0;

        if (good < (size_t)size || size == 0) {
            peer->state = DRIVE_SUSPECT;
            d->in_at = good;
            d->in_size = (size_t)size - good;
            return halt(d, id, DRIVE_STRANGE, 0);
        }
        refill(d, id, now);
        if (!d->datagrams && (size_t)size == d->in_room)
            rearm(d, id);
        if (peer->expected == peer->queued)
            break;
    }
    return DRIVE_TIME;
}

static int serve(drive *d, const struct epoll_event *event)
{
    const size_t id = event->data.u32;

    if (id >= d->peer_count || d->peers[id].state == DRIVE_GONE)
        return DRIVE_TIME;
    if (event->events & EPOLLOUT)
        flush(d, &d->peers[id], (uint32_t)id);
    if ((event->events & ~(uint32_t)EPOLLOUT) == 0)
        return DRIVE_TIME;
    const int why = receive(d, id);
    /* The end of the stream may have come together with its last bytes, and would not be told twice. */
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        rearm(d, id);
    return why;
}

/* -- the loop ---------------------------------------------------------------------------------------------- */

/* Wait for descriptors until `until`.  epoll_wait counts milliseconds, which is too coarse for a schedule, so there
 * the epoll set itself is waited for by ppoll, which counts nanoseconds. */
static int await(drive *d, int64_t now, int64_t until, struct epoll_event *events)
{
    if (d->gaps && d->budget) {
        if (!d->is_held && d->due < (double)until)
            until = (int64_t)d->due;
        if (until > now) {
            struct pollfd set = {.fd = d->epoll_fd, .events = POLLIN};
            const struct timespec wait = {(until - now) / 1000000000, (until - now) % 1000000000};

            ppoll(&set, 1, &wait, NULL);
        }
        until = now;
    }
    return epoll_wait(d->epoll_fd, events, EVENTS, (int)((until - now + 999999) / 1000000));
}

/* Is there nothing more to do?  Only asked when nothing may be sent any more. */
static int is_idle(const drive *d)
{
    for (size_t id = 0; id < d->peer_count; id++)
        if (d->peers[id].state != DRIVE_GONE && d->peers[id].settled < d->peers[id].queued)
            return 0;
    return 1;
}

static int turns(drive *d, int64_t until)
{
    struct epoll_event events[EVENTS];
    int64_t now = now_ns();

    for (size_t id = 0; id < d->peer_count; id++) {
        if (d->peers[id].error && d->peers[id].state != DRIVE_GONE)
            return halt(d, id, DRIVE_ENDED, d->peers[id].error);
        refill(d, id, now);
    }
    for (; now < until; now = now_ns()) {
        if (d->gaps)
            send_due(d, now);
        if (d->budget == 0 && is_idle(d))
            return DRIVE_IDLE;
        const int count = await(d, now, until, events);

        if (count < 0 && errno != EINTR)
            return halt(d, 0, DRIVE_FAILED, errno);
        for (int i = 0; i < count; i++) {
            const int why = serve(d, &events[i]);

            if (why != DRIVE_TIME) {
                for (; i < count; i++)
                    rearm(d, events[i].data.u32);
                return why;
            }
        }
    }
    return DRIVE_TIME;
}

int drive_slice(drive *d, int64_t until)
{
    if (!drive_is_sound(d))
        return halt(d, 0, DRIVE_FAILED, EINVAL);
    /* The kernel may wake a thread 50 us late to save power; a schedule cannot afford that. */
    const int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (d->gaps)
        prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
    const int why = turns(d, until);
    if (d->gaps && slack > 0)
        prctl(PR_SET_TIMERSLACK, (unsigned long)slack, 0, 0, 0);
    return why;
}

int drive_watch(const drive *d, size_t id)
{
    return watch(d, EPOLL_CTL_ADD, id);
}

#else

int drive_watch(const drive *d, size_t id)
{
    (void)d, (void)id;
    return 1;
}

int drive_slice(drive *d, int64_t until)
{
    (void)until;
    d->error = 0;
    return DRIVE_FAILED;
}

#endif
