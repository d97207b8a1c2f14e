/* The pump; read pump.h first.
 *
 * THE INVARIANT of the waiting loop: `used <= room`, every recv is given at most `room - used` bytes behind
 * `arena + used`, and the program has cut exactly arena[0 .. used).  Of the sending: `given <= size_count`,
 * `taken <= total`, `made <= room`; every row is checked and framed before the first byte leaves.
 *
 * EINTR is no error here: a level-triggered descriptor is reported again, and Python looks at its signals between two
 * calls.  So a call that was interrupted simply found nothing.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* clock_gettime, accept4 */
#endif
#include "pump.h"

#include <errno.h>
#include <limits.h>

#if PUMP_WORKS
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/* An arena with less room than this is full: a recv of a few bytes costs as much as one of many. */
#define PUMP_CRUMB 4096

/* Have the program cut data[0 .. size) as the format says; returns what the table of counts says of it. */
static int64_t cut_arrival(const pump_format *format, const char *data, size_t size, size_t frames, scan_cuts *cuts)
{
    const size_t before = cuts->count; /* the program is one for all arrivals of the turn, and goes on counting */

    cuts->end = 0; /* for PUMP_RAW, which no scanner sees: all of it is left behind no frame */
    cuts->most = before + frames;
    if (format->kind == PUMP_LENGTH)
        scan_on_length(&format->layout, data, size, cuts);
    else if (format->kind == PUMP_VARINT)
        scan_on_varint(format->limit, data, size, cuts);

    const int64_t count = (int64_t)(cuts->count - before);

    if (cuts->end == size)
        return count;
    /* A piece too, or the program would be out of step with the arena for all arrivals behind this one. */
    scan_on_rest(size - cuts->end, cuts);
    return -count;
}

/* Write down where a connection comes from. */
static void describe_peer(const struct sockaddr_storage *address, pump_guest *guest)
{
    guest->peer = 0;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *peer = (const struct sockaddr_in *)address;
        guest->peer = (int64_t)1 << 48 | (int64_t)ntohl(peer->sin_addr.s_addr) << 16 | ntohs(peer->sin_port);
    } else {
        const struct sockaddr_in6 *peer = (const struct sockaddr_in6 *)address;
        const uint32_t scope = htonl(peer->sin6_scope_id);
        unsigned char *to = guest->long_peer;

        *to = 1;
        memcpy(to + 1, &peer->sin6_addr, 16);
        memcpy(to + 17, &peer->sin6_port, 2);
        memcpy(to + 19, &peer->sin6_flowinfo, 4);
        memcpy(to + 23, &scope, 4);
    }
}

size_t pump_accept(int listener, const pump_place *place, size_t most, int *error)
{
    size_t count = 0;

    *error = 0;
    while (count < most) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t size = sizeof address;
        const int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            *error = errno;
            break;
        }
        place->guests[count].fd = fd;
        describe_peer(&address, &place->guests[count]);
        count++;
    }
    return count;
}

