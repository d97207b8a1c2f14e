/* The pump: what a turn of the loop does with the kernel, in two calls instead of two for each connection.
 *
 * pump_wait() is epoll_wait and then, for every ready descriptor that was marked as pumped, recv and scan: when it
 * returns, all that has arrived lies in one arena, and one program (see scan.h) says how to cut it.  pump_send() puts
 * lengths before what many connections have to say and hands it to the kernel.  Python decides everything in between;
 * it is given frames where a selector gives readiness.
 *
 * As everywhere in this folder C touches no Python object, allocates nothing and keeps nothing.  Everything it reads or
 * writes was lent for the call, with its size.  Both calls run without the GIL.
 */
#ifndef REACTOR_PUMP_H
#define REACTOR_PUMP_H

#include "pack.h"
#include "scan.h"

#include <stddef.h>
#include <stdint.h>

#if defined(__linux__)
#define PUMP_WORKS 1
#else
#define PUMP_WORKS 0
#endif

/* Events that one call may return.  The kernel hands out the rest, in turn, at the next. */
#define PUMP_EVENTS 512

/* How the bytes of a stream are framed: not at all, behind a length of fixed size, or behind a varint of at most
 * `limit`.  `layout` and `pack` are the two directions of the same format. */
enum { PUMP_RAW = 0, PUMP_LENGTH = 1, PUMP_VARINT = 2 };

typedef struct {
    int kind;
    scan_layout layout;
    uint64_t limit;
    pack_layout pack;
} pump_format;

/* In pumped[]: leave the descriptor alone; or receive, and cut as formats[mark - 1] says.  A byte holds no more. */
#define PUMP_FORMATS 255

/* Where things are put: arena[0 .. room) for bytes, `cuts` for the program, and tables with room for PUMP_EVENTS rows.
 *
 * An arrival has a row in three of them.  fds: the descriptor.  sizes: how many bytes there are, 0 at the end of the
 * stream, -errno if it is broken.  counts: how many frames they contain, negative if there is something left behind the
 * last of them.  The program makes that many pieces of it, and one more of what is left.  Arrivals lie in the arena one
 * behind the other.  `uniform` is true if each of them makes one piece.
 *
 * A readiness is two numbers in a row: a descriptor and the events that epoll told.
 *
 * pumped[fd] is the mark of each descriptor, of which none is `known` or more; of each at most `share` bytes are received.
 * framed[fd] is the index of the format in which it sends.  outgoing[0 .. outgoing_room) is where pump_send makes frames. */
typedef struct {
    const unsigned char *pumped, *framed;
    size_t known;
    const pump_format *formats;
    size_t format_count;
    char *arena;
    size_t room, share;
    scan_cuts *cuts;
    int64_t *fds, *sizes, *counts, *readiness;
    char *outgoing;
    size_t outgoing_room;
    size_t arrival_count, readiness_count; /* these three are set by pump_wait */
    int uniform;
} pump_place;

/* Wait at most `timeout` milliseconds (-1: for ever).  Returns 0, or -errno; counts and program are set in any case. */
int pump_wait(int epoll_fd, int timeout, pump_place *place);

/* Send what `streams` streams have to say: payloads[0 .. total) is all of it, in order, and sizes[] says where each of
 * the `count` payloads ends.  The table has two parts, each with a row for each stream: the descriptors, and how many
 * payloads each has, which is replaced by how many bytes they come to with their lengths.  taken[] is set to how many of
 * those the kernel took (0: none now), or to -errno.
 *
 * Returns the number of streams of which the kernel did not take all; or -EINVAL, having sent nothing, if the numbers do
 * not add up, a descriptor or its format is not known, or the frames exceed the room for them.  What is raw needs none. */
int pump_send(const pump_place *place, int64_t *table, size_t streams, const uint64_t *sizes, size_t count,
              const char *payloads, size_t total, int64_t *taken);

#endif
