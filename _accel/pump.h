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

/* The numbers of one arrival, in the order in which they are written. */
enum { PUMP_FD, PUMP_MASK, PUMP_START, PUMP_SIZE };
#define PUMP_COLUMNS 4

/* PUMP_SIZE of an arrival when nothing was received: the descriptor is not pumped, or its turn has to wait. */
#define PUMP_ORDINARY INT64_MIN
#define PUMP_LATER (INT64_MIN + 1)

/* Where arrivals go: arena[0 .. room) for bytes, arrivals[PUMP_COLUMNS * PUMP_EVENTS] for numbers.  pumped[fd] is not
 * zero for the descriptors to receive from, of which none is `known` or more.  Of each at most `share` bytes. */
typedef struct {
    const unsigned char *pumped;
    size_t known;
    char *arena;
    size_t room, share;
    int64_t *arrivals;
} pump_place;

/* Wait at most `timeout` milliseconds (-1: for ever).  Returns the number of arrivals, or -errno.  PUMP_SIZE is the
 * number of bytes received, 0 at the end of the stream, -errno if it is broken. */
int pump_wait(int epoll_fd, int timeout, const pump_place *place);

/* Send data[0 .. size): jobs[2 * i] is a descriptor, jobs[2 * i + 1] how many of the bytes are for it, in order.  The
 * latter is replaced by how many the kernel took (0: none now), or by -errno.  Returns the number of jobs of which it
 * did not take all, or -EINVAL, having sent nothing, if the jobs do not add up to `size`. */
int pump_send(int64_t *jobs, size_t count, const char *data, size_t size);

#endif