/* recv for a descriptor that epoll told ready; 0 if there was no room, and it is as ready as before. */
static int receive_arrival(int fd, pump_place *place, size_t *used)
{
    pump_arrival *row = &place->arrivals[place->arrival_count];
    const size_t format = (size_t)place->marks[fd] - 1;
    size_t room = place->room - *used;

    /* Python writes the marks and the formats, so their numbers are checked like any other index. */
    if (room < PUMP_CRUMB || !scan_has_room(place->cuts) || format >= place->format_count)
        return 0;
    if (room > place->share)
        room = place->share; /* one fast peer must leave room for the others of this turn */

    /* MSG_DONTWAIT, whatever O_NONBLOCK says: ready is a hint too, and there may be nothing to read after all, see
     * select(2), BUGS.  To wait here would be to wait for everybody. */
    const ssize_t size = recv(fd, place->arena + *used, room, MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 1; /* nothing for anybody: to tell Python of it would only have it ask again */
    row->fd = fd;
    row->format = (int64_t)format;
    row->size = size >= 0 ? (int64_t)size : -(int64_t)errno;
    row->count = 0;
    if (size > 0) {
        row->count = cut_arrival(&place->formats[format], place->arena + *used, (size_t)size, place->frames,
                                 place->cuts);
        *used += (size_t)size;
    }
    /* One piece is a frame, or bytes without a frame (a count of 0).  Python has a shorter loop for turns of these. */
    if (size <= 0 || (row->count != 0 && row->count != 1))
        place->uniform = 0;
    place->arrival_count++;
    return 1;
}

static uint64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* epoll_wait, but for `spin` nanoseconds without sleeping: to be put to sleep and woken costs more than a short wait. */
static int wait_for_events(int epoll_fd, struct epoll_event *events, int timeout, uint64_t spin)
{
    if (spin != 0 && timeout != 0) {
        const uint64_t start = nanoseconds(), most = (uint64_t)INT_MAX * 1000000u;
        const uint64_t whole = timeout < 0 ? most : (uint64_t)timeout * 1000000u;
        uint64_t spent = 0;

        while (spent < spin && spent < whole) {
            const int count = epoll_wait(epoll_fd, events, PUMP_EVENTS, 0);

            if (count != 0)
                return count;
            spent = nanoseconds() - start;
        }
        if (timeout > 0) /* rounded up: a wait may end late, and never early */
            timeout = spent < whole ? timeout - (int)(spent / 1000000u) : 0;
    }
    return epoll_wait(epoll_fd, events, PUMP_EVENTS, timeout);
}

int pump_wait(int epoll_fd, int timeout, pump_place *place)
{
    struct epoll_event events[PUMP_EVENTS]; /* on the stack: 6 to 8 KiB, and nothing to be freed */
    size_t used = 0;

    place->arrival_count = place->readiness_count = 0;
    place->cuts->length = place->cuts->count = 0;
    place->uniform = 1;

    const int count = wait_for_events(epoll_fd, events, timeout, place->spin);

    if (count < 0)
        return errno == EINTR ? 0 : -errno; /* interrupted: the signal's handler runs when Python is back */
    for (int i = 0; i < count; i++) {
        const int fd = events[i].data.fd;
        uint32_t mask = events[i].events;

        /* Writability alone is no reason to receive; an error or a hang-up is, because only recv says which. */
        if ((mask & ~(uint32_t)EPOLLOUT) != 0 && fd >= 0 && (size_t)fd < place->known && place->marks[fd]
            && receive_arrival(fd, place, &used))
            mask &= EPOLLOUT; /* what has been received is told by its arrival; it may be writable as well */
        if (mask != 0) {
            place->readiness[2 * place->readiness_count] = fd;
            place->readiness[2 * place->readiness_count + 1] = mask;
            place->readiness_count++;
        }
    }
    return 0;
}

/* What pump_send is given, by its names in pump.h. */
typedef struct {
    pump_posting *rows;
    size_t streams;
    const uint64_t *sizes;
    size_t count;
    const char *payloads;
    size_t total;
} post;

/* Check everything, and make the frames of those streams that have lengths.  Replaces the number of payloads by that of
 * bytes, and `taken` by how many of them are payloads.  False if something does not add up. */
static int make_frames(const pump_place *place, const post *p)
{
    size_t given = 0, taken = 0, made = 0;

    for (size_t i = 0; i < p->streams; i++) {
        pump_posting *row = &p->rows[i];
        const int64_t count = row->count;
        const uint64_t *sizes = p->sizes + given;
        size_t length = 0;

        if (row->fd < 0 || row->fd > INT_MAX || row->format < 0 || (uint64_t)row->format >= place->format_count)
            return 0;
        if (count < 0 || (uint64_t)count > p->count - given)
            return 0;
        for (size_t k = 0; k < (size_t)count; k++) {
            if (sizes[k] > p->total - taken - length) /* subtracted, because a sum of their numbers could overflow */
                return 0;
            length += (size_t)sizes[k];
        }
        row->count = row->taken = (int64_t)length;
        const pump_format *format = &place->formats[row->format];
        /* Raw bytes are sent from where they lie; to copy them would gain nothing. */
        if (format->kind != PUMP_RAW && count != 0) {
            const size_t framed = pack_lengths(&format->pack, p->payloads + taken, length, sizes,
                                               (size_t)count, place->outgoing + made, place->outgoing_room - made);
            if (framed == 0)
                return 0;
            made += framed;
            row->count = (int64_t)framed;
        }
        given += (size_t)count;
        taken += length;
    }
    return given == p->count && taken == p->total;
}

int pump_send(const pump_place *place, pump_posting *postings, size_t streams, const uint64_t *sizes, size_t count,
              const char *payloads, size_t total)
{
    const post p = {postings, streams, sizes, count, payloads, total};
    const char *raw = payloads, *framed = place->outgoing;
    int short_of_all = 0;

    /* Before the first byte leaves: what was sent cannot be taken back, and Python would send it once more. */
    if (!make_frames(place, &p))
        return -EINVAL;
    for (size_t i = 0; i < streams; i++) {
        pump_posting *row = &postings[i];
        const int is_raw = place->formats[row->format].kind == PUMP_RAW;
        const size_t length = (size_t)row->count;
        const ssize_t sent = send((int)row->fd, is_raw ? raw : framed, length, MSG_DONTWAIT | MSG_NOSIGNAL);

        /* Both go on, whatever the kernel took: the next stream's bytes lie behind all of this one's. */
        raw += row->taken;
        if (!is_raw)
            framed += length;
        /* A socket that is gone is told in its row, and the others are served: one peer's reset is nobody else's. */
        short_of_all += sent < 0 || (size_t)sent != length;
        if (sent >= 0)
            row->taken = sent;
        else
            row->taken = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -(int64_t)errno;
    }
    return short_of_all;
}

int64_t pump_write(int fd, const char *data, size_t size)
{
    const ssize_t sent = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    return sent < 0 ? -(int64_t)errno : sent;
}

#else /* there is no epoll: the functions exist, so that the module has one shape everywhere */

size_t pump_accept(int listener, const pump_place *place, size_t most, int *error)
{
    (void)listener, (void)place, (void)most;
    *error = ENOSYS;
    return 0;
}

int pump_wait(int epoll_fd, int timeout, pump_place *place)
{
    (void)epoll_fd, (void)timeout, (void)place;
    return -ENOSYS;
}

int pump_send(const pump_place *place, pump_posting *postings, size_t streams, const uint64_t *sizes, size_t count,
              const char *payloads, size_t total)
{
    (void)place, (void)postings, (void)streams, (void)sizes, (void)count, (void)payloads, (void)total;
    return -ENOSYS;
}

int64_t pump_write(int fd, const char *data, size_t size)
{
    (void)fd, (void)data, (void)size;
    return -ENOSYS;
}

#endif
