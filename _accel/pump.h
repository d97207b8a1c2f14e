/* The pump: what a turn of the loop does with the kernel, in two calls instead of two for each connection.
 *
 * pump_wait() is epoll_wait and then, for every ready descriptor that was marked as pumped, recv: all that has
 * arrived lies in one arena when it returns.  pump_send() hands the kernel what many connections have to say.  Python
 * decides everything in between; it is given bytes where a selector gives readiness.
 *
 * As everywhere in this folder C touches no Python object, allocates nothing and keeps nothing.  Everything it reads or
 * writes was lent for the call, with its size.  Both calls run without the GIL.
 */
#ifndef REACTOR_PUMP_H
#define REACTOR_PUMP_H

#include <stddef.h>
#include <stdint.h>

#if defined(__linux__)
#define PUMP_WORKS 1
#else
#define PUMP_WORKS 0
#endif

/* Events that one call may return.  The kernel hands out the rest, in turn, at the next. */
#define PUMP_EVENTS 512

/* Where things are put: arena[0 .. room) for bytes, and two tables with room for PUMP_EVENTS rows each.  An arrival is
 * three numbers: the descriptor, where its bytes begin, and how many there are: 0 at the end of the stream, -errno if
 * it is broken.  A readiness is two: a descriptor and the events that epoll told.
 *
 * pumped[fd] is not zero for the descriptors to receive from, of which none is `known` or more; of each at most
 * `share` bytes. */
typedef struct {
    const unsigned char *pumped;
    size_t known;
    char *arena;
    size_t room, share;
    int64_t *arrivals, *readiness;
    size_t arrival_count, readiness_count; /* set by pump_wait */
} pump_place;

/* Wait at most `timeout` milliseconds (-1: for ever).  Returns 0, or -errno; the counts are set in any case. */
int pump_wait(int epoll_fd, int timeout, pump_place *place);

/* Send data[0 .. size): jobs[2 * i] is a descriptor, jobs[2 * i + 1] how many of the bytes are for it, in order.  The
 * latter is replaced by how many the kernel took (0: none now), or by -errno.  Returns the number of jobs of which it
 * did not take all, or -EINVAL, having sent nothing, if the jobs do not add up to `size`. */
int pump_send(int64_t *jobs, size_t count, const char *data, size_t size);

#endif
