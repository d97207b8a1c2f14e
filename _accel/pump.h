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

/* In marks[]: leave the descriptor alone; or receive, and cut as formats[mark - 1] says.  A byte holds no more. */
#define PUMP_FORMATS 255

/* What has arrived on one descriptor.  Arrivals lie in the arena one behind the other, in the order of their rows.
 *
 * The program makes `count` frames of it, or, if `count` is negative, -count frames and one more piece: what is left
 * behind the last of them.  No frames and something left is a count of 0. */
typedef struct {
    int64_t fd;
    int64_t format;   /* index of the format by which it was cut */
    int64_t size;     /* bytes; 0 at the end of the stream, -errno if it is broken: then it makes no piece */
    int64_t count;
} pump_arrival;

/* What one descriptor has to send: that many payloads, made into frames by a format. */
typedef struct {
    int64_t fd;
    int64_t format;
    int64_t count;    /* in: payloads; out: bytes that they come to, with their lengths */
    int64_t taken;    /* out: how many of those the kernel took (0: none now), or -errno */
} pump_posting;

/* A connection that was accepted: a socket that does not block.  A peer of IPv4 is one number, the bytes 1, address and
 * port; of one of IPv6 there are those of address, port, flow and scope behind the 1, and the number is 0.  All in the
 * order of the network. */
#define PUMP_LONG_PEER 27

typedef struct {
    int64_t fd;
    int64_t peer;
    unsigned char long_peer[32];
} pump_guest;

/* Where things are put: arena[0 .. room) for bytes, `cuts` for the program, and tables with room for PUMP_EVENTS rows.
 * `uniform` is true if each arrival makes one piece.  A readiness is two numbers in a row: a descriptor and the events
 * that epoll told.  marks[fd] is the mark of each descriptor, of which none is `known` or more; of each at most `share`
 * bytes are received, and at most `frames` frames cut.  outgoing[0 .. outgoing_room) is where pump_send makes frames.
 * `spin` is for how many nanoseconds epoll is asked again and again before it is waited for. */
typedef struct {
    const unsigned char *marks;
    size_t known;
    const pump_format *formats;
    size_t format_count;
    char *arena;
    size_t room, share, frames;
    scan_cuts *cuts;
    pump_arrival *arrivals;
    int64_t *readiness;
    char *outgoing;
    size_t outgoing_room;
    size_t arrival_count, readiness_count; /* these three are set by pump_wait */
    int uniform;
    uint64_t spin;
    pump_guest *guests;
} pump_place;

/* Wait at most `timeout` milliseconds (-1: forever).  Returns 0, or -errno; counts and program are set in any case.
 *
 * THE CONTRACT.  Every event of epoll has a row: an arrival, a readiness, or both (a marked descriptor that can also be
 * written).  A marked descriptor has an arrival if recv gave anything, an end and an error included; nothing at all if
 * recv had nothing to give; and a readiness, unread, if there was no room for it: Python serves it in the same turn.
 * What it received was received from the file that the number stood for *during the call*, and was cut by the format of
 * the mark, whatever its owner holds: a mark is a hint.  Python uses the frames only if their owner, asked when it gets
 * to them, is where a frame of that format may begin; else it takes the bytes, which stay in the arena until the next
 * call. */
int pump_wait(int epoll_fd, int timeout, pump_place *place);

/* Accept at most `most` connections, for which there is room in guests[], from a listening socket of IPv4 or IPv6.
 *
 * THE CONTRACT.  Returns how many there were, in the order of the queue; *error is 0 if these are `most`, else what
 * accept4(2) said when there were so many: EAGAIN if that was all.  Who waits behind an error is still in the queue. */
size_t pump_accept(int listener, const pump_place *place, size_t most, int *error);

/* Send what `streams` descriptors have to say: payloads[0 .. total) is all of it, in order, and sizes[] says where each
 * of the `count` payloads ends.
 *
 * THE CONTRACT.  Everything is checked, and every frame made, before the first byte leaves.  If the numbers do not add
 * up, a format is not known, or the frames exceed the room for them (what is raw needs none), nothing was sent, and the
 * result is -EINVAL.  Else each row says what became of it, and the result is the number of rows of which the kernel did
 * not take all: of those Python sends the rest, in order, before anything else of theirs. */
int pump_send(const pump_place *place, pump_posting *postings, size_t streams, const uint64_t *sizes, size_t count,
              const char *payloads, size_t total);

/* send(2) without waiting and without SIGPIPE, for a descriptor that has no socket object.  Returns how many bytes the
 * kernel took, or -errno. */
int64_t pump_write(int fd, const char *data, size_t size);

#endif
