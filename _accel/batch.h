/* Batches: many datagrams of one socket in one call, recvmmsg(2) and sendmmsg(2).
 *
 * A datagram costs a call for itself on the plain path, and most of what that call costs is not the kernel's.  Here one
 * call takes all that has arrived, and one sends all replies.  Python decides everything in between.
 *
 * As everywhere in this folder C touches no Python object, allocates nothing and keeps nothing.  Everything it reads or
 * writes was lent for the call, with its size.  Both calls run without the GIL.
 */
#ifndef REACTOR_BATCH_H
#define REACTOR_BATCH_H

#include <stddef.h>
#include <stdint.h>

#if defined(__linux__)
#define BATCH_WORKS 1
#else
#define BATCH_WORKS 0
#endif

/* Datagrams of one call, at most. */
#define BATCH_DATAGRAMS 64

/* Bytes set aside for one address: a struct sockaddr_in6, the longer of the two that are served. */
#define BATCH_ADDRESS 28

/* Where things are put.  Slot i of the arena begins at `i * stride` and takes `share` bytes, of which `stride` is no
 * less; its address begins at `addresses + i * BATCH_ADDRESS`.  The arena has BATCH_DATAGRAMS slots, and each of the
 * tables as many entries.
 *
 * sizes[i] is the whole length of the datagram; more than `share` means that the rest is lost.  names[i] is the length
 * of its address, or 0: the same as that of the datagram before. */
typedef struct {
    char *arena;
    size_t share, stride;
    char *addresses;
    int64_t *sizes, *names;
} batch_place;

/* Receive what is there, `most` datagrams at the most, without waiting.  Returns their number, at least 1, or -errno. */
int batch_receive(int fd, int most, batch_place *place);

/* Send `count` datagrams, in order and without waiting: jobs[i] bytes of data to the address in the next
 * jobs[count + i] bytes of `names`; none, if that is 0: to whom the socket is connected.  Returns how many were sent,
 * and sets *error to why the next was not: 0 if that was all.  Returns -EINVAL, having sent nothing, if there are too
 * many jobs or they do not add up to `size` and `names_size`. */
int batch_send(int fd, const int64_t *jobs, size_t count, const char *data, size_t size, const char *names,
               size_t names_size, int *error);

#endif
