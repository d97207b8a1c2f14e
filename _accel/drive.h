/* The load generator's hot path: many connections, a slice of time, no Python in between.
 *
 * A generator that is slower than the server measures itself.  So the ordinary life of a connection (send, receive,
 * compare, note how long it took) is here, and whatever is not ordinary is somebody else's: on the first byte that is
 * not the one expected, the call returns with what it was looking at, and reactor/load/judge.py, which is the
 * specification of all this, says what happened and gives the connection back.
 *
 * THE IDEA that makes it small: a message is a function of (connection, number), see reactor/load/messages.py.  So
 * nothing that was sent has to be remembered, there is no output buffer for a connection (what the kernel refused is
 * made again), no input buffer (a reply is compared as it comes, position by position), and a connection is one
 * drive_peer of 64 bytes and a ring of starting times.
 *
 * OWNERSHIP.  Python owns every byte: peers, rings, tables, scratch and results.  Nothing is allocated here and
 * nothing is kept in static memory.  drive_is_sound() checks every size that an index depends on, and a slice of a
 * drive that is not sound does nothing.  No Python object, no callback: it runs without the GIL.
 */
#ifndef REACTOR_DRIVE_H
#define REACTOR_DRIVE_H

#include <stddef.h>
#include <stdint.h>

/* Shared with reactor/load/messages.py and buckets.py: change both together. */
#define DRIVE_HEADER 12        /* letters of a message that say whose it is and which */
#define DRIVE_SIZES 4096       /* entries of the table of sizes */
#define DRIVE_OFFSETS 16384    /* places in the pool where a body may begin */
#define DRIVE_GAPS 4096        /* entries of the table of gaps between two sends */
#define DRIVE_BUCKETS 33792    /* of a latency record: 3 significant digits up to 2^42 ns */

/* Whether there is a drive at all: it needs epoll. */
#ifdef __linux__
#define DRIVE_WORKS 1
#else
#define DRIVE_WORKS 0
#endif

/* Why a slice returned. */
enum {
    DRIVE_TIME = 0,       /* its time is over */
    DRIVE_IDLE = 1,       /* nothing may be sent and no reply is owed */
    DRIVE_STRANGE = 2,    /* `peer` received what it did not expect: inbox[in_at .. in_at + in_size) */
    DRIVE_ENDED = 3,      /* `peer` is gone: `error` is an errno, or 0 for the end of its stream */
    DRIVE_FAILED = 4      /* epoll itself failed with `error`, or the drive is not sound */
};

/* What a peer is.  Python sets SUSPECT and CLEAN, a slice sets SUSPECT and GONE. */
enum { DRIVE_CLEAN = 0, DRIVE_SUSPECT = 1, DRIVE_GONE = 2 };

/* How messages are told apart on the wire. */
enum { DRIVE_RAW = 0, DRIVE_LINE = 1, DRIVE_FRAMED = 2 };

typedef struct {
    int fd, state;
    int wants_room, error;     /* EPOLLOUT is on; what a send failed with, to be told by the slice */
    uint64_t queued;           /* messages whose turn has come */
    uint64_t sent;             /* of these, given to the kernel entirely; sent_offset bytes of the next */
    uint64_t expected;         /* the reply that comes next; expected_offset bytes of it have come */
    uint64_t settled;          /* replies that are no longer waited for */
    size_t sent_offset, expected_offset;
} drive_peer;

typedef struct {
    uint64_t *counts;          /* DRIVE_BUCKETS, see reactor/load/buckets.py */
    uint64_t count, sum, least, most;
} drive_record;

typedef struct {
    /* what is said, and what is to be heard: pool_size bytes each, at least DRIVE_OFFSETS + largest */
    const char *pool, *replies;
    size_t pool_size;
    const uint32_t *sizes;     /* DRIVE_SIZES, each from 1 to largest */
    size_t largest;
    int framing, datagrams;

    /* to whom */
    drive_peer *peers;
    size_t peer_count;
    int64_t *starts;           /* peer_count * ring * 2: when message n was due and when it was sent, at n % ring */
    size_t ring;               /* a power of two */
    int epoll_fd;

    /* how much: messages that a peer may owe, messages that may still be sent in all */
    uint64_t window, budget;

    /* open loop: DRIVE_GAPS nanoseconds between two sends, NULL for the closed loop */
    const double *gaps;
    double due;                /* when the next message is due, in nanoseconds of CLOCK_MONOTONIC */
    size_t gap, turn;          /* how many were due, and whose turn it is */
    uint64_t held;             /* times that a message was due and every peer owed a whole ring */
    int is_held;

    /* what was measured; only of messages that were due at record_from or later */
    int64_t record_from;
    drive_record latency, service, lateness;
    uint64_t messages_out, bytes_out, messages_in, bytes_in;

    /* scratch */
    char *inbox, *outbox;
    size_t in_room, out_room;

    /* what ended the slice */
    size_t peer, in_at, in_size;
    int error;
} drive;

/* Are all sizes such that no index can leave its memory?  Python asks once; every slice asks again. */
int drive_is_sound(const drive *d);

/* Put a peer's descriptor into the epoll set, with its index; returns an errno, or 0. */
int drive_watch(const drive *d, size_t id);

/* Drive until the instant `until` (nanoseconds of CLOCK_MONOTONIC) or until something must be told. */
int drive_slice(drive *d, int64_t until);

/* Return the first peer from `from` on whose oldest message was sent before the instant, or peer_count. */
size_t drive_overdue(const drive *d, size_t from, int64_t before);

/* Where a record counts a duration in nanoseconds; the same as bucket_of() in reactor/load/buckets.py. */
size_t drive_bucket(uint64_t value);

#endif
