/* The pump; read pump.h first.
 *
 * THE INVARIANT of the waiting loop: `used <= room`, and every recv is given at most `room - used` bytes behind
 * `arena + used`.  Of the sending loop: `given <= size`, checked for all jobs before the first byte leaves.
 *
 * EINTR is no error here: a level-triggered descriptor is reported again, and Python looks at its signals between two
 * calls.  So a call that was interrupted simply found nothing.
 */
#include "pump.h"

#include <errno.h>

#if PUMP_WORKS
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

/* An arena with less room than this is full: a recv of a few bytes costs as much as one of many. */
#define PUMP_CRUMB 4096

/* recv for a descriptor that epoll told ready; 1 if there is an arrival to tell of. */
static int receive_arrival(int fd, pump_place *place, size_t *used)
{
    int64_t *arrival = place->arrivals + 3 * place->arrival_count;
    size_t room = place->room - *used;

    if (room < PUMP_CRUMB)
        return 0;
    if (room > place->share)
        room = place->share;

    const ssize_t size = recv(fd, place->arena + *used, room, MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    arrival[0] = fd;
    arrival[1] = (int64_t)*used;
    arrival[2] = size >= 0 ? (int64_t)size : -(int64_t)errno;
    if (size > 0)
        *used += (size_t)size;
    return 1;
}

int pump_wait(int epoll_fd, int timeout, pump_place *place)
{
    struct epoll_event events[PUMP_EVENTS];
    size_t used = 0;

    place->arrival_count = place->readiness_count = 0;

    const int count = epoll_wait(epoll_fd, events, PUMP_EVENTS, timeout);

    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        const int fd = events[i].data.fd;
        uint32_t mask = events[i].events;

        /* Writability alone is no reason to receive; an error or a hang-up is, because only recv says which. */
        if ((mask & ~(uint32_t)EPOLLOUT) != 0 && fd >= 0 && (size_t)fd < place->known && place->pumped[fd]) {
            place->arrival_count += (size_t)receive_arrival(fd, place, &used);
            mask &= EPOLLOUT;
        }
        if (mask != 0) {
            place->readiness[2 * place->readiness_count] = fd;
            place->readiness[2 * place->readiness_count + 1] = mask;
            place->readiness_count++;
        }
    }
    return 0;
}

int pump_send(int64_t *jobs, size_t count, const char *data, size_t size)
{
    size_t given = 0;
    int short_of_all = 0;

    for (size_t i = 0; i < count; i++) {
        if (jobs[2 * i + 1] < 0 || (uint64_t)jobs[2 * i + 1] > size - given)
            return -EINVAL;
        given += (size_t)jobs[2 * i + 1];
    }
    if (given != size)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        const size_t length = (size_t)jobs[2 * i + 1];
        const ssize_t sent = send((int)jobs[2 * i], data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

        data += length;
        if (sent >= 0 && (size_t)sent == length)
            continue;
        short_of_all++;
        if (sent >= 0)
            jobs[2 * i + 1] = sent;
        else
            jobs[2 * i + 1] = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -(int64_t)errno;
    }
    return short_of_all;
}

#else /* there is no epoll: the functions exist, so that the module has one shape everywhere */

int pump_wait(int epoll_fd, int timeout, pump_place *place)
{
    (void)epoll_fd, (void)timeout, (void)place;
    return -ENOSYS;
}

int pump_send(int64_t *jobs, size_t count, const char *data, size_t size)
{
    (void)jobs, (void)count, (void)data, (void)size;
    return -ENOSYS;
}

#endif
